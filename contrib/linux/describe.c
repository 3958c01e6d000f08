// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What this kernel cannot run without, most urgent first: lists may run out.
 *
 * Tasks are found by their numbers, and none is held longer than it is looked at: this
 * may sleep at any place, where it is overtaken by the switch and its own page is missing.
 */
#include "driver.h"

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/vmalloc.h>
#include <asm/current.h>
#include <asm/processor.h>

#define RECENT	NSEC_PER_SEC

/* Only the address means something: what was there may be gone. */
static void name_page_at(unsigned long address, unsigned int class)
{
	struct page *page;

	if (virt_addr_valid(address)) {
		pv_ve_name(__pa(address) >> PAGE_SHIFT, 1, class);
	} else if (is_vmalloc_or_module_addr((void *)address)) {
		page = vmalloc_to_page((void *)address);
		if (page)
			pv_ve_name(page_to_pfn(page), 1, class);
	}
}

static void name_memory(const void *start, size_t size, unsigned int class)
{
	unsigned long address = (unsigned long)start & PAGE_MASK;

	for (; address < (unsigned long)start + size; address += PAGE_SIZE)
		name_page_at(address, class);
}

/* ---- CPUs ---- */

/*
 * The first chunk of a CPU's area; a module's variables lie behind the kernel's.  The
 * stacks of interrupts are in there.
 */
static void name_cpu_area(int number)
{
	unsigned long base = per_cpu_offset(number);
	unsigned long ours = (unsigned long)per_cpu_ptr(&pv_ve_cpus, number) - base;
	size_t size = ours + PERCPU_MODULE_RESERVE + PERCPU_DYNAMIC_RESERVE;

	name_memory((void *)base, min(size, PMD_SIZE), PV_VE_CLASS_NOW);
}

static void look_at_interrupt_stack(int number)
{
	unsigned long end = (unsigned long)per_cpu(pcpu_hot.hardirq_stack_ptr, number) + 8;

	pv_ve_look_at_stack(end - IRQ_STACK_SIZE, IRQ_STACK_SIZE);
}

static void name_cpus(void)
{
	int number;

	for_each_online_cpu(number) {
		const struct pv_ve_cpu *cpu = per_cpu_ptr(&pv_ve_cpus, number);

		name_cpu_area(number);
		look_at_interrupt_stack(number);
		if (!cpu->info || !cpu->page)
			continue;
		name_memory(cpu->info, PV_VE_AREA_SIZE, PV_VE_CLASS_NOW);
		name_memory(cpu->page, PV_VE_AREA_SIZE, PV_VE_CLASS_NOW);
	}
}

static void name_module(void)
{
	for_each_mod_mem_type(type)
		name_memory(THIS_MODULE->mem[type].base, THIS_MODULE->mem[type].size,
			    PV_VE_CLASS_NOW);
}

/* ---- Tasks ---- */

/* exec_start is the clock of the CPU on which the task ran; they go nearly alike. */
static unsigned int class_of(const struct task_struct *task, u64 now)
{
	if (READ_ONCE(task->on_cpu) || READ_ONCE(task->on_rq))
		return PV_VE_CLASS_NOW;
	if ((s64)(now - READ_ONCE(task->se.exec_start)) < RECENT)
		return PV_VE_CLASS_RECENT;
	return PV_VE_CLASS_REST;
}

/* Of that of its threads that ran last */
static unsigned int class_of_process(struct task_struct *leader, u64 now)
{
	unsigned int class = PV_VE_CLASS_REST;
	struct task_struct *thread;

	rcu_read_lock();
	for_each_thread(leader, thread)
		class = min(class, class_of(thread, now));
	rcu_read_unlock();
	return class;
}

/* From where a task that is not running left it */
static void name_stack(struct task_struct *task, unsigned int class)
{
	unsigned long stack = (unsigned long)READ_ONCE(task->stack);
	unsigned long pointer = READ_ONCE(task->thread.sp) & PAGE_MASK;
	unsigned long address;

	if (!stack)
		return;
	if (class <= PV_VE_CLASS_RECENT)
		pv_ve_look_at_stack(stack, THREAD_SIZE);
	if (READ_ONCE(task->on_cpu) || pointer < stack || pointer >= stack + THREAD_SIZE)
		pointer = stack;
	/* The scheduler looks whether its end is as it was. */
	name_page_at(stack, class);
	for (address = pointer; address < stack + THREAD_SIZE; address += PAGE_SIZE)
		name_page_at(address, class);
}

static void name_task(struct task_struct *task, unsigned int class)
{
	name_memory(task, sizeof(*task), class);
	name_stack(task, class);
	name_page_at((unsigned long)READ_ONCE(task->signal), class);
	name_page_at((unsigned long)READ_ONCE(task->sighand), class);
	name_page_at((unsigned long)READ_ONCE(task->files), class);
}

static void name_process(struct task_struct *leader, unsigned int class)
{
	struct mm_struct *mm = get_task_mm(leader);

	if (!mm)
		return;
	name_memory(mm, sizeof(*mm), class);
	pv_ve_name_tables_of(mm, class);
	mmput_async(mm);
}

static void name_tasks(unsigned int class, u64 now)
{
	struct task_struct *task;
	int number = 1;

	while (pv_ve_is_announced() && (task = pv_ve_task_from(&number))) {
		number++;
		if (class_of(task, now) == class)
			name_task(task, class);
		if (thread_group_leader(task) && class_of_process(task, now) == class)
			name_process(task, class);
		put_task_struct(task);
		cond_resched();
	}
}

/* Idle ones have no number, and are there as long as the machine. */
static void name_idle_tasks(void)
{
	int number;

	for_each_online_cpu(number) {
		struct task_struct *task = READ_ONCE(per_cpu(pcpu_hot, number).current_task);

		rcu_read_lock();
		if (is_idle_task(task))
			name_task(task, PV_VE_CLASS_NOW);
		rcu_read_unlock();
	}
}

void pv_ve_describe(void)
{
	u64 now = READ_ONCE(current->se.exec_start);

	pv_ve_heat_look();
	name_module();
	name_cpus();
	pv_ve_name_entry_area();
	name_idle_tasks();
	name_tasks(PV_VE_CLASS_NOW, now);
	pv_ve_name_kernel_tables();
	name_tasks(PV_VE_CLASS_RECENT, now);
	pv_ve_name_used_image();
	pv_ve_name_used_page_structs();
	pv_ve_name_used(PV_VE_USED_SMALL, PV_VE_CLASS_RECENT);
	pv_ve_name_used(PV_VE_USED_LARGE, PV_VE_CLASS_REST);
	name_tasks(PV_VE_CLASS_REST, now);
	pv_ve_name_image();
	pv_ve_name_page_structs();
	pv_ve_name_kernel_memory();
	pv_ve_looked_for_used();
}
