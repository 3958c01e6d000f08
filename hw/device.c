/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: the PCI device that makes the host offer #VE to its guest. */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "hw/boards.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "system/replay.h"
#include "system/runstate.h"
#include "pv-ve/hw/pv-ve.h"

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

/* Whatever the machine lacks, with what to change. */
static bool check_machine(PvVe *ve, Error **errp)
{
    if (pv_ve_device) {
        error_setg(errp, "a machine has one pv-ve device; remove the second one");
        return false;
    }
    if (MACHINE(qdev_get_machine())->cgs) {
        error_setg(errp, "pv-ve does not work with confidential guests, which have a #VE of "
                   "their own; remove confidential-guest-support or pv-ve");
        return false;
    }
    if (replay_mode != REPLAY_MODE_NONE) {
        error_setg(errp, "pv-ve does not work with record and replay; remove rr= from -icount, "
                   "or pv-ve");
        return false;
    }
    ve->accel = accel_in_use();
    if (!ve->accel) {
        error_setg(errp, "pv-ve does not know this accelerator; use -accel kvm or tcg");
        return false;
    }
    return !ve->accel->usable || ve->accel->usable(errp);
}

/* A machine that was loaded runs for the first time; BQL held. */
static void on_vm_state(void *opaque, bool running, RunState state)
{
    PvVe *ve = opaque;

    if (running && ve->restore_due) {
        ve->restore_due = false;
        for (unsigned i = 0; i < ve->nr_vcpus; i++) {
            pv_ve_vcpu_restore_areas(ve, i);
        }
        for (unsigned i = 0; i < ve->nr_vcpus; i++) {
            pv_ve_vcpu_restore_slots(ve, i);
        }
    }
}

static void forget_vcpu(PvVe *ve, PvVeVcpu *v)
{
    QEMU_LOCK_GUARD(&ve->lock);
    pv_ve_vcpu_reset(ve, v);
    v->cpu = NULL;
    qatomic_set(&v->end_wait_due, false);
    qatomic_set(&v->resume_due, false);
}

/* The next vCPU with this index begins anew.  This one has lost it.  BQL held. */
static void on_unrealize(DeviceListener *listener, DeviceState *dev)
{
    PvVe *ve = container_of(listener, PvVe, vcpus);

    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        if (ve->vcpu[i].cpu && DEVICE(ve->vcpu[i].cpu) == dev) {
            forget_vcpu(ve, &ve->vcpu[i]);
        }
    }
}

static void on_realize(DeviceListener *listener, DeviceState *dev)
{
    PvVe *ve = container_of(listener, PvVe, vcpus);

    if (object_dynamic_cast(OBJECT(dev), TYPE_CPU) && ve->accel->vcpu_added) {
        ve->accel->vcpu_added(CPU(dev));
    }
}

static void on_ram_removed(RAMBlockNotifier *notifier, void *host, size_t size,
                           size_t max_size)
{
    pv_ve_ram_removed(container_of(notifier, PvVe, ram), host);
}

static bool init_entries(PvVe *ve, Error **errp)
{
    PCIDevice *pci = PCI_DEVICE(ve);

    ve->nr_entries = MIN(ve->nr_vcpus, PCI_MSIX_FLAGS_QSIZE + 1);
    if (msix_init_exclusive_bar(pci, ve->nr_entries, PV_VE_PCI_MSIX_BAR, errp) < 0) {
        error_prepend(errp, "pv-ve needs a machine with MSI: ");
        return false;
    }
    for (unsigned i = 0; i < ve->nr_entries; i++) {
        msix_vector_use(pci, i);
    }
    return true;
}

static uint32_t offered(const PvVe *ve)
{
    return PV_VE_F_BASE | (ve->cpl0 ? PV_VE_F_CPL0 : 0) | (ve->if0 ? PV_VE_F_IF0 : 0) |
           (ve->wait ? PV_VE_F_WAIT : 0) | (ve->msix ? PV_VE_F_MSIX : 0);
}

static void start_accel(PvVe *ve)
{
    CPUState *cpu;

    if (ve->accel->start) {
        ve->accel->start(ve->as_exception);
    }
    CPU_FOREACH(cpu) {
        if (ve->accel->vcpu_added) {
            ve->accel->vcpu_added(cpu);
        }
    }
}

static void pv_ve_realize(PCIDevice *pci, Error **errp)
{
    PvVe *ve = PV_VE(pci);

    if (!check_machine(ve, errp)) {
        return;
    }
    ve->nr_vcpus = MACHINE(qdev_get_machine())->smp.max_cpus;
    if (!init_entries(ve, errp)) {
        return;
    }
    if (!pv_ve_due_init(ve, errp)) {
        msix_uninit_exclusive_bar(pci);
        return;
    }
    ve->vcpu = g_new0(PvVeVcpu, ve->nr_vcpus);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        pv_ve_vcpu_init(&ve->vcpu[i]);
    }
    ve->offered = ve->offered_by_source = offered(ve);
    ve->vm_state = qemu_add_vm_change_state_handler(on_vm_state, ve);
    ve->vcpus.realize = on_realize;
    ve->vcpus.unrealize = on_unrealize;
    device_listener_register(&ve->vcpus);
    ve->ram.ram_block_removed = on_ram_removed;
    ram_block_notifier_add(&ve->ram);
    vmstate_register_any(VMSTATE_IF(ve), &vmstate_pv_ve_early, ve);
    pv_ve_device = ve;
    pv_ve_entries_init(ve);
    start_accel(ve);
    pv_ve_start_sources();
}

/* Only if the device could not be plugged in the end. */
static void pv_ve_exit(PCIDevice *pci)
{
    PvVe *ve = PV_VE(pci);

    pv_ve_device = NULL;
    pv_ve_entries_exit(ve);
    vmstate_unregister(VMSTATE_IF(ve), &vmstate_pv_ve_early, ve);
    ram_block_notifier_remove(&ve->ram);
    device_listener_unregister(&ve->vcpus);
    qemu_del_vm_change_state_handler(ve->vm_state);
    pv_ve_due_exit(ve);
    g_free(ve->vcpu);
    msix_uninit_exclusive_bar(pci);
}

static void pv_ve_reset(DeviceState *dev)
{
    PvVe *ve = PV_VE(dev);

    ve->restore_due = false;
    QEMU_LOCK_GUARD(&ve->lock);
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        pv_ve_vcpu_reset(ve, &ve->vcpu[i]);
    }
}

static void pv_ve_init(Object *obj)
{
    PvVe *ve = PV_VE(obj);

    qemu_mutex_init(&ve->lock);
    pv_ve_waits_init(&ve->waits);
    object_initialize_child(obj, "withheld", &ve->withheld, TYPE_PV_VE_WITHHELD);
}

static void pv_ve_finalize(Object *obj)
{
    qemu_mutex_destroy(&PV_VE(obj)->lock);
}

static const Property properties[] = {
    DEFINE_PROP_BOOL("cpl0", PvVe, cpl0, true),
    DEFINE_PROP_BOOL("if0", PvVe, if0, true),
    DEFINE_PROP_BOOL("wait", PvVe, wait, true),
    DEFINE_PROP_BOOL("msix", PvVe, msix, true),
    /* For tests: a processor takes but one of both forms, TCG's SVM takes both. */
    DEFINE_PROP_ON_OFF_AUTO("x-exception", PvVe, as_exception, ON_OFF_AUTO_AUTO),
};

static void pv_ve_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    pc->realize = pv_ve_realize;
    pc->exit = pv_ve_exit;
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
    .instance_size = sizeof(PvVe),
    .instance_init = pv_ve_init,
    .instance_finalize = pv_ve_finalize,
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
