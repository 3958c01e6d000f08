/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: a vCPU under KVM touches a missing page.
 *
 * It sleeps in the kernel, in userfaultfd (its own thread) or halted inside KVM_RUN (then
 * a kernel worker waits for the page, see halted.c), and postcopy's fault thread hears of
 * it.  If #VE may be possible the vCPU is kicked: KVM_RUN returns EINTR with the guest at
 * the faulting instruction and nothing half done.  The vCPU's own thread decides, with
 * the registers that KVM has left in kvm_run, and gives the event back with the next
 * KVM_RUN.
 *
 * A kick is dear, and one that is declined is pure cost: the vCPU faults on the page
 * again.  So it is not kicked a second time for a page as long as it has hardly left the
 * guest since, and one whose kicks keep being declined is spared for a while.
 */
#include "qemu/osdep.h"
#include <sys/syscall.h>
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/pv-ve-kvm.h"
#include "pv-ve/include/hooks-common.h"
#include "trace.h"

/* So many faults of a vCPU at most are passed over after a kick that was declined. */
#define MAX_SPARED 16
/*
 * Exits from the guest after which it is most likely still at the access that was declined:
 * one is the fault itself, one may be the host's.
 */
#define SAME_ACCESS 2

#define SYNC (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

/* Of one vCPU. */
typedef struct Kick {
    QemuMutex lock;             /* a leaf; of all of this */
    bool in_guest;              /* inside KVM_RUN, with registers to be left in kvm_run */
    bool sent;                  /* a signal of ours has not yet ended a KVM_RUN */
    bool due;                   /* it is to be decided, for this KVM_RUN ... */
    void *page;                 /* ... about this page; NULL: it is halted for any */
    void *declined;             /* that of the last kick, if it was declined ... */
    uint64_t exits;             /* ... and what had been counted then */
    unsigned penalty;           /* how many faults the next decline costs */
    unsigned spare;             /* how many of them are left */
} Kick;

bool pv_ve_kvm_on;

static Kick *kicks;             /* by cpu_index */
static PvVeForm form;
static bool tells_nested;       /* does KVM say whether a vCPU runs a nested guest? */

void pv_ve_kvm_start_kicks(PvVeForm how)
{
    unsigned nr = MACHINE(qdev_get_machine())->smp.max_cpus;

    form = how;
    tells_nested = kvm_check_extension(kvm_state, KVM_CAP_X86_GUEST_MODE);
    kicks = g_new0(Kick, nr);
    for (unsigned i = 0; i < nr; i++) {
        qemu_mutex_init(&kicks[i].lock);
    }
    pv_ve_kvm_on = true;
}

static Kick *kick_of(CPUState *cpu)
{
    return &kicks[cpu->cpu_index];
}

bool pv_ve_kvm_in_guest(CPUState *cpu)
{
    Kick *k = kick_of(cpu);

    QEMU_LOCK_GUARD(&k->lock);
    return k->in_guest;
}

/* ---- In the threads that see vCPUs sleep --------------------------------- */

/* Lock held: has experience shown that it would be in vain? */
static bool is_spared(CPUState *cpu, Kick *k, void *page)
{
    /* Of one that is halted halted.c sees whether it has faulted since. */
    if (page && k->declined == page && pv_ve_kvm_exits(cpu) - k->exits <= SAME_ACCESS) {
        return true;
    }
    if (k->spare) {
        k->spare--;
        return true;
    }
    return false;
}

/* False if QEMU has no such thread.  Cheaper than pthread_kill(), which masks signals. */
static bool send_signal(uint32_t tid, int number)
{
    return syscall(SYS_tgkill, getpid(), tid, number) == 0;
}

/* KVM leaves the registers in kvm_run by itself, so the signal is all it takes. */
PvVeKvmKick pv_ve_kvm_kick(CPUState *cpu, void *page)
{
    Kick *k = kick_of(cpu);
    bool spared;

    WITH_QEMU_LOCK_GUARD(&k->lock) {
        if (!k->in_guest || k->sent) {
            return PV_VE_KVM_AWAY;
        }
        spared = is_spared(cpu, k, page);
        if (!spared) {
            k->page = page;
            k->due = k->sent = true;
            send_signal(cpu->thread_id, SIG_IPI);
        }
    }
    pv_ve_count_kick(cpu, spared ? PV_VE_KICK_SPARED : PV_VE_KICK_SENT);
    return spared ? PV_VE_KVM_SPARED : PV_VE_KVM_KICKED;
}

static CPUState *cpu_of_thread(uint32_t tid)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu->thread_id == tid) {
            return cpu;
        }
    }
    return NULL;
}

/*
 * A thread of QEMU's that is no vCPU's: a device emulation, say.  Workers have ids of the
 * host's first pid namespace; in another one an id can mean both, and then a kick is
 * missed or in vain, which is harmless.
 */
static bool is_our_thread(uint32_t tid)
{
    return send_signal(tid, 0);
}

PvVeBlocked pv_ve_kvm_blocked(RAMBlock *block, ram_addr_t offset, uint32_t tid)
{
    void *page = block->host + offset;
    CPUState *cpu;

    RCU_READ_LOCK_GUARD();
    cpu = cpu_of_thread(tid);
    trace_pv_ve_kvm_blocked(cpu ? cpu->cpu_index : -1, offset, tid);
    if (!cpu) {
        if (is_our_thread(tid)) {
            return PV_VE_BLOCKED_OTHER;
        }
        pv_ve_kvm_worker_blocked(page);
        return PV_VE_BLOCKED_WORKER;
    }
    if (!pv_ve_kvm_in_guest(cpu)) {
        return PV_VE_BLOCKED_OUTSIDE;
    }
    if (pv_ve_may_reflect(cpu)) {
        pv_ve_kvm_kick(cpu, page);
    }
    return PV_VE_BLOCKED_VCPU;
}

/* ---- In the vCPU's thread ------------------------------------------------ */

void pv_ve_kvm_begin(CPUState *cpu)
{
    Kick *k = kick_of(cpu);

    cpu->kvm_run->kvm_valid_regs = SYNC;
    QEMU_LOCK_GUARD(&k->lock);
    k->in_guest = true;
}

/* Where KVM does not tell, one that could is taken for one that does. */
static bool may_be_nested(CPUState *cpu, const struct kvm_sregs *sregs)
{
    if (tells_nested) {
        return cpu->kvm_run->flags & KVM_RUN_X86_GUEST_MODE;
    }
    return sregs->efer & MSR_EFER_SVME || sregs->cr4 & CR4_VMXE_MASK;
}

static PvVeGuestState guest_state(CPUState *cpu)
{
    const struct kvm_sync_regs *regs = &cpu->kvm_run->s.regs;
    const struct kvm_vcpu_events *events = &regs->events;

    return (PvVeGuestState) {
        .cpl = regs->sregs.ss.dpl,
        .interrupts_on = regs->regs.rflags & IF_MASK,
        .nmi = events->nmi.masked,
        .event = events->exception.injected || events->exception.pending ||
                 events->interrupt.injected || events->nmi.injected,
        .mode = !(regs->sregs.efer & MSR_EFER_LMA) ||
                cpu->kvm_run->flags & KVM_RUN_X86_SMM ||
                may_be_nested(cpu, &regs->sregs),
    };
}

/* The next KVM_RUN begins with taking it over, whatever ends it. */
static void inject(CPUState *cpu, bool halted)
{
    struct kvm_run *run = cpu->kvm_run;
    struct kvm_vcpu_events *events = &run->s.regs.events;

    trace_pv_ve_kvm_inject(cpu->cpu_index, run->s.regs.regs.rip, halted);
    if (form == PV_VE_AS_EXCEPTION) {
        events->exception.pending = 1;
        events->exception.nr = PV_VE_VECTOR;
        events->exception.has_error_code = 0;
        events->exception_has_payload = 0;
        /* What is not flagged, NMIs that came in between for one, is left as it is. */
        events->flags = KVM_VCPUEVENT_VALID_PAYLOAD;
    } else {
        events->interrupt.injected = 1;
        events->interrupt.nr = PV_VE_VECTOR;
        events->interrupt.soft = 0;
        events->flags = 0;
    }
    run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
    if (halted && form == PV_VE_AS_INTERRUPT) {
        /* An injected event alone does not end KVM's halt; something to wake for does. */
        pv_ve_notify_spurious(cpu);
    }
}

/* Not by its own HLT or WAIT. */
static bool is_runnable(CPUState *cpu)
{
    struct kvm_mp_state state;

    return kvm_vcpu_ioctl(cpu, KVM_GET_MP_STATE, &state) == 0 &&
           state.mp_state == KVM_MP_STATE_RUNNABLE;
}

/*
 * Of a vCPU that is halted only what it touches counts: KVM halts it for other pages, too,
 * which the host has swapped out or never had.  It may be awake by now, and elsewhere.
 *
 * So may one that slept itself, if the message was read late.  Where it does not touch that
 * page, as far as can be told, user mode is believed, as it loses nothing by it.
 */
static bool find_page(CPUState *cpu, void *page, PvVeFault *fault)
{
    void *touched = fault->guest.mode ? NULL : pv_ve_kvm_touched(cpu, page, fault);

    fault->asked = page || (touched && pv_ve_kvm_is_awaited(touched));
    if (touched || !page) {
        return touched;
    }
    fault->guest.event = fault->guest.event || fault->guest.cpl < 3 || !is_runnable(cpu);
    return kvm_physical_memory_addr_from_host(kvm_state, page, &fault->gpa);
}

static PvVeKick decide(CPUState *cpu, void *page)
{
    PvVeFault fault = { .guest = guest_state(cpu) };

    RCU_READ_LOCK_GUARD();
    if (!page && !is_runnable(cpu)) {
        return PV_VE_KICK_LATE;
    }
    if (!find_page(cpu, page, &fault)) {
        return fault.guest.mode ? PV_VE_KICK_DECLINED : PV_VE_KICK_LATE;
    }
    switch (pv_ve_fault(cpu, &fault)) {
    case PV_VE_DELIVER:
        inject(cpu, !page);
        return PV_VE_KICK_SENT;
    case PV_VE_BLOCK:
        return PV_VE_KICK_DECLINED;
    default:
        return PV_VE_KICK_LATE;
    }
}

/* What the threads that kick learn from it. */
static void learn(CPUState *cpu, Kick *k, void *page, PvVeKick result)
{
    QEMU_LOCK_GUARD(&k->lock);
    if (result == PV_VE_KICK_DECLINED) {
        k->declined = page;
        k->exits = pv_ve_kvm_exits(cpu);
        k->penalty = MIN(MAX(1, 2 * k->penalty), MAX_SPARED);
        k->spare = k->penalty - 1;
    } else if (result == PV_VE_KICK_SENT) {
        k->declined = NULL;
        k->penalty = 0;
    }
}

/*
 * Our signal has been taken, and KVM_RUN told to return at once.  Undo that first, then
 * look for whoever else wants the thread: who comes later signals again.
 */
static bool others_want(CPUState *cpu)
{
    qatomic_set(&cpu->kvm_run->immediate_exit, 0);
    smp_mb();
    return qatomic_read(&cpu->exit_request) || qatomic_read(&cpu->thread_kicked) ||
           cpu->stop || cpu->unplug;
}

/* Nothing was decided.  Who sleeps itself touches the page again. */
static void in_vain(CPUState *cpu, void *page)
{
    if (!page) {
        pv_ve_kvm_forget(cpu);
        pv_ve_kvm_look_again();
    }
}

/* True if KVM_RUN was left for us, and may be entered again at once. */
static bool left_for_us(CPUState *cpu, int run_ret)
{
    Kick *k = kick_of(cpu);
    void *page;
    bool ours, due;
    PvVeKick result;

    if (!k->in_guest) {         /* nobody else writes it, or sends a kick meanwhile */
        if (run_ret == -EINTR) {
            /* Maybe ours, from before the last page came: nothing has been armed since. */
            k->sent = false;
        }
        return false;
    }
    cpu->kvm_run->kvm_valid_regs = 0;
    WITH_QEMU_LOCK_GUARD(&k->lock) {
        k->in_guest = false;
        ours = k->sent && run_ret == -EINTR;
        page = k->page;
        due = k->due;
        k->due = false;
        k->sent = k->sent && !ours;     /* else it ends the next KVM_RUN */
    }
    if (due && !ours) {
        pv_ve_count_kick(cpu, PV_VE_KICK_LATE);
        in_vain(cpu, page);
    }
    if (!ours) {
        return false;
    }
    if (others_want(cpu)) {
        if (due) {
            in_vain(cpu, page);
        }
        return false;
    }
    if (due) {
        result = decide(cpu, page);
        learn(cpu, k, page, result);
        if (result != PV_VE_KICK_SENT) {
            pv_ve_count_kick(cpu, result);
            if (!page) {
                pv_ve_kvm_look_again();         /* whom was it for? */
            }
        }
    }
    return true;
}

int pv_ve_kvm_end(CPUState *cpu, int run_ret)
{
    while (left_for_us(cpu, run_ret)) {
        pv_ve_kvm_enter(cpu);
        run_ret = kvm_vcpu_ioctl(cpu, KVM_RUN, 0);
    }
    return run_ret;
}
