/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: state of the device and of its vCPUs, shared by the files of hw/.
 *
 * Locks.  PvVe.lock serializes everything that is not marked otherwise.  It is
 * never held across an access to guest memory that may be missing, nor by
 * somebody who waits for the BQL.  Order: BQL, PvVe.lock, a source's lock.
 */
#ifndef PV_VE_H
#define PV_VE_H

#include "exec/ramlist.h"
#include "hw/pci/pci_device.h"
#include "pv-ve/include/core.h"
#include "pv-ve/hw/slots.h"

#define TYPE_PV_VE "pv-ve"
OBJECT_DECLARE_SIMPLE_TYPE(PvVe, PV_VE)

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

typedef struct PvVeVcpu {
    CPUState *cpu;              /* whose state this is; NULL if it has done nothing */

    /* The MSRs */
    uint32_t features;
    uint32_t control;
    uint64_t info_gpa;
    uint64_t page_gpa;
    uint32_t notify;

    /* Valid while enabled */
    PvVeArea info;
    PvVeArea page;
    PvVeSlots slots;
    int32_t waiting;            /* slot that WAIT halts for, or -1 */
    uint64_t wait_rip;          /* where the last WAIT was that halted */

    PvVeWait hold;              /* linked while the vCPU is held back */

    /* What the main loop still has to do for it; atomic */
    bool interrupt_due;
    bool end_wait_due;
    bool resume_due;

    PvVeStats stats;
} PvVeVcpu;

/*
 * An MSI-X entry whose message goes to KVM by itself when its event is set, which takes
 * no BQL; only while the guest has not masked it.
 */
typedef struct PvVeEntry {
    EventNotifier event;
    int route;                  /* KVM's GSI while connected, else -1; written with
                                   both BQL and lock held, so either lets read it */
} PvVeEntry;

struct PvVe {
    PCIDevice parent_obj;

    Object withheld;            /* TYPE_PV_VE_WITHHELD has no state of its own */

    /* Properties */
    bool cpl0, if0, wait, msix;
    OnOffAuto as_exception;

    uint32_t offered;           /* feature bits */
    uint32_t offered_by_source; /* what travels, at other times our own */
    uint32_t nr_vcpus;          /* possible ones, by cpu_index */
    uint32_t nr_entries;        /* of the MSI-X table */
    PvVeEntry *entry;           /* NULL unless KVM can take them */
    PvVeVcpu *vcpu;
    const PvVeAccel *accel;

    QemuMutex lock;
    PvVeWaits waits;
    EventNotifier due;          /* page-placing threads wake the main loop */
    VMChangeStateEntry *vm_state;
    DeviceListener vcpus;       /* hears of vCPUs plugged and unplugged */
    RAMBlockNotifier ram;       /* hears of RAM that is */
    bool restore_due;           /* loaded, not yet run; BQL */
};

/* The device, NULL if there is none (realized and not unrealized). */
extern PvVe *pv_ve_device;

static inline PvVeVcpu *pv_ve_vcpu(PvVe *ve, CPUState *cpu)
{
    assert(cpu->cpu_index < ve->nr_vcpus);
    return &ve->vcpu[cpu->cpu_index];
}

static inline bool pv_ve_enabled(const PvVeVcpu *v)
{
    return v->control & PV_VE_CTL_ENABLE;
}

/* core.c */
void pv_ve_start_sources(void);
ram_addr_t pv_ve_page_of(RAMBlock *block, ram_addr_t offset);
/* *@source is set if the page is not present. */
PvVePageState pv_ve_page_state(RAMBlock *block, ram_addr_t page, const PvVeSource **source);
/*
 * Is the area present?  If not, see to it that it comes: until then nothing is
 * delivered to its vCPU, and nothing is written to it.  Lock held.
 */
bool pv_ve_area_present(PvVe *ve, PvVeArea *area);

/* arrive.c; lock held */
/*
 * Register first, then test again: between the first test and now the page can
 * have come, and then nobody would tell.  Returns the state that counts; if
 * that is FAILED the slot is finished.
 */
PvVePageState pv_ve_await(PvVe *ve, PvVeVcpu *v, unsigned index, RAMBlock *block,
                          ram_addr_t page, const PvVeSource **source);
/* The page of a PENDING slot, whose wait is over, is there or never comes. */
void pv_ve_finish(PvVe *ve, PvVeVcpu *v, unsigned index, bool failed);
/* Tell the guest, if its PV page is present, what became DONE while it was not. */
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
 * map the areas and ask for them, wait again for what was pending.  BQL held.
 */
void pv_ve_vcpu_restore_areas(PvVe *ve, unsigned index);
void pv_ve_vcpu_restore_slots(PvVe *ve, unsigned index);

/* msr.c: could the guest have written what was loaded? */
bool pv_ve_msrs_valid(const PvVe *ve, const PvVeVcpu *v);

/* area.c; pv_ve_area_ok() may be called by any thread, the others need the BQL */
bool pv_ve_area_ok(uint64_t gpa);
bool pv_ve_area_map(PvVeArea *area, uint64_t gpa);
void pv_ve_area_unmap(PvVeArea *area);
/* After a write by the host, which migration would otherwise lose; any thread. */
void pv_ve_area_dirty(PvVeArea *area, hwaddr offset, hwaddr size);

/* msix.c */
void pv_ve_entries_init(PvVe *ve);
void pv_ve_entries_exit(PvVe *ve);
/* Raise it; false: it is not connected.  Any thread, lock held. */
bool pv_ve_entry_signal(PvVe *ve, unsigned entry);

/* due.c */
/* The notification of a vCPU, by itself or through the main loop.  Any thread, lock held. */
void pv_ve_notify(PvVe *ve, PvVeVcpu *v);
bool pv_ve_due_init(PvVe *ve, Error **errp);
void pv_ve_due_exit(PvVe *ve);

/* stats.c */
void pv_ve_class_add_properties(ObjectClass *oc);
const char *pv_ve_decline_name(PvVeDecline why);

/* vmstate.c */
extern const VMStateDescription vmstate_pv_ve, vmstate_pv_ve_early;

/* sources/withheld.c: the child object that tests and guest developers drive */
#define TYPE_PV_VE_WITHHELD "pv-ve-withheld"

#endif
