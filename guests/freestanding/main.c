/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot: from the PVH start info to running tasks. */

#include "guest.h"
#include "pages.h"

#define PVH_MAGIC           0x336ec578u
#define PVH_RAM             1u
#define FW_CFG_SELECT       0x510
#define FW_CFG_DATA         0x511
#define FW_CFG_NB_CPUS      5
#define PIC_MASK            0x21
#define PIC2_MASK           0xa1

/* The part of the start info that this guest reads, and an entry of its map */
struct pvh_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, cmdline, rsdp, map;
    uint32_t map_entries, reserved;
};

struct pvh_map {
    uint64_t start, size;
    uint32_t type, reserved;
};

void main(const struct pvh_info *info);
void main_other(uint32_t number);

static uint32_t online;

static void refuse(const char *why)
{
    say("%s", why);
    stop(EXIT_PANIC);
}

static bool is_ram(const struct pvh_info *info, uint64_t start, uint64_t end)
{
    const struct pvh_map *m = (const struct pvh_map *)info->map;

    for (uint32_t i = 0; i < info->map_entries; i++, m++) {
        if (m->type == PVH_RAM && m->start <= start && end <= m->start + m->size) {
            return true;
        }
    }
    return false;
}

static uint32_t fw_cfg_ncpus(void)
{
    uint8_t low;

    outw(FW_CFG_SELECT, FW_CFG_NB_CPUS);
    low = inb(FW_CFG_DATA);
    return low | inb(FW_CFG_DATA) << 8;
}

static void read_start_info(const struct pvh_info *info)
{
    if (info->magic != PVH_MAGIC || info->version < 1) {
        refuse("not started by PVH");
    }
    if (info->cmdline) {
        parse_cmdline((const char *)info->cmdline);
    }
    if (!is_ram(info, 1ul << 20, REGION_GPA + (config.mem << 20))) {
        refuse("not enough memory: the test region lies from 16 MiB on");
    }
    if (config.unmap && (config.map_2m || config.ktouch)) {
        refuse("unmap=1 needs map=4k, and no tasks that touch at CPL 0");
    }
    ncpus = fw_cfg_ncpus();
    if (ncpus < 1 || ncpus > MAX_CPUS) {
        refuse("more than 8 vCPUs");
    }
}

/* Memory outlives a reset. */
static void init_report(void)
{
    volatile uint64_t *word = (volatile uint64_t *)report;

    for (uint64_t i = 0; i < sizeof(*report) / 8; i++) {
        word[i] = 0;
    }
    report->version = REPORT_VERSION;
    report->ncpus = ncpus;
    report->state = STATE_BOOT;
    report->region_gpa = REGION_GPA;
    report->pages = report->touched = (config.mem << 20) / PAGE_SIZE;
    report->magic = REPORT_MAGIC;
}

/* Information area, PV page and lists of each vCPU */
static void allocate_areas(void)
{
    for (uint32_t i = 0; i < ncpus; i++) {
        cpus[i].info = pool_kernel(PV_VE_AREA_SIZE);
        cpus[i].page = pool_kernel(PV_VE_AREA_SIZE);
        cpus[i].lists = config.urgent ? pool_kernel(2 * PV_VE_URGENT_PAGE) : NULL;
    }
}

static void say_hello(void)
{
    if (ve_wanted) {
        say("pv-ve guest: %u vCPUs, %lu pages, ve on (features 0x%lx, slots %lu)",
            ncpus, report->pages, report->features, report->slots);
    } else {
        say("pv-ve guest: %u vCPUs, %lu pages, ve off", ncpus, report->pages);
    }
}

/* What each vCPU does for itself; then it is the idle task. */
static void start_cpu(struct cpu *cpu)
{
    cpu_load_tables(cpu);
    apic_init_cpu();
    if (ve_wanted) {
        ve_enable(cpu);
    }
    cpu->last_tick = rdtsc();
    __atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
}

void main_other(uint32_t number)
{
    start_cpu(&cpus[number]);
    while (READ_ONCE(report->state) == STATE_BOOT) {
        relax();
    }
    apic_start_tick();
    idle_loop();
}

void main(const struct pvh_info *info)
{
    outb(PIC_MASK, 0xff);
    outb(PIC2_MASK, 0xff);
    serial_init();
    read_start_info(info);
    init_report();
    cpu_tables_init(entry_stubs);
    allocate_areas();
    create_tasks();
    build_page_tables();
    apic_calibrate();
    if (config.ve) {
        ve_find();
    }
    say_hello();
    for (uint64_t page = 0; page < report->pages; page++) {
        write_page(page, 0);
    }
    if (ncpus > 1) {
        apic_start_others(main_other);
    }
    start_cpu(&cpus[0]);
    while (READ_ONCE(online) != ncpus) {
        relax();
    }
    WRITE_ONCE(report->state, STATE_READY);
    say("ready");
    apic_start_tick();
    idle_loop();
}
