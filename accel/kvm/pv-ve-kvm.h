/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: what the files of the KVM end share. */
#ifndef PV_VE_KVM_H
#define PV_VE_KVM_H

#include "qemu/thread.h"
#include "hw/core/cpu.h"
#include "pv-ve/include/core.h"

/*
 * The files, from the bottom up; each calls only those above it here.
 *
 * A vCPU can be unplugged while others look at it.  So in all threads but its own it is
 * an index: nobody holds a CPUState there.
 */

/* ---- stats.c ---- */

typedef enum PvVeKvmStat {
    PV_VE_KVM_BLOCKING,         /* 1 while the vCPU sleeps, whatever for */
    PV_VE_KVM_PF_TAKEN,         /* page faults so far */
    PV_VE_KVM_EXITS,            /* how often it has left the guest */
    PV_VE_KVM_NR_STATS,
} PvVeKvmStat;

/* Where KVM has them; the error says what is lacking.  BQL held, before any is read. */
bool pv_ve_kvm_find_stats(Error **errp);
/* BQL held, once. */
void pv_ve_kvm_start_stats(void);
/* A vCPU has been made.  BQL held. */
void pv_ve_kvm_add_stats(CPUState *cpu);
/* 0 if there is no such vCPU.  Any thread. */
uint64_t pv_ve_kvm_read_stat(unsigned vcpu, PvVeKvmStat s);

/* ---- kick.c ---- */

/* BQL held, once. */
void pv_ve_kvm_start_kicks(void);
/* A vCPU has been made; one has gone.  BQL held. */
void pv_ve_kvm_add_kicks(CPUState *cpu);
void pv_ve_kvm_remove_kicks(unsigned vcpu);
/* No kick is of use on this host.  BQL held, before there are any. */
void pv_ve_kvm_never_kick(void);
unsigned pv_ve_kvm_nr_vcpus(void);
/* Whose thread is @tid?  -1: no vCPU's.  Any thread. */
int pv_ve_kvm_vcpu_of_thread(uint32_t tid);
/* Is its thread inside KVM_RUN?  Any thread. */
bool pv_ve_kvm_in_guest(unsigned vcpu);

typedef enum PvVeKvmKick {
    PV_VE_KVM_KICKED,
    PV_VE_KVM_SPARED,           /* experience has shown that it would be declined */
    PV_VE_KVM_AWAY,             /* not in the guest, or kicked already */
} PvVeKvmKick;

/*
 * Let the vCPU's thread decide about a #VE: for the missing page at host address
 * @page, for which it sleeps itself, or, if that is NULL, for what its instruction
 * touches, as KVM has halted it or is about to.  Without @sure it may be another
 * thread that waits for @page.  Any thread, in an RCU critical section.
 */
PvVeKvmKick pv_ve_kvm_kick(unsigned vcpu, void *page, bool sure);

/* In @cpu's thread: it is about to enter KVM_RUN, and may be kicked. */
void pv_ve_kvm_enter_guest(CPUState *cpu);

/* What KVM_RUN was left with. */
typedef struct PvVeKvmTaken {
    bool ours;                  /* our signal ended it */
    bool due;                   /* it is to be decided ... */
    void *page;                 /* ... about this page; NULL: it is halted for any */
    bool sure;                  /* it was its own thread that touched the page */
} PvVeKvmTaken;

/* In @cpu's thread: KVM_RUN has returned, @interrupted by some signal or not. */
PvVeKvmTaken pv_ve_kvm_leave_guest(CPUState *cpu, bool interrupted);
/* What those who kick are to learn from what became of a kick.  In @cpu's thread. */
void pv_ve_kvm_learn_from_kick(CPUState *cpu, void *page, PvVeKick result);

/* ---- probe.c ---- */

/*
 * Can a signal take a vCPU out of its wait for a missing page?  The error says what
 * to change.  BQL held.
 */
bool pv_ve_kvm_can_interrupt_faults(Error **errp);

/* ---- own.c ---- */

/* BQL held, once. */
void pv_ve_kvm_start_own_pages(void);
/* In @cpu's thread, as it enters the guest while pages are missing. */
void pv_ve_kvm_find_own_pages(CPUState *cpu);
/* They may have changed: to be found again.  In @cpu's thread, or before it has run. */
void pv_ve_kvm_forget_own_pages(CPUState *cpu);
/* Is it one that KVM itself touches for this vCPU, as far as known?  Any thread. */
bool pv_ve_kvm_is_own_page(unsigned vcpu, void *page);

/* ---- touched.c ---- */

/*
 * Which missing page does the instruction touch at which @cpu stands?  Only @page counts
 * if that is not NULL.  Returns the page, an address of the host, and gpa, gla and
 * qualification of @fault say how, and last how far it goes on; NULL if there is none.
 * With @fault's paging, its registers in kvm_run and in long mode; in its thread, in an
 * RCU critical section.
 */
void *pv_ve_kvm_touched(CPUState *cpu, void *page, PvVeFault *fault);

/* ---- halted.c ---- */

/* BQL held, once. */
void pv_ve_kvm_start_watch(void);
/*
 * A kernel worker waits for the missing page at host address @page, and KVM has
 * halted the vCPU that touched it.  Without @sure that may be a vCPU's thread which
 * waits itself.  In the thread that reads of the fault, in an RCU critical section.
 */
void pv_ve_kvm_worker_blocked(void *page, bool sure);
/* Does a worker wait for the missing page at this address of the host?  Any thread. */
bool pv_ve_kvm_is_awaited(void *page);
/* Nothing was decided about its last kick: if it is halted, it is to be found again. */
void pv_ve_kvm_forget_faults(CPUState *cpu);
/* The guest may have enabled delivery on a vCPU.  Any thread. */
void pv_ve_kvm_look_again(void);

/* ---- blocked.c ---- */

/* BQL held, once. */
void pv_ve_kvm_start_telling(void);
/* PvVeAccel.blocked */
PvVeBlocked pv_ve_kvm_blocked(RAMBlock *block, ram_addr_t page, uint32_t tid);

/* ---- decide.c ---- */

/* How the host's processors take vector 20 as an injected event. */
typedef enum PvVeForm {
    PV_VE_AS_EXCEPTION,         /* Intel: VM entry wants IF set for an interrupt */
    PV_VE_AS_INTERRUPT,         /* AMD: EVENTINJ refuses an unknown exception */
} PvVeForm;

/* BQL held, once, last of all: from now on KVM_RUN is ours, too. */
void pv_ve_kvm_start_deciding(PvVeForm form);

#endif
