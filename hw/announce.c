/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the guest is told that its lists may soon be read, by a word of each PV page.
 *
 * What is so, PvVe.announced says.  The word is the guest's copy of it: it travels with
 * the guest's memory, as it was on the source, and is put right where the machine runs
 * next.  Nothing but the word itself says what the guest was told last.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "pv-ve/hw/pv-ve.h"
#include "trace.h"

void pv_ve_announce(PvVe *ve, PvVeVcpu *v)
{
    uint32_t word = cpu_to_le32(ve->announced);
    struct pv_ve_page *page = v->page.host;

    if (!pv_ve_enabled(v) || !(v->features & PV_VE_F_URGENT) ||
        !pv_ve_area_present(ve, &v->page) || qatomic_read(&page->announced) == word) {
        return;
    }
    trace_pv_ve_announce(v - ve->vcpu, ve->announced);
    qatomic_set(&page->announced, word);
    pv_ve_area_dirty(&v->page, offsetof(struct pv_ve_page, announced), sizeof(word));
    pv_ve_notify(ve, v);
}

void pv_ve_announce_all(PvVe *ve)
{
    PV_VE_LOCK_GUARD(ve);

    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        pv_ve_announce(ve, &ve->vcpu[i]);
    }
}
