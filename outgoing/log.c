/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: QEMU's log of pages written, and the accelerator's.
 *
 * KVM's own log is not cleared when it is read, but by chunks (RAMBlock.clear_bmap),
 * before the first page of one is sent.  Until then each reading tells the same pages
 * again, so only those of them are known to be new that migration had sent before.
 */
#include "qemu/osdep.h"
#include "exec/ram_addr.h"
#include "system/kvm.h"
#include "migration/migration.h"
#include "migration/ram.h"
#include "pv-ve/outgoing/log.h"

/* Clearing KVM's log may not stop the stream for longer; what is left stays unknown. */
#define ANEW_MS 20

#define LOG_WORDS BITS_TO_LONGS(DIRTY_MEMORY_BLOCK_SIZE)

static bool is_cleared_by_chunks(const RAMBlock *block)
{
    return kvm_enabled() && !kvm_dirty_ring_enabled() && block->clear_bmap;
}

static size_t words_in_chunk(const RAMBlock *block, size_t word)
{
    size_t chunk = BIT_WORD(1UL << block->clear_bmap_shift);

    return chunk - word % chunk;
}

static bool repeats(const RAMBlock *block, size_t word)
{
    return is_cleared_by_chunks(block) &&
           test_bit(word * BITS_PER_LONG >> block->clear_bmap_shift, block->clear_bmap);
}

void pv_ve_log_each_part(RAMBlock *block, void (*each)(const PvVeLogPart *, void *opaque),
                         void *opaque)
{
    unsigned long *const *log =
        qatomic_rcu_read(&ram_list.dirty_memory[DIRTY_MEMORY_MIGRATION])->blocks;
    size_t end = BITS_TO_LONGS(block->used_length >> TARGET_PAGE_BITS);
    size_t first = BIT_WORD(block->offset >> TARGET_PAGE_BITS);
    PvVeLogPart part;

    for (part.word = 0; part.word < end; part.word += part.nr) {
        size_t at = (first + part.word) % LOG_WORDS;

        part.log = log[(first + part.word) / LOG_WORDS] + at;
        part.nr = MIN(end - part.word, LOG_WORDS - at);
        if (is_cleared_by_chunks(block)) {
            part.nr = MIN(part.nr, words_in_chunk(block, part.word));
        }
        part.repeats = repeats(block, part.word);
        each(&part, opaque);
    }
}

/* TCG logs the first write only, until its TLB entries are told to look again. */
static void clear_tcg(const RAMBlock *block)
{
    cpu_physical_memory_dirty_bits_cleared(block->offset, block->used_length);
}

/*
 * False if time is up.  Without migration's lock of its bitmaps, which nobody else can
 * take: if a hint of free pages is given at the same time, what one clears may stay
 * marked.  It is then cleared once more, of which KVM takes no notice.
 */
static bool clear_kvm(RAMBlock *block, int64_t deadline)
{
    ram_addr_t chunk = (ram_addr_t)TARGET_PAGE_SIZE << block->clear_bmap_shift;

    for (ram_addr_t at = 0; at < block->used_length; at += chunk) {
        if (!clear_bmap_test_and_clear(block, at >> TARGET_PAGE_BITS)) {
            continue;
        }
        memory_region_clear_dirty_bitmap(block->mr, at,
                                         MIN(chunk, block->used_length - at));
        if (qemu_clock_get_ms(QEMU_CLOCK_REALTIME) >= deadline) {
            return false;
        }
    }
    return true;
}

void pv_ve_log_anew(void)
{
    int64_t deadline = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ANEW_MS;
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        clear_tcg(block);
        if (is_cleared_by_chunks(block) && !clear_kvm(block, deadline)) {
            return;
        }
    }
}
