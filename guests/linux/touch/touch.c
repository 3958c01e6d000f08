// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code of a module that touches a page, in ways that others do: who reads its parameter
 *
 *   value      makes it do so,
 *   atomic     with preemption off,
 *   deaf       so, and with no interrupt let through but those of other CPUs,
 *   interrupt  in the midst of an interrupt that lets others come,
 *   across     in a load that begins in the page before, and does without the rest,
 *   within     in such a load that begins in the page itself,
 *   fetch      because an instruction that may fail is in it, not its operand.
 *
 * `gpa` tells which page that is, `code` which page of fetch.
 *
 * Loaded with `hold=1`, it stops who takes #VE, on its way to the handler, for as long as
 * touch_hold in debugfs is set: who touches the page has the lock of all parameters.
 */
#include <linux/debugfs.h>
#include <linux/ftrace.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/objtool.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <asm/asm.h>
#include <asm/word-at-a-time.h>

static char *before;		/* a page of ones, and behind it */
static u64 *page;

static int get_value(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%llu\n", READ_ONCE(*page));
}

static int get_atomic(char *buffer, const struct kernel_param *param)
{
	u64 value;

	preempt_disable();
	value = READ_ONCE(*page);
	preempt_enable();
	return sysfs_emit(buffer, "%llu\n", value);
}

/* The highest class of vectors that does not come: a device's or the timer's at most */
#define BELOW_OTHER_CPUS	0xeul

static unsigned long swap_task_priority(unsigned long priority)
{
	unsigned long before;

	asm volatile("mov %%cr8, %0" : "=r" (before));
	asm volatile("mov %0, %%cr8" : : "r" (priority) : "memory");
	return before;
}

static int get_deaf(char *buffer, const struct kernel_param *param)
{
	unsigned long priority;
	u64 value;

	preempt_disable();
	priority = swap_task_priority(BELOW_OTHER_CPUS);
	value = READ_ONCE(*page);
	swap_task_priority(priority);
	preempt_enable();
	return sysfs_emit(buffer, "%llu\n", value);
}

static u64 found;

static void touch_in_interrupt(struct irq_work *work)
{
	local_irq_enable();
	found = READ_ONCE(*page);
	local_irq_disable();
}

static struct irq_work work = IRQ_WORK_INIT_HARD(touch_in_interrupt);

static int get_interrupt(char *buffer, const struct kernel_param *param)
{
	irq_work_queue(&work);
	irq_work_sync(&work);
	return sysfs_emit(buffer, "%llu\n", found);
}

static int get_across(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%#lx\n", load_unaligned_zeropad((char *)page - 3));
}

static int get_within(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%lu\n", load_unaligned_zeropad(page));
}

/* It alone is in its page; 0 if the exception table was asked. */
u64 touch_fetch(const u64 *operand);
asm("	.pushsection .text\n"
    "	.p2align 12, 0xcc\n"
    "	.type touch_fetch, @function\n"
    "touch_fetch:\n"
    ANNOTATE_NOENDBR
    "1:	mov (%rdi), %rax\n"
    "	" ASM_RET
    "2:	xor %eax, %eax\n"
    "	" ASM_RET
    "	.size touch_fetch, . - touch_fetch\n"
    "	.p2align 12, 0xcc\n"
    "	.popsection\n"
    _ASM_EXTABLE(1b, 2b));

static int get_fetch(char *buffer, const struct kernel_param *param)
{
	u64 operand = 42;

	return sysfs_emit(buffer, "%llu\n", touch_fetch(&operand));
}

static int get_code(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%#llx\n",
			  (u64)page_to_phys(vmalloc_to_page((void *)touch_fetch)));
}

static int get_gpa(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%#llx\n", (u64)virt_to_phys(page));
}

static const struct kernel_param_ops value_ops = { .get = get_value };
static const struct kernel_param_ops atomic_ops = { .get = get_atomic };
static const struct kernel_param_ops deaf_ops = { .get = get_deaf };
static const struct kernel_param_ops interrupt_ops = { .get = get_interrupt };
static const struct kernel_param_ops across_ops = { .get = get_across };
static const struct kernel_param_ops within_ops = { .get = get_within };
static const struct kernel_param_ops fetch_ops = { .get = get_fetch };
static const struct kernel_param_ops code_ops = { .get = get_code };
static const struct kernel_param_ops gpa_ops = { .get = get_gpa };

module_param_cb(value, &value_ops, NULL, 0444);
module_param_cb(atomic, &atomic_ops, NULL, 0444);
module_param_cb(deaf, &deaf_ops, NULL, 0444);
module_param_cb(interrupt, &interrupt_ops, NULL, 0444);
module_param_cb(across, &across_ops, NULL, 0444);
module_param_cb(within, &within_ops, NULL, 0444);
module_param_cb(fetch, &fetch_ops, NULL, 0444);
module_param_cb(code, &code_ops, NULL, 0444);
module_param_cb(gpa, &gpa_ops, NULL, 0444);

static bool hold;
module_param(hold, bool, 0);

/* Preemption is off, what the fault is has been copied, interrupts may come. */
static void hold_here(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
		      struct ftrace_regs *regs)
{
	while (READ_ONCE(hold))
		cpu_relax();
}

static struct ftrace_ops hook = { .func = hold_here };
static bool hooked;

static int hook_handler(void)
{
	static char name[] = "tdx_handle_virt_exception";
	int ret = ftrace_set_filter(&hook, name, strlen(name), 0);

	if (!ret)
		ret = register_ftrace_function(&hook);
	hooked = !ret;
	if (ret)
		ftrace_free_filter(&hook);
	else
		debugfs_create_bool("touch_hold", 0600, NULL, &hold);
	return ret;
}

static void unhook_handler(void)
{
	if (!hooked)
		return;
	debugfs_lookup_and_remove("touch_hold", NULL);
	unregister_ftrace_function(&hook);
	ftrace_free_filter(&hook);
}

static int __init touch_init(void)
{
	int ret;

	before = (char *)__get_free_pages(GFP_KERNEL, 1);
	if (!before)
		return -ENOMEM;
	memset(before, 1, PAGE_SIZE);
	page = (u64 *)(before + PAGE_SIZE);
	*page = 42;
	ret = hold ? hook_handler() : 0;
	if (ret)
		free_pages((unsigned long)before, 1);
	return ret;
}

static void __exit touch_exit(void)
{
	unhook_handler();
	free_pages((unsigned long)before, 1);
}

module_init(touch_init);
module_exit(touch_exit);
MODULE_DESCRIPTION("Touches a page for the tests of pv_ve");
MODULE_LICENSE("GPL");
