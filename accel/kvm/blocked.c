/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: a thread of the host is blocked on a missing page.  Whose is it?
 *
 * A userfaultfd tells the thread's id in the thread's own pid namespace.  That of a
 * kernel worker is the host's first one.  If QEMU runs in that, too, an id means one
 * thread.  In another namespace, a container's, an id of ours can be a worker's as well:
 * then nothing that follows from either may be left undone, and nothing be believed.
 *
 * In the threads that read of faults.
 */
#include "qemu/osdep.h"
#include <sys/syscall.h>
#include "qemu/rcu.h"
#include "hw/core/cpu.h"
#include "pv-ve/accel/kvm/pv-ve-kvm.h"
#include "trace.h"

#define FIRST_PID_NAMESPACE 0xeffffffc      /* its inode in every Linux */

static bool ids_are_unique;     /* among our threads and the kernel's */

/* A process stays in its pid namespace for all its life. */
void pv_ve_kvm_start_telling(void)
{
    struct stat namespace;

    ids_are_unique = stat("/proc/self/ns/pid", &namespace) == 0 &&
                     namespace.st_ino == FIRST_PID_NAMESPACE;
}

/* A vCPU's, or one that is no vCPU's: a device emulation, say. */
static bool is_our_thread(uint32_t tid)
{
    return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

PvVeBlocked pv_ve_kvm_blocked(RAMBlock *block, ram_addr_t offset, uint32_t tid)
{
    void *page = block->host + offset;
    int vcpu = pv_ve_kvm_vcpu_of_thread(tid);
    bool ours = vcpu >= 0 || is_our_thread(tid);
    bool in_guest = vcpu >= 0 && pv_ve_kvm_in_guest(vcpu);

    RCU_READ_LOCK_GUARD();
    trace_pv_ve_kvm_blocked(vcpu, offset, tid);
    /* First of all: it knows the page, and who looks for halted vCPUs does not. */
    if (in_guest && !pv_ve_kvm_is_own_page(vcpu, page) && pv_ve_may_reflect(vcpu)) {
        pv_ve_kvm_kick(vcpu, page, ids_are_unique);
    }
    if (!ours || !ids_are_unique) {
        pv_ve_kvm_worker_blocked(page, !ours);
    }
    if (!ours) {
        return PV_VE_BLOCKED_WORKER;
    } else if (vcpu < 0) {
        return PV_VE_BLOCKED_OTHER;
    } else if (!in_guest) {
        return PV_VE_BLOCKED_OUTSIDE;
    }
    /* A vCPU's own thread can be interrupted: what helps with a worker does no harm. */
    return ids_are_unique ? PV_VE_BLOCKED_VCPU : PV_VE_BLOCKED_WORKER;
}
