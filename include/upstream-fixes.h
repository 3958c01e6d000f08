/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fixes of bugs in QEMU 10.0 that pv-ve does not need itself; its tests do.  The hooks
 * that call them lie under hooks/upstream-fixes.  Each goes when QEMU has its own.
 */
#ifndef PV_VE_UPSTREAM_FIXES_H
#define PV_VE_UPSTREAM_FIXES_H

#include "cpu.h"
#include "exec/exec-all.h"
#include "hw/core/cpu.h"

/*
 * TCG, VMRUN: the interrupt in EVENTINJ has been delivered.  QEMU 10.0 leaves its vector
 * behind as the exception that is pending, and delivers it once more if the vCPU is asked
 * to leave guest code before the guest's first instruction.
 */
static inline void pv_ve_tcg_vmrun_injected(CPUState *cpu)
{
    cpu->exception_index = -1;
}

/*
 * TCG, walks of paging structures in the guest's physical memory.  QEMU 10.0 asks for
 * each of them as if it were written, which it is only where an accessed or dirty flag is
 * set; so all that are used are logged as written, again and again.
 *
 * Where is the one at @addr, to be read?  False: it is for QEMU to find out.
 */
static inline bool pv_ve_tcg_walk_reads(CPUX86State *env, hwaddr addr, int mmu_idx,
                                        void **host)
{
    return mmu_idx == MMU_PHYS_IDX &&
           !(probe_access_full_mmu(env, addr, 0, MMU_DATA_LOAD, mmu_idx, host, NULL) &
             TLB_INVALID_MASK);
}

/* A flag is about to be set there: logs that, and sets *@host to NULL where it is ROM. */
static inline void pv_ve_tcg_walk_writes(CPUX86State *env, hwaddr addr, int mmu_idx,
                                         void *const *host)
{
    if (mmu_idx == MMU_PHYS_IDX) {
        probe_access_full_mmu(env, addr, 0, MMU_DATA_STORE, mmu_idx, (void **)host, NULL);
    }
}

#endif
