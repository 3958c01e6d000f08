/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: a vCPU touches a page.
 *
 * Its thread takes a slot, registers it as waiting and delivers; arrive.c is the
 * other half.  The invariants named INV_* are those of tests/model/slot.pml.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "pv-ve/hw/pv-ve.h"
#include "trace.h"

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

static PvVeVerdict decide(CPUState *cpu, const PvVeFault *f)
{
    PvVe *ve = pv_ve_core;
    PvVeVcpu *v;
    const PvVeSource *source;
    ram_addr_t offset, page;
    RAMBlock *block = pv_ve_block_at(f->gpa, &offset);
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
    convertible = pv_ve_is_convertible(f->gpa);

    {
        PV_VE_LOCK_GUARD(ve);

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

PvVeVerdict pv_ve_fault(CPUState *cpu, const PvVeFault *f)
{
    PvVeVerdict verdict = decide(cpu, f);

    if (verdict != PV_VE_PRESENT) {
        pv_ve_ahead(pv_ve_core, f, f->asked || verdict == PV_VE_DELIVER);
    }
    return verdict;
}

bool pv_ve_is_enabled(unsigned vcpu)
{
    PvVe *ve = pv_ve_core;

    PV_VE_LOCK_GUARD(ve);
    return pv_ve_enabled(&ve->vcpu[vcpu]);
}

bool pv_ve_may_reflect(unsigned vcpu)
{
    PvVe *ve = pv_ve_core;
    PvVeVcpu *v = &ve->vcpu[vcpu];
    PvVeDecline why;

    PV_VE_LOCK_GUARD(ve);
    why = pv_ve_enabled(v) ? not_ready(ve, v) : PV_VE_DECLINE_DISABLED;
    if (why == PV_VE_DECLINE_NONE && !pv_ve_slots_available(&v->slots, v->page.host)) {
        why = PV_VE_DECLINE_SLOTS;
    }
    if (why != PV_VE_DECLINE_NONE) {
        v->stats.declined[why]++;
        trace_pv_ve_spare(vcpu, pv_ve_decline_name(why));
    }
    return why == PV_VE_DECLINE_NONE;
}

PvVeBlocked pv_ve_tell_blocked(RAMBlock *block, ram_addr_t page, uint32_t tid)
{
    if (!pv_ve_core || !pv_ve_core->accel->blocked) {
        return PV_VE_BLOCKED_OTHER;
    }
    return pv_ve_core->accel->blocked(block, page, tid);
}

bool pv_ve_hold(CPUState *cpu, hwaddr gpa)
{
    PvVe *ve = pv_ve_core;
    PvVeVcpu *v = pv_ve_vcpu(ve, cpu);
    const PvVeSource *source;
    ram_addr_t offset, page;
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    PV_VE_LOCK_GUARD(ve);
    block = pv_ve_block_at(gpa, &offset);
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
    return pv_ve_core && pv_ve_core->accel->resume;
}

void pv_ve_pages_withdrawn(void)
{
    if (pv_ve_core) {
        pv_ve_core->accel->flush();
    }
}
