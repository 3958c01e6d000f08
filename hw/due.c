/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what page-placing threads leave to the main loop.
 *
 * A thread that places pages must not wait for the BQL: its holder may be
 * blocked on a page that only this thread can place.  So it sets a flag of the
 * vCPU and an event, and the main loop, which has the BQL, does the rest.  Only a
 * notification may go a shorter way, where KVM takes it from any thread.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "hw/i386/apic_internal.h"
#include "hw/i386/apic-msidef.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "pv-ve/hw/pv-ve.h"
#include "trace.h"

void pv_ve_lapic_interrupt(CPUState *cpu, uint8_t vector)
{
    uint32_t id = X86_CPU(cpu)->apic_id;
    MSIMessage msi = {
        .address = APIC_DEFAULT_ADDRESS | (id & 0xff) << MSI_ADDR_DEST_ID_SHIFT |
                   (uint64_t)(id & ~0xff) << 32,
        .data = vector,
    };

    apic_get_class(NULL)->send_msi(&msi);
}

/* By itself: without the BQL. */
static bool signal_now(PvVe *ve, PvVeVcpu *v)
{
    if (v->notify & PV_VE_NOTIFY_MSIX) {
        return pv_ve_entry_signal(ve, v->notify >> PV_VE_NOTIFY_ENTRY_SHIFT);
    }
    if (!ve->accel->signal || !v->cpu) {
        return false;
    }
    ve->accel->signal(v->cpu, v->notify & PV_VE_NOTIFY_VECTOR_MASK);
    return true;
}

void pv_ve_notify(PvVe *ve, PvVeVcpu *v)
{
    if (signal_now(ve, v)) {
        trace_pv_ve_notify(v - ve->vcpu, v->notify);
    } else {
        qatomic_set(&v->interrupt_due, true);
        event_notifier_set(&ve->due);
    }
}

void pv_ve_notify_spurious(CPUState *cpu)
{
    PvVe *ve = pv_ve_device;

    QEMU_LOCK_GUARD(&ve->lock);
    pv_ve_notify(ve, pv_ve_vcpu(ve, cpu));
}

static void interrupt(PvVe *ve, CPUState *cpu, uint32_t how)
{
    trace_pv_ve_notify(cpu->cpu_index, how);
    if (how & PV_VE_NOTIFY_MSIX) {
        msix_notify(PCI_DEVICE(ve), how >> PV_VE_NOTIFY_ENTRY_SHIFT);
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
    WITH_QEMU_LOCK_GUARD(&ve->lock) {
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

void pv_ve_due_exit(PvVe *ve)
{
    event_notifier_set_handler(&ve->due, NULL);
    event_notifier_cleanup(&ve->due);
}
