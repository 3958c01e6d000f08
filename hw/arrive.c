/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: a page arrives, or never will.
 *
 * In threads that place pages, which must not wait for the BQL: what needs it is
 * left to the main loop (notify.c).
 */
#include "qemu/osdep.h"
#include "pv-ve/hw/pv-ve.h"
#include "trace.h"

static void notify_done(PvVe *ve, PvVeVcpu *v)
{
    v->stats.notified++;
    pv_ve_notify(ve, v);
}

/* Mark the slot for the guest, and notify if it parked.  PV page present. */
static void post(PvVe *ve, PvVeVcpu *v, unsigned index)
{
    bool raise;

    if (pv_ve_slots_post(&v->slots, index, v->page.host, &raise)) {
        v->stats.parked++;
        if (raise) {
            notify_done(ve, v);
        }
    }
    pv_ve_area_dirty(&v->page, 0, PV_VE_AREA_SIZE);
}

void pv_ve_finish(PvVe *ve, PvVeVcpu *v, unsigned index, bool failed)
{
    trace_pv_ve_finish(v - ve->vcpu, index, v->slots.slot[index].generation, failed);
    pv_ve_slots_done(&v->slots, index, failed);
    v->stats.resolved += !failed;
    v->stats.failed += failed;
    if (pv_ve_area_present(ve, &v->page)) {
        post(ve, v, index);
    }
    if (v->waiting == index) {
        v->waiting = -1;
        qatomic_set(&v->end_wait_due, true);
        pv_ve_raise(ve, &ve->due);
    }
}

PvVePageState pv_ve_await(PvVe *ve, PvVeVcpu *v, unsigned index, RAMBlock *block,
                          ram_addr_t page, const PvVeSource **source)
{
    PvVeWait *wait = &v->slots.slot[index].wait;
    PvVePageState state;

    pv_ve_waits_add(&ve->waits, wait, block, page);
    state = pv_ve_page_state(block, page, source);
    if (state == PV_VE_PAGE_FAILED) {
        pv_ve_waits_remove(&ve->waits, wait);
        pv_ve_finish(ve, v, index, true);
    }
    return state;
}

/* The waiters are members of the vCPUs, and those lie in one array. */
static PvVeVcpu *vcpu_of(PvVe *ve, PvVeWait *wait)
{
    size_t at = (char *)wait - (char *)ve->vcpu;

    assert(at < ve->nr_vcpus * sizeof(*ve->vcpu));
    return &ve->vcpu[at / sizeof(*ve->vcpu)];
}

void pv_ve_post_late(PvVe *ve, PvVeVcpu *v)
{
    if (!pv_ve_area_present(ve, &v->page)) {
        return;
    }
    /*
     * While an old bit is there no new one raises an interrupt.  To post its slot again
     * is not enough: the guest may have acknowledged that without looking at the bit.
     */
    if (v->old_bits && pv_ve_slots_any_done_bit(v->page.host)) {
        notify_done(ve, v);
    }
    v->old_bits = false;
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
        pv_ve_finish(ve, v, container_of(wait, PvVeSlot, wait) - v->slots.slot, failed);
        break;
    case PV_VE_WAIT_AREA:
        if (wait == &v->page.wait) {
            pv_ve_post_late(ve, v);
            pv_ve_announce(ve, v);
        }
        break;
    case PV_VE_WAIT_VCPU:
        qatomic_set(&v->resume_due, true);
        pv_ve_raise(ve, &ve->due);
        break;
    }
}

static void end_all(RAMBlock *block, ram_addr_t page, bool failed)
{
    PvVe *ve = pv_ve_core;
    const PvVeSource *other;
    PvVeWait *wait;
    unsigned most;

    if (!ve || !pv_ve_waits_any_outstanding(&ve->waits)) {
        return;
    }
    PV_VE_LOCK_GUARD(ve);
    if (!failed && pv_ve_page_state(block, page, &other) != PV_VE_PAGE_PRESENT) {
        /* One source has given it, another one has yet to (INV_EARLY). */
        other->request(block, page);
        return;
    }
    /*
     * A failure ends only faults that were delivered; others go on waiting.  If the
     * page goes missing again just now, an area waits for it anew: not for us.
     */
    for (most = ve->waits.outstanding; most > 0; most--) {
        wait = pv_ve_waits_take(&ve->waits, block, page, failed);
        if (!wait) {
            break;
        }
        end(ve, wait, failed);
    }
}

void pv_ve_page_arrived(RAMBlock *block, ram_addr_t offset)
{
    end_all(block, pv_ve_page_of(block, offset), false);
}

void pv_ve_page_failed(RAMBlock *block, ram_addr_t offset)
{
    end_all(block, pv_ve_page_of(block, offset), true);
}

void pv_ve_arm(void)
{
    qatomic_inc(&pv_ve_armed);
}

/* End each wait of the vCPU that @over says is over. */
static void end_if(PvVe *ve, PvVeVcpu *v, bool (*over)(PvVeWait *, void *), void *opaque)
{
    PvVeWait *areas[] = { &v->info.wait, &v->page.wait, &v->hold };
    unsigned n = ARRAY_SIZE(areas);

    for (unsigned i = 0; i < n + PV_VE_SLOTS; i++) {
        PvVeWait *wait = i < n ? areas[i] : &v->slots.slot[i - n].wait;

        if (wait->linked && over(wait, opaque)) {
            pv_ve_waits_remove(&ve->waits, wait);
            end(ve, wait, false);
        }
    }
}

static bool is_present(PvVeWait *wait, void *opaque)
{
    const PvVeSource *source;

    return pv_ve_page_state(wait->block, wait->offset, &source) == PV_VE_PAGE_PRESENT;
}

void pv_ve_disarm(void)
{
    PvVe *ve = pv_ve_core;

    assert(qatomic_read(&pv_ve_armed) > 0);
    qatomic_dec(&pv_ve_armed);
    if (!ve) {
        return;
    }
    PV_VE_LOCK_GUARD(ve);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        end_if(ve, &ve->vcpu[i], is_present, NULL);
    }
}

static bool is_in_block(PvVeWait *wait, void *host)
{
    return ((RAMBlock *)wait->block)->host == host;
}

/* Nobody waits for RAM that is gone; a retried access finds out. */
void pv_ve_ram_removed(PvVe *ve, void *host)
{
    PV_VE_LOCK_GUARD(ve);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        end_if(ve, &ve->vcpu[i], is_in_block, host);
    }
}
