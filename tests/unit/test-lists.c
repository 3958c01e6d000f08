/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: tests of how the guest's lists of urgent pages are read. */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "pv-ve/hw/lists.h"

#define PAGE        PV_VE_URGENT_PAGE
#define LISTS       0x20                /* number of the guest page of the first list */
#define NR_LISTS    16
#define FAR         (NR_LISTS - 1)      /* the list that lies elsewhere */
#define FAR_PAGE    0x184
#define FAR_BLOCK_PAGE 0x34
#define BITMAP      PV_VE_URGENT_BITMAP

/*
 * Two blocks: `a` holds the lists, in its first pages, and has a second part that adjoins
 * `b`; before, between and behind there is nothing.
 */
static char a, b;
static const PvVeRange ram[] = {
    { .page = LISTS, .nr = 0x20, .block = &a, .block_page = 0 },
    { .page = 0x100, .nr = 0x80, .block = &b, .block_page = 0x40 },
    { .page = 0x180, .nr = 0x10, .block = &a, .block_page = 0x30 },
};
#define RAM_PAGES   (0x20 + 0x80 + 0x10)

static struct pv_ve_urgent_list list[NR_LISTS];
static int missing;                     /* the list that cannot be read, or -1 */
static PvVeLists lists;
static GString *told;

/* Only what lies in RAM is read. */
static const void *read_page(void *block, uint64_t page)
{
    if (block == &a && page == FAR_BLOCK_PAGE) {
        return &list[FAR];
    }
    g_assert_true(block == &a ? page < 0x20 || page - 0x30 < 0x10 :
                                block == &b && page - 0x40 < 0x80);
    return block == &a && page < FAR && page != missing ? &list[page] : NULL;
}

static uint64_t gpa_of(unsigned index)
{
    return (uint64_t)(LISTS + index) * PAGE;
}

static void prepare(void)
{
    memset(list, 0, sizeof(list));
    missing = -1;
}

static void add(unsigned index, uint64_t page, unsigned flags, uint64_t what)
{
    unsigned count = le32_to_cpu(list[index].count);

    list[index].entry[count].where = cpu_to_le64(page * PAGE | flags);
    list[index].entry[count].what = cpu_to_le64(what);
    list[index].count = cpu_to_le32(count + 1);
}

static void chain(unsigned from, uint64_t gpa)
{
    list[from].next = cpu_to_le64(gpa);
}

static void note(void *block, uint64_t page, uint64_t nr, unsigned class, void *opaque)
{
    g_assert_cmpuint(nr, >, 0);
    g_string_append_printf(opaque, "%s%u:%c%" PRIx64 "+%" PRIx64, told->len ? " " : "",
                           class, block == &a ? 'a' : 'b', page, nr);
}

static void begin(void)
{
    told = g_string_new("");
    pv_ve_lists_init(&lists, ram, ARRAY_SIZE(ram), read_page);
}

static void end(const char *wanted, uint64_t named, uint64_t refused)
{
    pv_ve_lists_tell(&lists, note, told);
    if (wanted) {
        g_assert_cmpstr(told->str, ==, wanted);
    }
    g_assert_cmpuint(lists.named, ==, named);
    g_assert_cmpuint(lists.refused, ==, refused);
    pv_ve_lists_free(&lists);
    g_string_free(told, true);
}

/* What is told of the chain that begins with the first list. */
static void check(const char *wanted, uint64_t named, uint64_t refused)
{
    begin();
    pv_ve_lists_read(&lists, gpa_of(0));
    end(wanted, named, refused);
}

static void test_nothing(void)
{
    prepare();
    check("", 0, 0);
    add(0, 0x100, 0, 1);
    begin();
    pv_ve_lists_read(&lists, 0);
    end("", 0, 0);
}

static void test_numbers(void)
{
    prepare();
    add(0, 0x100, 0, 1);
    add(0, 0x17f, 0, 1);
    add(0, 0x104, 0, 0x10);
    add(0, 0x108, 0, 0);
    add(0, LISTS, 0, 2);
    check("0:b40+1 0:bbf+1 0:b44+10 0:a0+2", 0x14, 0);
}

static void test_bitmaps(void)
{
    prepare();
    add(0, 0x100, BITMAP, 1);
    add(0, 0x101, BITMAP, 1ull << 63);
    add(0, 0x102, BITMAP, 0x8000000000000e05);
    add(0, 0x103, BITMAP, 0);
    add(0, 0x104, BITMAP, UINT64_MAX);
    add(0, 0x100, BITMAP, UINT64_MAX << 32);
    check("0:b40+1 0:b80+1 0:b42+1 0:b44+1 0:b4b+3 0:b81+1 0:b44+40 0:b60+20",
          8 + 64 + 32, 0);
}

static void test_classes(void)
{
    prepare();
    add(0, 0x100, 3, 1);
    add(0, 0x101, 1, 1);
    add(0, 0x102, 2 | BITMAP, 1);
    add(0, 0x103, 0, 1);
    chain(0, gpa_of(2));
    add(2, 0x104, 0 | BITMAP, 1);
    add(2, 0x105, 3, 1);
    add(1, 0x106, 0, 1);
    begin();
    pv_ve_lists_read(&lists, gpa_of(0));
    pv_ve_lists_read(&lists, gpa_of(1));
    end("0:b43+1 0:b44+1 0:b46+1 1:b41+1 2:b42+1 3:b40+1 3:b45+1", 7, 0);
}

static void test_a_full_list(void)
{
    prepare();
    for (unsigned i = 0; i < PV_VE_URGENT_ENTRIES; i++) {
        add(0, 0x100, 0, i == 0 || i == PV_VE_URGENT_ENTRIES - 1);
    }
    chain(0, FAR_PAGE * PAGE);
    add(FAR, 0x101, 0, 1);
    check("0:b40+1 0:b40+1 0:b41+1", 3, 0);
}

/* What of it is RAM counts. */
static void test_over_the_edges(void)
{
    prepare();
    add(0, 0x17e, 0, 4);
    check("0:bbe+2 0:a30+2", 4, 0);
    add(0, 0xfe, 0, 4);
    add(0, LISTS + 0x1e, 0, 4);
    add(0, 0x18e, 0, 4);
    add(0, 0x18f, BITMAP, 3);
    add(0, 0xff, BITMAP, 3);
    add(0, 0x17f, BITMAP, 3);
    check("0:bbe+2 0:a30+2 0:b40+2 0:a1e+2 0:a3e+2 0:a3f+1 0:b40+1 0:bbf+1 0:a30+1",
          14, 5);
}

static void test_outside(void)
{
    prepare();
    add(0, 0, 0, 1);
    add(0, 0, 0, LISTS);
    add(0, 0xff, 0, 1);
    add(0, 0x190, 0, 1);
    add(0, 0x190, 0, UINT64_MAX);
    add(0, 0x50, BITMAP, UINT64_MAX);
    add(0, UINT64_MAX / PAGE, 0, 1);
    add(0, UINT64_MAX / PAGE, 0, UINT64_MAX);
    add(0, UINT64_MAX / PAGE, BITMAP, UINT64_MAX);
    add(0, 0x100, 0, 1);
    check("0:b40+1", 1, 9);
}

static void test_all_of_memory(void)
{
    const char *all = "1:a0+20 1:b40+80 1:a30+10";

    prepare();
    add(0, 0, 1, UINT64_MAX);
    check(all, RAM_PAGES, 1);
    add(0, 0, 1, UINT64_MAX);
    add(0, 0x100, 1, 1);
    check(all, RAM_PAGES, 3);

    /* It is the sum that is limited, whoever names it. */
    prepare();
    add(0, 0x100, 0, 0x80);
    add(0, 0x100, 1, 0x80);
    add(0, 0x100, 0, 0x10);
    check("0:b40+80 0:b40+10 1:b40+20", RAM_PAGES, 1);
}

static void test_reserved(void)
{
    prepare();
    for (unsigned bit = 3; bit < 12; bit++) {
        add(0, 0x100, 1 << bit, 1);
    }
    add(0, 0x101, 0, 1);
    check("0:b41+1", 1, 9);

    list[0].reserved = cpu_to_le32(1);
    check("", 0, 1);
    list[0].reserved = cpu_to_le32(1u << 31);
    check("", 0, 1);
}

static void test_counts(void)
{
    static const uint32_t bad[] = { 256, 257, 0x10000, 1u << 31, UINT32_MAX };

    prepare();
    add(0, 0x100, 0, 1);
    chain(0, gpa_of(1));
    chain(1, gpa_of(2));
    add(2, 0x102, 0, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        list[1].count = cpu_to_le32(bad[i]);
        check("0:b40+1", 1, 1);
    }
    list[1].count = 0;
    check("0:b40+1 0:b42+1", 2, 0);
}

/* What was read before it counts. */
static void test_broken_chains(void)
{
    static const uint64_t bad[] = {
        1, PAGE / 2, (LISTS + 1) * PAGE + 8, (LISTS + 1) * PAGE + 1, PAGE,
        (LISTS - 1) * PAGE, (LISTS + 0x20) * PAGE, 0x50 * PAGE, 0xff * PAGE,
        0x190 * PAGE, UINT64_MAX, UINT64_MAX & -PAGE,
    };

    prepare();
    add(0, 0x100, 0, 1);
    add(1, 0x101, 0, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        chain(0, bad[i]);
        check("0:b40+1", 1, 1);
        begin();
        pv_ve_lists_read(&lists, bad[i]);
        end("", 0, 1);
    }
    chain(0, gpa_of(1));
    check("0:b40+1 0:b41+1", 2, 0);
    missing = 1;
    check("0:b40+1", 1, 1);
    missing = 0;
    check("", 0, 1);
}

static void test_endless(void)
{
    prepare();
    for (unsigned i = 0; i < FAR; i++) {
        chain(i, i == FAR - 1 ? FAR_PAGE * PAGE : gpa_of(i + 1));
    }
    chain(FAR, gpa_of(0));
    add(1, 0x100, 2, 1);
    begin();
    pv_ve_lists_read(&lists, gpa_of(0));
    g_assert_cmpuint(lists.nr_read, ==, PV_VE_URGENT_MAX_LISTS);
    end(NULL, RAM_PAGES, 1 + PV_VE_URGENT_MAX_LISTS / NR_LISTS - RAM_PAGES);

    /* Who comes after it has no list left. */
    prepare();
    chain(0, gpa_of(0));
    add(1, 0x100, 0, 1);
    begin();
    pv_ve_lists_read(&lists, gpa_of(1));
    pv_ve_lists_read(&lists, gpa_of(0));
    pv_ve_lists_read(&lists, gpa_of(1));
    g_assert_cmpuint(lists.nr_read, ==, PV_VE_URGENT_MAX_LISTS);
    end("0:b40+1", 1, 2);
}

/* As many as may be read are. */
static void test_the_last_list(void)
{
    prepare();
    add(1, 0x101, 0, 1);
    begin();
    for (unsigned i = 0; i < PV_VE_URGENT_MAX_LISTS - 1; i++) {
        pv_ve_lists_read(&lists, gpa_of(0));
    }
    pv_ve_lists_read(&lists, gpa_of(1));
    end("0:b41+1", 1, 0);
}

/* A device writes to the lists meanwhile. */
static bool stop_writing;

static void *write_lists(void *opaque)
{
    volatile struct pv_ve_urgent_list *l = &list[0];

    for (unsigned i = 0; !qatomic_read(&stop_writing); i++) {
        l->count = cpu_to_le32(i & 1 ? 1 : UINT32_MAX);
        l->next = cpu_to_le64(i & 2 ? gpa_of(0) : ~0ull);
        l->entry[0].where = cpu_to_le64(i & 4 ? 0x100 * PAGE : ~0ull);
    }
    return NULL;
}

static void test_changing(void)
{
    GThread *writer;

    prepare();
    add(0, 0x100, 0, 1);
    stop_writing = false;
    writer = g_thread_new("writer", write_lists, NULL);
    for (unsigned i = 0; i < 2000; i++) {
        begin();
        pv_ve_lists_read(&lists, gpa_of(0));
        pv_ve_lists_tell(&lists, note, told);
        g_assert_cmpuint(lists.nr_read, <=, PV_VE_URGENT_MAX_LISTS);
        g_assert_cmpuint(lists.named, <=, RAM_PAGES);
        for (const char *at = told->str; *at; at += strcspn(at, " "), at += *at == ' ') {
            g_assert_true(g_str_has_prefix(at, "0:b40+1"));
        }
        pv_ve_lists_free(&lists);
        g_string_free(told, true);
    }
    qatomic_set(&stop_writing, true);
    g_thread_join(writer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pv-ve/lists/nothing", test_nothing);
    g_test_add_func("/pv-ve/lists/numbers", test_numbers);
    g_test_add_func("/pv-ve/lists/bitmaps", test_bitmaps);
    g_test_add_func("/pv-ve/lists/classes", test_classes);
    g_test_add_func("/pv-ve/lists/full", test_a_full_list);
    g_test_add_func("/pv-ve/lists/edges", test_over_the_edges);
    g_test_add_func("/pv-ve/lists/outside", test_outside);
    g_test_add_func("/pv-ve/lists/all", test_all_of_memory);
    g_test_add_func("/pv-ve/lists/reserved", test_reserved);
    g_test_add_func("/pv-ve/lists/counts", test_counts);
    g_test_add_func("/pv-ve/lists/broken", test_broken_chains);
    g_test_add_func("/pv-ve/lists/endless", test_endless);
    g_test_add_func("/pv-ve/lists/last", test_the_last_list);
    g_test_add_func("/pv-ve/lists/changing", test_changing);
    return g_test_run();
}
