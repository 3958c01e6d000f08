// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fault's life in its slot: parked, waited for, notified.
 *
 * A task that sleeps is known by the cookie of its slot, which points to its
 * own stack.  Whoever takes it out of there, under the CPU's lock, gives it its
 * result: the notification, the end of delivery, or the task itself when it
 * has a signal.
 */
#include "driver.h"

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/blkdev.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <asm/msr.h>

#include "trace.h"

struct sleeper {
	struct task_struct *task;	/* NULL: the CPU itself, halted */
	enum pv_ve_result result;
};

static u32 generation_of(u32 word)
{
	return word >> PV_VE_STATE_BITS;
}

static bool is_parked(u32 word)
{
	return (word & PV_VE_STATE_MASK) == PV_VE_PARKED;
}

static void acknowledge(struct pv_ve_slot *slot, u32 generation)
{
	smp_store_release(&slot->guest, PV_VE_WORD(generation, PV_VE_ACKED));
}

/* The next #VE may come. */
void pv_ve_release(struct pv_ve_cpu *cpu)
{
	smp_store_release(&cpu->info->busy, 0);
	preempt_enable();
}

/* Under the CPU's lock.  If not, the slot may be another fault's by now. */
static bool is_current(const struct pv_ve_fault *f)
{
	return f->cpu->enabled && f->cpu->epoch == f->epoch;
}

/* The task is parked, unless the result is known already. */
static enum pv_ve_result enter_slot(const struct pv_ve_fault *f, struct sleeper *s)
{
	struct pv_ve_slot *slot = pv_ve_slot(f);

	guard(raw_spinlock_irqsave)(&f->cpu->lock);
	if (!is_current(f))
		return PV_VE_RETRY;
	slot->cookie[0] = (unsigned long)s;
	WRITE_ONCE(slot->guest, PV_VE_WORD(f->generation, PV_VE_PARKED));
	smp_mb();			/* mark, then look; the host does the same */
	s->result = pv_ve_look(slot, f->generation);
	if (s->result != PV_VE_OPEN)
		acknowledge(slot, f->generation);
	return s->result;
}

/*
 * Looks at the slot itself: the notification may be late or lost, or its handler be
 * what sleeps here.
 */
static bool is_done(const struct pv_ve_fault *f, struct sleeper *s)
{
	guard(raw_spinlock_irqsave)(&f->cpu->lock);
	if (s->result == PV_VE_OPEN && is_current(f)) {
		s->result = pv_ve_look(pv_ve_slot(f), f->generation);
		if (s->result != PV_VE_OPEN)
			acknowledge(pv_ve_slot(f), f->generation);
	}
	return s->result != PV_VE_OPEN;
}

/* The task does not wait any more. */
static void leave_slot(const struct pv_ve_fault *f, struct sleeper *s)
{
	guard(raw_spinlock_irqsave)(&f->cpu->lock);
	if (s->result != PV_VE_OPEN)
		return;
	if (is_current(f))
		acknowledge(pv_ve_slot(f), f->generation);
	s->result = PV_VE_RETRY;
	pv_ve_inc(PV_VE_N_ABANDONED);
}

/* What makes schedule() do more for a task that sleeps than for one that is preempted */
#define SLEEP_WORK (PF_WQ_WORKER | PF_IO_WORKER | PF_BLOCK_TS)

/*
 * schedule() without that.  The kernel's code may be anywhere between two instructions:
 * putting together the very request that a flush of its plug would submit, or about to tell
 * a worker's pool that the worker runs.  As for a task that is preempted, the plug keeps
 * its requests, and the pool counts the worker as one that runs.  Nobody else looks
 * at the plug of this task or changes its flags.
 */
static void schedule_as_preempted(void)
{
	struct blk_plug *plug = current->plug;
	unsigned int flags = current->flags & SLEEP_WORK;

	current->plug = NULL;
	current->flags &= ~SLEEP_WORK;
	schedule();
	current->flags |= flags;
	current->plug = plug;
}

static void sleep(const struct pv_ve_fault *f, struct sleeper *s, unsigned int state)
{
	set_current_state(state);
	pv_ve_release(f->cpu);
	while (!is_done(f, s)) {
		if (signal_pending_state(state, current)) {
			leave_slot(f, s);
			break;
		}
		schedule_as_preempted();
		set_current_state(state);
	}
	__set_current_state(TASK_RUNNING);
}

/*
 * In user mode any signal ends the sleep; the access is tried again after it.
 * In the kernel none does, nor does the task count as hung or as load.
 */
static enum pv_ve_result park(const struct pv_ve_fault *f, bool user)
{
	struct sleeper s = { .task = current };
	enum pv_ve_result result = enter_slot(f, &s);

	if (result != PV_VE_OPEN) {
		pv_ve_inc(PV_VE_N_AT_ONCE);
		pv_ve_release(f->cpu);
		return result;
	}
	pv_ve_inc(user ? PV_VE_N_PARKED_USER : PV_VE_N_PARKED_KERNEL);
	sleep(f, &s, user ? TASK_INTERRUPTIBLE : TASK_IDLE);
	return s.result;
}

/* ---- Tasks asleep in the kernel, which cannot be frozen ---------------------- */

static atomic_t asleep_in_kernel;
static bool kernel_stays_awake;

/* Each side writes its own, then looks at the other's: no sleeper is overlooked. */
static bool begin_kernel_sleep(void)
{
	atomic_inc(&asleep_in_kernel);
	smp_mb__after_atomic();
	if (!READ_ONCE(kernel_stays_awake))
		return true;
	atomic_dec(&asleep_in_kernel);
	return false;
}

bool pv_ve_any_in_kernel(void)
{
	return atomic_read(&asleep_in_kernel);
}

void pv_ve_keep_kernel_awake(bool awake)
{
	WRITE_ONCE(kernel_stays_awake, awake);
	smp_mb();		/* before pv_ve_any_in_kernel() */
}

enum pv_ve_result pv_ve_park(const struct pv_ve_fault *f, bool user)
{
	enum pv_ve_result result;

	if (user)
		return park(f, user);
	if (!begin_kernel_sleep())
		return pv_ve_wait(f);
	result = park(f, user);
	atomic_dec(&asleep_in_kernel);
	return result;
}

/* ---- CPUs that wait --------------------------------------------------------- */

static bool still_waits(const struct pv_ve_fault *f)
{
	guard(raw_spinlock_irqsave)(&f->cpu->lock);
	return is_current(f) && pv_ve_look(pv_ve_slot(f), f->generation) == PV_VE_OPEN;
}

static enum pv_ve_result end_wait(const struct pv_ve_fault *f)
{
	guard(raw_spinlock_irqsave)(&f->cpu->lock);
	if (!is_current(f))
		return PV_VE_RETRY;
	acknowledge(pv_ve_slot(f), f->generation);
	return pv_ve_look(pv_ve_slot(f), f->generation);
}

/* The host is asked again after each interrupt, which leaves the guest. */
static enum pv_ve_result wait_by_msr(const struct pv_ve_fault *f)
{
	while (still_waits(f)) {
		if (!(pv_ve_host.features & PV_VE_F_WAIT) ||
		    wrmsrl_safe(pv_ve_host.first_msr + PV_VE_MSR_WAIT,
				PV_VE_WAIT(f->slot, f->generation)))
			cpu_relax();
	}
	return end_wait(f);
}

/*
 * Parked, as a task is; the notification ends the halt if no other interrupt does.  None
 * comes between the look and the halt.
 */
static enum pv_ve_result wait_by_halt(const struct pv_ve_fault *f)
{
	struct sleeper s = { };
	enum pv_ve_result result = enter_slot(f, &s);

	if (result != PV_VE_OPEN)
		return result;
	local_irq_disable();
	while (!is_done(f, &s)) {
		safe_halt();
		local_irq_disable();
	}
	local_irq_enable();
	return s.result;
}

/* In the midst of an interrupt, the notification may have to wait for the end of that. */
static bool takes_notification(void)
{
	return !irqs_disabled() && !in_hardirq();
}

/*
 * Nothing else can run on this CPU but interrupts.  The busy word stays set:
 * #VE in one of them would only wait as well, on the same stack.
 */
enum pv_ve_result pv_ve_wait(const struct pv_ve_fault *f)
{
	enum pv_ve_result result;

	pv_ve_inc(PV_VE_N_WAITED);
	result = takes_notification() ? wait_by_halt(f) : wait_by_msr(f);
	pv_ve_release(f->cpu);
	return result;
}

/* Another CPU may have the notification: the lock orders this after the halted one's look. */
static void end_halt(struct pv_ve_cpu *cpu)
{
	if (cpu->number != raw_smp_processor_id())
		smp_call_function_single_async(cpu->number, &cpu->nudge);
}

/* Under the CPU's lock; the sleeper's stack may be gone after the store. */
static void wake(struct pv_ve_cpu *cpu, struct pv_ve_slot *slot, enum pv_ve_result result)
{
	struct sleeper *s = (struct sleeper *)(unsigned long)slot->cookie[0];
	struct task_struct *task = s->task;

	acknowledge(slot, generation_of(slot->guest));
	rcu_read_lock();
	smp_store_release(&s->result, result);
	if (task)
		wake_up_process(task);
	else
		end_halt(cpu);
	rcu_read_unlock();
}

static bool wake_if_done(struct pv_ve_cpu *cpu, struct pv_ve_slot *slot)
{
	u32 word = slot->guest;
	enum pv_ve_result result = pv_ve_look(slot, generation_of(word));

	if (!is_parked(word) || result == PV_VE_OPEN)
		return false;		/* left over from an earlier fault */
	wake(cpu, slot, result);
	return true;
}

/* The notification: wake all whose page has come or failed. */
void pv_ve_take_done(struct pv_ve_cpu *cpu)
{
	unsigned int woken = 0;
	int i;

	guard(raw_spinlock_irqsave)(&cpu->lock);
	if (!cpu->enabled)
		return;
	for (i = 0; i < ARRAY_SIZE(cpu->page->done); i++) {
		unsigned long bits, s;

		if (!READ_ONCE(cpu->page->done[i]))
			continue;
		bits = xchg(&cpu->page->done[i], 0);
		for_each_set_bit(s, &bits, BITS_PER_LONG)
			if (64 * i + s < PV_VE_SLOTS)
				woken += wake_if_done(cpu, &cpu->page->slot[64 * i + s]);
	}
	cpu->count[PV_VE_N_NOTIFIED]++;
	trace_pv_ve_notify(cpu->number, woken);
}

/* Delivery has ended, under the CPU's lock: all try again. */
void pv_ve_wake_all(struct pv_ve_cpu *cpu)
{
	int s;

	for (s = 0; s < PV_VE_SLOTS; s++)
		if (is_parked(cpu->page->slot[s].guest))
			wake(cpu, &cpu->page->slot[s], PV_VE_RETRY);
}
