/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what happens in the thread of a vCPU that was kicked.
 *
 * KVM_RUN has returned EINTR with the guest at the faulting instruction and nothing
 * half done.  With the registers that KVM has left in kvm_run the thread decides, and
 * gives the event back with the next KVM_RUN.
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/pv-ve-kvm.h"
#include "pv-ve/include/hooks-common.h"
#include "trace.h"

#define SYNC (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

bool pv_ve_kvm_on;

static PvVeForm form;
static bool tells_nested;       /* does KVM say whether a vCPU runs a nested guest? */

void pv_ve_kvm_start_deciding(PvVeForm how)
{
    form = how;
    tells_nested = kvm_check_extension(kvm_state, KVM_CAP_X86_GUEST_MODE);
    pv_ve_kvm_on = true;
}

void pv_ve_kvm_begin(CPUState *cpu)
{
    pv_ve_kvm_find_own_pages(cpu);
    cpu->kvm_run->kvm_valid_regs = SYNC;
    pv_ve_kvm_enter_guest(cpu);
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

static PvVePaging paging(CPUState *cpu)
{
    const struct kvm_sregs *sregs = &cpu->kvm_run->s.regs.sregs;

    return (PvVePaging) {
        .cr3 = sregs->cr3,
        .levels = sregs->cr4 & CR4_LA57_MASK ? 5 : 4,
    };
}

/* The next KVM_RUN begins with taking it over, whatever ends it. */
static void inject_ve(CPUState *cpu, bool halted)
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
 * Of a vCPU that is or may be halted only what it touches counts: KVM halts it for other
 * pages, too, which the host has swapped out or never had.  It may be awake by now, and
 * elsewhere.
 *
 * So may one that slept itself, if the message was read late.  Where it does not touch
 * that page, as far as can be told, user mode is believed, as it loses nothing by it.
 */
static bool find_page(CPUState *cpu, void *page, bool sure, PvVeFault *fault)
{
    void *touched = fault->guest.mode ? NULL : pv_ve_kvm_touched(cpu, page, fault);

    fault->asked = page || (touched && pv_ve_kvm_is_awaited(touched));
    if (touched || !sure) {
        return touched;
    }
    fault->guest.event = fault->guest.event || fault->guest.cpl < 3 || !is_runnable(cpu);
    return kvm_physical_memory_addr_from_host(kvm_state, page, &fault->gpa);
}

static PvVeKick decide_kick(CPUState *cpu, void *page, bool sure)
{
    PvVeFault fault = { .guest = guest_state(cpu), .paging = paging(cpu) };

    RCU_READ_LOCK_GUARD();
    if (!sure && !is_runnable(cpu)) {
        return PV_VE_KICK_LATE;
    }
    if (!find_page(cpu, page, sure, &fault)) {
        return fault.guest.mode ? PV_VE_KICK_DECLINED : PV_VE_KICK_LATE;
    }
    switch (pv_ve_fault(cpu, &fault)) {
    case PV_VE_DELIVER:
        inject_ve(cpu, !sure);
        return PV_VE_KICK_SENT;
    case PV_VE_BLOCK:
        return PV_VE_KICK_DECLINED;
    default:
        return PV_VE_KICK_LATE;
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
static void find_again(CPUState *cpu, void *page)
{
    if (!page) {
        pv_ve_kvm_forget_faults(cpu);
        pv_ve_kvm_look_again();
    }
}

static void serve_kick(CPUState *cpu, void *page, bool sure)
{
    PvVeKick result = decide_kick(cpu, page, sure);

    pv_ve_kvm_learn_from_kick(cpu, page, result);
    if (result != PV_VE_KICK_SENT) {
        pv_ve_count_kick(cpu->cpu_index, result);
        if (!page) {
            pv_ve_kvm_look_again();         /* whom was it for? */
        }
    }
}

/* True if KVM_RUN was left for us, and may be entered again at once. */
static bool left_for_us(CPUState *cpu, int run_ret)
{
    PvVeKvmTaken kick = pv_ve_kvm_leave_guest(cpu, run_ret == -EINTR);

    cpu->kvm_run->kvm_valid_regs = 0;
    if (kick.due && !kick.ours) {
        pv_ve_count_kick(cpu->cpu_index, PV_VE_KICK_LATE);
        find_again(cpu, kick.page);
    }
    if (!kick.ours) {
        return false;
    }
    if (others_want(cpu)) {
        if (kick.due) {
            find_again(cpu, kick.page);
        }
        return false;
    }
    if (kick.due) {
        serve_kick(cpu, kick.page, kick.sure);
    }
    return true;
}

int pv_ve_kvm_end(CPUState *cpu, int run_ret)
{
    if (!pv_ve_is_armed()) {
        pv_ve_kvm_forget_own_pages(cpu);
    }
    while (left_for_us(cpu, run_ret)) {
        pv_ve_kvm_enter(cpu);
        run_ret = kvm_vcpu_ioctl(cpu, KVM_RUN, 0);
    }
    return run_ret;
}
