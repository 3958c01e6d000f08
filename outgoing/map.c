/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: which pages of a RAM block go first, in classes. */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/host-utils.h"
#include "pv-ve/outgoing/map.h"

#define LEAF_PAGES ((unsigned long)PV_VE_HOT_LEAF_WORDS * BITS_PER_LONG)

void pv_ve_hot_map_init(PvVeHotMap *map, unsigned long nr_pages, unsigned long ratio)
{
    assert(is_power_of_2(ratio));
    map->nr_pages = nr_pages;
    map->ratio = ratio;
    map->nr_leaves = DIV_ROUND_UP(nr_pages, LEAF_PAGES);
    map->leaf = g_new0(PvVeHotLeaf *, map->nr_leaves);
}

void pv_ve_hot_map_free(PvVeHotMap *map)
{
    for (size_t i = 0; i < map->nr_leaves; i++) {
        g_free(map->leaf[i]);
    }
    g_free(map->leaf);
    memset(map, 0, sizeof(*map));
}

static void set_bits(PvVeHotMap *map, PvVeHotClass class, size_t word,
                     unsigned long bits)
{
    PvVeHotLeaf **leaf = &map->leaf[word / PV_VE_HOT_LEAF_WORDS];

    if (!*leaf) {
        *leaf = g_new0(PvVeHotLeaf, 1);
    }
    (*leaf)->used |= BIT_ULL(word % PV_VE_HOT_LEAF_WORDS);
    (*leaf)->bits[class][word % PV_VE_HOT_LEAF_WORDS] |= bits;
}

/* vCPUs write to the log meanwhile. */
void pv_ve_hot_map_add(PvVeHotMap *map, PvVeHotClass class, size_t word,
                       const unsigned long *log, const unsigned long *except, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        unsigned long bits = qatomic_read(&log[i]);

        if (bits && except) {
            bits &= ~except[i];
        }
        if (bits) {
            set_bits(map, class, word + i, bits);
        }
    }
}

void pv_ve_hot_map_add_run(PvVeHotMap *map, PvVeHotClass class, unsigned long page,
                           unsigned long nr)
{
    unsigned long end = nr < map->nr_pages - MIN(page, map->nr_pages) ? page + nr :
                        map->nr_pages;

    while (page < end) {
        unsigned long next = MIN(end, QEMU_ALIGN_UP(page + 1, BITS_PER_LONG));

        set_bits(map, class, BIT_WORD(page),
                 BITMAP_FIRST_WORD_MASK(page) & BITMAP_LAST_WORD_MASK(next));
        page = next;
    }
}

/* The first word from @at on that may have bits; PV_VE_HOT_LEAF_WORDS: there is none. */
static size_t next_used(const PvVeHotLeaf *leaf, size_t at)
{
    uint64_t used = at < PV_VE_HOT_LEAF_WORDS ? leaf->used >> at : 0;

    QEMU_BUILD_BUG_ON(PV_VE_HOT_LEAF_WORDS != 64);
    return used ? at + ctz64(used) : PV_VE_HOT_LEAF_WORDS;
}

static void settle_word(PvVeHotLeaf *leaf, size_t at, unsigned long dirty,
                        uint64_t *count)
{
    unsigned long newest = leaf->bits[PV_VE_HOT_NEWEST][at];

    leaf->bits[PV_VE_HOT_USED_3][at] |= leaf->bits[PV_VE_HOT_NAMED_3][at] & newest;
    leaf->bits[PV_VE_HOT_USED_1][at] |= leaf->bits[PV_VE_HOT_NAMED_1][at] & newest;
    for (unsigned class = 0; class < PV_VE_NR_HOT; class++) {
        unsigned long *bits = &leaf->bits[class][at];

        if (*bits) {
            *bits &= dirty;
            dirty &= ~*bits;
            count[class] += ctpopl(*bits);
        }
    }
}

void pv_ve_hot_map_settle(PvVeHotMap *map, size_t word, const unsigned long *bmap,
                          const unsigned long *log, size_t nr, uint64_t *count)
{
    size_t part;

    for (size_t i = 0; i < nr; i += part) {
        PvVeHotLeaf *leaf = map->leaf[(word + i) / PV_VE_HOT_LEAF_WORDS];
        size_t at = (word + i) % PV_VE_HOT_LEAF_WORDS;

        part = MIN(nr - i, PV_VE_HOT_LEAF_WORDS - at);
        for (size_t w = leaf ? next_used(leaf, at) : at + part; w < at + part;
             w = next_used(leaf, w + 1)) {
            size_t k = i + w - at;

            settle_word(leaf, w, bmap[k] | log[k], count);
        }
    }
}

static bool is_hot(const PvVeHotMap *map, PvVeHotClass class, unsigned long page)
{
    const PvVeHotLeaf *leaf = map->leaf[page / LEAF_PAGES];

    return leaf && test_bit(page % LEAF_PAGES, leaf->bits[class]);
}

/*
 * Before the bits of a class are gathered those of earlier classes have been: of these
 * only the first bit of each page is left, here and in the leaves behind.
 */
static void gather(PvVeHotMap *map, PvVeHotClass class, size_t i)
{
    unsigned long *bits = map->leaf[i]->bits[class];
    unsigned long page = find_first_bit(bits, LEAF_PAGES);

    while (page < LEAF_PAGES) {
        unsigned long first = QEMU_ALIGN_DOWN(i * LEAF_PAGES + page, map->ratio);
        bool earlier = false;

        page = MIN(QEMU_ALIGN_UP(i * LEAF_PAGES + page + 1, map->ratio) - i * LEAF_PAGES,
                   LEAF_PAGES);
        bitmap_clear(bits, MAX(first, i * LEAF_PAGES) - i * LEAF_PAGES,
                     page - (MAX(first, i * LEAF_PAGES) - i * LEAF_PAGES));
        for (unsigned c = 0; c < class; c++) {
            earlier |= is_hot(map, c, first);
        }
        if (!earlier) {
            set_bits(map, class, first / BITS_PER_LONG, BIT_MASK(first));
        }
        page = find_next_bit(bits, LEAF_PAGES, page);
    }
}

void pv_ve_hot_map_to_pages(PvVeHotMap *map, uint64_t *count)
{
    memset(count, 0, PV_VE_NR_HOT * sizeof(*count));
    for (unsigned class = 0; class < PV_VE_NR_HOT; class++) {
        for (size_t i = 0; i < map->nr_leaves; i++) {
            if (map->leaf[i]) {
                gather(map, class, i);
            }
        }
        for (size_t i = 0; i < map->nr_leaves; i++) {
            if (map->leaf[i]) {
                count[class] += bitmap_count_one(map->leaf[i]->bits[class],
                                                 LEAF_PAGES);
            }
        }
    }
}

bool pv_ve_hot_map_next(const PvVeHotMap *map, PvVeHotClass class, unsigned long *page,
                        const unsigned long *bmap, uint64_t *gone)
{
    while (*page < map->nr_pages) {
        const PvVeHotLeaf *leaf = map->leaf[*page / LEAF_PAGES];
        size_t word = BIT_WORD(*page);
        unsigned long hot, found;

        if (!leaf) {
            *page = QEMU_ALIGN_UP(*page + 1, LEAF_PAGES);
            continue;
        }
        hot = leaf->bits[class][word % PV_VE_HOT_LEAF_WORDS] &
              BITMAP_FIRST_WORD_MASK(*page);
        found = hot ? hot & bmap[word] : 0;
        if (found) {
            *page = word * BITS_PER_LONG + ctzl(found);
            *gone += ctpopl(hot & ~BITMAP_FIRST_WORD_MASK(*page));
            return *page < map->nr_pages;
        }
        *gone += ctpopl(hot);
        *page = (word + 1) * BITS_PER_LONG;
    }
    return false;
}

void pv_ve_hot_map_keep_dirty(PvVeHotMap *map, PvVeHotClass class, unsigned long end,
                              const unsigned long *bmap)
{
    for (size_t word = 0; word < BITS_TO_LONGS(MIN(end, map->nr_pages)); word++) {
        PvVeHotLeaf *leaf = map->leaf[word / PV_VE_HOT_LEAF_WORDS];
        unsigned long rest = BIT_WORD(end) == word ? BITMAP_FIRST_WORD_MASK(end) : 0;

        if (leaf) {
            leaf->bits[class][word % PV_VE_HOT_LEAF_WORDS] &= bmap[word] | rest;
        }
    }
}
