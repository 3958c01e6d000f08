/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what the guest goes through in sequence, and which pages it will need next.
 *
 * A stream is found by the touches of missing pages alone, as nobody tells of a page that
 * was there.  So who goes on behind all that was asked for has used it.  Pages are those
 * of the guest's linear addresses, of 4 KiB; a space tells address spaces apart.  A
 * stream can go downwards, too: Linux often gives a file its memory in that order.
 *
 * The caller serializes.  Memory and the work for a touch are bounded, whatever the guest
 * touches.
 */
#ifndef PV_VE_STREAMS_H
#define PV_VE_STREAMS_H

#define PV_VE_NR_STREAMS    32
#define PV_VE_AHEAD_MAX     32      /* pages that are asked for at once */
#define PV_VE_AHEAD_SPAN    64      /* and are looked at: some may be there */

typedef struct PvVeStream {
    uint64_t stamp;             /* of its last touch; 0: none */
    uint64_t space;
    bool down;                  /* page and next are counted from the other end */
    uint64_t page;              /* touched last */
    uint64_t next;              /* behind all that was looked at: at most page + SPAN;
                                   most often a page that is missing */
    uint64_t asked;             /* bit i: page + 1 + i was asked for, not used so far */
    unsigned window;            /* how many of these there may be */
} PvVeStream;

typedef struct PvVeStreams {
    PvVeStream stream[PV_VE_NR_STREAMS];
    uint64_t stamp;
    uint64_t asked;             /* pages so far */
    uint64_t hit;               /* of these: touched, or the stream went on behind them */
    uint64_t missed;            /* of these: it has turned elsewhere, or ended */
} PvVeStreams;

/* What is to be asked for. */
typedef struct PvVeAhead {
    uint64_t space;
    uint64_t from;              /* look at the pages from here on, ... */
    bool down;                  /* ... downwards */
    unsigned span;              /* so many at most, */
    unsigned want;              /* up to a missing one when so many were asked for */
} PvVeAhead;

/*
 * A missing page is touched.  The access is known to go on up to page @last; @page if it
 * is not.
 */
PvVeAhead pv_ve_streams_touch(PvVeStreams *s, uint64_t space, uint64_t page,
                              uint64_t last);

/*
 * So many pages of @a were looked at, and those asked for whose bit is set, bit 0 for
 * @a->from.  That may include the page behind: what its translation needs.
 */
void pv_ve_streams_asked(PvVeStreams *s, const PvVeAhead *a, unsigned looked,
                         uint64_t asked);

#endif
