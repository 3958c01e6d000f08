/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the KVM end, for an unmodified host kernel (as a rule Linux 6.2 or newer):
 * what the host must offer, CPUID, MSRs, WAIT and the notification.  Faults are in
 * the other files.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "cpu.h"
#include "host-cpu.h"
#include "system/hw_accel.h"
#include "system/kvm.h"
#include "kvm/kvm_i386.h"
#include <linux/kvm.h>
#include "pv-ve/accel/kvm/pv-ve-kvm.h"
#include "pv-ve/include/hooks.h"
#include "pv-ve/include/hooks-common.h"

static PvVeKvmMsrFilter *filter_msr;

void pv_ve_kvm_keep_msr_filter(PvVeKvmMsrFilter *filter)
{
    filter_msr = filter;
}

static bool in_use(void)
{
    return kvm_enabled();
}

/* ---- What it takes ------------------------------------------------------ */

static bool host_form(PvVeForm *form)
{
    char vendor[CPUID_VENDOR_SZ + 1];

    host_cpu_vendor_fms(vendor, NULL, NULL, NULL);
    if (g_str_equal(vendor, CPUID_VENDOR_INTEL)) {
        *form = PV_VE_AS_EXCEPTION;
    } else if (g_str_equal(vendor, CPUID_VENDOR_AMD) ||
               g_str_equal(vendor, CPUID_VENDOR_HYGON)) {
        *form = PV_VE_AS_INTERRUPT;
    } else {
        return false;
    }
    return true;
}

static bool usable(Error **errp)
{
    const int sync = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
    const char *lacks = NULL;
    PvVeForm form;

    if (!kvm_irqchip_in_kernel()) {
        error_setg(errp, "pv-ve needs KVM's local APIC; use kernel-irqchip=on or split");
        return false;
    }
    if (!host_form(&form)) {
        error_setg(errp, "pv-ve knows how to give vector 20 to KVM on Intel, AMD and "
                   "Hygon processors only; use -accel tcg");
        return false;
    }
    if (!filter_msr) {
        lacks = "KVM_CAP_X86_USER_SPACE_MSR";
    } else if ((kvm_check_extension(kvm_state, KVM_CAP_SYNC_REGS) & sync) != sync) {
        lacks = "KVM_CAP_SYNC_REGS with registers and events";
    } else if (!kvm_check_extension(kvm_state, KVM_CAP_IMMEDIATE_EXIT)) {
        lacks = "KVM_CAP_IMMEDIATE_EXIT";
    } else if (!kvm_has_exception_payload()) {
        lacks = "KVM_CAP_EXCEPTION_PAYLOAD";
    }
    if (lacks) {
        error_setg(errp, "pv-ve: this host's KVM lacks %s; use a newer kernel, or "
                   "-accel tcg", lacks);
        return false;
    }
    return pv_ve_kvm_find_stats(errp) && pv_ve_kvm_can_interrupt_faults(errp);
}

/* ---- CPUID ---------------------------------------------------------------- */

#define MAX_LEAVES 256          /* as many as KVM takes */
#define OUR_LEAVES 2

static bool has_ours(const struct kvm_cpuid2 *all)
{
    for (unsigned i = 0; i < all->nent; i++) {
        if (all->entries[i].function == PV_VE_CPUID_BASE) {
            return true;
        }
    }
    return false;
}

static void append_ours(CPUState *cpu, struct kvm_cpuid2 *all)
{
    for (unsigned i = 0; i < OUR_LEAVES; i++) {
        struct kvm_cpuid_entry2 *leaf = &all->entries[all->nent++];

        *leaf = (struct kvm_cpuid_entry2) { .function = PV_VE_CPUID_BASE + i };
        pv_ve_cpuid(cpu, leaf->function, &leaf->eax, &leaf->ebx, &leaf->ecx, &leaf->edx);
    }
}

void pv_ve_kvm_cpuid(CPUState *cpu, struct kvm_cpuid2 *leaves, unsigned max)
{
    if (pv_ve_kvm_on && leaves->nent + OUR_LEAVES <= max) {
        append_ours(cpu, leaves);
    }
}

/*
 * A vCPU that is older than the device.  KVM takes other leaves until it has run for the
 * first time.
 */
static void add_leaves(CPUState *cpu, run_on_cpu_data data)
{
    g_autofree struct kvm_cpuid2 *all =
        g_malloc0(sizeof(*all) + (MAX_LEAVES + OUR_LEAVES) * sizeof(all->entries[0]));
    int ret;

    all->nent = MAX_LEAVES;
    ret = kvm_vcpu_ioctl(cpu, KVM_GET_CPUID2, all);
    if (ret == 0 && !has_ours(all)) {
        append_ours(cpu, all);
        ret = kvm_vcpu_ioctl(cpu, KVM_SET_CPUID2, all);
    }
    if (ret < 0) {
        warn_report("pv-ve: vCPU %d goes without, as KVM does not take its CPUID leaves: "
                    "%s", cpu->cpu_index, strerror(-ret));
    }
}

static void vcpu_added(CPUState *cpu)
{
    pv_ve_kvm_add_stats(cpu);
    pv_ve_kvm_add_kicks(cpu);
    pv_ve_kvm_forget_own_pages(cpu);
    run_on_cpu(cpu, add_leaves, RUN_ON_CPU_NULL);
}

/* ---- MSRs, WAIT ------------------------------------------------------------ */

static bool rdmsr(X86CPU *cpu, uint32_t msr, uint64_t *value)
{
    *value = pv_ve_rdmsr(CPU(cpu), msr);
    return true;
}

static uint64_t rip_of(CPUState *cpu)
{
    struct kvm_regs regs = { 0 };

    kvm_vcpu_ioctl(cpu, KVM_GET_REGS, &regs);
    return regs.rip;
}

static void set_mp_state(CPUState *cpu, uint32_t to)
{
    struct kvm_mp_state state = { .mp_state = to };

    kvm_vcpu_ioctl(cpu, KVM_SET_MP_STATE, &state);
}

/*
 * Halted in the kernel like by HLT, so stop, reset and migration find it as they know
 * it.  The WRMSR is done when the vCPU goes on, and the guest repeats it.
 */
static bool wrmsr(X86CPU *x86, uint32_t msr, uint64_t value)
{
    CPUState *cpu = CPU(x86);
    bool is_wait = msr == PV_VE_FIRST_MSR + PV_VE_MSR_WAIT;

    switch (pv_ve_wrmsr(cpu, msr, value, is_wait ? rip_of(cpu) : 0)) {
    case PV_VE_MSR_OK:
        if (msr == PV_VE_FIRST_MSR + PV_VE_MSR_CONTROL && value & PV_VE_CTL_ENABLE) {
            pv_ve_kvm_forget_own_pages(cpu);
            pv_ve_kvm_look_again();
        }
        return true;
    case PV_VE_MSR_HALT:
        set_mp_state(cpu, KVM_MP_STATE_HALTED);
        return true;
    default:
        return false;
    }
}

#define MAX_INSTRUCTION 15      /* bytes */

/* Halted behind the WRMSR at @data; not in a HLT elsewhere. */
static void unhalt(CPUState *cpu, run_on_cpu_data data)
{
    uint64_t past = rip_of(cpu) - data.target_ptr;
    struct kvm_mp_state state;

    if (past <= MAX_INSTRUCTION && kvm_vcpu_ioctl(cpu, KVM_GET_MP_STATE, &state) == 0 &&
        state.mp_state == KVM_MP_STATE_HALTED) {
        set_mp_state(cpu, KVM_MP_STATE_RUNNABLE);
    }
}

static void end_wait(CPUState *cpu, uint64_t rip)
{
    async_run_on_cpu(cpu, unhalt, RUN_ON_CPU_TARGET_PTR(rip));
}

/* ---- The end ---------------------------------------------------------------- */

static void start(OnOffAuto as_exception)
{
    PvVeForm form;

    host_form(&form);
    if (as_exception != ON_OFF_AUTO_AUTO) {
        form = as_exception == ON_OFF_AUTO_ON ? PV_VE_AS_EXCEPTION : PV_VE_AS_INTERRUPT;
    }
    for (unsigned i = 0; i < PV_VE_NR_MSRS; i++) {
        if (filter_msr(kvm_state, PV_VE_FIRST_MSR + i, rdmsr, wrmsr) < 0) {
            error_report("pv-ve: no room for our MSRs in KVM's filter");
            exit(1);
        }
    }
    pv_ve_kvm_start_kicks();
    pv_ve_kvm_start_own_pages();
    pv_ve_kvm_start_stats();
    pv_ve_kvm_start_watch();
    pv_ve_kvm_start_telling();
    pv_ve_kvm_start_deciding(form);
}

static const PvVeAccel kvm_end = {
    .in_use = in_use,
    .usable = usable,
    .start = start,
    .vcpu_added = vcpu_added,
    .vcpu_removed = pv_ve_kvm_remove_kicks,
    .interrupt = pv_ve_lapic_interrupt,
    .end_wait = end_wait,
    .blocked = pv_ve_kvm_blocked,
};

static void __attribute__((constructor)) register_end(void)
{
    pv_ve_register_accel(&kvm_end);
}
