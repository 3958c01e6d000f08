/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: tests of the table of who waits for which page. */
#include "qemu/osdep.h"
#include "pv-ve/hw/waits.h"

/*
 * The table only compares blocks; these addresses stand for two of them.  They are so far
 * apart that the same page of both is often in one bucket.
 */
static char blocks[1597 * 16 + 1];
static void *const block = &blocks[0];
static void *const other = &blocks[1597 * 16];

static PvVeWaits table;
static PvVeWait waiter[4];

static void prepare(void)
{
    memset(waiter, 0, sizeof(waiter));
    pv_ve_waits_init(&table);
}

static void add(unsigned index, void *of, uint64_t offset, PvVeWaitKind kind)
{
    waiter[index].kind = kind;
    pv_ve_waits_add(&table, &waiter[index], of, offset);
}

static void test_empty(void)
{
    prepare();
    g_assert_false(pv_ve_waits_any_outstanding(&table));
    g_assert_null(pv_ve_waits_take(&table, block, 0, false));
}

static void test_take(void)
{
    prepare();
    add(0, block, 0x5000, PV_VE_WAIT_SLOT);
    g_assert_true(waiter[0].linked);
    g_assert_true(pv_ve_waits_any_outstanding(&table));

    g_assert_null(pv_ve_waits_take(&table, block, 0x4000, false));
    g_assert_null(pv_ve_waits_take(&table, block, 0x6000, false));
    g_assert_null(pv_ve_waits_take(&table, other, 0x5000, false));
    g_assert_true(waiter[0].linked);

    g_assert_true(pv_ve_waits_take(&table, block, 0x5000, false) == &waiter[0]);
    g_assert_false(waiter[0].linked);
    g_assert_false(pv_ve_waits_any_outstanding(&table));
    g_assert_null(pv_ve_waits_take(&table, block, 0x5000, false));
}

/* All waiters of a page, each once, and no others. */
static void test_several(void)
{
    unsigned taken = 0;
    PvVeWait *w;

    prepare();
    add(0, block, 0x1000, PV_VE_WAIT_SLOT);
    add(1, block, 0x1000, PV_VE_WAIT_VCPU);
    add(2, block, 0x2000, PV_VE_WAIT_SLOT);
    add(3, block, 0x1000, PV_VE_WAIT_SLOT);
    while ((w = pv_ve_waits_take(&table, block, 0x1000, false))) {
        unsigned bit = 1 << (w - waiter);

        g_assert_cmpuint(taken & bit, ==, 0);
        taken |= bit;
    }
    g_assert_cmphex(taken, ==, 0xb);
    g_assert_true(waiter[2].linked);
    g_assert_cmpuint(table.outstanding, ==, 1);
}

static void test_only_slots(void)
{
    prepare();
    add(0, block, 0x1000, PV_VE_WAIT_AREA);
    add(1, block, 0x1000, PV_VE_WAIT_SLOT);
    add(2, block, 0x1000, PV_VE_WAIT_VCPU);
    g_assert_true(pv_ve_waits_take(&table, block, 0x1000, true) == &waiter[1]);
    g_assert_null(pv_ve_waits_take(&table, block, 0x1000, true));
    g_assert_true(waiter[0].linked && waiter[2].linked);
    g_assert_cmpuint(table.outstanding, ==, 2);
    g_assert_nonnull(pv_ve_waits_take(&table, block, 0x1000, false));
    g_assert_nonnull(pv_ve_waits_take(&table, block, 0x1000, false));
    g_assert_false(pv_ve_waits_any_outstanding(&table));
}

static void test_remove(void)
{
    prepare();
    add(0, block, 0x1000, PV_VE_WAIT_SLOT);
    add(1, block, 0x1000, PV_VE_WAIT_SLOT);
    add(2, block, 0x1000, PV_VE_WAIT_SLOT);
    pv_ve_waits_remove(&table, &waiter[1]);
    g_assert_false(waiter[1].linked);
    g_assert_cmpuint(table.outstanding, ==, 2);

    /* Who does not wait is not counted a second time. */
    pv_ve_waits_remove(&table, &waiter[1]);
    pv_ve_waits_remove(&table, &waiter[3]);
    g_assert_cmpuint(table.outstanding, ==, 2);

    g_assert_true(pv_ve_waits_take(&table, block, 0x1000, false) != &waiter[1]);
    g_assert_true(pv_ve_waits_take(&table, block, 0x1000, false) != &waiter[1]);
    g_assert_null(pv_ve_waits_take(&table, block, 0x1000, false));
    g_assert_false(pv_ve_waits_any_outstanding(&table));
}

static void test_again(void)
{
    prepare();
    for (unsigned i = 0; i < 3; i++) {
        uint64_t offset = i * 0x1000;

        add(0, block, offset, PV_VE_WAIT_SLOT);
        g_assert_cmpuint(table.outstanding, ==, 1);
        g_assert_true(pv_ve_waits_take(&table, block, offset, true) == &waiter[0]);
    }
}

static void test_twice(void)
{
    if (g_test_subprocess()) {
        prepare();
        add(0, block, 0x1000, PV_VE_WAIT_SLOT);
        add(0, block, 0x2000, PV_VE_WAIT_SLOT);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

/* More pages than there are buckets, the same ones of two blocks: each stays apart. */
static void test_collisions(void)
{
    static PvVeWait many[2][3 * PV_VE_WAIT_BUCKETS];
    const unsigned pages = ARRAY_SIZE(many[0]);

    prepare();
    for (unsigned i = 0; i < pages; i++) {
        pv_ve_waits_add(&table, &many[0][i], block, i * 0x1000ull);
        pv_ve_waits_add(&table, &many[1][i], other, i * 0x1000ull);
    }
    g_assert_cmpuint(table.outstanding, ==, 2 * pages);
    for (unsigned n = 0; n < 2 * pages; n++) {
        /* in an order that has nothing to do with that of before */
        unsigned i = n * 7 % pages, b = n * 7 / pages % 2;

        g_assert_true(pv_ve_waits_take(&table, b ? other : block, i * 0x1000ull, true) ==
                      &many[b][i]);
        g_assert_null(pv_ve_waits_take(&table, b ? other : block, i * 0x1000ull, true));
    }
    g_assert_false(pv_ve_waits_any_outstanding(&table));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/waits/empty", test_empty);
    g_test_add_func("/waits/take", test_take);
    g_test_add_func("/waits/several-of-a-page", test_several);
    g_test_add_func("/waits/only-slots", test_only_slots);
    g_test_add_func("/waits/remove", test_remove);
    g_test_add_func("/waits/again", test_again);
    g_test_add_func("/waits/twice-is-refused", test_twice);
    g_test_add_func("/waits/collisions", test_collisions);
    return g_test_run();
}
