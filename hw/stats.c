/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: what users see of the device: properties "stats" and "vcpus". */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "pv-ve/hw/pv-ve.h"
#include "pv-ve/outgoing/hot.h"
#include "trace.h"

static const char *const decline_name[PV_VE_NR_DECLINES] = {
    [PV_VE_DECLINE_NONE] = "none",
    [PV_VE_DECLINE_DISABLED] = "disabled",
    [PV_VE_DECLINE_SUPPRESSED] = "suppressed",
    [PV_VE_DECLINE_MODE] = "mode",
    [PV_VE_DECLINE_CPL] = "cpl",
    [PV_VE_DECLINE_INTERRUPTS_OFF] = "interrupts-off",
    [PV_VE_DECLINE_NMI] = "nmi",
    [PV_VE_DECLINE_EVENT] = "event",
    [PV_VE_DECLINE_BUSY] = "busy",
    [PV_VE_DECLINE_SLOTS] = "slots",
    [PV_VE_DECLINE_AREA] = "area",
    [PV_VE_DECLINE_SOURCE] = "source",
};

static const char *const kick_name[PV_VE_NR_KICKS] = {
    [PV_VE_KICK_SENT] = "sent",
    [PV_VE_KICK_DECLINED] = "declined",
    [PV_VE_KICK_LATE] = "late",
    [PV_VE_KICK_SPARED] = "spared",
};

static const char *const ahead_name[] = { "asked", "hit", "missed" };

void pv_ve_count_kick(unsigned vcpu, PvVeKick kick)
{
    PvVe *ve = pv_ve_core;

    trace_pv_ve_kick(vcpu, kick_name[kick]);
    PV_VE_LOCK_GUARD(ve);
    ve->vcpu[vcpu].stats.kick[kick]++;
}

const char *pv_ve_decline_name(PvVeDecline why)
{
    return decline_name[why];
}

static void add_up(PvVeStats *sum, const PvVeStats *s)
{
    sum->delivered += s->delivered;
    sum->parked += s->parked;
    sum->waited += s->waited;
    sum->resolved += s->resolved;
    sum->failed += s->failed;
    sum->notified += s->notified;
    for (unsigned i = 0; i < PV_VE_NR_DECLINES; i++) {
        sum->declined[i] += s->declined[i];
    }
    for (unsigned i = 0; i < PV_VE_NR_KICKS; i++) {
        sum->kick[i] += s->kick[i];
    }
}

/* A struct of counters */
static bool visit_counters(Visitor *visitor, const char *what, const char *const *name,
                           uint64_t *value, unsigned nr, Error **errp)
{
    bool ok = visit_start_struct(visitor, what, NULL, 0, errp);

    if (!ok) {
        return false;
    }
    for (unsigned i = 0; ok && i < nr; i++) {
        ok = visit_type_uint64(visitor, name[i], &value[i], errp);
    }
    visit_end_struct(visitor, NULL);
    return ok;
}

static bool is_realized(const PvVe *ve, Error **errp)
{
    if (!ve) {
        error_setg(errp, "the device has not been realized");
    }
    return ve;
}

static void get_stats(Object *obj, Visitor *visitor, const char *name, void *opaque,
                      Error **errp)
{
    PvVe *ve = pv_ve_core;
    PvVeStats sum = { 0 };
    uint64_t named, refused, ahead[ARRAY_SIZE(ahead_name)];
    bool ok;

    if (!is_realized(ve, errp)) {
        return;
    }
    {
        PV_VE_LOCK_GUARD(ve);

        for (unsigned i = 0; i < ve->nr_vcpus; i++) {
            add_up(&sum, &ve->vcpu[i].stats);
        }
        named = ve->named;
        refused = ve->refused;
        ahead[0] = ve->streams.asked;
        ahead[1] = ve->streams.hit;
        ahead[2] = ve->streams.missed;
    }
    if (!visit_start_struct(visitor, name, NULL, 0, errp)) {
        return;
    }
    ok = visit_type_uint64(visitor, "delivered", &sum.delivered, errp) &&
         visit_type_uint64(visitor, "parked", &sum.parked, errp) &&
         visit_type_uint64(visitor, "waited", &sum.waited, errp) &&
         visit_type_uint64(visitor, "resolved", &sum.resolved, errp) &&
         visit_type_uint64(visitor, "failed", &sum.failed, errp) &&
         visit_type_uint64(visitor, "notified", &sum.notified, errp) &&
         visit_type_uint64(visitor, "named", &named, errp) &&
         visit_type_uint64(visitor, "refused", &refused, errp) &&
         visit_counters(visitor, "ahead", ahead_name, ahead, ARRAY_SIZE(ahead), errp) &&
         visit_counters(visitor, "declined", decline_name + 1, sum.declined + 1,
                        PV_VE_NR_DECLINES - 1, errp) &&
         visit_counters(visitor, "kicks", kick_name, sum.kick, PV_VE_NR_KICKS, errp);
    if (ok) {
        visit_check_struct(visitor, errp);
    }
    visit_end_struct(visitor, NULL);
}

static bool visit_vcpu(Visitor *visitor, PvVe *ve, PvVeVcpu *v, Error **errp)
{
    uint64_t features, control, info, page, notify, urgent, outstanding;
    bool ok;

    {
        PV_VE_LOCK_GUARD(ve);

        features = v->features;
        control = v->control;
        info = v->info_gpa;
        page = v->page_gpa;
        notify = v->notify;
        urgent = v->urgent;
        outstanding = pv_ve_slots_outstanding(&v->slots);
    }
    if (!visit_start_struct(visitor, NULL, NULL, 0, errp)) {
        return false;
    }
    ok = visit_type_uint64(visitor, "features", &features, errp) &&
         visit_type_uint64(visitor, "control", &control, errp) &&
         visit_type_uint64(visitor, "info-area", &info, errp) &&
         visit_type_uint64(visitor, "pv-page", &page, errp) &&
         visit_type_uint64(visitor, "notify", &notify, errp) &&
         visit_type_uint64(visitor, "urgent", &urgent, errp) &&
         visit_type_uint64(visitor, "outstanding", &outstanding, errp);
    visit_end_struct(visitor, NULL);
    return ok;
}

static void get_vcpus(Object *obj, Visitor *visitor, const char *name, void *opaque,
                      Error **errp)
{
    PvVe *ve = pv_ve_core;

    if (!is_realized(ve, errp) || !visit_start_list(visitor, name, NULL, 0, errp)) {
        return;
    }
    for (unsigned i = 0; i < ve->nr_vcpus; i++) {
        if (!visit_vcpu(visitor, ve, &ve->vcpu[i], errp)) {
            break;
        }
    }
    visit_end_list(visitor, NULL);
}

/* What the last migration away from here sent first, by classes. */
static void get_hot(Object *obj, Visitor *visitor, const char *name, void *opaque,
                    Error **errp)
{
    static const char *const class_name[PV_VE_NR_HOT] = {
        [PV_VE_HOT_NAMED_0] = "named-0",
        [PV_VE_HOT_NEWEST] = "newest",
        [PV_VE_HOT_NAMED_1] = "named-1",
        [PV_VE_HOT_SECOND] = "second",
        [PV_VE_HOT_NAMED_2] = "named-2",
        [PV_VE_HOT_PASS] = "pass",
        [PV_VE_HOT_NAMED_3] = "named-3",
    };
    static const char *const counter[] = { "hot", "sent", "asked" };
    bool ok = visit_start_struct(visitor, name, NULL, 0, errp);

    if (!ok) {
        return;
    }
    for (unsigned i = 0; ok && i < PV_VE_NR_HOT; i++) {
        const PvVeHotStats *s = &pv_ve_hot_stats[i];
        uint64_t value[] = {
            stat64_get(&s->hot), stat64_get(&s->sent), stat64_get(&s->asked),
        };

        ok = visit_counters(visitor, class_name[i], counter, value, ARRAY_SIZE(counter),
                            errp);
    }
    visit_end_struct(visitor, NULL);
}

void pv_ve_class_add_properties(ObjectClass *oc)
{
    object_class_property_add(oc, "hot", "PvVeHot", get_hot, NULL, NULL, NULL);
    object_class_property_set_description(oc, "hot",
        "Pages that the last postcopy away from here sent first, in classes");
    object_class_property_add(oc, "stats", "PvVeStats", get_stats, NULL, NULL, NULL);
    object_class_property_set_description(oc, "stats",
        "Counters of faults, over all vCPUs, since the device was made");
    object_class_property_add(oc, "vcpus", "PvVeVcpuList", get_vcpus, NULL, NULL, NULL);
    object_class_property_set_description(oc, "vcpus",
        "What the guest negotiated on each vCPU, and its outstanding faults");
}
