// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which of the kernel's own pages were used last, by what lies on its stacks.
 *
 * The kernel's image and all of RAM are mapped by large pages, whose accessed bits say
 * nothing.  But each call leaves its return address, and what a function had in its
 * registers, in the whole stack of the task that called, and in that of interrupts: also
 * those that have returned, until others take their place.  What looks like an address
 * there is taken for one; and what stands before a return address, for a call.
 *
 * The stacks of all tasks that ran lately are looked at by the worker, and for a while
 * after a migration was announced that of the running one by a timer on each CPU.
 */
#include "driver.h"

#include <linux/bitops.h>
#include <linux/cpu.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/pgtable.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include <asm/current.h>
#include <asm/page.h>
#include <asm/text-patching.h>

#define IMAGE_PAGES	((MODULES_END - __START_KERNEL_map) >> PAGE_SHIFT)
#define SAMPLE_NS	NSEC_PER_MSEC
#define SAMPLES		4000

static unsigned long *image;		/* a bit for each page of kernel and modules */

static bool in_image(unsigned long address)
{
	return address >= __START_KERNEL_map && address < MODULES_END;
}

static void mark(unsigned long address)
{
	unsigned long page = (address - __START_KERNEL_map) >> PAGE_SHIFT;

	if (!test_bit(page, image))
		set_bit(page, image);
}

/* With the function that was called, if this is a return address */
static void look_at_code(unsigned long address)
{
	u8 call[CALL_INSN_SIZE];
	unsigned long target;

	mark(address);
	if (copy_from_kernel_nofault(call, (void *)(address - sizeof(call)), sizeof(call)) ||
	    call[0] != CALL_INSN_OPCODE)
		return;
	target = address + (s32)get_unaligned((u32 *)&call[1]);
	if (in_image(target))
		mark(target);
}

static void look_at_word(unsigned long word)
{
	if (in_image(word))
		look_at_code(word);
}

/* ---- Of all tasks, and of CPUs ---- */

static void look_at_copy(unsigned long address)
{
	static unsigned long copy[PAGE_SIZE / sizeof(long)];
	int i;

	if (copy_from_kernel_nofault(copy, (void *)address, PAGE_SIZE))
		return;
	for (i = 0; i < ARRAY_SIZE(copy); i++) {
		look_at_word(copy[i]);
		if (copy[i] >= PAGE_OFFSET && !in_image(copy[i]) && virt_addr_valid(copy[i]))
			pv_ve_used(__pa(copy[i]) >> PAGE_SHIFT, PV_VE_USED_SMALL);
	}
}

/* By copies that survive any fault: it may be gone. */
void pv_ve_look_at_stack(unsigned long stack, unsigned long size)
{
	unsigned long address;

	if (!image || !pv_ve_looks_for_used())
		return;
	for (address = stack; address < stack + size; address += PAGE_SIZE)
		look_at_copy(address);
}

/* ---- Of the task that runs ---- */

struct sampler {
	struct hrtimer timer;
	int left;
};

static DEFINE_PER_CPU(struct sampler, samplers);

static void look_at_own(const unsigned long *word, unsigned long size)
{
	for (; size; size -= sizeof(*word))
		look_at_word(READ_ONCE_NOCHECK(*word++));
}

static enum hrtimer_restart sample(struct hrtimer *timer)
{
	struct sampler *sampler = container_of(timer, struct sampler, timer);

	if (!pv_ve_is_announced() || !sampler->left--)
		return HRTIMER_NORESTART;
	look_at_own(task_stack_page(current), THREAD_SIZE);
	look_at_own(this_cpu_read(pcpu_hot.hardirq_stack_ptr) + sizeof(long) - IRQ_STACK_SIZE,
		    IRQ_STACK_SIZE);
	hrtimer_forward_now(timer, ns_to_ktime(SAMPLE_NS));
	return HRTIMER_RESTART;
}

static void start_sampler(void *unused)
{
	struct sampler *sampler = this_cpu_ptr(&samplers);

	sampler->left = SAMPLES;
	hrtimer_init(&sampler->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	sampler->timer.function = sample;
	hrtimer_start(&sampler->timer, ns_to_ktime(SAMPLE_NS), HRTIMER_MODE_REL_PINNED_HARD);
}

void pv_ve_stacks_begin(void)
{
	if (!pv_ve_looks_for_used())
		return;
	image = vzalloc(BITS_TO_LONGS(IMAGE_PAGES) * sizeof(long));
	if (image)
		on_each_cpu(start_sampler, NULL, 1);
}

void pv_ve_stacks_end(void)
{
	int number;

	if (!image)
		return;
	for_each_possible_cpu(number) {
		struct sampler *sampler = per_cpu_ptr(&samplers, number);

		if (sampler->timer.function)
			hrtimer_cancel(&sampler->timer);
	}
	vfree(image);
	image = NULL;
}

bool pv_ve_is_on_stack(unsigned long address)
{
	return image && test_bit((address - __START_KERNEL_map) >> PAGE_SHIFT, image);
}
