/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC: ticks, and the start of the other vCPUs. */

#include "guest.h"

#define APIC_BASE           0xfee00000ul
#define APIC_ID             0x020
#define APIC_TPR            0x080
#define APIC_EOI            0x0b0
#define APIC_SVR            0x0f0
#define APIC_ICR_LOW        0x300
#define APIC_LVT_TIMER      0x320
#define APIC_LVT_LINT0      0x350
#define APIC_LVT_LINT1      0x360
#define APIC_TIMER_INITIAL  0x380
#define APIC_TIMER_NOW      0x390
#define APIC_TIMER_DIVIDE   0x3e0

#define CPUID_X2APIC        (1u << 21)      /* of leaf 1, ECX */
#define MSR_APIC_BASE       0x1b
#define APIC_BASE_X2        (3ul << 10)     /* enabled, x2APIC mode */
#define MSR_X2APIC          0x800           /* and the register's offset / 16 */

#define SVR_ENABLE          (1u << 8)
#define LVT_NMI             (4u << 8)
#define LVT_MASKED          (1u << 16)
#define LVT_PERIODIC        (1u << 17)
#define DIVIDE_BY_16        3
#define ICR_INIT            0x4500u         /* level asserted */
#define ICR_STARTUP         0x4600u
#define ICR_ALL_BUT_SELF    (3u << 18)

#define PIT_HZ              1193182ul
#define PIT_CHANNEL2        0x42
#define PIT_COMMAND         0x43
#define PIT_GATE            0x61
#define PIT_CALIBRATE       (PIT_HZ / 50)   /* 20 ms of the 55 that the counter has */

#define TRAMPOLINE_GPA      0x8000ul

extern const char trampoline[], trampoline_end[];
extern const uint64_t page_table_root_low;
extern void (*start_other)(uint32_t number);

static uint32_t tick_period;                /* of the APIC timer */

static bool x2apic;

/* Each vCPU; cheaper under KVM, which must emulate what touches the page. */
static void use_x2apic(void)
{
    uint32_t r[4];

    cpuid(1, r);
    if (config.x2apic && (r[2] & CPUID_X2APIC)) {
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2);
        x2apic = true;
    }
}

static uint32_t apic_read(uint32_t reg)
{
    if (x2apic) {
        return rdmsr(MSR_X2APIC + reg / 16);
    }
    return *(volatile uint32_t *)(APIC_BASE + reg);
}

static void apic_write(uint32_t reg, uint32_t value)
{
    if (x2apic) {
        wrmsr(MSR_X2APIC + reg / 16, value);
        return;
    }
    *(volatile uint32_t *)(APIC_BASE + reg) = value;
}

uint32_t apic_id(void)
{
    return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

static uint16_t pit_now(void)
{
    uint8_t low;

    outb(PIT_COMMAND, 0x80);                /* latch channel 2 */
    low = inb(PIT_CHANNEL2);
    return low | inb(PIT_CHANNEL2) << 8;
}

/* True if the measured time was one run of the PIT's counter, not more. */
static bool measure(uint64_t *pit, uint64_t *tsc, uint64_t *apic)
{
    uint16_t start;

    outb(PIT_GATE, (inb(PIT_GATE) & ~2) | 1);
    outb(PIT_COMMAND, 0xb0);                /* channel 2, both bytes, mode 0 */
    outb(PIT_CHANNEL2, 0xff);
    outb(PIT_CHANNEL2, 0xff);
    start = pit_now();
    *tsc = rdtsc();
    *apic = apic_read(APIC_TIMER_NOW);
    do {
        *pit = (uint16_t)(start - pit_now());
    } while (*pit < PIT_CALIBRATE && !(inb(PIT_GATE) & 0x20));
    *tsc = rdtsc() - *tsc;
    *apic = *apic - apic_read(APIC_TIMER_NOW);
    return !(inb(PIT_GATE) & 0x20);
}

void apic_calibrate(void)
{
    uint64_t pit, tsc, apic;

    use_x2apic();
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_16);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_TIMER_INITIAL, 0xffffffff);
    while (!measure(&pit, &tsc, &apic)) {
    }
    report->tsc_hz = tsc * PIT_HZ / pit;
    tick_period = apic * PIT_HZ / pit / config.hz;
}

void apic_init_cpu(void)
{
    use_x2apic();
    apic_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_NMI);
}

void apic_start_tick(void)
{
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_16);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_TICK);
    apic_write(APIC_TIMER_INITIAL, tick_period);
}

static void delay_us(uint64_t us)
{
    uint64_t end = rdtsc() + report->tsc_hz / 1000000 * us;

    while ((int64_t)(end - rdtsc()) > 0) {
        relax();
    }
}

void apic_start_others(void (*start)(uint32_t number))
{
    volatile char *to = (volatile char *)TRAMPOLINE_GPA;
    size_t root = (const char *)&page_table_root_low - trampoline;

    for (const char *from = trampoline; from < trampoline_end; from++) {
        to[from - trampoline] = *from;
    }
    *(volatile uint64_t *)(TRAMPOLINE_GPA + root) = page_table_root;
    start_other = start;
    full_barrier();
    apic_write(APIC_ICR_LOW, ICR_ALL_BUT_SELF | ICR_INIT);
    delay_us(10000);
    apic_write(APIC_ICR_LOW, ICR_ALL_BUT_SELF | ICR_STARTUP | TRAMPOLINE_GPA / PAGE_SIZE);
}
