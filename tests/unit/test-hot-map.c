/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: tests of the map of pages that go first. */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "pv-ve/outgoing/map.h"

#define WORDS (3 * PV_VE_HOT_LEAF_WORDS)
#define PAGES ((unsigned long)WORDS * BITS_PER_LONG)
#define LEAF (PAGES / 3)

static PvVeHotMap map;
static unsigned long log_[WORDS], bmap[WORDS];
static uint64_t count[PV_VE_NR_HOT], gone;

static void prepare_for(unsigned long pages, unsigned long ratio)
{
    pv_ve_hot_map_free(&map);
    pv_ve_hot_map_init(&map, pages, ratio);
    memset(log_, 0, sizeof(log_));
    memset(bmap, 0, sizeof(bmap));
    memset(count, 0, sizeof(count));
    gone = 0;
}

static void prepare(void)
{
    prepare_for(PAGES, 1);
}

/* The log, with what @class has to have of it, is read and moved. */
static void take(PvVeHotClass class, unsigned nr, const unsigned long *page)
{
    memset(log_, 0, sizeof(log_));
    for (unsigned i = 0; i < nr; i++) {
        set_bit(page[i], log_);
    }
    pv_ve_hot_map_add(&map, class, 0, log_, NULL, WORDS);
    bitmap_or(bmap, bmap, log_, PAGES);
}

#define TAKE(class, ...) do { \
        static const unsigned long pages_[] = { __VA_ARGS__ }; \
        take(class, ARRAY_SIZE(pages_), pages_); \
    } while (0)

static void settle(void)
{
    pv_ve_hot_map_settle(&map, 0, bmap, log_, WORDS, count);
    if (map.ratio > 1) {
        pv_ve_hot_map_to_pages(&map, count);
    }
}

static void check(PvVeHotClass class, unsigned nr, const unsigned long *page)
{
    unsigned long at = 0;

    for (unsigned i = 0; i < nr; i++) {
        g_assert_true(pv_ve_hot_map_next(&map, class, &at, bmap, &gone));
        g_assert_cmpuint(at, ==, page[i]);
        at++;
    }
    g_assert_false(pv_ve_hot_map_next(&map, class, &at, bmap, &gone));
}

#define CHECK(class, ...) do { \
        static const unsigned long pages_[] = { __VA_ARGS__ }; \
        check(class, ARRAY_SIZE(pages_), pages_); \
    } while (0)

static void test_empty(void)
{
    prepare();
    bitmap_fill(bmap, PAGES);
    settle();
    for (unsigned class = 0; class < PV_VE_NR_HOT; class++) {
        check(class, 0, NULL);
        g_assert_cmpuint(count[class], ==, 0);
    }
    for (unsigned i = 0; i < map.nr_leaves; i++) {
        g_assert_null(map.leaf[i]);
    }
}

/* Nothing was written in the leaf before. */
static void test_first_of_a_leaf(void)
{
    prepare();
    TAKE(PV_VE_HOT_NEWEST, LEAF);
    settle();
    CHECK(PV_VE_HOT_NEWEST, LEAF);
}

static void test_order(void)
{
    prepare();
    TAKE(PV_VE_HOT_PASS, 1, 2, 64, LEAF - 1, LEAF, PAGES - 1);
    TAKE(PV_VE_HOT_SECOND, 2, 3, LEAF);
    TAKE(PV_VE_HOT_NEWEST, 3, 4, 2 * LEAF);
    settle();
    CHECK(PV_VE_HOT_NEWEST, 3, 4, 2 * LEAF);
    CHECK(PV_VE_HOT_SECOND, 2, LEAF);
    CHECK(PV_VE_HOT_PASS, 1, 64, LEAF - 1, PAGES - 1);
    g_assert_cmpuint(count[PV_VE_HOT_NEWEST], ==, 3);
    g_assert_cmpuint(count[PV_VE_HOT_SECOND], ==, 2);
    g_assert_cmpuint(count[PV_VE_HOT_PASS], ==, 4);
    g_assert_cmpuint(gone, ==, 0);
}

/* Runs begin and end anywhere, within a word, a leaf or beyond the end. */
static void test_named(void)
{
    prepare();
    TAKE(PV_VE_HOT_NEWEST, 62, 66);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_0, 63, 2);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_2, 66, 1);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_2, LEAF - 1, 3);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_1, PAGES - 2, ULONG_MAX);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_3, PAGES, 1);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_3, ULONG_MAX, 2);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_3, 1, 0);
    memset(bmap, 0xff, sizeof(bmap));
    settle();
    CHECK(PV_VE_HOT_NAMED_0, 63, 64);
    CHECK(PV_VE_HOT_NEWEST, 62, 66);
    CHECK(PV_VE_HOT_NAMED_2, LEAF - 1, LEAF, LEAF + 1);
    CHECK(PV_VE_HOT_NAMED_1, PAGES - 2, PAGES - 1);
    check(PV_VE_HOT_NAMED_3, 0, NULL);
}

/* Of two classes that are named, what was written just now goes early. */
static void test_named_and_used(void)
{
    prepare();
    TAKE(PV_VE_HOT_NEWEST, 62, 64, 66, LEAF, LEAF + 1);
    TAKE(PV_VE_HOT_SECOND, 65);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_3, 63, 4);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_0, 66, 1);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_1, LEAF + 1, 2);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_1, 64, 1);
    pv_ve_hot_map_add_run(&map, PV_VE_HOT_NAMED_2, LEAF, 1);
    memset(bmap, 0xff, sizeof(bmap));
    settle();
    CHECK(PV_VE_HOT_NAMED_0, 66);
    CHECK(PV_VE_HOT_USED_3, 64);
    CHECK(PV_VE_HOT_USED_1, LEAF + 1);
    CHECK(PV_VE_HOT_NEWEST, 62, LEAF);
    CHECK(PV_VE_HOT_NAMED_1, LEAF + 2);
    CHECK(PV_VE_HOT_SECOND, 65);
    CHECK(PV_VE_HOT_NAMED_3, 63);
    g_assert_cmpuint(count[PV_VE_HOT_USED_3], ==, 1);
}

/* What precopy has sent meanwhile is not missing; what was written since is. */
static void test_sent_before(void)
{
    prepare();
    TAKE(PV_VE_HOT_PASS, 10, 11, 12);
    clear_bit(10, bmap);
    clear_bit(11, bmap);
    TAKE(PV_VE_HOT_NEWEST, 11, 13);
    bitmap_zero(bmap, PAGES);
    set_bit(12, bmap);
    settle();               /* the log still holds 11 and 13 */
    bitmap_or(bmap, bmap, log_, PAGES);
    CHECK(PV_VE_HOT_NEWEST, 11, 13);
    CHECK(PV_VE_HOT_PASS, 12);
    g_assert_cmpuint(gone, ==, 0);
}

/* An accelerator that tells what is dirty anyway: only what had been sent is new. */
static void test_except(void)
{
    prepare();
    set_bit(5, bmap);
    set_bit(5, log_);
    set_bit(6, log_);
    pv_ve_hot_map_add(&map, PV_VE_HOT_NEWEST, 0, log_, bmap, WORDS);
    bitmap_or(bmap, bmap, log_, PAGES);
    settle();
    CHECK(PV_VE_HOT_NEWEST, 6);
}

/* Parts of the log begin anywhere. */
static void test_parts(void)
{
    prepare();
    set_bit(0, log_);
    set_bit(BITS_PER_LONG + 1, log_);
    pv_ve_hot_map_add(&map, PV_VE_HOT_SECOND, PV_VE_HOT_LEAF_WORDS - 1, log_, NULL, 2);
    set_bit(LEAF - BITS_PER_LONG, bmap);
    set_bit(LEAF + 1, bmap);
    memset(log_, 0, sizeof(log_));
    pv_ve_hot_map_settle(&map, PV_VE_HOT_LEAF_WORDS - 1, &bmap[PV_VE_HOT_LEAF_WORDS - 1],
                         log_, 2, count);
    CHECK(PV_VE_HOT_SECOND, LEAF - BITS_PER_LONG, LEAF + 1);
    pv_ve_hot_map_settle(&map, PV_VE_HOT_LEAF_WORDS - 1, log_, log_, 1,
                         count);
    CHECK(PV_VE_HOT_SECOND, LEAF + 1);
}

/* Pages that have gone before their turn are counted, and never found. */
static void test_gone(void)
{
    unsigned long at = 0;

    prepare();
    TAKE(PV_VE_HOT_NEWEST, 1, 2, 3, 70, LEAF, LEAF + 5);
    settle();
    clear_bit(1, bmap);
    clear_bit(3, bmap);
    clear_bit(LEAF, bmap);
    g_assert_true(pv_ve_hot_map_next(&map, PV_VE_HOT_NEWEST, &at, bmap, &gone));
    g_assert_cmpuint(at, ==, 2);
    g_assert_cmpuint(gone, ==, 1);
    clear_bit(2, bmap);                     /* sent */
    at++;
    g_assert_true(pv_ve_hot_map_next(&map, PV_VE_HOT_NEWEST, &at, bmap, &gone));
    g_assert_cmpuint(at, ==, 70);
    g_assert_cmpuint(gone, ==, 2);
    at++;
    g_assert_true(pv_ve_hot_map_next(&map, PV_VE_HOT_NEWEST, &at, bmap, &gone));
    g_assert_cmpuint(at, ==, LEAF + 5);
    g_assert_cmpuint(gone, ==, 3);
}

/* The block's end is not that of a word, and what lies behind it is no page. */
static void test_end(void)
{
    prepare_for(70, 1);
    bitmap_fill(bmap, 128);
    set_bit(65, log_);
    set_bit(69, log_);
    set_bit(70, log_);
    pv_ve_hot_map_add(&map, PV_VE_HOT_NEWEST, 1, &log_[1], NULL, 1);
    clear_bit(69, log_);
    pv_ve_hot_map_add(&map, PV_VE_HOT_SECOND, 1, &log_[1], NULL, 1);
    CHECK(PV_VE_HOT_NEWEST, 65, 69);
    CHECK(PV_VE_HOT_SECOND, 65);
}

/* Pages of 2 MiB: each once, whatever was written in it, in its newest class. */
static void test_large_pages(void)
{
    prepare_for(PAGES, 512);
    TAKE(PV_VE_HOT_PASS, 3, 512, 600, 1023, 2048, LEAF + 511);
    TAKE(PV_VE_HOT_SECOND, 700, 1024);
    TAKE(PV_VE_HOT_NEWEST, 1, 2, 511, LEAF + 512);
    settle();
    bitmap_fill(bmap, PAGES);               /* as migration does for such blocks */
    CHECK(PV_VE_HOT_NEWEST, 0, LEAF + 512);
    CHECK(PV_VE_HOT_SECOND, 512, 1024);
    CHECK(PV_VE_HOT_PASS, 2048, LEAF);
    g_assert_cmpuint(count[PV_VE_HOT_NEWEST], ==, 2);
    g_assert_cmpuint(count[PV_VE_HOT_SECOND], ==, 2);
    g_assert_cmpuint(count[PV_VE_HOT_PASS], ==, 2);
}

/* A page larger than a leaf begins in a leaf where nothing was written. */
static void test_pages_larger_than_leaves(void)
{
    prepare_for(PAGES, 2 * LEAF);
    TAKE(PV_VE_HOT_SECOND, LEAF + 7, 2 * LEAF + 7);
    TAKE(PV_VE_HOT_NEWEST, LEAF + 9);
    settle();
    bitmap_fill(bmap, PAGES);
    CHECK(PV_VE_HOT_NEWEST, 0);
    CHECK(PV_VE_HOT_SECOND, 2 * LEAF);
}

/* After an outage: what had its turn and has not arrived is there again. */
static void test_keep_dirty(void)
{
    prepare();
    TAKE(PV_VE_HOT_NEWEST, 1, 2, 65, LEAF, LEAF + 1, LEAF + 2);
    settle();
    clear_bit(1, bmap);
    clear_bit(LEAF, bmap);
    clear_bit(LEAF + 1, bmap);
    clear_bit(LEAF + 2, bmap);
    pv_ve_hot_map_keep_dirty(&map, PV_VE_HOT_NEWEST, LEAF + 2, bmap);
    CHECK(PV_VE_HOT_NEWEST, 2, 65);
    g_assert_cmpuint(gone, ==, 1);          /* LEAF + 2, which had not had its turn */
    pv_ve_hot_map_keep_dirty(&map, PV_VE_HOT_NEWEST, PAGES, bmap);
    gone = 0;
    CHECK(PV_VE_HOT_NEWEST, 2, 65);
    g_assert_cmpuint(gone, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hot-map/empty", test_empty);
    g_test_add_func("/hot-map/first-of-a-leaf", test_first_of_a_leaf);
    g_test_add_func("/hot-map/order", test_order);
    g_test_add_func("/hot-map/named", test_named);
    g_test_add_func("/hot-map/named and used", test_named_and_used);
    g_test_add_func("/hot-map/sent-before", test_sent_before);
    g_test_add_func("/hot-map/except", test_except);
    g_test_add_func("/hot-map/parts", test_parts);
    g_test_add_func("/hot-map/gone", test_gone);
    g_test_add_func("/hot-map/end", test_end);
    g_test_add_func("/hot-map/large-pages", test_large_pages);
    g_test_add_func("/hot-map/pages-larger-than-leaves", test_pages_larger_than_leaves);
    g_test_add_func("/hot-map/keep-dirty", test_keep_dirty);
    return g_test_run();
}
