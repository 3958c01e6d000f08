/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what the hooks in upstream files call, one call each.
 * docs/devel/fork.rst has the table.
 */
#ifndef PV_VE_HOOKS_H
#define PV_VE_HOOKS_H

#include "cpu.h"

#ifdef CONFIG_USER_ONLY

/* User-mode emulation has no device. */
static inline bool pv_ve_cpuid(CPUState *cpu, uint32_t index, uint32_t *eax,
                               uint32_t *ebx, uint32_t *ecx, uint32_t *edx)
{
    return false;
}

#else

#include "exec/mmu-access-type.h"
#include "system/kvm.h"
#include "pv-ve/include/core.h"

/* CPUID: true if @index is a leaf of ours, which is then filled in. */
bool pv_ve_cpuid(CPUState *cpu, uint32_t index, uint32_t *eax, uint32_t *ebx,
                 uint32_t *ecx, uint32_t *edx);

/*
 * TCG, RDMSR and WRMSR: true if ECX names an MSR of ours and the instruction is
 * done.  Do not return if it raises #GP or halts the vCPU.
 */
bool pv_ve_tcg_rdmsr(CPUX86State *env, uintptr_t retaddr);
bool pv_ve_tcg_wrmsr(CPUX86State *env, uint64_t value, uintptr_t retaddr);

/*
 * TCG, TLB fill: @addr is about to be translated.  What the walk touches is touched on
 * behalf of this access.
 */
void pv_ve_tcg_translate(vaddr addr, MMUAccessType access, int mmu_idx, bool probe,
                         uintptr_t retaddr);

void pv_ve_tcg_touch(CPUState *cpu, vaddr addr, hwaddr gpa, MMUAccessType access,
                     int mmu_idx, bool probe, uintptr_t retaddr);

/*
 * TCG, TLB fill: @addr was translated to @gpa and is about to enter the TLB.
 * Does not return if the vCPU takes #VE or has to wait outside of guest code.
 */
static inline void pv_ve_tcg_tlb_fill(CPUState *cpu, vaddr addr, hwaddr gpa,
                                      MMUAccessType access, int mmu_idx, bool probe,
                                      uintptr_t retaddr)
{
    if (pv_ve_is_armed()) {
        pv_ve_tcg_touch(cpu, addr, gpa, access, mmu_idx, probe, retaddr);
    }
}

/*
 * KVM: how to serve an MSR in user space.  What registers one is static upstream, so
 * it is handed to us when KVM starts, which is before there is a device.
 */
typedef int PvVeKvmMsrFilter(KVMState *s, uint32_t msr,
                             bool (*rdmsr)(X86CPU *cpu, uint32_t msr, uint64_t *value),
                             bool (*wrmsr)(X86CPU *cpu, uint32_t msr, uint64_t value));
void pv_ve_kvm_keep_msr_filter(PvVeKvmMsrFilter *filter);

/*
 * KVM: the leaves of a new vCPU, an array with room for @max, are about to be set.  Adds
 * ours if there is a device.
 */
struct kvm_cpuid2;
void pv_ve_kvm_cpuid(CPUState *cpu, struct kvm_cpuid2 *leaves, unsigned max);

#endif
#endif
