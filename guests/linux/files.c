/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tasks that work on files of a filesystem on a disk, and know what each block has to
 * hold: by buffered and direct I/O, mappings, holes, and small files that are replaced.
 *
 *   files FOLDER [TASKS]
 *
 * prints `files begun`, then obeys lines on its standard input:
 *
 *   r    print `files buffered N direct N again N mapped N hole N small N bad N`
 *   s    all tasks stop, with no file open: `files stopped`
 *   v    when stopped, read all, from the disk and buffered: `files verified N bad N`
 *   go   they go on: `files go on`
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>

#include "memory.h"

enum kind { BUFFERED, DIRECT, AGAIN, MAPPED, HOLE, SMALL, KINDS };

static const char *const names[KINDS] = {
    "buffered", "direct", "again", "mapped", "hole", "small"
};

/* Blocks of a task's large file, its small files of a block, most blocks at a time */
enum { BLOCKS = 512, SMALLS = 16, RUN = 16 };

static const char *folder;
static int tasks = 4;

static struct shared {
    uint64_t count[KINDS];
    uint64_t bad;               /* wrong words and failed calls */
    pthread_rwlock_t working;   /* read: in a step; written: all tasks are stopped */
} *shared;
static uint64_t *rounds;        /* of each block; 0 is a hole, or no file yet */

/* One of these in each task */
static int task;
static unsigned int seed;
static char *buffer;

static int number(int block)
{
    return task * (BLOCKS + SMALLS) + block;
}

static uint64_t *round_of(int block)
{
    return &rounds[number(block)];
}

static void bad(int words, const char *what, int block)
{
    if (words) {
        __atomic_add_fetch(&shared->bad, words, __ATOMIC_RELAXED);
        printf("files: task %d, %s, block %d: %d wrong words\n", task, what, block,
               words);
    }
}

static bool works(bool good, const char *what)
{
    if (!good) {
        __atomic_add_fetch(&shared->bad, 1, __ATOMIC_RELAXED);
        printf("files: task %d, %s: %m\n", task, what);
    }
    return good;
}

static int check_zero(const void *at)
{
    const volatile uint64_t *word = at;
    int wrong = 0;

    for (size_t i = 0; i < PAGE / 8; i++) {
        wrong += word[i] != 0;
    }
    return wrong;
}

static void check_run(const char *at, const char *what, int first, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t round = *round_of(first + i);

        bad(round ? check(at, number(first + i), round) : check_zero(at), what,
            first + i);
        at += PAGE;
    }
}

static void fill_run(char *at, int first, int count)
{
    for (int i = 0; i < count; i++) {
        fill(at + i * PAGE, number(first + i), ++*round_of(first + i));
    }
}

static int open_large(int flags)
{
    char path[100];

    snprintf(path, sizeof(path), "%s/large%d", folder, task);
    return open(path, O_RDWR | flags, 0600);
}

static void read_run(int fd, const char *what, int first, int count)
{
    ssize_t size = count * PAGE;

    memset(buffer, 0xa5, size);
    if (works(pread(fd, buffer, size, first * PAGE) == size, what)) {
        check_run(buffer, what, first, count);
    }
}

static void write_run(int fd, const char *what, int first, int count)
{
    ssize_t size = count * PAGE;

    fill_run(buffer, first, count);
    works(pwrite(fd, buffer, size, first * PAGE) == size, what);
}

static bool one_of(int times)
{
    return rand_r(&seed) / 16 % times == 0;
}

/* What is written into the page cache is read from the disk. */
static void buffered(int fd, int direct, int first, int count)
{
    write_run(fd, "write", first, count);
    if (one_of(4)) {
        works(!fdatasync(fd), "fdatasync");
    }
    read_run(direct, "direct read of what was written", first, count);
}

static void direct(int fd, int direct, int first, int count)
{
    write_run(direct, "direct write", first, count);
    read_run(fd, "read of what was written directly", first, count);
}

static void again(int fd, int direct, int first, int count)
{
    (void)direct;
    works(!posix_fadvise(fd, first * PAGE, count * PAGE, POSIX_FADV_DONTNEED), "fadvise");
    read_run(fd, "read", first, count);
}

static void mapped(int fd, int direct, int first, int count)
{
    char *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                    first * PAGE);

    if (!works(at != MAP_FAILED, "mmap")) {
        return;
    }
    check_run(at, "mapping", first, count);
    fill_run(at, first, count);
    if (one_of(4)) {
        works(!msync(at, count * PAGE, MS_SYNC), "msync");
    }
    works(!munmap(at, count * PAGE), "munmap");
    read_run(direct, "direct read of a mapping", first, count);
}

static void hole(int fd, int direct, int first, int count)
{
    works(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * PAGE,
                     count * PAGE), "hole");
    for (int i = 0; i < count; i++) {
        *round_of(first + i) = 0;
    }
    read_run(direct, "hole", first, count);
}

static void name_small(char *path, size_t size, int block, const char *ending)
{
    snprintf(path, size, "%s/small%d.%d%s", folder, task, block, ending);
}

static void read_small(int block, int flags)
{
    char path[100];
    int fd;

    name_small(path, sizeof(path), block, "");
    fd = open(path, O_RDONLY | flags);
    if (!*round_of(block)) {
        works(fd < 0, "no small file");
    } else if (works(fd >= 0 && pread(fd, buffer, PAGE, 0) == PAGE, "small file")) {
        check_run(buffer, "small file", block, 1);
    }
    close(fd);
}

/* As an editor does: a new file in place of the old one */
static void replace_small(int block)
{
    char path[100], new[100];
    int fd;

    name_small(path, sizeof(path), block, "");
    name_small(new, sizeof(new), block, ".new");
    fd = open(new, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (!works(fd >= 0, "new small file")) {
        return;
    }
    fill_run(buffer, block, 1);
    works(write(fd, buffer, PAGE) == PAGE, "write of a small file");
    works(!fsync(fd), "fsync");
    works(!close(fd), "close");
    works(!rename(new, path), "rename");
}

static void small(void)
{
    char path[100];
    int block = BLOCKS + rand_r(&seed) / 16 % SMALLS;

    read_small(block, 0);
    if (one_of(4)) {
        name_small(path, sizeof(path), block, "");
        works(!*round_of(block) || !unlink(path), "unlink");
        *round_of(block) = 0;
    } else {
        replace_small(block);
    }
    read_small(block, 0);
}

static void large(enum kind kind)
{
    static void (*const step[])(int, int, int, int) = {
        buffered, direct, again, mapped, hole
    };
    int count = 1 + rand_r(&seed) / 16 % RUN;
    int first = rand_r(&seed) / 16 % (BLOCKS - count + 1);
    int fds[] = { open_large(0), open_large(O_DIRECT) };

    if (works(fds[0] >= 0 && fds[1] >= 0, "open")) {
        step[kind](fds[0], fds[1], first, count);
    }
    close(fds[0]);
    close(fds[1]);
}

static void work(void)
{
    seed = task + 1;
    for (;;) {
        enum kind kind = rand_r(&seed) / 16 % KINDS;

        pthread_rwlock_rdlock(&shared->working);
        if (kind == SMALL) {
            small();
        } else {
            large(kind);
        }
        __atomic_add_fetch(&shared->count[kind], 1, __ATOMIC_RELAXED);
        pthread_rwlock_unlock(&shared->working);
    }
}

static void start(void)
{
    int fd = open_large(O_CREAT | O_EXCL);

    if (fd < 0 || ftruncate(fd, BLOCKS * PAGE)) {
        die(folder);
    }
    close(fd);
    switch (fork()) {
    case -1:
        die("fork");
    case 0:
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        buffer = pages_alloc(RUN);
        work();
    }
}

static void tell(void)
{
    printf("files");
    for (int kind = 0; kind < KINDS; kind++) {
        printf(" %s %llu", names[kind], (unsigned long long)shared->count[kind]);
    }
    printf(" bad %llu\n", (unsigned long long)shared->bad);
}

static void verify(int flags)
{
    for (task = 0; task < tasks; task++) {
        int fd = open_large(flags);

        works(fd >= 0, "open");
        for (int block = 0; block < BLOCKS; block += RUN) {
            read_run(fd, "verification", block, RUN);
        }
        close(fd);
        for (int block = BLOCKS; block < BLOCKS + SMALLS; block++) {
            read_small(block, flags);
        }
    }
}

static void prepare(void)
{
    pthread_rwlockattr_t attributes;

    shared = pages_alloc(1);
    rounds = pages_alloc((tasks * (BLOCKS + SMALLS) * sizeof(*rounds) + PAGE - 1) / PAGE);
    buffer = pages_alloc(RUN);
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    /* Else tasks that come and go could keep who wants to stop them waiting for ever. */
    pthread_rwlockattr_setkind_np(&attributes,
                                  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&shared->working, &attributes);
}

int main(int argc, char **argv)
{
    char line[16];

    if (argc < 2) {
        fprintf(stderr, "files: in which folder?\n");
        return 2;
    }
    folder = argv[1];
    if (argc > 2) {
        tasks = atoi(argv[2]);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    prepare();
    for (task = 0; task < tasks; task++) {
        start();
    }
    puts("files begun");
    while (fgets(line, sizeof(line), stdin)) {
        if (line[0] == 'r') {
            tell();
        } else if (line[0] == 's') {
            pthread_rwlock_wrlock(&shared->working);
            puts("files stopped");
        } else if (line[0] == 'v') {
            verify(O_DIRECT);
            verify(0);
            printf("files verified %d bad %llu\n", tasks * (BLOCKS + SMALLS),
                   (unsigned long long)shared->bad);
        } else if (line[0] == 'g') {
            pthread_rwlock_unlock(&shared->working);
            puts("files go on");
        }
    }
    return 0;
}
