/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report page of the freestanding test guest.
 *
 * It lies at one fixed guest-physical address, so that a host tool can sample it
 * through the monitor (xp, pmemsave) while the guest runs.  Every counter is an
 * aligned 64-bit word, written by one vCPU with plain stores.  The layout is
 * little-endian and has no holes; the offsets are asserted below.
 */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include <stdint.h>

#define REPORT_GPA          0x200000ul
#define REPORT_MAGIC        0x74736575672d6576ul    /* "ve-guest" */
#define REPORT_VERSION      1
#define REPORT_MAX_CPUS     8
#define REPORT_MAX_BAD      8

/* What the test region holds, and where */
#define REGION_GPA          0x1000000ul
#define VERSIONS_GPA        0x800000ul      /* uint32_t of each page of the region */

enum report_state {
    STATE_BOOT = 1,
    STATE_READY = 2,
    STATE_VERIFYING = 3,
    STATE_BYE = 4,
    STATE_PANIC = 5,
};

/* Value written to the isa-debug-exit device; QEMU ends with 2 * value + 1 */
enum exit_value {
    EXIT_GOOD = 0,          /* told to end, no content error */
    EXIT_BAD = 1,           /* told to end, content errors were seen */
    EXIT_PANIC = 2,         /* unexpected exception, or the command line is wrong */
};

struct report_cpu {
    uint64_t compute;       /*   0  rounds of the compute tasks */
    uint64_t touch;         /*   8  pages touched by user-mode tasks */
    uint64_t ktouch;        /*  16  pages touched by kernel-mode tasks */
    uint64_t ve_user;       /*  24  #VE at CPL 3 */
    uint64_t ve_kernel;     /*  32  #VE at CPL 0 */
    uint64_t parked;        /*  40  #VE answered by park */
    uint64_t awake;         /*  48  of these: resolved before the task slept */
    uint64_t waited;        /*  56  #VE answered by wait */
    uint64_t retried;       /*  64  #VE acknowledged at once */
    uint64_t notified;      /*  72  notification interrupts */
    uint64_t spurious;      /*  80  of these: nobody to wake */
    uint64_t woken;         /*  88  tasks woken by notifications */
    uint64_t failed;        /*  96  tasks killed, their page failed */
    uint64_t bad;           /* 104  content errors */
    uint64_t stall;         /* 112  longest gap between two ticks, in TSC units */
    uint64_t ticks;         /* 120  timer interrupts */
    uint64_t alive;         /* 128  tasks alive */
    uint64_t sleeping;      /* 136  tasks parked just now */
    uint64_t enabled;       /* 144  1 while pv-ve is enabled */
    uint64_t stray;         /* 152  #VE for a page that no task of this vCPU touches */
    uint64_t nmis;          /* 160 */
    uint64_t exact[3];      /* 168  #VE whose kind (read, write, fetch) and linear
                                    address were known beforehand, and were right */
    uint64_t walks;         /* 192  #VE for a paging structure, to reach data */
    uint64_t fetch_walks;   /* 200  ... to reach the instruction */
    uint64_t page_faults;   /* 208  of tasks, taken with unmap=1 */
    uint64_t walked_faults; /* 216  of these: after #VE for a structure */
    uint64_t reserved[4];
};

struct report {
    uint64_t magic;         /*   0 */
    uint64_t version;       /*   8 */
    uint64_t ncpus;         /*  16 */
    uint64_t state;         /*  24  enum report_state */
    uint64_t tsc_hz;        /*  32 */
    uint64_t region_gpa;    /*  40 */
    uint64_t pages;         /*  48  in the test region */
    uint64_t features;      /*  56  accepted, 0: pv-ve not in use */
    uint64_t slots;         /*  64 */
    uint64_t hold;          /*  72  1: touching tasks stay out of the region */
    uint64_t verify_runs;   /*  80  finished */
    uint64_t verify_bad;    /*  88  bad pages of the last one */
    uint64_t verify_away;   /*  96  pages that it could not read, as they failed */
    uint64_t bad_count;     /* 104  content errors of all vCPUs */
    uint64_t bad_gpa[REPORT_MAX_BAD];   /* 112  the first ones */
    uint64_t touched;       /* 176  pages, from the first, that tasks touch */
    uint64_t reserved[9];
    struct report_cpu cpu[REPORT_MAX_CPUS];     /* 256, 256 bytes each */
};

_Static_assert(sizeof(struct report_cpu) == 256, "report: size of a vCPU's part");
_Static_assert(__builtin_offsetof(struct report_cpu, enabled) == 144, "report: enabled");
_Static_assert(__builtin_offsetof(struct report, bad_gpa) == 112, "report: bad_gpa");
_Static_assert(__builtin_offsetof(struct report, touched) == 176, "report: touched");
_Static_assert(__builtin_offsetof(struct report, cpu) == 256, "report: vCPUs");
_Static_assert(sizeof(struct report) <= 4096, "report: one page");

#endif
