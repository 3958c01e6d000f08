/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two files of the pv-ve code share. */
#ifndef GUEST_VE_H
#define GUEST_VE_H

#include "guest.h"

/* Found by vCPU 0, the same for all */
struct ve {
    uint32_t features;              /* accepted */
    uint32_t slots;
    uint32_t msr;
} __attribute__((aligned(16)));

extern struct ve ve;

static inline void acknowledge(struct cpu *cpu, uint32_t slot, uint32_t generation)
{
    cpu->slots_open[slot / 64] &= ~(1ul << slot % 64);
    barrier();
    WRITE_ONCE(cpu->page->slot[slot].guest, PV_VE_WORD(generation, PV_VE_ACKED));
}

#endif
