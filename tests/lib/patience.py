# SPDX-License-Identifier: GPL-2.0-or-later
"""
How long to wait for what must come.  It guards against hanging and says nothing about
speed: on a machine that others keep busy, patience lasts as much longer.
"""

import os
import subprocess
import time

HANG = float(os.environ.get("PV_VE_HANG", "180"))       # seconds on an idle machine
LOOK = 10.0                     # seconds until the machine may be another one


def crowd():
    """How many want each processor, 1 at least"""
    return max(1.0, os.getloadavg()[0] / os.cpu_count())


class Patience:
    def __init__(self, seconds=HANG):
        self.rest = seconds
        self.seen = time.monotonic()

    def left(self):
        """Seconds to wait until asking again, 0 if it is over."""
        now = time.monotonic()
        share = crowd()
        self.rest -= (now - self.seen) / share
        self.seen = now
        return max(0.0, min(self.rest * share, LOOK))

    def is_over(self):
        return not self.left()


def run_to_end(args):
    """A program that ends by itself, and what it said, as subprocess.run() tells it"""
    with subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        patience = Patience()
        while True:
            try:
                output = process.communicate(timeout=patience.left())
                return subprocess.CompletedProcess(args, process.returncode, *output)
            except subprocess.TimeoutExpired:
                if patience.is_over():
                    process.kill()
                    raise
