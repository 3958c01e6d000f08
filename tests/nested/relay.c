/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network link between two unix sockets, as tests/lib/relay.py is one, for the nested
 * bed, which has no Python:
 *
 *   relay LISTEN CONNECT BYTES_PER_SECOND SECONDS
 *
 * Every connection that is accepted on LISTEN is passed on to CONNECT.  All connections
 * share one link, which carries both directions independently; 0 bytes per second is no
 * limit, the seconds are its round-trip time.  Commands on the standard input, each
 * answered by one line: limit N, rtt SECONDS, cut, resume, hold, carry, stat.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 16
#define CHUNK           (64 * 1024)     /* most that is read at once */
#define MIN_CHUNK       4096
#define QUANTUM         0.001           /* seconds of a limited link for one read */
#define BURST           0.002           /* seconds of late wake-ups made up for */
#define BACKLOG         (1 << 20)       /* unsent bytes at which a pipe is not read */

struct link {
    double bandwidth, delay, free_at;
    uint64_t carried;
    int turn;                           /* the connection that may read first */
};

struct chunk {
    STAILQ_ENTRY(chunk) next;
    double due;
    size_t start, end;
    char data[];
};

/* One direction of a connection */
struct pipe {
    struct link *link;
    int from, to;
    STAILQ_HEAD(, chunk) queue;         /* in the order of their due times */
    size_t queued;
    bool eof, shut, blocked;
};

struct connection {
    bool used;
    struct pipe pipe[2];
};

static struct link there, back;
static struct connection connections[MAX_CONNECTIONS];
static const char *listen_path, *connect_path;
static int listener = -1;
static uint64_t accepted;
static bool held;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
    printf("error: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return address;
}

static void start_listening(void)
{
    struct sockaddr_un address = address_of(listen_path);

    if (listener >= 0) {
        return;
    }
    unlink(listen_path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
        listen(listener, 16)) {
        die(listen_path);
    }
}

static void open_pipe(struct pipe *pipe, struct link *link, int from, int to)
{
    *pipe = (struct pipe) { .link = link, .from = from, .to = to };
    STAILQ_INIT(&pipe->queue);
    fcntl(from, F_SETFL, O_NONBLOCK);
}

static void accept_one(void)
{
    struct sockaddr_un address = address_of(connect_path);
    struct connection *c = connections;
    int near = accept(listener, NULL, NULL);
    int far;

    if (near < 0) {
        return;
    }
    while (c < connections + MAX_CONNECTIONS && c->used) {
        c++;
    }
    far = socket(AF_UNIX, SOCK_STREAM, 0);
    if (c == connections + MAX_CONNECTIONS ||
        connect(far, (struct sockaddr *)&address, sizeof(address))) {
        close(near);
        close(far);
        return;
    }
    accepted++;
    c->used = true;
    open_pipe(&c->pipe[0], &there, near, far);
    open_pipe(&c->pipe[1], &back, far, near);
}

static void drop_first(struct pipe *pipe)
{
    struct chunk *chunk = STAILQ_FIRST(&pipe->queue);

    STAILQ_REMOVE_HEAD(&pipe->queue, next);
    free(chunk);
}

static void drop(struct connection *c)
{
    close(c->pipe[0].from);
    close(c->pipe[1].from);
    for (int i = 0; i < 2; i++) {
        while (!STAILQ_EMPTY(&c->pipe[i].queue)) {
            drop_first(&c->pipe[i]);
        }
    }
    c->used = false;
}

static void cut(void)
{
    if (listener >= 0) {
        close(listener);
        unlink(listen_path);
        listener = -1;
    }
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        if (connections[i].used) {
            drop(&connections[i]);
        }
    }
}

/* When bytes that enter the link now come out of it */
static double enter(struct link *link, size_t size, double time)
{
    link->carried += size;
    if (!link->bandwidth) {
        return time + link->delay;
    }
    if (link->free_at < time - BURST) {
        link->free_at = time - BURST;
    }
    link->free_at += size / link->bandwidth;
    return (link->free_at > time ? link->free_at : time) + link->delay;
}

static bool is_free(const struct link *link, double time)
{
    return !link->bandwidth || link->free_at <= time;
}

static bool wants_read(const struct pipe *pipe)
{
    return !pipe->eof && pipe->queued < (pipe->link->delay ? 64 * BACKLOG : BACKLOG);
}

/* False if the connection broke, here and below */
static bool read_pipe(struct pipe *pipe, double time)
{
    size_t most = CHUNK;
    struct chunk *chunk;
    ssize_t n;

    if (pipe->link->bandwidth && pipe->link->bandwidth * QUANTUM < CHUNK) {
        most = pipe->link->bandwidth * QUANTUM;
        most = most < MIN_CHUNK ? MIN_CHUNK : most;
    }
    chunk = malloc(sizeof(*chunk) + most);
    n = chunk ? read(pipe->from, chunk->data, most) : -1;
    if (n <= 0) {
        free(chunk);
        pipe->eof = n == 0;
        return n == 0 || errno == EAGAIN;
    }
    chunk = realloc(chunk, sizeof(*chunk) + n);
    *chunk = (struct chunk) { .due = enter(pipe->link, n, time), .end = n };
    STAILQ_INSERT_TAIL(&pipe->queue, chunk, next);
    pipe->queued += n;
    return true;
}

static bool write_pipe(struct pipe *pipe, double time)
{
    struct chunk *chunk;
    ssize_t n;

    pipe->blocked = false;
    while ((chunk = STAILQ_FIRST(&pipe->queue)) && chunk->due <= time) {
        n = send(pipe->to, chunk->data + chunk->start, chunk->end - chunk->start,
                 MSG_NOSIGNAL);
        if (n < 0) {
            pipe->blocked = errno == EAGAIN;
            return pipe->blocked;
        }
        pipe->queued -= n;
        chunk->start += n;
        if (chunk->start == chunk->end) {
            drop_first(pipe);
        }
    }
    if (pipe->eof && !chunk && !pipe->shut) {
        pipe->shut = true;
        return !shutdown(pipe->to, SHUT_WR);
    }
    return true;
}

static void command(char *line)
{
    char *argument = strchr(line, ' ');
    double value = argument ? strtod(argument, NULL) : 0;

    line[strcspn(line, "\n")] = 0;
    if (!strncmp(line, "limit ", 6)) {
        there.bandwidth = back.bandwidth = value;
        there.free_at = back.free_at = 0;
    } else if (!strncmp(line, "rtt ", 4)) {
        there.delay = back.delay = value / 2;
    } else if (!strcmp(line, "cut")) {
        cut();
    } else if (!strcmp(line, "resume")) {
        start_listening();
    } else if (!strcmp(line, "hold") || !strcmp(line, "carry")) {
        held = *line == 'h';
    } else if (!strcmp(line, "stat")) {
        printf("%lu %lu %lu\n", there.carried, back.carried, accepted);
        return;
    } else {
        printf("error: %s is no command\n", line);
        return;
    }
    puts("ok");
}

static void earlier(double *next, double time)
{
    *next = time < *next ? time : *next;
}

/* What to wait for, and until when something is due */
static double prepare(struct pollfd *fds, double time)
{
    double next = time + 3600;

    for (int i = 0; i < 2 * MAX_CONNECTIONS; i++, fds += 2) {
        struct connection *c = &connections[i / 2];
        struct pipe *pipe = &c->pipe[i % 2];
        bool reads;

        fds[0].fd = fds[1].fd = -1;
        if (!c->used || held) {
            continue;
        }
        reads = wants_read(pipe);
        if (reads && !is_free(pipe->link, time)) {
            earlier(&next, pipe->link->free_at);
            reads = false;
        }
        if (!pipe->blocked && !STAILQ_EMPTY(&pipe->queue)) {
            earlier(&next, STAILQ_FIRST(&pipe->queue)->due);
        }
        if (reads) {
            fds[0].fd = pipe->from;
            fds[0].events = POLLIN;
        }
        if (pipe->blocked) {
            fds[1].fd = pipe->to;
            fds[1].events = POLLOUT;
        }
    }
    return next;
}

/* True if it has taken its turn to read. */
static bool carry(int i, const struct pollfd *fds)
{
    struct connection *c = &connections[i / 2];
    struct pipe *pipe = &c->pipe[i % 2];
    bool alive = true, reads;
    double time;

    if (!c->used || held) {
        return false;
    }
    time = now();
    reads = fds[0].revents && is_free(pipe->link, time);
    if (reads) {
        alive = read_pipe(pipe, time);
    }
    if (alive && (!pipe->blocked || fds[1].revents)) {
        alive = write_pipe(pipe, time);
    }
    if (!alive || (c->pipe[0].shut && c->pipe[1].shut)) {
        drop(c);
    }
    return reads;
}

/* Whoever read last comes last: the link is shared evenly by those who want it. */
static void carry_all(int way, const struct pollfd *fds)
{
    struct link *link = way ? &back : &there;

    for (int n = 0, first = link->turn; n < MAX_CONNECTIONS; n++) {
        int c = (n + first) % MAX_CONNECTIONS;
        int i = 2 * c + way;

        if (carry(i, fds + 2 * i)) {
            link->turn = c + 1;
        }
    }
}

static void step(void)
{
    static struct pollfd fds[2 + 4 * MAX_CONNECTIONS];
    static char line[256];
    double time = now();
    double wait = prepare(fds + 2, time) - time;
    struct timespec timeout = { 0 };

    if (wait > 0) {
        timeout.tv_sec = wait;
        timeout.tv_nsec = (wait - timeout.tv_sec) * 1e9;
    }
    fds[0] = (struct pollfd) { .fd = 0, .events = POLLIN };
    fds[1] = (struct pollfd) { .fd = listener, .events = POLLIN };
    if (ppoll(fds, sizeof(fds) / sizeof(fds[0]), &timeout, NULL) < 0) {
        die("poll");
    }
    if (fds[0].revents) {
        if (!fgets(line, sizeof(line), stdin)) {
            exit(0);
        }
        command(line);          /* the only one there: each waits for its answer */
    }
    if (fds[1].revents) {
        accept_one();
    }
    carry_all(0, fds + 2);
    carry_all(1, fds + 2);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: relay LISTEN CONNECT BYTES_PER_SECOND SECONDS\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    listen_path = argv[1];
    connect_path = argv[2];
    there.bandwidth = back.bandwidth = strtod(argv[3], NULL);
    there.delay = back.delay = strtod(argv[4], NULL) / 2;
    start_listening();
    puts("ready");
    for (;;) {
        step();
    }
}
