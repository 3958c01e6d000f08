/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tasks of each vCPU, and the stacks that they start with. */

#include "guest.h"

#define RFLAGS_START    (RFLAGS_IF | 2)

/* A stack as switch_stack() and return_from_entry() find it. */
static void prepare_stack(struct task *t, void (*run)(struct user *), bool user_mode)
{
    struct frame *f = (struct frame *)(t + 1) - 1;
    uint64_t *sp = (uint64_t *)f;

    f->rip = (uint64_t)run;
    f->rdi = (uint64_t)t->user;
    f->rflags = RFLAGS_START;
    f->cs = user_mode ? SEL_UCODE : SEL_KCODE;
    f->ss = user_mode ? SEL_UDATA : SEL_KDATA;
    /* as after a call: 8 below a multiple of 16 */
    f->rsp = (user_mode ? (uint64_t)(t->user + 1) : (uint64_t)(t + 1)) - 8;
    *--sp = (uint64_t)return_from_entry;
    t->rsp = (uint64_t)(sp - 6);
}

/* The same code, in the other mapping */
static void (*far(void (*run)(struct user *)))(struct user *)
{
    return (void (*)(struct user *))((uint64_t)run + FAR);
}

static struct task *create_task(struct cpu *cpu, uint32_t index, uint32_t id,
                                void (*run)(struct user *), bool user_mode,
                                uint64_t *counter)
{
    struct task *t = cpu->tasks + index;

    t->cpu = cpu;
    t->user = cpu->users + index;
    t->index = index;
    t->id = id;
    t->canary = TASK_CANARY;
    t->user->id = id;
    t->user->owners = ncpus * (config.touch + config.ktouch);
    t->user->pages = report->pages;
    t->user->burst = config.burst;
    t->user->unmap = config.unmap;
    t->user->random = (id + 1) * 0x9e3779b97f4a7c15ul;
    t->user->counter = counter;
    prepare_stack(t, run, user_mode);
    cpu->alive |= 1ul << index;
    make_ready(cpu, index);
    return t;
}

/* Touching tasks have the first ids, vCPU by vCPU: verify.c finds them so. */
static void create_tasks_of(struct cpu *cpu)
{
    uint32_t touching = config.touch + config.ktouch;
    uint32_t n = touching + config.compute + 1;
    uint32_t id = cpu->number * touching;
    uint32_t i = 0;

    cpu->tasks = pool_kernel(n * sizeof(struct task));
    cpu->users = pool_user(n * sizeof(struct user));
    for (; i < config.touch; i++) {
        create_task(cpu, i, id + i, far(task_touch), true, &cpu->count->touch);
    }
    for (; i < touching; i++) {
        create_task(cpu, i, id + i, task_touch, false, &cpu->count->ktouch);
    }
    id = ncpus * touching + cpu->number * config.compute;
    for (; i < n - 1; i++) {
        create_task(cpu, i, id + i - touching, task_compute, true, &cpu->count->compute);
    }
    cpu->count->alive = n - 1;
    if (cpu->number == 0) {
        verifier = create_task(cpu, i, ncpus * (n - 1), task_verify, true, NULL);
        verifier->user->buffer = pool_user(PAGE_SIZE);
    }
}

void create_tasks(void)
{
    for (uint32_t i = 0; i < ncpus; i++) {
        create_tasks_of(&cpus[i]);
    }
}
