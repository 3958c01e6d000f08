// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Notifications, by MSI-X of the PCI function: its only use to a guest.  A
 * module cannot have a vector of the local APIC.
 */
#include "driver.h"

#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm.h>

static struct pci_dev *function;
static int entries;		/* fewer than CPUs if vectors are short */

static int entry_of(struct pv_ve_cpu *cpu)
{
	return cpu->number % entries;
}

u64 pv_ve_notify_of(struct pv_ve_cpu *cpu)
{
	return PV_VE_NOTIFY_MSIX | (u64)entry_of(cpu) << PV_VE_NOTIFY_ENTRY_SHIFT;
}

/* The message goes to the CPU that it is about, as long as that is there. */
void pv_ve_aim(struct pv_ve_cpu *cpu)
{
	if (cpu->number < entries)
		irq_set_affinity_and_hint(pci_irq_vector(function, cpu->number),
					  cpumask_of(cpu->number));
}

static irqreturn_t notified(int irq, void *data)
{
	int number;

	for (number = (long)data; number < nr_cpu_ids; number += entries)
		if (cpu_possible(number))
			pv_ve_take_done(per_cpu_ptr(&pv_ve_cpus, number));
	return IRQ_HANDLED;
}

static void free_irqs(struct pci_dev *dev, int count)
{
	while (count-- > 0) {
		int irq = pci_irq_vector(dev, count);

		irq_set_affinity_and_hint(irq, NULL);
		free_irq(irq, (void *)(long)count);
	}
	pci_free_irq_vectors(dev);
}

static int request_irqs(struct pci_dev *dev)
{
	int count = pci_alloc_irq_vectors(dev, 1, nr_cpu_ids, PCI_IRQ_MSIX);
	int i, ret;

	if (count < 0)
		return count;
	for (i = 0; i < count; i++) {
		ret = request_irq(pci_irq_vector(dev, i), notified, IRQF_NOBALANCING,
				  KBUILD_MODNAME, (void *)(long)i);
		if (ret) {
			free_irqs(dev, i);
			return ret;
		}
	}
	return count;
}

static int probe(struct pci_dev *dev, const struct pci_device_id *id)
{
	int ret;

	if (function)
		return -EBUSY;
	ret = pcim_enable_device(dev);
	if (ret)
		return ret;
	pci_set_master(dev);
	ret = request_irqs(dev);
	if (ret < 0)
		return dev_err_probe(&dev->dev, ret, "no MSI-X interrupts\n");
	entries = ret;
	function = dev;
	return 0;
}

static void remove(struct pci_dev *dev)
{
	pv_ve_stop();
	free_irqs(dev, entries);
	function = NULL;
}

static void shutdown(struct pci_dev *dev)
{
	pv_ve_leave();
}

static int suspend(struct device *dev)
{
	pv_ve_pause();
	return 0;
}

static int resume(struct device *dev)
{
	pv_ve_resume();
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(pm_ops, suspend, resume);

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(PV_VE_PCI_VENDOR_ID, PV_VE_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
	.name = KBUILD_MODNAME,
	.id_table = ids,
	.probe = probe,
	.remove = remove,
	.shutdown = shutdown,
	.driver = {
		.pm = pm_sleep_ptr(&pm_ops),
		.suppress_bind_attrs = true,
	},
};

int pv_ve_pci_register(void)
{
	int ret = pci_register_driver(&driver);

	if (ret)
		return ret;
	if (function)
		return 0;
	pci_unregister_driver(&driver);
	return -ENODEV;
}

void pv_ve_pci_unregister(void)
{
	pci_unregister_driver(&driver);
}
