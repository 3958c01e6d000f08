/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: tests of the nested bed's link, by a clock that goes on only while it waits. */
#include <glib.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

static double fake_now = 1000;

static int fake_clock_gettime(clockid_t clock, struct timespec *t)
{
    t->tv_sec = fake_now;
    t->tv_nsec = (fake_now - t->tv_sec) * 1e9;
    return 0;
}

static int fake_ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *timeout,
                      const void *mask)
{
    fds[0].fd = -1;             /* no commands */
    fake_now += timeout->tv_sec + (timeout->tv_nsec + 1) * 1e-9;
    return poll(fds, nr, 0);
}

int relay_main(int argc, char **argv);

#undef _GNU_SOURCE             /* which it defines itself */
#define clock_gettime fake_clock_gettime
#define ppoll fake_ppoll
#define main relay_main
#include "../nested/relay.c"
#undef main

#define BANDWIDTH (32 << 20)
#define TURN ((size_t)(BANDWIDTH * QUANTUM))
#define PAGE 4096
#define REQUEST 24

static char buffer[1 << 20];
static int far_listener;
static struct {
    int near, far;
} end[2];

static void open_connection(int i)
{
    struct sockaddr_un address = address_of(listen_path);

    end[i].near = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(connect(end[i].near, (struct sockaddr *)&address, sizeof(address)),
                    ==, 0);
    step();
    end[i].far = accept(far_listener, NULL, NULL);
    fcntl(end[i].near, F_SETFL, O_NONBLOCK);
    fcntl(end[i].far, F_SETFL, O_NONBLOCK);
}

static void open_link(void)
{
    g_autofree char *folder = g_dir_make_tmp("pv-ve-XXXXXX", NULL);
    g_autofree char *near = g_build_filename(folder, "near", NULL);
    g_autofree char *far = g_build_filename(folder, "far", NULL);
    struct sockaddr_un address = address_of(far);

    listen_path = near;
    connect_path = far;
    there = (struct link) { .bandwidth = BANDWIDTH, .delay = 0.0005 };
    back = there;
    far_listener = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(bind(far_listener, (struct sockaddr *)&address, sizeof(address)),
                    ==, 0);
    listen(far_listener, 2);
    start_listening();
    open_connection(0);
    open_connection(1);
    unlink(far);
    unlink(near);
    rmdir(folder);
}

static void close_link(void)
{
    cut();
    for (int i = 0; i < 2; i++) {
        close(end[i].near);
        close(end[i].far);
    }
    close(far_listener);
}

static bool receive(int fd)
{
    return recv(fd, buffer, sizeof(buffer), 0) > 0;
}

/* One connection has ever more to send, and on one a request goes back. */
static void step_busy(int full, int asks)
{
    send(end[full].near, buffer, sizeof(buffer), 0);
    send(end[asks].far, buffer, REQUEST, 0);
    receive(end[full].far);
    receive(end[asks].near);
    step();
}

/* Of the full connection's bytes, how many enter the link while a page waits to */
static size_t ahead_of_a_page(int full, int asks)
{
    struct pipe *pipe = &connections[!full].pipe[0];
    uint64_t first = there.carried;
    size_t ahead;

    send(end[!full].near, buffer, PAGE, 0);
    while (!pipe->queued && there.carried - first < 100 * TURN) {
        step_busy(full, asks);
    }
    ahead = there.carried - first - (pipe->queued ? PAGE : 0);
    while (!receive(end[!full].far) && there.carried - first < 200 * TURN) {
        step_busy(full, asks);
    }
    return ahead;
}

/* At most what one read takes, whenever the page comes. */
static void test_turns(gconstpointer data)
{
    int full = GPOINTER_TO_INT(data) & 1, asks = GPOINTER_TO_INT(data) >> 1;

    open_link();
    for (int i = 0; i < 100; i++) {
        for (int pause = i % 12; pause; pause--) {
            step_busy(full, asks);
        }
        g_assert_cmpuint(ahead_of_a_page(full, asks), <=, TURN);
    }
    g_assert_cmpuint(there.carried, >, 100 * TURN);
    close_link();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < 4; i++) {
        g_autofree char *name = g_strdup_printf("/relay/turns/%d-full/%d-asks", i & 1,
                                                i >> 1);

        g_test_add_data_func(name, GINT_TO_POINTER(i), test_turns);
    }
    return g_test_run();
}
