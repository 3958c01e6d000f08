// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages that never come: SIGBUS for the task, with the address that it used.
 */
#include "driver.h"

#include <linux/extable.h>
#include <linux/irqflags.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/static_call.h>
#include <asm/extable.h>
#include <asm/trapnr.h>

#define BATCH 64

/*
 * Functions of the kernel that are not exported.  A static call is a direct call, so it
 * needs no landing pad there.
 */
static const struct exception_table_entry *no_entry(unsigned long ip)
{
	return NULL;
}

static int no_fixup(struct pt_regs *regs, int trap, unsigned long code, unsigned long address)
{
	return 0;
}

static bool not_in_module(unsigned long ip)
{
	return false;
}

DEFINE_STATIC_CALL(pv_ve_search, no_entry);
DEFINE_STATIC_CALL(pv_ve_fixup, no_fixup);
DEFINE_STATIC_CALL(pv_ve_is_module_text, not_in_module);

/* The probe is never armed: with ftrace off by its sysctl it could not be disarmed. */
static void *find_function(const char *name)
{
	struct kprobe probe = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };

	if (register_kprobe(&probe))
		return NULL;
	unregister_kprobe(&probe);
	return probe.addr;
}

bool pv_ve_find_search(void)
{
	void *search = find_function("search_exception_tables");
	void *fixup = find_function("fixup_exception");
	void *is_module_text = find_function("is_module_text_address");

	if (!search || !fixup)
		return false;
	static_call_update(pv_ve_search, (typeof(&no_entry))search);
	static_call_update(pv_ve_fixup, (typeof(&no_fixup))fixup);
	if (is_module_text)
		static_call_update(pv_ve_is_module_text,
				   (typeof(&not_in_module))is_module_text);
	else
		pr_info("this kernel hides where modules are: they wait for pages\n");
	return true;
}

/*
 * Is the entry for an operand that may be missing?  Others are for what an instruction makes
 * of its operand, and would only hide that it was not there.
 */
static bool is_for_operand(const struct exception_table_entry *entry)
{
	switch (entry->data & EX_DATA_TYPE_MASK) {
	case EX_TYPE_DEFAULT:
	case EX_TYPE_FAULT:
	case EX_TYPE_UACCESS:
	case EX_TYPE_BPF:
	case EX_TYPE_DEFAULT_MCE_SAFE:
	case EX_TYPE_FAULT_MCE_SAFE:
	case EX_TYPE_IMM_REG:
	case EX_TYPE_UCOPY_LEN:
	case EX_TYPE_ZEROPAD:
		return true;
	default:
		return false;
	}
}

/* The kernel's code goes on without what it has not got, if it is made for that. */
bool pv_ve_goes_on_without(struct pt_regs *regs, const struct pv_ve_fault *f)
{
	const struct exception_table_entry *entry = static_call(pv_ve_search)(regs->ip);

	return entry && !f->fetch && is_for_operand(entry) &&
	       static_call(pv_ve_fixup)(regs, X86_TRAP_VE, 0, f->gla);
}

bool pv_ve_in_module(unsigned long ip)
{
	return static_call(pv_ve_is_module_text)(ip);
}

/* Is the page of that frame mapped in one of these pages?  Its index, or -1. */
static int find_in(unsigned long start, int count, unsigned long pfn)
{
	struct page *pages[BATCH];
	int found = -1, got, i;

	got = get_user_pages_fast_only(start, count, 0, pages);
	for (i = 0; i < got; i++) {
		if (page_to_pfn(pages[i]) == pfn)
			found = i;
		put_page(pages[i]);
	}
	return found >= 0 ? found : got > 0 ? -got : -1;
}

/*
 * Behind what has no page tables at this address; the address itself if it has all.  As for
 * get_user_pages_fast_only(), no table is freed while interrupts are off.
 */
static unsigned long skip_hole(struct mm_struct *mm, unsigned long at)
{
	pgd_t *pgd = pgd_offset(mm, at);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	guard(irqsave)();
	if (pgd_none(READ_ONCE(*pgd)))
		return (at & PGDIR_MASK) + PGDIR_SIZE;
	p4d = p4d_offset(pgd, at);
	if (p4d_none(READ_ONCE(*p4d)))
		return (at & P4D_MASK) + P4D_SIZE;
	pud = pud_offset(p4d, at);
	if (pud_none(READ_ONCE(*pud)))
		return (at & PUD_MASK) + PUD_SIZE;
	if (pud_leaf(READ_ONCE(*pud)))
		return at;
	pmd = pmd_offset(pud, at);
	if (pmd_none(READ_ONCE(*pmd)))
		return (at & PMD_MASK) + PMD_SIZE;
	return at;
}

static unsigned long find_in_range(struct mm_struct *mm, unsigned long start,
				   unsigned long end, unsigned long pfn)
{
	while ((start = skip_hole(mm, start)) < end) {
		int count = min_t(unsigned long, BATCH, (end - start) >> PAGE_SHIFT);
		int at = find_in(start, count, pfn);

		if (at >= 0)
			return start + at * PAGE_SIZE;
		start += -at * PAGE_SIZE;
		cond_resched();
		if (fatal_signal_pending(current))
			break;
	}
	return 0;
}

/* Where the task has that frame mapped; slow, but it is about to get SIGBUS. */
static unsigned long find_in_mm(struct mm_struct *mm, unsigned long pfn)
{
	struct vm_area_struct *vma;
	unsigned long found = 0;

	mmap_read_lock(mm);
	for (vma = find_vma(mm, 0); vma && !found; vma = find_vma(mm, vma->vm_end))
		found = find_in_range(mm, vma->vm_start, vma->vm_end, pfn);
	mmap_read_unlock(mm);
	return found;
}

/* The host may not know more than the frame (KVM, of a gather for one). */
static unsigned long address_of(struct pt_regs *regs, const struct pv_ve_fault *f)
{
	unsigned long page;

	if (f->gla)
		return f->gla;
	page = current->mm ? find_in_mm(current->mm, f->gpa >> PAGE_SHIFT) : 0;
	return page ? page | (f->gpa & ~PAGE_MASK) : regs->ip;
}

void pv_ve_sigbus(struct pt_regs *regs, const struct pv_ve_fault *f)
{
	struct sighand_struct *sighand = current->sighand;
	struct kernel_siginfo info;

	clear_siginfo(&info);
	info.si_signo = SIGBUS;
	info.si_code = BUS_ADRERR;
	info.si_addr = (void __user *)address_of(regs, f);
	/* A signal that cannot be taken must not let the access go on for ever. */
	if (sigismember(&current->blocked, SIGBUS) ||
	    sighand->action[SIGBUS - 1].sa.sa_handler == SIG_IGN)
		force_sig(SIGBUS);
	else
		send_sig_info(SIGBUS, &info, current);
}
