/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mixed load: tasks that compute, touch random pages, read and write a file in tmpfs,
 * talk through pipes, fork and exec.  Those that touch are threads of one process, like a
 * server's, or, with alone=1, processes with a share of the pages each, which no other
 * touches; all others are processes.  All that they do is verified.
 *
 *   load [compute=1] [touch=8] [file=1] [pipe=1] [fork=1] [pages=4096]
 *        [filepages=1024] [nice=0] [alone=0]
 *
 * prints `load counters GPA`, then obeys lines on its standard input:
 *
 *   r    print `load MILLISECONDS compute N touch N file N pipe N fork N bad N`
 *   s    forget the longest stall: `load stall reset`
 *   v    stop all tasks, verify all of the memory and the file: `load verified N bad N`;
 *        the tasks go on
 *   q    end
 *
 * The counters are words at that guest-physical address, in the order of struct report:
 * a page that the host can read too, without a word to the guest.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "memory.h"

enum kind { COMPUTE, TOUCH, FILE_, PIPE, FORK, KINDS };

static const char *const names[KINDS] = { "compute", "touch", "file", "pipe", "fork" };
static long tasks[KINDS] = { 1, 8, 1, 1, 1 };
static long pages = 4096, filepages = 1024, alone;

#define CPUS 64

static struct report {
    uint64_t count[KINDS];
    uint64_t bad;           /* wrong words */
    uint64_t stall;         /* longest time that a CPU did no work for any task, in ns */
    uint64_t worked[CPUS];  /* when it last did */
} *report;
static volatile uint32_t *pause_asked;  /* [0] the wish, [1] how many obey */

static char *memory;
static uint64_t *rounds;                /* of each page of memory, then of the file */
static uint32_t *locks;                 /* likewise */
static int fd;

static void count(enum kind kind)
{
    __atomic_add_fetch(&report->count[kind], 1, __ATOMIC_RELAXED);
}

static void bad(int words)
{
    if (words) {
        __atomic_add_fetch(&report->bad, words, __ATOMIC_RELAXED);
    }
}

static uint64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void note_stall(void)
{
    uint64_t now = nanoseconds();
    uint64_t last = __atomic_exchange_n(&report->worked[sched_getcpu() % CPUS], now,
                                        __ATOMIC_RELAXED);
    uint64_t longest = report->stall;

    /* The task may have moved in between: then `last` can be later. */
    while (last && now > last && now - last > longest &&
           !__atomic_compare_exchange_n(&report->stall, &longest, now - last, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/* Between two steps of a task: a place to stop. */
static void rest(void)
{
    if (!*pause_asked) {
        return;
    }
    __atomic_add_fetch(&pause_asked[1], 1, __ATOMIC_SEQ_CST);
    while (*pause_asked) {
        usleep(1000);
    }
    __atomic_sub_fetch(&pause_asked[1], 1, __ATOMIC_SEQ_CST);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Of bits that did not choose the page: else some pages would never be written. */
static int one_of_four(uint64_t *seed)
{
    return next_random(seed) >> 62 == 0;
}

static int take(size_t page)
{
    return !__atomic_exchange_n(&locks[page], 1, __ATOMIC_ACQUIRE);
}

static void give(size_t page)
{
    __atomic_store_n(&locks[page], 0, __ATOMIC_RELEASE);
}

static void compute(uint64_t *seed)
{
    uint64_t a = *seed, first = *seed;

    for (int i = 0; i < 20000; i++) {
        next_random(seed);
    }
    for (int i = 0; i < 20000; i++) {
        next_random(&a);
    }
    bad(a != *seed || a == first);
}

/* Where a touching task works */
static __thread size_t first_page, last_page;

static void take_share(long number)
{
    first_page = alone ? pages * number / tasks[TOUCH] : 0;
    last_page = alone ? pages * (number + 1) / tasks[TOUCH] : pages;
}

/* A page that nobody else works on is verified, and one time of four written anew. */
static void touch(uint64_t *seed)
{
    size_t page = first_page + next_random(seed) % (last_page - first_page);
    char *at = memory + page * PAGE;

    if (!take(page)) {
        return;
    }
    bad(check(at, page, rounds[page]));
    if (one_of_four(seed)) {
        fill(at, page, ++rounds[page]);
    }
    give(page);
}

static void file(uint64_t *seed)
{
    size_t page = next_random(seed) % filepages, at = pages + page;
    uint64_t data[PAGE / 8];

    if (!take(at)) {
        return;
    }
    if (pread(fd, data, PAGE, page * PAGE) != PAGE) {
        die("read");
    }
    bad(check(data, at, rounds[at]));
    if (one_of_four(seed)) {
        fill(data, at, ++rounds[at]);
        if (pwrite(fd, data, PAGE, page * PAGE) != PAGE) {
            die("write");
        }
    }
    give(at);
}

/* Each message goes to another process and back. */
static int there[2], back[2];

static void pipe_echo(void)
{
    char data[PAGE];
    ssize_t got;

    while ((got = read(there[0], data, PAGE)) > 0) {
        if (write(back[1], data, got) != got) {
            die("pipe");
        }
    }
    _exit(0);
}

static void pipe_open(void)
{
    if (pipe(there) || pipe(back)) {
        die("pipe");
    }
    if (!fork()) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(there[1]);
        pipe_echo();
    }
    close(there[0]);
}

static void pipe_step(uint64_t *seed)
{
    char data[PAGE];
    uint64_t round = next_random(seed);

    fill(data, 7, round);
    if (write(there[1], data, PAGE) != PAGE) {
        die("pipe");
    }
    memset(data, 0, PAGE);
    for (size_t at = 0; at < PAGE;) {
        ssize_t got = read(back[0], data + at, PAGE - at);

        if (got <= 0) {
            die("pipe");
        }
        at += got;
    }
    bad(check(data, 7, round));
}

static void fork_exec(uint64_t *seed)
{
    int status = 0;
    pid_t pid;

    (void)seed;
    pid = fork();
    if (!pid) {
        execl("/proc/self/exe", "load", "child", NULL);
        _exit(1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        die("fork");
    }
    bad(!WIFEXITED(status) || WEXITSTATUS(status) != 42);
}

static void (*const step[KINDS])(uint64_t *) = {
    compute, touch, file, pipe_step, fork_exec
};

static void work(enum kind kind, long number)
{
    uint64_t seed = 0x1234567 + kind * 1000003 + number * 7919;

    prctl(PR_SET_NAME, names[kind]);
    take_share(number);
    for (;;) {
        step[kind](&seed);
        count(kind);
        note_stall();
        rest();
    }
}

static void *touching_thread(void *number)
{
    work(TOUCH, (intptr_t)number);
    return NULL;
}

static void start_process(enum kind kind, long number)
{
    pthread_t thread;

    if (fork()) {
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (kind == PIPE) {
        pipe_open();
    }
    for (long i = 1; kind == TOUCH && !alone && i < tasks[TOUCH]; i++) {
        if (pthread_create(&thread, NULL, touching_thread, (void *)i)) {
            die("thread");
        }
    }
    work(kind, number);
}

static long processes_of(enum kind kind)
{
    return kind == TOUCH && !alone ? !!tasks[TOUCH] : tasks[kind];
}

static void tell(void)
{
    printf("load %llu", (unsigned long long)nanoseconds() / 1000000);
    for (int kind = 0; kind < KINDS; kind++) {
        printf(" %s %llu", names[kind], (unsigned long long)report->count[kind]);
    }
    printf(" bad %llu\n", (unsigned long long)report->bad);
}

static void verify(uint32_t all)
{
    uint64_t data[PAGE / 8], words = 0;

    pause_asked[0] = 1;
    while (__atomic_load_n(&pause_asked[1], __ATOMIC_SEQ_CST) != all) {
        usleep(1000);
    }
    for (long page = 0; page < pages; page++) {
        words += check(memory + page * PAGE, page, rounds[page]);
    }
    for (long page = 0; page < filepages; page++) {
        if (pread(fd, data, PAGE, page * PAGE) != PAGE) {
            die("read");
        }
        words += check(data, pages + page, rounds[pages + page]);
    }
    pause_asked[0] = 0;
    printf("load verified %ld bad %llu\n", pages + filepages,
           (unsigned long long)(words + report->bad));
}

static void prepare(void)
{
    uint64_t data[PAGE / 8];
    size_t all = pages + filepages;

    report = pages_alloc(1);
    pause_asked = pages_alloc(1);
    memory = pages_alloc(pages);
    rounds = pages_alloc((all * sizeof(*rounds) + PAGE - 1) / PAGE);
    locks = pages_alloc((all * sizeof(*locks) + PAGE - 1) / PAGE);
    for (long page = 0; page < pages; page++) {
        fill(memory + page * PAGE, page, 0);
    }
    fd = open("/tmp", O_RDWR | O_TMPFILE, 0600);
    if (fd < 0) {
        die("/tmp");
    }
    for (long page = 0; page < filepages; page++) {
        fill(data, pages + page, 0);
        if (pwrite(fd, data, PAGE, page * PAGE) != PAGE) {
            die("write");
        }
    }
    if (mlock(report, PAGE)) {
        die("mlock");
    }
}

static void argument(const char *text)
{
    size_t length = strcspn(text, "=");
    long value = text[length] ? atol(text + length + 1) : -1;

    for (int kind = 0; kind < KINDS; kind++) {
        if (value >= 0 && strlen(names[kind]) == length &&
            !strncmp(text, names[kind], length)) {
            tasks[kind] = value;
            return;
        }
    }
    if (value > 0 && !strncmp(text, "pages=", 6)) {
        pages = value;
    } else if (value > 0 && !strncmp(text, "filepages=", 10)) {
        filepages = value;
    } else if (value >= 0 && !strncmp(text, "nice=", 5)) {
        setpriority(PRIO_PROCESS, 0, value);
    } else if (value >= 0 && !strncmp(text, "alone=", 6)) {
        alone = value;
    } else {
        fprintf(stderr, "load: what is %s?\n", text);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    char line[16];
    uint32_t all = 0;

    if (argc == 2 && !strcmp(argv[1], "child")) {
        return 42;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        argument(argv[i]);
    }
    prepare();
    for (int kind = 0; kind < KINDS; kind++) {
        all += tasks[kind];
        for (long i = 0; i < processes_of(kind); i++) {
            start_process(kind, i);
        }
    }
    printf("load counters %#llx\n", (unsigned long long)gpa_of(report));
    while (fgets(line, sizeof(line), stdin)) {
        if (line[0] == 'r') {
            tell();
        } else if (line[0] == 's') {
            report->stall = 0;
            puts("load stall reset");
        } else if (line[0] == 'v') {
            verify(all);
        } else if (line[0] == 'q') {
            break;
        }
    }
    return 0;
}
