// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lists of urgent pages: two chains behind a head, which the host knows by an MSR.
 *
 * The chain that the head leads to is complete and left alone; the other one is written,
 * and then the head leads to that.  The host reads when this guest stands still, so it
 * finds either.  A torn list would do no harm, it would only name less.
 *
 * One worker at a time; only the head's address is asked for elsewhere.
 */
#include "driver.h"

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#define BITMAP_PAGES	64
#define MIN_LISTS	4
#define RAM_PER_LIST	16384		/* pages of RAM for each list of a chain */

struct chain {
	struct pv_ve_urgent_list *first;
	struct pv_ve_urgent_list *last;		/* that is written */
	unsigned long count;
};

static struct pv_ve_urgent_list *head;
static struct chain chains[2];
static int published;			/* which chain the head leads to, if to any */
static u64 pages, left_out;

/* Does the host want lists?  Each CPU is told the same. */
bool pv_ve_is_announced(void)
{
	int number;

	for_each_online_cpu(number) {
		const struct pv_ve_cpu *cpu = per_cpu_ptr(&pv_ve_cpus, number);

		if (READ_ONCE(cpu->enabled))
			return READ_ONCE(cpu->page->announced);
	}
	return false;
}

bool pv_ve_lists_init(void)
{
	head = (void *)get_zeroed_page(GFP_KERNEL);
	return head;
}

u64 pv_ve_lists_head(void)
{
	return head ? virt_to_phys(head) : 0;
}

static struct pv_ve_urgent_list *following(const struct pv_ve_urgent_list *list)
{
	return list->next ? phys_to_virt(list->next) : NULL;
}

static struct chain *unpublished(void)
{
	return &chains[!published];
}

static void free_chain(struct chain *chain)
{
	struct pv_ve_urgent_list *list, *next;

	for (list = chain->first; list; list = next) {
		next = following(list);
		free_page((unsigned long)list);
	}
	*chain = (struct chain){ };
}

static unsigned long max_lists(void)
{
	return clamp(totalram_pages() / RAM_PER_LIST, MIN_LISTS, PV_VE_URGENT_MAX_LISTS - 1ul);
}

/* Memory that is short is better used otherwise: then fewer pages are named. */
static struct pv_ve_urgent_list *add_list(struct chain *chain)
{
	struct pv_ve_urgent_list *list = NULL;

	if (chain->count < max_lists())
		list = (void *)get_zeroed_page(GFP_NOWAIT | __GFP_NOWARN);
	if (!list)
		return NULL;
	chain->count++;
	if (chain->last)
		chain->last->next = virt_to_phys(list);
	else
		chain->first = list;
	return list;
}

/* The lists in use come first; the others stay for the next time. */
static void empty_chain(struct chain *chain)
{
	struct pv_ve_urgent_list *list;

	for (list = chain->first; list && list->count; list = following(list))
		list->count = 0;
	chain->last = chain->first;
}

void pv_ve_lists_begin(void)
{
	empty_chain(unpublished());
	pages = 0;
	left_out = 0;
}

void pv_ve_lists_publish(void)
{
	struct chain *chain = unpublished();

	if (!chain->first)
		return;
	smp_store_release(&head->next, virt_to_phys(chain->first));
	published = !published;
}

void pv_ve_lists_counts(u64 *named, u64 *not_named)
{
	*named = pages;
	*not_named = left_out;
}

void pv_ve_lists_withdraw(void)
{
	int i;

	if (!head)
		return;
	WRITE_ONCE(head->next, 0);
	for (i = 0; i < ARRAY_SIZE(chains); i++)
		free_chain(&chains[i]);
}

void pv_ve_lists_free(void)
{
	pv_ve_lists_withdraw();
	free_page((unsigned long)head);
	head = NULL;
}

/* With room for one more entry */
static struct pv_ve_urgent_list *next_list(struct chain *chain)
{
	struct pv_ve_urgent_list *list = chain->last;

	if (list && list->count < PV_VE_URGENT_ENTRIES)
		return list;
	if (list)
		list = following(list);
	if (!list)
		list = add_list(chain);
	if (list)
		chain->last = list;
	return list;
}

static bool add_entry(struct chain *chain, u64 where, u64 what)
{
	struct pv_ve_urgent_list *list = next_list(chain);

	if (!list)
		return false;
	list->entry[list->count].where = where;
	list->entry[list->count].what = what;
	list->count++;
	return true;
}

/* A page that lies in a range, just behind it, or near by: a bitmap takes that. */
static bool extend_entry(struct pv_ve_urgent_entry *entry, u64 pfn, unsigned int class)
{
	u64 distance = pfn - (entry->where >> PAGE_SHIFT);

	if ((entry->where & PV_VE_URGENT_CLASS_MASK) != class)
		return false;
	if (!(entry->where & PV_VE_URGENT_BITMAP)) {
		if (distance < entry->what)
			return true;
		if (distance == entry->what) {
			entry->what++;
			pages++;
			return true;
		}
		if (distance >= BITMAP_PAGES)
			return false;
		entry->what = GENMASK_ULL(entry->what - 1, 0);
		entry->where |= PV_VE_URGENT_BITMAP;
	}
	if (distance >= BITMAP_PAGES)
		return false;
	pages += !(entry->what & BIT_ULL(distance));
	entry->what |= BIT_ULL(distance);
	return true;
}

static struct pv_ve_urgent_entry *last_entry(const struct chain *chain)
{
	struct pv_ve_urgent_list *list = chain->last;

	return list && list->count ? &list->entry[list->count - 1] : NULL;
}

void pv_ve_name(u64 pfn, u64 count, unsigned int class)
{
	struct chain *chain = unpublished();
	struct pv_ve_urgent_entry *entry = last_entry(chain);

	if (entry && count == 1 && extend_entry(entry, pfn, class))
		return;
	if (add_entry(chain, pfn << PAGE_SHIFT | class, count))
		pages += count;
	else
		left_out += count;
}

/* Of 64 pages from that one on those whose bits are set */
void pv_ve_name_bitmap(u64 pfn, u64 bits, unsigned int class)
{
	if (!bits)
		return;
	if (add_entry(unpublished(), pfn << PAGE_SHIFT | PV_VE_URGENT_BITMAP | class, bits))
		pages += hweight64(bits);
	else
		left_out += hweight64(bits);
}
