/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's side of pv-ve: a #VE and what becomes of it, and notifications.
 *
 * While the busy word is set, a missing page only suspends the vCPU; once it is
 * clear, each can be the next #VE.  With interrupts off such a nested #VE comes back
 * here, so whatever this file needs to wait for a page must have been touched before
 * it clears the busy word, or it would fault on that for ever.  That goes for the
 * code too: the linker script keeps it in one page.
 */

#include "ve.h"

#define MAX_INSTRUCTION     15

enum outcome { PAGE_RETRY, PAGE_FAILED };

/* Where kind and address are exact, and known: the first byte of a page, or a fetch. */
static void check_access(struct cpu *cpu, const struct pv_ve_info *info, uint64_t kind,
                         struct frame *f)
{
    const struct user *u = cpu->current->user;

    if (kind == PV_VE_Q_FETCH) {
        if (info->gla - f->rip >= MAX_INSTRUCTION) {
            panic("bad address of a fetch", f);
        }
        cpu->count->exact[2]++;
    } else if (u && u->kind && (u->at ^ info->gpa) < PAGE_SIZE) {
        if (kind != u->kind || info->gla != FAR + u->at || info->gpa != u->at) {
            panic("bad kind or address", f);
        }
        cpu->count->exact[kind == PV_VE_Q_WRITE]++;
    }
}

/* The processor reads an entry of it to translate the address, whatever for. */
static void check_structure(struct cpu *cpu, const struct pv_ve_info *info, uint64_t kind,
                            struct frame *f)
{
    struct user *u = cpu->current->user;
    bool fetch = info->gla - f->rip < MAX_INSTRUCTION;

    if (kind != PV_VE_Q_READ || !is_entry_of(info->gla, info->gpa)) {
        panic("bad paging structure", f);
    }
    cpu->count->walks += !fetch;
    cpu->count->fetch_walks += fetch;
    if (!u) {
        return;
    }
    u->walked = info->gla;
    if (!fetch && u->kind && info->gla > FAR && info->gla != FAR + u->at) {
        panic("bad address of a walk", f);
    }
}

/* What the host may never do, as far as the guest can see it. */
static void check_info(struct cpu *cpu, const struct pv_ve_info *info, struct frame *f)
{
    uint64_t kind = info->qualification & (PV_VE_Q_READ | PV_VE_Q_WRITE | PV_VE_Q_FETCH);
    /* else also of unknown kind */
    bool exact = info->qualification & PV_VE_Q_GLA_VALID;
    /* else it is a paging structure */
    bool own = info->qualification & PV_VE_Q_TRANSLATED;

    if (!cpu->ve_enabled || info->busy != PV_VE_BUSY) {
        panic("#VE without a cause", f);
    }
    if (cpu->ve_open) {
        panic("nested #VE", f);
    }
    if (info->reason != PV_VE_REASON_EPT_VIOLATION || (exact && !kind) ||
        info->eptp_index || info->slot >= ve.slots || !info->generation ||
        info->generation > PV_VE_GEN_MAX) {
        panic("bad information area", f);
    }
    if (exact && own && info->gla % FAR / PAGE_SIZE != info->gpa / PAGE_SIZE) {
        panic("bad linear address", f);
    }
    if (exact && own) {
        check_access(cpu, info, kind, f);
    } else if (exact) {
        check_structure(cpu, info, kind, f);
    }
    if (rdcr2() != CR2_KEPT) {
        panic("#VE changed CR2", f);
    }
    if (cpu->slots_open[info->slot / 64] >> info->slot % 64 & 1) {
        panic("slot used before its acknowledgement", f);
    }
}

static bool task_can_sleep(struct cpu *cpu, struct frame *f)
{
    return (f->rflags & RFLAGS_IF) && cpu->current != cpu->idle;
}

static enum policy choose_policy(struct cpu *cpu, struct frame *f)
{
    enum policy policy = task_can_sleep(cpu, f) ? config.policy : POLICY_WAIT;

    if (policy == POLICY_PARK && cpu->count->sleeping >= config.parks) {
        policy = POLICY_WAIT;
    }
    if (policy == POLICY_WAIT && !(ve.features & PV_VE_F_WAIT)) {
        policy = POLICY_RETRY;
    }
    return policy;
}

/*
 * Where the host had to guess whose fault it was, it can be another vCPU's: then no task
 * of this one is about to touch that page.
 */
static bool is_stray(struct cpu *cpu, uint64_t gpa)
{
    if (gpa - REGION_GPA >= report->pages * PAGE_SIZE) {
        return false;
    }
    for (uint32_t i = 0; i < config.touch + config.ktouch + config.compute + 1; i++) {
        if ((cpu->users[i].at ^ gpa) < PAGE_SIZE) {
            return false;
        }
    }
    return true;
}

static void count_fault(struct cpu *cpu, enum policy policy, uint64_t gpa,
                        struct frame *f)
{
    cpu->count->stray += is_stray(cpu, gpa);
    cpu->count->ve_user += (f->cs & 3) == 3;
    cpu->count->ve_kernel += (f->cs & 3) == 0;
    cpu->count->parked += policy == POLICY_PARK;
    cpu->count->waited += policy == POLICY_WAIT;
    cpu->count->retried += policy == POLICY_RETRY;
}

/* True once the host word says how this fault ended. */
static bool fault_over(struct cpu *cpu, const struct pv_ve_info *info,
                       enum outcome *outcome)
{
    uint32_t host = READ_ONCE(cpu->page->slot[info->slot].host);

    if (host == PV_VE_WORD(info->generation, PV_VE_RESOLVED)) {
        *outcome = PAGE_RETRY;
        return true;
    }
    if (host == PV_VE_WORD(info->generation, PV_VE_FAILED)) {
        *outcome = PAGE_FAILED;
        return true;
    }
    return false;
}

/*
 * Mark that the task is parked, then look whether the page is there; the host does
 * it the other way round.  Interrupts are off from the look to the switch.
 */
static enum outcome park(struct cpu *cpu, const struct pv_ve_info *info)
{
    struct pv_ve_slot *slot = &cpu->page->slot[info->slot];
    uint64_t bit = 1ul << cpu->current->index;
    enum outcome outcome;

    slot->cookie[0] = cpu->current->index;
    barrier();
    WRITE_ONCE(slot->guest, PV_VE_WORD(info->generation, PV_VE_PARKED));
    full_barrier();
    if (fault_over(cpu, info, &outcome)) {
        acknowledge(cpu, info->slot, info->generation);
        cpu->count->awake++;
        return outcome;
    }
    cpu->ready &= ~bit;
    cpu->parked |= bit;
    cpu->failed &= ~bit;
    cpu->count->sleeping++;
    schedule();
    return cpu->failed & bit ? PAGE_FAILED : PAGE_RETRY;
}

/*
 * Where the fault was taken with interrupts on they come in meanwhile, and the tick
 * may run other tasks.  One of these ticks may disable pv-ve: then nobody tells us.
 */
static enum outcome wait(struct cpu *cpu, const struct pv_ve_info *info, bool irqs)
{
    uint64_t value = PV_VE_WAIT(info->slot, info->generation);
    uint32_t epoch = cpu->ve_epoch;
    enum outcome outcome;

    while (!fault_over(cpu, info, &outcome)) {
        if (irqs) {
            wrmsr_irqs_on(ve.msr + PV_VE_MSR_WAIT, value);
        } else {
            wrmsr(ve.msr + PV_VE_MSR_WAIT, value);
        }
        if (cpu->ve_epoch != epoch) {
            return PAGE_RETRY;
        }
    }
    acknowledge(cpu, info->slot, info->generation);
    return outcome;
}

static enum outcome retry(struct cpu *cpu, const struct pv_ve_info *info)
{
    enum outcome outcome = PAGE_RETRY;

    fault_over(cpu, info, &outcome);
    acknowledge(cpu, info->slot, info->generation);
    return outcome;
}

/* Whoever needs that page cannot go on. */
static void page_failed(struct cpu *cpu, uint64_t gpa, struct frame *f)
{
    if (f->rip == (uint64_t)copy_page_at) {
        f->rip = (uint64_t)copy_page_failed;
    } else if (task_can_sleep(cpu, f)) {
        exit_task(gpa);
    } else {
        panic("kernel page failed", f);
    }
}

void ve_exception(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    struct pv_ve_info info = *cpu->info;
    enum policy policy;
    enum outcome outcome;

    check_info(cpu, &info, f);
    cpu->ve_open = true;
    cpu->slots_open[info.slot / 64] |= 1ul << info.slot % 64;
    policy = choose_policy(cpu, f);
    count_fault(cpu, policy, info.gpa, f);
    (void)READ_ONCE(cpu->page->slot[info.slot].host);
    cpu->ve_open = false;
    barrier();
    cpu->info->busy = 0;

    if (policy == POLICY_PARK) {
        outcome = park(cpu, &info);
    } else if (policy == POLICY_WAIT) {
        outcome = wait(cpu, &info, f->rflags & RFLAGS_IF);
    } else {
        outcome = retry(cpu, &info);
    }
    if (outcome == PAGE_FAILED) {
        page_failed(cpu, info.gpa, f);
    }
}

/* Anything but a parked task whose fault is over is stale. */
static bool wake_slot(struct cpu *cpu, uint32_t n)
{
    struct pv_ve_slot *slot = &cpu->page->slot[n];
    uint32_t guest = READ_ONCE(slot->guest);
    uint32_t generation = guest >> PV_VE_STATE_BITS;
    uint32_t host = READ_ONCE(slot->host);
    uint64_t bit = 1ul << slot->cookie[0];
    bool failed = host == PV_VE_WORD(generation, PV_VE_FAILED);

    if ((guest & PV_VE_STATE_MASK) != PV_VE_PARKED ||
        (host != PV_VE_WORD(generation, PV_VE_RESOLVED) && !failed)) {
        return false;
    }
    cpu->parked &= ~bit;
    cpu->failed |= failed ? bit : 0;
    cpu->ready |= bit;
    cpu->count->sleeping--;
    cpu->count->woken++;
    acknowledge(cpu, n, generation);
    return true;
}

void ve_notification(void)
{
    struct cpu *cpu = this_cpu();
    bool woken = false;
    uint64_t done;

    cpu->count->notified++;
    for (uint32_t word = 0; word < 2; word++) {
        done = __atomic_exchange_n(&cpu->page->done[word], 0, __ATOMIC_SEQ_CST);
        for (; done; done &= done - 1) {
            woken |= wake_slot(cpu, word * 64 + __builtin_ctzl(done));
        }
    }
    cpu->count->spurious += !woken;
    if (config.urgent && !READ_ONCE(cpu->page->announced) == cpu->announced) {
        urgent_answer(cpu, !cpu->announced);
    }
    apic_eoi();
    /* Who was woken has slept long enough to go first. */
    if (woken) {
        schedule();
    }
}
