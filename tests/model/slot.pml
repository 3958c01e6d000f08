/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: the slot protocol, for exhaustive checking with Spin.
 *
 * Faults, parking, waiting, retrying, notification, reuse of slots, failure,
 * disabling and reset: the host's core, the guest's two handlers and the threads
 * that place pages.  tests/model/run checks it and its mutants.
 *
 * Invariants
 *
 *  INV_LOST   No lost wake-up: when nothing more can happen, no task is parked,
 *             and every task has come to its end.
 *  INV_EARLY  No early wake-up: a fault ends as resolved only if its page is
 *             there, as failed only if its page failed.
 *  INV_REUSE  A slot gets a new fault only after the guest acknowledged the
 *             fault before it.
 *  INV_NEST   No #VE while the busy word is set.
 *  INV_RESET  Disabling and reset leave nothing outstanding: every slot is free and
 *             no wait counted; until the guest enables again, the host writes no
 *             word and no done bit of that vCPU and asks for no interrupt.
 *  INV_WAIT   A waiting vCPU does not sleep on once its slot is resolved, nor go
 *             round its loop for ever.
 *
 * Memory
 *
 * A processor may hold back its stores while it loads, so every word that two
 * threads share without the lock lies in mem[], and every thread has a store
 * buffer before it, with a flusher that may write the oldest store (with PSO any
 * store, but those to one word in order) at any time.  BARRIER waits until the
 * thread's buffer is empty, and so do the atomic operations.  The release of the
 * lock is such a store too.  All else is either touched under the lock only, or
 * by the vCPU's own thread only (the busy word, the information area), or wakes
 * somebody (notified, wait_slot).  An atomic sequence looks at mem[] once, at most;
 * what else is in it, no other thread can see or the lock keeps from it.
 *
 * Threads
 *
 *  vcpu    one of each vCPU: runs its guest, and the host code that its guest
 *          causes.  Interrupts and other tasks come at any time except in the #VE
 *          handler until it cleared the busy word, and between a task's mark and
 *          its sleep.  A reset stops the vCPU in any of its guest's steps.
 *  placer  one of each page, as pages may be placed by several threads at once.
 *          It makes the page present, or failed and later present.
 *
 * What the guest owes
 *
 * The done word is zeroed before pv-ve is enabled again (a reset may have lost the
 * interrupt of a bit in it), and a task that has a fault when pv-ve is disabled
 * neither parks for it nor acknowledges it afterwards.
 *
 * Bounds
 *
 * A run is bounded by VES, the faults delivered to each vCPU (further ones leave
 * it suspended, which the host may always do), by the pages that a task touches
 * and by RESETS; tests/model/run says which bounds are combined.  What a fault can
 * meet depends on the last generation of its own slot and on bits left in the done
 * word, so three faults of one vCPU are enough: the one, the one before it in its
 * slot, and a neighbour that keeps the done word from being 0.  vCPUs meet only in
 * the lock, the count of waits and a page that both wait for, and for that one
 * fault more is enough.  The lowest free slot is taken, which uses slots again
 * soonest.  One store in a buffer breaks a pair of mark and look; BUF allows more.
 */

#ifndef NV
#define NV      2               /* vCPUs */
#endif
#ifndef NT
#define NT      1               /* tasks of each vCPU, at most 3 */
#endif
#ifndef NT1
#define NT1     NT              /* those of all vCPUs but the first */
#endif
#ifndef NS
#define NS      3               /* slots of each vCPU */
#endif
#ifndef NP
#define NP      1               /* pages */
#endif
#ifndef TOUCH
#define TOUCH   1               /* pages that a task touches */
#endif
#ifndef VES
#define VES     3               /* faults delivered to each vCPU */
#endif
#ifndef RESETS
#define RESETS  0               /* disablings and resets of each vCPU */
#endif
#ifndef PARK
#define PARK    1               /* what the guest may do about a fault */
#endif
#ifndef WAIT
#define WAIT    1
#endif
#ifndef HALT
#define HALT    0
#endif
#ifndef RETRY
#define RETRY   1
#endif
#ifndef FAIL
#define FAIL    1               /* pages may fail */
#endif
#ifndef NEST
#define NEST    0               /* the #VE handler itself may touch a page */
#endif
#ifndef BUF
#define BUF     2               /* stores in a thread's buffer */
#endif
#ifndef PSO
#define PSO     0               /* stores to different words pass each other */
#endif
#ifndef LIVE
#define LIVE    0               /* for a search with -a -f: every run ends */
#endif

/* Mutants: M(x) is 1 in the mutant x alone */
#ifndef MUTANT
#define MUTANT                          0
#endif
#define M(x)                            (MUTANT == x)
#define no_host_barrier                 1
#define no_guest_barrier                2
#define no_register_barrier             3
#define no_place_barrier                4
#define no_second_test                  5
#define host_looks_first                6
#define guest_looks_first               7
#define tested_before_registered        8
#define told_before_placed              9
#define generation_ignored              10
#define same_generation                 11
#define reuse_without_ack               12
#define reuse_after_any_ack             13
#define no_busy_check                   14
#define done_read_early                 15
#define done_not_exchanged              16
#define first_slot_only                 17
#define failed_told_as_resolved         18
#define reset_keeps_waits               19
#define reset_keeps_count               20
#define reset_without_lock              21
#define told_without_lock               22
#define generations_restart             23
#define done_not_zeroed                 24
#define wait_without_test               25
#define wait_flag_after_unlock          26
#define wait_flag_ignored               27
#define marked_only_if_parked           28
#define halted_without_look             29
#define interrupted_before_halt         30

/* State of a page, and of the host's word: present is told as resolved */
#define MISSING         0
#define PRESENT         1
#define FAILED          2
#define RESOLVED        PRESENT
/* State of the guest's word */
#define PARKED          1
#define ACKED           2

#define WORD(gen, state)        ((gen) << 2 | (state))
#define STATE(word)             ((word) & 3)
#define GEN(word)               ((word) >> 2)
#define TELLS(word, gen)        (GEN(word) == (gen) && STATE(word) != 0)

/* Words that threads share without the lock */
#define LOCK            0
#define WAITS           1
#define PAGE(p)         (2 + (p))
#define DONE_BITS(v)    (2 + NP + (v))
#define HOST(v, s)      (2 + NP + NV + (v) * NS + (s))
#define GUEST(v, s)     (2 + NP + NV + NV * NS + (v) * NS + (s))
#define IS_HOST(a)      ((a) >= HOST(0, 0) && (a) < GUEST(0, 0))
#define VCPU_OF(a)      (((a) - HOST(0, 0)) / NS)
#define WORDS           (2 + NP + NV + 2 * NV * NS)
byte mem[WORDS];

/* Store buffers: threads 0 .. NV - 1 are the vCPUs, then come the placers */
#define THREADS         (NV + NP)
#define PLACER(p)       (NV + (p))
byte buffered[THREADS];
byte buffered_addr[THREADS * BUF];
byte buffered_value[THREADS * BUF];

/* The core's shadow of a slot; under the lock */
#define FREE            0
#define OUTSTANDING     1
#define DONE            2               /* resolved or failed, not seen acknowledged */
#define SLOT(v, s)      ((v) * NS + (s))
byte shadow[NV * NS];
byte gen[NV * NS];
byte page[NV * NS];
byte wait_slot[NV];             /* 1 + slot that the halted vCPU waits for */
bool in_force[NV] = true;       /* enabled; the vCPU's own thread changes it */

bool notified[NV];              /* interrupt on its way, or held by IF = 0 */

/* The vCPU's own: information area, and how often it was written */
bool busy[NV];
byte info_slot[NV];
byte info_gen[NV];
byte ves[NV];
byte resets[NV];

/*
 * Tasks.  OWNS: has a fault, but did not yet say what to do about it.  LOOPS: waits,
 * though the vCPU may run others between two of its rounds; HALTS: the same, but parked
 * and by HLT.
 */
#define RUN             0
#define OWNS            1
#define LOOPS           2
#define HALTS           3
#define SLEEPS          4
#define ENDED           5
#define TASK(v, t)      ((v) * NT + (t))
byte task[NV * NT];
byte touches[NV * NT];          /* the page that it touches next */
byte left[NV * NT] = TOUCH;     /* pages that it still has to touch */
byte task_slot[NV * NT];
byte task_gen[NV * NT];

/* For the invariants only */
#if LIVE
bool over;
#endif
bool in_use[NV * NS];           /* from the #VE to the acknowledgement */
hidden byte INV_LOST, INV_EARLY, INV_REUSE, INV_NEST, INV_RESET, INV_WAIT;
#define CHECK(name, cond)       assert((cond) || name)

/* What a thread can do with mem[] */

#define BARRIER(me)     (buffered[me] == 0)

/* Only in an atomic sequence, as its last or before what the thread alone can see */
inline store(me, addr, value)
{
    buffered[me] < BUF;
    buffered_addr[(me) * BUF + buffered[me]] = addr;
    buffered_value[(me) * BUF + buffered[me]] = value;
    buffered[me]++
}

/* into is the newest store in the buffer, or what lies in memory */
inline load(me, addr, into)
{
    d_step {
        into = mem[addr];
        k = 0;
        do
        :: k < buffered[me] ->
            if
            :: buffered_addr[(me) * BUF + k] == (addr) ->
                into = buffered_value[(me) * BUF + k]
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0
    }
}

inline lock(me)
{
    BARRIER(me) && mem[LOCK] == 0 -> mem[LOCK] = 1
}

inline unlock(me)
{
    !PSO || BARRIER(me);
    store(me, LOCK, 0)
}

proctype flusher(byte me)
{
    byte i, k;

end:
    do
    :: atomic {
        buffered[me] > 0;
        i = 0;
        do
        :: PSO && i + 1 < buffered[me] -> i++
        :: break
        od;
        /* of stores to one word the oldest */
        k = 0;
        do
        :: buffered_addr[me * BUF + k] != buffered_addr[me * BUF + i] -> k++
        :: else -> break
        od;
        i = k;
        if
        :: IS_HOST(buffered_addr[me * BUF + i]) ->
            CHECK(INV_RESET, in_force[VCPU_OF(buffered_addr[me * BUF + i])])
        :: else
        fi;
        mem[buffered_addr[me * BUF + i]] = buffered_value[me * BUF + i];
        buffered[me]--;
        do
        :: i < buffered[me] ->
            buffered_addr[me * BUF + i] = buffered_addr[me * BUF + i + 1];
            buffered_value[me * BUF + i] = buffered_value[me * BUF + i + 1];
            i++
        :: else -> break
        od;
        buffered_addr[me * BUF + i] = 0;
        buffered_value[me * BUF + i] = 0;
        i = 0; k = 0
       }
    od
}

/* A fault ends: the task goes on, or is killed */
inline finish(i, word)
{
    CHECK(INV_EARLY, mem[PAGE(touches[i])] == PRESENT ||
                     mem[PAGE(touches[i])] == FAILED && STATE(word) == FAILED);
    task[i] = (STATE(word) == FAILED -> ENDED : RUN);
    in_use[SLOT(v, task_slot[i])] = false;
    task_slot[i] = 0; task_gen[i] = 0
}

/* Of tasks that are alike it is enough to run one */
#define ALIKE(i, j)     (task[TASK(v, i)] == RUN && task[TASK(v, j)] == RUN && \
                         touches[TASK(v, i)] == touches[TASK(v, j)] && \
                         left[TASK(v, i)] == left[TASK(v, j)])
#define RUNS0           (task[TASK(v, 0)] < SLEEPS)
#define RUNS1           (task[TASK(v, 1)] < SLEEPS && !ALIKE(0, 1))
#define RUNS2           (task[TASK(v, 2)] < SLEEPS && !ALIKE(0, 2) && !ALIKE(1, 2))

/* A reset may stop the vCPU here */
#if RESETS
#define STOP_HERE       if :: resets[v] < RESETS -> goto reset :: true fi
#else
#define STOP_HERE       skip
#endif

proctype vcpu(byte v)
{
    byte t;                     /* the task that runs */
    byte s, h, d, k;
    byte p;                     /* the page that is touched */

end_sched:
    if
    :: atomic { notified[v] -> notified[v] = false; goto notify }
    :: atomic { RUNS0 -> t = 0; goto go_on }
#if NT > 1
    :: atomic { RUNS1 -> t = 1; goto go_on }
#endif
#if NT > 2
    :: atomic { RUNS2 -> t = 2; goto go_on }
#endif
#if RESETS
    :: atomic { in_force[v] && resets[v] < RESETS -> goto disable }
    :: atomic { !in_force[v] -> goto enable }
#endif
    fi;

go_on:
    atomic {
        if
        :: task[TASK(v, t)] == RUN
        :: task[TASK(v, t)] == OWNS -> goto owns
        :: task[TASK(v, t)] == LOOPS -> goto wait
        :: task[TASK(v, t)] == HALTS -> s = task_slot[TASK(v, t)]; goto look
        fi;
        p = touches[TASK(v, t)];
        if
        :: mem[PAGE(p)] == PRESENT ->
            left[TASK(v, t)]--;
            touches[TASK(v, t)] = (p + 1) % NP;
            task[TASK(v, t)] = (left[TASK(v, t)] == 0 -> ENDED : RUN);
            t = 0; p = 0;
            goto end_sched
        :: else
        fi;

        /* Host: the vCPU touched page p, which is not there */
fault:
        if
        :: !in_force[v] || ves[v] == VES || busy[v] && !M(no_busy_check) ->
            goto suspend
        :: else
        fi
    }
    atomic {
        lock(v);
        do
        :: s == NS -> break
        :: s < NS ->
            load(v, GUEST(v, s), h);
            if
            :: shadow[SLOT(v, s)] == FREE ||
               h == WORD(gen[SLOT(v, s)], ACKED) ||
               M(reuse_without_ack) && shadow[SLOT(v, s)] == DONE ||
               M(reuse_after_any_ack) && STATE(h) == ACKED -> break
            :: else -> s++
            fi
        od;
        h = 0;
        if
        :: s == NS ->
            unlock(v);
            s = 0;
            goto suspend
        :: else ->
            CHECK(INV_REUSE, !in_use[SLOT(v, s)]);
            if
            :: M(same_generation) && gen[SLOT(v, s)] > 0
            :: else -> gen[SLOT(v, s)]++
            fi;
            h = (M(tested_before_registered) -> mem[PAGE(p)] : 0);
            /* Mark the wait, then look at the page again: tell does the reverse */
            page[SLOT(v, s)] = p;
            if
            :: shadow[SLOT(v, s)] == OUTSTANDING
            :: else ->
                shadow[SLOT(v, s)] = OUTSTANDING;
                store(v, WAITS, mem[WAITS] + 1)
            fi
        fi
    }
    atomic {
        M(no_register_barrier) || BARRIER(v);
        h = (M(tested_before_registered) || M(no_second_test) -> h : mem[PAGE(p)]);
        if
        :: h == MISSING
        :: h != MISSING ->
            shadow[SLOT(v, s)] = (h == PRESENT -> FREE : DONE);
            page[SLOT(v, s)] = 0;
            load(v, WAITS, d);
            store(v, WAITS, d - 1);
            d = 0
        fi;
        if
        :: h == PRESENT ->
            unlock(v);
            t = 0; p = 0; s = 0; h = 0;
            goto end_sched
        :: h == FAILED ->
            store(v, HOST(v, s), WORD(gen[SLOT(v, s)], FAILED))
        :: else
        fi;
        CHECK(INV_NEST, !busy[v]);
        in_use[SLOT(v, s)] = true;
        busy[v] = true; info_slot[v] = s; info_gen[v] = gen[SLOT(v, s)];
        ves[v]++;
        unlock(v);
        h = 0; s = 0;
#if !NEST
        goto handler
#endif
    }
    goto ve;

    /* As without pv-ve: nothing of this vCPU runs until the page is there */
suspend:
    atomic {
        mem[PAGE(p)] == PRESENT;
        if
        :: busy[v] -> goto handler
        :: else -> t = 0; p = 0; goto end_sched
        fi
    }

    /* Guest: the #VE handler, interrupts off */
ve:
    atomic {
        if
        :: mem[PAGE((p + 1) % NP)] != PRESENT -> p = (p + 1) % NP; goto fault
        :: true
        fi;
handler:
        STOP_HERE;
        task[TASK(v, t)] = OWNS;
        task_slot[TASK(v, t)] = info_slot[v]; info_slot[v] = 0;
        task_gen[TASK(v, t)] = info_gen[v]; info_gen[v] = 0;
        busy[v] = false;
        t = 0; p = 0;
        goto end_sched
    }

owns:
    atomic {
        s = task_slot[TASK(v, t)];
        if
        :: PARK
        :: HALT -> task[TASK(v, t)] = HALTS
        :: WAIT ->
            task[TASK(v, t)] = LOOPS;
            s = 0;
            goto wait
        :: RETRY ->
            task[TASK(v, t)] = RUN;
            in_use[SLOT(v, s)] = false;
            store(v, GUEST(v, s), WORD(task_gen[TASK(v, t)], ACKED));
            task_slot[TASK(v, t)] = 0; task_gen[TASK(v, t)] = 0;
            s = 0; t = 0;
            goto end_sched
        fi;
        /* Park: mark, then look, with interrupts off: tell does the reverse */
        if
        :: M(guest_looks_first) -> load(v, HOST(v, s), h)
        :: else
        fi;
        store(v, GUEST(v, s), WORD(task_gen[TASK(v, t)], PARKED))
    }
look:
    atomic {
        M(no_guest_barrier) || BARRIER(v);
        STOP_HERE;
        if
        :: M(guest_looks_first)
        :: M(halted_without_look) && task[TASK(v, t)] == HALTS
        :: else -> load(v, HOST(v, s), h)
        fi;
        if
        :: TELLS(h, task_gen[TASK(v, t)]) ->
            finish(TASK(v, t), h);
            store(v, GUEST(v, s), WORD(GEN(h), ACKED));
            s = 0; h = 0; t = 0;
            goto end_sched
        :: else ->
            s = 0; h = 0;
            if
            :: task[TASK(v, t)] == HALTS -> t = 0
            :: else -> task[TASK(v, t)] = SLEEPS; t = 0; goto end_sched
            fi
        fi
    }
    /* Guest: HLT, and no interrupt was taken since the look */
halted_parked:
    if
    :: atomic { notified[v] -> notified[v] = false; goto notify }
    :: atomic { M(interrupted_before_halt) && notified[v] ->
        notified[v] = false;
        goto halted_parked
       }
#if RESETS
    :: atomic { in_force[v] && resets[v] < RESETS -> goto disable }
    :: atomic { resets[v] < RESETS -> goto reset }
#endif
    fi;

wait:
    atomic {
        s = task_slot[TASK(v, t)];
        load(v, HOST(v, s), h);
        if
        :: TELLS(h, task_gen[TASK(v, t)]) ->
            finish(TASK(v, t), h);
            store(v, GUEST(v, s), WORD(GEN(h), ACKED));
            t = 0; s = 0; h = 0;
            goto end_sched
        :: else -> h = 0
        fi
    }
    /* Host: the wait MSR is written */
    atomic {
        lock(v);
        d = (M(wait_without_test) || shadow[SLOT(v, s)] == OUTSTANDING &&
             gen[SLOT(v, s)] == task_gen[TASK(v, t)] -> s + 1 : 0);
        wait_slot[v] = (M(wait_flag_after_unlock) -> 0 : d);
        unlock(v)
    }
    atomic {
        wait_slot[v] = (M(wait_flag_after_unlock) -> d : wait_slot[v]);
        s = 0; d = 0; t = 0
    }
halted:
    if
    :: wait_slot[v] == 0
    :: atomic {
        notified[v] ->          /* ends this halt as it ends one by HLT */
        lock(v);
        wait_slot[v] = 0;
        unlock(v)
       }
#if RESETS
    :: atomic { resets[v] < RESETS -> goto reset }
#endif
    fi;
    goto end_sched;

    /* Guest: the notification handler */
notify:
    atomic {
        M(done_not_exchanged) || BARRIER(v);
        load(v, DONE_BITS(v), d);
        if
        :: M(done_not_exchanged) -> store(v, DONE_BITS(v), 0)
        :: else -> mem[DONE_BITS(v)] = 0
        fi
    }
    do
    :: atomic { d == 0 -> s = 0; h = 0; goto end_sched }
    :: atomic {
        d != 0 ->
        do
        :: (d & 1) == 0 -> d = d >> 1; s++
        :: else -> break
        od;
        load(v, GUEST(v, s), p);
        load(v, HOST(v, s), h);
        if
        :: STATE(p) == PARKED &&
           (TELLS(h, GEN(p)) || M(generation_ignored) && STATE(h) != 0) ->
            do
            :: k == NT -> break
            :: k < NT ->
                if
                :: (task[TASK(v, k)] == SLEEPS || task[TASK(v, k)] == HALTS) &&
                   task_slot[TASK(v, k)] == s &&
                   task_gen[TASK(v, k)] == GEN(p) ->
                    finish(TASK(v, k), h);
                    k = NT
                :: else -> k++
                fi
            od;
            k = 0;
            store(v, GUEST(v, s), WORD(GEN(p), ACKED))
        :: else
        fi;
        h = 0; p = 0; d = d >> 1; s++
       }
    od;

#if RESETS
    /* System reset, the vCPU being stopped.  An interrupt may or may not survive */
reset:
    atomic {
        if
        :: notified[v] = false
        :: true
        fi;
        /* Host: the control MSR is written, or the reset does the same */
disable:
        resets[v]++;
        t = 0; p = 0; s = 0; h = 0; d = 0
    }
    atomic {
        if
        :: M(reset_without_lock) -> BARRIER(v)
        :: else -> lock(v)
        fi;
        d = mem[WAITS];
        do
        :: s < NS ->
            if
            :: M(reset_keeps_waits)
            :: else ->
                d = (shadow[SLOT(v, s)] == OUTSTANDING && !M(reset_keeps_count) -> d - 1 : d);
                shadow[SLOT(v, s)] = FREE;
                page[SLOT(v, s)] = 0
            fi;
            gen[SLOT(v, s)] = (M(generations_restart) -> 0 : gen[SLOT(v, s)]);
            in_use[SLOT(v, s)] = false;
            s++
        :: else -> break
        od;
        s = 0;
        wait_slot[v] = 0;
        in_force[v] = false;
        store(v, WAITS, d);
        d = 0;
        if
        :: M(reset_without_lock)
        :: else -> unlock(v)
        fi;
        /* Guest: its tasks, those that had not parked yet too, touch again */
        busy[v] = false; info_slot[v] = 0; info_gen[v] = 0;
        do
        :: s < NT ->
            task[TASK(v, s)] = (task[TASK(v, s)] == ENDED -> ENDED : RUN);
            task_slot[TASK(v, s)] = 0; task_gen[TASK(v, s)] = 0;
            s++
        :: else -> break
        od;
        s = 0;
        goto end_sched
    }

    /* It may leave the words of the slots: generations go on.  Not the done word */
enable:
    atomic {
        BARRIER(v);
        mem[DONE_BITS(v)] = (M(done_not_zeroed) -> mem[DONE_BITS(v)] : 0);
        if
        :: do
           :: s < NS -> mem[HOST(v, s)] = 0; mem[GUEST(v, s)] = 0; s++
           :: else -> break
           od;
           s = 0
        :: true
        fi;
        in_force[v] = true;
        goto end_sched
    }
#endif
}

proctype placer(byte p)
{
    byte told;                  /* what the page becomes */
    byte i, g, h, k;

#if FAIL
    if
    :: told = FAILED
    :: told = PRESENT
    fi;
#else
    told = PRESENT;
#endif
place:
    atomic {
        if
        :: M(told_before_placed)
        :: else -> store(PLACER(p), PAGE(p), told)
        fi
    }

    /* tell: the page is marked, now look for waits */
    atomic {
        M(no_place_barrier) || BARRIER(PLACER(p));
        if
        :: mem[WAITS] == 0 -> goto next
        :: else
        fi
    }
    atomic { lock(PLACER(p)) }
    do
    :: atomic {
        do
        :: i < NV * NS && !(shadow[i] == OUTSTANDING && page[i] == p) -> i++
        :: else -> break
        od;
        if
        :: i < NV * NS ->
            shadow[i] = DONE;
            page[i] = 0;
            g = (M(host_looks_first) -> mem[GUEST(0, i)] : 0);
            load(PLACER(p), WAITS, h);
            store(PLACER(p), WAITS, h - 1);
            h = 0;
            if
            :: M(told_without_lock) -> unlock(PLACER(p))
            :: else
            fi;
            /* Mark the slot, then look at the guest's word: park does the reverse */
            if
            :: M(marked_only_if_parked) && mem[GUEST(0, i)] != WORD(gen[i], PARKED)
            :: else ->
                store(PLACER(p), HOST(0, i),
                      WORD(gen[i], (M(failed_told_as_resolved) -> RESOLVED : told)))
            fi
        :: else ->
            unlock(PLACER(p));
            i = 0;
            break
        fi
       }
       atomic {
        M(no_host_barrier) || BARRIER(PLACER(p));
        g = (M(host_looks_first) -> g : mem[GUEST(0, i)]);
        if
        :: g != WORD(gen[i], PARKED) -> g = 0; goto unparked
        :: else -> g = 0; h = (M(done_read_early) -> mem[DONE_BITS(i / NS)] : 0)
        fi
       }
       atomic {
        BARRIER(PLACER(p));
        CHECK(INV_RESET, in_force[i / NS]);
        h = (M(done_read_early) -> h : mem[DONE_BITS(i / NS)]);
        mem[DONE_BITS(i / NS)] = mem[DONE_BITS(i / NS)] | 1 << (i % NS)
       }
       atomic {
        notified[i / NS] = (h == 0 -> true : notified[i / NS]);
        h = 0
       }
unparked:
       atomic {
        if
        :: wait_slot[i / NS] == 1 + i % NS && !M(wait_flag_ignored) ->
            wait_slot[i / NS] = 0
        :: else
        fi;
        if
        :: M(told_without_lock) -> lock(PLACER(p))
        :: else
        fi;
        i = (M(first_slot_only) -> NV * NS : i + 1)
       }
    od;

next:
    atomic {
        if
        :: M(told_before_placed) -> store(PLACER(p), PAGE(p), told)
        :: else
        fi;
        if
        :: told == FAILED -> told = PRESENT; goto place
        :: else -> told = 0
        fi
    }
}

init {
    byte i;

    atomic {
        do
        :: i < NV * NT ->
            touches[i] = i % NP;
            task[i] = (i >= NT && i % NT >= NT1 -> ENDED : RUN);
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < THREADS -> run flusher(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < NP -> run placer(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < NV -> run vcpu(i); i++
        :: else -> break
        od;
        i = 0
    }
    /* Nothing more can happen */
    timeout;
    do
    :: i < NV ->
        CHECK(INV_WAIT, wait_slot[i] == 0);
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < NV * NT ->
        CHECK(INV_LOST, task[i] == ENDED);
        i++
    :: else -> break
    od;
    CHECK(INV_RESET, mem[WAITS] == 0);
#if LIVE
    over = true
#endif
}

#if LIVE
/* Nor does anybody go round for ever, if every thread gets its turn */
ltl ends { <> over }
#endif
