/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the search for vCPUs that KVM has halted for a missing page, for exhaustive
 * checking with Spin.  accel/kvm/halted.c, kick.c and decide.c are what it models.
 *
 * Invariants
 *
 *  INV_FOUND  When nothing more can happen, no vCPU is halted for a missing page: it was
 *             kicked, and #VE delivered.
 *  INV_KICKS  No kick but for a new fault, or after one about which nothing was decided.
 *
 * Threads
 *
 *  vcpu     one of each vCPU: guest, KVM, and QEMU's thread of it.  Its guest touches
 *           pages, is interrupted and idles in HLT; KVM_RUN is left for other reasons and
 *           for others who want the thread.
 *  faults   reads what workers tell: the first touch of a page, once.
 *  watcher  looks by itself.  Between two looks that would find nothing it does nothing;
 *           so the model comes to an end although the thread looks again and again.
 *  placer   of each page: it comes at any time, or never.
 *
 * Every vCPU can take #VE at any time.  What a thread reads of a vCPU without its lock is
 * a step of its own.
 */

#ifndef NV
#define NV      1               /* vCPUs */
#endif
#ifndef NP
#define NP      1               /* pages */
#endif
#ifndef TOUCHES
#define TOUCHES 2               /* of each vCPU */
#endif
#ifndef TICKS
#define TICKS   1               /* interrupts of each vCPU */
#endif
#ifndef OTHERS
#define OTHERS  1               /* times that others want each vCPU's thread */
#endif
#ifndef EXITS
#define EXITS   1               /* exits from each vCPU's KVM_RUN for another reason */
#endif

#define no_mutant               0
#define late_not_forgotten      1
#define away_not_forgotten      2
#define no_news                 3
#define no_list                 4
#define seen_not_noted          5
#define dropped_while_missing   6
#ifndef MUTANT
#define MUTANT  no_mutant
#endif

#define NONE            NP              /* no page */
#define NONE_YET        NV              /* no vCPU */
#define SEVERAL         (NV + 1)

/* Always 0: the name of a broken invariant is part of what Spin says. */
hidden byte INV_FOUND, INV_KICKS;
#define CHECK(name, cond)       assert((cond) || name)

/* Pages */
bool missing[NP];
bool worker[NP];                /* waits for it */
bool message[NP];               /* of the worker, not yet read */

/* vCPUs */
byte at[NV];                    /* the missing page that the instruction touches, or NONE */
bool halted[NV];                /* by KVM, for a page */
bool hlt[NV];                   /* in its own HLT */
bool blocking[NV];              /* the statistic */
byte faults_of[NV];             /* pf_taken */
bool in_guest[NV];
bool sent[NV];                  /* a signal that has not yet ended a KVM_RUN */
bool due[NV];
byte kicks[NV];
byte late[NV];                  /* of these, about which nothing was decided */

/* halted.c */
bool locked;
byte seen[NV];
bool listed[NP];
bool looking, news;

#define LOCK            atomic { !locked -> locked = true }
#define UNLOCK          locked = false

/* ---- The vCPU ---------------------------------------------------------------- */

inline forget_faults(v)
{
    if
    :: MUTANT == late_not_forgotten -> skip
    :: else -> seen[v] = 0
    fi
}

inline find_again(v)
{
    late[v]++;
    LOCK;
    forget_faults(v);
    UNLOCK;
    news = true
}

/* Its number of faults goes up before it sleeps; a worker tells of the first touch alone. */
inline fault(v)
{
    faults_of[v]++;
    if
    :: !worker[at[v]] -> atomic { worker[at[v]] = true; message[at[v]] = true }
    :: else
    fi;
    halted[v] = true
}

inline touch(v)
{
    atomic {
        touches--;
        if
        :: missing[0] -> at[v] = 0
#if NP > 1
        :: missing[1] -> at[v] = 1
#endif
        :: else
        fi
    }
}

proctype vcpu(byte v)
{
    byte touches = TOUCHES, ticks = TICKS, others = OTHERS, exits = EXITS;
    bool decide;

enter:
    in_guest[v] = true;

kvm_run:
    if
    :: sent[v] -> goto interrupted
    :: !sent[v] && (halted[v] || hlt[v]) -> goto sleep
    :: !sent[v] && !halted[v] && !hlt[v] -> skip
    fi;
    if
    :: at[v] != NONE && missing[at[v]] -> fault(v)
    :: at[v] != NONE && !missing[at[v]] -> at[v] = NONE
    :: at[v] == NONE && touches -> touch(v)
    :: at[v] == NONE -> hlt[v] = true
    :: exits -> exits--; goto left
    fi;
    goto kvm_run;

sleep:
    blocking[v] = true;
end_sleep:
    if
    :: sent[v] -> skip
    :: ticks -> atomic { ticks--; halted[v] = false; hlt[v] = false }
    /* and another task runs */
    :: ticks && touches -> atomic { ticks--; halted[v] = false; hlt[v] = false; at[v] = NONE }
    :: halted[v] && !missing[at[v]] -> halted[v] = false
    :: exits -> exits--; blocking[v] = false; goto left     /* others' signal */
    fi;
    blocking[v] = false;
    goto kvm_run;

left:                           /* not for us; KVM keeps it halted */
    atomic { in_guest[v] = false; decide = due[v]; due[v] = false }
    if
    :: decide -> find_again(v)
    :: else
    fi;
    goto enter;

interrupted:
    atomic { in_guest[v] = false; decide = due[v]; due[v] = false; sent[v] = false }
    if
    :: others ->
        others--;
        if
        :: decide -> find_again(v)
        :: else
        fi
    :: decide && !hlt[v] && at[v] != NONE && missing[at[v]] ->
        atomic { at[v] = NONE; halted[v] = false }      /* #VE: its task parks */
    :: else
    fi;
    goto enter
}

/* ---- halted.c, its lock held --------------------------------------------------- */

inline kick(v)
{
    atomic {
        if
        :: !in_guest[v] || sent[v] ->
            if
            :: MUTANT == away_not_forgotten -> skip
            :: else -> seen[v] = 0
            fi;
            news = true
        :: else ->
            found = true;
            due[v] = true;
            sent[v] = true;
            kicks[v]++;
            CHECK(INV_KICKS, kicks[v] <= faults_of[v] - 1 + late[v])
        fi
    }
}

inline note(v)
{
    if
    :: MUTANT == seen_not_noted -> skip
    :: else -> seen[v] = now
    fi
}

/* Each of the three reads is a step: 1 sleeps, 2 in the guest, 3 has a new fault. */
inline look_at_all()
{
    atomic { v = 0; found = false }
    do
    :: v == NV -> break
    :: v < NV ->
        atomic {
            step = 0;
            if
            :: blocking[v] -> step = 1
            :: else
            fi
        }
        if
        :: atomic { step == 1 && in_guest[v] -> step = 2 }
        :: else
        fi;
        if
        :: atomic { step == 2 && faults_of[v] != seen[v] ->
                step = 3; now = faults_of[v]; note(v) }
        :: else
        fi;
        if
        :: step == 3 -> kick(v)
        :: else
        fi;
        v++
    od
}

/* Nobody sleeps; kick who has a new fault if it is but one. */
inline look_about_to_halt()
{
    atomic { v = 0; who = NONE_YET }
    do
    :: v == NV -> break
    :: v < NV ->
        atomic {
            step = 0;
            if
            :: in_guest[v] -> step = 1
            :: else
            fi
        }
        if
        :: atomic { step == 1 && faults_of[v] != seen[v] ->
                now = faults_of[v]; who = (who == NONE_YET -> v : SEVERAL) }
        :: else
        fi;
        v++
    od;
    if
    :: who < NV -> note(who); kick(who)
    :: else
    fi
}

proctype faults()
{
    byte v, p, now, who, step;
    bool found;

end_faults:
    do
    :: atomic {
            if
            :: message[0] -> p = 0
#if NP > 1
            :: message[1] -> p = 1
#endif
            fi;
            message[p] = false
       }
       LOCK;
       if
       :: MUTANT == no_list -> skip
       :: else -> listed[p] = true
       fi;
       look_at_all();
       if
       :: !found -> look_about_to_halt()
       :: else
       fi;
       if
       :: (!found || !looking) && MUTANT != no_news -> news = true
       :: else
       fi;
       UNLOCK
    od
}

#define WOULD_FIND(v) (blocking[v] && in_guest[v] && faults_of[v] != seen[v])

inline drop_arrived()
{
    looking = false;
    p = 0;
    do
    :: p == NP -> break
    :: else ->
        listed[p] = listed[p] && missing[p] && MUTANT != dropped_while_missing;
        looking = looking || listed[p];
        p++
    od
}

proctype watcher()
{
    byte v, p, now, step;
    bool found;

end_watcher:
    do
    :: atomic {
            if
            :: news -> news = false
            :: looking && WOULD_FIND(0)
#if NV > 1
            :: looking && WOULD_FIND(1)
#endif
            fi
       }
       LOCK;
       atomic { drop_arrived() }
       if
       :: looking -> look_at_all()
       :: else
       fi;
       UNLOCK
    od
}

proctype placer(byte p)
{
    if
    :: missing[p] = false
    :: skip                     /* it never comes */
    fi
}

#define FOUND(v) (!halted[v] || !missing[at[v]])

init
{
    byte i;

    atomic {
        i = 0;
        do
        :: i == NP -> break
        :: i < NP -> missing[i] = true; run placer(i); i++
        od;
        i = 0;
        do
        :: i == NV -> break
        :: i < NV -> at[i] = NONE; faults_of[i] = 1; seen[i] = 1; run vcpu(i); i++
        od;
        run faults();
        run watcher()
    }
    timeout;
    CHECK(INV_FOUND, FOUND(0));
#if NV > 1
    CHECK(INV_FOUND, FOUND(1));
#endif
}
