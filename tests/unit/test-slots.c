/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: tests of the slots of one vCPU. */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "pv-ve/hw/slots.h"

static PvVeSlots slots;
static PvVeWaits waits;
static struct pv_ve_page page;
static uint64_t ram_block;      /* only its address counts */

static void prepare(void)
{
    pv_ve_waits_init(&waits);
    pv_ve_slots_init(&slots);
    memset(&page, 0, sizeof(page));
}

static int take(void)
{
    return pv_ve_slots_take(&slots, &waits, &page);
}

static uint32_t generation(unsigned index)
{
    return slots.slot[index].generation;
}

static void write_guest(unsigned index, uint32_t gen, unsigned state)
{
    page.slot[index].guest = cpu_to_le32(PV_VE_WORD(gen, state));
}

/* The guest's word for the fault that is in the slot now. */
static void park(unsigned index)
{
    write_guest(index, generation(index), PV_VE_PARKED);
}

static void acknowledge(unsigned index)
{
    write_guest(index, generation(index), PV_VE_ACKED);
}

static void check_host(unsigned index, unsigned state)
{
    g_assert_cmphex(le32_to_cpu(page.slot[index].host), ==,
                    PV_VE_WORD(generation(index), state));
}

static bool post(unsigned index, bool *raise)
{
    return pv_ve_slots_post(&slots, index, &page, raise);
}

/* A fault that the guest parked and whose page came: is an interrupt due? */
static bool resolve_parked(unsigned index)
{
    bool raise;

    park(index);
    pv_ve_slots_done(&slots, index, false);
    g_assert_true(post(index, &raise));
    return raise;
}

static void take_all(void)
{
    for (int i = 0; i < PV_VE_SLOTS; i++) {
        g_assert_cmpint(take(), ==, i);
    }
}

static void test_take(void)
{
    prepare();
    g_assert_cmpuint(pv_ve_slots_outstanding(&slots), ==, 0);
    g_assert_cmpint(take(), ==, 0);
    g_assert_cmpuint(generation(0), ==, 1);
    g_assert_cmpint(slots.slot[0].state, ==, PV_VE_SLOT_OUTSTANDING);
    g_assert_cmpint(slots.slot[0].wait.kind, ==, PV_VE_WAIT_SLOT);
    g_assert_cmpuint(pv_ve_slots_outstanding(&slots), ==, 1);
    g_assert_cmpuint(generation(1), ==, 0);
}

static void test_undo(void)
{
    prepare();
    g_assert_cmpint(take(), ==, 0);
    pv_ve_waits_add(&waits, &slots.slot[0].wait, &ram_block, 0x1000);
    pv_ve_slots_undo(&slots, &waits, 0);
    g_assert_cmpint(slots.slot[0].state, ==, PV_VE_SLOT_FREE);
    g_assert_false(slots.slot[0].wait.linked);
    g_assert_false(pv_ve_waits_any_outstanding(&waits));
    g_assert_cmpuint(pv_ve_slots_outstanding(&slots), ==, 0);
}

/* An undone fault was never told to the guest, but its generation is used up. */
static void test_undo_generation(void)
{
    prepare();
    take();
    pv_ve_slots_undo(&slots, &waits, 0);
    for (unsigned i = 1; i < PV_VE_SLOTS; i++) {
        take();
    }
    g_assert_cmpint(take(), ==, 0);
    g_assert_cmpuint(generation(0), ==, 2);
}

/* A slot that was acknowledged is the last one to be used again. */
static void test_round_robin(void)
{
    prepare();
    take();
    take();
    acknowledge(0);
    for (int i = 2; i < PV_VE_SLOTS; i++) {
        g_assert_cmpint(take(), ==, i);
    }
    g_assert_cmpint(take(), ==, 0);
    g_assert_cmpuint(generation(0), ==, 2);
}

static void test_exhaustion(void)
{
    prepare();
    take_all();
    g_assert_cmpint(take(), ==, -1);
    g_assert_cmpuint(pv_ve_slots_outstanding(&slots), ==, PV_VE_SLOTS);

    /* A page that came frees nothing: the guest has not looked at it yet. */
    pv_ve_slots_done(&slots, 7, false);
    g_assert_cmpint(take(), ==, -1);
    g_assert_cmpuint(pv_ve_slots_outstanding(&slots), ==, PV_VE_SLOTS - 1);
    park(7);
    g_assert_cmpint(take(), ==, -1);

    acknowledge(7);
    g_assert_cmpint(take(), ==, 7);
    g_assert_cmpuint(generation(7), ==, 2);
    g_assert_cmpint(take(), ==, -1);
}

static void test_stale(void)
{
    prepare();
    take_all();
    acknowledge(3);
    g_assert_cmpint(take(), ==, 3);

    /* The word still acknowledges generation 1. */
    g_assert_cmpint(take(), ==, -1);
    write_guest(3, generation(3) + 1, PV_VE_ACKED);
    g_assert_cmpint(take(), ==, -1);
    write_guest(3, 0, PV_VE_ACKED);
    g_assert_cmpint(take(), ==, -1);
    write_guest(3, generation(3), PV_VE_ACKED | PV_VE_PARKED);
    g_assert_cmpint(take(), ==, -1);
    write_guest(3, generation(3), PV_VE_RESOLVED);
    g_assert_cmpint(take(), ==, -1);
    write_guest(4, generation(3), PV_VE_ACKED);
    g_assert_cmpint(take(), ==, -1);

    acknowledge(3);
    g_assert_cmpint(take(), ==, 3);
}

static void test_generation_wrap(void)
{
    prepare();
    take_all();
    slots.slot[9].generation = PV_VE_GEN_MAX - 1;
    acknowledge(9);
    g_assert_cmpint(take(), ==, 9);
    g_assert_cmpuint(generation(9), ==, PV_VE_GEN_MAX);

    pv_ve_slots_done(&slots, 9, true);
    g_assert_false(post(9, &(bool){ false }));
    check_host(9, PV_VE_FAILED);
    acknowledge(9);
    g_assert_cmpint(take(), ==, 9);
    g_assert_cmpuint(generation(9), ==, 1);
    g_assert_cmpint(take(), ==, -1);
}

/* The guest retries at once: the host forgets the fault, whose page may come later. */
static void test_early_ack(void)
{
    prepare();
    take_all();
    pv_ve_waits_add(&waits, &slots.slot[5].wait, &ram_block, 0x5000);
    pv_ve_waits_add(&waits, &slots.slot[6].wait, &ram_block, 0x5000);
    acknowledge(5);
    g_assert_cmpint(take(), ==, 5);
    g_assert_false(slots.slot[5].wait.linked);
    g_assert_cmpuint(waits.outstanding, ==, 1);
    g_assert_true(pv_ve_waits_take(&waits, &ram_block, 0x5000, true) ==
                  &slots.slot[6].wait);
    g_assert_null(pv_ve_waits_take(&waits, &ram_block, 0x5000, true));
}

/* What is left in a slot by the fault before must not be taken for the new one's. */
static void test_fresh(void)
{
    bool raise;

    prepare();
    take_all();
    pv_ve_slots_done(&slots, 2, true);
    post(2, &raise);
    slots.slot[2].waited = true;
    acknowledge(2);
    g_assert_cmpint(take(), ==, 2);
    g_assert_false(slots.slot[2].failed);
    g_assert_false(slots.slot[2].posted);
    g_assert_false(slots.slot[2].waited);
    pv_ve_slots_done(&slots, 2, false);
    g_assert_false(post(2, &raise));
    check_host(2, PV_VE_RESOLVED);
}

static void test_park_first(void)
{
    bool raise = false;

    prepare();
    take();
    park(0);
    pv_ve_slots_done(&slots, 0, false);
    g_assert_cmpint(slots.slot[0].state, ==, PV_VE_SLOT_DONE);
    g_assert_cmphex(page.slot[0].host, ==, 0);
    g_assert_true(post(0, &raise));
    g_assert_true(raise);
    g_assert_true(slots.slot[0].posted);
    check_host(0, PV_VE_RESOLVED);
    g_assert_cmphex(le64_to_cpu(page.done[0]), ==, 1);
    g_assert_cmphex(page.done[1], ==, 0);
}

static void test_resolve_first(void)
{
    bool raise = false;

    prepare();
    take();
    pv_ve_slots_done(&slots, 0, false);
    g_assert_false(post(0, &raise));
    g_assert_false(raise);
    check_host(0, PV_VE_RESOLVED);
    g_assert_cmphex(page.done[0], ==, 0);
}

/* Parked there, but a fault of the past. */
static void test_parked_stale(void)
{
    bool raise = false;

    prepare();
    take_all();
    acknowledge(0);
    take();
    write_guest(0, 1, PV_VE_PARKED);
    pv_ve_slots_done(&slots, 0, false);
    g_assert_false(post(0, &raise));
    g_assert_cmphex(page.done[0], ==, 0);
}

static void test_failed(void)
{
    bool raise;

    prepare();
    take();
    park(0);
    pv_ve_slots_done(&slots, 0, true);
    g_assert_true(post(0, &raise));
    check_host(0, PV_VE_FAILED);
}

/* Once more, as after a migration. */
static void test_post_again(void)
{
    bool raise = true;

    prepare();
    take_all();
    g_assert_true(resolve_parked(0));
    g_assert_false(resolve_parked(1));
    slots.slot[1].posted = false;
    g_assert_true(post(1, &raise));
    g_assert_false(raise);
    g_assert_cmphex(le64_to_cpu(page.done[0]), ==, 3);
    check_host(1, PV_VE_RESOLVED);
}

static void test_any_done_bit(void)
{
    prepare();
    g_assert_false(pv_ve_slots_any_done_bit(&page));
    for (unsigned i = 0; i < 128; i++) {
        page.done[i / 64] = cpu_to_le64(1ull << i % 64);
        g_assert_true(pv_ve_slots_any_done_bit(&page));
        page.done[i / 64] = 0;
    }
    g_assert_false(pv_ve_slots_any_done_bit(&page));
}

static void test_coalescing(void)
{
    prepare();
    take_all();
    g_assert_true(resolve_parked(0));
    for (unsigned i = 1; i < 64; i++) {
        g_assert_false(resolve_parked(i));
    }
    g_assert_cmphex(le64_to_cpu(page.done[0]), ==, UINT64_MAX);
    g_assert_cmphex(page.done[1], ==, 0);

    /* Each word raises for itself. */
    g_assert_true(resolve_parked(119));
    for (unsigned i = 64; i < 119; i++) {
        g_assert_false(resolve_parked(i));
    }
    g_assert_cmphex(le64_to_cpu(page.done[0]), ==, UINT64_MAX);
    g_assert_cmphex(le64_to_cpu(page.done[1]), ==, UINT64_MAX >> 8);
}

/* Every slot has its own bit, and an emptied word raises again. */
static void test_done_bits(void)
{
    prepare();
    take_all();
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        page.done[0] = page.done[1] = 0;
        g_assert_true(resolve_parked(i));
        g_assert_cmphex(le64_to_cpu(page.done[i / 64]), ==, 1ull << i % 64);
        g_assert_cmphex(page.done[1 - i / 64], ==, 0);
    }
}

/* The host writes its word and the done bit and nothing else of the page. */
static void test_bytes(void)
{
    struct pv_ve_page wanted;

    prepare();
    take();
    memset(&page, 0xa5, sizeof(page));
    page.done[0] = 0;
    park(0);
    wanted = page;
    wanted.done[0] = cpu_to_le64(1);
    wanted.slot[0].host = cpu_to_le32(PV_VE_WORD(1, PV_VE_RESOLVED));
    pv_ve_slots_done(&slots, 0, false);
    g_assert_true(post(0, &(bool){ false }));
    g_assert_cmpmem(&page, sizeof(page), &wanted, sizeof(wanted));
}

static void test_drop(void)
{
    prepare();
    take();
    take();
    pv_ve_waits_add(&waits, &slots.slot[0].wait, &ram_block, 0x1000);
    pv_ve_waits_add(&waits, &slots.slot[1].wait, &ram_block, 0x2000);
    pv_ve_waits_remove(&waits, &slots.slot[1].wait);
    pv_ve_slots_done(&slots, 1, false);
    pv_ve_slots_drop(&slots, &waits);
    g_assert_cmpuint(pv_ve_slots_outstanding(&slots), ==, 0);
    g_assert_false(pv_ve_waits_any_outstanding(&waits));
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        g_assert_cmpint(slots.slot[i].state, ==, PV_VE_SLOT_FREE);
    }

    /* All can be had again, with the next generation. */
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        g_assert_cmpint(take(), >=, 0);
    }
    g_assert_cmpuint(generation(0), ==, 2);
    g_assert_cmpuint(generation(1), ==, 2);
    g_assert_cmpuint(generation(2), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/slots/take", test_take);
    g_test_add_func("/slots/undo", test_undo);
    g_test_add_func("/slots/undo-uses-generation", test_undo_generation);
    g_test_add_func("/slots/round-robin", test_round_robin);
    g_test_add_func("/slots/exhaustion", test_exhaustion);
    g_test_add_func("/slots/stale-acknowledgement", test_stale);
    g_test_add_func("/slots/generation-wrap", test_generation_wrap);
    g_test_add_func("/slots/acknowledged-before-the-page", test_early_ack);
    g_test_add_func("/slots/nothing-left-of-the-last-fault", test_fresh);
    g_test_add_func("/slots/parked-before-resolved", test_park_first);
    g_test_add_func("/slots/resolved-before-parked", test_resolve_first);
    g_test_add_func("/slots/parked-in-the-past", test_parked_stale);
    g_test_add_func("/slots/failed", test_failed);
    g_test_add_func("/slots/post-again", test_post_again);
    g_test_add_func("/slots/any-done-bit", test_any_done_bit);
    g_test_add_func("/slots/coalescing", test_coalescing);
    g_test_add_func("/slots/done-bits", test_done_bits);
    g_test_add_func("/slots/no-other-bytes", test_bytes);
    g_test_add_func("/slots/drop", test_drop);
    return g_test_run();
}
