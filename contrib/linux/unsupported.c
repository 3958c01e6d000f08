// SPDX-License-Identifier: GPL-2.0-or-later
/* For kernels that lack what the driver needs. */
#include <linux/module.h>

static int __init pv_ve_init(void)
{
	pr_err("pv_ve: this kernel was built without ftrace, TDX guest support or MSI: not supported\n");
	return -ENODEV;
}

module_init(pv_ve_init);
MODULE_DESCRIPTION("Guest driver for pv-ve: not for this kernel");
MODULE_LICENSE("GPL");
