/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: pages that postcopy migration has not delivered yet.
 *
 * Which pages those are, migration's own bitmap of received pages says; it is
 * valid from the start of listening to the end of postcopy, which is when this
 * source is active.
 *
 * A page may be asked for only by migration's fault thread.  That thread also
 * polls the file descriptors of external processes that share guest memory and
 * report their faults in userfaultfd messages; we are one more of those: a pipe
 * into which a vCPU's thread writes the message that its fault would have made.
 * While migration is paused that thread waits, and reads faults here meanwhile.
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <poll.h>
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/notify.h"
#include "migration/migration.h"
#include "migration/postcopy-ram.h"
#include "migration/ram.h"
#include "pv-ve/include/hooks-common.h"

#ifdef CONFIG_LINUX
#include <linux/userfaultfd.h>

/* Requests of all kinds that may be under way when a page is asked for ahead. */
#define MAX_UNDER_WAY 32

static struct {
    QemuMutex lock;             /* keeps the bitmaps while they are read; a leaf but
                                   for migration's lock of what was asked for */
    bool active;
    unsigned in_pipe;           /* atomic; requests that have not been read */
    int ask[2];                 /* the pipe: read end for the fault thread */
    struct PostCopyFD fd;
    NotifierWithReturn notifier;
} postcopy = { .ask = { -1, -1 } };

static bool has_bitmap(RAMBlock *block, ram_addr_t offset)
{
    return block->receivedmap && offset < block->postcopy_length;
}

static PvVePageState page_state(RAMBlock *block, ram_addr_t offset)
{
    QEMU_LOCK_GUARD(&postcopy.lock);
    if (!postcopy.active || !has_bitmap(block, offset) ||
        ramblock_recv_bitmap_test_byte_offset(block, offset)) {
        return PV_VE_PAGE_PRESENT;
    }
    return PV_VE_PAGE_MISSING;
}

/*
 * Migration asks the source again each time it is told to.  Once is enough: it
 * remembers what it asked for, and repeats that after a recovery.
 */
bool pv_ve_postcopy_asked_for(RAMBlock *block, ram_addr_t page)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    QEMU_LOCK_GUARD(&mis->page_request_mutex);
    return g_tree_lookup(mis->page_requested, block->host + page) != NULL;
}

static unsigned under_way(void)
{
    return qatomic_read(&postcopy.in_pipe) +
           qatomic_read(&migration_incoming_get_current()->page_requested_count);
}

static bool tell_fault_thread(void *page)
{
    struct uffd_msg msg = {
        .event = UFFD_EVENT_PAGEFAULT,
        .arg.pagefault.address = (uintptr_t)page,
    };

    qatomic_inc(&postcopy.in_pipe);
    if (write(postcopy.ask[1], &msg, sizeof(msg)) == sizeof(msg)) {
        return true;
    }
    qatomic_dec(&postcopy.in_pipe);
    return false;
}

/* Unless @most are under way. */
static PvVeAsked ask(RAMBlock *block, ram_addr_t offset, unsigned most)
{
    QEMU_LOCK_GUARD(&postcopy.lock);
    if (postcopy.active && pv_ve_postcopy_asked_for(block, offset)) {
        return PV_VE_ASKED_BEFORE;
    }
    return postcopy.active && under_way() < most &&
           tell_fault_thread(block->host + offset) ? PV_VE_ASKED : PV_VE_NOT_ASKED;
}

/*
 * A full pipe, hundreds of vCPUs deep, is no reason to wait: the fault is then
 * declined and the vCPU's own access asks.
 */
static bool request(RAMBlock *block, ram_addr_t offset)
{
    return ask(block, offset, UINT_MAX) != PV_VE_NOT_ASKED;
}

static PvVeAsked request_ahead(RAMBlock *block, ram_addr_t offset)
{
    return ask(block, offset, MAX_UNDER_WAY);
}

/*
 * In the fault thread.  The request goes out under a descriptor whose wake-up is
 * that of QEMU's own userfaultfd, where nobody sleeps for this page because of us.
 */
static int ask_source(void *host)
{
    struct PostCopyFD own = {
        .fd = migration_incoming_get_current()->userfault_fd,
        .idstr = postcopy.fd.idstr,
    };
    ram_addr_t offset;
    RAMBlock *block = qemu_ram_block_from_host(host, false, &offset);

    return block ?
           postcopy_request_shared_page(&own, block, (uintptr_t)host, offset) : 0;
}

static int on_ask(struct PostCopyFD *fd, void *opaque)
{
    struct uffd_msg *msg = opaque;
    int result = ask_source((void *)(uintptr_t)msg->arg.pagefault.address);

    qatomic_dec(&postcopy.in_pipe);
    return result;
}

/* ---- While migration is paused.  In the fault thread. ------------------------ */

/*
 * Faults go on meanwhile, and vCPUs can be told.  Only what was asked for before the
 * pause is asked for again by migration itself, as it recovers; nothing may be sent
 * beside that, so these pages are remembered until the pause is over.
 */
static void take_fault(int fd, GHashTable *pages)
{
    struct uffd_msg msg;
    RAMBlock *block;
    ram_addr_t offset;

    if (read(fd, &msg, sizeof(msg)) != sizeof(msg) ||
        msg.event != UFFD_EVENT_PAGEFAULT) {
        return;
    }
    block = qemu_ram_block_from_host((void *)(uintptr_t)msg.arg.pagefault.address,
                                     false, &offset);
    if (block) {
        offset = ROUND_DOWN(offset, qemu_ram_pagesize(block));
        g_hash_table_add(pages, block->host + offset);
        pv_ve_blocked(block, offset, msg.arg.pagefault.feat.ptid);
    }
}

static void ask_for_each(GHashTable *pages)
{
    GHashTableIter all;
    void *page;

    g_hash_table_iter_init(&all, pages);
    while (g_hash_table_iter_next(&all, &page, NULL)) {
        ask_source(page);
    }
}

/* The end of the pause is a semaphore's, which cannot be polled. */
#define IS_OVER_MS 10

void pv_ve_postcopy_paused(void)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    struct pollfd faults = { .fd = mis->userfault_fd, .events = POLLIN };
    g_autoptr(GHashTable) pages = g_hash_table_new(NULL, NULL);

    while (qemu_sem_timedwait(&mis->postcopy_pause_sem_fault, 0) < 0) {
        if (poll(&faults, 1, IS_OVER_MS) > 0) {
            take_fault(faults.fd, pages);
        }
    }
    ask_for_each(pages);
    qemu_sem_post(&mis->postcopy_pause_sem_fault);      /* migration waits itself */
}

/* In the threads that place pages, after each page; never waits for the BQL. */
static int on_placed(struct PostCopyFD *fd, RAMBlock *block, uint64_t offset)
{
    pv_ve_page_arrived(block, offset);
    return 0;
}

static int prepare(Error **errp)
{
    g_autoptr(GError) err = NULL;

    if (!g_unix_open_pipe(postcopy.ask, FD_CLOEXEC, &err)) {
        error_setg(errp, "pv-ve: no pipe to postcopy's fault thread: %s", err->message);
        return -1;
    }
    postcopy.in_pipe = 0;
    g_unix_set_fd_nonblocking(postcopy.ask[0], true, NULL);
    g_unix_set_fd_nonblocking(postcopy.ask[1], true, NULL);
    /* Best effort; the default holds 2048 requests. */
    fcntl(postcopy.ask[1], F_SETPIPE_SZ, 1 << 20);
    postcopy.fd = (struct PostCopyFD) {
        .fd = postcopy.ask[0],
        .handler = on_ask,
        .waker = on_placed,
        .idstr = "pv-ve",
    };
    postcopy_register_shared_ufd(&postcopy.fd);
    return 0;
}

static void set_active(bool active)
{
    WITH_QEMU_LOCK_GUARD(&postcopy.lock) {
        postcopy.active = active;
    }
}

/* The fault thread has ended; the bitmaps are freed after this. */
static void finish(void)
{
    if (postcopy.active) {
        set_active(false);
        pv_ve_disarm();
    }
    if (postcopy.ask[0] >= 0) {
        postcopy_unregister_shared_ufd(&postcopy.fd);
        close(postcopy.ask[0]);
        close(postcopy.ask[1]);
        postcopy.ask[0] = postcopy.ask[1] = -1;
    }
}

static int on_phase(NotifierWithReturn *notifier, void *data, Error **errp)
{
    struct PostcopyNotifyData *phase = data;

    switch (phase->reason) {
    case POSTCOPY_NOTIFY_INBOUND_ADVISE:
        finish();
        return prepare(errp);
    case POSTCOPY_NOTIFY_INBOUND_LISTEN:
        /* Postcopy of dirty bitmaps alone comes here, too, without pages. */
        if (postcopy.ask[0] >= 0) {
            set_active(true);
            pv_ve_arm();
        }
        return 0;
    case POSTCOPY_NOTIFY_INBOUND_END:
        finish();
        return 0;
    default:
        return 0;
    }
}

static void start(void)
{
    qemu_mutex_init(&postcopy.lock);
    postcopy.notifier.notify = on_phase;
    postcopy_add_notifier(&postcopy.notifier);
}

static const PvVeSource source = {
    .blocks = true,
    .start = start,
    .state = page_state,
    .request = request,
    .request_ahead = request_ahead,
};

static void __attribute__((constructor)) register_source(void)
{
    pv_ve_register_source(&source);
}
#endif
