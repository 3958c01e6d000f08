/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: ranges of guest RAM that a test or a guest developer withholds.
 *
 * Shared by the files of that source, of which each calls those after it: withheld.c
 * (what is asked for, by ranges), withheld-blocked.c (who waits for an absent page),
 * withheld-page.c (withhold or release one page), withheld-marks.c (which pages those
 * are), and stash.c.
 */
#ifndef PV_VE_WITHHELD_H
#define PV_VE_WITHHELD_H

#include "qemu/queue.h"
#include "qemu/thread.h"
#include "pv-ve/include/core.h"

typedef enum PvVeChange {
    PV_VE_WITHHOLD,
    PV_VE_WITHHOLD_SUPPRESSED,
    PV_VE_FAIL,
    PV_VE_RELEASE,
} PvVeChange;

/* The pages of one RAM block, one bit each.  Once made it stays, and pins the RAM. */
typedef struct PvVeMarks {
    QLIST_ENTRY(PvVeMarks) link;
    RAMBlock *ram;
    unsigned long *missing;     /* withheld or failed */
    unsigned long *suppressed;  /* withheld, no #VE */
    unsigned long *failed;
    unsigned long *awaited;     /* missing, and the accelerator's worker waits for it */
    uint32_t *outside;          /* vCPU's thread that touched it there, 0: none */
    void **content;             /* of each missing page; NULL where vCPUs can be held */
    size_t nr_missing;
} PvVeMarks;

/* withheld-marks.c */

/*
 * Of all marks; a leaf.  The list grows with BQL and lock held, so either lets go
 * through it.
 */
extern QemuMutex pv_ve_marks_lock;
extern QLIST_HEAD(PvVeMarksList, PvVeMarks) pv_ve_marks_list;

/* Those of @ram, NULL if no page of it was ever withheld.  Lock or BQL held. */
PvVeMarks *pv_ve_marks_find(RAMBlock *ram);
/* Those of @ram, made now if there are none.  BQL held. */
PvVeMarks *pv_ve_marks_need(RAMBlock *ram);
size_t pv_ve_marks_nr_pages(const PvVeMarks *marks);
/* Lock held. */
PvVePageState pv_ve_marks_page_state(RAMBlock *ram, ram_addr_t offset);
/* Lock held.  True: nothing is missing any more, so the caller must disarm. */
bool pv_ve_marks_change(PvVeMarks *marks, size_t page, PvVeChange change);
/* In all blocks; any thread. */
size_t pv_ve_marks_nr_missing(void);

/* withheld-page.c */

/*
 * Release a page, or change one that stays in memory: mark it, and tell the core.  Any
 * thread.
 */
void pv_ve_withheld_change_page(RAMBlock *ram, size_t page, PvVeChange change);
/*
 * Withhold a page, or let it fail, where it has to be absent.  BQL held, machine
 * stopped.
 */
bool pv_ve_withheld_take_page(PvVeMarks *marks, size_t page, PvVeChange change,
                              Error **errp);
/* Whoever cannot wait for the page at @offset gets it.  Any thread. */
void pv_ve_withheld_supply(RAMBlock *ram, ram_addr_t offset);
/* The same, for each page with a bit in @bitmap.  BQL held. */
void pv_ve_withheld_supply_all(PvVeMarks *marks, const unsigned long *bitmap);

/* withheld-blocked.c */

/* From now on pages can be absent, and whoever waits for one is found.  BQL held. */
bool pv_ve_withheld_start(Error **errp);

#endif
