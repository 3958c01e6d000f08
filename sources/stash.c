/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: pages that are absent for all, by a userfaultfd of our own. */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/ioctl.h>
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qemu/userfaultfd.h"
#include "exec/cpu-common.h"
#include "exec/memory.h"
#include "pv-ve/sources/stash.h"

#define FEATURES (UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MISSING_SHMEM | \
                  UFFD_FEATURE_MISSING_HUGETLBFS)
#define MAX_EVENTS 16

static struct {
    int fd;
    PvVeStashTouched *touched;
    QemuThread thread;
} stash = { .fd = -1 };

static void handle_event(const struct uffd_msg *msg)
{
    void *host = (void *)(uintptr_t)msg->arg.pagefault.address;
    ram_addr_t offset;
    RAMBlock *ram;

    RCU_READ_LOCK_GUARD();
    ram = qemu_ram_block_from_host(host, false, &offset);
    if (ram) {
        stash.touched(ram, ROUND_DOWN(offset, qemu_ram_pagesize(ram)),
                      msg->arg.pagefault.feat.ptid);
    }
}

static void *fault_thread(void *unused)
{
    struct pollfd ready = { .fd = stash.fd, .events = POLLIN };
    struct uffd_msg msg[MAX_EVENTS];

    rcu_register_thread();
    while (poll(&ready, 1, -1) > 0 || errno == EINTR) {
        int n = uffd_read_events(stash.fd, msg, MAX_EVENTS);

        for (int i = 0; i < n; i++) {
            if (msg[i].event == UFFD_EVENT_PAGEFAULT) {
                handle_event(&msg[i]);
            }
        }
    }
    rcu_unregister_thread();
    return NULL;
}

bool pv_ve_stash_start(PvVeStashTouched *touched, Error **errp)
{
    assert(stash.fd < 0);
    stash.fd = uffd_create_fd(FEATURES, true);
    if (stash.fd < 0) {
        error_setg(errp, "withheld ranges under KVM need userfaultfd for kernel "
                   "accesses; run as root, or give access to /dev/userfaultfd, or use "
                   "-accel tcg");
        return false;
    }
    stash.touched = touched;
    qemu_thread_create(&stash.thread, "pv-ve/stash", fault_thread, NULL,
                       QEMU_THREAD_DETACHED);
    return true;
}

static uint64_t ram_length(RAMBlock *ram)
{
    return ROUND_UP(qemu_ram_get_used_length(ram), qemu_ram_pagesize(ram));
}

bool pv_ve_stash_watch(RAMBlock *ram, Error **errp)
{
    if (ram_block_discard_is_disabled()) {
        error_setg(errp, "pages cannot be withheld while a device has guest memory "
                   "pinned; remove that device (VFIO, for one)");
        return false;
    }
    if (uffd_register_memory(stash.fd, ram->host, ram_length(ram),
                             UFFDIO_REGISTER_MODE_MISSING, NULL) < 0) {
        error_setg_errno(errp, errno, "pages of RAM %s cannot be withheld from KVM; use "
                         "anonymous, memfd or hugetlb memory, and not during an incoming "
                         "postcopy", ram->idstr);
        return false;
    }
    return true;
}

void pv_ve_stash_unwatch(RAMBlock *ram)
{
    uffd_unregister_memory(stash.fd, ram->host, ram_length(ram));
}

void *pv_ve_stash_copy(RAMBlock *ram, ram_addr_t offset)
{
    return g_memdup2(ram->host + offset, qemu_ram_pagesize(ram));
}

bool pv_ve_stash_discard(RAMBlock *ram, ram_addr_t offset, Error **errp)
{
    int ret = ram_block_discard_range(ram, offset, qemu_ram_pagesize(ram));

    if (ret < 0) {
        error_setg_errno(errp, -ret, "a page of RAM %s cannot be given back to the "
                         "host; is it locked or read-only?", ram->idstr);
    }
    return ret == 0;
}

void pv_ve_stash_place(RAMBlock *ram, ram_addr_t offset, const void *content)
{
    size_t size = qemu_ram_pagesize(ram);
    g_autofree void *zeros = content ? NULL : g_malloc0(size);
    struct uffdio_copy copy = {
        .dst = (uintptr_t)ram->host + offset,
        .src = (uintptr_t)(content ?: zeros),
        .len = size,
    };

    while (ioctl(stash.fd, UFFDIO_COPY, &copy) < 0 && errno == EAGAIN) {
        /* the address space was changing */
    }
    if (copy.copy == -EEXIST) {
        pv_ve_stash_wake(ram, offset);
    } else if (content && copy.copy != (int64_t)size) {
        error_report("pv-ve: a withheld page cannot be placed: %s",
                     strerror(-(int)copy.copy));
        abort();            /* its content would be lost */
    }
}

void pv_ve_stash_wake(RAMBlock *ram, ram_addr_t offset)
{
    uffd_wakeup(stash.fd, ram->host + offset, qemu_ram_pagesize(ram));
}
