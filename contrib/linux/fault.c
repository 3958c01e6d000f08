// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * #VE: the two functions that the kernel's handler of vector 20 calls.
 *
 * The first runs with interrupts off, the second usually with them on.  From
 * the first to the place where the task sleeps or the CPU waits, preemption
 * is off and the busy word is set: a page that is missing for the handler
 * itself (code, data, livepatch's trampoline) then suspends the CPU instead of
 * entering the handler again.
 */
#include "driver.h"

#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <asm/tdx.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

/*
 * The fields that the processor's own instructions would need carry ours, and so does
 * the upper half of the qualification, which has no bit there.
 */
#define ve_slot(ve)		((ve)->instr_len)
#define ve_generation(ve)	((ve)->instr_info)
#define ve_epoch(ve)		((ve)->exit_qual >> 32)

void pv_ve_get_info(struct ve_info *ve)
{
	struct pv_ve_cpu *cpu;
	struct pv_ve_info *info;

	preempt_disable();
	cpu = this_cpu_ptr(&pv_ve_cpus);
	info = cpu->info;
	memset(ve, 0, sizeof(*ve));
	if (!info || READ_ONCE(info->busy) != PV_VE_BUSY || info->slot >= PV_VE_SLOTS)
		return;			/* not ours: reason 0 */
	ve->exit_reason = info->reason;
	ve->exit_qual = (u64)cpu->epoch << 32 | lower_32_bits(info->qualification);
	if (info->qualification & PV_VE_Q_GLA_VALID)
		ve->gla = info->gla;
	ve->gpa = info->gpa;
	ve_slot(ve) = info->slot;
	ve_generation(ve) = info->generation;
}

/*
 * May the task sleep here?  Our own preempt_disable() counts one.
 *
 * Kernel code outside of the kernel's image is left alone: it may be a
 * trampoline, which is freed once no task can be preempted in it, and a task
 * that sleeps does not count as preempted.
 */
static bool may_sleep(struct pt_regs *regs)
{
	if (user_mode(regs))
		return true;
	return IS_ENABLED(CONFIG_PREEMPT_COUNT) &&
	       preempt_count() == PREEMPT_DISABLE_OFFSET &&
	       !rcu_preempt_depth() &&
	       READ_ONCE(current->__state) == TASK_RUNNING &&
	       !is_idle_task(current) &&
	       regs->ip >= __START_KERNEL_map && regs->ip < MODULES_VADDR;
}

/*
 * The page of an access in the kernel never comes.  True if the access is to
 * be tried again, false if the exception table knows what to do.
 */
static bool failed_in_kernel(struct pt_regs *regs, const struct pv_ve_fault *f,
			     bool slept)
{
	if (pv_ve_has_fixup(regs->ip))
		return false;
	/* No way to go on, but others can.  The page may come back. */
	pr_err_ratelimited("%s[%d]: page %#llx failed, needed at %pS\n", current->comm,
			   current->pid, f->gpa, (void *)regs->ip);
	if (slept)
		schedule_timeout_idle(HZ);
	return true;
}

bool pv_ve_handle(struct pt_regs *regs, struct ve_info *ve)
{
	struct pv_ve_fault f = {
		.cpu = this_cpu_ptr(&pv_ve_cpus),
		.slot = ve_slot(ve),
		.generation = ve_generation(ve),
		.gpa = ve->gpa,
		.gla = ve->gla,
		.epoch = ve_epoch(ve),
	};
	bool user = user_mode(regs);
	bool sleeps = may_sleep(regs);
	enum pv_ve_result result;

	if (!ve->exit_reason) {
		preempt_enable();
		return true;
	}
	pv_ve_inc(PV_VE_N_DELIVERED);
	trace_pv_ve_fault(regs->ip, user, sleeps, &f, ve->exit_qual);
	result = sleeps ? pv_ve_park(&f, user) : pv_ve_wait(&f);
	trace_pv_ve_end(&f, result);
	if (result != PV_VE_GONE)
		return true;
	pv_ve_inc(PV_VE_N_FAILED);
	if (!user)
		return failed_in_kernel(regs, &f, sleeps);
	pv_ve_sigbus(regs, &f);
	return true;
}
