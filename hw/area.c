/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: information area and PV page of a vCPU.
 *
 * While delivery is enabled the host reaches them by pointer, from any thread;
 * a reference keeps their memory from being unplugged.  Mapping and unmapping
 * need the BQL and touch no guest memory.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "exec/address-spaces.h"
#include "qemu/main-loop.h"
#include "pv-ve/hw/pv-ve.h"
#include "trace.h"

bool pv_ve_area_ok(uint64_t gpa)
{
    ram_addr_t offset;

    RCU_READ_LOCK_GUARD();
    return gpa != 0 && QEMU_IS_ALIGNED(gpa, PV_VE_AREA_SIZE) &&
           pv_ve_ram_at(gpa, &offset);
}

bool pv_ve_area_map(PvVeArea *area, uint64_t gpa)
{
    MemoryRegionSection section;

    assert(bql_locked() && !area->mr);
    if (!pv_ve_area_ok(gpa)) {
        return false;
    }
    section = memory_region_find(get_system_memory(), gpa, PV_VE_AREA_SIZE);
    if (!section.mr || int128_get64(section.size) < PV_VE_AREA_SIZE) {
        memory_region_unref(section.mr);
        return false;
    }
    area->mr = section.mr;
    area->mr_offset = section.offset_within_region;
    area->block = section.mr->ram_block;
    area->page = ROUND_DOWN(area->mr_offset, qemu_ram_pagesize(area->block));
    area->host = memory_region_get_ram_ptr(section.mr) + area->mr_offset;
    return true;
}

/* Later, without the lock: the last reference frees RAM, which tells us. */
static void drop_reference(void *mr)
{
    memory_region_unref(mr);
}

void pv_ve_area_unmap(PvVeArea *area)
{
    if (area->mr) {
        assert(bql_locked() && !area->wait.linked);
        aio_bh_schedule_oneshot(qemu_get_aio_context(), drop_reference, area->mr);
        area->mr = NULL;
        area->host = NULL;
    }
}

bool pv_ve_area_present(PvVe *ve, PvVeArea *area)
{
    const PvVeSource *source;

    if (pv_ve_page_state(area->block, area->page, &source) == PV_VE_PAGE_PRESENT) {
        return true;
    }
    if (!area->wait.linked) {
        pv_ve_waits_add(&ve->waits, &area->wait, area->block, area->page);
        if (pv_ve_page_state(area->block, area->page, &source) == PV_VE_PAGE_PRESENT) {
            pv_ve_waits_remove(&ve->waits, &area->wait);
            return true;
        }
        trace_pv_ve_area_missing(area->page);
        /* If it cannot be asked for now, it comes in its turn. */
        source->request(area->block, area->page);
    }
    return false;
}

void pv_ve_area_dirty(PvVeArea *area, hwaddr offset, hwaddr size)
{
    memory_region_set_dirty(area->mr, area->mr_offset + offset, size);
}
