/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: does a signal end KVM_RUN while it sleeps for a missing page?
 *
 * Linux does that from 6.2 on, distributions have it in older kernels or not, and no
 * capability says so.  So it is tried: a VM of a few pages, which goes at once, touches
 * one of them that is missing.
 *
 * Nothing here depends on time.  When a userfaultfd tells of a thread, that has the state
 * in which it is about to sleep.  If this is an uninterruptible one it needs no signal,
 * which would stay without an answer.  Otherwise a signal has one: KVM_RUN returns, or
 * there is a second message.  Then KVM touches guest memory with instructions of its own,
 * because it emulates the guest's; such an access is begun anew as long as a signal is
 * pending.
 *
 * Whatever happens, closing the userfaultfd lets the thread go on.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/userfaultfd.h"
#include "cpu.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/pv-ve-kvm.h"

/* The guest's memory, from 0 on: three paging structures, code, and what it touches. */
enum { PML4, PDPT, PD, CODE, MISSING, NR_PAGES };
#define PAGE TARGET_PAGE_SIZE

typedef enum Answer {
    INTERRUPTED,
    NOT_INTERRUPTED,
    EMULATED,                   /* KVM touched the page itself */
    UNCLEAR,
} Answer;

typedef struct Probe {
    int vm, vcpu, uffd;         /* -1: not opened */
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
    int stat;                   /* the thread's, of /proc; -1: there is none */
    EventNotifier returned;     /* by the thread: KVM_RUN has */
    int ret;                    /* ... with this */
} Probe;

/* ---- The guest ------------------------------------------------------------ */

/* MOV (%RSI), %AL; HLT */
static const uint8_t code[] = { 0x8a, 0x06, 0xf4 };

static void link_page(Probe *p, unsigned table, uint64_t entry)
{
    stq_le_p(p->memory + table * PAGE, entry | PG_PRESENT_MASK | PG_RW_MASK);
}

/* All but one page, and that is watched before, so it does not come with the others. */
static bool make_memory(Probe *p)
{
    p->memory = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->memory == MAP_FAILED) {
        p->memory = NULL;
        return false;
    }
    /* It is there already, and stays, if QEMU locks its memory. */
    if (munlock(p->memory, NR_PAGES * PAGE) < 0 ||
        madvise(p->memory, NR_PAGES * PAGE, MADV_DONTNEED) < 0 ||
        uffd_register_memory(p->uffd, p->memory + MISSING * PAGE, PAGE,
                             UFFDIO_REGISTER_MODE_MISSING, NULL) < 0) {
        return false;
    }
    link_page(p, PML4, PDPT * PAGE);
    link_page(p, PDPT, PD * PAGE);
    link_page(p, PD, PG_PSE_MASK);
    memcpy(p->memory + CODE * PAGE, code, sizeof(code));
    return true;
}

/* All that there is: without them KVM does not take all control registers. */
static bool set_cpuid(Probe *p)
{
    const unsigned max = 256;   /* leaves, as many as KVM takes */
    g_autofree struct kvm_cpuid2 *all =
        g_malloc0(sizeof(*all) + max * sizeof(all->entries[0]));

    all->nent = max;
    return kvm_ioctl(kvm_state, KVM_GET_SUPPORTED_CPUID, all) >= 0 &&
           ioctl(p->vcpu, KVM_SET_CPUID2, all) == 0;
}

/* Long mode, as a processor without unrestricted guests cannot run others by itself. */
static bool set_registers(Probe *p)
{
    struct kvm_regs regs = { .rip = CODE * PAGE, .rsi = MISSING * PAGE, .rflags = 2 };
    struct kvm_segment flat = { .limit = UINT32_MAX, .selector = 8, .present = 1, .s = 1,
                                .g = 1 };
    struct kvm_sregs sregs;

    if (ioctl(p->vcpu, KVM_GET_SREGS, &sregs) < 0) {
        return false;
    }
    flat.type = 3;
    flat.db = 1;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
    flat.type = 11;
    flat.db = 0;
    flat.l = 1;
    sregs.cs = flat;
    sregs.cr0 = CR0_PG_MASK | CR0_NE_MASK | CR0_ET_MASK | CR0_PE_MASK;
    sregs.cr3 = PML4 * PAGE;
    sregs.cr4 = CR4_PAE_MASK;
    sregs.efer = MSR_EFER_LME | MSR_EFER_LMA;
    return ioctl(p->vcpu, KVM_SET_SREGS, &sregs) == 0 &&
           ioctl(p->vcpu, KVM_SET_REGS, &regs) == 0;
}

/* Inside KVM_RUN no other signal; outside of it not even ours. */
static bool take_our_signal(Probe *p)
{
    const unsigned len = 8;     /* bytes of the kernel's signal sets */
    g_autofree struct kvm_signal_mask *mask = g_malloc0(sizeof(*mask) + len);
    sigset_t blocked;

    sigfillset(&blocked);
    sigdelset(&blocked, SIG_IPI);
    mask->len = len;
    memcpy(mask->sigset, &blocked, len);
    return ioctl(p->vcpu, KVM_SET_SIGNAL_MASK, mask) == 0;
}

/* Without a local APIC, so KVM has no other thread wait for the page. */
static bool make_vm(Probe *p)
{
    struct kvm_userspace_memory_region ram = {
        .memory_size = NR_PAGES * PAGE,
        .userspace_addr = (uintptr_t)p->memory,
    };
    void *run;

    do {
        p->vm = kvm_ioctl(kvm_state, KVM_CREATE_VM, 0);
    } while (p->vm == -EINTR);
    if (p->vm < 0) {
        errno = -p->vm;
        return false;
    }
    if (ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &ram) < 0 ||
        (p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0)) < 0) {
        return false;
    }
    p->run_size = kvm_ioctl(kvm_state, KVM_GET_VCPU_MMAP_SIZE, 0);
    run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
    p->run = run == MAP_FAILED ? NULL : run;
    return p->run && set_cpuid(p) && set_registers(p) && take_our_signal(p);
}

/* ---- The experiment ------------------------------------------------------- */

static void *run_thread(void *opaque)
{
    Probe *p = opaque;

    /* By that name, as /proc may have the ids of another pid namespace. */
    p->stat = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC);
    p->ret = ioctl(p->vcpu, KVM_RUN, 0) < 0 ? -errno : 0;
    event_notifier_set(&p->returned);
    return NULL;
}

/* The thread that waits for the page; 0: KVM_RUN has returned instead. */
static uint32_t await_message(Probe *p)
{
    struct pollfd ready[] = {
        { .fd = event_notifier_get_fd(&p->returned), .events = POLLIN },
        { .fd = p->uffd, .events = POLLIN },
    };
    struct uffd_msg msg;

    for (;;) {
        poll(ready, ARRAY_SIZE(ready), -1);
        if (ready[0].revents) {
            return 0;
        }
        if (ready[1].revents && uffd_read_events(p->uffd, &msg, 1) > 0) {
            return msg.arg.pagefault.feat.ptid;
        }
    }
}

/* The thread's, as in its line of /proc behind the name; 0: there is no /proc. */
static char read_state(Probe *p)
{
    char line[256];
    ssize_t n = pread(p->stat, line, sizeof(line) - 1, 0);
    const char *name_end;

    line[MAX(n, 0)] = 0;
    name_end = strrchr(line, ')');
    return name_end && name_end[1] ? name_end[2] : 0;
}

static Answer send_signal(Probe *p, uint32_t tid)
{
    syscall(SYS_tgkill, getpid(), tid, SIG_IPI);
    if (await_message(p)) {
        return EMULATED;
    } else if (p->ret == -EINTR) {
        return INTERRUPTED;
    } else if (p->ret == 0 && p->run->exit_reason == KVM_EXIT_MMIO) {
        return EMULATED;
    } else {
        return UNCLEAR;
    }
}

static Answer watch_guest(Probe *p)
{
    uint32_t tid = await_message(p);

    switch (tid ? read_state(p) : 0) {
    case 'S':
        return send_signal(p, tid);
    case 'D':
        return NOT_INTERRUPTED;
    default:
        return UNCLEAR;
    }
}

static Answer run_guest(Probe *p)
{
    QemuThread thread;
    Answer answer;

    qemu_thread_create(&thread, "pv-ve/probe", run_thread, p, QEMU_THREAD_JOINABLE);
    answer = watch_guest(p);
    uffd_close_fd(p->uffd);
    p->uffd = -1;
    qemu_thread_join(&thread);
    return answer;
}

static void clean_up(Probe *p)
{
    if (p->run) {
        munmap(p->run, p->run_size);
    }
    if (p->stat >= 0) {
        close(p->stat);
    }
    if (p->vcpu >= 0) {
        close(p->vcpu);
    }
    if (p->vm >= 0) {
        close(p->vm);
    }
    if (p->memory) {
        munmap(p->memory, NR_PAGES * PAGE);
    }
    if (p->uffd >= 0) {
        uffd_close_fd(p->uffd);
    }
    event_notifier_cleanup(&p->returned);
}

static Answer try_it(Error **errp)
{
    Probe p = { .vm = -1, .vcpu = -1, .stat = -1 };
    Answer answer = UNCLEAR;
    int ret = event_notifier_init(&p.returned, false);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "pv-ve: no event notifier to try this host's KVM");
        return UNCLEAR;
    }
    p.uffd = uffd_create_fd(UFFD_FEATURE_THREAD_ID, true);
    if (p.uffd < 0 || !make_memory(&p) || !make_vm(&p)) {
        error_setg_errno(errp, errno, "pv-ve: this host's KVM cannot be tried in a small "
                         "VM; give QEMU room for more files, memory and VMs, or use "
                         "-accel tcg");
    } else {
        answer = run_guest(&p);
        if (answer == UNCLEAR) {
            error_setg(errp, "pv-ve: a small VM that was to try this host's KVM did not "
                       "run (KVM_RUN returned %d, exit reason %u), or there is no /proc; "
                       "mount it, or use -accel tcg", p.ret, p.run->exit_reason);
        }
    }
    clean_up(&p);
    return answer;
}

/* QEMU keeps to the way in which it opened the first one, also if that failed. */
static bool may_use_userfaultfd(void)
{
    int fd;

    if (access("/dev/userfaultfd", R_OK | W_OK) == 0) {
        return true;
    }
    fd = syscall(__NR_userfaultfd, O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

bool pv_ve_kvm_can_interrupt_faults(Error **errp)
{
    if (!may_use_userfaultfd()) {
        return true;            /* then no page is ever missing here */
    }
    switch (try_it(errp)) {
    case INTERRUPTED:
        return true;
    case EMULATED:
        warn_report("pv-ve: this host's KVM emulates the guest's instructions, so the "
                    "guest gets no #VE but waits for missing pages; use -accel tcg");
        pv_ve_kvm_never_kick();
        return true;
    case NOT_INTERRUPTED:
        error_setg(errp, "pv-ve: this host's KVM lacks interruptible page faults "
                   "(Linux 6.2); use a newer kernel, or -accel tcg");
        return false;
    default:
        return false;
    }
}
