/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: the slots of one vCPU. */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "pv-ve/hw/slots.h"

void pv_ve_slots_init(PvVeSlots *slots)
{
    memset(slots, 0, sizeof(*slots));
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        slots->slot[i].wait.kind = PV_VE_WAIT_SLOT;
    }
}

static bool guest_word_is(const struct pv_ve_page *page, unsigned index, uint32_t word)
{
    return le32_to_cpu(qatomic_read(&page->slot[index].guest)) == word;
}

/* A released slot: the guest is through with this fault, arrived page or not. */
static bool acknowledged(const PvVeSlot *slot, const struct pv_ve_page *page,
                         unsigned index)
{
    return guest_word_is(page, index, PV_VE_WORD(slot->generation, PV_VE_ACKED));
}

static void release(PvVeSlot *slot, PvVeWaits *waits)
{
    pv_ve_waits_remove(waits, &slot->wait);
    slot->state = PV_VE_SLOT_FREE;
}

/* The next slot that is free or acknowledged, or -1 (INV_REUSE). */
static int available(const PvVeSlots *slots, const struct pv_ve_page *page)
{
    for (unsigned n = 0; n < PV_VE_SLOTS; n++) {
        unsigned index = (slots->next + n) % PV_VE_SLOTS;
        const PvVeSlot *slot = &slots->slot[index];

        if (slot->state == PV_VE_SLOT_FREE || acknowledged(slot, page, index)) {
            return index;
        }
    }
    return -1;
}

bool pv_ve_slots_available(const PvVeSlots *slots, const struct pv_ve_page *page)
{
    return available(slots, page) >= 0;
}

int pv_ve_slots_take(PvVeSlots *slots, PvVeWaits *waits, const struct pv_ve_page *page)
{
    int index = available(slots, page);
    PvVeSlot *slot;

    if (index < 0) {
        return -1;
    }
    slot = &slots->slot[index];
    if (slot->state != PV_VE_SLOT_FREE) {
        release(slot, waits);
    }
    slots->next = (index + 1) % PV_VE_SLOTS;
    slot->generation = slot->generation == PV_VE_GEN_MAX ? 1 : slot->generation + 1;
    slot->state = PV_VE_SLOT_OUTSTANDING;
    slot->failed = false;
    slot->posted = false;
    slot->waited = false;
    return index;
}

void pv_ve_slots_undo(PvVeSlots *slots, PvVeWaits *waits, unsigned index)
{
    assert(slots->slot[index].state == PV_VE_SLOT_OUTSTANDING);
    release(&slots->slot[index], waits);
}

void pv_ve_slots_done(PvVeSlots *slots, unsigned index, bool failed)
{
    PvVeSlot *slot = &slots->slot[index];

    assert(slot->state == PV_VE_SLOT_OUTSTANDING && !slot->wait.linked);
    slot->state = PV_VE_SLOT_DONE;
    slot->failed = failed;
}

bool pv_ve_slots_post(PvVeSlots *slots, unsigned index, struct pv_ve_page *page,
                      bool *raise)
{
    PvVeSlot *slot = &slots->slot[index];
    unsigned state = slot->failed ? PV_VE_FAILED : PV_VE_RESOLVED;
    uint64_t bit = 1ull << index % 64;
    uint64_t before;

    assert(slot->state == PV_VE_SLOT_DONE && !slot->posted);
    slot->posted = true;
    qatomic_set(&page->slot[index].host,
                cpu_to_le32(PV_VE_WORD(slot->generation, state)));
    /*
     * The host's mark-then-look; pairs with the barrier between the guest's
     * PARKED and its look at the host word.
     */
    smp_mb();
    if (!guest_word_is(page, index, PV_VE_WORD(slot->generation, PV_VE_PARKED))) {
        return false;
    }
    before = le64_to_cpu(qatomic_fetch_or(&page->done[index / 64], cpu_to_le64(bit)));
    *raise = before == 0;
    return true;
}

bool pv_ve_slots_any_done_bit(const struct pv_ve_page *page)
{
    return qatomic_read(&page->done[0]) || qatomic_read(&page->done[1]);
}

void pv_ve_slots_drop(PvVeSlots *slots, PvVeWaits *waits)
{
    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        release(&slots->slot[i], waits);
    }
    assert(pv_ve_slots_outstanding(slots) == 0);
}

unsigned pv_ve_slots_outstanding(const PvVeSlots *slots)
{
    unsigned n = 0;

    for (unsigned i = 0; i < PV_VE_SLOTS; i++) {
        n += slots->slot[i].state == PV_VE_SLOT_OUTSTANDING;
    }
    return n;
}
