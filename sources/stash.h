/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the content of withheld pages where vCPUs reach whatever is there (KVM).
 *
 * Such a page must really be absent: its content is put aside, the page is given back to
 * the host, and a userfaultfd of our own catches whoever touches it.
 */
#ifndef PV_VE_STASH_H
#define PV_VE_STASH_H

#include "exec/ramblock.h"
#include "qapi/error.h"

/*
 * Once, before all others: @touched is called in a thread of its own, in an RCU critical
 * section, when thread @tid waits for the absent page of @ram at @offset.  As that thread
 * serves all who wait for an absent page, it must not touch guest memory, nor wait for
 * anybody who does.  BQL held.
 */
typedef void PvVeStashTouched(RAMBlock *ram, ram_addr_t offset, uint32_t tid);
bool pv_ve_stash_start(PvVeStashTouched *touched, Error **errp);

/*
 * Catch touches of @ram's absent pages from now on, also of those that nobody has ever
 * written; or no more.  Any thread.
 */
bool pv_ve_stash_watch(RAMBlock *ram, Error **errp);
void pv_ve_stash_unwatch(RAMBlock *ram);

/* A copy of the page, to be freed with g_free().  It may wait for the thread above. */
void *pv_ve_stash_copy(RAMBlock *ram, ram_addr_t offset);
/* The page is absent from now on.  Nobody may write to it since it was copied. */
bool pv_ve_stash_discard(RAMBlock *ram, ram_addr_t offset, Error **errp);
/*
 * Place it with this content, unless it is there.  NULL: zeros, unless @ram is not
 * watched any more.  Any thread.
 */
void pv_ve_stash_place(RAMBlock *ram, ram_addr_t offset, const void *content);
/* Whoever waits for the page looks again.  Any thread. */
void pv_ve_stash_wake(RAMBlock *ram, ram_addr_t offset);

#endif
