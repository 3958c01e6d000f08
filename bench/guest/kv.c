/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of a key-value store, memcached or Redis, that verify each value.
 *
 *   kv memcached|redis SOCKET CLIENTS KEYS LOG
 *
 * Every client is a thread with a connection and KEYS keys of its own. It stores all of them;
 * when all clients have done so, `kv ready` is printed. From SIGUSR1 on each reads random keys, and
 * now and then writes one, until SIGALRM comes. LOG.N gets a line for each operation: how many
 * microseconds it took, and when it ended (seconds, microseconds). In the end all keys are read
 * once more: `kv OPERATIONS operations, KEYS keys are right`. Any other answer of the server
 * than it must give ends all.
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define VALUE 1024
#define MESSAGE (VALUE + 200)
#define WRITES 10               /* one operation in so many */

static const char *path, *log_name;
static bool redis;
static int clients, keys;
static volatile sig_atomic_t over;
static pthread_barrier_t stored, begun;

struct client {
    pthread_t thread;
    int number, fd;
    uint64_t random;
    uint32_t *version;          /* of each key's value */
    long operations;
};

static uint32_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void connect_to_server(struct client *client)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof(address))) {
        err(1, "%s", path);
    }
}

static void send_all(struct client *client, const char *text, int length)
{
    while (length) {
        int sent = write(client->fd, text, length);

        if (sent <= 0) {
            err(1, "client %d: write", client->number);
        }
        text += sent;
        length -= sent;
    }
}

static void expect(struct client *client, const char *wanted, int length)
{
    char answer[MESSAGE];

    for (int got = 0; got < length;) {
        int more = read(client->fd, answer + got, length - got);

        if (more <= 0) {
            err(1, "client %d: read", client->number);
        }
        got += more;
        if (memcmp(answer, wanted, got)) {
            errx(1, "client %d: %.*s instead of %.*s", client->number, got, answer, length,
                 wanted);
        }
    }
}

/* A line about the value, and the value: letters that tell key and version everywhere */
static int put_value(const struct client *client, int key, char *text, const char *line)
{
    int length = sprintf(text, "%s\r\n", line);
    uint64_t state = ((uint64_t)client->number << 52) ^ ((uint64_t)key << 32) ^
                     client->version[key];

    for (int i = 0; i < VALUE; i += 4, length += 4) {
        uint32_t random = next(&state);

        for (int j = 0; j < 4; j++) {
            text[length + j] = 'a' + (random >> 7 * j & 15);
        }
    }
    return length + sprintf(text + length, "\r\n");
}

static void store(struct client *client, int key)
{
    const char *done = redis ? "+OK\r\n" : "STORED\r\n";
    char text[MESSAGE], line[100];
    int length;

    client->version[key]++;
    if (redis) {
        sprintf(line, "*3\r\n$3\r\nSET\r\n$12\r\nkey:%02d:%05d\r\n$%d", client->number, key,
                VALUE);
    } else {
        sprintf(line, "set key:%02d:%05d 0 0 %d", client->number, key, VALUE);
    }
    length = put_value(client, key, text, line);
    send_all(client, text, length);
    expect(client, done, strlen(done));
}

static void load(struct client *client, int key)
{
    char text[MESSAGE], line[100];
    int length;

    if (redis) {
        length = sprintf(text, "*2\r\n$3\r\nGET\r\n$12\r\nkey:%02d:%05d\r\n", client->number,
                         key);
        sprintf(line, "$%d", VALUE);
    } else {
        length = sprintf(text, "get key:%02d:%05d\r\n", client->number, key);
        sprintf(line, "VALUE key:%02d:%05d 0 %d", client->number, key, VALUE);
    }
    send_all(client, text, length);
    length = put_value(client, key, text, line);
    if (!redis) {
        length += sprintf(text + length, "END\r\n");
    }
    expect(client, text, length);
}

static int64_t microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

static void *run(void *opaque)
{
    struct client *client = opaque;
    char name[200];
    FILE *log;

    connect_to_server(client);
    for (int key = 0; key < keys; key++) {
        store(client, key);
    }
    snprintf(name, sizeof(name), "%s.%d", log_name, client->number);
    log = fopen(name, "w");
    if (!log) {
        err(1, "%s", name);
    }
    pthread_barrier_wait(&stored);
    pthread_barrier_wait(&begun);
    for (int64_t begin = microseconds(), end; !over; begin = end, client->operations++) {
        int key = next(&client->random) % keys;

        if (next(&client->random) % WRITES) {
            load(client, key);
        } else {
            store(client, key);
        }
        end = microseconds();
        fprintf(log, "%d %lld %lld\n", (int)(end - begin), (long long)end / 1000000,
                (long long)end % 1000000);
    }
    if (fclose(log)) {
        err(1, "%s", name);
    }
    for (int key = 0; key < keys; key++) {
        load(client, key);
    }
    return NULL;
}

static void on_alarm(int number)
{
    (void)number;
    over = 1;
}

int main(int argc, char **argv)
{
    struct client *client;
    long operations = 0;
    sigset_t begin;
    int number;

    if (argc != 6) {
        errx(2, "usage: kv memcached|redis SOCKET CLIENTS KEYS LOG");
    }
    redis = !strcmp(argv[1], "redis");
    path = argv[2];
    clients = atoi(argv[3]);
    keys = atoi(argv[4]);
    log_name = argv[5];
    client = calloc(clients, sizeof(*client));
    pthread_barrier_init(&stored, NULL, clients + 1);
    pthread_barrier_init(&begun, NULL, clients + 1);
    sigemptyset(&begin);
    sigaddset(&begin, SIGUSR1);
    sigprocmask(SIG_BLOCK, &begin, NULL);
    sigaction(SIGALRM, &(struct sigaction) { .sa_handler = on_alarm,
                                             .sa_flags = SA_RESTART }, NULL);
    for (int i = 0; i < clients; i++) {
        client[i].number = i;
        client[i].random = i + 1;
        client[i].version = calloc(keys, sizeof(*client[i].version));
        pthread_create(&client[i].thread, NULL, run, &client[i]);
    }
    pthread_barrier_wait(&stored);
    puts("kv ready");
    fflush(stdout);
    sigwait(&begin, &number);
    pthread_barrier_wait(&begun);
    for (int i = 0; i < clients; i++) {
        pthread_join(client[i].thread, NULL);
        operations += client[i].operations;
    }
    printf("kv %ld operations, %d keys are right\n", operations, clients * keys);
    return 0;
}
