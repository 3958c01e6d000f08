/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: pages of guest RAM, and the sources that know which of them are missing.
 *
 * The ground floor: it knows of no vCPU, and any thread may ask.
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "hw/mem/memory-device.h"
#include "system/hostmem.h"
#include "pv-ve/hw/pv-ve.h"

unsigned pv_ve_armed;

static const PvVeSource *sources[PV_VE_MAX_SOURCES];
static unsigned nr_sources;

void pv_ve_register_source(const PvVeSource *source)
{
    assert(nr_sources < PV_VE_MAX_SOURCES);
    sources[nr_sources++] = source;
}

void pv_ve_start_sources(void)
{
    for (unsigned i = 0; i < nr_sources; i++) {
        if (sources[i]->start) {
            sources[i]->start();
        }
    }
}

ram_addr_t pv_ve_page_of(RAMBlock *block, ram_addr_t offset)
{
    return ROUND_DOWN(offset, qemu_ram_pagesize(block));
}

/* A device's own RAM is none: to read it may do something. */
RAMBlock *pv_ve_block_at(hwaddr gpa, ram_addr_t *offset)
{
    hwaddr xlat, len = 1;
    MemoryRegion *mr = address_space_translate(&address_space_memory, gpa, &xlat, &len,
                                               false, MEMTXATTRS_UNSPECIFIED);

    if (!memory_region_is_ram(mr) || memory_region_is_ram_device(mr)) {
        return NULL;
    }
    *offset = xlat;
    return mr->ram_block;
}

/*
 * The machine's own RAM or a memory device's: a memory backend's region that is
 * mapped by aliases, as part of the machine's RAM, or where memory devices are.  A
 * PCI device may show a backend in a BAR, too.
 */
static bool is_ordinary(MemoryRegion *mr)
{
    MachineState *machine = MACHINE(qdev_get_machine());

    return object_dynamic_cast(memory_region_owner(mr), TYPE_MEMORY_BACKEND) &&
           (!mr->container || mr->container == machine->ram ||
            (machine->device_memory && mr->container == &machine->device_memory->mr));
}

/* Suppressed by default.  RAM can be read-only where it is mapped (PC's PAM). */
bool pv_ve_is_convertible(hwaddr gpa)
{
    MemoryRegionSection section = memory_region_find(get_system_memory(), gpa, 1);
    bool convertible = section.mr && !section.readonly && is_ordinary(section.mr);

    memory_region_unref(section.mr);
    return convertible;
}

RAMBlock *pv_ve_ram_at(hwaddr gpa, ram_addr_t *offset)
{
    return pv_ve_is_convertible(gpa) ? pv_ve_block_at(gpa, offset) : NULL;
}

PvVePageState pv_ve_page_state(RAMBlock *block, ram_addr_t page,
                               const PvVeSource **source)
{
    for (unsigned i = 0; i < nr_sources; i++) {
        PvVePageState state = sources[i]->state(block, page);

        if (state != PV_VE_PAGE_PRESENT) {
            *source = sources[i];
            return state;
        }
    }
    return PV_VE_PAGE_PRESENT;
}

static bool is_missing(RAMBlock *block, ram_addr_t offset)
{
    const PvVeSource *source;

    return pv_ve_page_state(block, pv_ve_page_of(block, offset), &source) !=
           PV_VE_PAGE_PRESENT;
}

bool pv_ve_is_missing(void *host)
{
    ram_addr_t offset;
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    block = qemu_ram_block_from_host(host, false, &offset);
    return block && is_missing(block, offset);
}

void *pv_ve_page_start(void *host)
{
    ram_addr_t offset;
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    block = qemu_ram_block_from_host(host, false, &offset);
    return block ? block->host + pv_ve_page_of(block, offset) : host;
}

void *pv_ve_host_at(hwaddr gpa, bool *missing)
{
    ram_addr_t offset;
    RAMBlock *block = pv_ve_block_at(gpa, &offset);

    *missing = block && is_missing(block, offset);
    return block ? block->host + offset : NULL;
}
