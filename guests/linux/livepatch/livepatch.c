// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Somebody else's livepatch, which replaces all others.  It takes the function
 * that it is told to; the one that it puts there is for /proc/cmdline.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static char *function = "cmdline_proc_show";
module_param(function, charp, 0444);

static int show(struct seq_file *file, void *unused)
{
	seq_puts(file, "patched\n");
	return 0;
}

static struct klp_func functions[] = { { .new_func = show }, { } };
static struct klp_object objects[] = { { .funcs = functions }, { } };
static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
	.replace = true,
};

static int __init livepatch_init(void)
{
	functions[0].old_name = function;
	return klp_enable_patch(&patch);
}

static void __exit livepatch_exit(void)
{
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_DESCRIPTION("Test of pv_ve beside a livepatch");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
