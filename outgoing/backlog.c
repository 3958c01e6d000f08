/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: pages that are on their way, where nothing that is asked for overtakes them.
 *
 * What migration has written to its socket goes in that order, and of TCP's buffer
 * megabytes can wait there: each request takes as long as these do.  The stream is none
 * the slower if less waits, as long as something does.  And migration looks for requests
 * only between two writes, which wait for the socket; each has 32 pages by itself.
 */
#include "qemu/osdep.h"
#include "qemu/sockets.h"
#include "qemu/units.h"
#include "exec/target_page.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "pv-ve/outgoing/backlog.h"
#include "trace.h"

#define MOMENT_US 500
#define LEAST (16 * KiB)
#define WRITES 4                /* in a moment: 8000 a second at most */

static unsigned pages_in_a_write = 1, collected;    /* the migration thread's */

static QIOChannelSocket *socket_of(QIOChannel *ioc)
{
    if (object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_TLS)) {
        ioc = QIO_CHANNEL_TLS(ioc)->master;
    }
    return (QIOChannelSocket *)object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_SOCKET);
}

/* What the link was seen to take, not what it can: precopy may have been limited. */
static int bytes_in_a_moment(const MigrationState *ms)
{
    return MIN(MAX(ms->mbps / 8 * MOMENT_US, LEAST), INT_MAX / 2);
}

/* Best effort: a socket that takes no limit works as ever. */
static void bound(const QIOChannelSocket *sock, int bytes)
{
#ifdef TCP_NOTSENT_LOWAT
    if (sock->localAddr.ss_family == AF_INET || sock->localAddr.ss_family == AF_INET6) {
        setsockopt(sock->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
    }
#endif
    if (sock->localAddr.ss_family == AF_UNIX) {
        bytes /= 2;             /* Linux doubles it, as buffers need more */
        setsockopt(sock->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
}

void pv_ve_backlog_bound(const MigrationState *ms)
{
    const QIOChannelSocket *sock = socket_of(qemu_file_get_ioc(ms->to_dst_file));

    pages_in_a_write = bytes_in_a_moment(ms) / WRITES / qemu_target_page_size();
    collected = 0;
    if (sock) {
        trace_pv_ve_backlog_bound(bytes_in_a_moment(ms));
        bound(sock, bytes_in_a_moment(ms));
    }
}

/*
 * With a channel of its own what is asked for does not wait for these writes, only for
 * the lock of migration's bitmaps, which is held here.
 */
void pv_ve_backlog_hand_over(void)
{
    if (++collected > pages_in_a_write && !migrate_postcopy_preempt()) {
        collected = 1;
        qemu_fflush(migrate_get_current()->to_dst_file);
    }
}
