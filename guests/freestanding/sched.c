/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Round robin on each vCPU.  Tasks stay on their vCPU, so interrupts off is all the
 * locking that its masks need.
 */

#include "guest.h"

static uint32_t next_task(struct cpu *cpu)
{
    uint64_t after = cpu->ready & ~((2ul << cpu->last) - 1);

    return __builtin_ctzl(after ? after : cpu->ready);
}

/* Interrupts are off; returns when the caller is to run again. */
void schedule(void)
{
    struct cpu *cpu = this_cpu();
    struct task *prev = cpu->current;
    struct task *next = cpu->idle;

    if (cpu->ready) {
        cpu->last = next_task(cpu);
        next = cpu->tasks + cpu->last;
    }
    if (next == prev) {
        return;
    }
    if (prev->canary != TASK_CANARY) {
        say("panic stack overflow of task %u", prev->id);
        stop(EXIT_PANIC);
    }
    cpu->current = next;
    cpu->tss.rsp[0] = (uint64_t)(next + 1);
    switch_stack(&prev->rsp, next->rsp);
}

void make_ready(struct cpu *cpu, uint32_t index)
{
    cpu->ready |= 1ul << index;
}

void idle_loop(void)
{
    struct cpu *cpu = this_cpu();

    for (;;) {
        irqs_off();
        if (cpu->ready) {
            schedule();
        } else {
            asm volatile("sti; hlt" ::: "memory");
        }
    }
}

/* The caller's page failed: this one task ends. */
void exit_task(uint64_t gpa)
{
    struct cpu *cpu = this_cpu();
    struct task *task = cpu->current;

    irqs_off();
    cpu->ready &= ~(1ul << task->index);
    cpu->alive &= ~(1ul << task->index);
    cpu->count->alive--;
    cpu->count->failed++;
    say("killed task %u gpa 0x%lx", task->id, gpa);
    schedule();
    __builtin_unreachable();
}
