/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the source is asked for what the guest will need next, before it does.
 *
 * In the thread of the vCPU that touches a missing page, after that page was asked for.
 * Which pages follow in the guest's linear addresses, its paging structures say, as far
 * as they are there; one that is missing is asked for instead.  The lock is not held
 * meanwhile.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "pv-ve/hw/pv-ve.h"
#include "trace.h"

/* The kernel's half is the same in all address spaces; bit 12 is KPTI's. */
static uint64_t space_of(const PvVeFault *f)
{
    return f->gla >> 63 ? 0 : f->paging.cr3 >> 13;
}

/* A source that can be asked ahead, if @gpa is missing there. */
static const PvVeSource *source_of(hwaddr gpa, RAMBlock **block, ram_addr_t *page)
{
    const PvVeSource *source;
    ram_addr_t offset;

    *block = pv_ve_block_at(gpa, &offset);
    if (!*block) {
        return NULL;
    }
    *page = pv_ve_page_of(*block, offset);
    return pv_ve_page_state(*block, *page, &source) == PV_VE_PAGE_MISSING &&
           source->request_ahead ? source : NULL;
}

static PvVeAsked ask_for(hwaddr gpa)
{
    ram_addr_t page;
    RAMBlock *block;
    const PvVeSource *source = source_of(gpa, &block, &page);

    return source ? source->request_ahead(block, page) : PV_VE_ASKED_BEFORE;
}

/* The page that is needed now: what follows must not overtake it. */
static bool ask_first(hwaddr gpa)
{
    ram_addr_t page;
    RAMBlock *block;
    const PvVeSource *source = source_of(gpa, &block, &page);

    return source && source->request(block, page);
}

/* Returns how many pages were looked at. */
static unsigned ask_ahead(const PvVePaging *paging, const PvVeAhead *a, uint64_t *asked)
{
    unsigned left = a->want, looked;
    PvVeNeeded n;

    *asked = 0;
    for (looked = 0; looked < a->span; looked++) {
        uint64_t page = a->down ? a->from - looked : a->from + looked;
        PvVeAsked result = PV_VE_ASKED_BEFORE;

        if (!pv_ve_walk(paging, page << TARGET_PAGE_BITS, &n)) {
            break;
        }
        if (n.missing) {
            result = left ? ask_for(n.gpa) : PV_VE_NOT_ASKED;
        }
        if (result == PV_VE_ASKED) {
            *asked |= 1ull << looked;
            left--;
        }
        if (result == PV_VE_NOT_ASKED || (n.missing && n.is_structure)) {
            break;
        }
    }
    return looked;
}

void pv_ve_ahead(PvVe *ve, const PvVeFault *f, bool asked_for)
{
    const uint32_t data = PV_VE_Q_GLA_VALID | PV_VE_Q_TRANSLATED;
    PvVeAhead a;
    uint64_t asked;
    unsigned looked;

    if (f->guest.mode || f->guest.event || (f->qualification & data) != data) {
        return;
    }
    {
        PV_VE_LOCK_GUARD(ve);

        if (!ve->read_ahead) {
            return;
        }
        a = pv_ve_streams_touch(&ve->streams, space_of(f), f->gla >> TARGET_PAGE_BITS,
                                f->last >> TARGET_PAGE_BITS);
    }
    if (a.want && !asked_for && !ask_first(f->gpa)) {
        return;
    }
    looked = ask_ahead(&f->paging, &a, &asked);
    trace_pv_ve_ahead(f->gla, a.from << TARGET_PAGE_BITS, a.want, looked, asked);

    PV_VE_LOCK_GUARD(ve);
    pv_ve_streams_asked(&ve->streams, &a, looked, asked);
}
