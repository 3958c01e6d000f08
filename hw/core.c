/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the life of a fault.
 *
 * A vCPU's thread takes a slot and registers it as waiting, then delivers; a
 * page-placing thread finds the waiters of its page and marks their slots.  The
 * invariants named INV_* are those of tests/model/slot.pml.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "exec/address-spaces.h"
#include "system/hostmem.h"
#include "pv-ve/hw/pv-ve.h"
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

static ram_addr_t page_of(RAMBlock *block, ram_addr_t offset)
{
    return ROUND_DOWN(offset, qemu_ram_pagesize(block));
}

/* RAM of any kind at @gpa, and its region. */
static RAMBlock *block_at(hwaddr gpa, ram_addr_t *offset, MemoryRegion **mr)
{
    hwaddr xlat, len = 1;

    *mr = address_space_translate(&address_space_memory, gpa, &xlat, &len, false,
                                  MEMTXATTRS_UNSPECIFIED);
    if (!memory_region_is_ram(*mr)) {
        return NULL;
    }
    *offset = xlat;
    return (*mr)->ram_block;
}

/*
 * Suppressed by default: what a memory backend owns is the machine's or the
 * user's RAM; ROM, video memory and what devices bring belong to others.
 */
static bool is_convertible(MemoryRegion *mr)
{
    return !mr->readonly && !mr->rom_device && !memory_region_is_ram_device(mr) &&
           object_dynamic_cast(memory_region_owner(mr), TYPE_MEMORY_BACKEND);
}

RAMBlock *pv_ve_ram_at(hwaddr gpa, ram_addr_t *offset)
{
    MemoryRegion *mr;
    RAMBlock *block = block_at(gpa, offset, &mr);

    return block && is_convertible(mr) ? block : NULL;
}

static PvVePageState page_state(RAMBlock *block, ram_addr_t page, const PvVeSource **source)
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

/*
 * Is the area present?  If not, see to it that it comes: until then nothing is
 * delivered to its vCPU, and nothing is written to it.  Lock held.
 */
static bool area_present(PvVe *ve, PvVeArea *area)
{
    const PvVeSource *source;

    if (page_state(area->block, area->page, &source) == PV_VE_PAGE_PRESENT) {
        return true;
    }
    if (!area->wait.linked) {
        pv_ve_waits_add(&ve->waits, &area->wait, area->block, area->page);
        if (page_state(area->block, area->page, &source) == PV_VE_PAGE_PRESENT) {
            pv_ve_waits_remove(&ve->waits, &area->wait);
            return true;
        }
        trace_pv_ve_area_missing(area->page);
        if (!source->request(area->block, area->page)) {
            /* The next fault tries again. */
            pv_ve_waits_remove(&ve->waits, &area->wait);
        }
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

/* Mark the slot for the guest, and notify if it parked.  PV page present. */
static void post(PvVe *ve, PvVeVcpu *v, unsigned index)
{
    bool raise;

    if (pv_ve_slots_post(&v->slots, index, v->page.host, &raise)) {
        v->stats.parked++;
        if (raise) {
            v->stats.notified++;
            qatomic_set(&v->interrupt_due, true);
            event_notifier_set(&ve->due);
        }
    }
    pv_ve_area_dirty(&v->page, 0, PV_VE_AREA_SIZE);
}

/* The page of a PENDING slot, whose wait is over, is there or never comes. */
static void finish(PvVe *ve, PvVeVcpu *v, unsigned index, bool failed)
{
    trace_pv_ve_finish(v - ve->vcpu, index, v->slots.slot[index].generation, failed);
    pv_ve_slots_done(&v->slots, index, failed);
    v->stats.resolved += !failed;
    v->stats.failed += failed;
    if (area_present(ve, &v->page)) {
        post(ve, v, index);
    }
    if (v->waiting == index) {
        v->waiting = -1;
        qatomic_set(&v->end_wait_due, true);
        event_notifier_set(&ve->due);
    }
}

/*
 * Register first, then test again: between the first test and now the page can
 * have come, and then nobody would tell.  Returns the state that counts.
 */
static PvVePageState await(PvVe *ve, PvVeVcpu *v, unsigned index, RAMBlock *block,
                           ram_addr_t page)
{
    PvVeWait *wait = &v->slots.slot[index].wait;
    const PvVeSource *source;
    PvVePageState state;

    pv_ve_waits_add(&ve->waits, wait, block, page);
    state = page_state(block, page, &source);
    if (state == PV_VE_PAGE_FAILED) {
        pv_ve_waits_remove(&ve->waits, wait);
        finish(ve, v, index, true);
    }
    return state;
}

/*
 * Lock held.  On success *@arrived says that the page came meanwhile and nothing
 * was delivered.
 */
static PvVeDecline deliver(PvVe *ve, PvVeVcpu *v, const PvVeFault *f, RAMBlock *block,
                           ram_addr_t page, const PvVeSource *source, bool *arrived)
{
    PvVePageState state;
    bool info_present, page_present;
    int index;

    /* Ask for both before giving up on either. */
    info_present = area_present(ve, &v->info);
    page_present = area_present(ve, &v->page);
    if (!info_present || !page_present) {
        return PV_VE_DECLINE_AREA;
    }
    if (is_busy(v)) {
        return PV_VE_DECLINE_BUSY;      /* INV_NEST */
    }
    index = pv_ve_slots_take(&v->slots, &ve->waits, v->page.host);
    if (index < 0) {
        return PV_VE_DECLINE_SLOTS;
    }
    v->slots.slot[index].gpa = f->gpa;

    state = await(ve, v, index, block, page);
    *arrived = state == PV_VE_PAGE_PRESENT;
    if (*arrived) {
        pv_ve_slots_undo(&v->slots, &ve->waits, index);
        return PV_VE_DECLINE_NONE;
    }
    if (state == PV_VE_PAGE_MISSING && !source->request(block, page)) {
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
    MemoryRegion *mr;
    ram_addr_t offset, page;
    RAMBlock *block = block_at(f->gpa, &offset, &mr);
    PvVePageState state;
    PvVeDecline why;
    bool arrived;

    if (!block || !ve) {
        return PV_VE_PRESENT;
    }
    page = page_of(block, offset);
    state = page_state(block, page, &source);
    if (state == PV_VE_PAGE_PRESENT) {
        return PV_VE_PRESENT;
    }
    v = pv_ve_vcpu(ve, cpu);

    WITH_QEMU_LOCK_GUARD(&ve->lock) {
        why = policy(v, &f->guest, state, is_convertible(mr));
        if (why == PV_VE_DECLINE_NONE) {
            why = deliver(ve, v, f, block, page, source, &arrived);
            if (why == PV_VE_DECLINE_NONE) {
                return arrived ? PV_VE_PRESENT : PV_VE_DELIVER;
            }
        }
        v->stats.declined[why]++;
    }
    trace_pv_ve_decline(cpu->cpu_index, f->gpa, pv_ve_decline_name(why));

    if (source->blocks) {
        return PV_VE_BLOCK;
    }
    if (f->guest.restartable) {
        return PV_VE_HOLD;
    }
    source->supply(block, page);
    return PV_VE_PRESENT;
}

bool pv_ve_hold(CPUState *cpu, hwaddr gpa)
{
    PvVe *ve = pv_ve_device;
    PvVeVcpu *v = pv_ve_vcpu(ve, cpu);
    const PvVeSource *source;
    MemoryRegion *mr;
    ram_addr_t offset, page;
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    QEMU_LOCK_GUARD(&ve->lock);
    block = block_at(gpa, &offset, &mr);
    if (!block) {
        return false;
    }
    page = page_of(block, offset);
    pv_ve_waits_remove(&ve->waits, &v->hold);
    pv_ve_waits_add(&ve->waits, &v->hold, block, page);
    if (page_state(block, page, &source) == PV_VE_PAGE_PRESENT) {
        pv_ve_waits_remove(&ve->waits, &v->hold);
        return false;
    }
    trace_pv_ve_hold(cpu->cpu_index, gpa);
    return true;
}

/* ---- A page arrives or fails ------------------------------------------- */

/* The waiters are members of the vCPUs, and those lie in one array. */
static PvVeVcpu *vcpu_of(PvVe *ve, PvVeWait *wait)
{
    size_t at = (char *)wait - (char *)ve->vcpu;

    assert(at < ve->nr_vcpus * sizeof(*ve->vcpu));
    return &ve->vcpu[at / sizeof(*ve->vcpu)];
}

/* What became DONE while the PV page was missing. */
static void post_late(PvVe *ve, PvVeVcpu *v)
{
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        if (v->slots.slot[i].state == PV_VE_SLOT_DONE && !v->slots.slot[i].posted) {
            post(ve, v, i);
        }
    }
}

static void end(PvVe *ve, PvVeWait *wait, bool failed)
{
    PvVeVcpu *v = vcpu_of(ve, wait);

    switch (wait->kind) {
    case PV_VE_WAIT_SLOT:
        finish(ve, v, container_of(wait, PvVeSlot, wait) - v->slots.slot, failed);
        break;
    case PV_VE_WAIT_AREA:
        if (wait == &v->page.wait && area_present(ve, &v->page)) {
            post_late(ve, v);
        }
        break;
    case PV_VE_WAIT_VCPU:
        qatomic_set(&v->resume_due, true);
        event_notifier_set(&ve->due);
        break;
    }
}

static void end_all(RAMBlock *block, ram_addr_t page, bool failed)
{
    PvVe *ve = pv_ve_device;
    PvVeWait *wait;

    if (!ve || !pv_ve_waits_pending(&ve->waits)) {
        return;
    }
    QEMU_LOCK_GUARD(&ve->lock);
    /* A failure ends only faults that were delivered; others go on waiting. */
    while ((wait = pv_ve_waits_take(&ve->waits, block, page, failed))) {
        end(ve, wait, failed);
    }
}

void pv_ve_page_arrived(RAMBlock *block, ram_addr_t offset)
{
    end_all(block, page_of(block, offset), false);
}

void pv_ve_page_failed(RAMBlock *block, ram_addr_t offset)
{
    end_all(block, page_of(block, offset), true);
}

void pv_ve_arm(void)
{
    qatomic_inc(&pv_ve_armed);
}

static void recheck(PvVe *ve, PvVeWait *wait)
{
    const PvVeSource *source;

    if (wait->linked &&
        page_state(wait->block, wait->offset, &source) == PV_VE_PAGE_PRESENT) {
        pv_ve_waits_remove(&ve->waits, wait);
        end(ve, wait, false);
    }
}

void pv_ve_disarm(void)
{
    PvVe *ve = pv_ve_device;

    assert(qatomic_read(&pv_ve_armed) > 0);
    qatomic_dec(&pv_ve_armed);
    if (!ve) {
        return;
    }
    QEMU_LOCK_GUARD(&ve->lock);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        PvVeVcpu *v = &ve->vcpu[i];

        recheck(ve, &v->info.wait);
        recheck(ve, &v->page.wait);
        recheck(ve, &v->hold);
        for (unsigned s = 0; s < PV_VE_SLOTS; s++) {
            recheck(ve, &v->slots.slot[s].wait);
        }
    }
}

void pv_ve_pages_withdrawn(void)
{
    if (pv_ve_device) {
        pv_ve_device->accel->flush();
    }
}

/* ---- Life of a vCPU's state -------------------------------------------- */

void pv_ve_vcpu_init(PvVeVcpu *v)
{
    pv_ve_slots_init(&v->slots);
    v->info.wait.kind = PV_VE_WAIT_AREA;
    v->page.wait.kind = PV_VE_WAIT_AREA;
    v->hold.kind = PV_VE_WAIT_VCPU;
    v->waiting = -1;
}

void pv_ve_vcpu_stop(PvVe *ve, PvVeVcpu *v)
{
    pv_ve_slots_drop(&v->slots, &ve->waits);
    pv_ve_waits_remove(&ve->waits, &v->info.wait);
    pv_ve_waits_remove(&ve->waits, &v->page.wait);
    pv_ve_area_unmap(&v->info);
    pv_ve_area_unmap(&v->page);
    qatomic_set(&v->interrupt_due, false);
    if (v->waiting >= 0) {
        v->waiting = -1;
        qatomic_set(&v->end_wait_due, true);
        event_notifier_set(&ve->due);
    }
}

void pv_ve_vcpu_reset(PvVe *ve, PvVeVcpu *v)
{
    pv_ve_vcpu_stop(ve, v);
    v->features = 0;
    v->control = 0;
    v->info_gpa = 0;
    v->page_gpa = 0;
    v->notify = 0;
}

static void restore_slot(PvVe *ve, PvVeVcpu *v, unsigned index)
{
    PvVeSlot *slot = &v->slots.slot[index];
    const PvVeSource *source = NULL;
    ram_addr_t offset;
    RAMBlock *block;
    PvVePageState state;

    if (slot->state == PV_VE_SLOT_DONE && !slot->posted && area_present(ve, &v->page)) {
        post(ve, v, index);
    }
    if (slot->state != PV_VE_SLOT_PENDING) {
        return;
    }
    block = pv_ve_ram_at(slot->gpa, &offset);
    if (!block) {
        /* The guest unplugged it; a retried access tells it so. */
        finish(ve, v, index, false);
        return;
    }
    state = await(ve, v, index, block, page_of(block, offset));
    if (state == PV_VE_PAGE_PRESENT) {
        pv_ve_waits_remove(&ve->waits, &slot->wait);
        finish(ve, v, index, false);
    } else if (state != PV_VE_PAGE_FAILED) {
        page_state(block, page_of(block, offset), &source);
        if (source) {
            source->request(block, page_of(block, offset));
        }
    }
}

/*
 * Before the vCPU runs: the pages of its areas are asked for first, so that they
 * are the first to come; what was pending waits again.  A vCPU that was halted
 * in WAIT executes its WRMSR again.
 */
void pv_ve_vcpu_restore(PvVe *ve, unsigned index)
{
    PvVeVcpu *v = &ve->vcpu[index];

    if (!pv_ve_enabled(v)) {
        return;
    }
    QEMU_LOCK_GUARD(&ve->lock);
    if (!pv_ve_area_map(&v->info, v->info_gpa) || !pv_ve_area_map(&v->page, v->page_gpa)) {
        warn_report("pv-ve: information area or PV page of vCPU %u is not RAM here; "
                    "delivery to it is off", index);
        pv_ve_vcpu_reset(ve, v);
        return;
    }
    area_present(ve, &v->info);
    area_present(ve, &v->page);
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        restore_slot(ve, v, i);
    }
    if (v->waiting >= 0) {
        v->waiting = -1;
        qatomic_set(&v->end_wait_due, true);
    }
    event_notifier_set(&ve->due);
}
