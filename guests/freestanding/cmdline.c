/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line, words of the form name=value:
 *
 *   mem=64            MiB of test region, which starts at 16 MiB
 *   compute=1         tasks of each vCPU that only compute
 *   touch=8           ... that touch pages at CPL 3
 *   ktouch=0          ... that touch pages at CPL 0
 *   burst=0           pages that these touch before they let others run, as a task does
 *                     that serves a request at a time; 0: as many as they have time for
 *   policy=park       what the #VE handler does: park, wait, retry
 *   parks=48          tasks of a vCPU that may be parked at a time; then it waits
 *   ve=on             off: as if there were no device
 *   notify=lapic      or msix
 *   cpl0=0            1: #VE at CPL 0 too
 *   if0=0             1: #VE with interrupts off too
 *   urgent=0          1: when a migration is announced, name what must come first
 *   map=4k            or 2m: page size of the test region's mapping
 *   unmap=0           1: who has rewritten a page unmaps it, and the next touch is a page
 *                     fault; needs map=4k
 *   x2apic=off        on: the local APIC by MSRs, if the processor offers that
 *   hz=1000           ticks of the timer, each second
 */

#include "guest.h"

struct config config = {
    .mem = 64, .compute = 1, .touch = 8, .ktouch = 0, .parks = MAX_TASKS,
    .policy = POLICY_PARK, .ve = 1, .hz = 1000,
};

/* A word takes a number up to max, or one of the names, which stand for 0, 1, 2. */
static const struct word {
    const char *name;
    uint64_t *value;
    uint64_t min, max;
    const char *names[3];
} words[] = {
    { "mem", &config.mem, 1, 2048, { NULL } },
    { "compute", &config.compute, 0, 8, { NULL } },
    { "touch", &config.touch, 0, 16, { NULL } },
    { "ktouch", &config.ktouch, 0, 16, { NULL } },
    { "burst", &config.burst, 0, 1000, { NULL } },
    { "parks", &config.parks, 0, MAX_TASKS, { NULL } },
    { "policy", &config.policy, 0, 2, { "park", "wait", "retry" } },
    { "ve", &config.ve, 0, 1, { "off", "on" } },
    { "notify", &config.msix, 0, 1, { "lapic", "msix" } },
    { "cpl0", &config.cpl0, 0, 1, { "0", "1" } },
    { "if0", &config.if0, 0, 1, { "0", "1" } },
    { "urgent", &config.urgent, 0, 1, { "0", "1" } },
    { "map", &config.map_2m, 0, 1, { "4k", "2m" } },
    { "unmap", &config.unmap, 0, 1, { "0", "1" } },
    { "x2apic", &config.x2apic, 0, 1, { "off", "on" } },
    { "hz", &config.hz, 10, 1000, { NULL } },
};

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool parse_number(const char *s, const struct word *w)
{
    uint64_t n = 0;

    if (!*s) {
        return false;
    }
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > w->max) {
            return false;
        }
        n = n * 10 + *s - '0';
    }
    *w->value = n;
    return n >= w->min && n <= w->max;
}

static bool parse_value(const char *s, const struct word *w)
{
    if (!w->names[0]) {
        return parse_number(s, w);
    }
    for (uint64_t i = 0; i < 3 && w->names[i]; i++) {
        if (same(s, w->names[i])) {
            *w->value = i;
            return true;
        }
    }
    return false;
}

static bool parse_word(char *name, const char *value)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (same(name, words[i].name)) {
            return parse_value(value, &words[i]);
        }
    }
    return false;
}

void parse_cmdline(const char *line)
{
    static char name[64];
    char *value;
    size_t n;

    while (*line) {
        value = NULL;
        n = 0;
        for (; *line && *line != ' '; line++) {
            if (n == sizeof(name) - 1) {
                break;
            }
            name[n++] = *line;
            if (*line == '=' && !value) {
                name[n - 1] = 0;
                value = name + n;
            }
        }
        name[n] = 0;
        if (n && (!value || !parse_word(name, value))) {
            say("bad command line: %s%s%s", name, value ? "=" : "", value ? value : "");
            stop(EXIT_PANIC);
        }
        while (*line == ' ') {
            line++;
        }
    }
}
