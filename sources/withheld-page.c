/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: withhold or release one page. */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "pv-ve/sources/stash.h"
#include "pv-ve/sources/withheld.h"

/* Lock held: a page that is about to be released gets its content. */
static void place_page(PvVeMarks *marks, size_t page)
{
    pv_ve_stash_place(marks->ram, page * qemu_ram_pagesize(marks->ram),
                      marks->content[page]);
    g_free(marks->content[page]);
    marks->content[page] = NULL;
    if (marks->nr_missing == 1) {
        pv_ve_stash_unwatch(marks->ram);
    }
}

/*
 * The state changes first, then the core is told, without the lock: it asks for
 * the state while it holds its own.
 */
void pv_ve_withheld_change_page(RAMBlock *ram, size_t page, PvVeChange change)
{
    ram_addr_t offset = page * qemu_ram_pagesize(ram);
    bool disarm;

    WITH_QEMU_LOCK_GUARD(&pv_ve_marks_lock) {
        PvVeMarks *marks = pv_ve_marks_find(ram);

        if (change == PV_VE_RELEASE && marks->content && test_bit(page, marks->missing)) {
            place_page(marks, page);
        }
        disarm = pv_ve_marks_change(marks, page, change);
    }
    if (change == PV_VE_RELEASE) {
        pv_ve_page_arrived(ram, offset);
    } else if (change == PV_VE_FAIL) {
        pv_ve_page_failed(ram, offset);
    }
    if (disarm) {
        pv_ve_disarm();
    }
}

void pv_ve_withheld_supply(RAMBlock *ram, ram_addr_t offset)
{
    pv_ve_withheld_change_page(ram, offset / qemu_ram_pagesize(ram), PV_VE_RELEASE);
}

void pv_ve_withheld_supply_all(PvVeMarks *marks, const unsigned long *bitmap)
{
    size_t pages = pv_ve_marks_nr_pages(marks);

    for (size_t page = find_first_bit(bitmap, pages); page < pages;
         page = find_next_bit(bitmap, pages, page + 1)) {
        pv_ve_withheld_change_page(marks->ram, page, PV_VE_RELEASE);
    }
}

/* ---- Pages that are absent (KVM) ------------------------------------------ */

/* Lock held. */
static bool watch_block(PvVeMarks *marks, Error **errp)
{
    return marks->nr_missing || pv_ve_stash_watch(marks->ram, errp);
}

/* True if the page was missing already: then it only changes in which way. */
static bool change_missing_page(PvVeMarks *marks, size_t page, PvVeChange change)
{
    bool missing;

    QEMU_LOCK_GUARD(&pv_ve_marks_lock);
    missing = test_bit(page, marks->missing);
    if (missing) {
        pv_ve_marks_change(marks, page, change);
    }
    return missing;
}

/*
 * Areas locked.  False: it may be marked, and has its content.  From the mark to the
 * discard our lock is held: who released the page in between would lose its content.
 */
static bool put_page_aside(PvVeMarks *marks, size_t page, PvVeChange change, Error **errp)
{
    ram_addr_t offset = page * qemu_ram_pagesize(marks->ram);
    /* Without our lock, which the stash's thread takes if the page was never written. */
    void *content = pv_ve_stash_copy(marks->ram, offset);

    QEMU_LOCK_GUARD(&pv_ve_marks_lock);
    /* The last page of the block may have been released since it was watched. */
    if (!watch_block(marks, errp)) {
        g_free(content);
        return false;
    }
    marks->content[page] = content;
    pv_ve_marks_change(marks, page, change);
    return pv_ve_stash_discard(marks->ram, offset, errp);
}

/*
 * While the machine is stopped nobody writes to the page but the core, as pages come to
 * others.  What that wrote before is in the copy, and from then on it finds the page
 * missing.
 */
bool pv_ve_withheld_take_page(PvVeMarks *marks, size_t page, PvVeChange change,
                              Error **errp)
{
    ram_addr_t offset = page * qemu_ram_pagesize(marks->ram);
    bool ok;

    if (change_missing_page(marks, page, change)) {
        return true;
    }
    /*
     * Before the copy: it fails during an incoming postcopy, where the copy would wait
     * for a page and hold the BQL.
     */
    WITH_QEMU_LOCK_GUARD(&pv_ve_marks_lock) {
        if (!watch_block(marks, errp)) {
            return false;
        }
    }
    pv_ve_lock_areas();
    ok = put_page_aside(marks, page, change, errp);
    pv_ve_unlock_areas();
    if (!ok) {
        pv_ve_withheld_supply(marks->ram, offset);
    }
    return ok;
}
