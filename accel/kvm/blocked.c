/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: a thread of the host is blocked on a missing page.  Whose is it?
 *
 * In the threads that read of faults.
 */
#include "qemu/osdep.h"
#include <sys/syscall.h>
#include "qemu/rcu.h"
#include "hw/core/cpu.h"
#include "pv-ve/accel/kvm/pv-ve-kvm.h"
#include "trace.h"

/*
 * A thread of QEMU's that is no vCPU's: a device emulation, say.  Workers have ids of the
 * host's first pid namespace; in another one an id can mean both, and then a kick is
 * missed or in vain, which is harmless.
 */
static bool is_our_thread(uint32_t tid)
{
    return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

PvVeBlocked pv_ve_kvm_blocked(RAMBlock *block, ram_addr_t offset, uint32_t tid)
{
    void *page = block->host + offset;
    int vcpu = pv_ve_kvm_vcpu_of_thread(tid);

    RCU_READ_LOCK_GUARD();
    trace_pv_ve_kvm_blocked(vcpu, offset, tid);
    if (vcpu < 0) {
        if (is_our_thread(tid)) {
            return PV_VE_BLOCKED_OTHER;
        }
        pv_ve_kvm_worker_blocked(page);
        return PV_VE_BLOCKED_WORKER;
    }
    if (!pv_ve_kvm_in_guest(vcpu)) {
        return PV_VE_BLOCKED_OUTSIDE;
    }
    if (pv_ve_may_reflect(vcpu)) {
        pv_ve_kvm_kick(vcpu, page);
    }
    return PV_VE_BLOCKED_VCPU;
}
