/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what the guest goes through in sequence, and which pages it will need next.
 *
 * Of a new stream nothing is asked for: it may be none.  Its window begins with the
 * second touch in sequence, and doubles with each further one.  A touch a little behind
 * halves it, and until the next one in sequence nothing is asked for.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include "pv-ve/hw/streams.h"

#define FIRST_WINDOW    2
#define LAST_PAGE       MAKE_64BIT_MASK(0, 52)
#define NEAR            8       /* pages: a touch so far behind is the stream's, too */

/* Where a page is in a stream, or which page is there */
static uint64_t place(bool down, uint64_t page)
{
    return down ? LAST_PAGE - page : page;
}

static PvVeStream *find(PvVeStreams *s, uint64_t space, uint64_t page, unsigned near)
{
    for (unsigned i = 0; i < PV_VE_NR_STREAMS; i++) {
        PvVeStream *stream = &s->stream[i];
        uint64_t ahead = place(stream->down, page) - stream->page;

        if (stream->stamp && stream->space == space &&
            ahead <= stream->next - stream->page + near) {
            return stream;
        }
    }
    return NULL;
}

/* One that has gone nowhere so far, and now the other way */
static PvVeStream *find_turned(PvVeStreams *s, uint64_t space, uint64_t page)
{
    for (unsigned i = 0; i < PV_VE_NR_STREAMS; i++) {
        PvVeStream *stream = &s->stream[i];

        if (stream->stamp && stream->space == space && !stream->window &&
            !stream->asked && stream->page - place(stream->down, page) == 1) {
            stream->page = LAST_PAGE - stream->page;
            stream->next = stream->page + 1;
            stream->down = !stream->down;
            return stream;
        }
    }
    return NULL;
}

static void forget_asked(PvVeStreams *s, PvVeStream *stream)
{
    s->missed += ctpop64(stream->asked);
    stream->asked = 0;
}

/* In place of the one that nobody has touched for longest. */
static PvVeStream *begin(PvVeStreams *s, uint64_t space, uint64_t page)
{
    PvVeStream *oldest = &s->stream[0];

    for (unsigned i = 1; i < PV_VE_NR_STREAMS; i++) {
        if (s->stream[i].stamp < oldest->stamp) {
            oldest = &s->stream[i];
        }
    }
    forget_asked(s, oldest);
    *oldest = (PvVeStream) { .space = space, .page = page, .next = page + 1 };
    return oldest;
}

static void go_on(PvVeStreams *s, PvVeStream *stream, uint64_t page)
{
    uint64_t pages = page - stream->page;           /* 1 to SPAN */
    uint64_t passed = stream->asked & MAKE_64BIT_MASK(0, pages);

    s->hit += ctpop64(passed);
    stream->asked = pages < 64 ? stream->asked >> pages : 0;
    stream->page = page;
    stream->next = MAX(stream->next, page + 1);
    stream->window = stream->window ? MIN(2 * stream->window, PV_VE_AHEAD_MAX) :
                                      FIRST_WINDOW;
}

static void jump(PvVeStreams *s, PvVeStream *stream, uint64_t page)
{
    forget_asked(s, stream);
    stream->page = page;
    stream->next = page + 1;
    stream->window /= 2;
}

static PvVeAhead plan(const PvVeStream *stream, uint64_t last, bool in_sequence)
{
    unsigned room = stream->page + PV_VE_AHEAD_SPAN - stream->next;
    unsigned under_way = ctpop64(stream->asked);
    PvVeAhead a = {
        .space = stream->space,
        .from = place(stream->down, stream->next),
        .down = stream->down,
        .span = MIN(NEAR, room),
    };

    if (!stream->down && last > stream->page && last >= stream->next) {
        a.want = MIN(last - stream->next + 1, PV_VE_AHEAD_MAX);
        a.span = MIN(a.want, room);
    }
    if (in_sequence && stream->window > under_way) {
        a.want = MAX(a.want, stream->window - under_way);
        a.span = room;
    }
    return a;
}

PvVeAhead pv_ve_streams_touch(PvVeStreams *s, uint64_t space, uint64_t page,
                              uint64_t last)
{
    PvVeStream *stream = find(s, space, page, 0) ?: find_turned(s, space, page);
    bool in_sequence = stream;

    if (!stream) {
        stream = find(s, space, page, NEAR);
        if (stream) {
            jump(s, stream, place(stream->down, page));
        } else {
            stream = begin(s, space, page);
        }
    } else if (place(stream->down, page) != stream->page) {
        go_on(s, stream, place(stream->down, page));
    }
    stream->stamp = ++s->stamp;
    return plan(stream, last, in_sequence);
}

/* Another vCPU may have touched the stream meanwhile. */
void pv_ve_streams_asked(PvVeStreams *s, const PvVeAhead *a, unsigned looked,
                         uint64_t asked)
{
    s->asked += ctpop64(asked);
    for (unsigned i = 0; i < PV_VE_NR_STREAMS; i++) {
        PvVeStream *stream = &s->stream[i];

        if (stream->stamp && stream->space == a->space && stream->down == a->down &&
            stream->next == place(a->down, a->from)) {
            stream->asked |= asked << (stream->next - stream->page - 1);
            stream->next += looked;
            return;
        }
    }
}
