/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of a server that has no name, on a large region and on a file.
 *
 *   requests mixed|copies CLIENTS PAGES FILE LOG
 *
 * mixed: each computes, reads random pages of the region, writes one of them and a
 * record of the file, and has a record carried by the kernel from the file into a
 * pipe, from there into the region.  copies: it is the kernel that first touches the
 * pages and the records, as it writes those to the file and reads these from there.
 *
 * Every client has PAGES pages, and as many records in a file of its own, FILE.NUMBER,
 * as writers of one file exclude each other. It verifies each that it reads; in the
 * end it verifies all, and `OPERATIONS operations, PAGES pages are right` is printed.
 * A wrong one ends all.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "clients.h"

#define PAGE 4096
#define WORDS (PAGE / sizeof(uint64_t))
#define TOUCHED 8               /* pages of one operation */
#define COPIED 8                /* pages and records, each */
#define ROUNDS 500000           /* of its computing */

static const char *file_name;
static int pages;
static void (*request)(struct client *client);
static volatile uint64_t computed;

struct part {
    uint64_t (*page)[WORDS];    /* of the region; one more is for records */
    uint32_t *version;          /* of each page, and of the record with that number */
    int fd, pipe[2];
};

static struct part *part(const struct client *client)
{
    return client->own;
}

static void fill(const struct client *client, int number, uint64_t *page)
{
    uint64_t state = ((uint64_t)client->number << 52) ^ ((uint64_t)number << 32) ^
                     part(client)->version[number];

    for (unsigned i = 0; i < WORDS; i++) {
        page[i] = next(&state);
    }
}

static void check(const struct client *client, int number, const uint64_t *page,
                  const char *what)
{
    uint64_t wanted[WORDS];

    fill(client, number, wanted);
    if (memcmp(page, wanted, PAGE)) {
        errx(1, "client %d: %s %d is wrong", client->number, what, number);
    }
}

static void write_record(const struct client *client, int number)
{
    off_t at = (off_t)number * PAGE;

    if (pwrite(part(client)->fd, part(client)->page[number], PAGE, at) != PAGE) {
        err(1, "write");
    }
}

static void read_record(const struct client *client, int number)
{
    off_t at = (off_t)number * PAGE;

    if (pread(part(client)->fd, part(client)->page[number], PAGE, at) != PAGE) {
        err(1, "read");
    }
    check(client, number, part(client)->page[number], "record");
}

/* Page and record get a new version. */
static void change(const struct client *client, int number)
{
    part(client)->version[number]++;
    fill(client, number, part(client)->page[number]);
    write_record(client, number);
}

static void carry(const struct client *client, int number)
{
    uint64_t *to = part(client)->page[pages];
    off_t from = (off_t)number * PAGE;

    if (sendfile(part(client)->pipe[1], part(client)->fd, &from, PAGE) != PAGE ||
        read(part(client)->pipe[0], to, PAGE) != PAGE) {
        err(1, "a record through a pipe");
    }
    check(client, number, to, "record");
}

static void prepare(struct client *client)
{
    struct part *new = calloc(1, sizeof(*new));
    char name[200];

    snprintf(name, sizeof(name), "%s.%d", file_name, client->number);
    new->fd = open(name, O_RDWR | O_CREAT, 0600);
    if (new->fd < 0) {
        err(1, "%s", name);
    }
    new->page = mmap(NULL, (size_t)(pages + 1) * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    new->version = calloc(pages, sizeof(*new->version));
    if (new->page == MAP_FAILED || pipe(new->pipe)) {
        err(1, "memory or pipe");
    }
    client->own = new;
    for (int i = 0; i < pages; i++) {
        change(client, i);
    }
}

static void mixed(struct client *client)
{
    uint64_t result = client->random;

    for (int i = 0; i < ROUNDS; i++) {
        next(&result);
    }
    computed = result;
    for (int i = 0; i < TOUCHED; i++) {
        int number = next(&client->random) % pages;

        check(client, number, part(client)->page[number], "page");
    }
    change(client, next(&client->random) % pages);
    carry(client, next(&client->random) % pages);
}

static void copies(struct client *client)
{
    int number;

    for (int i = 0; i < COPIED; i++) {
        write_record(client, next(&client->random) % pages);
        number = next(&client->random) % pages;
        read_record(client, number);
    }
    change(client, number);
    carry(client, next(&client->random) % pages);
}

static void operate(struct client *client)
{
    request(client);
}

static void verify(struct client *client)
{
    for (int i = 0; i < pages; i++) {
        check(client, i, part(client)->page[i], "page");
        carry(client, i);
    }
}

int main(int argc, char **argv)
{
    int clients;

    if (argc == 6) {
        request = !strcmp(argv[1], "mixed") ? mixed :
                  !strcmp(argv[1], "copies") ? copies : NULL;
    }
    if (!request) {
        errx(2, "usage: requests mixed|copies CLIENTS PAGES FILE LOG");
    }
    clients = atoi(argv[2]);
    pages = atoi(argv[3]);
    file_name = argv[4];
    log_name = argv[5];
    printf("%ld operations, ", run_clients(clients));
    printf("%d pages are right\n", clients * pages);
    return 0;
}
