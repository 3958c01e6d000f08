/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the life of the core.
 *
 * Made once, with the first PCI function that is realized, and never freed: threads
 * that hold neither lock nor reference use it.  Without its function nothing is
 * offered, so nobody is enabled and nobody waits.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "system/replay.h"
#include "system/runstate.h"
#include "pv-ve/hw/pv-ve.h"

PvVe *pv_ve_core;

static const PvVeAccel *accels[4];

void pv_ve_register_accel(const PvVeAccel *accel)
{
    for (unsigned i = 0; i < ARRAY_SIZE(accels); i++) {
        if (!accels[i]) {
            accels[i] = accel;
            return;
        }
    }
    g_assert_not_reached();
}

static const PvVeAccel *accel_in_use(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(accels) && accels[i]; i++) {
        if (accels[i]->in_use()) {
            return accels[i];
        }
    }
    return NULL;
}

/* Whatever the machine lacks, with what to change; else its accelerator's end. */
static const PvVeAccel *check_machine(Error **errp)
{
    const PvVeAccel *accel = accel_in_use();

    if (MACHINE(qdev_get_machine())->cgs) {
        error_setg(errp, "pv-ve does not work with confidential guests, which have a "
                   "#VE of their own; remove confidential-guest-support or pv-ve");
        return NULL;
    }
    if (replay_mode != REPLAY_MODE_NONE) {
        error_setg(errp, "pv-ve does not work with record and replay; remove rr= from "
                   "-icount, or pv-ve");
        return NULL;
    }
    if (!accel) {
        error_setg(errp, "pv-ve does not know this accelerator; use -accel kvm or tcg");
        return NULL;
    }
    return !accel->usable || accel->usable(errp) ? accel : NULL;
}

/*
 * A vCPU that was plugged before the machine is loaded is not stopped, and runs as soon
 * as somebody who is told that the machine does lets go of the BQL: KVM's clock does.
 */
#define AHEAD_OF_ALL INT_MIN

/*
 * A machine that was loaded runs for the first time.  Whenever it begins to run, its
 * guest may have been told of a migration that has ended meanwhile, or not of one that
 * has begun.  BQL held.
 */
static void on_vm_state(void *opaque, bool running, RunState state)
{
    PvVe *ve = opaque;

    if (running && ve->load_broken_off) {
        pv_ve_core_reset(ve);
    } else if (running && ve->restore_due) {
        ve->restore_due = false;
        for (unsigned i = 0; i < ve->nr_vcpus; i++) {
            pv_ve_vcpu_restore_areas(ve, i);
        }
        for (unsigned i = 0; i < ve->nr_vcpus; i++) {
            pv_ve_vcpu_restore_slots(ve, i);
        }
    }
    if (running) {
        pv_ve_announce_all(ve);
    }
}

/* ---- vCPUs come and go; BQL held ------------------------------------------ */

static void add_vcpu(PvVe *ve, CPUState *cpu)
{
    {
        PV_VE_LOCK_GUARD(ve);

        pv_ve_vcpu(ve, cpu)->cpu = cpu;
    }
    if (ve->accel->vcpu_added) {
        ve->accel->vcpu_added(cpu);
    }
}

static void on_realize(DeviceListener *listener, DeviceState *dev)
{
    if (object_dynamic_cast(OBJECT(dev), TYPE_CPU)) {
        add_vcpu(container_of(listener, PvVe, vcpus), CPU(dev));
    }
}

static void forget_vcpu(PvVe *ve, PvVeVcpu *v)
{
    if (ve->accel->vcpu_removed) {
        ve->accel->vcpu_removed(v - ve->vcpu);
    }

    PV_VE_LOCK_GUARD(ve);
    pv_ve_vcpu_reset(ve, v);
    v->cpu = NULL;
    qatomic_set(&v->end_wait_due, false);
    qatomic_set(&v->resume_due, false);
}

/* The next vCPU with this index begins anew.  This one has lost it. */
static void on_unrealize(DeviceListener *listener, DeviceState *dev)
{
    PvVe *ve = container_of(listener, PvVe, vcpus);

    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        if (ve->vcpu[i].cpu && DEVICE(ve->vcpu[i].cpu) == dev) {
            forget_vcpu(ve, &ve->vcpu[i]);
        }
    }
}

static void on_ram_removed(RAMBlockNotifier *notifier, void *host, size_t size,
                           size_t max_size)
{
    pv_ve_ram_removed(container_of(notifier, PvVe, ram), host);
}

bool pv_ve_all_vcpus_stopped(void)
{
    PvVe *ve = pv_ve_core;

    PV_VE_LOCK_GUARD(ve);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        if (ve->vcpu[i].cpu && !qatomic_read(&ve->vcpu[i].cpu->stopped)) {
            return false;
        }
    }
    return true;
}

/* ---- The core itself; BQL held -------------------------------------------- */

static PvVe *make_core(const PvVeAccel *accel, Error **errp)
{
    PvVe *ve = g_new0(PvVe, 1);

    ve->accel = accel;
    if (!pv_ve_due_init(ve, errp)) {
        g_free(ve);
        return NULL;
    }
    qemu_mutex_init(&ve->lock);
    pv_ve_waits_init(&ve->waits);
    ve->nr_vcpus = MACHINE(qdev_get_machine())->smp.max_cpus;
    ve->vcpu = g_new0(PvVeVcpu, ve->nr_vcpus);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        pv_ve_vcpu_init(&ve->vcpu[i]);
    }
    return ve;
}

static void start_core(PvVe *ve, uint32_t offered, OnOffAuto as_exception)
{
    CPUState *cpu;

    qemu_add_vm_change_state_handler_prio(on_vm_state, ve, AHEAD_OF_ALL);
    ve->vcpus.realize = on_realize;
    ve->vcpus.unrealize = on_unrealize;
    device_listener_register(&ve->vcpus);
    ve->ram.ram_block_removed = on_ram_removed;
    ram_block_notifier_add(&ve->ram);
    pv_ve_leave_init(ve);
    ve->offered = ve->offered_by_source = offered;  /* before KVM takes CPUID leaves */
    pv_ve_core = ve;
    if (ve->accel->start) {
        ve->accel->start(as_exception);
    }
    CPU_FOREACH(cpu) {
        add_vcpu(ve, cpu);
    }
    pv_ve_start_sources();
}

PvVe *pv_ve_core_for(const PvVeFunction *function, uint32_t offered, Error **errp)
{
    const PvVeAccel *accel;
    PvVe *ve;

    if (pv_ve_core) {
        return pv_ve_core;
    }
    accel = check_machine(errp);
    ve = accel ? make_core(accel, errp) : NULL;
    if (ve) {
        start_core(ve, offered, function->as_exception);
    }
    return ve;
}

void pv_ve_core_attach(PvVe *ve, PvVeFunction *function, uint32_t offered)
{
    PV_VE_LOCK_GUARD(ve);

    ve->function = function;
    ve->offered = ve->offered_by_source = offered;
    ve->read_ahead = function->read_ahead;
}

void pv_ve_core_reset(PvVe *ve)
{
    PV_VE_LOCK_GUARD(ve);

    ve->restore_due = ve->load_broken_off = false;
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        pv_ve_vcpu_reset(ve, &ve->vcpu[i]);
    }
}

void pv_ve_core_detach(PvVe *ve)
{
    pv_ve_core_reset(ve);

    PV_VE_LOCK_GUARD(ve);
    ve->function = NULL;
    ve->offered = ve->offered_by_source = 0;
    ve->nr_entries = 0;
}

/* PvVe.lock is held from the test whether an area is present to the end of the access. */
void pv_ve_lock_areas(void)
{
    if (pv_ve_core) {
        pv_ve_lock(pv_ve_core);
    }
}

void pv_ve_unlock_areas(void)
{
    if (pv_ve_core) {
        pv_ve_unlock(pv_ve_core);
    }
}
