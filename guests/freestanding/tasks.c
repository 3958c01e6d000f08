/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tasks do.  This file is mapped for CPL 3 and calls nothing outside of it;
 * the touching task also runs at CPL 0, as it is.
 */

#include "pages.h"
#include "user.h"

#define ROUNDS          1000        /* of arithmetic that count as one */
#define SAMPLES         5           /* words that a reader compares */

static uint64_t next_random(struct user *u)
{
    u->random ^= u->random << 13;
    u->random ^= u->random >> 7;
    u->random ^= u->random << 17;
    return u->random;
}

static uint64_t below(uint64_t random, uint64_t n)
{
    return (random >> 32) * n >> 32;
}

void task_compute(struct user *u)
{
    uint64_t x = u->id;

    for (;;) {
        for (int i = 0; i < ROUNDS; i++) {
            x = x * 6364136223846793005ul + 1442695040888963407ul;
        }
        asm volatile("" : "+r"(x));
        count(u->counter);
    }
}

/* False if the region is to be left alone. */
static bool enter_region(struct user *u)
{
    __atomic_exchange_n(&u->busy, 1, __ATOMIC_SEQ_CST);
    if (READ_ONCE(report->hold)) {
        WRITE_ONCE(u->busy, 0);
        return false;
    }
    return true;
}

/* The task may be interrupted anywhere; the #VE handler looks at it. */
static uint64_t going_to(struct user *u, uint64_t page)
{
    WRITE_ONCE(u->at, REGION_GPA + page * PAGE_SIZE);
    WRITE_ONCE(u->walked, 0);
    barrier();
    return page;
}

static void leave_region(struct user *u)
{
    barrier();
    WRITE_ONCE(u->busy, 0);
}

static void check_head(uint64_t page, uint64_t head, uint32_t oldest)
{
    if (head != content_head(page, head) || (int32_t)((uint32_t)head - oldest) < 0) {
        bad_content(page, 0);
    }
    if (page_words(page)[1] != content_fixed(page)) {
        bad_content(page, 1);
    }
}

/* The first access to a page, whose kind and address the #VE handler then knows. */
static uint64_t first_read(struct user *u, volatile uint64_t *at)
{
    uint64_t value;

    WRITE_ONCE(u->kind, PV_VE_Q_READ);
    barrier();
    value = *at;
    barrier();
    WRITE_ONCE(u->kind, 0);
    return value;
}

static void first_write(struct user *u, volatile uint64_t *at, uint64_t value)
{
    WRITE_ONCE(u->kind, PV_VE_Q_WRITE);
    barrier();
    *at = value;
    barrier();
    WRITE_ONCE(u->kind, 0);
}

/* Compares a few words; gives up when the owner gets between. */
static void read_page(struct user *u, uint64_t page, uint64_t random)
{
    volatile uint64_t *w = page_words(page);
    uint32_t oldest = versions[page];
    uint64_t head = first_read(u, w);
    uint64_t word = FIRST_WORD, wrong = 0;

    check_head(page, head, oldest);
    if (head & 1) {
        return;
    }
    for (int i = 0; i < SAMPLES; i++) {
        if (w[word] != content(page, head, word)) {
            wrong = word;
        }
        word = i ? FIRST_WORD + random % (PAGE_WORDS - FIRST_WORD) : PAGE_WORDS - 1;
        random >>= 9;
    }
    if (wrong && w[0] == head) {
        bad_content(page, wrong);
    }
}

/*
 * The owner knows all that it finds; what it writes would hide an error.  Sometimes it
 * writes to a page that it has not read before.
 */
static void rewrite_page(struct user *u, uint64_t page, bool write_first)
{
    volatile uint64_t *w = page_words(page);
    uint32_t version = versions[page];
    uint64_t odd = content_head(page, version + 1), head;

    if (write_first) {
        first_write(u, w, odd);
        head = content_head(page, version);
    } else {
        head = first_read(u, w);
        w[0] = odd;
    }
    if ((uint32_t)head != version) {
        bad_content(page, 0);
    }
    check_head(page, head, version);
    for (uint64_t i = FIRST_WORD; i < PAGE_WORDS; i++) {
        if (w[i] != content(page, version, i)) {
            bad_content(page, i);
            break;
        }
    }
    write_page(page, version + 2);
    if (u->unmap) {
        call(CALL_UNMAP, page, 0);
    }
}

/* One of this task's own pages: those whose number is its id, modulo the owners. */
static uint64_t own_page(struct user *u, uint64_t random, uint64_t pages)
{
    return u->id + u->owners * below(random, (pages - u->id - 1) / u->owners + 1);
}

void task_touch(struct user *u)
{
    uint64_t random, pages, done = 0;

    for (;;) {
        if (!enter_region(u)) {
            call(CALL_YIELD, 0, 0);
            continue;
        }
        pages = READ_ONCE(report->touched);
        random = next_random(u);
        if (random & 3) {
            read_page(u, going_to(u, below(random, pages)), next_random(u));
        } else {
            rewrite_page(u, going_to(u, own_page(u, random, pages)), random & 4);
        }
        count(u->counter);
        leave_region(u);
        if (++done == u->burst) {
            done = 0;
            call(CALL_YIELD, 0, 0);
        }
    }
}
