/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: notifications, and what else page-placing threads leave to the main loop.
 *
 * A thread that places pages must not wait for the BQL: its holder may be blocked on a
 * page that only this thread can place.  So it sets a flag of the vCPU and an event, and
 * the main loop, which has the BQL, does the rest.  Only a notification may go a shorter
 * way, where KVM takes it from any thread (irqfd.c).
 *
 * Events are set when the lock has been dropped: a system call under it would hold up
 * all vCPUs that fault.  What an event leads to may then find things changed, an
 * interrupt for one that is spurious.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "hw/i386/apic_internal.h"
#include "hw/i386/apic-msidef.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "pv-ve/hw/pv-ve.h"
#include "trace.h"

void pv_ve_raise(PvVe *ve, EventNotifier *event)
{
    for (unsigned i = 0; i < ve->nr_raised; i++) {
        if (ve->raised[i] == event) {
            return;
        }
    }
    /* A page that so many wait for is rare. */
    if (ve->nr_raised == PV_VE_MAX_RAISED) {
        event_notifier_set(event);
        return;
    }
    ve->raised[ve->nr_raised++] = event;
}

/* Events are never unmade, so they can be set without the lock. */
void pv_ve_unlock(PvVeLocked *ve)
{
    EventNotifier *raised[PV_VE_MAX_RAISED];
    unsigned nr = ve->nr_raised;

    memcpy(raised, ve->raised, nr * sizeof(raised[0]));
    ve->nr_raised = 0;
    qemu_mutex_unlock(&ve->lock);
    for (unsigned i = 0; i < nr; i++) {
        event_notifier_set(raised[i]);
    }
}

MSIMessage pv_ve_lapic_message(CPUState *cpu, uint8_t vector)
{
    uint32_t id = X86_CPU(cpu)->apic_id;

    return (MSIMessage) {
        .address = APIC_DEFAULT_ADDRESS | (id & 0xff) << MSI_ADDR_DEST_ID_SHIFT |
                   (uint64_t)(id & ~0xff) << 32,
        .data = vector,
    };
}

void pv_ve_lapic_interrupt(CPUState *cpu, uint8_t vector)
{
    MSIMessage message = pv_ve_lapic_message(cpu, vector);

    apic_get_class(NULL)->send_msi(&message);
}

/* By what it notifies without the BQL; NULL: it cannot now. */
static PvVeIrqfd *irqfd_of(PvVe *ve, PvVeVcpu *v)
{
    PvVeIrqfd *irqfd = &v->lapic;

    if (v->notify & PV_VE_NOTIFY_MSIX) {
        irqfd = ve->entry ? &ve->entry[v->notify >> PV_VE_NOTIFY_ENTRY_SHIFT] : NULL;
    }
    return irqfd && irqfd->route >= 0 ? irqfd : NULL;
}

void pv_ve_notify(PvVe *ve, PvVeVcpu *v)
{
    PvVeIrqfd *irqfd = irqfd_of(ve, v);

    if (irqfd) {
        trace_pv_ve_notify(v - ve->vcpu, v->notify);
        pv_ve_raise(ve, &irqfd->event);
    } else {
        qatomic_set(&v->interrupt_due, true);
        pv_ve_raise(ve, &ve->due);
    }
}

void pv_ve_notify_spurious(CPUState *cpu)
{
    PvVe *ve = pv_ve_core;

    PV_VE_LOCK_GUARD(ve);
    pv_ve_notify(ve, pv_ve_vcpu(ve, cpu));
}

static void interrupt(PvVe *ve, CPUState *cpu, uint32_t how)
{
    trace_pv_ve_notify(cpu->cpu_index, how);
    if (how & PV_VE_NOTIFY_MSIX) {
        msix_notify(PCI_DEVICE(ve->function), how >> PV_VE_NOTIFY_ENTRY_SHIFT);
    } else {
        ve->accel->interrupt(cpu, how & PV_VE_NOTIFY_VECTOR_MASK);
    }
}

static void do_due(PvVe *ve, CPUState *cpu)
{
    PvVeVcpu *v = pv_ve_vcpu(ve, cpu);
    uint32_t how;
    bool due;

    /* The guest cannot disable meanwhile: that takes the BQL. */
    {
        PV_VE_LOCK_GUARD(ve);

        due = qatomic_xchg(&v->interrupt_due, false) && pv_ve_enabled(v);
        how = v->notify;
    }
    if (due) {
        interrupt(ve, cpu, how);
    }
    if (qatomic_xchg(&v->end_wait_due, false)) {
        ve->accel->end_wait(cpu, v->wait_rip);
    }
    if (qatomic_xchg(&v->resume_due, false)) {
        ve->accel->resume(cpu);
    }
}

static void on_due(EventNotifier *n)
{
    PvVe *ve = container_of(n, PvVe, due);
    CPUState *cpu;

    assert(bql_locked());
    event_notifier_test_and_clear(n);
    CPU_FOREACH(cpu) {
        do_due(ve, cpu);
    }
}

bool pv_ve_due_init(PvVe *ve, Error **errp)
{
    int ret = event_notifier_init(&ve->due, false);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "pv-ve: no event notifier");
        return false;
    }
    event_notifier_set_handler(&ve->due, on_due);
    return true;
}
