/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: which pages are withheld. */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "exec/memory.h"
#include "pv-ve/sources/withheld.h"

QemuMutex pv_ve_marks_lock;
struct PvVeMarksList pv_ve_marks_list = QLIST_HEAD_INITIALIZER(pv_ve_marks_list);
static size_t nr_missing;       /* in all blocks; written with the lock, read without */

PvVeMarks *pv_ve_marks_find(RAMBlock *ram)
{
    PvVeMarks *marks;

    QLIST_FOREACH(marks, &pv_ve_marks_list, link) {
        if (marks->ram == ram) {
            return marks;
        }
    }
    return NULL;
}

size_t pv_ve_marks_nr_pages(const PvVeMarks *marks)
{
    return DIV_ROUND_UP(marks->ram->max_length, qemu_ram_pagesize(marks->ram));
}

static PvVeMarks *new_marks(RAMBlock *ram)
{
    PvVeMarks *marks = g_new0(PvVeMarks, 1);
    size_t pages;

    marks->ram = ram;
    pages = pv_ve_marks_nr_pages(marks);
    marks->missing = bitmap_new(pages);
    marks->suppressed = bitmap_new(pages);
    marks->failed = bitmap_new(pages);
    marks->awaited = bitmap_new(pages);
    marks->outside = g_new0(uint32_t, pages);
    marks->content = pv_ve_can_hold() ? NULL : g_new0(void *, pages);
    return marks;
}

PvVeMarks *pv_ve_marks_need(RAMBlock *ram)
{
    PvVeMarks *marks = pv_ve_marks_find(ram);

    if (marks) {
        return marks;
    }
    marks = new_marks(ram);
    memory_region_ref(ram->mr);
    QEMU_LOCK_GUARD(&pv_ve_marks_lock);
    QLIST_INSERT_HEAD(&pv_ve_marks_list, marks, link);
    return marks;
}

PvVePageState pv_ve_marks_page_state(RAMBlock *ram, ram_addr_t offset)
{
    size_t page = offset / qemu_ram_pagesize(ram);
    PvVeMarks *marks = pv_ve_marks_find(ram);

    if (!marks || !test_bit(page, marks->missing)) {
        return PV_VE_PAGE_PRESENT;
    }
    return test_bit(page, marks->failed) ? PV_VE_PAGE_FAILED :
           test_bit(page, marks->suppressed) ? PV_VE_PAGE_SUPPRESSED : PV_VE_PAGE_MISSING;
}

size_t pv_ve_marks_nr_missing(void)
{
    return qatomic_read(&nr_missing);
}

static void put_bit(size_t bit, unsigned long *bitmap, bool value)
{
    if (value) {
        set_bit(bit, bitmap);
    } else {
        clear_bit(bit, bitmap);
    }
}

static void count_missing(PvVeMarks *marks, int change)
{
    marks->nr_missing += change;
    qatomic_set(&nr_missing, nr_missing + change);
}

bool pv_ve_marks_change(PvVeMarks *marks, size_t page, PvVeChange change)
{
    size_t before = nr_missing;

    /* In one step: who looks without the lock must not find nothing missing. */
    count_missing(marks, (change != PV_VE_RELEASE) - test_bit(page, marks->missing));
    put_bit(page, marks->missing, change != PV_VE_RELEASE);
    put_bit(page, marks->suppressed, change == PV_VE_WITHHOLD_SUPPRESSED);
    put_bit(page, marks->failed, change == PV_VE_FAIL);
    if (change == PV_VE_RELEASE) {
        clear_bit(page, marks->awaited);
        marks->outside[page] = 0;
    }
    /* Before anybody else can find nothing missing and disarm. */
    if (nr_missing && !before) {
        pv_ve_arm();
    }
    return !nr_missing && before;
}

static void __attribute__((constructor)) init_lock(void)
{
    qemu_mutex_init(&pv_ve_marks_lock);
}
