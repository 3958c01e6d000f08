/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: what the hooks call in an x86 emulator that is built without the device. */
#include "qemu/osdep.h"

#if defined(TARGET_I386) && !defined(CONFIG_USER_ONLY)
#include "cpu.h"
#include "pv-ve/include/hooks.h"

unsigned pv_ve_armed;

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
#endif
