/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: which missing page does a halted vCPU touch?
 *
 * KVM does not tell.  But nearly every access goes through a register: what the general
 * registers, the stack pointer and the instruction pointer lead to is looked up in the
 * guest's own paging structures.  A structure that is missing itself is the answer, too:
 * then the walk to it is what the processor could not finish.
 *
 * A register can also hold an address that the instruction does not use; so what counts
 * most is a page that has just begun to be waited for, and least one that #VE was delivered
 * for before.  Nothing that is missing is touched for it.  A wrong answer costs a task some
 * sleep, or, if that page fails, its life.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "system/kvm.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/pv-ve-kvm.h"

#define ADDRESS_MASK (MAKE_64BIT_MASK(12, 40))

/* The host page that the access needs first, NULL if there is none. */
static void *first_needed(const struct kvm_sregs *sregs, uint64_t gva)
{
    uint64_t table = sregs->cr3 & ADDRESS_MASK;

    for (int level = sregs->cr4 & CR4_LA57_MASK ? 5 : 4; level > 0; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t at = table + 8 * (gva >> shift & 511);
        void *host = pv_ve_host_at(at);
        uint64_t entry;

        if (!host || pv_ve_is_missing(host)) {
            return host;
        }
        entry = ldq_le_p(host);
        if (!(entry & PG_PRESENT_MASK)) {
            return NULL;
        }
        table = entry & ADDRESS_MASK;
        if (level == 1 || (level < 4 && entry & PG_PSE_MASK)) {
            uint64_t offset = gva & MAKE_64BIT_MASK(0, shift);

            return pv_ve_host_at((table & ~MAKE_64BIT_MASK(0, shift)) | offset);
        }
    }
    return NULL;
}

void *pv_ve_kvm_touched(CPUState *cpu, bool *asked)
{
    const struct kvm_sync_regs *run = &cpu->kvm_run->s.regs;
    const struct kvm_regs *r = &run->regs;
    const uint64_t address[] = {
        r->rip, r->rsp - 8, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp,
        r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
    };
    PvVeKvmPage best_state = PV_VE_UNHEARD;
    void *best = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(address); i++) {
        void *host = first_needed(&run->sregs, address[i]);
        PvVeKvmPage state;

        if (!host || !pv_ve_is_missing(host)) {
            continue;
        }
        host = pv_ve_page_start(host);
        state = pv_ve_kvm_page(host);
        if (!best || state > best_state) {
            best = host;
            best_state = state;
        }
    }
    *asked = best_state != PV_VE_UNHEARD;
    return best;
}
