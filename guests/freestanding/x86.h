/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The instructions that C has no words for. */
#ifndef GUEST_X86_H
#define GUEST_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE       4096ul
#define RFLAGS_IF       (1ul << 9)

#define READ_ONCE(x)        (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)    (*(volatile __typeof__(x) *)&(x) = (v))

static inline void barrier(void)
{
    asm volatile("" ::: "memory");
}

static inline void full_barrier(void)
{
    asm volatile("mfence" ::: "memory");
}

static inline void relax(void)
{
    asm volatile("pause" ::: "memory");
}

/* One instruction, so that tasks of one vCPU may share a counter. */
static inline void count(uint64_t *word)
{
    asm volatile("addq $1, %0" : "+m"(*word));
}

static inline void outb(uint16_t port, uint8_t value)
{
    asm volatile("outb %0, %1" :: "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void outw(uint16_t port, uint16_t value)
{
    asm volatile("outw %0, %1" :: "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
    asm volatile("outl %0, %1" :: "a"(value), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;

    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    asm volatile("wrmsr" :: "c"(msr), "a"((uint32_t)value),
                 "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline uint64_t rdcr2(void)
{
    uint64_t value;

    asm volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}

static inline void wrcr2(uint64_t value)
{
    asm volatile("movq %0, %%cr2" :: "r"(value));
}

static inline void invlpg(uint64_t gla)
{
    asm volatile("invlpg (%0)" :: "r"(gla) : "memory");
}

static inline void cpuid(uint32_t leaf, uint32_t out[4])
{
    asm volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                 : "a"(leaf), "c"(0));
}

static inline void irqs_off(void)
{
    asm volatile("cli" ::: "memory");
}

static inline void irqs_on(void)
{
    asm volatile("sti" ::: "memory");
}

static inline uint64_t irqs_save(void)
{
    uint64_t flags;

    asm volatile("pushfq; popq %0; cli" : "=r"(flags) :: "memory");
    return flags;
}

static inline void irqs_restore(uint64_t flags)
{
    asm volatile("pushq %0; popfq" :: "r"(flags) : "memory", "cc");
}

#endif
