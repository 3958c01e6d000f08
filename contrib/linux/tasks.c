// SPDX-License-Identifier: GPL-2.0-or-later
/* All tasks, by their numbers, as a module can find them */
#include "driver.h"

#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

/* The first one that has this number or a higher one, which becomes *number; held */
struct task_struct *pv_ve_task_from(int *number)
{
	struct task_struct *task = NULL;
	struct pid *pid;

	rcu_read_lock();
	while (!task && (pid = find_ge_pid(*number, &init_pid_ns))) {
		*number = pid_nr(pid);
		task = get_pid_task(pid, PIDTYPE_PID);
		*number += !task;
	}
	rcu_read_unlock();
	return task;
}
