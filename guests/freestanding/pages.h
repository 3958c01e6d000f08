/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every page of the test region holds.
 *
 *   word 0         the page's tag, and its version in the low half
 *   word 1         a function of the page alone
 *   words 2..511   a function of page, version and word
 *
 * Only a page's owner rewrites it: it makes the version odd, writes the words, makes
 * it even, and then notes it in versions[], outside of the region.  So a reader that
 * looked there first knows the oldest version that it may find: a page that went
 * back to earlier content, consistent as it may be, is found out.
 */
#ifndef GUEST_PAGES_H
#define GUEST_PAGES_H

#include "guest.h"

#define PAGE_WORDS          512
#define FIRST_WORD          2           /* that depends on the version */

#define versions            ((volatile uint32_t *)VERSIONS_GPA)

static inline volatile uint64_t *page_words(uint64_t page)
{
    return (volatile uint64_t *)(FAR + REGION_GPA + page * PAGE_SIZE);
}

static inline uint64_t content(uint64_t page, uint32_t version, uint64_t word)
{
    uint64_t x = page << 40 ^ (uint64_t)version << 9 ^ word;

    x = (x + 0x2545f4914f6cdd1dul) * 0xd1342543de82ef95ul;
    x ^= x >> 32;
    return x * 0x9e3779b97f4a7c15ul;
}

static inline uint64_t content_fixed(uint64_t page)
{
    return content(page, 0xffffffff, 1);
}

static inline uint64_t content_head(uint64_t page, uint32_t version)
{
    return (content_fixed(page) & ~0xfffffffful) | version;
}

static inline void write_page(uint64_t page, uint32_t version)
{
    volatile uint64_t *w = page_words(page);

    w[1] = content_fixed(page);
    for (uint64_t i = FIRST_WORD; i < PAGE_WORDS; i++) {
        w[i] = content(page, version, i);
    }
    w[0] = content_head(page, version);
    versions[page] = version;
}

#endif
