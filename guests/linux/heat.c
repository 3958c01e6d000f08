/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that reads a page and a large page again and again, and others no more.
 *
 * prints `gpa ADDRESS` for the page, for the first of those that it does not read, and
 * for the large page, then `ready`, and goes on in the background.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"

#define LARGE (2ul << 20)
#define COLD 64

static char *map(size_t size, int kind)
{
    char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);

    if (area == MAP_FAILED) {
        die("mmap");
    }
    return area;
}

static char *map_large(void)
{
    char *area = map(2 * LARGE, MAP_PRIVATE);

    area += LARGE - (uintptr_t)area % LARGE;
    if (madvise(area, LARGE, MADV_HUGEPAGE)) {
        die("madvise");
    }
    return area;
}

static void tell(char *area, size_t size)
{
    memset(area, 1, size);
    printf("gpa %#llx\n", (unsigned long long)gpa_of(area));
}

static void read_on(const int *done, volatile char *hot, volatile char *large)
{
    puts("ready");
    fflush(stdout);
    close(*done);
    for (;;) {
        (void)*hot;
        (void)*large;
        usleep(10000);
    }
}

int main(void)
{
    int fds[2];
    char *hot, *large, c;

    if (pipe(fds)) {
        die("pipe");
    }
    switch (fork()) {
    case -1:
        die("fork");
    case 0:
        hot = map(PAGE, MAP_PRIVATE);
        large = map_large();
        tell(hot, PAGE);
        tell(map(COLD * PAGE, MAP_SHARED), COLD * PAGE);
        tell(large, LARGE);
        read_on(&fds[1], hot, large);
    }
    close(fds[1]);
    return read(fds[0], &c, 1) != 0;
}
