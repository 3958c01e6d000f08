/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: pages that KVM itself touches for a vCPU, before it enters the guest: steal
 * time, clock, asynchronous page fault, EOI.  The guest has named them by MSRs of KVM's.
 *
 * No kick helps there.  The vCPU stands at no access, and KVM touches the page again at
 * once.  More than that: an instruction of the kernel's own begins anew as long as a
 * signal is pending, without sleeping and with a message each time, until the page has
 * come.
 *
 * What the guest names may change while it runs, but hardly does: on its way up or down,
 * when no #VE is enabled.  So a vCPU's thread looks when it enters the guest for the
 * first time since pages are missing, or since the guest enabled delivery.
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "system/kvm.h"
#include <linux/kvm.h>
#include "standard-headers/asm-x86/kvm_para.h"
#include "pv-ve/accel/kvm/pv-ve-kvm.h"

/* In each of them bit 0 says that it is in use; an address is in bits 63:1 or less. */
static const uint32_t naming_msr[] = {
    MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_ASYNC_PF_EN, MSR_KVM_STEAL_TIME, MSR_KVM_PV_EOI_EN,
};

/* Of one vCPU. */
typedef struct Own {
    bool known;                 /* for its own thread, or before it runs */
    void *page[ARRAY_SIZE(naming_msr)];     /* of the host, NULL: none; atomic */
} Own;

static Own *owns;               /* by index */

void pv_ve_kvm_start_own_pages(void)
{
    owns = g_new0(Own, MACHINE(qdev_get_machine())->smp.max_cpus);
}

static void *named_page(CPUState *cpu, uint32_t msr)
{
    struct {
        struct kvm_msrs info;
        struct kvm_msr_entry entry;
    } get = { .info.nmsrs = 1, .entry.index = msr };
    bool missing;
    void *host;

    if (kvm_vcpu_ioctl(cpu, KVM_GET_MSRS, &get) != 1 || !(get.entry.data & 1)) {
        return NULL;
    }
    host = pv_ve_host_at(get.entry.data & TARGET_PAGE_MASK, &missing);
    return host ? pv_ve_page_start(host) : NULL;
}

void pv_ve_kvm_find_own_pages(CPUState *cpu)
{
    Own *own = &owns[cpu->cpu_index];

    if (own->known) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    for (unsigned i = 0; i < ARRAY_SIZE(naming_msr); i++) {
        qatomic_set(&own->page[i], named_page(cpu, naming_msr[i]));
    }
    own->known = true;
}

void pv_ve_kvm_forget_own_pages(CPUState *cpu)
{
    owns[cpu->cpu_index].known = false;
}

bool pv_ve_kvm_is_own_page(unsigned vcpu, void *page)
{
    for (unsigned i = 0; i < ARRAY_SIZE(naming_msr); i++) {
        if (qatomic_read(&owns[vcpu].page[i]) == page) {
            return true;
        }
    }
    return false;
}
