/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: the life of a vCPU's state: power-on, disabling, reset, after loading. */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "pv-ve/hw/pv-ve.h"

void pv_ve_vcpu_init(PvVeVcpu *v)
{
    pv_ve_slots_init(&v->slots);
    v->info.wait.kind = PV_VE_WAIT_AREA;
    v->page.wait.kind = PV_VE_WAIT_AREA;
    v->hold.kind = PV_VE_WAIT_VCPU;
    v->waiting = -1;
    v->lapic.route = -1;
}

void pv_ve_vcpu_stop(PvVe *ve, PvVeVcpu *v)
{
    pv_ve_slots_drop(&v->slots, &ve->waits);
    pv_ve_waits_remove(&ve->waits, &v->info.wait);
    pv_ve_waits_remove(&ve->waits, &v->page.wait);
    pv_ve_area_unmap(&v->info);
    pv_ve_area_unmap(&v->page);
    v->old_bits = false;
    qatomic_set(&v->interrupt_due, false);
    if (v->waiting >= 0) {
        v->waiting = -1;
        qatomic_set(&v->end_wait_due, true);
        pv_ve_raise(ve, &ve->due);
    }
}

void pv_ve_vcpu_reset(PvVe *ve, PvVeVcpu *v)
{
    pv_ve_vcpu_stop(ve, v);
    if (v->hold.linked) {
        pv_ve_waits_remove(&ve->waits, &v->hold);
        qatomic_set(&v->resume_due, true);
        pv_ve_raise(ve, &ve->due);
    }
    v->features = 0;
    v->control = 0;
    v->info_gpa = 0;
    v->page_gpa = 0;
    v->notify = 0;
    v->urgent = 0;
}

static void restore_slot(PvVe *ve, PvVeVcpu *v, unsigned index)
{
    PvVeSlot *slot = &v->slots.slot[index];
    const PvVeSource *source;
    ram_addr_t offset;
    RAMBlock *block;
    PvVePageState state;

    if (slot->state != PV_VE_SLOT_OUTSTANDING) {
        return;
    }
    block = pv_ve_ram_at(slot->gpa, &offset);
    if (!block) {
        /* The guest unplugged it; a retried access tells it so. */
        pv_ve_finish(ve, v, index, false);
        return;
    }
    state = pv_ve_await(ve, v, index, block, pv_ve_page_of(block, offset), &source);
    if (state == PV_VE_PAGE_PRESENT) {
        pv_ve_waits_remove(&ve->waits, &slot->wait);
        pv_ve_finish(ve, v, index, false);
    } else if (state != PV_VE_PAGE_FAILED) {
        source->request(block, pv_ve_page_of(block, offset));
    }
}

void pv_ve_vcpu_restore_areas(PvVe *ve, unsigned index)
{
    PvVeVcpu *v = &ve->vcpu[index];

    pv_ve_lapic_connect(ve, v);
    if (!pv_ve_enabled(v)) {
        return;
    }

    PV_VE_LOCK_GUARD(ve);
    if (!v->cpu || !pv_ve_area_map(&v->info, v->info_gpa) ||
        !pv_ve_area_map(&v->page, v->page_gpa)) {
        warn_report("pv-ve: vCPU %u is not there, or its information area or PV page "
                    "is not RAM here; delivery to it is off", index);
        pv_ve_vcpu_reset(ve, v);
        return;
    }
    pv_ve_area_present(ve, &v->info);
    pv_ve_area_present(ve, &v->page);
}

void pv_ve_vcpu_restore_slots(PvVe *ve, unsigned index)
{
    PvVeVcpu *v = &ve->vcpu[index];

    if (!pv_ve_enabled(v)) {
        return;
    }
    PV_VE_LOCK_GUARD(ve);
    /*
     * The source may have posted when the PV page had been sent, and notified when the
     * local APICs had been saved.  To do that twice is harmless.
     */
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        v->slots.slot[i].posted = false;
    }
    v->old_bits = true;
    pv_ve_post_late(ve, v);
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        restore_slot(ve, v, i);
    }
    /* If it was halted in WAIT, it executes the WRMSR again. */
    qatomic_set(&v->end_wait_due, true);
    pv_ve_raise(ve, &ve->due);
}
