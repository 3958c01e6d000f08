/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: what the hooks call in an emulator that is built without the device. */
#include "qemu/osdep.h"

#ifndef CONFIG_USER_ONLY
#include "pv-ve/include/hooks-common.h"

unsigned pv_ve_armed;
bool pv_ve_hot_on;
bool pv_ve_kvm_on;

PvVeBlocked pv_ve_tell_blocked(RAMBlock *block, ram_addr_t page, uint32_t tid)
{
    return PV_VE_BLOCKED_OTHER;
}

bool pv_ve_postcopy_asked_for(RAMBlock *block, ram_addr_t page)
{
    return false;
}

void pv_ve_postcopy_paused(void)
{
}

void pv_ve_hot_next(RAMBlock **block, unsigned long *page)
{
}

void pv_ve_kvm_begin(CPUState *cpu)
{
}

int pv_ve_kvm_end(CPUState *cpu, int run_ret)
{
    return run_ret;
}

#ifdef TARGET_I386
#include "pv-ve/include/hooks.h"

bool pv_ve_cpuid(CPUState *cpu, uint32_t index, uint32_t *eax, uint32_t *ebx,
                 uint32_t *ecx, uint32_t *edx)
{
    return false;
}

bool pv_ve_tcg_rdmsr(CPUX86State *env, uintptr_t retaddr)
{
    return false;
}

bool pv_ve_tcg_wrmsr(CPUX86State *env, uint64_t value, uintptr_t retaddr)
{
    return false;
}

void pv_ve_tcg_touch(CPUState *cpu, vaddr addr, hwaddr gpa, MMUAccessType access,
                     int mmu_idx, bool probe, uintptr_t retaddr)
{
    g_assert_not_reached();
}

void pv_ve_kvm_keep_msr_filter(PvVeKvmMsrFilter *filter)
{
}

void pv_ve_kvm_cpuid(CPUState *cpu, struct kvm_cpuid2 *leaves, unsigned max)
{
}
#endif
#endif
