/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: who waits for which page.
 *
 * A fixed hash from page to waiters.  The waiters are part of what waits (a
 * slot, an area, a vCPU), so nothing is allocated in the fault path.
 *
 * The caller serializes everything but pv_ve_waits_any_outstanding().
 */
#ifndef PV_VE_WAITS_H
#define PV_VE_WAITS_H

#include "qemu/queue.h"
#include "qemu/atomic.h"

#define PV_VE_WAIT_BUCKETS 1024     /* 2 to the 64 - 54 in bucket_of() */

typedef enum PvVeWaitKind {
    PV_VE_WAIT_SLOT,        /* a fault that was delivered */
    PV_VE_WAIT_AREA,        /* information area or PV page of an enabled vCPU */
    PV_VE_WAIT_VCPU,        /* a vCPU that is suspended outside of guest code */
} PvVeWaitKind;

typedef struct PvVeWait {
    QLIST_ENTRY(PvVeWait) link;
    void *block;            /* the RAM block */
    uint64_t offset;        /* bytes, start of the block's page */
    PvVeWaitKind kind;
    bool linked;
} PvVeWait;

typedef struct PvVeWaits {
    QLIST_HEAD(, PvVeWait) bucket[PV_VE_WAIT_BUCKETS];
    unsigned outstanding;   /* atomic; read by page-placing threads without lock */
} PvVeWaits;

void pv_ve_waits_init(PvVeWaits *waits);

/*
 * Make @wait wait for the page; @wait must not be waiting.  A full barrier
 * follows the increment of the count: the caller now tests again whether the
 * page is missing, and either it sees the page, or the thread that places the
 * page sees the count (INV_LOST).
 */
void pv_ve_waits_add(PvVeWaits *waits, PvVeWait *wait, void *block, uint64_t offset);

/* Let @wait wait no more; nothing happens if it does not. */
void pv_ve_waits_remove(PvVeWaits *waits, PvVeWait *wait);

/*
 * Take one waiter of the page out of the table, NULL if there is none.
 * @only_slots: pass over all that is not PV_VE_WAIT_SLOT.
 */
PvVeWait *pv_ve_waits_take(PvVeWaits *waits, void *block, uint64_t offset,
                           bool only_slots);

/*
 * Does anybody wait for anything?  One atomic load behind a full barrier that
 * orders it after the page became present.  Any thread, no lock.
 */
static inline bool pv_ve_waits_any_outstanding(PvVeWaits *waits)
{
    smp_mb();
    return qatomic_read(&waits->outstanding) != 0;
}

#endif
