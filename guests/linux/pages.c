/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses to pages that the host is told to withhold or fail.
 *
 *   pages MODE
 *
 * prints `gpa ADDRESS` for each page, then `ready`, and waits for a line on its standard
 * input.  Then a child, or several, does the accesses while the parent counts; `begun`
 * says that it is about to, `done` what was found.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "memory.h"

#define COUNT 8

static char *area;
static volatile uint64_t *shared;       /* results of the children */

static void tell(const void *page)
{
    printf("gpa %#llx\n", (unsigned long long)gpa_of(page));
}

static void ready(void)
{
    char line[16];

    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin)) {
        exit(1);
    }
}

static void offer_pages(void)
{
    for (int i = 0; i < COUNT; i++) {
        fill(area + i * PAGE, i, 0);
        tell(area + i * PAGE);
    }
    ready();
}

/* Each of the children does its own; counts how often the parent saw them at it. */
static void in_children(int count, int (*child)(int))
{
    uint64_t rounds = 0;
    int bad = 0, status;

    puts("begun");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        switch (fork()) {
        case -1:
            die("fork");
        case 0:
            _exit(child(i) != 0);
        }
    }
    for (int left = count; left;) {
        pid_t pid = waitpid(-1, &status, WNOHANG);

        if (pid > 0) {
            left--;
            bad += status != 0;
        }
        rounds++;
        shared[0] = rounds;
    }
    printf("done bad %d\n", bad);
}

static int user_child(int i)
{
    int bad = check(area + i * PAGE, i, 0);

    fill(area + i * PAGE, i, 1);
    return bad + check(area + i * PAGE, i, 1);
}

static int file(void)
{
    int fd = open("/tmp", O_RDWR | O_TMPFILE, 0600);

    if (fd < 0) {
        die("/tmp");
    }
    return fd;
}

/* The kernel reads the missing pages: write() from there into a file. */
static int kernel_read_child(int i)
{
    char copy[PAGE];
    int fd = file();

    if (pwrite(fd, area + i * PAGE, PAGE, i * PAGE) != PAGE ||
        pread(fd, copy, PAGE, i * PAGE) != PAGE) {
        die("file");
    }
    return check(copy, i, 0);
}

/* The kernel writes them: read() of a pipe to there. */
static int kernel_write_child(int i)
{
    char data[PAGE];
    int fds[2];

    fill(data, i, 2);
    if (pipe(fds) || write(fds[1], data, PAGE) != PAGE ||
        read(fds[0], area + i * PAGE, PAGE) != PAGE) {
        die("pipe");
    }
    return check(area + i * PAGE, i, 2);
}

static int files[COUNT];

/* One page of each, in the page cache */
static void offer_files(void)
{
    for (int i = 0; i < COUNT; i++) {
        volatile char *cached;

        files[i] = file();
        if (pwrite(files[i], area + i * PAGE, PAGE, 0) != PAGE) {
            die("file");
        }
        cached = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, files[i], 0);
        if (cached == MAP_FAILED) {
            die("mmap");
        }
        (void)*cached;
        tell((void *)cached);
        munmap((void *)cached, PAGE);
    }
    ready();
}

/* The kernel copies to the missing page. */
static int file_write_child(int i)
{
    char data[PAGE];

    fill(data, i, 3);
    if (pwrite(files[i], data, PAGE, 0) != PAGE ||
        pread(files[i], data, PAGE, 0) != PAGE) {
        die("file");
    }
    return check(data, i, 3);
}

static sigjmp_buf back;
static siginfo_t signalled;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    signalled = *info;
    siglongjmp(back, 1);
}

/* True if this access gets SIGBUS for exactly its own address. */
static int fails_right(const char *what, volatile char *at,
                       void (*access)(volatile char *))
{
    memset(&signalled, 0, sizeof(signalled));
    if (!sigsetjmp(back, 1)) {
        access(at);
    }
    int good = signalled.si_signo == SIGBUS && signalled.si_code == BUS_ADRERR &&
               signalled.si_addr == at;

    if (!good) {
        printf("%s of %p: signal %d code %d address %p\n", what, (void *)at,
               signalled.si_signo, signalled.si_code, signalled.si_addr);
    }
    return good;
}

static void do_read(volatile char *at)
{
    (void)*at;
}

static void do_write(volatile char *at)
{
    *at = 1;
}

static void do_call(volatile char *at)
{
    ((void (*)(void))(uintptr_t)at)();
}

static int fail_child(int unused)
{
    int good = 0, fds[2];
    struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

    (void)unused;
    sigaction(SIGBUS, &action, NULL);
    good += fails_right("read", area + 0x123, do_read);
    good += fails_right("write", area + PAGE + 0x456, do_write);
    good += fails_right("fetch", area + 2 * PAGE + 0x10, do_call);
    good += fails_right("read", area + 3 * PAGE + 8, do_read);
    good += fails_right("read", area + 3 * PAGE + 16, do_read);
    if (pipe(fds)) {
        die("pipe");
    }
    good += write(fds[1], area + 4 * PAGE, PAGE) == -1 && errno == EFAULT;
    if (write(fds[1], "x", 1) != 1) {
        die("pipe");
    }
    good += read(fds[0], area + 5 * PAGE, 1) == -1 && errno == EFAULT;
    /* Not taken, the signal ends the task. */
    pid_t pid = fork();
    if (!pid) {
        signal(SIGBUS, SIG_IGN);
        do_read(area + 6 * PAGE);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    good += WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
    return good != 8;
}

/* Sleeps in user mode for a page; a signal ends it. */
static void kill_them(void)
{
    pid_t pids[COUNT];
    int status, good = 0;

    offer_pages();
    for (int i = 0; i < COUNT; i++) {
        pids[i] = fork();
        if (!pids[i]) {
            _exit(check(area + i * PAGE, i, 0) + 100);
        }
    }
    puts("begun");
    ready();
    for (int i = 0; i < COUNT; i++) {
        kill(pids[i], i % 2 ? SIGTERM : SIGKILL);
        waitpid(pids[i], &status, 0);
        good += WIFSIGNALED(status);
    }
    printf("done killed %d\n", good);
    ready();
}

/* A program whose text is missing: a copy of this one. */
static int exec_child(int unused)
{
    (void)unused;
    execl("/tmp/program", "program", "exec-me", NULL);
    return 1;
}

static void offer_program(void)
{
    int fd = open("/tmp/program", O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);
    volatile char *text = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

    if (fd < 0 || text == MAP_FAILED) {
        die("/tmp/program");
    }
    for (off_t at = 0; at < size; at += PAGE) {
        (void)text[at];
        tell((void *)(text + at));
    }
    munmap((void *)text, size);
    close(fd);
    ready();
}

enum { WRITES = 4, OTHERS = 16 };

static int open_disk(void)
{
    int disk = open("/dev/vda", O_RDWR | O_DIRECT);

    if (disk < 0) {
        die("/dev/vda");
    }
    return disk;
}

static struct iocb describe(int disk, int i)
{
    return (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = disk, .aio_nbytes = PAGE,
        .aio_buf = (uintptr_t)area + (i + 1) * PAGE, .aio_offset = i * 2 * PAGE,
    };
}

/*
 * The kernel holds back the requests of one io_submit() until it has read all of their
 * descriptions.  The last of these is in the first page of the area, which is missing;
 * what they write is in the pages after it.
 */
static int plug_child(int disk)
{
    struct iocb first[WRITES - 1], *all[WRITES];
    struct io_event events[WRITES];
    aio_context_t context = 0;
    int bad = 0;

    for (int i = 0; i < WRITES - 1; i++) {
        first[i] = describe(disk, i);
        all[i] = &first[i];
    }
    all[WRITES - 1] = (struct iocb *)area;
    if (syscall(SYS_io_setup, WRITES, &context) ||
        syscall(SYS_io_submit, context, WRITES, all) != WRITES ||
        syscall(SYS_io_getevents, context, WRITES, WRITES, events, NULL) != WRITES) {
        die("aio");
    }
    for (int i = 0; i < WRITES; i++) {
        if (pread(disk, area, PAGE, i * 2 * PAGE) != PAGE) {
            die("/dev/vda");
        }
        bad += check(area, i + 1, 0);
    }
    return bad;
}

static void plug(void)
{
    int disk = open_disk(), status = 1;

    for (int i = 1; i <= WRITES; i++) {
        fill(area + i * PAGE, i, 0);
    }
    *(struct iocb *)area = describe(disk, WRITES - 1);
    tell(area);
    ready();
    pid_t pid = fork();

    if (!pid) {
        _exit(plug_child(disk) != 0);
    }
    puts("begun");
    ready();
    for (int i = 0; i < OTHERS; i++) {
        if (pwrite(disk, area + PAGE, PAGE, (100 + i) * PAGE) != PAGE) {
            die("/dev/vda");
        }
    }
    puts("wrote");
    ready();
    waitpid(pid, &status, 0);
    printf("done bad %d\n", status != 0);
}

/* Marks all frames that hold page tables. */
static size_t page_tables(uint8_t *mark, size_t frames)
{
    enum { PGTABLE = 26 };
    static uint64_t flags[512];
    int fd = open("/proc/kpageflags", O_RDONLY);
    ssize_t got;
    size_t at = 0, found = 0;

    while (at < frames && (got = read(fd, flags, sizeof(flags))) > 0) {
        for (ssize_t i = 0; i < got / 8 && at < frames; i++, at++) {
            mark[at] = flags[i] >> PGTABLE & 1;
            found += mark[at];
        }
    }
    close(fd);
    return found;
}

static void fork_once(void)
{
    int status = 1;
    pid_t pid;

    puts("begun");
    fflush(stdout);
    pid = fork();
    if (!pid) {
        _exit(0);
    }
    waitpid(pid, &status, 0);
    printf("done bad %d\n", status != 0);
}

/* The page tables of a sparse private mapping, which fork has to copy. */
static void offer_page_tables(void)
{
    enum { FRAMES = 1 << 17, TABLES = 32 };
    static uint8_t before[FRAMES], after[FRAMES];
    char *sparse = mmap(NULL, TABLES << 21, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    madvise(sparse, TABLES << 21, MADV_NOHUGEPAGE);
    page_tables(before, FRAMES);
    for (int i = 0; i < TABLES; i++) {
        sparse[(size_t)i << 21] = i;
    }
    page_tables(after, FRAMES);
    for (size_t i = 0; i < FRAMES; i++) {
        if (after[i] && !before[i]) {
            printf("gpa %#zx\n", i * PAGE);
        }
    }
    ready();
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (!strcmp(mode, "exec-me")) {
        return 0;
    }
    area = pages_alloc(COUNT);
    shared = pages_alloc(1);
    mprotect(area, COUNT * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    if (!strcmp(mode, "user")) {
        offer_pages();
        in_children(COUNT, user_child);
    } else if (!strcmp(mode, "kernel-read")) {
        offer_pages();
        in_children(COUNT, kernel_read_child);
    } else if (!strcmp(mode, "kernel-write")) {
        offer_pages();
        in_children(COUNT, kernel_write_child);
    } else if (!strcmp(mode, "file-write")) {
        offer_files();
        in_children(COUNT, file_write_child);
    } else if (!strcmp(mode, "fail")) {
        offer_pages();
        in_children(1, fail_child);
        ready();                /* the pages stay ours until they are there again */
    } else if (!strcmp(mode, "kill")) {
        kill_them();
    } else if (!strcmp(mode, "plug")) {
        plug();
    } else if (!strcmp(mode, "exec")) {
        offer_program();
        in_children(COUNT, exec_child);
    } else if (!strcmp(mode, "fork")) {
        offer_page_tables();
        fork_once();
    } else {
        fprintf(stderr, "pages: no such mode: %s\n", mode);
        return 2;
    }
    return 0;
}
