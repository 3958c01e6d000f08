// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Negotiation, each CPU for itself.
 *
 * CPU hotplug calls us on the CPU in question, when it is up and before it
 * goes.  What a CPU agreed on is agreed again after each pause, as the host may
 * be another one then.
 */
#include "driver.h"

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/smp.h>
#include <asm/msr.h>

DEFINE_PER_CPU(struct pv_ve_cpu, pv_ve_cpus);

static DEFINE_MUTEX(state_lock);
static int hotplug_state;
static int paused;		/* how often; also under the CPU hotplug lock */

static int set(u32 msr, u64 value)
{
	return wrmsrl_safe(pv_ve_host.first_msr + msr, value);
}

static u64 control(void)
{
	u64 value = PV_VE_CTL_ENABLE;

	if (pv_ve_host.features & PV_VE_F_CPL0)
		value |= PV_VE_CTL_CPL0;
	return value;
}

/* On the CPU.  One has the lists of all: the one that never goes. */
static void tell_lists(const struct pv_ve_cpu *cpu)
{
	u64 lists = pv_ve_lists_head();

	if (lists && !cpu->number && set(PV_VE_MSR_URGENT, lists))
		pr_warn("the host refuses lists of urgent pages\n");
}

/* On the CPU, interrupts off */
static void enable(void *unused)
{
	struct pv_ve_cpu *cpu = this_cpu_ptr(&pv_ve_cpus);

	guard(raw_spinlock_irqsave)(&cpu->lock);
	if (cpu->enabled || !cpu->info || !cpu->page)
		return;
	memset(cpu->info, 0, PV_VE_AREA_SIZE);
	memset(cpu->page, 0, PV_VE_AREA_SIZE);
	pv_ve_kvm_off(cpu);
	cpu->enabled = !set(PV_VE_MSR_CONTROL, 0) &&
		       !set(PV_VE_MSR_FEATURES, pv_ve_host.features) &&
		       !set(PV_VE_MSR_INFO_AREA, virt_to_phys(cpu->info)) &&
		       !set(PV_VE_MSR_PV_PAGE, virt_to_phys(cpu->page)) &&
		       !set(PV_VE_MSR_NOTIFY, pv_ve_notify_of(cpu)) &&
		       !set(PV_VE_MSR_CONTROL, control());
	if (cpu->enabled) {
		tell_lists(cpu);
		return;
	}
	set(PV_VE_MSR_FEATURES, 0);
	pv_ve_kvm_restore(cpu);
	pr_warn("CPU %d: the host refuses\n", cpu->number);
}

/* On the CPU, interrupts off.  Tasks that nobody would run again may sleep on. */
static void disable(void *wake)
{
	struct pv_ve_cpu *cpu = this_cpu_ptr(&pv_ve_cpus);

	guard(raw_spinlock_irqsave)(&cpu->lock);
	if (!cpu->enabled)
		return;
	set(PV_VE_MSR_CONTROL, 0);
	set(PV_VE_MSR_INFO_AREA, 0);
	set(PV_VE_MSR_PV_PAGE, 0);
	set(PV_VE_MSR_NOTIFY, 0);
	set(PV_VE_MSR_FEATURES, 0);		/* URGENT is 0, too, then */
	cpu->enabled = false;
	cpu->epoch++;
	if (wake)
		pv_ve_wake_all(cpu);
	pv_ve_kvm_restore(cpu);
}

static int cpu_up(unsigned int number)
{
	struct pv_ve_cpu *cpu = per_cpu_ptr(&pv_ve_cpus, number);

	if (!cpu->info)
		cpu->info = (void *)get_zeroed_page(GFP_KERNEL);
	if (!cpu->page)
		cpu->page = (void *)get_zeroed_page(GFP_KERNEL);
	pv_ve_aim(cpu);
	if (!paused)
		smp_call_function_single(number, enable, NULL, 1);
	return 0;		/* without us the CPU runs as ever */
}

static int cpu_down(unsigned int number)
{
	smp_call_function_single(number, disable, (void *)true, 1);
	return 0;
}

static int count_enabled(void)
{
	int number, count = 0;

	for_each_online_cpu(number)
		count += per_cpu_ptr(&pv_ve_cpus, number)->enabled;
	return count;
}

static void do_nothing(void *unused)
{
}

void pv_ve_cpus_init(void)
{
	int number;

	for_each_possible_cpu(number) {
		struct pv_ve_cpu *cpu = per_cpu_ptr(&pv_ve_cpus, number);

		raw_spin_lock_init(&cpu->lock);
		INIT_CSD(&cpu->nudge, do_nothing, NULL);
		cpu->number = number;
	}
}

int pv_ve_start(void)
{
	int ret;

	guard(mutex)(&state_lock);
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "pv_ve:online", cpu_up, cpu_down);
	if (ret < 0)
		return ret;
	hotplug_state = ret;
	pr_info("%d CPUs take #VE for missing pages%s\n", count_enabled(),
		pv_ve_host.features & PV_VE_F_CPL0 ? "" : ", in user mode only");
	return 0;
}

/* Ends delivery everywhere.  No task of ours sleeps any more. */
void pv_ve_stop(void)
{
	guard(mutex)(&state_lock);
	if (hotplug_state)
		cpuhp_remove_state(hotplug_state);
	hotplug_state = 0;
}

/* All tasks that sleep are woken. */
void pv_ve_pause(void)
{
	guard(mutex)(&state_lock);
	cpus_read_lock();
	if (!paused++)
		on_each_cpu(disable, (void *)true, 1);
	cpus_read_unlock();
}

void pv_ve_resume(void)
{
	guard(mutex)(&state_lock);
	cpus_read_lock();
	if (!--paused && hotplug_state)
		on_each_cpu(enable, NULL, 1);
	cpus_read_unlock();
}

/*
 * The machine goes down, perhaps into another kernel.  Who sleeps here sleeps on: to try
 * the access again would stop the CPU, and with it the way down.  The lock may be held by
 * one who sleeps; nobody else pauses now.
 */
void pv_ve_leave(void)
{
	paused++;
	on_each_cpu(disable, NULL, 1);
}

/* This CPU goes to a crash kernel, perhaps from the midst of the functions above. */
void pv_ve_abandon(void)
{
	set(PV_VE_MSR_CONTROL, 0);
	if (pv_ve_host.features & PV_VE_F_URGENT)
		set(PV_VE_MSR_URGENT, 0);
}

void pv_ve_free(void)
{
	int number;

	for_each_possible_cpu(number) {
		struct pv_ve_cpu *cpu = per_cpu_ptr(&pv_ve_cpus, number);

		free_page((unsigned long)cpu->info);
		free_page((unsigned long)cpu->page);
	}
}
