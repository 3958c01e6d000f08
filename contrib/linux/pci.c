// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PCI function and power management: when delivery is on.
 *
 * The MSRs live and die with the function, so it is off around a reset of the
 * function, and when the function goes.  In suspend and hibernation it is off
 * when tasks are frozen, and not before: one that sleeps in user mode is frozen
 * as it sleeps, and awake it would only stop its CPU until the page is there.
 * One that sleeps in the kernel may hold locks and cannot be frozen, and freezing
 * fails if that takes long.  So both begin when nobody does, and until they are over
 * such a task waits as if it could not sleep.
 */
#include "driver.h"

#include <linux/delay.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/sched/signal.h>
#include <linux/suspend.h>

static struct pci_dev *function;

static int probe(struct pci_dev *dev, const struct pci_device_id *id)
{
	int ret;

	if (function)
		return -EBUSY;
	ret = pcim_enable_device(dev);
	if (ret)
		return ret;
	pci_set_master(dev);
	ret = pv_ve_irqs_request(dev);
	if (ret)
		return dev_err_probe(&dev->dev, ret, "no MSI-X interrupts\n");
	ret = pv_ve_start();
	if (ret) {
		pv_ve_irqs_free();
		return dev_err_probe(&dev->dev, ret, "cannot follow CPU hotplug\n");
	}
	function = dev;
	return 0;
}

static void remove(struct pci_dev *dev)
{
	pv_ve_stop();
	pv_ve_irqs_free();
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

/* Until tasks have thawed nobody goes to sleep there again. */
static int wait_for_kernel(void)
{
	pv_ve_keep_kernel_awake(true);
	while (pv_ve_any_in_kernel()) {
		if (msleep_interruptible(10) || signal_pending(current)) {
			pv_ve_keep_kernel_awake(false);
			return -EINTR;
		}
	}
	return 0;
}

static int on_sleep(struct notifier_block *block, unsigned long event, void *unused)
{
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		return notifier_from_errno(wait_for_kernel());
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		pv_ve_keep_kernel_awake(false);
		return NOTIFY_OK;
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block sleep_notifier = { .notifier_call = on_sleep };

static void reset_prepare(struct pci_dev *dev)
{
	pv_ve_pause();
}

static void reset_done(struct pci_dev *dev)
{
	pv_ve_resume();
}

static const struct pci_error_handlers error_handlers = {
	.reset_prepare = reset_prepare,
	.reset_done = reset_done,
};

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
	.err_handler = &error_handlers,
	.driver = {
		.pm = pm_sleep_ptr(&pm_ops),
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
	},
};

int pv_ve_pci_register(void)
{
	int ret = pci_register_driver(&driver);

	if (ret)
		return ret;
	if (!function) {
		pci_unregister_driver(&driver);
		return -ENODEV;
	}
	register_pm_notifier(&sleep_notifier);
	return 0;
}

void pv_ve_pci_unregister(void)
{
	unregister_pm_notifier(&sleep_notifier);
	pci_unregister_driver(&driver);
}
