/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the TCG end.
 *
 * A fault is seen when a translation is about to enter the TLB, so a page that is
 * missing never gets there by an access that can take #VE.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "system/runstate.h"
#include "system/tcg.h"
#include "tcg/helper-tcg.h"
#include "pv-ve/include/hooks.h"

static bool in_use(void)
{
    return tcg_enabled();
}

/*
 * The guest shares its PV page with the threads that place pages, so its locked
 * instructions have to be atomic and barriers even if the machine has one vCPU or
 * one thread for all.
 */
static void vcpu_added(CPUState *cpu)
{
    tcg_cflags_set(cpu, CF_PARALLEL);
}

/* ---- Faults ------------------------------------------------------------ */

typedef struct Access {
    vaddr addr;
    MMUAccessType type;
    bool probe;
    uintptr_t retaddr;
} Access;

/*
 * What this thread translates, or did last.  Kept whether a page is missing or not: one
 * can become so in the middle of the walk.
 */
static __thread Access translating;

void pv_ve_tcg_translate(vaddr addr, MMUAccessType type, int mmu_idx, bool probe,
                         uintptr_t retaddr)
{
    if (mmu_idx != MMU_PHYS_IDX) {
        translating = (Access) { addr, type, probe, retaddr };
    }
}

/*
 * An access by an instruction's own helper comes with the return address into the
 * translated code, from which the instruction can be begun anew; a fetch needs
 * none.  The delivery of exceptions and interrupts has none, nor have SVM's accesses to
 * physical memory; nested walks are probes.  Outside of long mode there are task
 * switches, in whose second half a fault belongs to the new task, which cannot be
 * begun anew.
 */
static PvVeGuestState guest_state(CPUX86State *env, const Access *a)
{
    bool event = a->probe || (!a->retaddr && a->type != MMU_INST_FETCH);
    bool long_mode = env->hflags & HF_LMA_MASK;

    return (PvVeGuestState) {
        .cpl = env->hflags & HF_CPL_MASK,
        .interrupts_on = env->eflags & IF_MASK,
        .nmi = env->hflags2 & HF2_NMI_MASK,
        .mode = !long_mode || env->hflags & (HF_SMM_MASK | HF_GUEST_MASK),
        .event = event,
        .restartable = !event && long_mode,
    };
}

static PvVePaging paging(CPUX86State *env)
{
    return (PvVePaging) {
        .cr3 = env->cr[3],
        .levels = env->cr[4] & CR4_LA57_MASK ? 5 : 4,
    };
}

static uint32_t qualification(MMUAccessType access)
{
    uint32_t kind = access == MMU_DATA_STORE ? PV_VE_Q_WRITE :
                    access == MMU_INST_FETCH ? PV_VE_Q_FETCH : PV_VE_Q_READ;

    return kind | PV_VE_Q_GLA_VALID | PV_VE_Q_TRANSLATED;
}

/*
 * Runs between two entries to guest code, with the BQL.  A stopped vCPU takes no
 * interrupt, answers stop, cont and reset, and is restarted by resume().
 */
static void hold(CPUState *cpu, run_on_cpu_data data)
{
    if (!cpu->stopped && pv_ve_hold(cpu, data.target_ptr)) {
        cpu->stopped = true;
    }
}

void pv_ve_tcg_touch(CPUState *cpu, vaddr addr, hwaddr gpa, MMUAccessType type,
                     int mmu_idx, bool probe, uintptr_t retaddr)
{
    CPUX86State *env = cpu_env(cpu);
    /* A walk probes for its structures, as nobody else does for physical memory. */
    bool walk = mmu_idx == MMU_PHYS_IDX && probe;
    Access a = walk ? translating : (Access) { addr, type, probe, retaddr };
    PvVeFault fault = {
        .gpa = gpa,
        .gla = a.addr,
        .qualification = walk ? PV_VE_Q_READ | PV_VE_Q_GLA_VALID : qualification(a.type),
        .guest = guest_state(env, &a),
        .paging = paging(env),
    };

    switch (pv_ve_fault(cpu, &fault)) {
    case PV_VE_DELIVER:
        raise_exception_ra(env, PV_VE_VECTOR, a.retaddr);
    case PV_VE_HOLD:
        async_run_on_cpu(cpu, hold, RUN_ON_CPU_TARGET_PTR(gpa));
        cpu_loop_exit_restore(cpu, a.retaddr);
    case PV_VE_PRESENT:
    case PV_VE_BLOCK:
        break;
    }
}

static void resume(CPUState *cpu)
{
    /* Otherwise whoever stopped it resumes it, if ever. */
    if (runstate_is_running() && !cpu->stop) {
        cpu_resume(cpu);
    }
}

static void flush_one(CPUState *cpu, run_on_cpu_data data)
{
    tlb_flush(cpu);
}

static void flush(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        run_on_cpu(cpu, flush_one, RUN_ON_CPU_NULL);
    }
}

/* ---- MSRs -------------------------------------------------------------- */

bool pv_ve_tcg_rdmsr(CPUX86State *env, uintptr_t retaddr)
{
    uint32_t index = env->regs[R_ECX];
    uint64_t value;

    if (!pv_ve_has_msr(index)) {
        return false;
    }
    value = pv_ve_rdmsr(env_cpu(env), index);
    env->regs[R_EAX] = (uint32_t)value;
    env->regs[R_EDX] = value >> 32;
    return true;
}

/* Of the instruction whose helper runs; the translator has stored it for RDMSR, WRMSR. */
static uint64_t rip_of(CPUX86State *env)
{
    return env->segs[R_CS].base + env->eip;
}

/*
 * RIP stays on the WRMSR: whatever ends the halt, it is executed again, and halts
 * again if the fault is still outstanding.
 */
static G_NORETURN void halt(CPUState *cpu, uintptr_t retaddr)
{
    cpu_restore_state(cpu, retaddr);
    cpu_env(cpu)->hflags &= ~HF_INHIBIT_IRQ_MASK;
    cpu->halted = 1;
    cpu->exception_index = EXCP_HLT;
    cpu_loop_exit(cpu);
}

bool pv_ve_tcg_wrmsr(CPUX86State *env, uint64_t value, uintptr_t retaddr)
{
    CPUState *cpu = env_cpu(env);
    uint32_t index = env->regs[R_ECX];

    if (!pv_ve_has_msr(index)) {
        return false;
    }
    switch (pv_ve_wrmsr(cpu, index, value, rip_of(env))) {
    case PV_VE_MSR_OK:
        break;
    case PV_VE_MSR_GP:
        raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
    case PV_VE_MSR_HALT:
        /* A single step would trap before the instruction is done: end early. */
        if (!(env->eflags & TF_MASK)) {
            halt(cpu, retaddr);
        }
        break;
    }
    return true;
}

/* In the vCPU's thread, so after it has left the WRMSR. */
static void unhalt(CPUState *cpu, run_on_cpu_data data)
{
    if (rip_of(cpu_env(cpu)) == data.target_ptr) {
        cpu->halted = 0;
    }
}

static void end_wait(CPUState *cpu, uint64_t rip)
{
    async_run_on_cpu(cpu, unhalt, RUN_ON_CPU_TARGET_PTR(rip));
}

static const PvVeAccel tcg_end = {
    .in_use = in_use,
    .vcpu_added = vcpu_added,
    .interrupt = pv_ve_lapic_interrupt,
    .end_wait = end_wait,
    .resume = resume,
    .flush = flush,
};

static void __attribute__((constructor)) register_end(void)
{
    pv_ve_register_accel(&tcg_end);
}
