/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: notifications that KVM raises by itself.
 *
 * A thread that places pages sets an event, an irqfd of KVM's, and is done: no BQL, and
 * no ioctl, which can wait for a change of the memory map and with it for a vCPU that
 * sleeps on a missing page.  What is not connected goes through the main loop: an MSI-X
 * entry that is masked, as QEMU's table keeps the pending bit, and everything without
 * KVM.
 *
 * All of this with the BQL, and without the lock, as connecting takes ioctls.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include <linux/kvm.h>
#include "pv-ve/hw/pv-ve.h"

static bool make_event(PvVeIrqfd *irqfd)
{
    int ret = irqfd->made ? 0 : event_notifier_init(&irqfd->event, false);

    if (ret < 0) {
        warn_report_once("pv-ve: some notifications take the BQL, as event notifiers ran "
                         "out: %s", strerror(-ret));
        return false;
    }
    irqfd->made = true;
    return true;
}

static void set_route(PvVe *ve, PvVeIrqfd *irqfd, int route)
{
    PV_VE_LOCK_GUARD(ve);

    irqfd->route = route;
}

static void disconnect_irqfd(PvVe *ve, PvVeIrqfd *irqfd)
{
    int route = irqfd->route;

    if (route >= 0) {
        set_route(ve, irqfd, -1);
        kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &irqfd->event, route);
        kvm_irqchip_release_virq(kvm_state, route);
    }
}

/* To KVM's GSI @route, which is released if that fails, or < 0: none could be had. */
static void connect_irqfd(PvVe *ve, PvVeIrqfd *irqfd, int route)
{
    if (route < 0) {
        return;
    }
    if (!make_event(irqfd) ||
        kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &irqfd->event, NULL, route) < 0) {
        kvm_irqchip_release_virq(kvm_state, route);
        return;
    }
    set_route(ve, irqfd, route);
}

/* ---- MSI-X entries ---------------------------------------------------------- */

static int add_entry_route(PCIDevice *pci, unsigned index)
{
    KVMRouteChange change = kvm_irqchip_begin_route_changes(kvm_state);
    int route = kvm_irqchip_add_msi_route(&change, index, pci);

    if (route >= 0) {
        kvm_irqchip_commit_route_changes(&change);
    }
    return route;
}

/* The guest has unmasked it.  QEMU's table may have passed over the mask before. */
static int on_unmask(PCIDevice *pci, unsigned index, MSIMessage message)
{
    PvVe *ve = PV_VE(pci)->core;
    PvVeIrqfd *entry = &ve->entry[index];

    disconnect_irqfd(ve, entry);
    connect_irqfd(ve, entry, add_entry_route(pci, index));
    return 0;
}

/* What was set and not taken becomes the pending bit. */
static void on_mask(PCIDevice *pci, unsigned index)
{
    PvVe *ve = PV_VE(pci)->core;
    PvVeIrqfd *entry = &ve->entry[index];

    if (entry->route < 0) {
        return;
    }
    disconnect_irqfd(ve, entry);
    if (event_notifier_test_and_clear(&entry->event)) {
        msix_set_pending(pci, index);
    }
}

void pv_ve_entries_connect(PvVe *ve)
{
    if (ve->entries_connected || !kvm_msi_via_irqfd_enabled()) {
        return;
    }
    if (!ve->entry) {
        PvVeIrqfd *entry = g_new0(PvVeIrqfd, ve->nr_entries);

        for (unsigned i = 0; i < ve->nr_entries; i++) {
            entry[i].route = -1;
        }
        PV_VE_LOCK_GUARD(ve);
        ve->entry = entry;
    }
    ve->entries_connected = true;
    msix_set_vector_notifiers(PCI_DEVICE(ve->function), on_unmask, on_mask, NULL);
}

void pv_ve_entries_disconnect(PvVe *ve)
{
    if (ve->entries_connected) {
        ve->entries_connected = false;
        msix_unset_vector_notifiers(PCI_DEVICE(ve->function));
        /* It passes over all of them if MSI-X has been switched off. */
        for (unsigned i = 0; i < ve->nr_entries; i++) {
            on_mask(PCI_DEVICE(ve->function), i);
        }
    }
}

/* ---- Vectors of local APICs ---------------------------------------------------- */

/*
 * It is no device's message, so no IOMMU has a say in it: kvm_irqchip_add_msi_route()
 * would have it remapped.
 */
static int add_lapic_route(MSIMessage message)
{
    int route = kvm_irqchip_get_virq(kvm_state);
    struct kvm_irq_routing_entry entry = {
        .gsi = route,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi.address_lo = message.address,
        .u.msi.address_hi = message.address >> 32,
        .u.msi.data = message.data,
    };

    if (route < 0 || kvm_state->irq_routes->nr >= kvm_state->gsi_count) {
        return -ENOSPC;
    }
    kvm_add_routing_entry(kvm_state, &entry);
    kvm_irqchip_commit_routes(kvm_state);
    return route;
}

void pv_ve_lapic_connect(PvVe *ve, PvVeVcpu *v)
{
    assert(bql_locked());
    if (!kvm_msi_via_irqfd_enabled() || !v->cpu) {
        return;
    }
    disconnect_irqfd(ve, &v->lapic);
    if (v->notify && !(v->notify & PV_VE_NOTIFY_MSIX)) {
        connect_irqfd(ve, &v->lapic,
                      add_lapic_route(pv_ve_lapic_message(v->cpu, v->notify)));
    }
}
