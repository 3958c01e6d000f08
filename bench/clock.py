# SPDX-License-Identifier: GPL-2.0-or-later
"""
Times of the guest's clock as times of the host's.  The guest tells its clock many times in a
row; what arrives fastest tells best how far the two are apart.  Its clock may go faster or
slower than the host's, by a share that it has from boot on, and stands still while it does.
"""

SECOND = 1000 * 1000 * 1000
COUNT = 60


def stamps(linux):
    """Pairs (guest's time, host's time), in seconds"""
    serial = linux.vm.serial
    first = serial.seen
    linux.run(f"stamp {COUNT}")
    return [(int(line.split()[1]) / SECOND, when)
            for line, when in list(zip(serial.lines, serial.times))[first:serial.seen]
            if line.startswith("stamp ")]


def nearest(pairs, rate=1.0):
    """The pair with the shortest way between the clocks, the guest's going at this rate"""
    return min(pairs, key=lambda pair: pair[1] - pair[0] / rate)


class Clock:
    """Of one guest on one host: `rate` is how many of its seconds a host's second has."""

    def __init__(self, pairs, rate=1.0):
        self.rate = rate
        self.guest, self.host = nearest(pairs, rate)

    @classmethod
    def between(cls, early, late):
        """The rate is what was seen between two sets of stamps."""
        (guest_early, host_early), (guest_late, host_late) = nearest(early), nearest(late)
        return cls(late, (guest_late - guest_early) / (host_late - host_early))

    def at(self, guest):
        return self.host + (guest - self.guest) / self.rate


class Moved:
    """The guest's clock in a migration: by that of the source until `stop`."""

    def __init__(self, source, target, stop):
        self.source = source
        self.target = target
        self.stop = stop

    def at(self, guest):
        before = self.source.at(guest)
        return before if before <= self.stop else self.target.at(guest)

    def down(self):
        """How long the guest's clock stood still, by the stamps alone"""
        return self.target.at(0) - self.source.at(0)
