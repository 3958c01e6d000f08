/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: pages that are on their way, where nothing that is asked for overtakes them. */
#ifndef PV_VE_OUTGOING_BACKLOG_H
#define PV_VE_OUTGOING_BACKLOG_H

#include "migration/migration.h"

/*
 * From now on the socket that the background goes to holds no more of it than the link
 * takes in a moment.  In the migration thread; for each new socket.
 */
void pv_ve_backlog_bound(const MigrationState *ms);

/*
 * Another page is about to be collected: writes those that are, if they are enough.  In
 * the migration thread, which holds the lock of its bitmaps.
 */
void pv_ve_backlog_hand_over(void);

#endif
