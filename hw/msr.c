/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: discovery and negotiation, CPUID and MSRs.
 *
 * The order that the guest keeps: features, then areas and notification, then
 * control.  What breaks a rule is #GP and changes nothing.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/core/cpu.h"
#include "pv-ve/hw/pv-ve.h"
#include "pv-ve/include/hooks.h"
#include "trace.h"

bool pv_ve_cpuid(CPUState *cpu, uint32_t index, uint32_t *eax, uint32_t *ebx,
                 uint32_t *ecx, uint32_t *edx)
{
    PvVe *ve = pv_ve_core;

    if (!ve) {
        return false;
    }
    switch (index) {
    case PV_VE_CPUID_BASE + PV_VE_CPUID_ID:
        *eax = PV_VE_CPUID_BASE + PV_VE_CPUID_INFO;
        *ebx = PV_VE_CPUID_SIG_EBX;
        *ecx = PV_VE_CPUID_SIG_ECX;
        *edx = PV_VE_CPUID_SIG_EDX;
        return true;
    case PV_VE_CPUID_BASE + PV_VE_CPUID_INFO:
        *eax = PV_VE_ABI_VERSION;
        *ebx = ve->offered;
        *ecx = PV_VE_SLOTS;
        *edx = PV_VE_FIRST_MSR;
        return true;
    default:
        return false;
    }
}

bool pv_ve_has_msr(uint32_t index)
{
    return pv_ve_core && index - PV_VE_FIRST_MSR < PV_VE_NR_MSRS;
}

static bool write_features(PvVe *ve, PvVeVcpu *v, uint64_t value)
{
    if (pv_ve_enabled(v) || value & ~(uint64_t)ve->offered ||
        (value && !(value & PV_VE_F_BASE))) {
        return false;
    }
    v->features = value;
    v->control = 0;
    v->urgent = 0;
    return true;
}

static bool write_area(PvVeVcpu *v, uint64_t *gpa, uint64_t value)
{
    if (pv_ve_enabled(v) || !(v->features & PV_VE_F_BASE) ||
        (value && !pv_ve_area_ok(value))) {
        return false;
    }
    *gpa = value;
    return true;
}

/* A way of notification that this host has. */
static bool notify_exists(const PvVe *ve, uint64_t value)
{
    if (value & PV_VE_NOTIFY_MSIX) {
        return !(value & 0xfeff) && value >> PV_VE_NOTIFY_ENTRY_SHIFT < ve->nr_entries;
    }
    return value >= PV_VE_NOTIFY_VECTOR_MIN && value <= PV_VE_NOTIFY_VECTOR_MASK;
}

/* One that the guest may use, too, with the features that it has accepted. */
static bool notify_ok(const PvVe *ve, const PvVeVcpu *v, uint64_t value)
{
    return notify_exists(ve, value) &&
           (!(value & PV_VE_NOTIFY_MSIX) || v->features & PV_VE_F_MSIX);
}

static bool write_notify(PvVe *ve, PvVeVcpu *v, uint64_t value)
{
    if (pv_ve_enabled(v) || !(v->features & PV_VE_F_BASE) ||
        (value && !notify_ok(ve, v, value))) {
        return false;
    }
    v->notify = value;
    return true;
}

/* At any time: nobody reads the lists before the machine has stopped. */
static bool write_urgent(PvVeVcpu *v, uint64_t value)
{
    if (!(v->features & PV_VE_F_URGENT) || (value && !pv_ve_area_ok(value))) {
        return false;
    }
    v->urgent = value;
    return true;
}

static uint32_t allowed_control(const PvVeVcpu *v)
{
    return (v->features & PV_VE_F_BASE ? PV_VE_CTL_ENABLE : 0) |
           (v->features & PV_VE_F_CPL0 ? PV_VE_CTL_CPL0 : 0) |
           (v->features & PV_VE_F_IF0 ? PV_VE_CTL_IF0 : 0);
}

static bool enable(PvVe *ve, PvVeVcpu *v)
{
    if (v->info_gpa == v->page_gpa || !notify_ok(ve, v, v->notify) ||
        !pv_ve_area_map(&v->info, v->info_gpa)) {
        return false;
    }
    if (!pv_ve_area_map(&v->page, v->page_gpa)) {
        pv_ve_area_unmap(&v->info);
        return false;
    }
    return true;
}

static bool write_control(PvVe *ve, PvVeVcpu *v, uint64_t value)
{
    bool on = value & PV_VE_CTL_ENABLE;

    if (value & ~(uint64_t)allowed_control(v)) {
        return false;
    }
    if (on && !pv_ve_enabled(v) && !enable(ve, v)) {
        return false;
    }
    if (!on && pv_ve_enabled(v)) {
        pv_ve_vcpu_stop(ve, v);
    }
    v->control = value;
    pv_ve_announce(ve, v);
    return true;
}

bool pv_ve_msrs_valid(const PvVe *ve, const PvVeVcpu *v)
{
    if (v->features & ~ve->offered || (v->features && !(v->features & PV_VE_F_BASE)) ||
        v->control & ~allowed_control(v) || v->urgent % PV_VE_URGENT_PAGE ||
        (v->urgent && !(v->features & PV_VE_F_URGENT)) ||
        (v->notify && !notify_exists(ve, v->notify))) {
        return false;
    }
    return !pv_ve_enabled(v) ||
           (v->info_gpa && v->page_gpa && v->info_gpa != v->page_gpa &&
            notify_ok(ve, v, v->notify));
}

static PvVeMsrResult write_wait(PvVeVcpu *v, uint64_t value, uint64_t rip)
{
    unsigned index = value & PV_VE_WAIT_SLOT_MASK;
    uint32_t generation = value >> PV_VE_WAIT_GEN_SHIFT;
    PvVeSlot *slot;

    if (!(v->features & PV_VE_F_WAIT) || index >= PV_VE_SLOTS || value & 0xffffff00) {
        return PV_VE_MSR_GP;
    }
    v->waiting = -1;
    slot = &v->slots.slot[index];
    if (slot->state != PV_VE_SLOT_OUTSTANDING || slot->generation != generation) {
        return PV_VE_MSR_OK;
    }
    /* From here on, whoever ends the fault also ends the halt (INV_WAIT). */
    v->waiting = index;
    v->wait_rip = rip;
    v->stats.waited += !slot->waited;
    slot->waited = true;
    return PV_VE_MSR_HALT;
}

/* All MSRs but WAIT; lock and BQL held. */
static bool write_setup(PvVe *ve, PvVeVcpu *v, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case PV_VE_MSR_FEATURES:
        return write_features(ve, v, value);
    case PV_VE_MSR_CONTROL:
        return write_control(ve, v, value);
    case PV_VE_MSR_INFO_AREA:
        return write_area(v, &v->info_gpa, value);
    case PV_VE_MSR_PV_PAGE:
        return write_area(v, &v->page_gpa, value);
    case PV_VE_MSR_NOTIFY:
        return write_notify(ve, v, value);
    case PV_VE_MSR_URGENT:
        return write_urgent(v, value);
    default:
        g_assert_not_reached();
    }
}

PvVeMsrResult pv_ve_wrmsr(CPUState *cpu, uint32_t index, uint64_t value, uint64_t rip)
{
    PvVe *ve = pv_ve_core;
    PvVeVcpu *v = pv_ve_vcpu(ve, cpu);
    uint32_t msr = index - PV_VE_FIRST_MSR;
    PvVeMsrResult result;

    if (msr == PV_VE_MSR_WAIT) {
        {
            PV_VE_LOCK_GUARD(ve);

            result = write_wait(v, value, rip);
        }
    } else {
        BQL_LOCK_GUARD();
        {
            PV_VE_LOCK_GUARD(ve);

            result = write_setup(ve, v, msr, value) ? PV_VE_MSR_OK : PV_VE_MSR_GP;
        }
        /* Not enabled yet, so nobody notifies before this is done. */
        if (result == PV_VE_MSR_OK && msr == PV_VE_MSR_NOTIFY) {
            pv_ve_lapic_connect(ve, v);
        }
    }
    trace_pv_ve_wrmsr(cpu->cpu_index, msr, value, result);
    return result;
}

uint64_t pv_ve_rdmsr(CPUState *cpu, uint32_t index)
{
    PvVe *ve = pv_ve_core;
    PvVeVcpu *v = pv_ve_vcpu(ve, cpu);

    PV_VE_LOCK_GUARD(ve);
    switch (index - PV_VE_FIRST_MSR) {
    case PV_VE_MSR_FEATURES:
        return v->features;
    case PV_VE_MSR_CONTROL:
        return v->control;
    case PV_VE_MSR_INFO_AREA:
        return v->info_gpa;
    case PV_VE_MSR_PV_PAGE:
        return v->page_gpa;
    case PV_VE_MSR_NOTIFY:
        return v->notify;
    case PV_VE_MSR_WAIT:
        return 0;
    case PV_VE_MSR_URGENT:
        return v->urgent;
    default:
        g_assert_not_reached();
    }
}
