/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must come first after a migration: described when one is announced, withdrawn when
 * that is over.  Each vCPU names its two areas; vCPU 0 has a second list, with the image
 * and the test region.
 */

#include "ve.h"

#define CLASS_NEEDED        0
#define CLASS_USED          2

static void name(struct pv_ve_urgent_list *list, uint64_t where, uint64_t what)
{
    list->entry[list->count].where = where;
    list->entry[list->count].what = what;
    list->count++;
}

static void begin(struct pv_ve_urgent_list *list, uint64_t next)
{
    list->next = next;
    list->count = 0;
    list->reserved = 0;
}

static void describe(struct cpu *cpu)
{
    struct pv_ve_urgent_list *more = cpu->lists + 1;

    begin(cpu->lists, 0);
    name(cpu->lists, (uint64_t)cpu->info | CLASS_NEEDED, 1);
    name(cpu->lists, (uint64_t)cpu->page | CLASS_NEEDED, 1);
    if (cpu->number == 0) {
        begin(more, 0);
        name(more, REGION_GPA | CLASS_USED, report->pages);
        name(more, IMAGE_GPA | CLASS_NEEDED | PV_VE_URGENT_BITMAP, ~0ul);
        cpu->lists->next = (uint64_t)more;
    }
    barrier();
    wrmsr(ve.msr + PV_VE_MSR_URGENT, (uint64_t)cpu->lists);
}

void urgent_answer(struct cpu *cpu, bool announced)
{
    cpu->announced = announced;
    if (announced) {
        describe(cpu);
    } else {
        wrmsr(ve.msr + PV_VE_MSR_URGENT, 0);
    }
}
