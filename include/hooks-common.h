/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what the hooks call in upstream files that are built for every target,
 * one call each.  docs/devel/fork.rst has the table.
 */
#ifndef PV_VE_HOOKS_COMMON_H
#define PV_VE_HOOKS_COMMON_H

#include "pv-ve/include/core.h"

/*
 * Postcopy: host thread @tid is blocked on the page of @block that starts at
 * @page.  In the fault thread; once more after an outage of the network.
 */
static inline void pv_ve_blocked(RAMBlock *block, ram_addr_t page, uint32_t tid)
{
    if (pv_ve_is_armed()) {
        pv_ve_tell_blocked(block, page, tid);
    }
}

bool pv_ve_postcopy_asked_for(RAMBlock *block, ram_addr_t page);

/*
 * Postcopy: has the source been asked for this page, or will it be as soon as migration
 * has recovered?  In the fault thread.
 */
static inline bool pv_ve_is_asked_for(RAMBlock *block, ram_addr_t page)
{
    return pv_ve_is_armed() && pv_ve_postcopy_asked_for(block, page);
}

void pv_ve_postcopy_paused(void);

/* Postcopy: the fault thread is about to wait until migration is recovered. */
static inline void pv_ve_await_recovery(void)
{
    if (pv_ve_is_armed()) {
        pv_ve_postcopy_paused();
    }
}

extern bool pv_ve_hot_on;       /* on the source, in postcopy; atomic */
void pv_ve_hot_next(RAMBlock **block, unsigned long *page);

/*
 * Postcopy, on the source: the search for the next page to be sent, which nobody has
 * asked for, begins at @page of @block: elsewhere if another one is to go first.
 */
static inline void pv_ve_hot_page(RAMBlock **block, unsigned long *page)
{
    if (unlikely(qatomic_read(&pv_ve_hot_on))) {
        pv_ve_hot_next(block, page);
    }
}

extern bool pv_ve_kvm_on;       /* there is a device, and KVM serves it */
void pv_ve_kvm_begin(CPUState *cpu);
int pv_ve_kvm_end(CPUState *cpu, int run_ret);

/* KVM: @cpu's thread is about to enter KVM_RUN. */
static inline void pv_ve_kvm_enter(CPUState *cpu)
{
    if (pv_ve_kvm_on && pv_ve_is_armed()) {
        pv_ve_kvm_begin(cpu);
    }
}

/*
 * KVM: KVM_RUN returned @run_ret.  If it was left for us and nobody else wants the thread
 * it is entered again.  Returns what KVM_RUN returned last.
 */
static inline int pv_ve_kvm_go_on(CPUState *cpu, int run_ret)
{
    return pv_ve_kvm_on ? pv_ve_kvm_end(cpu, run_ret) : run_ret;
}

#endif
