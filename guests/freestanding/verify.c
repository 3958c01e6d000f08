/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's part of a verification: when it starts, and what it found. */

#include "guest.h"

struct task *verifier;

static bool requested;

/* Counted, and the first ones reported; the caller is at home on this vCPU. */
void content_error(struct cpu *cpu, uint64_t gpa, uint64_t word)
{
    uint64_t n = __atomic_fetch_add(&report->bad_count, 1, __ATOMIC_RELAXED);

    cpu->count->bad++;
    if (n < REPORT_MAX_BAD) {
        report->bad_gpa[n] = gpa;
        say("bad content gpa 0x%lx word %lu", gpa, word);
    }
}

/* From the tick of vCPU 0, where the verifier lives */
void verify_request(void)
{
    if (!requested) {
        requested = true;
        make_ready(&cpus[0], verifier->index);
    }
}

static struct cpu *owner_cpu(uint32_t owner, uint32_t *index)
{
    uint32_t touching = config.touch + config.ktouch;

    *index = owner % touching;
    return &cpus[owner / touching];
}

bool owner_killed(uint32_t owner)
{
    uint32_t index;
    struct cpu *cpu = owner_cpu(owner, &index);

    return !(READ_ONCE(cpu->alive) >> index & 1);
}

static bool owner_busy(uint32_t owner)
{
    uint32_t index;
    struct cpu *cpu = owner_cpu(owner, &index);

    return READ_ONCE(cpu->users[index].busy);
}

/* A parked owner gets out when its page has come. */
static void wait_for_owners(uint32_t owners)
{
    for (uint32_t i = 0; i < owners; i++) {
        while (!owner_killed(i) && owner_busy(i)) {
            schedule();
            irqs_on();
            relax();
            irqs_off();
        }
    }
}

/* The verifier's call: returns when it is to work and nobody else does. */
void verify_begin(void)
{
    struct cpu *cpu = this_cpu();

    while (!requested) {
        cpu->ready &= ~(1ul << verifier->index);
        schedule();
    }
    report->state = STATE_VERIFYING;
    WRITE_ONCE(report->hold, 1);
    full_barrier();
    wait_for_owners(verifier->user->owners);
}

void verify_end(uint64_t bad, uint64_t away)
{
    requested = false;
    report->verify_bad = bad;
    report->verify_away = away;
    report->verify_runs++;
    report->state = STATE_READY;
    WRITE_ONCE(report->hold, 0);
    if (away) {
        say("verified %lu pages, %lu bad, %lu failed", report->pages, bad, away);
    } else {
        say("verified %lu pages, %lu bad", report->pages, bad);
    }
}
