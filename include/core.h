/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the core's interface to accelerator ends and page sources.
 *
 * Ends and sources know this file and not each other.  There is at most one
 * pv-ve device, so neither is handed one.
 */
#ifndef PV_VE_CORE_H
#define PV_VE_CORE_H

#include "exec/hwaddr.h"
#include "exec/cpu-common.h"
#include "exec/ramblock.h"
#include "qapi/error.h"
#include "pv-ve/include/abi/pv-ve.h"

#define PV_VE_CPUID_BASE    0x40000200u
#define PV_VE_FIRST_MSR     0x50565600u

/* ---- Accelerator ends -------------------------------------------------- */

/* Whose thread is blocked on a missing page? */
typedef enum PvVeBlocked {
    PV_VE_BLOCKED_VCPU,         /* a vCPU's, in the guest */
    PV_VE_BLOCKED_WORKER,       /* the accelerator's, for a vCPU; nothing interrupts it */
    PV_VE_BLOCKED_OUTSIDE,      /* a vCPU's, not in the guest, or not any more */
    PV_VE_BLOCKED_OTHER,        /* another one of QEMU's own; it cannot be helped */
} PvVeBlocked;

/*
 * What an accelerator does for the core.  Exactly one end is in use, chosen when
 * the device is realized.
 */
typedef struct PvVeAccel {
    bool (*in_use)(void);

    /* Can #VE be delivered here?  The error says what to change; may be NULL. */
    bool (*usable)(Error **errp);
    /*
     * Called once, with the BQL, when the device is realized; may be NULL.
     * @as_exception: how an end that gives vector 20 to the host does so.
     */
    void (*start)(OnOffAuto as_exception);
    /*
     * A vCPU has been made; it has not run.  For those that are older than the device
     * after start(), later for each that is plugged; may be NULL.  BQL held.
     */
    void (*vcpu_added)(CPUState *cpu);
    /* The vCPU with this index has gone, and its thread; may be NULL.  BQL held. */
    void (*vcpu_removed)(unsigned vcpu);
    /* Raise @vector in @cpu's local APIC.  BQL held. */
    void (*interrupt)(CPUState *cpu, uint8_t vector);
    /*
     * End the halt of the WAIT that @cpu executed at @rip, and no other halt: it may
     * have left that WAIT by an interrupt, INIT or a reset.  BQL held.
     */
    void (*end_wait)(CPUState *cpu, uint64_t rip);
    /*
     * Let a @cpu that pv_ve_hold() stopped run again.  BQL held.  NULL: this end has
     * no PV_VE_HOLD, so it serves only sources that block.
     */
    void (*resume)(CPUState *cpu);
    /*
     * Drop translations that lead to pages that just became missing.  BQL held.  Only
     * for sources that do not block.
     */
    void (*flush)(void);
    /*
     * Thread @tid of the host is blocked on a page that is missing.  In a thread that
     * places pages or asks for them; may be NULL.
     */
    PvVeBlocked (*blocked)(RAMBlock *block, ram_addr_t page, uint32_t tid);
} PvVeAccel;

/* Called by an end's constructor. */
void pv_ve_register_accel(const PvVeAccel *accel);

/*
 * PvVeAccel.interrupt of an end with local APICs: an MSI message, as devices send it.
 * BQL held.
 */
void pv_ve_lapic_interrupt(CPUState *cpu, uint8_t vector);

/* What the vCPU was doing when it touched the page. */
typedef struct PvVeGuestState {
    unsigned cpl;
    bool interrupts_on;         /* RFLAGS.IF */
    bool nmi;                   /* between an NMI and its IRET */
    bool event;                 /* an exception or interrupt is being delivered,
                                   or the access is not an instruction's own */
    bool mode;                  /* not in long mode, in SMM or in a nested guest */
    bool restartable;           /* may be suspended by pv_ve_hold(): begins anew */
} PvVeGuestState;

/* How it translates linear addresses in long mode. */
typedef struct PvVePaging {
    uint64_t cr3;
    unsigned levels;            /* 4 or 5; 0: not known */
} PvVePaging;

typedef struct PvVeFault {
    hwaddr gpa;
    uint64_t gla;               /* if PV_VE_Q_GLA_VALID */
    uint64_t last;              /* the instruction goes on up to this one; 0: not known */
    uint32_t qualification;     /* PV_VE_Q_* */
    bool asked;                 /* the host has seen an access and asked for the page */
    PvVeGuestState guest;
    PvVePaging paging;
} PvVeFault;

/* What the guest knows as suspended, the host does in one of two ways: BLOCK or HOLD. */
typedef enum PvVeVerdict {
    PV_VE_PRESENT,              /* the page is there: go on */
    PV_VE_DELIVER,              /* raise vector 20; the information area is written */
    PV_VE_BLOCK,                /* go on: the host blocks the thread, as ever */
    PV_VE_HOLD,                 /* leave the instruction; pv_ve_hold() stops the vCPU */
} PvVeVerdict;

/*
 * Is any page missing anywhere?  The one test in an accelerator's fast path.
 */
extern unsigned pv_ve_armed;    /* atomic */

static inline bool pv_ve_is_armed(void)
{
    return unlikely(qatomic_read(&pv_ve_armed));
}

/*
 * A vCPU touches @fault->gpa: what is to become of it?  In the vCPU's thread (or
 * with the vCPU stopped), in an RCU critical section, while nothing of the guest
 * runs on that vCPU.  Never waits for a page or for the BQL.
 */
PvVeVerdict pv_ve_fault(CPUState *cpu, const PvVeFault *fault);

/*
 * After PV_VE_HOLD: suspend @cpu outside of guest code until the page at @gpa is there.
 * True: it waits, and PvVeAccel.resume comes when the page does; false: the page
 * is there.  In the vCPU's thread, BQL held.
 */
bool pv_ve_hold(CPUState *cpu, hwaddr gpa);

/* Is the page at this address of the host missing?  Any thread, no BQL. */
bool pv_ve_is_missing(void *host);
/* Where its page begins, in steps of the RAM block's page size. */
void *pv_ve_page_start(void *host);
/*
 * RAM of any kind at @gpa, NULL if there is none; is it missing?  RCU critical
 * section.
 */
void *pv_ve_host_at(hwaddr gpa, bool *missing);

/*
 * What an access to @gla needs first: a paging structure that is missing, else the memory
 * itself.  False if it needs no RAM: nothing is mapped there, or a device.  Touches
 * nothing that is missing.  RCU critical section.
 */
typedef struct PvVeNeeded {
    hwaddr gpa;
    void *host;                 /* NULL: no RAM */
    bool missing;
    bool is_structure;
} PvVeNeeded;

bool pv_ve_walk(const PvVePaging *paging, uint64_t gla, PvVeNeeded *n);

/*
 * Of a vCPU by its index, which may be unplugged at any time; any thread, no BQL.  Of one
 * that is not there delivery is disabled.
 */
bool pv_ve_is_enabled(unsigned vcpu);

/*
 * Could a #VE for a missing page be delivered to it, as far as can be told while it
 * sleeps?  If not it is counted as declined: its thread need not be disturbed.  Any
 * thread, no BQL.
 */
bool pv_ve_may_reflect(unsigned vcpu);

/* A notification without a reason, which ends a halt of @cpu.  Any thread, no BQL. */
void pv_ve_notify_spurious(CPUState *cpu);

/* What became of it when a vCPU's thread was disturbed ("kicked") for a page. */
typedef enum PvVeKick {
    PV_VE_KICK_SENT,
    PV_VE_KICK_DECLINED,        /* its registers do not allow #VE now */
    PV_VE_KICK_LATE,            /* the page had come, or the vCPU had gone on */
    PV_VE_KICK_SPARED,          /* not sent: declined before for it, or too often */
    PV_VE_NR_KICKS,
} PvVeKick;

/* Count it in the statistics.  Any thread, no BQL. */
void pv_ve_count_kick(unsigned vcpu, PvVeKick kick);

/* Is @index one of our MSRs, and is there a device? */
bool pv_ve_has_msr(uint32_t index);

typedef enum PvVeMsrResult {
    PV_VE_MSR_OK,
    PV_VE_MSR_GP,               /* #GP(0), nothing changed */
    PV_VE_MSR_HALT,             /* WAIT: halt until PvVeAccel.end_wait or an interrupt,
                                   then execute the WRMSR again */
} PvVeMsrResult;

/*
 * RDMSR, and WRMSR at linear address @rip, at CPL 0.  In the vCPU's thread (or with
 * the vCPU stopped); takes the BQL by itself if it needs it.
 */
uint64_t pv_ve_rdmsr(CPUState *cpu, uint32_t index);
PvVeMsrResult pv_ve_wrmsr(CPUState *cpu, uint32_t index, uint64_t value, uint64_t rip);

/*
 * Pages of the guest from page number @page of @block on, of QEMU's size for this target
 * (TARGET_PAGE_SIZE), not of the block's.
 */
typedef void PvVeNamed(RAMBlock *block, uint64_t page, uint64_t nr, unsigned class,
                       void *opaque);

/*
 * What all vCPUs name as pages that they cannot run without, in order of urgency: class 0
 * first.  A page may be named more than once, but all of it is no more than there are
 * pages of RAM.  For the source of a migration, whose vCPUs have stopped.  Waits for no
 * page.  BQL held.
 */
void pv_ve_each_named(PvVeNamed *named, void *opaque);

/* ---- Page sources ------------------------------------------------------ */

/*
 * Who makes pages missing and present.  All of these may be called by any
 * thread, take no BQL and do not block.  Offsets are in bytes, at the start of a
 * page of the block (qemu_ram_pagesize()).
 */
typedef enum PvVePageState {
    PV_VE_PAGE_PRESENT,
    PV_VE_PAGE_MISSING,
    PV_VE_PAGE_SUPPRESSED,      /* missing, and its owner wants no #VE for it */
    PV_VE_PAGE_FAILED,          /* missing for ever */
} PvVePageState;

/* What became of a request for a page that nobody has touched. */
typedef enum PvVeAsked {
    PV_VE_ASKED,
    PV_VE_ASKED_BEFORE,
    PV_VE_NOT_ASKED,            /* enough is under way, or it is not possible now */
} PvVeAsked;

typedef struct PvVeSource {
    /*
     * The host blocks whoever touches a missing page (userfaultfd).  Each source must see
     * to that where pv_ve_can_hold() is false.
     */
    bool blocks;
    /* Called once, with the BQL, when the device is realized; may be NULL. */
    void (*start)(void);
    PvVePageState (*state)(RAMBlock *block, ram_addr_t offset);
    /* Ask for the page; false if that is not possible now. */
    bool (*request)(RAMBlock *block, ram_addr_t offset);
    /*
     * The same for one that is likely to be needed next.  What is asked for later waits
     * for it, so the source limits how many there are; may be NULL.
     */
    PvVeAsked (*request_ahead)(RAMBlock *block, ram_addr_t offset);
    /*
     * An access that cannot be suspended in either way needs the page at once.
     * Only for sources that do not block.
     */
    void (*supply)(RAMBlock *block, ram_addr_t offset);
} PvVeSource;

#define PV_VE_MAX_SOURCES 4

/* Called by a source's constructor. */
void pv_ve_register_source(const PvVeSource *source);

/*
 * The source may have missing pages from now on (counted), or no more.  On
 * disarm, what is still outstanding counts as arrived unless another source has it.
 */
void pv_ve_arm(void);
void pv_ve_disarm(void);

/*
 * Can vCPUs be kept from pages that are there, by PV_VE_HOLD?  Else sources have to
 * block.
 */
bool pv_ve_can_hold(void);

/* Of an absent page: what PvVeAccel.blocked says.  RCU critical section. */
PvVeBlocked pv_ve_tell_blocked(RAMBlock *block, ram_addr_t page, uint32_t tid);

/* Has every vCPU stopped?  There is a device.  Any thread, no BQL. */
bool pv_ve_all_vcpus_stopped(void);

/*
 * In between the core touches neither an information area nor a PV page: a source under
 * which a page that was present becomes absent copies, marks and discards it there.  Of
 * the core it may call pv_ve_arm() then, and nothing else.  BQL held.
 */
void pv_ve_lock_areas(void);
void pv_ve_unlock_areas(void);

/* Pages that were present are missing now: keep vCPUs from them.  BQL held. */
void pv_ve_pages_withdrawn(void);

/*
 * The page has been placed, or will never come.  Any thread, no BQL; one atomic
 * load if nobody waits.  The page's state must have changed before.
 */
void pv_ve_page_arrived(RAMBlock *block, ram_addr_t offset);
void pv_ve_page_failed(RAMBlock *block, ram_addr_t offset);

/*
 * Guest RAM at @gpa that may be reflected: the machine's own and that of memory
 * devices, where the guest can write.  Everything else is suppressed by default.
 * Returns the block and the offset in it, NULL if it is anything else.  RCU
 * critical section or BQL.
 */
RAMBlock *pv_ve_ram_at(hwaddr gpa, ram_addr_t *offset);

#endif
