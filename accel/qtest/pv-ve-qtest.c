/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the qtest end.
 *
 * No vCPU runs; commands of the qtest protocol say what a vCPU does, and ask what
 * became of it:
 *
 *   pv_ve_cpuid VCPU LEAF             OK EAX EBX ECX EDX, or FAIL
 *   pv_ve_rdmsr VCPU MSR              OK VALUE
 *   pv_ve_wrmsr VCPU MSR VALUE        OK done, OK #GP or OK halt
 *   pv_ve_access VCPU GPA KIND CPL IF [GLA [STATE]...]
 *                                     OK present, OK deliver, OK block or OK hold
 *       KIND is read, write or fetch; GLA - for none; STATE is nmi, event, mode,
 *       fixed (not restartable), structure (GPA is that of one), cr3=VALUE, or
 *       last=GLA (how far the instruction will go)
 *   pv_ve_state VCPU                  OK VECTOR NR_INTERRUPTS NR_WAKES NR_RESUMES
 *   pv_ve_named                       OK, and for each run of pages that the guest names
 *                                     BLOCK:OFFSET:NUMBER:CLASS, in order
 *   pv_ve_withhold GPA SIZE [suppressed]      and
 *   pv_ve_release GPA SIZE, pv_ve_fail GPA SIZE
 *                                     OK, or FAIL and the reason
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/cutils.h"
#include "qemu/rcu.h"
#include "hw/core/cpu.h"
#include "qom/qom-qobject.h"
#include "qobject/qdict.h"
#include "system/qtest.h"
#include "pv-ve/include/hooks.h"

/* What the core asked of each vCPU. */
typedef struct Seen {
    unsigned vector, interrupts, wakes, resumes;
} Seen;

static GHashTable *seen;        /* CPUState to Seen */

static Seen *seen_of(CPUState *cpu)
{
    Seen *s = g_hash_table_lookup(seen, cpu);

    if (!s) {
        s = g_new0(Seen, 1);
        g_hash_table_insert(seen, cpu, s);
    }
    return s;
}

static void interrupt(CPUState *cpu, uint8_t vector)
{
    seen_of(cpu)->vector = vector;
    seen_of(cpu)->interrupts++;
}

static void end_wait(CPUState *cpu, uint64_t rip)
{
    seen_of(cpu)->wakes++;
}

static void resume(CPUState *cpu)
{
    seen_of(cpu)->resumes++;
}

static void flush(void)
{
}

/* ---- Commands ---------------------------------------------------------- */

typedef void Command(CharBackend *chr, CPUState *cpu, char **words);

static bool number(const char *word, uint64_t *value)
{
    return word && qemu_strtou64(word, NULL, 0, value) == 0;
}

static void do_cpuid(CharBackend *chr, CPUState *cpu, char **words)
{
    uint64_t leaf;
    uint32_t a, b, c, d;

    if (!number(words[0], &leaf) || !pv_ve_cpuid(cpu, leaf, &a, &b, &c, &d)) {
        qtest_sendf(chr, "FAIL no such leaf\n");
        return;
    }
    qtest_sendf(chr, "OK 0x%x 0x%x 0x%x 0x%x\n", a, b, c, d);
}

static void do_rdmsr(CharBackend *chr, CPUState *cpu, char **words)
{
    uint64_t msr;

    if (!number(words[0], &msr) || !pv_ve_has_msr(msr)) {
        qtest_sendf(chr, "FAIL no such MSR\n");
    } else {
        qtest_sendf(chr, "OK 0x%" PRIx64 "\n", pv_ve_rdmsr(cpu, msr));
    }
}

static void do_wrmsr(CharBackend *chr, CPUState *cpu, char **words)
{
    static const char *const answer[] = {
        [PV_VE_MSR_OK] = "done", [PV_VE_MSR_GP] = "#GP", [PV_VE_MSR_HALT] = "halt",
    };
    uint64_t msr, value;

    if (!number(words[0], &msr) || !pv_ve_has_msr(msr) || !number(words[1], &value)) {
        qtest_sendf(chr, "FAIL no such MSR, or no value\n");
        return;
    }
    qtest_sendf(chr, "OK %s\n", answer[pv_ve_wrmsr(cpu, msr, value, 0)]);
}

static bool parse_kind(const char *word, uint32_t *qualification)
{
    *qualification = g_str_equal(word, "read") ? PV_VE_Q_READ :
                     g_str_equal(word, "write") ? PV_VE_Q_WRITE :
                     g_str_equal(word, "fetch") ? PV_VE_Q_FETCH : 0;
    return *qualification != 0;
}

static bool parse_value(PvVeFault *f, const char *word)
{
    if (g_str_has_prefix(word, "cr3=")) {
        f->paging.levels = 4;
        return number(word + strlen("cr3="), &f->paging.cr3);
    }
    return g_str_has_prefix(word, "last=") && number(word + strlen("last="), &f->last);
}

static bool parse_states(PvVeFault *f, char **words)
{
    PvVeGuestState *guest = &f->guest;

    for (; *words; words++) {
        if (g_str_equal(*words, "nmi")) {
            guest->nmi = true;
        } else if (g_str_equal(*words, "event")) {
            guest->event = true;
        } else if (g_str_equal(*words, "mode")) {
            guest->mode = true;
        } else if (g_str_equal(*words, "fixed")) {
            guest->restartable = false;
        } else if (g_str_equal(*words, "structure")) {
            f->qualification &= ~PV_VE_Q_TRANSLATED;
        } else if (!parse_value(f, *words)) {
            return false;
        }
    }
    return true;
}

static bool parse_access(PvVeFault *f, char **words)
{
    uint64_t cpl, on;

    if (g_strv_length(words) < 4 || !number(words[0], &f->gpa) ||
        !parse_kind(words[1], &f->qualification) || !number(words[2], &cpl) ||
        !number(words[3], &on)) {
        return false;
    }
    f->guest.cpl = cpl;
    f->guest.interrupts_on = on;
    f->guest.restartable = true;
    if (!words[4]) {
        return true;
    }
    if (!g_str_equal(words[4], "-")) {
        f->qualification |= PV_VE_Q_GLA_VALID | PV_VE_Q_TRANSLATED;
        if (!number(words[4], &f->gla)) {
            return false;
        }
    }
    return parse_states(f, words + 5);
}

static void do_access(CharBackend *chr, CPUState *cpu, char **words)
{
    PvVeFault f = { 0 };
    const char *answer = "present";

    if (!parse_access(&f, words)) {
        qtest_sendf(chr, "FAIL GPA read|write|fetch CPL IF "
                    "[GLA|- [nmi|event|mode|fixed|structure|cr3=N|last=N]...]\n");
        return;
    }
    RCU_READ_LOCK_GUARD();
    switch (pv_ve_fault(cpu, &f)) {
    case PV_VE_PRESENT:
        break;
    case PV_VE_DELIVER:
        answer = "deliver";
        break;
    case PV_VE_BLOCK:
        answer = "block";
        break;
    case PV_VE_HOLD:
        answer = pv_ve_hold(cpu, f.gpa) ? "hold" : "present";
        break;
    }
    qtest_sendf(chr, "OK %s\n", answer);
}

static void do_state(CharBackend *chr, CPUState *cpu, char **words)
{
    Seen *s = seen_of(cpu);

    qtest_sendf(chr, "OK %u %u %u %u\n", s->vector, s->interrupts, s->wakes, s->resumes);
}

/* Withheld ranges are driven as users drive them: by the properties of QOM. */
static void do_range(CharBackend *chr, const char *property, char **words)
{
    g_autoptr(QDict) range = qdict_new();
    uint64_t start, size;
    Error *err = NULL;
    Object *obj;

    if (!number(words[0], &start) || !words[1] || !number(words[1], &size)) {
        qtest_sendf(chr, "FAIL GPA SIZE\n");
        return;
    }
    qdict_put_int(range, "start", start);
    qdict_put_int(range, "size", size);
    if (words[2]) {
        qdict_put_bool(range, "suppressed", g_str_equal(words[2], "suppressed"));
    }
    obj = object_resolve_path_type("", "pv-ve-withheld", NULL);
    object_property_set_qobject(obj, property, QOBJECT(range), &err);
    if (err) {
        qtest_sendf(chr, "FAIL %s\n", error_get_pretty(err));
        error_free(err);
    } else {
        qtest_sendf(chr, "OK\n");
    }
}

static void append_run(RAMBlock *block, uint64_t page, uint64_t nr, unsigned class,
                       void *opaque)
{
    g_string_append_printf(opaque, " %s:0x%" PRIx64 ":%" PRIu64 ":%u", block->idstr,
                           page * TARGET_PAGE_SIZE, nr, class);
}

static void do_named(CharBackend *chr)
{
    g_autoptr(GString) text = g_string_new("OK");

    pv_ve_each_named(append_run, text);
    qtest_sendf(chr, "%s\n", text->str);
}

static bool on_command(CharBackend *chr, char **words)
{
    static const struct {
        const char *name;
        Command *run;
    } commands[] = {
        { "pv_ve_cpuid", do_cpuid }, { "pv_ve_rdmsr", do_rdmsr },
        { "pv_ve_wrmsr", do_wrmsr }, { "pv_ve_access", do_access },
        { "pv_ve_state", do_state },
    };
    static const char *const ranges[] = { "withhold", "release", "fail" };
    uint64_t index;
    CPUState *cpu;

    if (!g_str_has_prefix(words[0], "pv_ve_")) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        if (g_str_equal(words[0] + strlen("pv_ve_"), ranges[i])) {
            do_range(chr, ranges[i], words + 1);
            return true;
        }
    }
    if (g_str_equal(words[0], "pv_ve_named")) {
        do_named(chr);
        return true;
    }
    cpu = number(words[1], &index) ? qemu_get_cpu(index) : NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (g_str_equal(words[0], commands[i].name)) {
            if (cpu) {
                commands[i].run(chr, cpu, words + 2);
            } else {
                qtest_sendf(chr, "FAIL no such vCPU\n");
            }
            return true;
        }
    }
    return false;
}

static void start(OnOffAuto as_exception)
{
    seen = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    qtest_set_command_cb(on_command);
}

static bool in_use(void)
{
    return qtest_enabled();
}

static const PvVeAccel qtest_end = {
    .in_use = in_use,
    .start = start,
    .interrupt = interrupt,
    .end_wait = end_wait,
    .resume = resume,
    .flush = flush,
};

static void __attribute__((constructor)) register_end(void)
{
    pv_ve_register_accel(&qtest_end);
}
