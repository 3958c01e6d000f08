/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: notification and migration, for exhaustive checking with Spin.  hw/notify.c,
 * hw/arrive.c, hw/vcpu.c and hw/vmstate.c are what it models.
 *
 * A slot is marked under the lock, and the interrupt comes after it; and what a machine
 * has told while it was being saved, the next one tells again.
 *
 * Invariants
 *
 *  INV_LOST   When nothing more can happen, no task is parked.
 *  INV_RESET  No interrupt through the main loop after delivery was disabled.
 *  INV_VALID  What is loaded could have been: the next machine does not refuse it.
 *
 * Threads
 *
 *  vcpu    the guest: one task of each slot parks, and the handler wakes those that it
 *          finds; at any time delivery may be disabled, which wakes all.
 *  placer  of each slot's page, and of the PV page where the machine has moved.
 *  loop    the main loop, which interrupts for those that must not wait for the BQL.
 *  mover   stops the vCPU, saves RAM, local APIC and core in any order while all other
 *          threads go on, and starts the next machine with that.
 *
 * Memory is in order here, each slot has its one fault, and no page fails: slot.pml has all
 * that.  A page that came to one machine may be missing in the next one: the task then
 * touches it again.
 */

#ifndef NS
#define NS      2               /* slots */
#endif
#ifndef IRQFD
#define IRQFD   0               /* KVM takes the interrupt from any thread */
#endif
#ifndef MOVES
#define MOVES   1
#endif
#ifndef RESETS
#define RESETS  0
#endif

/* Mutants: M(x) is 1 in the mutant x alone */
#ifndef MUTANT
#define MUTANT                  0
#endif
#define M(x)                    (MUTANT == x)
#define event_cleared_last      1
#define flag_after_event        2
#define list_dropped_unlocked   3
#define raised_before_marked    4
#define interrupt_without_bql   5
#define not_posted_again        6
#define not_notified_again      7
#define late_not_posted         8
#define saved_without_lock      9
#define notified_if_still_parked 10

/* Always 0: the name of a broken invariant is part of what Spin says. */
hidden byte INV_LOST, INV_RESET, INV_VALID;
#define CHECK(name, cond)       assert((cond) || name)

/* The machine that runs; threads of the one before it have ended. */
byte machine;
byte ended;
bool running = true;            /* its vCPU */

/* The PV page */
#define PARKED          1
#define ACKED           2
bool pv_page = true;            /* is present */
bool host[NS];                  /* RESOLVED */
byte guest[NS];
byte done;

/* The core; under the lock */
#define FREE            0
#define OUTSTANDING     1
#define DONE            2
bool locked;
byte shadow[NS] = OUTSTANDING;
bool waits[NS] = true;
bool posted[NS];
bool interrupt_due;
bool old_bits;                  /* in done, without their interrupt perhaps */
bool raised;                    /* an event to be set when the lock is dropped */

bool bql;
bool event;                     /* the main loop's */
bool delivers = true;            /* BQL and lock */
bool interrupt;                 /* in the local APIC */
bool present[NS];

/* The guest's tasks */
#define RUNS            0
#define MARKED          1       /* about to sleep */
#define SLEEPS          2
#define ENDED           3
byte task[NS];

/* ---- The core ---------------------------------------------------------------- */

inline set_event()
{
    if
    :: IRQFD -> interrupt = true
    :: else -> event = true
    fi
}

/* mine: what was raised while this thread had the lock */
inline unlock()
{
    atomic {
        mine = raised;
        raised = raised && M(list_dropped_unlocked);
        locked = false
    }
    if
    :: mine ->
        atomic { set_event(); mine = false }
#if MUTANT == list_dropped_unlocked
        raised = false
#endif
#if MUTANT == flag_after_event
        interrupt_due = true
#endif
    :: else
    fi
}

/* Lock held */
inline notify_done()
{
    interrupt_due = !IRQFD && !M(flag_after_event);
    raised = !M(raised_before_marked)
}

/* PV page present, lock held: mark the slot ... */
inline mark(s)
{
    posted[s] = true;
    host[s] = true
}

/* ... then look at the guest's word */
inline look(s)
{
    if
    :: guest[s] == PARKED ->
        if
        :: M(raised_before_marked) && done == 0 -> set_event()
        :: else
        fi;
        atomic {
            if
            :: done == 0 || (done & 1 << s) && M(notified_if_still_parked) ->
                notify_done()
            :: else
            fi;
            done = done | 1 << s
        }
    :: else
    fi
}

/* PV page present, lock held: bits whose interrupt may be lost */
inline look_at_old_bits()
{
    if
    :: old_bits && done != 0 && !M(notified_if_still_parked) && !M(not_notified_again) ->
        notify_done()
    :: else
    fi;
    old_bits = false
}

/* ---- Threads of the host ----------------------------------------------------- */

proctype placer(byte me, s)
{
    bool looks, mine;

    {
        present[s] = true;
        atomic {
            !locked -> locked = true;
            if
            :: waits[s] ->
                shadow[s] = DONE;
                waits[s] = false;
                looks = pv_page;
                if
                :: pv_page -> mark(s)
                :: else
                fi
            :: else
            fi
        }
        if
        :: looks -> look(s); looks = false
        :: else
        fi;
        unlock()
    } unless { atomic { machine != me; looks = false; mine = false } }
    ended++
}

/* The page that nobody has written on the way; who wants to write there waits for it. */
proctype pv_page_placer(byte me)
{
    bool looks, mine;
    byte k;

    {
        atomic { !locked -> locked = true; pv_page = true }
        atomic { look_at_old_bits() }
        do
        :: k < NS && !M(late_not_posted) ->
            atomic {
                if
                :: shadow[k] == DONE && !posted[k] -> mark(k); looks = true
                :: else
                fi
            }
            if
            :: looks -> look(k); looks = false
            :: else
            fi;
            k++
        :: else -> k = 0; break
        od;
        unlock()
    } unless { atomic { machine != me; looks = false; mine = false; k = 0 } }
}

proctype loop(byte me)
{
    bool due;

    {
end_loop:
        do
        :: atomic {
            event && !bql ->
            bql = true;
            event = M(event_cleared_last)
           }
           atomic {
            !locked ->
            due = interrupt_due && delivers;
            interrupt_due = false
           }
#if MUTANT == interrupt_without_bql
           bql = false;
#endif
           atomic {
            if
            :: due ->
                CHECK(INV_RESET, delivers);
                interrupt = true
            :: else
            fi;
            due = false;
            bql = M(event_cleared_last)
           }
#if MUTANT == event_cleared_last
           atomic { event = false; bql = false }
#endif
        od
    } unless { atomic { machine != me; due = false } }
    ended++
}

#if MOVES
/* What the core saves, and the others */
bool saved_host[NS], saved_posted[NS], saved_due, saved_interrupt;
byte saved_guest[NS], saved_done, saved_shadow[NS];

inline start_next()
{
    k = 0;
    do
    :: k < NS ->
        CHECK(INV_VALID, saved_shadow[k] != OUTSTANDING || !saved_posted[k]);
        host[k] = saved_host[k];
        guest[k] = saved_guest[k];
        shadow[k] = saved_shadow[k];
        posted[k] = M(not_posted_again) && saved_posted[k];
        waits[k] = false;
        present[k] = false;
        saved_host[k] = false; saved_guest[k] = 0; saved_shadow[k] = 0;
        saved_posted[k] = false;
        k++
    :: else -> break
    od;
    k = 0;
    done = saved_done;
    interrupt_due = saved_due;
    interrupt = saved_interrupt;
    saved_done = 0; saved_due = false; saved_interrupt = false;
    raised = false;
    event = false;
    locked = false;
    bql = true;
    machine = 1;
}

proctype mover()
{
    bool words, bits, apic, core, mine;
    byte k;

    running = false;
    do
    :: !words ->
        atomic {
            do
            :: k < NS -> saved_host[k] = host[k]; saved_guest[k] = guest[k]; k++
            :: else -> k = 0; break
            od;
            words = true
        }
    :: !bits -> atomic { saved_done = done; bits = true }
    :: !apic -> atomic { saved_interrupt = interrupt; apic = true }
    :: !core && !M(saved_without_lock) ->
        atomic {
            !locked ->
            do
            :: k < NS -> saved_shadow[k] = shadow[k]; saved_posted[k] = posted[k]; k++
            :: else -> k = 0; break
            od;
            saved_due = interrupt_due;
            core = true
        }
    :: !core && M(saved_without_lock) ->
        do
        :: k < NS -> saved_shadow[k] = shadow[k]; saved_posted[k] = posted[k]; k++
        :: else -> k = 0; break
        od;
        saved_due = interrupt_due;
        core = true
    :: words && bits && apic && core -> break
    od;
    atomic { start_next(); words = false; bits = false; apic = false; core = false }
    atomic {
        ended == NS + 1;
        do
        :: k < NS -> run placer(1, k); k++
        :: else -> k = 0; break
        od;
        run loop(1);
        if
        :: true
        :: pv_page = false; run pv_page_placer(1)
        fi
    }
    /* Loaded, not yet run: no other thread sees what is done under the lock */
    atomic {
        !locked -> locked = true;
        old_bits = true;
        if
        :: pv_page ->
            look_at_old_bits();
            do
            :: k < NS && shadow[k] == DONE && !posted[k] -> mark(k); look(k); k++
            :: k < NS && !(shadow[k] == DONE && !posted[k]) -> k++
            :: else -> k = 0; break
            od
        :: else
        fi;
        do
        :: k < NS && shadow[k] == OUTSTANDING && !present[k] -> waits[k] = true; k++
        :: k < NS && shadow[k] == OUTSTANDING && present[k] ->
            shadow[k] = DONE;
            if
            :: pv_page -> mark(k); look(k)
            :: else
            fi;
            k++
        :: k < NS && shadow[k] != OUTSTANDING -> k++
        :: else -> k = 0; break
        od
    }
    unlock();
    bql = false;
    running = true
}
#endif

/* ---- The guest ---------------------------------------------------------------- */

inline each_task(t)
{
    if
    :: atomic { running && pv_page && task[t] == RUNS && delivers ->
            guest[t] = PARKED; task[t] = MARKED }
    :: atomic { running && pv_page && task[t] == MARKED && delivers ->
            if
            :: host[t] -> guest[t] = ACKED; task[t] = ENDED
            :: else -> task[t] = SLEEPS
            fi }
    fi
}

proctype vcpu()
{
    byte bits, k, resets;

    if
    :: resets = RESETS
    :: true
    fi;
end_guest:
    do
    :: atomic { running && pv_page && interrupt && bits == 0 ->
            interrupt = false;
            bits = done;
            done = 0 }
    :: atomic { running && pv_page && bits != 0 ->
            do
            :: k < NS ->
                if
                :: (bits & 1 << k) && guest[k] == PARKED && host[k] && task[k] == SLEEPS ->
                    guest[k] = ACKED;
                    task[k] = ENDED
                :: else
                fi;
                k++
            :: else -> break
            od;
            k = 0;
            bits = 0 }
    :: each_task(0)
#if NS > 1
    :: each_task(1)
#endif
#if NS > 2
    :: each_task(2)
#endif
#if RESETS
    :: atomic { running && resets && !bql && !locked ->
            resets--;
            delivers = false;
            interrupt_due = false;
            do
            :: k < NS -> shadow[k] = FREE; waits[k] = false; task[k] = ENDED; k++
            :: else -> break
            od;
            k = 0;
            bits = 0 }
#endif
    od
}

init {
    byte i;

    atomic {
        do
        :: i < NS -> run placer(0, i); i++
        :: else -> break
        od;
        i = 0;
        run loop(0);
        run vcpu();
#if MOVES
        run mover()
#endif
    }
    /* Nothing more can happen */
    timeout;
    do
    :: i < NS ->
        CHECK(INV_LOST, task[i] == ENDED);
        i++
    :: else -> break
    od
}
