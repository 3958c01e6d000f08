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

/* What is known of a vCPU that is kicked. */
typedef enum PvVeKvmSleep {
    PV_VE_SLEEPS_ITSELF,        /* its thread waits for that page */
    PV_VE_IS_HALTED,            /* KVM has halted it, for that page or for another one */
    PV_VE_HALTS_SOON,           /* KVM halts it perhaps, for a page that a worker waits for */
} PvVeKvmSleep;

typedef enum PvVeKvmKick {
    PV_VE_KVM_KICKED,
    PV_VE_KVM_SPARED,           /* experience has shown that it would be in vain */
    PV_VE_KVM_NOT_THERE,        /* not in the guest, or kicked already */
} PvVeKvmKick;

/*
 * Let @cpu's thread decide about a #VE for the missing page at host address @page.  Any
 * thread, in an RCU critical section.
 */
PvVeKvmKick pv_ve_kvm_kick(CPUState *cpu, void *page, PvVeKvmSleep sleep);

/* ---- touched.c ---- */

/*
 * The missing page that @cpu touches, with its registers in kvm_run and in long mode: an
 * address of the host, NULL if it cannot be found out.  @asked: a worker waits for it,
 * so it has been asked for.  In its thread, in an RCU critical section.
 */
void *pv_ve_kvm_touched(CPUState *cpu, bool *asked);

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
/*
 * Is @cpu, which was kicked as it was halted for a page or about to be, where it was then?
 * In its thread, while its kick is on the way.
 */
bool pv_ve_kvm_still_halted(CPUState *cpu);
/* Nothing was decided about its last kick: if it is halted, it is to be found again. */
void pv_ve_kvm_forget(CPUState *cpu);
/* What is known of a page that a vCPU could be halted for; the likelier the later. */
typedef enum PvVeKvmPage {
    PV_VE_TOLD,                 /* a worker waits for it, and #VE was delivered for it */
    PV_VE_UNHEARD,              /* no worker waits for it, as far as is known by now */
    PV_VE_NEWS,                 /* a worker waits for it */
    PV_VE_TAKEN,                /* and a vCPU is kicked for it just now */
} PvVeKvmPage;

PvVeKvmPage pv_ve_kvm_page(void *page);
/* A vCPU was kicked for @guess, and nothing came of it: who touches that is to be found. */
void pv_ve_kvm_missed(void *guess);
/* The guest may have enabled delivery on a vCPU.  Any thread. */
void pv_ve_kvm_look_again(void);
/* A vCPU was kicked for @guess, and #VE was delivered to it for @page. */
void pv_ve_kvm_delivered(void *guess, void *page);

#endif
