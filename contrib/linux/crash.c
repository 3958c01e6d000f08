// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A crash kernel has no handler for #VE, and reads memory that may be missing.
 *
 * Before it begins, each CPU saves its registers: the one that crashes, and in
 * an NMI from that one all others.  Panic notifiers would be too late, and run
 * on one CPU.  A CPU that the host has suspended at a missing page is off when
 * the page comes, as the NMI is the next that it takes.
 */
#include "driver.h"

#include <linux/ftrace.h>
#include <linux/string.h>

static char name[] = "crash_save_cpu";
static bool hooked;

/* In any context; it takes no lock. */
static void on_crash(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
		     struct ftrace_regs *regs)
{
	pv_ve_abandon();
}

static struct ftrace_ops ops = { .func = on_crash, .flags = FTRACE_OPS_FL_PERMANENT };

void pv_ve_crash_hook(void)
{
	int ret;

	if (!IS_ENABLED(CONFIG_CRASH_DUMP))
		return;
	ret = ftrace_set_filter(&ops, name, strlen(name), 0);
	if (!ret)
		ret = register_ftrace_function(&ops);
	hooked = !ret;
	if (hooked)
		return;
	ftrace_free_filter(&ops);
	pr_warn("cannot watch %s (%d): a crash kernel may take #VE\n", name, ret);
}

void pv_ve_crash_unhook(void)
{
	if (!hooked)
		return;
	unregister_ftrace_function(&ops);
	ftrace_free_filter(&ops);
}
