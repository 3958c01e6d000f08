// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * #VE: the two functions that the kernel's handler of vector 20 calls.
 *
 * The first runs with interrupts off, the second usually with them on.  From
 * the first to the place where the task sleeps or the CPU waits, preemption
 * is off and the busy word is set: a page that is missing for the handler
 * itself (code, data, ftrace's trampoline) then suspends the CPU instead of
 * entering the handler again.
 */
#include "driver.h"

#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/tick.h>
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
 * Code of the kernel or of a module.  All other is left alone: trampolines of ftrace, BPF
 * and kprobes are freed once no task can be preempted in them (RCU-tasks), and a task that
 * sleeps does not count as one that is.
 */
static bool is_text(unsigned long ip)
{
	return (ip >= __START_KERNEL_map && ip < MODULES_VADDR) || pv_ve_in_module(ip);
}

/*
 * Buffered writes are copied to the page cache under kmap_atomic(), which keeps preemption
 * off for mappings that 64-bit kernels do not have.  Nothing else there counts on it, not
 * even as an RCU reader: the writer holds the folio, and its lock.  So if nobody else keeps
 * preemption off, it may be on while the task sleeps.
 */
static bool is_in_file_copy(struct pt_regs *regs)
{
	return !user_mode(regs) && pagefault_disabled() &&
	       preempt_count() == 2 * PREEMPT_DISABLE_OFFSET && pv_ve_in_file_copy(regs);
}

/*
 * May the task sleep here?  In the kernel where it may be preempted, since sleeping does
 * nothing else there (schedule_as_preempted()), unless one of these holds:
 *
 *   no CONFIG_PREEMPTION	code may count on not being preempted
 *   preemption off		spinlocks, interrupts, per-CPU data, the FPU; one is our own,
 *				and one more is the file copy's
 *   RCU reader		a sleeper is not among the readers that are waited for
 *   state not running		about to sleep for another reason: ours would lose its wake-up
 *   sched_rt_mutex		inside of schedule() for an RT mutex, which has one level
 *   non_block_count		a debugging kernel complains: no sleep is expected
 *   idle task			has to be there when nothing else runs
 *   other code than text	see is_text()
 *
 * These are no reasons.  The block plug and workers of workqueues and io_uring keep what they
 * have.  Locks that sleep, SRCU, RCU-tasks-trace, migrate_disable(), the limits of a memory
 * allocation, current->bio_list, PSI's memory stalls: all go with the task over a sleep.
 * pagefault_disable(): it is to keep out the locks of the page fault handler, and we take
 * none.  Who spins for the owner of a mutex stops when that does not run.
 */
static bool may_sleep(struct pt_regs *regs, bool in_file_copy)
{
	if (user_mode(regs))
		return true;
	if (preempt_count() != (1 + in_file_copy) * PREEMPT_DISABLE_OFFSET || rcu_preempt_depth() ||
	    READ_ONCE(current->__state) != TASK_RUNNING || is_idle_task(current))
		return false;
#ifdef CONFIG_RT_MUTEXES
	if (current->sched_rt_mutex)
		return false;
#endif
#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
	if (current->non_block_count)
		return false;
#endif
	return IS_ENABLED(CONFIG_PREEMPTION) && is_text(regs->ip);
}

/*
 * Between two tries where the task cannot sleep: until an interrupt, which is the tick at
 * the latest.  Nothing tells that the page is back, so not where the tick may be off.
 */
static void rest(void)
{
	if (irqs_disabled() || is_idle_task(current) ||
	    tick_nohz_full_cpu(raw_smp_processor_id()))
		cpu_relax();
	else
		halt();
}

/* The page of an access in the kernel never comes. */
static void failed_in_kernel(struct pt_regs *regs, const struct pv_ve_fault *f, bool sleeps)
{
	if (pv_ve_goes_on_without(regs, f))
		return;
	/* No way to go on, but others can.  The page may come back. */
	pr_err_ratelimited("%s[%d]: page %#llx failed, needed at %pS\n", current->comm,
			   current->pid, f->gpa, (void *)regs->ip);
	if (sleeps)
		schedule_timeout_idle(HZ);
	else
		rest();
}

static void page_failed(struct pt_regs *regs, const struct pv_ve_fault *f, bool sleeps)
{
	pv_ve_inc(PV_VE_N_FAILED);
	if (user_mode(regs))
		pv_ve_sigbus(regs, f);
	else
		failed_in_kernel(regs, f, sleeps);
}

bool pv_ve_handle(struct pt_regs *regs, struct ve_info *ve)
{
	struct pv_ve_fault f = {
		.cpu = this_cpu_ptr(&pv_ve_cpus),
		.slot = ve_slot(ve),
		.generation = ve_generation(ve),
		.gpa = ve->gpa,
		.gla = ve->gla,
		.fetch = ve->exit_qual & PV_VE_Q_FETCH,
		.epoch = ve_epoch(ve),
	};
	bool user = user_mode(regs);
	bool in_file_copy = is_in_file_copy(regs);
	bool sleeps = may_sleep(regs, in_file_copy);
	bool gives_back = sleeps && in_file_copy;
	enum pv_ve_result result;

	if (!ve->exit_reason) {
		preempt_enable();
		return true;
	}
	pv_ve_inc(PV_VE_N_DELIVERED);
	trace_pv_ve_fault(regs->ip, user, sleeps, &f, ve->exit_qual);
	/* What kmap_atomic() has added to the count; our own part goes when the task sleeps. */
	if (gives_back)
		preempt_enable();
	result = sleeps ? pv_ve_park(&f, user) : pv_ve_wait(&f);
	trace_pv_ve_end(&f, result);
	if (result == PV_VE_GONE)
		page_failed(regs, &f, sleeps);
	if (gives_back)
		preempt_disable();
	return true;
}
