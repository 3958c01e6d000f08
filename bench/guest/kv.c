/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of a key-value store, memcached or Redis, that verify each value.
 *
 *   kv memcached|redis SOCKET CLIENTS KEYS LOG
 *
 * Every client has a connection and KEYS keys of its own, of which it stores all.
 * Then it reads random keys, and now and then writes one; in the end it reads all
 * keys once more, and `OPERATIONS operations, KEYS keys are right` is printed. Any
 * other answer of the server than it must give ends all.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clients.h"

#define VALUE 1024
#define MESSAGE (VALUE + 200)
#define WRITES 10               /* one operation in so many */

static const char *path;
static bool redis;
static int keys;

struct connection {
    int fd;
    uint32_t *version;          /* of each key's value */
};

static struct connection *connection(const struct client *client)
{
    return client->own;
}

static void connect_to_server(struct client *client)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct connection *new = calloc(1, sizeof(*new));

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    new->version = calloc(keys, sizeof(*new->version));
    new->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(new->fd, (struct sockaddr *)&address, sizeof(address))) {
        err(1, "%s", path);
    }
    client->own = new;
}

static void send_all(struct client *client, const char *text, int length)
{
    while (length) {
        int sent = write(connection(client)->fd, text, length);

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
        int more = read(connection(client)->fd, answer + got, length - got);

        if (more <= 0) {
            err(1, "client %d: read", client->number);
        }
        got += more;
        if (memcmp(answer, wanted, got)) {
            errx(1, "client %d: %.*s instead of %.*s", client->number, got, answer,
                 length, wanted);
        }
    }
}

/* A line about the value, and the value: letters that tell key and version everywhere */
static int put_value(const struct client *client, int key, char *text, const char *line)
{
    int length = sprintf(text, "%s\r\n", line);
    uint64_t state = ((uint64_t)client->number << 52) ^ ((uint64_t)key << 32) ^
                     connection(client)->version[key];

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

    connection(client)->version[key]++;
    if (redis) {
        sprintf(line, "*3\r\n$3\r\nSET\r\n$12\r\nkey:%02d:%05d\r\n$%d",
                client->number, key, VALUE);
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
        length = sprintf(text, "*2\r\n$3\r\nGET\r\n$12\r\nkey:%02d:%05d\r\n",
                         client->number, key);
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

static void prepare(struct client *client)
{
    connect_to_server(client);
    for (int key = 0; key < keys; key++) {
        store(client, key);
    }
}

static void operate(struct client *client)
{
    int key = next(&client->random) % keys;

    if (next(&client->random) % WRITES) {
        load(client, key);
    } else {
        store(client, key);
    }
}

static void verify(struct client *client)
{
    for (int key = 0; key < keys; key++) {
        load(client, key);
    }
}

int main(int argc, char **argv)
{
    int clients;

    if (argc != 6) {
        errx(2, "usage: kv memcached|redis SOCKET CLIENTS KEYS LOG");
    }
    redis = !strcmp(argv[1], "redis");
    path = argv[2];
    clients = atoi(argv[3]);
    keys = atoi(argv[4]);
    log_name = argv[5];
    printf("%ld operations, ", run_clients(clients));
    printf("%d keys are right\n", clients * keys);
    return 0;
}
