// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code of a module that touches a page: who reads its parameter `value` makes it do so,
 * in `atomic` with preemption off; `gpa` tells which page that is.
 */
#include <linux/gfp.h>
#include <linux/io.h>
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

static int get_gpa(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%#llx\n", (u64)virt_to_phys(page));
}

static const struct kernel_param_ops value_ops = { .get = get_value };
static const struct kernel_param_ops atomic_ops = { .get = get_atomic };
static const struct kernel_param_ops gpa_ops = { .get = get_gpa };

module_param_cb(value, &value_ops, NULL, 0444);
module_param_cb(atomic, &atomic_ops, NULL, 0444);
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
