# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the machine busy with other work while something is measured?"""

import contextlib
import os
import pathlib
import time

TURNS = 8_000_000
SLOWER = 1.25               # so much longer than at its best, the same work tells of others
OTHERS = 0.15               # processors that others may use
WAITED = 0.3                # threads that may wait for a processor on average
STOLEN = 0.02               # share of the processors that the host's host may keep
HERTZ = os.sysconf("SC_CLK_TCK")


def spin():
    """Seconds that a fixed piece of work takes"""
    start = time.perf_counter()
    turns = TURNS
    while turns:
        turns -= 1
    return time.perf_counter() - start


def processors():
    """Seconds of processors that all have used, and that the host's host has kept"""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal, *_ = map(
            int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq) / HERTZ, steal / HERTZ


def used_by(pid):
    """Seconds of processors"""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def waited(pids):
    """Seconds that each thread of them, by its id, could have run and had no processor"""
    found = {}
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):          # it has just ended
                found[path.parent.name] = int(path.read_text().split()[1]) / 1e9
    return found


class Look:
    """From its making on until told(); `pids` are those of what is measured."""

    def __init__(self, pids):
        self.pids = pids
        self.spin = spin()
        self.waited = waited(pids)
        self.start = self.now()

    def now(self):
        total, stolen = processors()
        return time.monotonic(), total - sum(used_by(pid) for pid in self.pids), stolen

    def told(self):
        seconds, others, stolen = (b - a for a, b in zip(self.start, self.now()))
        wait = sum(now - self.waited.get(thread, 0)
                   for thread, now in waited(self.pids).items())
        return {"others": others / seconds, "stolen": stolen / seconds / os.cpu_count(),
                "waited": wait / seconds, "spin": max(self.spin, spin()),
                "load average": os.getloadavg()[0]}


def complaints(runs):
    """One line for each thing that was not as it should be in some of these"""
    best = min((run["spin"] for run in runs), default=0)
    tests = (("{:.2f} threads of the bench waited for a processor", "waited", WAITED),
             ("others used {:.2f} processors", "others", OTHERS),
             ("the host of this machine kept {:.0%} of it", "stolen", STOLEN),
             ("a fixed piece of work took {:.2f} s", "spin", best * SLOWER))
    lines = []
    for text, what, limit in tests:
        over = [run[what] for run in runs if run[what] > limit]
        if over:
            lines.append(f"{text.format(max(over))} at most, too much in {len(over)} of "
                         f"{len(runs)} runs")
    return lines
