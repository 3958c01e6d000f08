/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both programs of the Linux test guest know about memory. */
#ifndef MEMORY_H
#define MEMORY_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul

_Noreturn static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* The guest-physical address of a page that is mapped. */
static inline uint64_t gpa_of(const void *page)
{
    static int fd = -1;
    uint64_t entry;

    if (fd < 0) {
        fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    }
    if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * 8) != sizeof(entry) ||
        !(entry >> 63)) {
        die("pagemap");
    }
    return (entry & ((1ull << 55) - 1)) * PAGE;
}

/* Memory of small pages, shared with children. */
static inline void *pages_alloc(size_t count)
{
    void *memory = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        die("mmap");
    }
    madvise(memory, count * PAGE, MADV_NOHUGEPAGE);
    return memory;
}

/* What word `i` of page `page` holds in round `round`. */
static inline uint64_t pattern(uint64_t page, uint64_t i, uint64_t round)
{
    return (page * 0x9e3779b97f4a7c15ull ^ round * 0xc2b2ae3d27d4eb4full) + i;
}

static inline void fill(void *at, uint64_t page, uint64_t round)
{
    uint64_t *word = at;

    for (uint64_t i = 0; i < PAGE / 8; i++) {
        word[i] = pattern(page, i, round);
    }
}

/* The number of wrong words */
static inline int check(const void *at, uint64_t page, uint64_t round)
{
    const volatile uint64_t *word = at;
    int bad = 0;

    for (uint64_t i = 0; i < PAGE / 8; i++) {
        bad += word[i] != pattern(page, i, round);
    }
    return bad;
}

#endif
