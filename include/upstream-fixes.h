/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fixes of bugs in QEMU 10.0 that pv-ve does not need itself; its tests do.  The hooks
 * that call them lie under hooks/upstream-fixes.  Each goes when QEMU has its own.
 */
#ifndef PV_VE_UPSTREAM_FIXES_H
#define PV_VE_UPSTREAM_FIXES_H

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

#endif
