/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the PCI function that makes the host offer #VE to its guest.
 *
 * It carries properties and MSI-X; all else is the core's, which stays if the function
 * goes.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "pv-ve/hw/pv-ve.h"
#include "pv-ve/outgoing/hot.h"

static uint32_t offered(const PvVeFunction *f)
{
    return PV_VE_F_BASE | (f->cpl0 ? PV_VE_F_CPL0 : 0) | (f->if0 ? PV_VE_F_IF0 : 0) |
           (f->wait ? PV_VE_F_WAIT : 0) | (f->msix ? PV_VE_F_MSIX : 0) |
           (f->urgent ? PV_VE_F_URGENT : 0);
}

/* ---- MSI-X ------------------------------------------------------------------ */

static bool may_send(PCIDevice *pci)
{
    return pci->enabled && msix_enabled(pci) &&
           pci_get_word(pci->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* KVM asks nobody whether it may send, so it has the entries only if it may. */
static void connect_entries_if_allowed(PvVeFunction *f)
{
    if (may_send(PCI_DEVICE(f))) {
        pv_ve_entries_connect(f->core);
    } else {
        pv_ve_entries_disconnect(f->core);
    }
}

static void pv_ve_config_write(PCIDevice *pci, uint32_t at, uint32_t value, int size)
{
    pci_default_write_config(pci, at, value, size);
    connect_entries_if_allowed(PV_VE(pci));
}

static bool init_entries(PCIDevice *pci, unsigned nr, Error **errp)
{
    if (msix_init_exclusive_bar(pci, nr, PV_VE_PCI_MSIX_BAR, errp) < 0) {
        error_prepend(errp, "pv-ve needs a machine with MSI: ");
        return false;
    }
    for (unsigned i = 0; i < nr; i++) {
        msix_vector_use(pci, i);
    }
    return true;
}

/* ---- Its life; BQL held ------------------------------------------------------- */

static void pv_ve_realize(PCIDevice *pci, Error **errp)
{
    PvVeFunction *f = PV_VE(pci);
    unsigned nr_entries;
    PvVe *ve;

    if (pv_ve_core && pv_ve_core->function) {
        error_setg(errp, "a machine has one pv-ve device; remove the second one");
        return;
    }
    ve = pv_ve_core_for(f, offered(f), errp);
    if (!ve) {
        return;
    }
    nr_entries = MIN(ve->nr_vcpus, PCI_MSIX_FLAGS_QSIZE + 1);
    if (!init_entries(pci, nr_entries, errp)) {
        pv_ve_core_detach(ve);
        return;
    }
    f->core = ve;
    ve->nr_entries = nr_entries;
    pv_ve_core_attach(ve, f, offered(f));
    vmstate_register_any(VMSTATE_IF(f), &vmstate_pv_ve_early, ve);
    pv_ve_hot_first(f->hot_first, f->urgent ? pv_ve_name_urgent : NULL);
}

/*
 * It could not be plugged in the end, or the guest has powered off or ejected its slot,
 * which hotpluggable does not keep a guest from.
 */
static void pv_ve_exit(PCIDevice *pci)
{
    PvVeFunction *f = PV_VE(pci);

    pv_ve_hot_first(false, NULL);
    pv_ve_entries_disconnect(f->core);
    vmstate_unregister(VMSTATE_IF(f), &vmstate_pv_ve_early, f->core);
    pv_ve_core_detach(f->core);
    f->core = NULL;
    msix_uninit_exclusive_bar(pci);
    /* Nobody could release any more what it withholds. */
    object_unparent(&f->withheld);
}

static void pv_ve_reset(DeviceState *dev)
{
    PvVeFunction *f = PV_VE(dev);

    pv_ve_entries_disconnect(f->core);
    pv_ve_core_reset(f->core);
}

static int post_load(void *opaque, int version_id)
{
    connect_entries_if_allowed(opaque);
    return 0;
}

static const VMStateDescription vmstate_pv_ve = {
    .name = "pv-ve",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, PvVeFunction),
        VMSTATE_MSIX(parent_obj, PvVeFunction),
        VMSTATE_STRUCT_POINTER(core, PvVeFunction, vmstate_pv_ve_core, PvVe),
        VMSTATE_END_OF_LIST()
    }
};

static void pv_ve_init(Object *obj)
{
    object_initialize_child(obj, "withheld", &PV_VE(obj)->withheld, TYPE_PV_VE_WITHHELD);
}

static const Property properties[] = {
    DEFINE_PROP_BOOL("cpl0", PvVeFunction, cpl0, true),
    DEFINE_PROP_BOOL("if0", PvVeFunction, if0, true),
    DEFINE_PROP_BOOL("wait", PvVeFunction, wait, true),
    DEFINE_PROP_BOOL("msix", PvVeFunction, msix, true),
    DEFINE_PROP_BOOL("urgent", PvVeFunction, urgent, true),
    DEFINE_PROP_BOOL("hot-first", PvVeFunction, hot_first, true),
    DEFINE_PROP_BOOL("read-ahead", PvVeFunction, read_ahead, true),
    /* For tests: a processor takes but one of both forms, TCG's SVM takes both. */
    DEFINE_PROP_ON_OFF_AUTO("x-exception", PvVeFunction, as_exception,
                            ON_OFF_AUTO_AUTO),
};

static void pv_ve_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    pc->realize = pv_ve_realize;
    pc->exit = pv_ve_exit;
    pc->config_write = pv_ve_config_write;
    pc->vendor_id = PV_VE_PCI_VENDOR_ID;
    pc->device_id = PV_VE_PCI_DEVICE_ID;
    pc->class_id = PCI_CLASS_SYSTEM_OTHER;
    dc->desc = "#VE for pages that have not arrived";
    dc->vmsd = &vmstate_pv_ve;
    /* vCPUs learn of it from CPUID before they run. */
    dc->hotpluggable = false;
    device_class_set_legacy_reset(dc, pv_ve_reset);
    device_class_set_props(dc, properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    pv_ve_class_add_properties(oc);
}

static const TypeInfo pv_ve_type = {
    .name = TYPE_PV_VE,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(PvVeFunction),
    .instance_init = pv_ve_init,
    .class_init = pv_ve_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void register_types(void)
{
    type_register_static(&pv_ve_type);
}
type_init(register_types)
