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
 * So which vCPUs are halted is found out by looking: when a worker's message comes, and
 * every now and then as long as one of the pages is missing that workers wait for.  One
 * that is halted is kicked, and its thread sees what it touches (touched.c).  A message
 * may be there before its vCPU sleeps; if it can be but one, that is kicked all the same.
 *
 * Of KVM's statistics of a vCPU these tell:
 *
 *   blocking     1 while it sleeps, whatever for
 *   pf_taken     page faults (nested page faults with two-dimensional paging) so far
 *
 * One that is halted for a page sleeps, and has taken a page fault since it was kicked
 * last.  One that sleeps in its own HLT or WAIT can look the same: then its thread sees
 * it (KVM_GET_MP_STATE), and until its next page fault it is left alone.
 *
 * tests/model/halted.pml checks that nobody is overlooked, nor kicked again and again.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "system/kvm.h"
#include "pv-ve/accel/kvm/pv-ve-kvm.h"
#include "trace.h"

/*
 * A vCPU is halted some microseconds after its worker's message.  Then it is looked less
 * and less often, for those that no message tells of.
 */
#define LOOK_FIRST_NS   (20 * SCALE_US)
#define LOOK_EVERY_NS   (1 * SCALE_MS)      /* short against a guest's timer tick */

static struct {
    QemuMutex lock;             /* a leaf but for the locks of pages and kicks */
    EventNotifier news;         /* for the thread: look, and soon again */
    QemuThread thread;
    uint64_t *seen;             /* pf_taken when it was kicked last, by index */
    bool looking;               /* the thread looks by itself, every now and then */
    GPtrArray *pages;           /* of the host; that workers wait for, each once */
} watch;

/* ---- Which vCPU?  Lock held. ------------------------------------------------ */

static bool has_faulted(unsigned vcpu, uint64_t *faults)
{
    *faults = pv_ve_kvm_read_stat(vcpu, PV_VE_KVM_PF_TAKEN);
    return *faults != watch.seen[vcpu];
}

/* True if it is halted; it is not found again before its next fault. */
static bool note_halted(unsigned vcpu)
{
    uint64_t faults;

    /* Most looks find it awake: one system call. */
    if (!pv_ve_kvm_read_stat(vcpu, PV_VE_KVM_BLOCKING) || !pv_ve_kvm_in_guest(vcpu) ||
        !has_faulted(vcpu, &faults)) {
        return false;
    }
    watch.seen[vcpu] = faults;
    return true;
}

/*
 * A worker's message has come and nobody sleeps: then who touched that page is on the way
 * there, or has been interrupted already.  Only if it can be but one, else -1.
 */
static int note_about_to_halt(void)
{
    uint64_t faults, found_faults = 0;
    int found = -1;

    for (unsigned vcpu = 0; vcpu < pv_ve_kvm_nr_vcpus(); vcpu++) {
        if (pv_ve_kvm_in_guest(vcpu) && has_faulted(vcpu, &faults)) {
            if (found >= 0) {
                return -1;
            }
            found = vcpu;
            found_faults = faults;
        }
    }
    if (found >= 0) {
        watch.seen[found] = found_faults;
    }
    return found;
}

/* ---- Pages that workers wait for.  Lock held. -------------------------------- */

static void add_page(void *page)
{
    if (!g_ptr_array_find(watch.pages, page, NULL)) {
        g_ptr_array_add(watch.pages, page);
    }
}

static void drop_arrived_pages(void)
{
    for (unsigned i = watch.pages->len; i-- > 0; ) {
        if (!pv_ve_is_missing(watch.pages->pdata[i])) {
            g_ptr_array_remove_index_fast(watch.pages, i);
        }
    }
}

/* ---- Looking --------------------------------------------------------------- */

/* True if it was kicked. */
static bool kick_halted(unsigned vcpu)
{
    PvVeKvmKick result;

    if (!pv_ve_may_reflect(vcpu)) {
        return false;
    }
    trace_pv_ve_kvm_halted(vcpu);
    result = pv_ve_kvm_kick(vcpu, NULL, false);
    if (result == PV_VE_KVM_AWAY) {
        watch.seen[vcpu] = 0;
        event_notifier_set(&watch.news);
    }
    return result == PV_VE_KVM_KICKED;
}

/* True if somebody was kicked. */
static bool look_at_all(void)
{
    bool found = false;

    for (unsigned vcpu = 0; vcpu < pv_ve_kvm_nr_vcpus(); vcpu++) {
        found = (note_halted(vcpu) && kick_halted(vcpu)) || found;
    }
    return found;
}

static bool is_anybody_enabled(void)
{
    for (unsigned vcpu = 0; vcpu < pv_ve_kvm_nr_vcpus(); vcpu++) {
        if (pv_ve_is_enabled(vcpu)) {
            return true;
        }
    }
    return false;
}

void pv_ve_kvm_worker_blocked(void *page, bool sure)
{
    bool found;
    int vcpu;

    QEMU_LOCK_GUARD(&watch.lock);
    if (!watch.looking) {
        drop_arrived_pages();         /* nobody else does */
    }
    add_page(page);
    found = look_at_all();
    if (!found && sure && (vcpu = note_about_to_halt()) >= 0) {
        found = kick_halted(vcpu);
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
        drop_arrived_pages();
        watch.looking = watch.pages->len;
        if (watch.looking) {
            look_at_all();
        }
        pause = watch.looking ? CLAMP(2 * pause, LOOK_FIRST_NS, LOOK_EVERY_NS) : -1;
    }
    return NULL;
}

void pv_ve_kvm_forget_faults(CPUState *cpu)
{
    QEMU_LOCK_GUARD(&watch.lock);
    watch.seen[cpu->cpu_index] = 0;
}

bool pv_ve_kvm_is_awaited(void *page)
{
    QEMU_LOCK_GUARD(&watch.lock);
    return g_ptr_array_find(watch.pages, page, NULL);
}

void pv_ve_kvm_start_watch(void)
{
    qemu_mutex_init(&watch.lock);
    if (event_notifier_init(&watch.news, false) < 0) {
        error_report("pv-ve: no event notifier to look for halted vCPUs");
        exit(1);
    }
    watch.pages = g_ptr_array_new();
    watch.seen = g_new0(uint64_t, MACHINE(qdev_get_machine())->smp.max_cpus);
    qemu_thread_create(&watch.thread, "pv-ve/halted", watch_thread, NULL,
                       QEMU_THREAD_DETACHED);
}
