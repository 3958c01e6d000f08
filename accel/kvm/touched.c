/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: which missing page does a vCPU touch, and how?
 *
 * KVM tells the page at most, and nothing if a worker waits for it.  But the vCPU stands
 * at the instruction: what that fetches, reads and writes is looked up in the guest's own
 * paging structures.  A structure that is missing itself is the answer, too: then the
 * walk to it is what the processor could not finish.
 *
 * What is found is a page that the instruction needs, whatever the vCPU was halted for,
 * unless it would take another exception first, or masks that part.  Nothing that is
 * missing is touched for it.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "system/kvm.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/decode.h"
#include "pv-ve/accel/kvm/pv-ve-kvm.h"

/* Its page, if that is missing and the one that counts; then @fault is filled in. */
static void *take(const PvVeNeeded *n, void *only, uint64_t gla, uint32_t kind,
                  PvVeFault *fault)
{
    void *page = n->missing ? pv_ve_page_start(n->host) : NULL;

    if (!page || (only && page != only)) {
        return NULL;
    }
    fault->gla = gla;
    fault->gpa = n->gpa;
    fault->qualification = PV_VE_Q_GLA_VALID |
        (n->is_structure ? PV_VE_Q_READ : kind | PV_VE_Q_TRANSLATED);
    return page;
}

typedef struct Instruction {
    uint8_t code[PV_VE_KVM_MAX_INSTRUCTION];
    PvVeKvmAccess access[PV_VE_KVM_MAX_ACCESSES];
    unsigned nr;
} Instruction;

/*
 * False if it cannot be read as a whole: then @n and @gla are what is in the way, if any.
 */
static bool read_instruction(const struct kvm_sync_regs *s, const PvVePaging *paging,
                             Instruction *in, uint64_t *gla, PvVeNeeded *n)
{
    uint64_t start = s->regs.rip + (s->sregs.cs.l ? 0 : s->sregs.cs.base);
    PvVeKvmDecode result = PV_VE_KVM_CUT_OFF;
    size_t size = 0;

    while (result == PV_VE_KVM_CUT_OFF && size < sizeof(in->code)) {
        size_t more;

        *gla = start + size;
        if (!pv_ve_walk(paging, *gla, n) || n->missing) {
            return false;
        }
        more = MIN(sizeof(in->code) - size,
                   TARGET_PAGE_SIZE - (*gla & ~TARGET_PAGE_MASK));
        memcpy(&in->code[size], n->host, more);
        size += more;
        result = pv_ve_kvm_decode(in->code, size, &s->regs, &s->sregs, in->access,
                                  &in->nr);
    }
    n->host = NULL;
    return result == PV_VE_KVM_DECODED;
}

void *pv_ve_kvm_touched(CPUState *cpu, void *only, PvVeFault *fault)
{
    const struct kvm_sync_regs *s = &cpu->kvm_run->s.regs;
    Instruction in;
    uint64_t gla;
    PvVeNeeded n;

    if (!read_instruction(s, &fault->paging, &in, &gla, &n)) {
        return n.host ? take(&n, only, gla, PV_VE_Q_FETCH, fault) : NULL;
    }
    for (unsigned i = 0; i < in.nr; i++) {
        const PvVeKvmAccess *a = &in.access[i];

        /* Once for each page that it reaches into. */
        for (gla = a->gla; gla - a->gla < a->size; gla = (gla | ~TARGET_PAGE_MASK) + 1) {
            void *page = pv_ve_walk(&fault->paging, gla, &n) ?
                         take(&n, only, gla, a->kind, fault) : NULL;

            if (page) {
                fault->last = a->gla + a->whole - 1;
                return page;
            }
        }
    }
    return NULL;
}
