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
#include "pv-ve/hw/pv-ve.h"

static bool make_event(PvVeIrqfd *irqfd)
{
    int ret = irqfd->made ? 0 : event_notifier_init(&irqfd->event, false);

    if (ret < 0) {
        warn_report_once("pv-ve: some notifications take the BQL, as event notifiers ran "
                         "out: %s", strerror(-ret));
        return false;
    }
    if (!irqfd->made) {
        irqfd->made = true;
        irqfd->route = -1;
    }
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

    set_route(ve, irqfd, -1);
    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &irqfd->event, route);
    kvm_irqchip_release_virq(kvm_state, route);
}

/*
 * For the message of @pci's entry @index, or for @message if @pci is NULL.  If that
 * fails, for want of routes for one, it stays unconnected.
 */
static void connect_irqfd(PvVe *ve, PvVeIrqfd *irqfd, PCIDevice *pci, unsigned index,
                          MSIMessage message)
{
    KVMRouteChange change;
    int route;

    if (!make_event(irqfd)) {
        return;
    }
    change = kvm_irqchip_begin_route_changes(kvm_state);
    route = kvm_irqchip_add_msi_route(&change, index, pci);
    if (route < 0) {
        return;
    }
    kvm_irqchip_commit_route_changes(&change);
    if (!pci) {
        if (kvm_irqchip_update_msi_route(kvm_state, route, message, NULL) < 0) {
            kvm_irqchip_release_virq(kvm_state, route);
            return;
        }
        kvm_irqchip_commit_routes(kvm_state);
    }
    if (kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &irqfd->event, NULL, route) < 0) {
        kvm_irqchip_release_virq(kvm_state, route);
        return;
    }
    set_route(ve, irqfd, route);
}

/* ---- MSI-X entries ---------------------------------------------------------- */

/* The guest has unmasked it. */
static int on_unmask(PCIDevice *pci, unsigned index, MSIMessage message)
{
    PvVe *ve = PV_VE(pci)->core;

    connect_irqfd(ve, &ve->entry[index], pci, index, message);
    return 0;
}

/* What was set and not taken becomes the pending bit. */
static void on_mask(PCIDevice *pci, unsigned index)
{
    PvVe *ve = PV_VE(pci)->core;
    PvVeIrqfd *entry = &ve->entry[index];

    if (!entry->made || entry->route < 0) {
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
        ve->entry = g_new0(PvVeIrqfd, ve->nr_entries);
    }
    ve->entries_connected = true;
    msix_set_vector_notifiers(PCI_DEVICE(ve->function), on_unmask, on_mask, NULL);
}

void pv_ve_entries_disconnect(PvVe *ve)
{
    if (ve->entries_connected) {
        ve->entries_connected = false;
        msix_unset_vector_notifiers(PCI_DEVICE(ve->function));
    }
}

/* ---- Vectors of local APICs ---------------------------------------------------- */

void pv_ve_lapic_connect(PvVe *ve, PvVeVcpu *v, uint8_t vector)
{
    assert(bql_locked());
    if (!kvm_msi_via_irqfd_enabled()) {
        return;
    }
    if (v->lapic.made && v->lapic.route >= 0) {
        disconnect_irqfd(ve, &v->lapic);
    }
    connect_irqfd(ve, &v->lapic, NULL, 0, pv_ve_lapic_message(v->cpu, vector));
}
