/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: finding it, enabling and disabling it on a vCPU. */

#include "ve.h"

struct ve ve;
bool ve_wanted;

static uint32_t find_base(void)
{
    uint32_t r[4];

    for (uint32_t base = PV_VE_CPUID_FIRST; base <= PV_VE_CPUID_LAST;
         base += PV_VE_CPUID_STEP) {
        cpuid(base + PV_VE_CPUID_ID, r);
        if (r[1] == PV_VE_CPUID_SIG_EBX && r[2] == PV_VE_CPUID_SIG_ECX &&
            r[3] == PV_VE_CPUID_SIG_EDX && r[0] >= base + PV_VE_CPUID_INFO) {
            return base;
        }
    }
    return 0;
}

static uint32_t take_feature(uint32_t offered, uint32_t feature, uint64_t *wanted,
                             const char *name)
{
    if (*wanted && !(offered & feature)) {
        say("%s not offered", name);
        *wanted = 0;
    }
    return *wanted ? feature : 0;
}

/* Before the other vCPUs start: is there a device, and what do we take of it? */
void ve_find(void)
{
    uint32_t base = find_base();
    uint32_t r[4];

    if (!base) {
        say("no pv-ve");
        return;
    }
    cpuid(base + PV_VE_CPUID_INFO, r);
    if (r[0] != PV_VE_ABI_VERSION || !(r[1] & PV_VE_F_BASE) || r[2] > PV_VE_SLOTS) {
        say("pv-ve of unknown version %u", r[0]);
        return;
    }
    if (config.msix && (r[1] & PV_VE_F_MSIX) && !msix_find()) {
        say("no usable MSI-X table");
        config.msix = 0;
    }
    ve.features = PV_VE_F_BASE | (r[1] & PV_VE_F_WAIT) |
                  take_feature(r[1], PV_VE_F_CPL0, &config.cpl0, "cpl0") |
                  take_feature(r[1], PV_VE_F_IF0, &config.if0, "if0") |
                  take_feature(r[1], PV_VE_F_MSIX, &config.msix, "msix") |
                  take_feature(r[1], PV_VE_F_URGENT, &config.urgent, "urgent");
    ve.slots = r[2];
    ve.msr = r[3];
    report->features = ve.features;
    report->slots = ve.slots;
    ve_wanted = true;
}

static void refuse(uint32_t which, uint64_t value)
{
    uint64_t before = rdmsr(ve.msr + which);

    if (try_wrmsr(ve.msr + which, value) || rdmsr(ve.msr + which) != before) {
        say("panic MSR %u takes 0x%lx", which, value);
        stop(EXIT_PANIC);
    }
}

/* How a refusal reaches the guest; the rules themselves are tested elsewhere. */
static void check_refusals(struct cpu *cpu)
{
    refuse(PV_VE_MSR_FEATURES, ~0ul);
    refuse(PV_VE_MSR_INFO_AREA, 0);
    refuse(PV_VE_MSR_PV_PAGE, (uint64_t)cpu->page + 8);
    refuse(PV_VE_MSR_NOTIFY, 8);
    refuse(PV_VE_MSR_CONTROL, 8);
    refuse(PV_VE_MSR_URGENT, 8);
    refuse(PV_VE_MSR_WAIT, PV_VE_WAIT(ve.slots, 1));
}

static void set_msr(uint32_t which, uint64_t value)
{
    wrmsr(ve.msr + which, value);
    if (rdmsr(ve.msr + which) != value) {
        say("panic MSR %u does not read back", which);
        stop(EXIT_PANIC);
    }
}

static uint64_t notify_value(struct cpu *cpu)
{
    if (!config.msix) {
        return VECTOR_NOTIFY;
    }
    msix_program(cpu->number, apic_id(), VECTOR_NOTIFY);
    return PV_VE_NOTIFY_MSIX | (uint64_t)cpu->number << PV_VE_NOTIFY_ENTRY_SHIFT;
}

void ve_enable(struct cpu *cpu)
{
    volatile uint64_t *page = (volatile uint64_t *)cpu->page;

    for (uint32_t i = 0; i < PV_VE_AREA_SIZE / 8; i++) {
        page[i] = 0;
    }
    cpu->info->busy = 0;
    set_msr(PV_VE_MSR_FEATURES, ve.features);
    set_msr(PV_VE_MSR_INFO_AREA, (uint64_t)cpu->info);
    set_msr(PV_VE_MSR_PV_PAGE, (uint64_t)cpu->page);
    set_msr(PV_VE_MSR_NOTIFY, notify_value(cpu));
    cpu->ve_enabled = true;
    cpu->announced = false;
    wrcr2(CR2_KEPT);
    set_msr(PV_VE_MSR_CONTROL, PV_VE_CTL_ENABLE | (config.cpl0 ? PV_VE_CTL_CPL0 : 0) |
                               (config.if0 ? PV_VE_CTL_IF0 : 0));
    cpu->count->enabled = 1;
    check_refusals(cpu);
}

/* The host forgets all of this vCPU's faults: the parked tasks try again. */
void ve_disable(struct cpu *cpu)
{
    uint64_t woken = cpu->count->sleeping;

    wrmsr(ve.msr + PV_VE_MSR_CONTROL, 0);
    cpu->ve_enabled = false;
    cpu->ve_epoch++;
    for (uint32_t i = 0; i < ve.slots; i++) {
        acknowledge(cpu, i, cpu->page->slot[i].guest >> PV_VE_STATE_BITS);
    }
    cpu->ready |= cpu->parked;
    cpu->parked = 0;
    cpu->count->enabled = 0;
    cpu->count->sleeping = 0;
    say("vcpu %u disabled, woke %lu", cpu->number, woken);
}
