/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an entry into the kernel is about: exceptions, interrupts, calls of tasks. */

#include "guest.h"

#define NMI                 2
#define GENERAL_PROTECTION  13
#define PAGE_FAULT          14
#define COMMAND_TICKS       16      /* under KVM a look at the port leaves the kernel */

void dispatch(struct frame *f);

static void note_stall(struct cpu *cpu)
{
    uint64_t now = rdtsc();

    if (now - cpu->last_tick > cpu->count->stall) {
        cpu->count->stall = now - cpu->last_tick;
    }
    cpu->last_tick = now;
}

static void tick(void)
{
    struct cpu *cpu = this_cpu();

    cpu->count->ticks++;
    note_stall(cpu);
    apic_eoi();
    if (cpu->number == 0 && cpu->count->ticks % COMMAND_TICKS == 0) {
        poll_commands();
    }
    follow_commands(cpu);
    schedule();
}

/* INT by a task: RAX says what for, and takes the answer. */
static void kernel_call(struct frame *f)
{
    if (f->rax == CALL_YIELD) {
        schedule();
    } else if (f->rax == CALL_CONTENT) {
        content_error(this_cpu(), f->rdi, f->rsi);
    } else if (f->rax == CALL_VERIFY) {
        verify_begin();
    } else if (f->rax == CALL_VERIFIED) {
        verify_end(f->rdi, f->rsi);
    } else if (f->rax == CALL_KILLED) {
        f->rax = owner_killed(f->rdi);
    } else if (f->rax == CALL_UNMAP) {
        unmap_page(f->rdi, f);
    } else {
        panic("unknown call", f);
    }
}

/* It needs a page that may be missing, where no #VE can be. */
static void nmi(void)
{
    (void)*(volatile uint64_t *)(FAR + REGION_GPA);
    this_cpu()->count->nmis++;
}

/* Every entry into the kernel, with interrupts off. */
void dispatch(struct frame *f)
{
    if (f->vector == PV_VE_VECTOR) {
        ve_exception(f);
    } else if (f->vector == VECTOR_TICK) {
        tick();
    } else if (f->vector == VECTOR_CALL) {
        kernel_call(f);
    } else if (f->vector == VECTOR_NOTIFY) {
        ve_notification();
    } else if (f->vector == PAGE_FAULT && config.unmap) {
        page_fault(f);
    } else if (f->vector == NMI) {
        nmi();
    } else if (f->vector == GENERAL_PROTECTION && f->rip == (uint64_t)try_wrmsr_at) {
        f->rip = (uint64_t)try_wrmsr_failed;
    } else if (f->vector != VECTOR_SPURIOUS) {
        panic("unexpected", f);
    }
}
