/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: who waits for which page. */
#include "qemu/osdep.h"
#include "pv-ve/hw/waits.h"

/* Pages can be 4 KiB or 1 GiB: the high bits of a product depend on all of them. */
static unsigned bucket_of(const void *block, uint64_t offset)
{
    uint64_t key = (offset >> 12) + ((uintptr_t)block >> 4);

    return (key * 0x9e3779b97f4a7c15u) >> 54;
}

void pv_ve_waits_init(PvVeWaits *waits)
{
    for (unsigned i = 0; i < PV_VE_WAIT_BUCKETS; i++) {
        QLIST_INIT(&waits->bucket[i]);
    }
    waits->outstanding = 0;
}

void pv_ve_waits_add(PvVeWaits *waits, PvVeWait *wait, void *block, uint64_t offset)
{
    assert(!wait->linked);
    wait->block = block;
    wait->offset = offset;
    wait->linked = true;
    QLIST_INSERT_HEAD(&waits->bucket[bucket_of(block, offset)], wait, link);
    qatomic_set(&waits->outstanding, waits->outstanding + 1);
    smp_mb();
}

void pv_ve_waits_remove(PvVeWaits *waits, PvVeWait *wait)
{
    if (wait->linked) {
        assert(waits->outstanding > 0);
        QLIST_REMOVE(wait, link);
        wait->linked = false;
        qatomic_set(&waits->outstanding, waits->outstanding - 1);
    }
}

PvVeWait *pv_ve_waits_take(PvVeWaits *waits, void *block, uint64_t offset,
                           bool only_slots)
{
    PvVeWait *wait;

    QLIST_FOREACH(wait, &waits->bucket[bucket_of(block, offset)], link) {
        if (wait->block == block && wait->offset == offset &&
            (!only_slots || wait->kind == PV_VE_WAIT_SLOT)) {
            pv_ve_waits_remove(waits, wait);
            return wait;
        }
    }
    return NULL;
}
