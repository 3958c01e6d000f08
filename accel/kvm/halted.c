/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: vCPUs that KVM has halted for a missing page.
 *
 * When interrupts are on in the guest and HLT is intercepted, KVM lets a kernel worker
 * fetch a missing page and halts the vCPU inside KVM_RUN.  Then
 *
 * - the fault carries the worker's thread id, and nothing says whose fault it is;
 * - an interrupt lets the guest go on meanwhile, with another task perhaps;
 * - who touches a page that a worker waits for already is halted without any message.
 *
 * So what is kept is the set of pages that workers wait for, and which vCPUs are halted
 * is found out by looking: when a worker's message comes, and every now and then as long
 * as workers wait.  A vCPU that is halted gets #VE for the page that its registers
 * lead to (touched.c), else, in user mode, for one of the pages.  If that was not its own, its
 * task, which cannot go on anyway, sleeps until the one has come and then touches the
 * other.  The message may be there before its vCPU sleeps.  If it can be but one, that
 * is kicked all the same, and then its registers have to tell that page.
 *
 * Any thread may read the statistics of a vCPU while it runs:
 *
 *   blocking     1 while it sleeps, whatever for
 *   pf_taken     page faults (nested page faults with two-dimensional paging) so far
 *   exits        exits from the guest so far
 *
 * One that is halted for a page sleeps, and has taken a page fault and left the guest
 * since it was kicked last.  One that sleeps in its own HLT or WAIT can look the same: then
 * its thread sees it (KVM_GET_MP_STATE), and as long as it does not enter the guest it is
 * left alone.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "system/kvm.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/pv-ve-kvm.h"
#include "trace.h"

/*
 * A vCPU is halted some microseconds after its worker's message.  Then it is looked less
 * and less often, for those that no message tells of.
 */
#define LOOK_FIRST_NS   (20 * SCALE_US)
#define LOOK_EVERY_NS   (1 * SCALE_MS)      /* short against a guest's timer tick */
#define MAX_PAGES       128     /* KVM has at most 64 workers for a vCPU */

enum { BLOCKING, PF_TAKEN, EXITS, NR_STATS };

static const char *const stat_name[NR_STATS] = {
    [BLOCKING] = "blocking",
    [PF_TAKEN] = "pf_taken",
    [EXITS] = "exits",
};

static off_t stat_at[NR_STATS];     /* in the file; the same for all vCPUs */

/* What was seen of a vCPU when it was kicked last. */
typedef struct Seen {
    uint64_t stat[NR_STATS];
    uint64_t turn;
} Seen;

static struct {
    QemuMutex lock;             /* a leaf but for the locks of pages and kicks */
    EventNotifier news;         /* for the thread: look, and soon again */
    QemuThread thread;
    Seen *seen;                 /* by cpu_index */
    uint64_t turn;
    bool looking;               /* the thread looks by itself, every now and then */
    void *page[MAX_PAGES];      /* that workers wait for; newest last */
    PvVeKvmPage state[MAX_PAGES];
    unsigned nr_pages;
} watch;

static bool read_all(int fd, void *buffer, size_t size, off_t at)
{
    return pread(fd, buffer, size, at) == (ssize_t)size;
}

static bool find_stats(int fd)
{
    struct kvm_stats_header header;
    size_t size;
    g_autofree struct kvm_stats_desc *desc = NULL;
    unsigned found = 0;

    if (fd < 0 || !read_all(fd, &header, sizeof(header), 0)) {
        return false;
    }
    size = sizeof(*desc) + header.name_size;
    desc = g_malloc(size);
    for (unsigned i = 0; i < header.num_desc; i++) {
        if (!read_all(fd, desc, size, header.desc_offset + i * size)) {
            return false;
        }
        for (unsigned s = 0; s < NR_STATS; s++) {
            if (g_str_equal(desc->name, stat_name[s])) {
                stat_at[s] = header.data_offset + desc->offset;
                found++;
            }
        }
    }
    return found == NR_STATS;
}

bool pv_ve_kvm_can_find_halted(Error **errp)
{
    if (find_stats(first_cpu->kvm_vcpu_stats_fd)) {
        return true;
    }
    error_setg(errp, "pv-ve: this host's KVM does not tell when a vCPU sleeps "
               "(KVM_GET_STATS_FD with blocking, pf_taken and exits); use a "
               "newer kernel, or -accel tcg");
    return false;
}

static uint64_t read_stat(CPUState *cpu, unsigned s)
{
    uint64_t value = 0;

    /* Failing means that the vCPU has gone: it does not sleep. */
    return read_all(cpu->kvm_vcpu_stats_fd, &value, sizeof(value), stat_at[s]) ? value : 0;
}

uint64_t pv_ve_kvm_exits(CPUState *cpu)
{
    return read_stat(cpu, EXITS);
}

/* ---- Which vCPU, which page?  Lock held. ---------------------------------- */

/* Faults first: one that comes in between is not taken for one that was seen. */
static void read_progress(CPUState *cpu, uint64_t *now)
{
    now[PF_TAKEN] = read_stat(cpu, PF_TAKEN);
    now[EXITS] = read_stat(cpu, EXITS);
}

/* If so then all that was seen is in @now. */
static bool is_halted(CPUState *cpu, uint64_t *now)
{
    Seen *s = &watch.seen[cpu->cpu_index];

    /* Most looks find it awake: one system call. */
    if (!read_stat(cpu, BLOCKING) || !pv_ve_kvm_in_guest(cpu)) {
        return false;
    }
    read_progress(cpu, now);
    /* After that: so it has slept since. */
    now[BLOCKING] = read_stat(cpu, BLOCKING);
    return now[BLOCKING] && now[EXITS] != s->stat[EXITS] &&
           now[PF_TAKEN] != s->stat[PF_TAKEN];
}

static void mark_seen(CPUState *cpu, const uint64_t *now)
{
    Seen *s = &watch.seen[cpu->cpu_index];

    memcpy(s->stat, now, sizeof(s->stat));
    s->turn = ++watch.turn;
}

/* Messages and halts come in the same order: whose turn is the longest ago. */
static CPUState *find_halted(void)
{
    CPUState *cpu, *best = NULL;
    uint64_t now[NR_STATS], best_now[NR_STATS];

    CPU_FOREACH(cpu) {
        if (is_halted(cpu, now) &&
            (!best || watch.seen[cpu->cpu_index].turn < watch.seen[best->cpu_index].turn)) {
            best = cpu;
            memcpy(best_now, now, sizeof(now));
        }
    }
    if (best) {
        mark_seen(best, best_now);
    }
    return best;
}

/*
 * A worker's message has come and nobody sleeps: then who touched that page is on the way
 * there, or has been interrupted already.  Only if it can be but one.
 */
static CPUState *find_about_to_halt(void)
{
    CPUState *cpu, *found = NULL;
    uint64_t now[NR_STATS] = { 0 };

    CPU_FOREACH(cpu) {
        const Seen *s = &watch.seen[cpu->cpu_index];

        if (pv_ve_kvm_in_guest(cpu) && read_stat(cpu, PF_TAKEN) != s->stat[PF_TAKEN]) {
            if (found) {
                return NULL;
            }
            found = cpu;
        }
    }
    if (found) {
        read_progress(found, now);
        mark_seen(found, now);
    }
    return found;
}

static void drop_page(unsigned index)
{
    watch.nr_pages--;
    memmove(&watch.page[index], &watch.page[index + 1],
            (watch.nr_pages - index) * sizeof(watch.page[0]));
    memmove(&watch.state[index], &watch.state[index + 1],
            (watch.nr_pages - index) * sizeof(watch.state[0]));
}

/* Its index, or -1.  A page is listed once. */
static int find_page(void *page)
{
    for (unsigned i = 0; i < watch.nr_pages; i++) {
        if (watch.page[i] == page) {
            return i;
        }
    }
    return -1;
}

/* What was known of it is over, but for a kick that is on its way. */
static void add_page(void *page, PvVeKvmPage state)
{
    int at = find_page(page);

    if (at >= 0) {
        state = watch.state[at] == PV_VE_TAKEN ? PV_VE_TAKEN : state;
        drop_page(at);
    }
    if (watch.nr_pages == MAX_PAGES) {
        drop_page(0);
    }
    watch.page[watch.nr_pages] = page;
    watch.state[watch.nr_pages++] = state;
}

static void drop_arrived(void)
{
    for (unsigned i = watch.nr_pages; i-- > 0; ) {
        if (!pv_ve_is_missing(watch.page[i])) {
            drop_page(i);
        }
    }
}

/* The newest of those that nobody was kicked for, else the one that it was longest ago. */
static void *take_page(void)
{
    PvVeKvmPage state;
    unsigned at = 0;
    void *page;

    for (unsigned i = watch.nr_pages; i-- > 0; ) {
        if (watch.state[i] == PV_VE_NEWS) {
            at = i;
            break;
        }
    }
    page = watch.page[at];
    state = watch.state[at] == PV_VE_NEWS ? PV_VE_TAKEN : watch.state[at];
    drop_page(at);
    add_page(page, state);
    return page;
}

/* Nothing came of a kick for it. */
static void give_back(void *page)
{
    int at = find_page(page);

    if (at >= 0 && watch.state[at] == PV_VE_TAKEN) {
        watch.state[at] = PV_VE_NEWS;
    }
}

/* ---- Looking --------------------------------------------------------------- */

static void forget(CPUState *cpu)
{
    memset(watch.seen[cpu->cpu_index].stat, 0, sizeof(watch.seen[0].stat));
}

/* False if it has to be tried again. */
static bool kick(CPUState *cpu, PvVeKvmSleep sleep)
{
    void *page;

    drop_arrived();
    if (!watch.nr_pages || !pv_ve_may_reflect(cpu)) {
        return true;
    }
    page = take_page();
    trace_pv_ve_kvm_halted(cpu->cpu_index, page);
    switch (pv_ve_kvm_kick(cpu, page, sleep)) {
    case PV_VE_KVM_KICKED:
        return true;
    case PV_VE_KVM_SPARED:
        give_back(page);
        return true;
    default:
        give_back(page);
        forget(cpu);
        return false;
    }
}

/* True if somebody was found, and nobody has to be tried again. */
static bool look(void)
{
    CPUState *cpu;
    bool found = false;

    while (watch.nr_pages && (cpu = find_halted())) {
        if (!kick(cpu, PV_VE_IS_HALTED)) {
            return false;
        }
        found = true;
    }
    return found;
}

static bool is_anybody_enabled(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (pv_ve_is_enabled(cpu)) {
            return true;
        }
    }
    return false;
}

void pv_ve_kvm_worker_blocked(void *page)
{
    CPUState *cpu;
    bool found;

    QEMU_LOCK_GUARD(&watch.lock);
    add_page(page, PV_VE_NEWS);
    found = look();
    if (!found && (cpu = find_about_to_halt())) {
        found = kick(cpu, PV_VE_HALTS_SOON);
    }
    if ((!found || !watch.looking) && is_anybody_enabled()) {
        event_notifier_set(&watch.news);
    }
}

void pv_ve_kvm_look_again(void)
{
    event_notifier_set(&watch.news);
}

static void *watch_thread(void *unused)
{
    GPollFD news = { .fd = event_notifier_get_fd(&watch.news), .events = G_IO_IN };
    int64_t pause = -1;         /* until there are news */

    rcu_register_thread();
    for (;;) {
        qemu_poll_ns(&news, 1, pause);
        if (event_notifier_test_and_clear(&watch.news)) {
            pause = LOOK_FIRST_NS;          /* who brought them has just looked */
            continue;
        }
        QEMU_LOCK_GUARD(&watch.lock);
        RCU_READ_LOCK_GUARD();
        look();
        drop_arrived();
        watch.looking = watch.nr_pages;
        pause = watch.looking ? CLAMP(2 * pause, LOOK_FIRST_NS, LOOK_EVERY_NS) : -1;
    }
    return NULL;
}

bool pv_ve_kvm_still_halted(CPUState *cpu)
{
    struct kvm_mp_state state;
    Seen *s = &watch.seen[cpu->cpu_index];

    if (kvm_vcpu_ioctl(cpu, KVM_GET_MP_STATE, &state) < 0) {
        return false;
    }
    QEMU_LOCK_GUARD(&watch.lock);
    return state.mp_state == KVM_MP_STATE_RUNNABLE && read_stat(cpu, EXITS) == s->stat[EXITS];
}

void pv_ve_kvm_forget(CPUState *cpu)
{
    QEMU_LOCK_GUARD(&watch.lock);
    forget(cpu);
}

PvVeKvmPage pv_ve_kvm_page(void *page)
{
    int at;

    QEMU_LOCK_GUARD(&watch.lock);
    at = find_page(page);
    return at >= 0 ? watch.state[at] : PV_VE_UNHEARD;
}

void pv_ve_kvm_missed(void *guess)
{
    WITH_QEMU_LOCK_GUARD(&watch.lock) {
        give_back(guess);
    }
    event_notifier_set(&watch.news);
}

void pv_ve_kvm_delivered(void *guess, void *page)
{
    int at;

    QEMU_LOCK_GUARD(&watch.lock);
    give_back(guess);
    at = find_page(page);
    if (at >= 0) {
        watch.state[at] = PV_VE_TOLD;
    }
}

void pv_ve_kvm_start_watch(void)
{
    qemu_mutex_init(&watch.lock);
    if (event_notifier_init(&watch.news, false) < 0) {
        error_report("pv-ve: no event notifier for the thread that looks for halted vCPUs");
        exit(1);
    }
    watch.seen = g_new0(Seen, MACHINE(qdev_get_machine())->smp.max_cpus);
    qemu_thread_create(&watch.thread, "pv-ve/halted", watch_thread, NULL,
                       QEMU_THREAD_DETACHED);
}
