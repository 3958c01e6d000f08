/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: tests of how streams are found, and what is asked for ahead of them. */
#include "qemu/osdep.h"
#include "pv-ve/hw/streams.h"

#define SPAN    PV_VE_AHEAD_SPAN
#define MAX_AHEAD PV_VE_AHEAD_MAX
#define START   0x1000
#define LAST    (UINT64_MAX >> 12)
#define HIGH    (LAST - 0x1000) /* as the kernel's */
#define FAR     0x10000         /* pages between places that have nothing in common */

static PvVeStreams streams;
static bool there[0x20000];     /* pages that have come */

static void begin(void)
{
    memset(&streams, 0, sizeof(streams));
    memset(there, 0, sizeof(there));
}

static void check(uint64_t asked, uint64_t hit, uint64_t missed)
{
    g_assert_cmpuint(streams.asked, ==, asked);
    g_assert_cmpuint(streams.hit, ==, hit);
    g_assert_cmpuint(streams.missed, ==, missed);
}

static PvVeAhead touch(uint64_t page)
{
    return pv_ve_streams_touch(&streams, 0, page, page);
}

/* As if all that is looked at were mapped; @come: what is asked for comes at once. */
static void serve(const PvVeAhead *a, bool come)
{
    unsigned left = a->want, looked;
    uint64_t asked = 0;

    g_assert_cmpuint(a->want, <=, MAX_AHEAD);
    g_assert_cmpuint(a->span, <=, SPAN);
    for (looked = 0; looked < a->span; looked++) {
        bool *page = &there[a->down ? a->from - looked : a->from + looked];

        if (!*page) {
            if (!left--) {
                break;
            }
            asked |= 1ull << looked;
            *page = come;
        }
    }
    pv_ve_streams_asked(&streams, a, looked, asked);
}

static void touch_and_serve(uint64_t page)
{
    PvVeAhead a = touch(page);

    there[page] = true;
    serve(&a, true);
}

/* Touches each page that is not there; returns how many. */
static unsigned walk(uint64_t from, uint64_t nr, unsigned step)
{
    unsigned faults = 0;

    for (uint64_t page = from; page < from + nr; page += step) {
        if (!there[page]) {
            touch_and_serve(page);
            faults++;
        }
    }
    return faults;
}

static void test_window(void)
{
    static const unsigned want[] = { 0, 2, 4, 8, 16, 32, 32, 32 };
    uint64_t page = START;

    begin();
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        PvVeAhead a = touch(page);

        g_assert_cmpuint(a.want, ==, want[i]);
        g_assert_cmphex(a.from, ==, page + 1);
        serve(&a, true);
        page += 1 + want[i];
    }
    check(126, 94, 0);
}

static void test_sequence(void)
{
    begin();
    g_assert_cmpuint(walk(START, 1024, 1), <, 1024 / MAX_AHEAD + 8);
    g_assert_cmpuint(streams.missed, ==, 0);
    g_assert_cmpuint(streams.asked - streams.hit, <=, MAX_AHEAD);
}

static void test_down(void)
{
    unsigned faults = 0;

    begin();
    for (unsigned i = 0; i < 1024; i++) {
        if (!there[START - i]) {
            touch_and_serve(START - i);
            faults++;
        }
    }
    g_assert_cmpuint(faults, <, 1024 / MAX_AHEAD + 8);
    g_assert_cmpuint(streams.missed, ==, 0);
    g_assert_cmpuint(streams.asked - streams.hit, <=, MAX_AHEAD);
}

/* Each begins where another has begun, and goes the other way. */
static void test_both_ways(void)
{
    begin();
    for (unsigned i = 0; i < 512; i++) {
        walk(START + i, 1, 1);
        walk(START - 1 - i, 1, 1);
    }
    g_assert_cmpuint(streams.asked - streams.hit - streams.missed, <=, 2 * MAX_AHEAD);
    g_assert_cmpuint(streams.hit, >, 900);
}

/* To and fro is no stream. */
static void test_to_and_fro(void)
{
    begin();
    for (unsigned i = 0; i < 100; i++) {
        PvVeAhead a = touch(START + (i & 1) * 2);

        serve(&a, false);
    }
    check(0, 0, 0);
}

static void test_down_operand(void)
{
    PvVeAhead a;

    begin();
    a = pv_ve_streams_touch(&streams, 0, START, START + 20);
    serve(&a, false);
    a = touch(START - 1);
    g_assert_cmpuint(a.want, ==, 0);            /* another one */
    check(20, 0, 0);
    touch(HIGH);
    a = pv_ve_streams_touch(&streams, 0, HIGH - 1, HIGH + 20);
    g_assert_cmphex(a.from, ==, HIGH - 2);
    g_assert_true(a.down);
    g_assert_cmpuint(a.want, ==, 2);
    g_assert_cmpuint(a.span, ==, SPAN - 1);
}

/* Who has gone up turns only as a new stream, and nobody for another address space. */
static void test_turned(void)
{
    PvVeAhead a;

    begin();
    touch(START);
    touch(START + 1);
    g_assert_cmpuint(touch(START).want, ==, 0);
    touch(START + FAR);
    a = pv_ve_streams_touch(&streams, 1, START + FAR - 1, 0);
    g_assert_cmpuint(a.want, ==, 0);
}

/* Two that are at the same place, counted from either end */
static void test_mirrored(void)
{
    PvVeAhead a;

    begin();
    touch(START + 1);
    touch(LAST - START);
    a = touch(LAST - START - 1);
    g_assert_true(a.down);
    pv_ve_streams_asked(&streams, &a, 1, 1);
    g_assert_cmphex(streams.stream[0].next, ==, START + 2);
    g_assert_cmphex(streams.stream[1].next, ==, START + 3);
}

/* The first one is never asked for, and of a second one nothing is known. */
static void test_new(void)
{
    begin();
    for (unsigned i = 0; i < 1000; i++) {
        PvVeAhead a = touch(START + i * FAR);

        g_assert_cmpuint(a.want, ==, 0);
    }
    check(0, 0, 0);
}

static void test_random(void)
{
    unsigned faults = 0;

    begin();
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t page = g_test_rand_int_range(START, START + 0x10000);

        if (!there[page]) {
            touch_and_serve(page);
            faults++;
        }
    }
    g_assert_cmpuint(streams.asked, <, faults / 100);
}

/* Each touch is near the one before, none follows it. */
static void test_strides(void)
{
    for (unsigned step = 2; step < 2 * SPAN; step++) {
        begin();
        g_assert_cmpuint(walk(START, 500 * step, step), ==, 500);
        check(0, 0, 0);
    }
}

/* What is taken for a stream and is none soon asks for nothing. */
static void test_falls(void)
{
    uint64_t page = START + 64;

    begin();
    walk(START, 64, 1);
    for (unsigned i = 0; i < 20; i++) {
        page = streams.stream[0].next + 3;
        touch_and_serve(page);
    }
    g_assert_cmpuint(streams.stream[0].window, ==, 0);
    g_assert_cmpuint(streams.asked, ==, streams.hit + streams.missed);
    g_assert_cmpuint(streams.missed, >, 0);
    touch_and_serve(page + 1);
    g_assert_cmpuint(streams.stream[0].window, ==, 2);
}

/* One that has just skipped pages asks for nothing before it is in sequence again. */
static void test_jump(void)
{
    PvVeAhead a;

    begin();
    walk(START, 100, 1);
    a = touch(streams.stream[0].next + 2);
    g_assert_cmpuint(a.want, ==, 0);
    a = touch(streams.stream[0].next);
    g_assert_cmpuint(a.want, ==, MAX_AHEAD);
    serve(&a, true);
    touch(streams.stream[0].next + 9);
    a = touch(streams.stream[0].next + 10);
    g_assert_cmpuint(a.want, ==, 2);            /* too far: another one */
}

static void test_pages_that_are_there(void)
{
    begin();
    for (unsigned i = 0; i < 1024; i += 4) {
        memset(&there[START + i], true, 3);
    }
    g_assert_cmpuint(walk(START, 1024, 1), <, 256);
    g_assert_cmpuint(streams.missed, ==, 0);
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmpuint(streams.stream[i % PV_VE_NR_STREAMS].next -
                         streams.stream[i % PV_VE_NR_STREAMS].page, <=, SPAN);
    }
}

/* A reader that is faster than the link touches pages that are on their way. */
static void test_under_way(void)
{
    begin();
    for (unsigned i = 0; i < 200; i++) {
        PvVeAhead a = touch(START + i);

        there[START + i] = true;
        serve(&a, false);
        g_assert_cmpuint(streams.asked - streams.hit, <=, MAX_AHEAD);
    }
    g_assert_cmpuint(streams.asked - streams.hit, ==, MAX_AHEAD);
    g_assert_cmpuint(streams.hit, ==, 198);
}

/* Whoever tries again, or another task, touches the page once more. */
static void test_again(void)
{
    begin();
    walk(START, 3, 1);
    for (unsigned i = 0; i < 100; i++) {
        PvVeAhead a = touch(START + 1);

        g_assert_cmpuint(a.want, ==, 0);
        serve(&a, false);
    }
    check(2, 0, 0);
}

static void test_several(void)
{
    unsigned faults = 0;

    begin();
    for (unsigned i = 0; i < 512; i++) {
        for (unsigned stream = 0; stream < PV_VE_NR_STREAMS; stream++) {
            faults += walk(START + stream * 0x800 + i, 1, 1);
        }
    }
    g_assert_cmpuint(faults, <, PV_VE_NR_STREAMS * (512 / MAX_AHEAD + 8));
    g_assert_cmpuint(streams.missed, ==, 0);
}

/* The oldest one makes room, and what was asked for it was in vain. */
static void test_too_many(void)
{
    begin();
    walk(START, 3, 1);
    for (unsigned i = 1; i < PV_VE_NR_STREAMS; i++) {
        touch(START + i * FAR);
    }
    check(3 - 1, 0, 0);
    touch(START + PV_VE_NR_STREAMS * FAR);
    check(3 - 1, 0, 3 - 1);
    g_assert_cmpuint(touch(START + 4).want, ==, 0);
}

static void test_kept(void)
{
    begin();
    walk(START, 3, 1);
    for (unsigned i = 1; i < 10 * PV_VE_NR_STREAMS; i++) {
        touch(START + i * 0x100);
        touch(START + 1);
    }
    g_assert_cmpuint(touch(START + 4).want, ==, 4);
}

static void test_spaces(void)
{
    begin();
    for (unsigned i = 0; i < 64; i++) {
        uint64_t page = START + i / 2;
        PvVeAhead a = pv_ve_streams_touch(&streams, 1 + i % 2, page, page);

        g_assert_cmpuint(a.space, ==, 1 + i % 2);
        serve(&a, false);
    }
    check(2 * (MAX_AHEAD + 30), 2 * 30, 0);
}

/* The whole of a string operation, without waiting for a second touch. */
static void test_operand(void)
{
    PvVeAhead a;

    begin();
    a = pv_ve_streams_touch(&streams, 0, START, START + 9);
    g_assert_cmpuint(a.want, ==, 9);
    g_assert_cmpuint(a.span, ==, 9);
    serve(&a, false);
    a = pv_ve_streams_touch(&streams, 0, START, START + 9);
    g_assert_cmpuint(a.want, ==, 0);
    a = pv_ve_streams_touch(&streams, 0, START, START + 5);
    g_assert_cmpuint(a.want, ==, 0);
    a = pv_ve_streams_touch(&streams, 0, START, START + 11);
    g_assert_cmpuint(a.want, ==, 2);
    a = pv_ve_streams_touch(&streams, 0, START + FAR, UINT64_MAX);
    g_assert_cmpuint(a.want, ==, MAX_AHEAD);
    a = pv_ve_streams_touch(&streams, 0, START + 2 * FAR, 5);
    g_assert_cmpuint(a.want, ==, 0);
}

/* A paging structure is missing: it is asked for, and what is behind it not known. */
static void test_structure(void)
{
    PvVeAhead a;

    begin();
    touch(START);
    a = touch(START + 1);
    pv_ve_streams_asked(&streams, &a, 0, 1);
    check(1, 0, 0);
    a = touch(START + 2);
    check(1, 1, 0);
    g_assert_cmphex(a.from, ==, START + 3);
    g_assert_cmpuint(a.want, ==, 4);
}

/* Another vCPU was faster. */
static void test_overtaken(void)
{
    PvVeAhead a, b;

    begin();
    walk(START, 2, 1);
    a = touch(START + 4);
    b = touch(START + 5);
    serve(&b, false);
    pv_ve_streams_asked(&streams, &a, 4, 0xf);
    g_assert_cmphex(streams.stream[0].next, ==, START + 6 + b.want);
}

/* The end of what can be looked at: the furthest bit is that of the page behind. */
static void test_edge(void)
{
    PvVeAhead a;

    begin();
    walk(START, 2, 1);
    a = touch(START + 4);
    g_assert_cmpuint(a.span, ==, SPAN - 1);
    pv_ve_streams_asked(&streams, &a, SPAN - 1, 1ull << (SPAN - 1));
    a = touch(START + 5);
    g_assert_cmpuint(a.span, ==, 1);
    a = touch(START + 4 + SPAN);
    check(2 + 1, 2 + 1, 0);
    g_assert_cmpuint(a.span, ==, SPAN - 1);
}

/* Guests may touch anything. */
static void test_any(void)
{
    begin();
    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t mask = g_test_rand_int_range(0, 4) ? 0xff : UINT64_MAX >> 12;
        uint64_t page = ((uint64_t)g_test_rand_int() << 20 | g_test_rand_int()) & mask;
        PvVeAhead a = pv_ve_streams_touch(&streams, i & 3, page,
                                          page + (g_test_rand_int() & 0xff));
        unsigned looked = a.span ? g_test_rand_int_range(0, a.span + 1) : 0;

        g_assert_cmpuint(a.span, <, SPAN + 1);
        g_assert_cmpuint(a.want, <=, MAX_AHEAD);
        pv_ve_streams_asked(&streams, &a, looked,
                            a.span && looked < SPAN ? 1ull << looked : 0);
        g_assert_cmpuint(streams.hit + streams.missed, <=, streams.asked);
        for (unsigned j = 0; j < PV_VE_NR_STREAMS; j++) {
            g_assert_cmpuint(streams.stream[j].next - streams.stream[j].page, <=, SPAN);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/streams/window", test_window);
    g_test_add_func("/streams/sequence", test_sequence);
    g_test_add_func("/streams/down", test_down);
    g_test_add_func("/streams/both-ways", test_both_ways);
    g_test_add_func("/streams/to-and-fro", test_to_and_fro);
    g_test_add_func("/streams/down-operand", test_down_operand);
    g_test_add_func("/streams/turned", test_turned);
    g_test_add_func("/streams/mirrored", test_mirrored);
    g_test_add_func("/streams/new", test_new);
    g_test_add_func("/streams/random", test_random);
    g_test_add_func("/streams/strides", test_strides);
    g_test_add_func("/streams/falls", test_falls);
    g_test_add_func("/streams/jump", test_jump);
    g_test_add_func("/streams/pages-that-are-there", test_pages_that_are_there);
    g_test_add_func("/streams/under-way", test_under_way);
    g_test_add_func("/streams/again", test_again);
    g_test_add_func("/streams/several", test_several);
    g_test_add_func("/streams/too-many", test_too_many);
    g_test_add_func("/streams/kept", test_kept);
    g_test_add_func("/streams/spaces", test_spaces);
    g_test_add_func("/streams/operand", test_operand);
    g_test_add_func("/streams/structure", test_structure);
    g_test_add_func("/streams/overtaken", test_overtaken);
    g_test_add_func("/streams/edge", test_edge);
    g_test_add_func("/streams/any", test_any);
    return g_test_run();
}
