/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the slots of one vCPU.
 *
 * The state here is the host's own; of the PV page it believes only whether the
 * guest's word equals a value that it computes itself.
 *
 *          take                     done                 post
 *   FREE --------> OUTSTANDING -------------> DONE ----------------> DONE, posted
 *     ^                 |  (host word not written)  (host word written)    |
 *     +-----------------+--------------- guest word (gen, ACKED) ----------+
 *
 * The caller serializes all of it with the device's lock, and calls what touches
 * the PV page (marked P) only while that page is known to be present.
 */
#ifndef PV_VE_SLOTS_H
#define PV_VE_SLOTS_H

#include "pv-ve/include/abi/pv-ve.h"
#include "pv-ve/hw/waits.h"

typedef enum PvVeSlotState {
    PV_VE_SLOT_FREE,
    PV_VE_SLOT_OUTSTANDING, /* waits for its page */
    PV_VE_SLOT_DONE,        /* resolved or failed, not yet acknowledged */
} PvVeSlotState;

typedef struct PvVeSlot {
    PvVeWait wait;          /* linked exactly while OUTSTANDING and restored */
    uint64_t gpa;           /* of the access; what migration carries */
    uint32_t generation;    /* of the last fault here; 0: none yet */
    uint8_t state;
    bool failed;            /* DONE: will never come */
    bool posted;            /* DONE: the guest was told by the host word */
    bool waited;            /* counted as waited for */
} PvVeSlot;

typedef struct PvVeSlots {
    PvVeSlot slot[PV_VE_SLOTS];
    unsigned next;          /* where the search for a free slot starts */
} PvVeSlots;

void pv_ve_slots_init(PvVeSlots *slots);

/*
 * P: take a slot for a new fault and give it a new generation; it is OUTSTANDING
 * then.  Uses slots that are free, or that the guest has acknowledged, and no
 * others (INV_REUSE).  Returns -1 if there is none.
 */
int pv_ve_slots_take(PvVeSlots *slots, PvVeWaits *waits, const struct pv_ve_page *page);

/* P: would take() find one? */
bool pv_ve_slots_available(const PvVeSlots *slots, const struct pv_ve_page *page);

/* Give back a slot whose fault was not delivered. */
void pv_ve_slots_undo(PvVeSlots *slots, PvVeWaits *waits, unsigned index);

/* OUTSTANDING to DONE.  The page need not be present; post() comes when it is. */
void pv_ve_slots_done(PvVeSlots *slots, unsigned index, bool failed);

/*
 * P: mark the host word of a DONE slot, full barrier, look at the guest's.
 * Returns true if the guest has parked there and is to be notified; then the
 * done bit is set.  *@raise says whether that takes an interrupt (the done word
 * was empty).
 */
bool pv_ve_slots_post(PvVeSlots *slots, unsigned index, struct pv_ve_page *page,
                      bool *raise);

/* P: has the guest not yet taken all done bits? */
bool pv_ve_slots_any_done_bit(const struct pv_ve_page *page);

/* Forget all faults (INV_RESET); generations go on. */
void pv_ve_slots_drop(PvVeSlots *slots, PvVeWaits *waits);

/* How many slots are OUTSTANDING. */
unsigned pv_ve_slots_outstanding(const PvVeSlots *slots);

#endif
