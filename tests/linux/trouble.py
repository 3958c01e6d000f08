# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory of a guest that comes and goes."""

import random
import time

import guest
from lib.patience import Patience
from lib.vm import Hang


class Trouble:
    """Takes random memory from the guest, whatever it is, and gives it back soon."""

    def __init__(self, vm, seed):
        self.vm = vm
        self.random = random.Random(seed)
        self.ranges = []

    def begin(self, count=2):
        for _ in range(count):
            start = self.random.randrange(1 << 20, 255 << 20) & -guest.PAGE
            size = self.random.choice((1, 16, 64)) * guest.PAGE
            size = min(size, (255 << 20) - start)
            self.vm.withheld("withhold", start, size)
            self.ranges.append((start, size))

    def end(self):
        for start, size in self.ranges:
            self.vm.withheld("release", start, size)
        self.ranges = []

    def once(self, count=2):
        self.begin(count)
        time.sleep(0.002)
        self.end()
        time.sleep(0.03)                # to work is allowed as well

    def during(self, linux, command):
        """Runs the command while memory comes and goes."""
        first = self.vm.serial.seen
        linux.tell(command)
        patience = Patience()
        while not any(line.startswith("= ") for line in self.vm.serial.lines[first:]):
            self.once()
            if patience.is_over():
                raise Hang(f"{self.vm.name}: no end of {command}")
        return int(self.vm.serial.wait(r"^= (\d+)$")[1])

    def until_fault(self):
        """Memory comes and goes until the guest has taken #VE for some of it."""
        before = self.vm.stats()["delivered"]
        guest.until("a fault", lambda: self.once(20) or self.vm.stats()["delivered"] > before)
