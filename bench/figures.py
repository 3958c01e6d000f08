# SPDX-License-Identifier: GPL-2.0-or-later
"""
What users of a server feel of a migration, from the times of all transactions.  Times are
seconds of one clock that goes on while the guest stands still: the host's.
"""

import bisect
import math
from statistics import median

AGAIN = 1.0             # seconds that a speed must last to count as being back
LOOK = 0.01             # how exactly it is told since when it is


class Moments:
    """
    When a migration did what.  The speed before is that from `before` until `until`;
    `stop`: the source stands still; `running`: the target runs; `last`: its last page came.
    `switch`: from when on it is looked at; in postcopy that is when the target runs.
    """

    def __init__(self, before, until, stop, switch, last, running=None):
        self.before = before
        self.until = until
        self.stop = stop
        self.switch = switch
        self.last = last
        self.running = switch if running is None else running


class Transactions:
    """All that were served, as pairs (begin, end)"""

    def __init__(self, pairs):
        self.pairs = sorted(pairs, key=lambda pair: pair[1])
        self.ends = [end for _, end in self.pairs]

    def count(self, start, end):
        """How many ended from `start` on, before `end`"""
        return bisect.bisect_left(self.ends, end) - bisect.bisect_left(self.ends, start)

    def speed(self, start, end):
        return self.count(start, end) / (end - start)

    def under_way(self, start, end):
        """How long those took that were not over at `start` and had begun before `end`"""
        first = bisect.bisect_left(self.ends, start)
        return sorted(e - b for b, e in self.pairs[first:] if b < end)

    def longest_gap(self, start):
        """The longest time without an end of any, from `start` until the last one"""
        ends = [start, *self.ends[bisect.bisect_left(self.ends, start):]]
        return max((b - a for a, b in zip(ends, ends[1:])), default=None)

    def first(self, start):
        """Seconds until one has ended"""
        index = bisect.bisect_left(self.ends, start)
        return self.ends[index] - start if index < len(self.ends) else None

    def back(self, start, speed):
        """
        Seconds from `start` until this speed is back, that is, until a time from which it is
        reached on average of the next AGAIN seconds; None if that is not seen.
        """
        if not self.ends:
            return None
        for step in range(math.floor((self.ends[-1] - AGAIN - start) / LOOK) + 1):
            begin = start + step * LOOK
            if self.speed(begin, begin + AGAIN) >= speed:
                return step * LOOK
        return None


def percentile(values, share):
    """The smallest that so large a share of them does not exceed; they are sorted."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


def figures(transactions, moments):
    before = transactions.speed(moments.before, moments.until)
    if not before:
        raise ValueError("no transaction ended before the migration")
    switch, last = moments.switch, moments.last
    latencies = transactions.under_way(min(moments.stop, switch), max(last, switch + 1))
    usual = transactions.under_way(moments.before, moments.until)
    return {
        "before": before,
        "p50 before": percentile(usual, 0.5),
        "p99 before": percentile(usual, 0.99),
        "first second": transactions.count(switch, switch + 1),
        "share of first second": transactions.count(switch, switch + 1) / before,
        "share of postcopy": transactions.speed(switch, last) / before,
        "p50": percentile(latencies, 0.5),
        "p99": percentile(latencies, 0.99),
        "longest": percentile(latencies, 1),
        "gap": transactions.longest_gap(switch),
        "first": transactions.first(switch),
        "half": transactions.back(switch, before / 2),
        "nine tenths": transactions.back(switch, before * 0.9),
        "last page": last - switch,
        "down": moments.running - moments.stop,
    }


def curve(transactions, moments, step, start, end):
    """
    Points (seconds since the switch, speed as a share of that before, longest latency of
    those that ended then or None), in steps that begin and end with the switch
    """
    before = transactions.speed(moments.before, moments.until)
    points = []
    for number in range(math.ceil(start / step), math.floor(end / step)):
        left, right = (moments.switch + step * n for n in (number, number + 1))
        some = transactions.pairs[bisect.bisect_left(transactions.ends, left):
                                  bisect.bisect_left(transactions.ends, right)]
        points.append((step * (number + 0.5), transactions.speed(left, right) / before,
                       max((e - b for b, e in some), default=None)))
    return points


def summary(values):
    """
    (median, lowest, highest) of several runs.  What was not seen in a run (None) is longer
    than all that was; it is None in the result.
    """
    known = sorted(math.inf if value is None else value for value in values)
    return tuple(None if value == math.inf else value
                 for value in (median(known), known[0], known[-1]))
