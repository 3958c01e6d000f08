/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: QEMU's log of pages written, and the accelerator's. */
#ifndef PV_VE_OUTGOING_LOG_H
#define PV_VE_OUTGOING_LOG_H

#include "exec/ramblock.h"

typedef struct PvVeLogPart {
    size_t word;                /* where it begins in the block's bitmaps */
    size_t nr;                  /* words */
    const unsigned long *log;   /* vCPUs may be writing to it */
    /*
     * The accelerator tells those that have been dirty for longer again and again: of
     * them nothing is known.
     */
    bool repeats;
} PvVeLogPart;

/*
 * What the log says of @block now, part by part.  It holds what was written since
 * migration last moved it to its own bitmap.  RCU critical section, BQL.
 */
void pv_ve_log_each_part(RAMBlock *block, void (*each)(const PvVeLogPart *, void *opaque),
                         void *opaque);

/*
 * The log was just moved: pages that are written again are to be told again.  In the
 * migration thread, without the BQL.
 */
void pv_ve_log_anew(void);

#endif
