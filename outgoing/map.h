/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: which pages of a RAM block go first, in classes: what the guest wrote last, and
 * what it has named.
 *
 * A bitmap for each class, in leaves that exist only where there is such a page: a leaf
 * is 16 MiB of the block and takes 4.5 KiB.  Of a block of 1 TiB the index takes 512 KiB,
 * and all leaves together 288 MiB.  All work is done by words.
 */
#ifndef PV_VE_OUTGOING_MAP_H
#define PV_VE_OUTGOING_MAP_H

#include "qemu/bitops.h"

/*
 * In the order in which they are sent.  Once it is settled a page is in the first one of
 * its classes only.
 */
typedef enum PvVeHotClass {
    PV_VE_HOT_NAMED_0,          /* without it the guest cannot run at all */
    PV_VE_HOT_USED_3,           /* named in class 3, and among the newest */
    PV_VE_HOT_USED_1,
    PV_VE_HOT_NEWEST,           /* written in the last tenth of a second */
    PV_VE_HOT_NAMED_1,
    PV_VE_HOT_SECOND,           /* in the second before the switch */
    PV_VE_HOT_NAMED_2,
    PV_VE_HOT_PASS,             /* before that, since precopy last read the dirty log */
    PV_VE_HOT_NAMED_3,
    PV_VE_NR_HOT,
} PvVeHotClass;

#define PV_VE_HOT_LEAF_WORDS 64

typedef struct PvVeHotLeaf {
    uint64_t used;              /* words that may have bits in any class */
    unsigned long bits[PV_VE_NR_HOT][PV_VE_HOT_LEAF_WORDS];
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

/* The guest's pages from @page on, @nr of them, up to the end of the map. */
void pv_ve_hot_map_add_run(PvVeHotMap *map, PvVeHotClass class, unsigned long page,
                           unsigned long nr);

/*
 * Keeps, of @nr words from @word, what is dirty in @bmap or in @log, which begin there,
 * and of each page only the first class.  Adds to @count how many are in each.
 */
void pv_ve_hot_map_settle(PvVeHotMap *map, size_t word, const unsigned long *bmap,
                          const unsigned long *log, size_t nr, uint64_t *count);

/*
 * Pages of the block instead of the guest's: the first of each stands for it, in its
 * first class.  Sets @count to how many there are.  For blocks whose pages are larger.
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
