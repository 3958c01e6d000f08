/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: state of the core, of its vCPUs and of the PCI function, shared by the files
 * of hw/.
 *
 * Lifetime.  The core is made with the first function that is realized, and stays as
 * long as the machine: vCPU threads, postcopy's threads and KVM's MSR filter use it.
 * The function can go at any time, as a guest may power off or eject its slot.
 *
 * Locks.  PvVe.lock serializes everything that is not marked otherwise.  It is
 * never held across an access to guest memory that may be missing, nor by
 * somebody who waits for the BQL.  Order: BQL, PvVe.lock, a source's lock.
 */
#ifndef PV_VE_H
#define PV_VE_H

#include "exec/ramlist.h"
#include "hw/pci/pci_device.h"
#include "qemu/notify.h"
#include "pv-ve/include/core.h"
#include "pv-ve/hw/slots.h"
#include "pv-ve/hw/streams.h"

#define TYPE_PV_VE "pv-ve"
OBJECT_DECLARE_SIMPLE_TYPE(PvVeFunction, PV_VE)

/* Why a missing page was not reflected; see pv_ve_decline_name(). */
typedef enum PvVeDecline {
    PV_VE_DECLINE_NONE,
    PV_VE_DECLINE_DISABLED,     /* the guest has not enabled delivery */
    PV_VE_DECLINE_SUPPRESSED,   /* not convertible */
    PV_VE_DECLINE_MODE,         /* not in long mode, SMM, nested guest */
    PV_VE_DECLINE_CPL,
    PV_VE_DECLINE_INTERRUPTS_OFF,
    PV_VE_DECLINE_NMI,
    PV_VE_DECLINE_EVENT,        /* an event is being delivered, or not an instruction */
    PV_VE_DECLINE_BUSY,         /* the busy word is not 0 */
    PV_VE_DECLINE_SLOTS,        /* no free slot */
    PV_VE_DECLINE_AREA,         /* information area or PV page itself is missing */
    PV_VE_DECLINE_SOURCE,       /* the source cannot be asked now */
    PV_VE_NR_DECLINES,
} PvVeDecline;

/* Counters: written under PvVe.lock, read by anyone. */
typedef struct PvVeStats {
    uint64_t delivered;
    uint64_t parked;            /* found parked when their page came or failed */
    uint64_t waited;            /* faults for which a vCPU halted in WAIT */
    uint64_t resolved;
    uint64_t failed;
    uint64_t notified;          /* interrupts asked for */
    uint64_t declined[PV_VE_NR_DECLINES];
    uint64_t kick[PV_VE_NR_KICKS];
} PvVeStats;

/* One of the two guest pages of an enabled vCPU, pinned by a reference. */
typedef struct PvVeArea {
    PvVeWait wait;              /* linked while it is missing itself */
    MemoryRegion *mr;           /* NULL: not mapped */
    hwaddr mr_offset;
    RAMBlock *block;
    ram_addr_t page;            /* offset of the block's page that holds it */
    void *host;
} PvVeArea;

/*
 * An interrupt that KVM raises by itself when the event is set, which takes no BQL and
 * no ioctl: an MSI-X entry that the guest has not masked, or a vector of a vCPU's LAPIC.
 */
typedef struct PvVeIrqfd {
    EventNotifier event;        /* once made it stays */
    bool made;
    int route;                  /* KVM's GSI while connected, else -1; written with
                                   both BQL and lock held, so either lets read it */
} PvVeIrqfd;

/* What travels of a slot: see PvVeSlot. */
typedef struct PvVeSavedSlot {
    uint64_t gpa;
    uint32_t generation;
    uint8_t state;
    bool failed;
    bool posted;
} PvVeSavedSlot;

typedef struct PvVeVcpu {
    CPUState *cpu;              /* whose state this is; NULL while there is none */

    /* The MSRs */
    uint32_t features;
    uint32_t control;
    uint64_t info_gpa;
    uint64_t page_gpa;
    uint32_t notify;
    uint64_t urgent;            /* GPA of the first list, 0: none */

    /* Valid while enabled */
    PvVeArea info;
    PvVeArea page;
    PvVeSlots slots;
    PvVeSavedSlot saved[PV_VE_SLOTS];   /* of use only while saving or loading; BQL */
    int32_t waiting;            /* slot that WAIT halts for, or -1 */
    uint64_t wait_rip;          /* where the last WAIT was that halted */
    bool old_bits;              /* done bits may have come without their interrupt */

    PvVeIrqfd lapic;            /* connected to the vector that NOTIFY named last */
    PvVeWait hold;              /* linked while pv_ve_hold() suspends the vCPU */

    /* What the main loop still has to do for it; atomic */
    bool interrupt_due;
    bool end_wait_due;
    bool resume_due;

    PvVeStats stats;
} PvVeVcpu;

#define PV_VE_MAX_RAISED 16

typedef struct PvVe {
    PvVeFunction *function;     /* NULL: gone, so nothing can be enabled; BQL and lock */
    const PvVeAccel *accel;

    uint32_t offered;           /* feature bits; 0 without the function */
    uint32_t offered_by_source; /* what travels, at other times our own */
    uint32_t nr_vcpus;          /* possible ones, by cpu_index */
    PvVeVcpu *vcpu;
    uint32_t nr_entries;        /* of the function's MSI-X table */
    PvVeIrqfd *entry;           /* NULL unless KVM can take them; one a possible vCPU */
    bool entries_connected;     /* BQL */

    QemuMutex lock;             /* taken with PV_VE_LOCK_GUARD() */
    PvVeWaits waits;
    EventNotifier *raised[PV_VE_MAX_RAISED];    /* to be set when the lock is dropped */
    unsigned nr_raised;
    EventNotifier due;          /* page-placing threads wake the main loop */
    DeviceListener vcpus;       /* hears of vCPUs plugged and unplugged */
    RAMBlockNotifier ram;       /* hears of RAM that is */
    bool restore_due;           /* loaded, not yet run; BQL */
    bool load_broken_off;       /* or still under way; BQL */

    bool announced;             /* a migration that can become postcopy is under way */
    NotifierWithReturn leaving;
    uint64_t named;             /* pages in the guest's lists */
    uint64_t refused;           /* entries and lists that were not taken whole */

    bool read_ahead;            /* ask for what the guest will need next */
    PvVeStreams streams;
} PvVe;

/* The PCI function: properties and MSI-X. */
struct PvVeFunction {
    PCIDevice parent_obj;

    Object withheld;            /* TYPE_PV_VE_WITHHELD has no state of its own */
    PvVe *core;                 /* while it is realized */

    /* Properties */
    bool cpl0, if0, wait, msix, urgent, hot_first, read_ahead;
    OnOffAuto as_exception;
};

/* The core, NULL as long as there has never been a device. */
extern PvVe *pv_ve_core;

/*
 * The lock, to the end of the block.  What was to be raised under it is raised when it
 * has been dropped.
 */
#define PV_VE_LOCK_GUARD(ve) \
    g_autoptr(PvVeLocked) glue(pv_ve_locked, __COUNTER__) G_GNUC_UNUSED = pv_ve_lock(ve)

typedef PvVe PvVeLocked;

static inline PvVeLocked *pv_ve_lock(PvVe *ve)
{
    qemu_mutex_lock(&ve->lock);
    return ve;
}

/* notify.c */
void pv_ve_unlock(PvVeLocked *ve);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PvVeLocked, pv_ve_unlock)

static inline PvVeVcpu *pv_ve_vcpu(PvVe *ve, CPUState *cpu)
{
    assert(cpu->cpu_index < ve->nr_vcpus);
    return &ve->vcpu[cpu->cpu_index];
}

static inline bool pv_ve_enabled(const PvVeVcpu *v)
{
    return v->control & PV_VE_CTL_ENABLE;
}

/* core.c; BQL held */
/* The core, made now if there is none yet; NULL and an error if it cannot be. */
PvVe *pv_ve_core_for(const PvVeFunction *function, uint32_t offered, Error **errp);
/* What the guest can use now that the function is there. */
void pv_ve_core_attach(PvVe *ve, PvVeFunction *function, uint32_t offered);
/* All as after power-on, and nothing is offered any more. */
void pv_ve_core_detach(PvVe *ve);
/* All as after power-on. */
void pv_ve_core_reset(PvVe *ve);

/* pages.c; any thread */
void pv_ve_start_sources(void);
/* RAM of any kind at @gpa, NULL if there is none.  RCU critical section. */
RAMBlock *pv_ve_block_at(hwaddr gpa, ram_addr_t *offset);
/* Suppressed by default: is @gpa what may be reflected?  RCU critical section or BQL. */
bool pv_ve_is_convertible(hwaddr gpa);
ram_addr_t pv_ve_page_of(RAMBlock *block, ram_addr_t offset);
/* *@source is set if the page is not present. */
PvVePageState pv_ve_page_state(RAMBlock *block, ram_addr_t page,
                               const PvVeSource **source);

/* ahead.c */
/*
 * A missing page was touched, and has been @asked_for unless that is left to the access:
 * ask for what will be needed next.  In the vCPU's thread, in an RCU critical section;
 * takes the lock.
 */
void pv_ve_ahead(PvVe *ve, const PvVeFault *f, bool asked_for);

/* announce.c */
/*
 * Lets the PV page of @v say whether a migration is announced, and notifies if that is
 * news.  If the page is missing it does so when it comes.  Any thread, lock held.
 */
void pv_ve_announce(PvVe *ve, PvVeVcpu *v);
/* The same for all vCPUs.  Any thread; takes the lock. */
void pv_ve_announce_all(PvVe *ve);

/* urgent.c; BQL held, no vCPU runs */
/* All that is named goes first in the migration that is under way. */
void pv_ve_name_urgent(void);

/* leave.c; BQL held */
/* From now on migrations away from here are announced. */
void pv_ve_leave_init(PvVe *ve);

/* arrive.c; lock held */
/*
 * Register first, then test again: between the first test and now the page can
 * have come, and then nobody would tell.  Returns the state that counts; if
 * that is FAILED the slot is finished.
 */
PvVePageState pv_ve_await(PvVe *ve, PvVeVcpu *v, unsigned index, RAMBlock *block,
                          ram_addr_t page, const PvVeSource **source);
/* The page of an OUTSTANDING slot, whose wait is over, is there or never comes. */
void pv_ve_finish(PvVe *ve, PvVeVcpu *v, unsigned index, bool failed);
/* Tell the guest, if its PV page is present, what it was not told while it was not. */
void pv_ve_post_late(PvVe *ve, PvVeVcpu *v);
/* The RAM block that begins at @host is about to be freed.  Takes the lock. */
void pv_ve_ram_removed(PvVe *ve, void *host);

/* vcpu.c */
void pv_ve_vcpu_init(PvVeVcpu *v);
/* Drop all outstanding faults and unmap the areas (INV_RESET).  BQL and lock held. */
void pv_ve_vcpu_stop(PvVe *ve, PvVeVcpu *v);
/* All as after power-on, but generations go on.  BQL and lock held. */
void pv_ve_vcpu_reset(PvVe *ve, PvVeVcpu *v);
/*
 * After loading, before any vCPU runs, first the one for all vCPUs, then the other:
 * map the areas and ask for them, wait again for what was outstanding.  BQL held.
 */
void pv_ve_vcpu_restore_areas(PvVe *ve, unsigned index);
void pv_ve_vcpu_restore_slots(PvVe *ve, unsigned index);

/* msr.c: could the guest have written what was loaded? */
bool pv_ve_msrs_valid(const PvVe *ve, const PvVeVcpu *v);

/* area.c; map and unmap need the BQL, the others may be called by any thread */
bool pv_ve_area_ok(uint64_t gpa);
bool pv_ve_area_map(PvVeArea *area, uint64_t gpa);
void pv_ve_area_unmap(PvVeArea *area);
/* After a write by the host, which migration would otherwise lose; any thread. */
void pv_ve_area_dirty(PvVeArea *area, hwaddr offset, hwaddr size);

/*
 * Is the area present?  If not, see to it that it comes: until then nothing is
 * delivered to its vCPU, and nothing is written to it.  Lock held.
 */
bool pv_ve_area_present(PvVe *ve, PvVeArea *area);

/* irqfd.c; BQL held, and not the lock: these are ioctls */
/* MSI-X entries go to KVM by themselves from now on, as long as they are not masked. */
void pv_ve_entries_connect(PvVe *ve);
/* Through the main loop and QEMU's table again. */
void pv_ve_entries_disconnect(PvVe *ve);
/* NOTIFY of @v has changed: connect its vector, if it names one. */
void pv_ve_lapic_connect(PvVe *ve, PvVeVcpu *v);

/* notify.c */
/* An event to be set when the lock is dropped.  Any thread, lock held. */
void pv_ve_raise(PvVe *ve, EventNotifier *event);
/*
 * The notification of a vCPU, by itself or through the main loop.  Any thread, lock
 * held.
 */
void pv_ve_notify(PvVe *ve, PvVeVcpu *v);
MSIMessage pv_ve_lapic_message(CPUState *cpu, uint8_t vector);
bool pv_ve_due_init(PvVe *ve, Error **errp);

/* stats.c */
void pv_ve_class_add_properties(ObjectClass *oc);
const char *pv_ve_decline_name(PvVeDecline why);

/* vmstate.c */
extern const VMStateDescription vmstate_pv_ve_core, vmstate_pv_ve_early;

/* sources/withheld.c: the child object that tests and guest developers drive */
#define TYPE_PV_VE_WITHHELD "pv-ve-withheld"

#endif
