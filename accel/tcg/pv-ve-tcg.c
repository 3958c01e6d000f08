/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the TCG end.
 *
 * A fault is seen when a translation is about to enter the TLB, so a page that is
 * missing never gets there by an access that can take #VE.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "hw/i386/apic_internal.h"
#include "hw/i386/apic-msidef.h"
#include "hw/pci/msi.h"
#include "system/runstate.h"
#include "system/tcg.h"
#include "tcg/helper-tcg.h"
#include "pv-ve/include/hooks.h"

static bool in_use(void)
{
    return tcg_enabled();
}

/* ---- Faults ------------------------------------------------------------ */

/*
 * cpu_exec() holds the BQL while it delivers an exception or an interrupt, and
 * only then; so a TLB fill under the BQL is part of an event delivery.  Fills
 * without a return address that are no fetches come from page-table walks and
 * from helpers that cannot be restarted.
 */
static PvVeGuestState guest_state(CPUX86State *env, MMUAccessType access, int mmu_idx,
                                  bool probe, uintptr_t retaddr)
{
    bool walk = mmu_idx == MMU_PHYS_IDX || mmu_idx == MMU_NESTED_IDX;
    bool fetch = access == MMU_INST_FETCH;
    bool event = bql_locked() || env->old_exception != -1 || probe || walk ||
                 (!retaddr && !fetch);

    return (PvVeGuestState) {
        .cpl = env->hflags & HF_CPL_MASK,
        .interrupts_on = env->eflags & IF_MASK,
        .nmi = env->hflags2 & HF2_NMI_MASK,
        .mode = !(env->hflags & HF_PE_MASK) || env->hflags & (HF_SMM_MASK | HF_GUEST_MASK),
        .event = event,
        .restartable = !event,
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

void pv_ve_tcg_touch(CPUState *cpu, vaddr addr, hwaddr gpa, MMUAccessType access,
                     int mmu_idx, bool probe, uintptr_t retaddr)
{
    CPUX86State *env = cpu_env(cpu);
    PvVeFault fault = {
        .gpa = gpa,
        .gla = addr,
        .qualification = qualification(access),
        .guest = guest_state(env, access, mmu_idx, probe, retaddr),
    };

    switch (pv_ve_fault(cpu, &fault)) {
    case PV_VE_DELIVER:
        raise_exception_ra(env, PV_VE_VECTOR, retaddr);
    case PV_VE_HOLD:
        async_run_on_cpu(cpu, hold, RUN_ON_CPU_TARGET_PTR(gpa));
        cpu_loop_exit_restore(cpu, retaddr);
    case PV_VE_PRESENT:
    case PV_VE_BLOCK:
        break;
    }
}

static void resume(CPUState *cpu)
{
    /* While the machine is stopped, the vCPU is resumed with the others. */
    if (runstate_is_running()) {
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
    if (pv_ve_rdmsr(env_cpu(env), index, &value) == PV_VE_MSR_GP) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
    }
    env->regs[R_EAX] = (uint32_t)value;
    env->regs[R_EDX] = value >> 32;
    return true;
}

/*
 * RIP stays on the WRMSR: whatever ends the halt, it is executed again, and halts
 * again if the fault is still pending.
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
    switch (pv_ve_wrmsr(cpu, index, value)) {
    case PV_VE_MSR_OK:
        break;
    case PV_VE_MSR_GP:
        raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
    case PV_VE_MSR_HALT:
        halt(cpu, retaddr);
    }
    return true;
}

/* In the vCPU's thread, so after it has left the WRMSR. */
static void unhalt(CPUState *cpu, run_on_cpu_data data)
{
    cpu->halted = 0;
}

static void end_wait(CPUState *cpu)
{
    async_run_on_cpu(cpu, unhalt, RUN_ON_CPU_NULL);
}

/* ---- Notification ------------------------------------------------------ */

static void interrupt(CPUState *cpu, uint8_t vector)
{
    uint32_t id = X86_CPU(cpu)->apic_id;
    MSIMessage msi = {
        .address = APIC_DEFAULT_ADDRESS | (id & 0xff) << MSI_ADDR_DEST_ID_SHIFT |
                   (uint64_t)(id & ~0xff) << 32,
        .data = vector,
    };

    apic_get_class(NULL)->send_msi(&msi);
}

static const PvVeAccel tcg_end = {
    .name = "tcg",
    .in_use = in_use,
    .interrupt = interrupt,
    .end_wait = end_wait,
    .resume = resume,
    .flush = flush,
};

static void __attribute__((constructor)) register_end(void)
{
    pv_ve_register_accel(&tcg_end);
}
