/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory, mapped one to one but for the test region:
 *
 *   0 .. 2 MiB     the image, in small pages; only the tasks' code is for CPL 3
 *   2 .. 4 MiB     report page, kernel pool from below, user pool from above
 *   4 .. 8 MiB     page tables of the test region
 *   8 .. 16 MiB    versions of the region's pages, for CPL 3
 *   16 MiB ..      the test region, for CPL 3, mapped at FAR
 *   3 .. 4 GiB     devices
 *
 * What the kernel always needs lies in few pages: after a postcopy migration every
 * one of them is missing, and most can only be waited for.
 */

#include "guest.h"

#define PTE_PRESENT         0x01ul
#define PTE_WRITE           0x02ul
#define PTE_USER            0x04ul
#define PTE_UNCACHED        0x18ul
#define PTE_ACCESSED        0x20ul
#define PTE_DIRTY           0x40ul
#define PTE_LARGE           0x80ul
#define KERNEL              (PTE_PRESENT | PTE_WRITE)
#define USER                (KERNEL | PTE_USER)

#define MIB                 (1ul << 20)
#define LARGE_SIZE          (2 * MIB)
#define POOL_END            (4 * MIB)
#define REGION_TABLES       (4 * MIB)
#define DEVICES             (3ul << 30)

extern const char user_start[], user_end[];

static page_table pml4, pdpt, pds[4], image_table, pool_table;
static page_table far_pdpt, far_pds[3], far_code;
/* For the command; the kernel needs fewer pages if it lies here. */
page_table vmsave_area;

static uint64_t kernel_pool = REPORT_GPA + PAGE_SIZE;
static uint64_t user_pool = POOL_END;

uint64_t page_table_root;

static uint64_t round_up(uint64_t size)
{
    return (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static void check_pools(void)
{
    if (kernel_pool > user_pool) {
        say("out of memory for tasks");
        stop(EXIT_PANIC);
    }
}

/* Whole pages, zero, for ever */
void *pool_kernel(uint64_t size)
{
    uint64_t at = kernel_pool;

    kernel_pool += round_up(size);
    check_pools();
    return (void *)at;
}

void *pool_user(uint64_t size)
{
    user_pool -= round_up(size);
    check_pools();
    return (void *)user_pool;
}

static void map_large(page_table *to, uint64_t gpa, uint64_t flags)
{
    to[gpa >> 30][gpa / LARGE_SIZE % 512] = gpa | flags | PTE_LARGE;
}

static void map_table(page_table *to, uint64_t gpa, uint64_t *table)
{
    to[gpa >> 30][gpa / LARGE_SIZE % 512] = (uint64_t)table | USER;
}

static void map_small(uint64_t *table, uint64_t from, uint64_t to, uint64_t flags)
{
    for (; from < to; from += PAGE_SIZE) {
        table[from / PAGE_SIZE % 512] = from | flags;
    }
}

static void map_region(void)
{
    uint64_t end = REGION_GPA + config.mem * MIB;
    uint64_t *table = (uint64_t *)REGION_TABLES;

    for (uint64_t gpa = REGION_GPA; gpa < end; gpa += LARGE_SIZE, table += 512) {
        if (config.map_2m) {
            map_large(far_pds, gpa, USER);
        } else {
            map_small(table, gpa, gpa + LARGE_SIZE < end ? gpa + LARGE_SIZE : end, USER);
            map_table(far_pds, gpa, table);
        }
    }
}

static void map_far(void)
{
    pml4[FAR >> 39] = (uint64_t)far_pdpt | USER;
    for (uint64_t i = 0; i < 3; i++) {
        far_pdpt[i] = (uint64_t)far_pds[i] | USER;
    }
    map_small(far_code, (uint64_t)user_start, (uint64_t)user_end, USER);
    map_table(far_pds, 0, far_code);
    map_region();
}

/* After the last allocation from the pools. */
void build_page_tables(void)
{
    page_table_root = (uint64_t)pml4;
    pml4[0] = (uint64_t)pdpt | USER;
    for (uint64_t i = 0; i < 4; i++) {
        pdpt[i] = (uint64_t)pds[i] | USER;
    }
    map_small(image_table, PAGE_SIZE, LARGE_SIZE, KERNEL);
    map_small(image_table, (uint64_t)user_start, (uint64_t)user_end, USER);
    map_table(pds, 0, image_table);
    map_small(pool_table, REPORT_GPA, REPORT_GPA + PAGE_SIZE, USER);
    map_small(pool_table, REPORT_GPA + PAGE_SIZE, kernel_pool, KERNEL);
    map_small(pool_table, user_pool, POOL_END, USER);
    map_table(pds, REPORT_GPA, pool_table);
    for (uint64_t gpa = REGION_TABLES; gpa < VERSIONS_GPA; gpa += LARGE_SIZE) {
        map_large(pds, gpa, KERNEL);
    }
    for (uint64_t gpa = VERSIONS_GPA; gpa < REGION_GPA; gpa += LARGE_SIZE) {
        map_large(pds, gpa, USER);
    }
    map_far();
    for (uint64_t gpa = DEVICES; gpa < DEVICES + (1ul << 30); gpa += LARGE_SIZE) {
        map_large(pds, gpa, KERNEL | PTE_UNCACHED);
    }
    asm volatile("movq %0, %%cr3" :: "r"(page_table_root) : "memory");
}

/* Is that where an entry lies that translates the address? */
bool is_entry_of(uint64_t gla, uint64_t gpa)
{
    uint64_t table = page_table_root;

    for (int shift = 39; shift >= 12; shift -= 9) {
        uint64_t at = table + 8 * (gla >> shift & 511);
        uint64_t entry;

        if (at == gpa) {
            return true;
        }
        entry = *(volatile uint64_t *)at;
        if (!(entry & PTE_PRESENT) || entry & PTE_LARGE) {
            return false;
        }
        table = entry & -PAGE_SIZE;
    }
    return false;
}

static uint64_t *entry_of_page(uint64_t page)
{
    return (uint64_t *)REGION_TABLES + page;
}

/*
 * By its owner, who alone unmaps it, and has just written to it.  The table may be
 * missing here too, so interrupts are on.
 */
void unmap_page(uint64_t page, struct frame *f)
{
    uint64_t wanted = PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY;
    uint64_t *entry = entry_of_page(page);
    uint64_t gpa = REGION_GPA + page * PAGE_SIZE;

    irqs_on();
    if ((READ_ONCE(*entry) & wanted) != wanted) {
        panic("accessed or dirty bit lost", f);
    }
    WRITE_ONCE(*entry, gpa | (USER & ~PTE_PRESENT));
    invlpg(FAR + gpa);
    irqs_off();
}

/* A task touches a page that its owner has unmapped. */
void page_fault(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    uint64_t gla = rdcr2();
    uint64_t page = (gla - FAR - REGION_GPA) / PAGE_SIZE;

    wrcr2(CR2_KEPT);
    if (f->error & PTE_PRESENT || page >= report->pages || !(f->rflags & RFLAGS_IF)) {
        panic("unexpected page fault", f);
    }
    cpu->count->page_faults++;
    cpu->count->walked_faults += cpu->current->user->walked == gla;
    irqs_on();
    __atomic_fetch_or(entry_of_page(page), PTE_PRESENT, __ATOMIC_SEQ_CST);
    irqs_off();
}
