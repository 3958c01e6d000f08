/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: ranges of guest RAM that a test or a guest developer withholds.
 *
 * A withheld page keeps its content and is out of the guest's reach until it is
 * released.  A page that failed is withheld too, and its faults are told so.
 *
 * Where the accelerator can hold vCPUs (TCG) the page stays in memory.  Else (KVM) it
 * is absent, and its content is kept in the stash.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qom/object.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "system/runstate.h"
#include "pv-ve/sources/withheld.h"

#define TYPE_PV_VE_WITHHELD "pv-ve-withheld"

/* ---- Ranges of guest-physical addresses, BQL held ------------------------- */

/* The RAM at the start of the range, as far as it goes; a reference to it. */
static bool find_ram(uint64_t gpa, uint64_t size, MemoryRegionSection *section,
                     Error **errp)
{
    uint64_t page_size, found;

    *section = memory_region_find(get_system_memory(), gpa, size);
    if (!section->mr || !memory_region_is_ram(section->mr) ||
        section->offset_within_address_space != gpa) {
        memory_region_unref(section->mr);
        error_setg(errp, "there is no RAM at 0x%" PRIx64 "; give a range of guest RAM",
                   gpa);
        return false;
    }
    page_size = qemu_ram_pagesize(section->mr->ram_block);
    found = int128_get64(section->size);
    if ((section->offset_within_region | found) % page_size) {
        memory_region_unref(section->mr);
        error_setg(errp, "start and size must be multiples of 0x%" PRIx64 ", the page "
                   "size of the RAM at 0x%" PRIx64, page_size, gpa);
        return false;
    }
    return true;
}

static bool check_range(uint64_t start, uint64_t size, Error **errp)
{
    if (!size || start + size < start) {
        error_setg(errp, "the size must not be 0, nor the range go past the end of the "
                   "address space");
        return false;
    }
    for (uint64_t done = 0; done < size;) {
        MemoryRegionSection section;

        if (!find_ram(start + done, size - done, &section, errp)) {
            return false;
        }
        done += int128_get64(section.size);
        memory_region_unref(section.mr);
    }
    return true;
}

static bool change_section(const MemoryRegionSection *section, PvVeChange change,
                           Error **errp)
{
    RAMBlock *ram = section->mr->ram_block;
    size_t page_size = qemu_ram_pagesize(ram);
    size_t first = section->offset_within_region / page_size;
    size_t pages = int128_get64(section->size) / page_size;
    PvVeMarks *marks = pv_ve_marks_need(ram);

    for (size_t i = 0; i < pages; i++) {
        if (change == PV_VE_RELEASE || !marks->content) {
            pv_ve_withheld_change_page(ram, first + i, change);
        } else if (!pv_ve_withheld_take_page(marks, first + i, change, errp)) {
            return false;
        } else if (change == PV_VE_FAIL) {
            pv_ve_page_failed(ram, (first + i) * page_size);
        }
    }
    return true;
}

static bool change_sections(uint64_t start, uint64_t size, PvVeChange change,
                            Error **errp)
{
    bool ok = true;

    for (uint64_t done = 0; ok && done < size;) {
        MemoryRegionSection section;

        find_ram(start + done, size - done, &section, &error_abort);
        ok = change_section(&section, change, errp);
        done += int128_get64(section.size);
        memory_region_unref(section.mr);
    }
    return ok;
}

/* While the machine is stopped nobody writes to its RAM, not even block devices. */
static void withdraw_absent(uint64_t start, uint64_t size, PvVeChange change,
                            Error **errp)
{
    RunState before = runstate_get();

    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "pages cannot be withheld from KVM before the guest has come");
        return;
    }
    if (!pv_ve_withheld_start(errp)) {
        return;
    }
    vm_stop(RUN_STATE_PAUSED);
    /* Again: the guest ran on until it was stopped, and may have moved its memory. */
    if (check_range(start, size, errp)) {
        change_sections(start, size, change, errp);
    }
    vm_resume(before);
}

/* Nothing changes unless all of the range is RAM. */
static void change_range(uint64_t start, uint64_t size, PvVeChange change, Error **errp)
{
    if (!check_range(start, size, errp)) {
        return;
    }
    if (change == PV_VE_RELEASE) {
        change_sections(start, size, change, errp);
    } else if (pv_ve_can_hold()) {
        change_sections(start, size, change, errp);
        pv_ve_pages_withdrawn();
    } else {
        withdraw_absent(start, size, change, errp);
    }
}

/* ---- The object ----------------------------------------------------------- */

static bool visit_range(Visitor *v, const char *name, uint64_t *start, uint64_t *size,
                        bool *suppressed, Error **errp)
{
    bool given = false;
    bool ok;

    if (!visit_start_struct(v, name, NULL, 0, errp)) {
        return false;
    }
    ok = visit_type_uint64(v, "start", start, errp) &&
         visit_type_size(v, "size", size, errp);
    if (ok && suppressed && visit_optional(v, "suppressed", &given)) {
        ok = visit_type_bool(v, "suppressed", suppressed, errp);
    }
    ok = ok && visit_check_struct(v, errp);
    visit_end_struct(v, NULL);
    return ok;
}

static Object *used;            /* by which ranges were withheld; BQL */

/* Of all three properties; @opaque is the PvVeChange. */
static void set_range(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    PvVeChange change = GPOINTER_TO_INT(opaque);
    bool suppressed = false;
    uint64_t start, size;

    if (visit_range(v, name, &start, &size,
                    change == PV_VE_WITHHOLD ? &suppressed : NULL, errp)) {
        used = obj;
        change_range(start, size, suppressed ? PV_VE_WITHHOLD_SUPPRESSED : change, errp);
    }
}

static void get_pages(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    uint64_t pages = pv_ve_marks_nr_missing();

    visit_type_uint64(v, name, &pages, errp);
}

static void add_range_property(ObjectClass *oc, const char *name, PvVeChange change,
                               const char *description)
{
    object_class_property_add(oc, name, "PvVeRange", NULL, set_range, NULL,
                              GINT_TO_POINTER(change));
    object_class_property_set_description(oc, name, description);
}

static void withheld_class_init(ObjectClass *oc, void *data)
{
    add_range_property(oc, "withhold", PV_VE_WITHHOLD,
                       "Take a range of guest RAM out of the guest's reach: start, size "
                       "in bytes; suppressed: without #VE");
    add_range_property(oc, "release", PV_VE_RELEASE, "Let the guest have a range");
    add_range_property(oc, "fail", PV_VE_FAIL,
                       "Withhold a range and say that it will never come");
    object_class_property_add(oc, "pages", "uint64", get_pages, NULL, NULL, NULL);
    object_class_property_set_description(oc, "pages",
                                          "How many pages are withheld or failed");
}

/*
 * The device has gone, and with it whoever could release what is withheld.  Not one that
 * was made only to be asked for its properties.  BQL held.
 */
static void withheld_finalize(Object *obj)
{
    PvVeMarks *marks;

    if (obj != used) {
        return;
    }
    QLIST_FOREACH(marks, &pv_ve_marks_list, link) {
        pv_ve_withheld_supply_all(marks, marks->missing);
    }
}

static const TypeInfo withheld_type = {
    .name = TYPE_PV_VE_WITHHELD,
    .parent = TYPE_OBJECT,
    .instance_finalize = withheld_finalize,
    .class_init = withheld_class_init,
};

static void register_types(void)
{
    type_register_static(&withheld_type);
}
type_init(register_types)

/* ---- The source ----------------------------------------------------------- */

static PvVePageState page_state(RAMBlock *ram, ram_addr_t offset)
{
    if (!pv_ve_marks_nr_missing()) {
        return PV_VE_PAGE_PRESENT;      /* during a postcopy asked again and again */
    }
    QEMU_LOCK_GUARD(&pv_ve_marks_lock);
    return pv_ve_marks_page_state(ram, offset);
}

/* Whoever withholds knows. */
static bool request_page(RAMBlock *ram, ram_addr_t offset)
{
    return true;
}

static const PvVeSource source = {
    .blocks = false,
    .state = page_state,
    .request = request_page,
    .supply = pv_ve_withheld_supply,
};

static void __attribute__((constructor)) register_source(void)
{
    pv_ve_register_source(&source);
}
