/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the guest's paging structures, as far as they are there.
 *
 * Nothing that is missing is touched, and no flag is set.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cpu.h"
#include "pv-ve/hw/pv-ve.h"

#define ADDRESS_MASK (MAKE_64BIT_MASK(12, 40))

static bool need(PvVeNeeded *n, hwaddr gpa, bool is_structure)
{
    n->gpa = gpa;
    n->host = pv_ve_host_at(gpa, &n->missing);
    n->is_structure = is_structure;
    return n->host;
}

bool pv_ve_walk(const PvVePaging *paging, uint64_t gla, PvVeNeeded *n)
{
    uint64_t table = paging->cr3 & ADDRESS_MASK;

    for (int level = paging->levels; level > 0; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t entry;

        if (!need(n, table + 8 * (gla >> shift & 511), true)) {
            return false;
        }
        if (n->missing) {
            return true;
        }
        entry = ldq_le_p(n->host);
        if (!(entry & PG_PRESENT_MASK)) {
            return false;
        }
        table = entry & ADDRESS_MASK;
        if (level == 1 || (level < 4 && entry & PG_PSE_MASK)) {
            uint64_t inside = MAKE_64BIT_MASK(0, shift);

            return need(n, (table & ~inside) | (gla & inside), false);
        }
    }
    return false;
}
