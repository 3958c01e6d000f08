/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single characters from the serial port, read by the tick of vCPU 0:
 *
 *   v   verify every page       -> "verified N pages, M bad[, K failed]"
 *   s   print the totals        -> "vcpu ...", then "totals of ..."
 *   r   reset the longest stall -> "stall reset"
 *   d   disable pv-ve           -> "vcpu N disabled, woke M" from each vCPU
 *   e   enable it               -> "vcpu N enabled" from each vCPU
 *   b   keep the busy word set  -> "vcpu N busy" from each vCPU, as if its handler ran
 *       or clear it                on until the next b: "vcpu N not busy"
 *   n   touch only a quarter of the region from now on, its first -> "narrow",
 *       or all of it            -> "wide"
 *   x   execute VMSAVE, whose operand is a physical address, on vmsave_area
 *                              -> "vmsave done"
 *   q   end                     -> "bye"; see enum exit_value
 */

#include "guest.h"

#define MSR_EFER            0xc0000080u
#define EFER_SVME           (1ul << 12)

static uint32_t stall_epoch;
static bool busy_wanted;

static void print_cpu(uint32_t i)
{
    struct report_cpu *c = &report->cpu[i];
    uint64_t us = report->tsc_hz / 1000000;

    say("vcpu %u compute %lu touch %lu ktouch %lu ve-user %lu ve-kernel %lu parked %lu "
        "awake %lu waited %lu retried %lu notified %lu spurious %lu woken %lu killed %lu "
        "bad %lu alive %lu sleeping %lu stall-us %lu", i, c->compute, c->touch, c->ktouch,
        c->ve_user, c->ve_kernel, c->parked, c->awake, c->waited, c->retried, c->notified,
        c->spurious, c->woken, c->failed, c->bad, c->alive, c->sleeping, c->stall / us);
}

static void print_totals(void)
{
    for (uint32_t i = 0; i < ncpus; i++) {
        print_cpu(i);
    }
    say("totals of %u vCPUs, %lu bad", ncpus, report->bad_count);
}

static void bye(void)
{
    say("bye");
    report->state = STATE_BYE;
    stop(report->bad_count ? EXIT_BAD : EXIT_GOOD);
}

static void want_ve(bool on)
{
    if (on && !report->features) {
        say("no pv-ve");
        return;
    }
    WRITE_ONCE(ve_wanted, on);
}

static void toggle_narrow(void)
{
    bool each_has_one = report->pages / 4 >= REPORT_MAX_CPUS * MAX_TASKS;
    bool narrow = report->touched == report->pages && each_has_one;

    WRITE_ONCE(report->touched, narrow ? report->pages / 4 : report->pages);
    say(narrow ? "narrow" : "wide");
}

static void vmsave(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    asm volatile("vmsave %%rax" :: "a"(vmsave_area) : "memory");
    say("vmsave done");
}

void poll_commands(void)
{
    int c = serial_poll();

    if (c == 'v') {
        verify_request();
    } else if (c == 's') {
        print_totals();
    } else if (c == 'r') {
        WRITE_ONCE(stall_epoch, stall_epoch + 1);
        say("stall reset");
    } else if (c == 'd' || c == 'e') {
        want_ve(c == 'e');
    } else if (c == 'b') {
        WRITE_ONCE(busy_wanted, !busy_wanted);
    } else if (c == 'n') {
        toggle_narrow();
    } else if (c == 'x') {
        vmsave();
    } else if (c == 'q') {
        bye();
    } else if (c > ' ') {
        say("unknown command %c", c);
    }
}

/* Each vCPU does its own part, in its own tick. */
void follow_commands(struct cpu *cpu)
{
    if (cpu->stall_epoch != READ_ONCE(stall_epoch)) {
        cpu->stall_epoch = stall_epoch;
        cpu->count->stall = 0;
    }
    if (cpu->ve_enabled != READ_ONCE(ve_wanted)) {
        if (cpu->ve_enabled) {
            ve_disable(cpu);
        } else {
            ve_enable(cpu);
            say("vcpu %u enabled", cpu->number);
        }
    }
    if (cpu->ve_enabled && cpu->busy_kept != READ_ONCE(busy_wanted)) {
        cpu->busy_kept = busy_wanted;
        cpu->info->busy = busy_wanted;
        say("vcpu %u %sbusy", cpu->number, busy_wanted ? "" : "not ");
    }
}
