/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: MSI-X entries that KVM raises by itself.
 *
 * While an entry is not masked its event is an irqfd of KVM's, so that a thread that
 * places pages can notify without the BQL.  Masked, or without KVM, it goes through the
 * main loop and QEMU's table, which keeps the pending bit.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "system/kvm.h"
#include "pv-ve/hw/pv-ve.h"

bool pv_ve_entry_signal(PvVe *ve, unsigned entry)
{
    if (!ve->entry || ve->entry[entry].route < 0) {
        return false;
    }
    event_notifier_set(&ve->entry[entry].event);
    return true;
}

static void set_route(PvVe *ve, unsigned index, int route)
{
    QEMU_LOCK_GUARD(&ve->lock);
    ve->entry[index].route = route;
}

/* The guest has unmasked it, with this message; BQL held. */
static int connect_entry(PCIDevice *pci, unsigned index, MSIMessage message)
{
    PvVe *ve = PV_VE(pci);
    PvVeEntry *entry = &ve->entry[index];
    KVMRouteChange change = kvm_irqchip_begin_route_changes(kvm_state);
    int route = kvm_irqchip_add_msi_route(&change, index, pci);
    int ret;

    if (route < 0) {
        return 0;       /* no routes left: through the main loop */
    }
    kvm_irqchip_commit_route_changes(&change);
    ret = kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &entry->event, NULL, route);
    if (ret < 0) {
        kvm_irqchip_release_virq(kvm_state, route);
        return 0;
    }
    set_route(ve, index, route);
    return 0;
}

/* Masked; BQL held.  What was set and not taken becomes the pending bit. */
static void disconnect_entry(PCIDevice *pci, unsigned index)
{
    PvVe *ve = PV_VE(pci);
    PvVeEntry *entry = &ve->entry[index];
    int route = entry->route;

    if (route < 0) {
        return;
    }
    set_route(ve, index, -1);
    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &entry->event, route);
    kvm_irqchip_release_virq(kvm_state, route);
    if (event_notifier_test_and_clear(&entry->event)) {
        msix_set_pending(pci, index);
    }
}

static void free_entries(PvVe *ve, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        event_notifier_cleanup(&ve->entry[i].event);
    }
    g_free(ve->entry);
    ve->entry = NULL;
}

void pv_ve_entries_init(PvVe *ve)
{
    if (!kvm_msi_via_irqfd_enabled()) {
        return;
    }
    ve->entry = g_new0(PvVeEntry, ve->nr_entries);
    for (unsigned i = 0; i < ve->nr_entries; i++) {
        int ret = event_notifier_init(&ve->entry[i].event, false);

        if (ret < 0) {
            warn_report("pv-ve: notifications take the BQL, as event notifiers ran out: %s",
                        strerror(-ret));
            free_entries(ve, i);
            return;
        }
        ve->entry[i].route = -1;
    }
    msix_set_vector_notifiers(PCI_DEVICE(ve), connect_entry, disconnect_entry, NULL);
}

void pv_ve_entries_exit(PvVe *ve)
{
    if (ve->entry) {
        msix_unset_vector_notifiers(PCI_DEVICE(ve));
        free_entries(ve, ve->nr_entries);
    }
}
