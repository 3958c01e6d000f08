/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: in postcopy the source sends first what the guest wrote last or has named. */
#ifndef PV_VE_OUTGOING_HOT_H
#define PV_VE_OUTGOING_HOT_H

#include "exec/ramblock.h"
#include "qemu/stats64.h"
#include "pv-ve/outgoing/map.h"

/* Of each class, in the last migration; any thread. */
typedef struct PvVeHotStats {
    Stat64 hot;                 /* missing at the switch */
    Stat64 sent;                /* ahead of all others; what an outage lost, again */
    Stat64 asked;               /* had been asked for before their turn */
} PvVeHotStats;

extern PvVeHotStats pv_ve_hot_stats[PV_VE_NR_HOT];

/* hot.c; in the migration thread, RCU critical section */
/* Nothing has been taken yet. */
void pv_ve_hot_begin(void);
/* What the log holds now was written in the time of that class.  BQL. */
void pv_ve_hot_take(PvVeHotClass class);
/*
 * The guest has named pages of @block, in units of its page size, of one of the
 * classes of urgency (PV_VE_URGENT_CLASSES).  What does not migrate is left out.  BQL.
 */
void pv_ve_hot_name(RAMBlock *block, uint64_t page, uint64_t nr, unsigned urgency);
/* The vCPUs have stopped, and the log has been taken, but not moved yet. */
void pv_ve_hot_settle(void);

/* Migration goes on after an outage: what was lost goes first again. */
void pv_ve_hot_again(void);
/* All is forgotten but the statistics.  BQL; no migration thread is running. */
void pv_ve_hot_end(void);

/* watch.c; BQL */
/* To name pages by pv_ve_hot_name(), at the switch.  BQL. */
typedef void PvVeHotNamer(void);
/*
 * Migrations that begin from now on send first what was written last, if @written,
 * and what @name names, NULL: nothing.
 */
void pv_ve_hot_first(bool written, PvVeHotNamer *name);

#endif
