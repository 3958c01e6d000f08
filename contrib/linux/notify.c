// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Notifications, by MSI-X of the PCI function: its only use to a guest.  A
 * module cannot have a vector of the local APIC.
 *
 * There is an interrupt for each CPU that is online when the driver begins, or
 * fewer if vectors are short: these are the machine's, and a machine may have
 * many more CPUs that never come.  With fewer interrupts than CPUs, some CPUs
 * share one.  Its handler looks at the slots of all of them, under the lock of
 * each, on whichever CPU it runs.
 */
#include "driver.h"

#include <linux/interrupt.h>
#include <linux/pci.h>

static struct pci_dev *function;
static int entries;

static int entry_of(const struct pv_ve_cpu *cpu)
{
	return cpu->number % entries;
}

u64 pv_ve_notify_of(const struct pv_ve_cpu *cpu)
{
	return PV_VE_NOTIFY_MSIX | (u64)entry_of(cpu) << PV_VE_NOTIFY_ENTRY_SHIFT;
}

/* The message goes to the CPU that it is about, as long as that is there. */
void pv_ve_aim(const struct pv_ve_cpu *cpu)
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
	pv_ve_urgent_look();
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

/* Never in a thread: that could take #VE itself, and wait for its own notification. */
#define IRQ_FLAGS (IRQF_NOBALANCING | IRQF_NO_THREAD)

int pv_ve_irqs_request(struct pci_dev *dev)
{
	int count = pci_alloc_irq_vectors(dev, 1, num_online_cpus(), PCI_IRQ_MSIX);
	int i, ret;

	if (count < 0)
		return count;
	entries = count;
	for (i = 0; i < count; i++) {
		ret = request_irq(pci_irq_vector(dev, i), notified, IRQ_FLAGS, KBUILD_MODNAME,
				  (void *)(long)i);
		if (ret) {
			free_irqs(dev, i);
			return ret;
		}
	}
	function = dev;
	return 0;
}

void pv_ve_irqs_free(void)
{
	free_irqs(function, entries);
}
