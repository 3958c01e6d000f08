/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the machine is about to leave for another host.
 *
 * A migration that can become postcopy is announced to the guest, so that it describes
 * itself freshly until it has stopped for the switch.  BQL held.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "system/runstate.h"
#include "pv-ve/hw/pv-ve.h"

/*
 * While the machine does not run its memory is left alone, as it may have been sent
 * already; the words are put right as soon as it runs.
 */
static void set_announced(PvVe *ve, bool announced)
{
    WITH_QEMU_LOCK_GUARD(&ve->lock) {
        ve->announced = announced;
    }
    if (runstate_is_running()) {
        pv_ve_announce_all(ve);
    }
}

static int on_migration(NotifierWithReturn *notifier, MigrationEvent *event, Error **errp)
{
    PvVe *ve = container_of(notifier, PvVe, leaving);

    switch (event->type) {
    case MIG_EVENT_PRECOPY_SETUP:
        set_announced(ve, migrate_postcopy_ram());
        break;
    case MIG_EVENT_PRECOPY_DONE:        /* at the switch to postcopy, and at the end */
    case MIG_EVENT_PRECOPY_FAILED:
        set_announced(ve, false);
        break;
    default:
        break;
    }
    return 0;
}

void pv_ve_leave_init(PvVe *ve)
{
    migration_add_notifier(&ve->leaving, on_migration);
}
