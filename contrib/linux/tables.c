// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page tables, and what the kernel's map.
 *
 * A process's are read down to the entries that lead to the last level, with what keeps
 * them from being freed: the process's memory itself, and its lock, under areas that are
 * mapped.  The lock is only tried.
 *
 * The kernel's are freed by nobody but memory hotplug.  They are read by copies that
 * survive any fault, and what is found may be out of date: a page that is named in vain
 * does no harm.
 */
#include "driver.h"

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <asm/cpu_entry_area.h>
#include <asm/processor.h>

#define ENTRIES		512
#define MAX_LEVEL	4		/* of tables below the topmost; 1 maps 4 KiB pages */
#define VMEMMAP_MAX	(1ul << 40)	/* for 64 TiB of RAM */

static u64 frame_of(const void *table)
{
	return __pa(table) >> PAGE_SHIFT;
}

/* ---- A process's ---- */

/* The tables that were named last, as neighbours share them */
struct lately {
	u64 frame[MAX_LEVEL + 1];
	unsigned int class;
};

static void name_once(struct lately *seen, int level, const void *table)
{
	u64 frame = frame_of(table);

	if (seen->frame[level] == frame)
		return;
	seen->frame[level] = frame;
	pv_ve_name(frame, 1, seen->class);
}

static const pmd_t *find_pmd(struct mm_struct *mm, unsigned long address,
			     struct lately *seen)
{
	pgd_t *pgd = pgd_offset(mm, address);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (!pgd_present(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, address);
	if (pgtable_l5_enabled())
		name_once(seen, 4, p4d);
	if (!p4d_present(*p4d))
		return NULL;
	pud = pud_offset(p4d, address);
	name_once(seen, 3, pud);
	if (!pud_present(*pud) || pud_leaf(*pud))
		return NULL;
	pmd = pmd_offset(pud, address);
	name_once(seen, 2, pmd);
	return pmd;
}

/* Most of a process's tables are of this level, and few of them in use. */
static unsigned int class_of_last(u64 frame, unsigned int class)
{
	if (class > PV_VE_CLASS_RECENT)
		return class;
	return pv_ve_looks_for_used() && !pv_ve_is_used(frame, PV_VE_USED_SMALL) ?
	       PV_VE_CLASS_REST : PV_VE_CLASS_RECENT;
}

static void name_last_level(const pmd_t *pmd, unsigned long count, unsigned int class)
{
	while (count--) {
		pmd_t entry = READ_ONCE(*pmd++);

		if (pmd_present(entry) && !pmd_leaf(entry))
			pv_ve_name(pmd_pfn(entry), 1, class_of_last(pmd_pfn(entry), class));
	}
}

/* Both ends are multiples of PMD_SIZE. */
static void name_range(struct mm_struct *mm, unsigned long address, unsigned long end,
		       struct lately *seen)
{
	while (address < end) {
		unsigned long next = min(end, (address + PUD_SIZE) & PUD_MASK);
		const pmd_t *pmd = find_pmd(mm, address, seen);

		if (pmd)
			name_last_level(pmd, (next - address) / PMD_SIZE, seen->class);
		address = next;
	}
}

void pv_ve_name_tables_of(struct mm_struct *mm, unsigned int class)
{
	struct lately seen = { .class = max(class, PV_VE_CLASS_RECENT + 0u) };
	struct vm_area_struct *area;
	unsigned long address = 0;

	/*
	 * The kernel's walks begin in the topmost one, too; for the others a task can wait.
	 * With isolation, user mode has one of its own behind the kernel's.
	 */
	pv_ve_name(frame_of(mm->pgd), boot_cpu_has(X86_FEATURE_PTI) ? 2 : 1,
		   class == PV_VE_CLASS_RECENT ? PV_VE_CLASS_NOW : class);
	if (!mmap_read_trylock(mm))
		return;
	while (pv_ve_is_announced() && (area = find_vma(mm, address))) {
		unsigned long start = max(address, area->vm_start & PMD_MASK);

		address = ALIGN(area->vm_end, PMD_SIZE);
		name_range(mm, start, address, &seen);
		cond_resched();
	}
	mmap_read_unlock(mm);
}

/* ---- The kernel's ---- */

struct walk {
	unsigned long first, last;		/* addresses */
	void (*table)(u64 frame);
	void (*leaf)(unsigned long address, u64 entry, u64 count);
};

static unsigned long span_of(int level)		/* of an entry */
{
	return PAGE_SIZE << 9 * (level - 1);
}

static u64 frame_in(u64 entry)
{
	return (entry & PTE_PFN_MASK) >> PAGE_SHIFT;
}

static void walk_table(const struct walk *walk, int level, u64 frame,
		       unsigned long address)
{
	static u64 copies[MAX_LEVEL][ENTRIES];
	u64 *table = copies[level - 1];
	unsigned long span = span_of(level);
	bool used = false;
	int i;

	if (copy_from_kernel_nofault(table, __va(frame << PAGE_SHIFT), PAGE_SIZE))
		return;
	for (i = 0; i < ENTRIES; i++, address += span) {
		u64 entry = table[i];

		if (!(entry & _PAGE_PRESENT))
			continue;
		used = true;
		if (address > walk->last || address + (span - 1) < walk->first)
			continue;
		if (level == 1 || entry & _PAGE_PSE) {
			if (walk->leaf)
				walk->leaf(address, entry, span / PAGE_SIZE);
		} else if (level == 2 && !walk->leaf) {
			walk->table(frame_in(entry));
		} else {
			walk_table(walk, level - 1, frame_in(entry), address);
		}
	}
	if (used && walk->table)
		walk->table(frame);
	cond_resched();
}

/* The upper half is the same in every process. */
static u64 read_top(int index)
{
	u64 entry;

	preempt_disable();
	entry = READ_ONCE(((u64 *)__va(read_cr3_pa()))[index]);
	preempt_enable();
	return entry;
}

static void walk_kernel(const struct walk *walk)
{
	unsigned long address = walk->first & PGDIR_MASK;
	int index = pgd_index(walk->first);

	while (pv_ve_is_announced()) {
		u64 entry = read_top(index);

		if (entry & _PAGE_PRESENT)
			walk_table(walk, pgtable_l5_enabled() ? 4 : 3, frame_in(entry), address);
		if (index++ == pgd_index(walk->last))
			break;
		address += PGDIR_SIZE;
	}
}

static void name_table(u64 frame)
{
	pv_ve_name(frame, 1, PV_VE_CLASS_NOW);
}

/*
 * Not those for espfix and a KASAN shadow, which lead to the same few pages again and
 * again.
 */
void pv_ve_name_kernel_tables(void)
{
	walk_kernel(&(struct walk){ .first = PAGE_OFFSET, .table = name_table,
				    .last = VMEMMAP_START + (VMEMMAP_MAX - 1) });
	walk_kernel(&(struct walk){ .first = CPU_ENTRY_AREA_BASE, .table = name_table,
				    .last = CPU_ENTRY_AREA_BASE + (P4D_SIZE - 1) });
	walk_kernel(&(struct walk){ .first = __START_KERNEL_map, .table = name_table,
				    .last = ~0ul });
}

static void name_leaf(unsigned long address, u64 entry, u64 count)
{
	pv_ve_name(frame_in(entry), count, PV_VE_CLASS_NOW);
}

/*
 * Descriptor tables, TSS, stacks and code that every entry to the kernel needs.  The
 * kernel's image maps the interrupt table as if it were text.
 */
void pv_ve_name_entry_area(void)
{
	walk_kernel(&(struct walk){ .first = CPU_ENTRY_AREA_BASE, .leaf = name_leaf,
				    .last = CPU_ENTRY_AREA_BASE + (P4D_SIZE - 1) });
}

/* What was only for the boot has been freed, and may be mapped there still. */
static void name_image(unsigned long address, u64 entry, u64 count, unsigned int class)
{
	u64 frame = frame_in(entry);

	for (; count--; frame++)
		if (address >= MODULES_VADDR ||
		    (pfn_valid(frame) && PageReserved(pfn_to_page(frame))))
			pv_ve_name(frame, 1, class);
}

static void name_if_used(unsigned long address, u64 entry, u64 count)
{
	for (; count--; address += PAGE_SIZE, entry += PAGE_SIZE)
		if (pv_ve_is_on_stack(address))
			name_image(address, entry, 1, PV_VE_CLASS_NOW);
}

static void name_anyway(unsigned long address, u64 entry, u64 count)
{
	name_image(address, entry, count, PV_VE_CLASS_LAST);
}

/* What of the kernel and modules was used lately, as far as that is known */
void pv_ve_name_used_image(void)
{
	walk_kernel(&(struct walk){ .first = __START_KERNEL_map, .last = MODULES_END - 1,
				    .leaf = name_if_used });
}

/* All of it; what of its data was written just now is sent early anyway. */
void pv_ve_name_image(void)
{
	walk_kernel(&(struct walk){ .first = __START_KERNEL_map, .last = MODULES_END - 1,
				    .leaf = name_anyway });
}

/* A page holds the structs of 64. */
static void name_structs_if_used(unsigned long address, u64 entry, u64 count)
{
	unsigned long frame = page_to_pfn((struct page *)address);

	BUILD_BUG_ON(PAGE_SIZE / sizeof(struct page) != BITS_PER_LONG);
	for (; count--; frame += BITS_PER_LONG, entry += PAGE_SIZE)
		if (pv_ve_is_any_used(frame))
			pv_ve_name(frame_in(entry), 1, PV_VE_CLASS_RECENT);
	cond_resched();
}

/*
 * Those of pages in use.  Who looks for a page in the page cache, or takes the lock of a
 * page table, which is in its struct, must not sleep: while that is missing the CPU waits.
 */
void pv_ve_name_used_page_structs(void)
{
	walk_kernel(&(struct walk){ .first = VMEMMAP_START, .leaf = name_structs_if_used,
				    .last = VMEMMAP_START + (VMEMMAP_MAX - 1) });
}

static void name_page_structs(unsigned long address, u64 entry, u64 count)
{
	pv_ve_name(frame_in(entry), count, PV_VE_CLASS_LAST);
}

void pv_ve_name_page_structs(void)
{
	walk_kernel(&(struct walk){ .first = VMEMMAP_START, .leaf = name_page_structs,
				    .last = VMEMMAP_START + (VMEMMAP_MAX - 1) });
}
