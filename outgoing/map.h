/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: which pages of a RAM block the guest wrote last, in classes.
 *
 * A bitmap for each class, in leaves that exist only where something was written: a
 * leaf is 16 MiB of the block and takes 1.5 KiB.  Of a block of 1 TiB the index takes
 * 512 KiB, and all leaves together 96 MiB.  All work is done by words.
 */
#ifndef PV_VE_OUTGOING_MAP_H
#define PV_VE_OUTGOING_MAP_H

#include "qemu/bitops.h"

/* From the newest; what is in a newer class is not in an older one once it is settled. */
typedef enum PvVeHotClass {
    PV_VE_HOT_NEWEST,           /* in the last tenth of a second */
    PV_VE_HOT_SECOND,           /* in the second before the switch */
    PV_VE_HOT_PASS,             /* before that, since precopy last read the dirty log */
    PV_VE_NR_HOT,
} PvVeHotClass;

#define PV_VE_HOT_LEAF_WORDS 64

typedef struct PvVeHotLeaf {
    unsigned long written[PV_VE_NR_HOT][PV_VE_HOT_LEAF_WORDS];
} PvVeHotLeaf;

typedef struct PvVeHotMap {
    PvVeHotLeaf **leaf;
    size_t nr_leaves;
    unsigned long nr_pages;     /* of the guest */
    unsigned long ratio;        /* pages of the guest in one of the block, a power of 2 */
} PvVeHotMap;

void pv_ve_hot_map_init(PvVeHotMap *map, unsigned long nr_pages, unsigned long ratio);
void pv_ve_hot_map_free(PvVeHotMap *map);

/*
 * The pages in @nr words of the dirty log, which begin at @word of the map, were written:
 * all of them, or, where @except is given, those that are not in it.
 */
void pv_ve_hot_map_add(PvVeHotMap *map, PvVeHotClass class, size_t word,
                       const unsigned long *log, const unsigned long *except, size_t nr);

/*
 * Keeps, of @nr words from @word, what is dirty in @bmap or in @log, which begin there,
 * and of each page only the newest class.  Adds to @count how many are in each.
 */
void pv_ve_hot_map_settle(PvVeHotMap *map, size_t word, const unsigned long *bmap,
                          const unsigned long *log, size_t nr, uint64_t *count);

/*
 * Pages of the block instead of the guest's: the first of each stands for it, in its
 * newest class.  Sets @count to how many there are.  For blocks whose pages are larger.
 */
void pv_ve_hot_map_to_pages(PvVeHotMap *map, uint64_t *count);

/*
 * The first page of @class from *@page that is dirty in @bmap, the block's; false if
 * there is none.  Adds to *@gone those on the way that are dirty no more.
 */
bool pv_ve_hot_map_next(const PvVeHotMap *map, PvVeHotClass class, unsigned long *page,
                        const unsigned long *bmap, uint64_t *gone);

/* Drops those of @class before @end that are not dirty in @bmap. */
void pv_ve_hot_map_keep_dirty(PvVeHotMap *map, PvVeHotClass class, unsigned long end,
                              const unsigned long *bmap);

#endif
