/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: a vCPU touches a page.
 *
 * Its thread takes a slot, registers it as waiting and delivers; arrive.c is the
 * other half.  The invariants named INV_* are those of tests/model/slot.pml.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "hw/mem/memory-device.h"
#include "system/hostmem.h"
#include "pv-ve/hw/pv-ve.h"
#include "pv-ve/include/hooks-common.h"
#include "trace.h"

PvVe *pv_ve_device;
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

/* ---- Pages ------------------------------------------------------------- */

ram_addr_t pv_ve_page_of(RAMBlock *block, ram_addr_t offset)
{
    return ROUND_DOWN(offset, qemu_ram_pagesize(block));
}

/* RAM of any kind at @gpa; a device's own is none, to read it may do something. */
static RAMBlock *block_at(hwaddr gpa, ram_addr_t *offset)
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
static bool is_convertible(hwaddr gpa)
{
    MemoryRegionSection section = memory_region_find(get_system_memory(), gpa, 1);
    bool convertible = section.mr && !section.readonly && is_ordinary(section.mr);

    memory_region_unref(section.mr);
    return convertible;
}

RAMBlock *pv_ve_ram_at(hwaddr gpa, ram_addr_t *offset)
{
    return is_convertible(gpa) ? block_at(gpa, offset) : NULL;
}

PvVePageState pv_ve_page_state(RAMBlock *block, ram_addr_t page, const PvVeSource **source)
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

/* ---- The vCPU touches a page ------------------------------------------- */

static PvVeDecline policy(const PvVeVcpu *v, const PvVeGuestState *guest,
                          PvVePageState state, bool convertible)
{
    if (!pv_ve_enabled(v)) {
        return PV_VE_DECLINE_DISABLED;
    }
    if (!convertible || state == PV_VE_PAGE_SUPPRESSED) {
        return PV_VE_DECLINE_SUPPRESSED;
    }
    if (guest->mode) {
        return PV_VE_DECLINE_MODE;
    }
    if (guest->event) {
        return PV_VE_DECLINE_EVENT;
    }
    if (guest->nmi) {
        return PV_VE_DECLINE_NMI;
    }
    if (guest->cpl < 3 && !(v->control & PV_VE_CTL_CPL0)) {
        return PV_VE_DECLINE_CPL;
    }
    if (!guest->interrupts_on && !(v->control & PV_VE_CTL_IF0)) {
        return PV_VE_DECLINE_INTERRUPTS_OFF;
    }
    return PV_VE_DECLINE_NONE;
}

static void write_info(PvVeVcpu *v, const PvVeFault *f, unsigned index)
{
    struct pv_ve_info *info = v->info.host;

    info->reason = cpu_to_le32(PV_VE_REASON_EPT_VIOLATION);
    info->qualification = cpu_to_le64(f->qualification);
    info->gla = cpu_to_le64(f->gla);
    info->gpa = cpu_to_le64(f->gpa);
    info->eptp_index = 0;
    info->slot = cpu_to_le32(index);
    info->generation = cpu_to_le32(v->slots.slot[index].generation);
    qatomic_set(&info->busy, PV_VE_BUSY);
    pv_ve_area_dirty(&v->info, 0, sizeof(*info));
}

static bool is_busy(const PvVeVcpu *v)
{
    const struct pv_ve_info *info = v->info.host;

    return qatomic_read(&info->busy) != 0;
}

/* What the host knows of an enabled vCPU without its registers.  Lock held. */
static PvVeDecline not_ready(PvVe *ve, PvVeVcpu *v)
{
    bool info_present, page_present;

    /* Ask for both before giving up on either. */
    info_present = pv_ve_area_present(ve, &v->info);
    page_present = pv_ve_area_present(ve, &v->page);
    if (!info_present || !page_present) {
        return PV_VE_DECLINE_AREA;
    }
    return is_busy(v) ? PV_VE_DECLINE_BUSY : PV_VE_DECLINE_NONE;    /* INV_NEST */
}

/*
 * Lock held.  On success *@arrived says that the page came meanwhile and nothing
 * was delivered.
 */
static PvVeDecline deliver(PvVe *ve, PvVeVcpu *v, const PvVeFault *f, RAMBlock *block,
                           ram_addr_t page, const PvVeSource **source, bool *arrived)
{
    PvVePageState state;
    PvVeDecline why = not_ready(ve, v);
    int index;

    if (why != PV_VE_DECLINE_NONE) {
        return why;
    }
    index = pv_ve_slots_take(&v->slots, &ve->waits, v->page.host);
    if (index < 0) {
        return PV_VE_DECLINE_SLOTS;
    }
    v->slots.slot[index].gpa = f->gpa;

    state = pv_ve_await(ve, v, index, block, page, source);
    *arrived = state == PV_VE_PAGE_PRESENT;
    if (*arrived || state == PV_VE_PAGE_SUPPRESSED) {
        pv_ve_slots_undo(&v->slots, &ve->waits, index);
        return *arrived ? PV_VE_DECLINE_NONE : PV_VE_DECLINE_SUPPRESSED;
    }
    if (state == PV_VE_PAGE_MISSING && !f->asked && !(*source)->request(block, page)) {
        pv_ve_slots_undo(&v->slots, &ve->waits, index);
        return PV_VE_DECLINE_SOURCE;
    }
    write_info(v, f, index);
    v->stats.delivered++;
    trace_pv_ve_deliver(v - ve->vcpu, f->gpa, f->gla, f->qualification, index,
                        v->slots.slot[index].generation);
    return PV_VE_DECLINE_NONE;
}

PvVeVerdict pv_ve_fault(CPUState *cpu, const PvVeFault *f)
{
    PvVe *ve = pv_ve_device;
    PvVeVcpu *v;
    const PvVeSource *source;
    ram_addr_t offset, page;
    RAMBlock *block = block_at(f->gpa, &offset);
    PvVePageState state;
    PvVeDecline why;
    bool convertible, arrived;

    if (!block) {
        return PV_VE_PRESENT;
    }
    page = pv_ve_page_of(block, offset);
    state = pv_ve_page_state(block, page, &source);
    if (state == PV_VE_PAGE_PRESENT) {
        return PV_VE_PRESENT;
    }
    v = pv_ve_vcpu(ve, cpu);
    convertible = is_convertible(f->gpa);

    WITH_QEMU_LOCK_GUARD(&ve->lock) {
        why = policy(v, &f->guest, state, convertible);
        if (why == PV_VE_DECLINE_NONE) {
            why = deliver(ve, v, f, block, page, &source, &arrived);
            if (why == PV_VE_DECLINE_NONE) {
                return arrived ? PV_VE_PRESENT : PV_VE_DELIVER;
            }
        }
        v->stats.declined[why]++;
    }
    trace_pv_ve_decline(cpu->cpu_index, f->gpa, pv_ve_decline_name(why));

    if (source->blocks || !pv_ve_can_hold()) {
        return PV_VE_BLOCK;
    }
    if (f->guest.restartable) {
        return PV_VE_HOLD;
    }
    source->supply(block, page);
    return PV_VE_PRESENT;
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
    RAMBlock *block = block_at(gpa, &offset);

    *missing = block && is_missing(block, offset);
    return block ? block->host + offset : NULL;
}

bool pv_ve_is_enabled(CPUState *cpu)
{
    PvVe *ve = pv_ve_device;

    QEMU_LOCK_GUARD(&ve->lock);
    return pv_ve_enabled(pv_ve_vcpu(ve, cpu));
}

bool pv_ve_may_reflect(CPUState *cpu)
{
    PvVe *ve = pv_ve_device;
    PvVeVcpu *v = pv_ve_vcpu(ve, cpu);
    PvVeDecline why;

    QEMU_LOCK_GUARD(&ve->lock);
    why = pv_ve_enabled(v) ? not_ready(ve, v) : PV_VE_DECLINE_DISABLED;
    if (why == PV_VE_DECLINE_NONE && !pv_ve_slots_available(&v->slots, v->page.host)) {
        why = PV_VE_DECLINE_SLOTS;
    }
    if (why != PV_VE_DECLINE_NONE) {
        v->stats.declined[why]++;
        trace_pv_ve_spare(cpu->cpu_index, pv_ve_decline_name(why));
    }
    return why == PV_VE_DECLINE_NONE;
}

PvVeBlocked pv_ve_tell_blocked(RAMBlock *block, ram_addr_t page, uint32_t tid)
{
    if (!pv_ve_device || !pv_ve_device->accel->blocked) {
        return PV_VE_BLOCKED_OTHER;
    }
    return pv_ve_device->accel->blocked(block, page, tid);
}

/* PvVe.lock is held from the test whether an area is present to the end of the access. */
void pv_ve_lock_areas(void)
{
    if (pv_ve_device) {
        qemu_mutex_lock(&pv_ve_device->lock);
    }
}

void pv_ve_unlock_areas(void)
{
    if (pv_ve_device) {
        qemu_mutex_unlock(&pv_ve_device->lock);
    }
}

bool pv_ve_hold(CPUState *cpu, hwaddr gpa)
{
    PvVe *ve = pv_ve_device;
    PvVeVcpu *v = pv_ve_vcpu(ve, cpu);
    const PvVeSource *source;
    ram_addr_t offset, page;
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    QEMU_LOCK_GUARD(&ve->lock);
    v->cpu = cpu;
    block = block_at(gpa, &offset);
    if (!block) {
        return false;
    }
    page = pv_ve_page_of(block, offset);
    pv_ve_waits_remove(&ve->waits, &v->hold);
    pv_ve_waits_add(&ve->waits, &v->hold, block, page);
    if (pv_ve_page_state(block, page, &source) == PV_VE_PAGE_PRESENT) {
        pv_ve_waits_remove(&ve->waits, &v->hold);
        return false;
    }
    trace_pv_ve_hold(cpu->cpu_index, gpa);
    return true;
}

bool pv_ve_can_hold(void)
{
    return pv_ve_device && pv_ve_device->accel->resume;
}

void pv_ve_pages_withdrawn(void)
{
    if (pv_ve_device) {
        pv_ve_device->accel->flush();
    }
}
