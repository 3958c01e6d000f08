// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's handler of vector 20 becomes ours.
 *
 * A kernel made for TDX guests has one.  It calls one function to learn what
 * happened and one to deal with it; outside of TDX both have nothing to do, and
 * ftrace sends who calls them to ours.  A function has one such redirection at
 * most, so this is refused where a livepatch has one of them and keeps later
 * ones out; nor does it go when another livepatch replaces all others.
 */
#include "driver.h"

#include <linux/container_of.h>
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

static DEFINE_PER_CPU(int, inside);

struct redirection {
	char name[32];
	void *to;
	struct ftrace_ops ops;
};

static void redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
		     struct ftrace_regs *regs)
{
	struct redirection *r = container_of(ops, struct redirection, ops);

	ftrace_regs_set_instruction_pointer(regs, (unsigned long)r->to);
}

/* Tasks sleep in there, and may come out on another CPU: only the sum means something. */
static bool handle(struct pt_regs *regs, struct ve_info *ve)
{
	bool again;

	this_cpu_inc(inside);
	again = pv_ve_handle(regs, ve);
	this_cpu_dec(inside);
	return again;
}

#define OPS { .func = redirect, .flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT }

static struct redirection redirections[] = {
	{ .name = "tdx_get_ve_info", .to = pv_ve_get_info, .ops = OPS },
	{ .name = "tdx_handle_virt_exception", .to = handle, .ops = OPS },
};

static int begin_redirection(struct redirection *r)
{
	int ret = ftrace_set_filter(&r->ops, r->name, strlen(r->name), 0);

	if (!ret)
		ret = register_ftrace_function(&r->ops);
	if (ret)
		ftrace_free_filter(&r->ops);
	return ret;
}

static void end_redirections(int count)
{
	while (count-- > 0) {
		unregister_ftrace_function(&redirections[count].ops);
		ftrace_free_filter(&redirections[count].ops);
	}
}

int pv_ve_attach(void)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(redirections); i++) {
		ret = begin_redirection(&redirections[i]);
		if (!ret)
			continue;
		if (ret == -EBUSY)
			pr_err("%s is taken: end the livepatch that has it, or set kernel.ftrace_enabled=1\n",
			       redirections[i].name);
		else
			pr_err("cannot redirect %s (%d)\n", redirections[i].name, ret);
		end_redirections(i);
		return ret;
	}
	return 0;
}

/* Does not grow when nobody enters, so zero is for good. */
static int count_inside(void)
{
	int number, sum = 0;

	for_each_possible_cpu(number)
		sum += *per_cpu_ptr(&inside, number);
	return sum;
}

/*
 * Delivery is off on every CPU: nobody enters the handler any more.  Who is in
 * there has passed one place when the next step is made:
 *
 * - From our first function to the count in our second one preemption is off,
 *   and synchronize_rcu() waits for that.  Without our second function, who
 *   came through our first one would end in the kernel's.
 * - Then ftrace can let go of them.
 * - Those that slept in the second have been woken, and leave when they run.
 * - Behind the count are a few more instructions, in which a task may be
 *   preempted (synchronize_rcu_tasks() waits for it); where it cannot be, as
 *   in an interrupt or the idle task, synchronize_rcu() waits.
 */
void pv_ve_detach(void)
{
	synchronize_rcu();
	end_redirections(ARRAY_SIZE(redirections));
	while (count_inside())
		msleep(10);
	synchronize_rcu_tasks();
	synchronize_rcu();
}
