/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of a server that has no name: each computes, reads and writes random pages
 * of a large region and a record of a file, and has a record carried by the kernel
 * from the file into a pipe, from there into the region.
 *
 *   mixed CLIENTS PAGES FILE LOG
 *
 * Every client has PAGES pages and as many records of its own, and verifies each that
 * it reads; in the end it verifies all, and `OPERATIONS operations, PAGES pages are
 * right` is printed. A wrong one ends all.
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
#define ROUNDS 500000           /* of its computing */

static int pages, fd;
static volatile uint64_t computed;

struct part {
    uint64_t (*page)[WORDS];    /* of the region; one more is for records */
    uint32_t *version;          /* of each page, and of the record with that number */
    int pipe[2];
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

static off_t place(const struct client *client, int number)
{
    return ((off_t)client->number * pages + number) * PAGE;
}

/* Page and record get a new version. */
static void change(const struct client *client, int number)
{
    uint64_t *page = part(client)->page[number];

    part(client)->version[number]++;
    fill(client, number, page);
    if (pwrite(fd, page, PAGE, place(client, number)) != PAGE) {
        err(1, "write");
    }
}

static void carry(const struct client *client, int number)
{
    uint64_t *to = part(client)->page[pages];
    off_t from = place(client, number);

    if (sendfile(part(client)->pipe[1], fd, &from, PAGE) != PAGE ||
        read(part(client)->pipe[0], to, PAGE) != PAGE) {
        err(1, "a record through a pipe");
    }
    check(client, number, to, "record");
}

static void prepare(struct client *client)
{
    struct part *new = calloc(1, sizeof(*new));

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

static void operate(struct client *client)
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

    if (argc != 5) {
        errx(2, "usage: mixed CLIENTS PAGES FILE LOG");
    }
    clients = atoi(argv[1]);
    pages = atoi(argv[2]);
    fd = open(argv[3], O_RDWR | O_CREAT, 0600);
    log_name = argv[4];
    if (fd < 0) {
        err(1, "%s", argv[3]);
    }
    printf("%ld operations, ", run_clients(clients));
    printf("%d pages are right\n", clients * pages);
    return 0;
}
