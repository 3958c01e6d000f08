/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the pages that the guest wrote last or has named, and their turn.
 *
 * Migration asks here for the next page whenever it has sent one and nobody has asked
 * for another one meanwhile; so a request overtakes, and an operator's limits hold.
 * All of it is only a hint: a page that is not dirty in RAMBlock.bmap is never named.
 */
#include "qemu/osdep.h"
#include "exec/ram_addr.h"
#include "migration/migration.h"
#include "migration/ram.h"
#include "pv-ve/include/abi/pv-ve.h"
#include "pv-ve/include/hooks-common.h"
#include "pv-ve/outgoing/backlog.h"
#include "pv-ve/outgoing/hot.h"
#include "pv-ve/outgoing/log.h"
#include "trace.h"

typedef struct PvVeHotBlock {
    RAMBlock *block;
    PvVeHotMap map;
} PvVeHotBlock;

PvVeHotStats pv_ve_hot_stats[PV_VE_NR_HOT];
bool pv_ve_hot_on;

/* Only the migration thread uses it while it runs. */
static struct {
    PvVeHotBlock *block;        /* NULL: nothing was taken */
    unsigned nr_blocks;
    uint32_t version;           /* ram_list's: no block has come or gone since */
    bool again;

    /* Whose turn it is */
    unsigned class;
    unsigned at;                /* index of the block */
    unsigned long page;
} hot;

static bool is_valid(void)
{
    return hot.block && hot.version == qatomic_read(&ram_list.version);
}

static void begin_turns(void)
{
    hot.class = hot.at = hot.page = 0;
}

void pv_ve_hot_end(void)
{
    qatomic_set(&pv_ve_hot_on, false);
    for (unsigned i = 0; i < hot.nr_blocks; i++) {
        pv_ve_hot_map_free(&hot.block[i].map);
    }
    g_free(hot.block);
    memset(&hot, 0, sizeof(hot));
}

void pv_ve_hot_begin(void)
{
    RAMBlock *block;

    assert(!hot.block);
    hot.version = qatomic_read(&ram_list.version);
    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        PvVeHotBlock *own;

        hot.block = g_renew(PvVeHotBlock, hot.block, hot.nr_blocks + 1);
        own = &hot.block[hot.nr_blocks++];
        own->block = block;
        pv_ve_hot_map_init(&own->map, block->used_length >> TARGET_PAGE_BITS,
                           MAX(qemu_ram_pagesize(block) >> TARGET_PAGE_BITS, 1));
    }
}

/* ---- From the log ------------------------------------------------------------ */

typedef struct Taken {
    PvVeHotBlock *own;
    PvVeHotClass class;
} Taken;

static void take_part(const PvVeLogPart *part, void *opaque)
{
    Taken *taken = opaque;

    pv_ve_hot_map_add(&taken->own->map, taken->class, part->word, part->log,
                      part->repeats ? taken->own->block->bmap + part->word : NULL,
                      part->nr);
}

void pv_ve_hot_take(PvVeHotClass class)
{
    for (unsigned i = 0; is_valid() && i < hot.nr_blocks; i++) {
        Taken taken = { .own = &hot.block[i], .class = class };

        pv_ve_log_each_part(taken.own->block, take_part, &taken);
    }
}

/* ---- From the guest ---------------------------------------------------------- */

void pv_ve_hot_name(RAMBlock *block, uint64_t page, uint64_t nr, unsigned urgency)
{
    static const PvVeHotClass class[PV_VE_URGENT_CLASSES] = {
        PV_VE_HOT_NAMED_0, PV_VE_HOT_NAMED_1, PV_VE_HOT_NAMED_2, PV_VE_HOT_NAMED_3,
    };

    QEMU_BUILD_BUG_ON(PV_VE_URGENT_PAGE != 1 << TARGET_PAGE_BITS_MIN);
    for (unsigned i = 0; is_valid() && i < hot.nr_blocks; i++) {
        if (hot.block[i].block == block) {
            pv_ve_hot_map_add_run(&hot.block[i].map, class[urgency], page, nr);
        }
    }
}

/* ---- At the switch ----------------------------------------------------------- */

typedef struct Settled {
    PvVeHotBlock *own;
    uint64_t count[PV_VE_NR_HOT];
} Settled;

static void settle_part(const PvVeLogPart *part, void *opaque)
{
    Settled *settled = opaque;
    PvVeHotBlock *own = settled->own;

    pv_ve_hot_map_settle(&own->map, part->word, own->block->bmap + part->word, part->log,
                         part->nr, settled->count);
}

static void settle_block(PvVeHotBlock *own, uint64_t *sum)
{
    Settled settled = { .own = own };

    pv_ve_log_each_part(own->block, settle_part, &settled);
    if (own->map.ratio > 1) {
        pv_ve_hot_map_to_pages(&own->map, settled.count);
    }
    for (unsigned class = 0; class < PV_VE_NR_HOT; class++) {
        sum[class] += settled.count[class];
    }
}

void pv_ve_hot_settle(void)
{
    uint64_t count[PV_VE_NR_HOT] = { 0 };

    for (unsigned i = 0; is_valid() && i < hot.nr_blocks; i++) {
        settle_block(&hot.block[i], count);
    }
    for (unsigned class = 0; class < PV_VE_NR_HOT; class++) {
        stat64_set(&pv_ve_hot_stats[class].hot, count[class]);
    }
    trace_pv_ve_hot_settle(count[PV_VE_HOT_NEWEST], count[PV_VE_HOT_SECOND],
                           count[PV_VE_HOT_PASS],
                           count[PV_VE_HOT_NAMED_0] + count[PV_VE_HOT_NAMED_1] +
                           count[PV_VE_HOT_NAMED_2] + count[PV_VE_HOT_NAMED_3] +
                           count[PV_VE_HOT_USED_1] + count[PV_VE_HOT_USED_3]);
    begin_turns();
    qatomic_set(&pv_ve_hot_on, true);
}

/* ---- Their turn -------------------------------------------------------------- */

/* What has had its turn and has arrived is done with; the rest was lost. */
static void forget_arrived(void)
{
    for (unsigned class = 0; class <= hot.class && class < PV_VE_NR_HOT; class++) {
        for (unsigned i = 0; i < hot.nr_blocks; i++) {
            bool whole = class < hot.class || i < hot.at;
            unsigned long end = whole ? hot.block[i].map.nr_pages :
                                i == hot.at ? hot.page : 0;

            pv_ve_hot_map_keep_dirty(&hot.block[i].map, class, end,
                                     hot.block[i].block->bmap);
        }
    }
    begin_turns();
}

void pv_ve_hot_again(void)
{
    if (hot.block && migration_in_postcopy()) {
        hot.again = true;
    }
}

static bool next_in_block(PvVeHotBlock *own)
{
    uint64_t gone = 0;
    bool found = pv_ve_hot_map_next(&own->map, hot.class, &hot.page, own->block->bmap,
                                    &gone);

    stat64_add(&pv_ve_hot_stats[hot.class].asked, gone);
    return found;
}

/* To the next block, after the last one to the next class. */
static void go_on(void)
{
    hot.page = 0;
    if (++hot.at == hot.nr_blocks) {
        hot.at = 0;
        hot.class++;
    }
}

void pv_ve_hot_next(RAMBlock **block, unsigned long *page)
{
    pv_ve_backlog_hand_over();
    if (hot.again && is_valid()) {
        hot.again = false;
        forget_arrived();
    }
    while (is_valid() && hot.class < PV_VE_NR_HOT) {
        PvVeHotBlock *own = &hot.block[hot.at];

        if (next_in_block(own)) {
            trace_pv_ve_hot_next(own->block->idstr, hot.page, hot.class);
            stat64_add(&pv_ve_hot_stats[hot.class].sent, 1);
            *block = own->block;
            *page = hot.page++;
            return;
        }
        go_on();
    }
}
