/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: who waits for a page that is absent (KVM).
 *
 * The core touches guest memory while it is told: the areas of vCPUs, which need not
 * have been written ever.  The stash's thread, which serves such a page, must not wait
 * for one.  So it leaves the telling to another thread.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "system/reset.h"
#include "pv-ve/sources/stash.h"
#include "pv-ve/sources/withheld.h"

typedef struct Touch {
    QSIMPLEQ_ENTRY(Touch) next;
    RAMBlock *ram;              /* one of ours, so it stays */
    ram_addr_t offset;
    uint32_t tid;
} Touch;

static struct {
    QemuMutex lock;             /* a leaf; of the queue */
    QemuCond news;
    QSIMPLEQ_HEAD(, Touch) queue;
    QemuThread thread;
} teller = { .queue = QSIMPLEQ_HEAD_INITIALIZER(teller.queue) };

/* ---- What is done about it, in the teller's thread ------------------------- */

/* A vCPU's thread waits for the page in the guest; so it did not wait outside. */
static void vcpu_waits_inside(const Touch *t)
{
    uint32_t *noted;

    QEMU_LOCK_GUARD(&pv_ve_marks_lock);
    noted = &pv_ve_marks_find(t->ram)->outside[t->offset / qemu_ram_pagesize(t->ram)];
    if (*noted == t->tid) {
        *noted = 0;
    }
}

/* Note that a vCPU's thread waits for the page outside of the guest.  Again? */
static bool note_outside(const Touch *t)
{
    size_t page = t->offset / qemu_ram_pagesize(t->ram);
    PvVeMarks *marks;
    bool again;

    QEMU_LOCK_GUARD(&pv_ve_marks_lock);
    marks = pv_ve_marks_find(t->ram);
    again = marks->outside[page];
    if (test_bit(page, marks->missing)) {
        marks->outside[page] = t->tid;
    }
    return again;
}

/* The first message may be old, and the thread have left the guest since. */
static void vcpu_waits_outside(const Touch *t)
{
    if (note_outside(t)) {
        pv_ve_withheld_supply(t->ram, t->offset);
    } else {
        pv_ve_stash_wake(t->ram, t->offset);
    }
}

/*
 * The reset of a vCPU waits in KVM for its workers (MSR_KVM_ASYNC_PF_EN is written), and
 * holds the BQL meanwhile, so these cannot wait for whoever withholds.  Some come only
 * when the vCPUs are stopped already.
 */
static void worker_waits(const Touch *t)
{
    size_t page = t->offset / qemu_ram_pagesize(t->ram);

    WITH_QEMU_LOCK_GUARD(&pv_ve_marks_lock) {
        PvVeMarks *marks = pv_ve_marks_find(t->ram);

        if (test_bit(page, marks->missing)) {
            set_bit(page, marks->awaited);
        }
    }
    /*
     * After it was noted: a reset that does not find it has stopped all of them.  Pairs
     * with the lock of QEMU that vCPUs hold as they stop and on_reset() holds after them.
     */
    smp_mb();
    if (pv_ve_all_vcpus_stopped()) {
        pv_ve_withheld_supply(t->ram, t->offset);
    }
}

/* All vCPUs are stopped.  BQL held. */
static void on_reset(void *unused)
{
    PvVeMarks *marks;

    QLIST_FOREACH(marks, &pv_ve_marks_list, link) {
        pv_ve_withheld_supply_all(marks, marks->awaited);
    }
}

static void tell_core(const Touch *t)
{
    switch (pv_ve_tell_blocked(t->ram, t->offset, t->tid)) {
    case PV_VE_BLOCKED_VCPU:
        vcpu_waits_inside(t);
        break;
    case PV_VE_BLOCKED_WORKER:
        worker_waits(t);
        break;
    case PV_VE_BLOCKED_OUTSIDE:
        vcpu_waits_outside(t);
        break;
    case PV_VE_BLOCKED_OTHER:
        pv_ve_withheld_supply(t->ram, t->offset);
        break;
    }
}

/* ---- From the stash's thread to the teller's ------------------------------- */

/* Lock held. */
static bool is_queued(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    Touch *t;

    QSIMPLEQ_FOREACH(t, &teller.queue, next) {
        if (t->ram == ram && t->offset == offset && t->tid == tid) {
            return true;
        }
    }
    return false;
}

/* A thread that was interrupted and touches the page again is told of once. */
static void queue_touch(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    Touch *t;

    QEMU_LOCK_GUARD(&teller.lock);
    if (is_queued(ram, offset, tid)) {
        return;
    }
    t = g_new(Touch, 1);
    *t = (Touch) { .ram = ram, .offset = offset, .tid = tid };
    QSIMPLEQ_INSERT_TAIL(&teller.queue, t, next);
    qemu_cond_signal(&teller.news);
}

static Touch *take_touch(void)
{
    Touch *t;

    QEMU_LOCK_GUARD(&teller.lock);
    while (QSIMPLEQ_EMPTY(&teller.queue)) {
        qemu_cond_wait(&teller.news, &teller.lock);
    }
    t = QSIMPLEQ_FIRST(&teller.queue);
    QSIMPLEQ_REMOVE_HEAD(&teller.queue, next);
    return t;
}

/* In the stash's thread: thread @tid waits for an absent page. */
static void on_touched(RAMBlock *ram, ram_addr_t offset, uint32_t tid)
{
    WITH_QEMU_LOCK_GUARD(&pv_ve_marks_lock) {
        if (pv_ve_marks_page_state(ram, offset) == PV_VE_PAGE_PRESENT) {
            pv_ve_stash_place(ram, offset, NULL);       /* never written */
            return;
        }
    }
    queue_touch(ram, offset, tid);
}

static void *teller_thread(void *unused)
{
    rcu_register_thread();
    for (;;) {
        g_autofree Touch *t = take_touch();

        RCU_READ_LOCK_GUARD();
        tell_core(t);
    }
    return NULL;
}

static void start_teller(void)
{
    qemu_mutex_init(&teller.lock);
    qemu_cond_init(&teller.news);
    qemu_thread_create(&teller.thread, "pv-ve/teller", teller_thread, NULL,
                       QEMU_THREAD_DETACHED);
}

bool pv_ve_withheld_start(Error **errp)
{
    static bool started;

    if (!started && pv_ve_stash_start(on_touched, errp)) {
        qemu_register_reset(on_reset, NULL);
        start_teller();
        started = true;
    }
    return started;
}
