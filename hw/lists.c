/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: reading the guest's lists of urgent pages. */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "pv-ve/hw/lists.h"

void pv_ve_lists_init(PvVeLists *lists, const PvVeRange *range, unsigned nr_ranges,
                      PvVeListRead *read)
{
    *lists = (PvVeLists) { .range = range, .nr_ranges = nr_ranges, .read = read };
    for (unsigned i = 0; i < nr_ranges; i++) {
        lists->left += range[i].nr;
    }
    for (unsigned class = 0; class < PV_VE_URGENT_CLASSES; class++) {
        lists->entry[class] = g_array_new(false, false,
                                          sizeof(struct pv_ve_urgent_entry));
    }
}

void pv_ve_lists_free(PvVeLists *lists)
{
    for (unsigned class = 0; class < PV_VE_URGENT_CLASSES; class++) {
        g_array_free(lists->entry[class], true);
    }
}

/* Index of the first range that ends behind @page; nr_ranges if there is none. */
static unsigned first_range(const PvVeLists *lists, uint64_t page)
{
    unsigned low = 0, high = lists->nr_ranges;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        const PvVeRange *r = &lists->range[middle];

        if (r->page + r->nr <= page) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- Reading ----------------------------------------------------------------- */

static const void *list_at(const PvVeLists *lists, uint64_t gpa)
{
    uint64_t page = gpa / PV_VE_URGENT_PAGE;
    unsigned i = first_range(lists, page);
    const PvVeRange *r = &lists->range[i];

    if (gpa % PV_VE_URGENT_PAGE || i == lists->nr_ranges || page < r->page) {
        return NULL;
    }
    return lists->read(r->block, r->block_page + (page - r->page));
}

static void keep(PvVeLists *lists, const struct pv_ve_urgent_entry *e)
{
    struct pv_ve_urgent_entry entry = {
        .where = le64_to_cpu(e->where),
        .what = le64_to_cpu(e->what),
    };

    if (entry.where & PV_VE_URGENT_RESERVED) {
        lists->refused++;
    } else {
        g_array_append_val(lists->entry[entry.where & PV_VE_URGENT_CLASS_MASK], entry);
    }
}

/* *@gpa: of the next list */
static bool read_list(PvVeLists *lists, uint64_t *gpa)
{
    const void *memory;
    struct pv_ve_urgent_list list;

    if (lists->nr_read == PV_VE_URGENT_MAX_LISTS) {
        return false;
    }
    memory = list_at(lists, *gpa);
    if (!memory) {
        return false;
    }
    lists->nr_read++;
    memcpy(&list, memory, sizeof(list));
    /* No vCPU runs, but a device may be writing there: only the copy counts. */
    barrier();
    if (le32_to_cpu(list.count) > PV_VE_URGENT_ENTRIES || list.reserved) {
        return false;
    }
    for (unsigned i = 0; i < le32_to_cpu(list.count); i++) {
        keep(lists, &list.entry[i]);
    }
    *gpa = le64_to_cpu(list.next);
    return true;
}

void pv_ve_lists_read(PvVeLists *lists, uint64_t gpa)
{
    while (gpa) {
        if (!read_list(lists, &gpa)) {
            lists->refused++;
            return;
        }
    }
}

/* ---- Telling ----------------------------------------------------------------- */

typedef struct Telling {
    PvVeLists *lists;
    unsigned class;
    PvVeNamedRun *tell;
    void *opaque;
} Telling;

/* Pages from @page to before @end, which are in @r; false if not all could be named. */
static bool tell_part(const Telling *t, const PvVeRange *r, uint64_t page, uint64_t end)
{
    uint64_t nr = MIN(end - page, t->lists->left);

    if (nr) {
        t->lists->left -= nr;
        t->lists->named += nr;
        t->tell(r->block, r->block_page + (page - r->page), nr, t->class, t->opaque);
    }
    return nr == end - page;
}

/* Pages of the guest, wherever they lie; false if not all of them are RAM. */
static bool tell_run(const Telling *t, uint64_t page, uint64_t nr)
{
    uint64_t end = MIN(nr, UINT64_MAX - page) + page;
    bool all = true;

    for (unsigned i = first_range(t->lists, page); page < end; i++) {
        const PvVeRange *r = &t->lists->range[i];

        if (i == t->lists->nr_ranges || end <= r->page) {
            return false;
        }
        all &= page >= r->page;
        page = MAX(page, r->page);
        all &= tell_part(t, r, page, MIN(end, r->page + r->nr));
        page = r->page + r->nr;
    }
    return all;
}

static bool tell_bitmap(const Telling *t, uint64_t page, uint64_t bits)
{
    bool all = true;

    while (bits) {
        unsigned first = ctz64(bits);
        unsigned nr = cto64(bits >> first);

        all &= tell_run(t, page + first, nr);
        bits &= ~MAKE_64BIT_MASK(first, nr);
    }
    return all;
}

static bool tell_entry(const Telling *t, const struct pv_ve_urgent_entry *e)
{
    uint64_t page = e->where / PV_VE_URGENT_PAGE;

    return e->where & PV_VE_URGENT_BITMAP ? tell_bitmap(t, page, e->what) :
                                            tell_run(t, page, e->what);
}

void pv_ve_lists_tell(PvVeLists *lists, PvVeNamedRun *tell, void *opaque)
{
    Telling t = { .lists = lists, .tell = tell, .opaque = opaque };

    for (t.class = 0; t.class < PV_VE_URGENT_CLASSES; t.class++) {
        GArray *entry = lists->entry[t.class];

        for (unsigned i = 0; i < entry->len; i++) {
            lists->refused +=
                !tell_entry(&t, &g_array_index(entry, struct pv_ve_urgent_entry, i));
        }
    }
}
