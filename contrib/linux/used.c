// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pages that were used lately, as bitmaps: found twice, as by processes that share
 * them, they are named once, and neighbours together.
 *
 * There while a migration is announced; one worker at a time.
 */
#include "driver.h"

#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/nodemask.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <linux/vmalloc.h>

/*
 * Only at first, when all memory may be missing.  Who looks for accessed bits takes them
 * away, so page tables are written, and what is written is missing after precopy.  What
 * the last looks have found stays.
 */
#define LOOKS		24

static bool heat = true;
module_param(heat, bool, 0444);
MODULE_PARM_DESC(heat, "when a migration is announced look which pages are in use");

/* Since the last time that they aged, and until then since the time before */
static unsigned long *fresh[PV_VE_USED_KINDS], *aged[PV_VE_USED_KINDS];
static unsigned long frames;			/* that there is room for */
static int looks_left;

static unsigned long bits_of(enum pv_ve_used kind)
{
	return kind == PV_VE_USED_LARGE ? frames / PTRS_PER_PTE : frames;
}

static unsigned long end_of_memory(void)
{
	unsigned long end = 0;
	int node;

	for_each_online_node(node)
		end = max(end, pgdat_end_pfn(NODE_DATA(node)));
	return end;
}

static unsigned long *new_bitmap(enum pv_ve_used kind)
{
	return vzalloc(BITS_TO_LONGS(bits_of(kind)) * sizeof(long));
}

void pv_ve_used_begin(void)
{
	bool all = true;
	int kind;

	if (!heat)
		return;
	looks_left = LOOKS;
	frames = ALIGN(end_of_memory(), PTRS_PER_PTE * BITS_PER_LONG);
	for (kind = 0; kind < PV_VE_USED_KINDS; kind++) {
		fresh[kind] = new_bitmap(kind);
		aged[kind] = new_bitmap(kind);
		all &= fresh[kind] && aged[kind];
	}
	if (!all)
		pv_ve_used_end();
}

void pv_ve_used_end(void)
{
	int kind;

	frames = 0;
	for (kind = 0; kind < PV_VE_USED_KINDS; kind++) {
		vfree(fresh[kind]);
		vfree(aged[kind]);
		fresh[kind] = aged[kind] = NULL;
	}
}

bool pv_ve_looks_for_used(void)
{
	return frames && looks_left;
}

/* Once for each description */
void pv_ve_looked_for_used(void)
{
	looks_left -= looks_left > 0;
}

void pv_ve_used(unsigned long frame, enum pv_ve_used kind)
{
	if (frame < frames)
		__set_bit(kind == PV_VE_USED_LARGE ? frame / PTRS_PER_PTE : frame, fresh[kind]);
}

/* What is not used again until it ages once more is forgotten. */
void pv_ve_used_age(enum pv_ve_used kind)
{
	if (!frames)
		return;
	swap(fresh[kind], aged[kind]);
	bitmap_zero(fresh[kind], bits_of(kind));
}

bool pv_ve_is_used(unsigned long frame, enum pv_ve_used kind)
{
	return frame < frames && (test_bit(frame, fresh[kind]) || test_bit(frame, aged[kind]));
}

/* Any of the 64 from that one on, which is a multiple of 64 */
bool pv_ve_is_any_used(unsigned long frame)
{
	unsigned long word = BIT_WORD(frame);

	return frame < frames &&
	       (fresh[PV_VE_USED_SMALL][word] | aged[PV_VE_USED_SMALL][word]);
}

static void name_word(unsigned long word, u64 bits, enum pv_ve_used kind, unsigned int class)
{
	unsigned long bit;

	if (kind != PV_VE_USED_LARGE) {
		pv_ve_name_bitmap(word * BITS_PER_LONG, bits, class);
		return;
	}
	for_each_set_bit(bit, (unsigned long *)&bits, BITS_PER_LONG)
		pv_ve_name((word * BITS_PER_LONG + bit) * PTRS_PER_PTE, PTRS_PER_PTE, class);
}

void pv_ve_name_used(enum pv_ve_used kind, unsigned int class)
{
	unsigned long word;

	for (word = 0; word < bits_of(kind) / BITS_PER_LONG; word++) {
		u64 bits = fresh[kind][word] | aged[kind][word];

		if (bits)
			name_word(word, bits, kind, class);
	}
}
