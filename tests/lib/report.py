# SPDX-License-Identifier: GPL-2.0-or-later
"""
The report page of the freestanding test guest, sampled from outside.  The layout is that
of guests/freestanding/report.h.
"""

import time

GPA = 0x200000
MAGIC = 0x74736575672d6576
VERSION = 1
REGION_GPA = 0x1000000
PAGE = 4096

HEADER = ["magic", "version", "ncpus", "state", "tsc_hz", "region_gpa", "pages",
          "features", "slots", "hold", "verify_runs", "verify_bad", "verify_away",
          "bad_count"]
CPU = ["compute", "touch", "ktouch", "ve_user", "ve_kernel", "parked", "awake", "waited",
       "retried", "notified", "spurious", "woken", "failed", "bad", "stall", "ticks",
       "alive", "sleeping", "enabled", "stray", "nmis", "exact_read", "exact_write",
       "exact_fetch", "walks", "fetch_walks", "page_faults", "walked_faults"]
HEADER_WORDS = CPU_WORDS = 32


class Report:
    """One sample: `time` is the host's clock when the answer came."""

    def __init__(self, words):
        # A guest that is just being asked answers at the end of any delay.
        self.time = time.time()
        for name, word in zip(HEADER, words):
            setattr(self, name, word)
        if (self.magic, self.version) != (MAGIC, VERSION):
            raise RuntimeError(f"no report page of the test guest: magic {self.magic:#x}, "
                               f"version {self.version}")
        self.cpu = []
        for start in range(HEADER_WORDS, len(words), CPU_WORDS):
            self.cpu.append(dict(zip(CPU, words[start:start + CPU_WORDS])))

    def total(self, *names):
        return sum(cpu[name] for cpu in self.cpu for name in names)

    def stall(self):
        """Seconds of the longest stall of any vCPU."""
        return max(cpu["stall"] for cpu in self.cpu) / self.tsc_hz

    def faults(self):
        return self.total("ve_user", "ve_kernel")


def sample(vm, vcpus):
    return Report(vm.words(GPA, HEADER_WORDS + vcpus * CPU_WORDS))


def at(samples, when, what):
    """The value of `what(sample)` at a time between samples, by linear interpolation."""
    before = [s for s in samples if s.time <= when]
    after = [s for s in samples if s.time > when]
    if not before or not after:
        raise ValueError("no samples on both sides of that time")
    left, right = before[-1], after[0]
    share = (when - left.time) / (right.time - left.time)
    return what(left) + share * (what(right) - what(left))
