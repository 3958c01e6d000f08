/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: migration and snapshots.
 *
 * What travels is what the guest negotiated and the slots of each vCPU that ever
 * used one, as their generations go on.  A fault that is outstanding travels as its GPA;
 * the target waits for that page in its own way, or finds it present.  Nothing of
 * guest memory is touched before the machine runs.
 *
 * A target that cannot take the machine over must say so before postcopy begins,
 * after which the source cannot go back; so what decides it travels first.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "migration/vmstate.h"
#include "pv-ve/hw/pv-ve.h"

static const VMStateDescription vmstate_slot = {
    .name = "pv-ve/slot",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(gpa, PvVeSavedSlot),
        VMSTATE_UINT32(generation, PvVeSavedSlot),
        VMSTATE_UINT8(state, PvVeSavedSlot),
        VMSTATE_BOOL(failed, PvVeSavedSlot),
        VMSTATE_BOOL(posted, PvVeSavedSlot),
        VMSTATE_END_OF_LIST()
    }
};

static bool slots_needed(void *opaque)
{
    const PvVeVcpu *v = opaque;

    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        if (v->saved[i].generation) {
            return true;
        }
    }
    return false;
}

static const VMStateDescription vmstate_slots = {
    .name = "pv-ve/vcpu/slots",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = slots_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT_ARRAY(saved, PvVeVcpu, PV_VE_SLOTS, 1, vmstate_slot,
                             PvVeSavedSlot),
        VMSTATE_END_OF_LIST()
    }
};

static bool urgent_needed(void *opaque)
{
    const PvVeVcpu *v = opaque;

    return v->urgent;
}

static const VMStateDescription vmstate_urgent = {
    .name = "pv-ve/vcpu/urgent",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = urgent_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(urgent, PvVeVcpu),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_vcpu = {
    .name = "pv-ve/vcpu",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(features, PvVeVcpu),
        VMSTATE_UINT32(control, PvVeVcpu),
        VMSTATE_UINT64(info_gpa, PvVeVcpu),
        VMSTATE_UINT64(page_gpa, PvVeVcpu),
        VMSTATE_UINT32(notify, PvVeVcpu),
        VMSTATE_UINT64(wait_rip, PvVeVcpu),
        VMSTATE_BOOL(interrupt_due, PvVeVcpu),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_slots,
        &vmstate_urgent,
        NULL
    }
};

static int early_post_load(void *opaque, int version_id)
{
    PvVe *ve = opaque;
    uint32_t missing = ve->offered_by_source & ~ve->offered;

    ve->offered_by_source = ve->offered;
    if (missing) {
        error_report("pv-ve: the source offers features 0x%x, which this device does "
                     "not; give it the properties of the source", missing);
        return -EINVAL;
    }
    return 0;
}

const VMStateDescription vmstate_pv_ve_early = {
    .name = "pv-ve-early",
    .version_id = 1,
    .minimum_version_id = 1,
    .early_setup = true,
    .post_load = early_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_EQUAL(nr_vcpus, PvVe,
                             "pv-ve: source and target differ in maxcpus"),
        VMSTATE_UINT32(offered_by_source, PvVe),
        VMSTATE_END_OF_LIST()
    }
};

/* Lock held. */
static void save_slots(PvVeVcpu *v)
{
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        const PvVeSlot *slot = &v->slots.slot[i];

        v->saved[i] = (PvVeSavedSlot) {
            .gpa = slot->gpa,
            .generation = slot->generation,
            .state = slot->state,
            .failed = slot->failed,
            .posted = slot->posted,
        };
    }
}

/* Lock held. */
static void load_slots(PvVeVcpu *v)
{
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        PvVeSlot *slot = &v->slots.slot[i];

        slot->gpa = v->saved[i].gpa;
        slot->generation = v->saved[i].generation;
        slot->state = v->saved[i].state;
        slot->failed = v->saved[i].failed;
        slot->posted = v->saved[i].posted;
    }
}

/*
 * Pages may come while the machine is saved: each slot is saved as it was at one moment
 * (INV_VALID).  Not under the lock, as whoever writes a snapshot may serve the main loop.
 */
static int pre_save(void *opaque)
{
    PvVe *ve = opaque;

    PV_VE_LOCK_GUARD(ve);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        save_slots(&ve->vcpu[i]);
    }
    return 0;
}

/*
 * What is loaded replaces what was: nothing may go on waiting for it.  The machine may
 * run even if the load breaks off, and then all vCPUs begin anew.
 */
static int pre_load(void *opaque)
{
    PvVe *ve = opaque;

    PV_VE_LOCK_GUARD(ve);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        pv_ve_vcpu_reset(ve, &ve->vcpu[i]);
        save_slots(&ve->vcpu[i]);       /* those of a vCPU that used none do not travel */
    }
    ve->restore_due = ve->load_broken_off = true;
    return 0;
}

/* The stream is input: only what a guest and this host could have made. */
static bool slot_valid(const PvVeVcpu *v, const PvVeSavedSlot *slot)
{
    switch (slot->state) {
    case PV_VE_SLOT_FREE:
        return slot->generation <= PV_VE_GEN_MAX;
    case PV_VE_SLOT_OUTSTANDING:
        return pv_ve_enabled(v) && slot->generation - 1 < PV_VE_GEN_MAX &&
               !slot->posted && !slot->failed;
    case PV_VE_SLOT_DONE:
        return pv_ve_enabled(v) && slot->generation - 1 < PV_VE_GEN_MAX;
    default:
        return false;
    }
}

static bool vcpu_valid(const PvVe *ve, const PvVeVcpu *v)
{
    if (!pv_ve_msrs_valid(ve, v)) {
        return false;
    }
    for (unsigned s = 0; s < PV_VE_SLOTS; s++) {
        if (!slot_valid(v, &v->saved[s])) {
            return false;
        }
    }
    return true;
}

static int post_load(void *opaque, int version_id)
{
    PvVe *ve = opaque;

    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        if (!vcpu_valid(ve, &ve->vcpu[i])) {
            error_report("pv-ve: what was loaded for vCPU %u is not valid", i);
            return -EINVAL;
        }
    }
    PV_VE_LOCK_GUARD(ve);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        load_slots(&ve->vcpu[i]);
    }
    ve->load_broken_off = false;
    return 0;
}

const VMStateDescription vmstate_pv_ve_core = {
    .name = "pv-ve/core",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = pre_save,
    .pre_load = pre_load,
    .post_load = post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT_VARRAY_POINTER_UINT32(vcpu, PvVe, nr_vcpus, vmstate_vcpu,
                                             PvVeVcpu),
        VMSTATE_END_OF_LIST()
    }
};
