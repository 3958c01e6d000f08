// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code of a module that touches a page: who reads its parameter `value` makes it do
 * so, in `atomic` with preemption off, in `interrupt` in the midst of an interrupt that
 * lets others come; `gpa` tells which page that is.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sysfs.h>

static u64 *page;

static int get_value(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%llu\n", READ_ONCE(*page));
}

static int get_atomic(char *buffer, const struct kernel_param *param)
{
	u64 value;

	preempt_disable();
	value = READ_ONCE(*page);
	preempt_enable();
	return sysfs_emit(buffer, "%llu\n", value);
}

static u64 found;

static void touch_in_interrupt(struct irq_work *work)
{
	local_irq_enable();
	found = READ_ONCE(*page);
	local_irq_disable();
}

static struct irq_work work = IRQ_WORK_INIT_HARD(touch_in_interrupt);

static int get_interrupt(char *buffer, const struct kernel_param *param)
{
	irq_work_queue(&work);
	irq_work_sync(&work);
	return sysfs_emit(buffer, "%llu\n", found);
}

static int get_gpa(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%#llx\n", (u64)virt_to_phys(page));
}

static const struct kernel_param_ops value_ops = { .get = get_value };
static const struct kernel_param_ops atomic_ops = { .get = get_atomic };
static const struct kernel_param_ops interrupt_ops = { .get = get_interrupt };
static const struct kernel_param_ops gpa_ops = { .get = get_gpa };

module_param_cb(value, &value_ops, NULL, 0444);
module_param_cb(atomic, &atomic_ops, NULL, 0444);
module_param_cb(interrupt, &interrupt_ops, NULL, 0444);
module_param_cb(gpa, &gpa_ops, NULL, 0444);

static int __init touch_init(void)
{
	page = (u64 *)get_zeroed_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	*page = 42;
	return 0;
}

static void __exit touch_exit(void)
{
	free_page((unsigned long)page);
}

module_init(touch_init);
module_exit(touch_exit);
MODULE_DESCRIPTION("Touches a page for the tests of pv_ve");
MODULE_LICENSE("GPL");
