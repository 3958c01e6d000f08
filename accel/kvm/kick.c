/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: a vCPU under KVM that touches a missing page is kicked.
 *
 * It sleeps in the kernel, in userfaultfd (its own thread) or halted inside KVM_RUN (then
 * a kernel worker waits for the page, see halted.c), and postcopy's fault thread hears of
 * it.  If #VE may be possible a signal ends its KVM_RUN, and its own thread decides
 * (decide.c).
 *
 * A kick is dear, and one that is declined or finds the vCPU at no access to that
 * page is pure cost: the vCPU faults on the page again.  So it is not kicked a second
 * time for a page as long as it has hardly left the guest since, and one whose kicks
 * keep being declined is spared for a while.
 */
#include "qemu/osdep.h"
#include <sys/syscall.h>
#include "qemu/lockable.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "pv-ve/accel/kvm/pv-ve-kvm.h"

/* So many faults of a vCPU at most are passed over after a kick that was declined. */
#define MAX_SPARED 16
/*
 * Exits from the guest after which it is most likely still at the access that was
 * declined: one is the fault itself, one may be the host's.
 */
#define SAME_ACCESS 2

/* Of one vCPU. */
typedef struct Kick {
    QemuMutex lock;             /* a leaf; of all of this */
    uint32_t thread_id;         /* 0: there is no such vCPU; atomic */
    bool in_guest;              /* inside KVM_RUN, with registers to be left in kvm_run */
    bool sent;                  /* a signal of ours has not yet ended a KVM_RUN */
    bool due;                   /* it is to be decided, for this KVM_RUN ... */
    void *page;                 /* ... about this page; NULL: it is halted for any */
    bool sure;                  /* it was this vCPU's thread that touched the page */
    void *declined;             /* that of the last kick, if it led to nothing ... */
    uint64_t exits;             /* ... and what had been counted then */
    unsigned penalty;           /* how many faults the next decline costs */
    unsigned spare;             /* how many of them are left */
} Kick;

static Kick *kicks;             /* by index */
static unsigned nr_kicks;
static bool in_vain;            /* all of them */

void pv_ve_kvm_start_kicks(void)
{
    nr_kicks = MACHINE(qdev_get_machine())->smp.max_cpus;
    kicks = g_new0(Kick, nr_kicks);
    for (unsigned i = 0; i < nr_kicks; i++) {
        qemu_mutex_init(&kicks[i].lock);
    }
}

void pv_ve_kvm_add_kicks(CPUState *cpu)
{
    qatomic_set(&kicks[cpu->cpu_index].thread_id, cpu->thread_id);
}

/*
 * Its thread has ended, so it is in no guest, and another one may get its id.  The next
 * vCPU with this index begins anew.
 */
void pv_ve_kvm_remove_kicks(unsigned vcpu)
{
    Kick *k = &kicks[vcpu];

    QEMU_LOCK_GUARD(&k->lock);
    assert(!k->in_guest);
    qatomic_set(&k->thread_id, 0);
    k->sent = k->due = k->sure = false;
    k->page = k->declined = NULL;
    k->exits = k->penalty = k->spare = 0;
}

void pv_ve_kvm_never_kick(void)
{
    in_vain = true;
}

unsigned pv_ve_kvm_nr_vcpus(void)
{
    return nr_kicks;
}

int pv_ve_kvm_vcpu_of_thread(uint32_t tid)
{
    for (unsigned i = 0; i < nr_kicks; i++) {
        if (tid && qatomic_read(&kicks[i].thread_id) == tid) {
            return i;
        }
    }
    return -1;
}

static Kick *kick_of(CPUState *cpu)
{
    return &kicks[cpu->cpu_index];
}

bool pv_ve_kvm_in_guest(unsigned vcpu)
{
    Kick *k = &kicks[vcpu];

    QEMU_LOCK_GUARD(&k->lock);
    return k->in_guest;
}

/* ---- In the threads that see vCPUs sleep --------------------------------- */

static uint64_t exits_of(unsigned vcpu)
{
    return pv_ve_kvm_read_stat(vcpu, PV_VE_KVM_EXITS);
}

/* Lock held.  True if experience has shown that a kick would be declined. */
static bool spare_fault(unsigned vcpu, void *page)
{
    Kick *k = &kicks[vcpu];

    if (in_vain) {
        return true;
    }
    /* Of one that is halted halted.c sees whether it has faulted since. */
    if (page && k->declined == page && exits_of(vcpu) - k->exits <= SAME_ACCESS) {
        return true;
    }
    if (k->spare) {
        k->spare--;
        return true;
    }
    return false;
}

/*
 * KVM leaves the registers in kvm_run by itself, so the signal is all it takes.
 * Cheaper than pthread_kill(), which masks signals.
 */
PvVeKvmKick pv_ve_kvm_kick(unsigned vcpu, void *page, bool sure)
{
    Kick *k = &kicks[vcpu];
    bool spared;

    WITH_QEMU_LOCK_GUARD(&k->lock) {
        if (!k->in_guest || k->sent) {
            return PV_VE_KVM_AWAY;
        }
        spared = spare_fault(vcpu, page);
        if (!spared) {
            k->page = page;
            k->sure = sure;
            k->due = k->sent = true;
            syscall(SYS_tgkill, getpid(), k->thread_id, SIG_IPI);
        }
    }
    pv_ve_count_kick(vcpu, spared ? PV_VE_KICK_SPARED : PV_VE_KICK_SENT);
    return spared ? PV_VE_KVM_SPARED : PV_VE_KVM_KICKED;
}

/* ---- In the vCPU's thread ------------------------------------------------ */

void pv_ve_kvm_enter_guest(CPUState *cpu)
{
    Kick *k = kick_of(cpu);

    QEMU_LOCK_GUARD(&k->lock);
    k->in_guest = true;
}

PvVeKvmTaken pv_ve_kvm_leave_guest(CPUState *cpu, bool interrupted)
{
    Kick *k = kick_of(cpu);
    PvVeKvmTaken taken = { 0 };

    if (!k->in_guest) {         /* nobody else writes it, or sends a kick meanwhile */
        if (interrupted) {
            /* Maybe ours, from before the last page came: nothing is armed since. */
            k->sent = false;
        }
        return taken;
    }
    QEMU_LOCK_GUARD(&k->lock);
    k->in_guest = false;
    taken.ours = k->sent && interrupted;
    taken.page = k->page;
    taken.sure = k->sure;
    taken.due = k->due;
    k->due = false;
    k->sent = k->sent && !taken.ours;       /* else it ends the next KVM_RUN */
    return taken;
}

void pv_ve_kvm_learn_from_kick(CPUState *cpu, void *page, PvVeKick result)
{
    Kick *k = kick_of(cpu);

    QEMU_LOCK_GUARD(&k->lock);
    if (result == PV_VE_KICK_DECLINED || (result == PV_VE_KICK_LATE && page)) {
        k->declined = page;
        k->exits = exits_of(cpu->cpu_index);
    }
    if (result == PV_VE_KICK_DECLINED) {
        k->penalty = MIN(MAX(1, 2 * k->penalty), MAX_SPARED);
        k->spare = k->penalty - 1;
    } else if (result == PV_VE_KICK_SENT) {
        k->declined = NULL;
        k->penalty = 0;
    }
}
