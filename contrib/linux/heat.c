// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which pages processes used last, by the accessed bits in their page tables.
 *
 * Sweep after sweep over all processes takes these bits away: who has one has used its
 * page since the sweep before.  The first sweep finds what was used at any time, which
 * means nothing.  A look is short; a sweep takes as many as it needs.
 *
 * No TLB is flushed, and a translation that stays in one sets no bit.  Where a bit was
 * taken the page is marked as young, which is what reclaim and the processes' statistics
 * ask for, too.
 *
 * One worker at a time.
 */
#include "driver.h"

#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/page-flags.h>
#include <linux/page_idle.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>

#define LOOK_TABLES	2048	/* of the last level, for 4 GiB */

/* Areas without pages of the kernel's, or without page tables of their own */
#define NO_AREAS	(VM_IO | VM_PFNMAP | VM_HUGETLB)

static bool counts;			/* the sweep is not the first one */
static int task_number;			/* it goes on in the process with this number, */
static unsigned long address;		/* from there on */
static int tables_left;			/* for this look */

/* ---- Bits ---- */

/*
 * Of a page that reclaim may have: one of a process's own, or of a file.  True if it was
 * used since the last sweep.
 */
static bool take_bit(unsigned long *entry, unsigned long frame)
{
	struct folio *folio;

	if (!pfn_valid(frame))
		return false;
	folio = page_folio(pfn_to_page(frame));
	if (!READ_ONCE(folio->mapping) || !test_and_clear_bit(_PAGE_BIT_ACCESSED, entry))
		return false;
	folio_set_young(folio);
	return counts;
}

static bool look_at_small(pte_t *pte)
{
	pte_t entry = READ_ONCE(*pte);

	if (!pte_present(entry) || !pte_young(entry) || pte_special(entry) || pte_devmap(entry) ||
	    !take_bit((unsigned long *)&pte->pte, pte_pfn(entry)))
		return false;
	pv_ve_used(pte_pfn(entry), PV_VE_USED_SMALL);
	return true;
}

static void look_at_large(pmd_t *pmd)
{
	pmd_t entry = READ_ONCE(*pmd);

	if (!pmd_young(entry) || pmd_special(entry) || pmd_devmap(entry))
		return;
	if (take_bit((unsigned long *)&pmd->pmd, pmd_pfn(entry)))
		pv_ve_used(pmd_pfn(entry), PV_VE_USED_LARGE);
}

/* A table that is freed meanwhile stays until this RCU section ends. */
static void look_at_tables(struct mm_struct *mm, pmd_t *pmd, unsigned long start,
			   unsigned long end)
{
	spinlock_t *lock;
	bool any = false;
	pmd_t entry;
	pte_t *pte;

	guard(rcu)();
	entry = READ_ONCE(*pmd);
	if (!pmd_present(entry))
		return;
	tables_left--;
	lock = pmd_leaf(entry) ? pmd_lockptr(mm, pmd) : pte_lockptr(mm, &entry);
	spin_lock(lock);
	if (!((pmd_val(entry) ^ pmd_val(READ_ONCE(*pmd))) & ~(_PAGE_ACCESSED | _PAGE_DIRTY))) {
		if (pmd_leaf(entry)) {
			look_at_large(pmd);
		} else {
			pte = (pte_t *)pmd_page_vaddr(entry) + pte_index(start);
			for (; start < end; start += PAGE_SIZE)
				any |= look_at_small(pte++);
			if (any)
				pv_ve_used(pmd_pfn(entry), PV_VE_USED_SMALL);
		}
	}
	spin_unlock(lock);
}

/* ---- Processes ---- */

static pmd_t *find_pmd(struct mm_struct *mm, unsigned long where)
{
	pgd_t *pgd = pgd_offset(mm, where);
	p4d_t *p4d;
	pud_t *pud;

	if (!pgd_present(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, where);
	if (!p4d_present(*p4d))
		return NULL;
	pud = pud_offset(p4d, where);
	return pud_present(*pud) && !pud_leaf(*pud) ? pmd_offset(pud, where) : NULL;
}

/* The next part of this area; a later look goes on there. */
static void look_at_part(struct mm_struct *mm, const struct vm_area_struct *area)
{
	unsigned long start = max(address, area->vm_start);
	pmd_t *pmd = find_pmd(mm, start);
	unsigned long size = pmd ? PMD_SIZE : PUD_SIZE;

	address = min(area->vm_end, (start + size) & ~(size - 1));
	if (pmd)
		look_at_tables(mm, pmd, start, address);
}

static bool has_time(void)
{
	cond_resched();
	return pv_ve_is_announced() && tables_left > 0;
}

/* The next part of this process's memory; false if there is none. */
static bool look_at_memory(struct mm_struct *mm)
{
	const struct vm_area_struct *area = find_vma(mm, address);

	if (!area)
		return false;
	if (area->vm_flags & NO_AREAS)
		address = area->vm_end;
	else
		look_at_part(mm, area);
	return true;
}

static void look_at_process(struct task_struct *leader)
{
	struct mm_struct *mm = get_task_mm(leader);
	bool more = false;

	if (mm && mmap_read_trylock(mm)) {
		while (has_time() && (more = look_at_memory(mm)))
			;
		mmap_read_unlock(mm);
	}
	if (mm)
		mmput_async(mm);
	if (!more && has_time()) {
		address = 0;
		task_number++;
	}
}

/* ---- Sweeps ---- */

void pv_ve_heat_begin(void)
{
	counts = false;
	task_number = 1;
	address = 0;
}

static void end_sweep(void)
{
	if (counts) {
		pv_ve_used_age(PV_VE_USED_SMALL);
		pv_ve_used_age(PV_VE_USED_LARGE);
	}
	pv_ve_heat_begin();
	counts = true;
}

/* Goes on where it was, up to the end of this sweep at most. */
void pv_ve_heat_look(void)
{
	struct task_struct *task;

	if (!pv_ve_looks_for_used() || !IS_ENABLED(CONFIG_PAGE_IDLE_FLAG))
		return;
	tables_left = LOOK_TABLES;
	while (has_time()) {
		task = pv_ve_task_from(&task_number);
		if (!task) {
			end_sweep();
			return;
		}
		if (thread_group_leader(task))
			look_at_process(task);
		else
			task_number++;
		put_task_struct(task);
	}
}
