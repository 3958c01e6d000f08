/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: what the files of the KVM end share. */
#ifndef PV_VE_KVM_H
#define PV_VE_KVM_H

#include "qemu/thread.h"
#include "hw/core/cpu.h"
#include "pv-ve/include/core.h"

/* ---- kick.c ---- */

/* How the host's processors take vector 20 as an injected event. */
typedef enum PvVeForm {
    PV_VE_AS_EXCEPTION,         /* Intel: VM entry wants IF set for an interrupt */
    PV_VE_AS_INTERRUPT,         /* AMD: EVENTINJ refuses an exception that it does not know */
} PvVeForm;

/* BQL held, once. */
void pv_ve_kvm_start_kicks(PvVeForm form);
/* PvVeAccel.blocked */
PvVeBlocked pv_ve_kvm_blocked(RAMBlock *block, ram_addr_t page, uint32_t tid);
/* Is @cpu's thread inside KVM_RUN?  Any thread. */
bool pv_ve_kvm_in_guest(CPUState *cpu);

typedef enum PvVeKvmKick {
    PV_VE_KVM_KICKED,
    PV_VE_KVM_SPARED,           /* experience has shown that it would be in vain */
    PV_VE_KVM_AWAY,             /* not in the guest, or kicked already */
} PvVeKvmKick;

/*
 * Let @cpu's thread decide about a #VE: for the missing page at host address @page, for
 * which it sleeps itself, or, if that is NULL, for what its instruction touches, as KVM has
 * halted it or is about to.  Any thread, in an RCU critical section.
 */
PvVeKvmKick pv_ve_kvm_kick(CPUState *cpu, void *page);

/* ---- touched.c ---- */

/*
 * Which missing page does the instruction touch at which @cpu stands?  Only @page counts if
 * that is not NULL.  Returns the page, an address of the host, and gpa, gla and
 * qualification of @fault say how; NULL if there is none.  With its registers in kvm_run
 * and in long mode; in its thread, in an RCU critical section.
 */
void *pv_ve_kvm_touched(CPUState *cpu, void *page, PvVeFault *fault);

/* ---- halted.c ---- */

/* How often has @cpu left the guest?  Any thread. */
uint64_t pv_ve_kvm_exits(CPUState *cpu);
/* Can KVM tell whether a vCPU sleeps?  BQL held. */
bool pv_ve_kvm_can_find_halted(Error **errp);
/* BQL held, once. */
void pv_ve_kvm_start_watch(void);
/*
 * A kernel worker waits for the missing page at host address @page, and KVM has halted
 * the vCPU that touched it.  In the thread that reads of the fault, in an RCU critical
 * section.
 */
void pv_ve_kvm_worker_blocked(void *page);
/* Does a worker wait for the missing page at this address of the host?  Any thread. */
bool pv_ve_kvm_is_awaited(void *page);
/* Nothing was decided about its last kick: if it is halted, it is to be found again. */
void pv_ve_kvm_forget(CPUState *cpu);
/* The guest may have enabled delivery on a vCPU.  Any thread. */
void pv_ve_kvm_look_again(void);

#endif
