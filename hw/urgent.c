/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the lists of all vCPUs, against the machine's RAM.
 *
 * On the source, at the switch, when the guest has stopped for good: nothing but devices
 * writes to its memory any more.  Nobody waits for a list: one that is missing itself is
 * left out, and its chain ends there.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "exec/address-spaces.h"
#include "exec/target_page.h"
#include "pv-ve/hw/lists.h"
#include "pv-ve/hw/pv-ve.h"
#include "pv-ve/outgoing/hot.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(PV_VE_URGENT_PAGE != 1 << TARGET_PAGE_BITS_MIN);

static bool add_range(Int128 start, Int128 len, const MemoryRegion *mr, hwaddr offset,
                      void *opaque)
{
    GArray *ranges = opaque;
    uint64_t gpa = int128_get64(start);
    PvVeRange range = {
        .page = gpa / PV_VE_URGENT_PAGE,
        .nr = int128_getlo(len) / PV_VE_URGENT_PAGE,
        .block = mr->ram_block,
        .block_page = offset / PV_VE_URGENT_PAGE,
    };

    if (QEMU_IS_ALIGNED(gpa | offset, PV_VE_URGENT_PAGE) && range.nr &&
        pv_ve_is_convertible(gpa)) {
        g_array_append_val(ranges, range);
    }
    return false;
}

static const void *read_page(void *block, uint64_t page)
{
    ram_addr_t offset = page * PV_VE_URGENT_PAGE;
    const PvVeSource *source;

    if (pv_ve_page_state(block, pv_ve_page_of(block, offset), &source) !=
        PV_VE_PAGE_PRESENT) {
        return NULL;
    }
    return ((RAMBlock *)block)->host + offset;
}

typedef struct Tell {
    PvVeNamed *named;
    void *opaque;
} Tell;

static void tell_run(void *block, uint64_t page, uint64_t nr, unsigned class,
                     void *opaque)
{
    const Tell *tell = opaque;

    trace_pv_ve_named(((RAMBlock *)block)->idstr, page, nr, class);
    tell->named(block, page, nr, class, tell->opaque);
}

void pv_ve_each_named(PvVeNamed *named, void *opaque)
{
    PvVe *ve = pv_ve_core;
    g_autoptr(GArray) ranges = g_array_new(false, false, sizeof(PvVeRange));
    Tell tell = { .named = named, .opaque = opaque };
    PvVeLists lists;

    assert(bql_locked());
    if (!ve) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory), add_range,
                            ranges);
    pv_ve_lists_init(&lists, (const PvVeRange *)ranges->data, ranges->len, read_page);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        pv_ve_lists_read(&lists, ve->vcpu[i].urgent);
    }
    pv_ve_lists_tell(&lists, tell_run, &tell);
    trace_pv_ve_lists(lists.nr_read, lists.named, lists.refused);
    WITH_QEMU_LOCK_GUARD(&ve->lock) {
        ve->named += lists.named;
        ve->refused += lists.refused;
    }
    pv_ve_lists_free(&lists);
}

static void name_run(RAMBlock *block, uint64_t page, uint64_t nr, unsigned class,
                     void *opaque)
{
    pv_ve_hot_name(block, page, nr, class);
}

void pv_ve_name_urgent(void)
{
    pv_ve_each_named(name_run, NULL);
}
