/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what the guest writes in the last second before the switch to postcopy.
 *
 * The dirty log tells that a page was written since it was last read, and no more.  So
 * when the operator asks for the switch the log is read, with all that migration does
 * then, once more nine tenths of a second later, and by migration itself at the switch,
 * a tenth of a second after that.  Precopy goes on meanwhile.
 *
 * Without a hook: a migration handler that has no state is asked in each round what it
 * has still to send before the switch, and a memory listener that comes last sees the
 * log when accelerator and devices have filled it, and migration has not emptied it.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/ram.h"
#include "migration/register.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "system/runstate.h"
#include "pv-ve/outgoing/backlog.h"
#include "pv-ve/outgoing/hot.h"
#include "pv-ve/outgoing/log.h"
#include "trace.h"

#define SECOND_MS 900
#define NEWEST_MS 100

/* More than any limit lets be sent with the vCPUs stopped. */
#define NOT_YET (1ULL << 62)

/* The migration thread's, but for what is said */
static struct {
    bool registered;            /* BQL */
    bool on;                    /* atomic, written with the BQL: what was written */
    PvVeHotNamer *name;         /* atomic, written with the BQL; or NULL */
    bool begun;                 /* a switch was asked for */
    bool over;                  /* no more reason to put it off, or it has happened */
    PvVeHotClass class;         /* of what is written now */
    int64_t until;              /* in ms, of the guest's clock */
} watch;

static bool is_on(void *opaque)
{
    return qatomic_read(&watch.on) || qatomic_read(&watch.name);
}

static int64_t now(void)
{
    return qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
}

static bool is_switch_wanted(const MigrationState *ms)
{
    return migration_is_running() &&
           qatomic_read(&ms->start_postcopy) && migrate_postcopy_ram();
}

static void begin(void)
{
    pv_ve_hot_begin();
    watch.class = PV_VE_HOT_PASS;
    watch.until = 0;
    watch.begun = true;
}

/*
 * Migration empties the log into its own bitmap; the listener takes it before.  What is
 * written from then on is of that class.
 */
static void begin_window(PvVeHotClass class, int ms)
{
    bql_lock();
    watch.until = now() + ms;
    WITH_RCU_READ_LOCK_GUARD() {
        migration_bitmap_sync_precopy(false);
    }
    bql_unlock();
    watch.class = class;
    pv_ve_log_anew();
}

static void end_window(void)
{
    trace_pv_ve_hot_window(watch.class);
    switch (watch.class) {
    case PV_VE_HOT_PASS:
        begin_window(PV_VE_HOT_SECOND, SECOND_MS);
        break;
    case PV_VE_HOT_SECOND:
        begin_window(PV_VE_HOT_NEWEST, NEWEST_MS);
        break;
    default:
        watch.over = true;
    }
}

/*
 * In the migration thread, once a round, without the BQL. RAM has said before what is
 * left of it; with so little migration reads the log again by itself, and ends.
 */
static void put_off_switch(void *opaque, uint64_t *must_precopy, uint64_t *can_postcopy)
{
    MigrationState *ms = migrate_get_current();

    if (!qatomic_read(&watch.on) || watch.over || !is_switch_wanted(ms)) {
        return;
    }
    if (!watch.begun) {
        WITH_RCU_READ_LOCK_GUARD() {
            begin();
        }
    }
    if (!runstate_is_running() || *must_precopy + *can_postcopy < ms->threshold_size) {
        watch.over = true;
    }
    if (!watch.over && now() >= watch.until) {
        end_window();
    }
    if (!watch.over) {
        *must_precopy += NOT_YET;
    }
}

/* BQL held.  A display reads the log, too, in the main thread. */
static void on_log_read(MemoryListener *listener, bool last_stage)
{
    MigrationState *ms = migrate_get_current();
    bool at_switch = ms->state == MIGRATION_STATUS_DEVICE;

    if (!is_on(NULL) || !qemu_thread_is_self(&ms->thread) || last_stage ||
        !is_switch_wanted(ms)) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    if (!watch.begun) {
        begin();                /* asked for a moment ago */
    }
    if (watch.on) {
        pv_ve_hot_take(watch.class);
    }
    if (at_switch) {
        if (watch.name) {
            watch.name();
        }
        pv_ve_hot_settle();
        pv_ve_backlog_bound(ms);
        watch.over = true;
    }
}

static int on_resume(MigrationState *ms, void *opaque)
{
    pv_ve_hot_again();
    pv_ve_backlog_bound(ms);
    return 0;
}

/* BQL held; the migration thread does nothing any more. */
static void on_end(void *opaque)
{
    pv_ve_hot_end();
    watch.begun = watch.over = false;
}

static const SaveVMHandlers handlers = {
    .is_active = is_on,
    .state_pending_estimate = put_off_switch,
    .resume_prepare = on_resume,
    .save_cleanup = on_end,
};

static MemoryListener listener = {
    .name = "pv-ve-hot",
    .priority = UINT_MAX,
    .log_sync_global = on_log_read,
};

void pv_ve_hot_first(bool written, PvVeHotNamer *name)
{
    if ((written || name) && !watch.registered) {
        register_savevm_live("pv-ve-hot", 0, 1, &handlers, &watch);
        memory_listener_register(&listener, &address_space_memory);
        watch.registered = true;
    }
    qatomic_set(&watch.on, written);
    qatomic_set(&watch.name, name);
}
