// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When this guest describes itself: while a migration is announced, and otherwise never.
 *
 * The interrupt only wakes the worker, which goes on until the announcement is withdrawn.
 * It ends where it finds that, and then looks once more, so that none is missed.
 */
#include "driver.h"

#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/time64.h>
#include <linux/workqueue.h>
#include <asm/current.h>

#define PAUSE_MS	150
#define MAX_SHARE	10		/* of the time, one part in so many is spent on it */

struct pv_ve_description pv_ve_last;

/* Ahead of other tasks, however many there are: the switch may be near. */
static struct workqueue_struct *queue;
static atomic_t active;
static bool begun;			/* of this announcement something was described */

static void describe(struct work_struct *unused);
static DECLARE_DELAYED_WORK(work, describe);

static void describe_once(void)
{
	u64 start = READ_ONCE(current->se.sum_exec_runtime);

	if (!begun) {
		pv_ve_used_begin();
		pv_ve_heat_begin();
		pv_ve_stacks_begin();
		begun = true;
	}
	pv_ve_lists_begin();
	pv_ve_describe();
	if (!pv_ve_is_announced())
		return;			/* perhaps on the target: it is not complete */
	pv_ve_lists_publish();
	pv_ve_lists_counts(&pv_ve_last.pages, &pv_ve_last.left_out);
	pv_ve_last.took_us = (READ_ONCE(current->se.sum_exec_runtime) - start) / NSEC_PER_USEC;
	pv_ve_last.number++;
}

static void describe(struct work_struct *unused)
{
	if (pv_ve_is_announced()) {
		describe_once();
		queue_delayed_work(queue, &work,
				   max(msecs_to_jiffies(PAUSE_MS),
				       usecs_to_jiffies(MAX_SHARE * pv_ve_last.took_us)));
		return;
	}
	pv_ve_stacks_end();
	pv_ve_used_end();
	begun = false;
	pv_ve_lists_withdraw();
	atomic_set(&active, 0);
	smp_mb__after_atomic();		/* mark, then look; the interrupt does the reverse */
	pv_ve_urgent_look();
}

/* In the interrupt */
void pv_ve_urgent_look(void)
{
	if (pv_ve_lists_head() && pv_ve_is_announced() && !atomic_xchg(&active, 1))
		queue_delayed_work(queue, &work, 0);
}

void pv_ve_urgent_begin(void)
{
	if (!(pv_ve_host.features & PV_VE_F_URGENT))
		return;
	queue = alloc_workqueue(KBUILD_MODNAME, WQ_UNBOUND | WQ_HIGHPRI, 1);
	if (!queue || !pv_ve_lists_init())
		pv_ve_host.features &= ~PV_VE_F_URGENT;
}

/* No interrupt comes any more, and the host knows of no list. */
void pv_ve_urgent_end(void)
{
	cancel_delayed_work_sync(&work);
	if (queue)
		destroy_workqueue(queue);
	queue = NULL;
	pv_ve_stacks_end();
	pv_ve_used_end();
	pv_ve_lists_free();
}
