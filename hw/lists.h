/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what a guest says that it cannot run without (PV_VE_MSR_URGENT).
 *
 * The lists are hostile input: each page of them is copied and then looked at, only so
 * many are read, and what is nonsense is left out and counted.  Of RAM this file knows
 * only the ranges that it is given.
 */
#ifndef PV_VE_LISTS_H
#define PV_VE_LISTS_H

#include "pv-ve/include/abi/pv-ve.h"

/* RAM as the guest sees it; all of it in pages of PV_VE_URGENT_PAGE. */
typedef struct PvVeRange {
    uint64_t page;              /* number of its first guest-physical page */
    uint64_t nr;
    void *block;
    uint64_t block_page;        /* the page of the block that lies there */
} PvVeRange;

/* The content of a page of @block, NULL if it cannot be read without waiting for it. */
typedef const void *PvVeListRead(void *block, uint64_t page);

typedef void PvVeNamedRun(void *block, uint64_t page, uint64_t nr, unsigned class,
                          void *opaque);

typedef struct PvVeLists {
    const PvVeRange *range;     /* in ascending order */
    unsigned nr_ranges;
    PvVeListRead *read;

    GArray *entry[PV_VE_URGENT_CLASSES];
    unsigned nr_read;           /* pages of lists */
    uint64_t left;              /* pages that may still be named: as many as RAM has */
    uint64_t named;             /* pages, those that are named again included */
    uint64_t refused;           /* entries and lists of which something was left out */
} PvVeLists;

void pv_ve_lists_init(PvVeLists *lists, const PvVeRange *range, unsigned nr_ranges,
                      PvVeListRead *read);
void pv_ve_lists_free(PvVeLists *lists);

/* Reads the chain that begins at @gpa; 0: there is none. */
void pv_ve_lists_read(PvVeLists *lists, uint64_t gpa);

/*
 * All that was read, run by run, from the most urgent class on.  Within a class in the
 * order in which it was read, by ascending addresses within an entry.
 */
void pv_ve_lists_tell(PvVeLists *lists, PvVeNamedRun *tell, void *opaque);

#endif
