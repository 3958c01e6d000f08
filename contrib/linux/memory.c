// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel has allocated for itself: slabs, page tables, stacks, hash tables.
 *
 * It is not searched for piece by piece.  The page allocator keeps what it can move, that is
 * memory of processes and of files, apart from the rest, by blocks.  At boot memory was
 * reserved instead, in large pieces.
 */
#include "driver.h"

#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <asm/e820/api.h>

static unsigned int type_of_block(unsigned long pfn)
{
	const unsigned long *types = section_to_usemap(__pfn_to_section(pfn));
	unsigned long bit = ((pfn & (PAGES_PER_SECTION - 1)) >> pageblock_order) *
			    NR_PAGEBLOCK_BITS;

	return READ_ONCE(types[BIT_WORD(bit)]) >> bit % BITS_PER_LONG &
	       (BIT(PB_migratetype_bits) - 1);
}

static bool is_kernel_block(unsigned long pfn)
{
	switch (type_of_block(pfn)) {
	case MIGRATE_UNMOVABLE:
	case MIGRATE_RECLAIMABLE:
	case MIGRATE_HIGHATOMIC:
		return true;
	default:
		return false;
	}
}

/*
 * Not what is free, what is a process's or a file's after all, or page tables: those that
 * cannot be waited for are named elsewhere.
 */
static bool is_kernels(struct page *page, bool kernel_block)
{
	if (!kernel_block)
		return PageReserved(page);
	return !PageBuddy(page) && !PageLRU(page) && !PageTable(page);
}

static unsigned long skip(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);

	if (!PageBuddy(page))
		return pfn + 1;
	return pfn + (1ul << min(READ_ONCE(page->private), (unsigned long)MAX_PAGE_ORDER));
}

static void name_block(unsigned long pfn, unsigned long end)
{
	bool kernel_block = is_kernel_block(pfn);

	if (!kernel_block && !PageReserved(pfn_to_page(pfn)))
		return;
	while (pfn < end) {
		unsigned long first = pfn;

		while (pfn < end && is_kernels(pfn_to_page(pfn), kernel_block))
			pfn++;
		if (pfn > first)
			pv_ve_name(first, pfn - first, PV_VE_CLASS_LAST);
		if (pfn < end)
			pfn = skip(pfn);
	}
}

void pv_ve_name_kernel_memory(void)
{
	int node;

	for_each_online_node(node) {
		unsigned long first = NODE_DATA(node)->node_start_pfn;
		unsigned long end = first + NODE_DATA(node)->node_spanned_pages;
		unsigned long pfn = max(first, PHYS_PFN(ISA_END_ADDRESS));

		while (pfn < end && pv_ve_is_announced()) {
			unsigned long next = min(end, pageblock_end_pfn(pfn));

			if (pfn_to_online_page(pfn))
				name_block(pfn, next);
			pfn = next;
			cond_resched();
		}
	}
}
