/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: KVM's statistics of a vCPU, which any thread may read while it runs.
 *
 * Each is read by a system call of its own: most looks need but one.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/pv-ve-kvm.h"

static const char *const stat_name[PV_VE_KVM_NR_STATS] = {
    [PV_VE_KVM_BLOCKING] = "blocking",
    [PV_VE_KVM_PF_TAKEN] = "pf_taken",
    [PV_VE_KVM_EXITS] = "exits",
};

static off_t stat_at[PV_VE_KVM_NR_STATS];   /* in the file; the same for all vCPUs */

/*
 * By index, -1 until there is such a vCPU.  Descriptors of our own, which stay when a
 * vCPU is unplugged: QEMU closes its own while others read, and the number may be another
 * file's then.
 */
static int *stats_fd;

static bool read_all(int fd, void *buffer, size_t size, off_t at)
{
    return pread(fd, buffer, size, at) == (ssize_t)size;
}

static bool find_stats(int fd)
{
    struct kvm_stats_header header;
    size_t size;
    g_autofree struct kvm_stats_desc *desc = NULL;
    unsigned found = 0;

    if (fd < 0 || !read_all(fd, &header, sizeof(header), 0)) {
        return false;
    }
    size = sizeof(*desc) + header.name_size;
    desc = g_malloc(size);
    for (unsigned i = 0; i < header.num_desc; i++) {
        if (!read_all(fd, desc, size, header.desc_offset + i * size)) {
            return false;
        }
        for (unsigned s = 0; s < PV_VE_KVM_NR_STATS; s++) {
            if (g_str_equal(desc->name, stat_name[s])) {
                stat_at[s] = header.data_offset + desc->offset;
                found++;
            }
        }
    }
    return found == PV_VE_KVM_NR_STATS;
}

void pv_ve_kvm_start_stats(void)
{
    unsigned nr = MACHINE(qdev_get_machine())->smp.max_cpus;

    stats_fd = g_new(int, nr);
    memset(stats_fd, -1, nr * sizeof(*stats_fd));
}

/* One that is plugged again takes the place of the old one at once. */
void pv_ve_kvm_add_stats(CPUState *cpu)
{
    int *fd = &stats_fd[cpu->cpu_index];

    if (*fd < 0) {
        qatomic_set(fd, qemu_dup(cpu->kvm_vcpu_stats_fd));
    } else {
        dup3(cpu->kvm_vcpu_stats_fd, *fd, O_CLOEXEC);
    }
}

bool pv_ve_kvm_find_stats(Error **errp)
{
    if (find_stats(first_cpu->kvm_vcpu_stats_fd)) {
        return true;
    }
    error_setg(errp, "pv-ve: this host's KVM does not tell when a vCPU sleeps "
               "(KVM_GET_STATS_FD with blocking, pf_taken and exits); use a "
               "newer kernel, or -accel tcg");
    return false;
}

uint64_t pv_ve_kvm_read_stat(unsigned vcpu, PvVeKvmStat s)
{
    int fd = qatomic_read(&stats_fd[vcpu]);
    uint64_t value = 0;

    /* Failing means that there is no such vCPU: it does not sleep. */
    return read_all(fd, &value, sizeof(value), stat_at[s]) ? value : 0;
}
