/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables, and the end of the guest.  Needs nothing but the serial port. */

#include "guest.h"

#define DEBUG_EXIT_PORT     0xf4
#define DOUBLE_FAULT        8
#define GATE_INTERRUPT      0x8e00      /* present, interrupts off, from CPL 0 */
#define GATE_DPL3           0x6000
#define TSS_AVAILABLE       0x89ul

struct gate {
    uint16_t offset_0;
    uint16_t selector;
    uint16_t flags;                     /* IST in the low bits */
    uint16_t offset_16;
    uint32_t offset_32;
    uint32_t reserved;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern uint64_t gdt[];
extern struct table_pointer gdt_pointer;

struct cpu cpus[MAX_CPUS];
struct task idle_tasks[MAX_CPUS];
uint32_t ncpus = 1;

static struct gate idt[NR_VECTORS];
static uint8_t double_fault_stack[1024] __attribute__((aligned(16)));

static void set_gate(uint32_t vector, uint64_t at, uint16_t flags)
{
    idt[vector] = (struct gate) {
        .offset_0 = at, .offset_16 = at >> 16, .offset_32 = at >> 32,
        .selector = SEL_KCODE, .flags = flags,
    };
}

static void set_tss(struct cpu *cpu)
{
    uint64_t at = (uint64_t)&cpu->tss;
    uint64_t *descriptor = &gdt[SEL_TSS / 8 + 2 * cpu->number];

    cpu->tss.iomap = sizeof(cpu->tss);
    cpu->tss.ist[0] = (uint64_t)(double_fault_stack + sizeof(double_fault_stack));
    descriptor[0] = (sizeof(cpu->tss) - 1) | (at & 0xffffff) << 16 |
                    TSS_AVAILABLE << 40 | (at >> 24 & 0xff) << 56;
    descriptor[1] = at >> 32;
}

void cpu_tables_init(const uint64_t entry[NR_VECTORS])
{
    for (uint32_t v = 0; v < NR_VECTORS; v++) {
        set_gate(v, entry[v], GATE_INTERRUPT);
    }
    set_gate(DOUBLE_FAULT, entry[DOUBLE_FAULT], GATE_INTERRUPT | 1);
    set_gate(VECTOR_CALL, entry[VECTOR_CALL], GATE_INTERRUPT | GATE_DPL3);
    for (uint32_t i = 0; i < ncpus; i++) {
        cpus[i].number = i;
        cpus[i].idle = cpus[i].current = &idle_tasks[i];
        cpus[i].count = &report->cpu[i];
        idle_tasks[i].cpu = &cpus[i];
        idle_tasks[i].index = MAX_TASKS;
        idle_tasks[i].canary = TASK_CANARY;
        set_tss(&cpus[i]);
    }
}

void cpu_load_tables(struct cpu *cpu)
{
    struct table_pointer idt_pointer = { sizeof(idt) - 1, (uint64_t)idt };

    asm volatile("lgdt %0" :: "m"(gdt_pointer));
    asm volatile("lidt %0" :: "m"(idt_pointer));
    asm volatile("ltr %w0" :: "r"(SEL_TSS + 16 * cpu->number));
}

void stop(enum exit_value value)
{
    outl(DEBUG_EXIT_PORT, value);
    for (;;) {
        asm volatile("cli; hlt");
    }
}

/* Not asked of the APIC, so that all files can panic. */
static uint32_t initial_apic_id(void)
{
    uint32_t r[4];

    cpuid(1, r);
    return r[1] >> 24;
}

void panic(const char *what, struct frame *f)
{
    say_force();
    say("panic %s vector %lu error 0x%lx rip 0x%lx cs 0x%lx rsp 0x%lx cr2 0x%lx apic %u",
        what, f->vector, f->error, f->rip, f->cs, f->rsp, rdcr2(),
        initial_apic_id());
    report->state = STATE_PANIC;
    stop(EXIT_PANIC);
}
