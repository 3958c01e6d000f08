# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: a load on a link, by contenders that differ in device and driver"""

import argparse
import itertools
from dataclasses import dataclass

from demos.common import MIB, link_name


@dataclass(frozen=True)
class Contender:
    """`device`: properties, None for no device.  `module`: parameters, None for no driver."""

    name: str
    device: str | None
    module: str | None
    postcopy: bool = True


def contender(text):
    """NAME, or NAME:DEVICE:MODULE, where `none` is neither device nor driver"""
    if text in KNOWN:
        return KNOWN[text]
    name, *parts = text.split(":")
    if not name or len(parts) != 2:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {', '.join(KNOWN)}, nor NAME:DEVICE:MODULE")
    device, module = (None if part == "none" else part.replace(",", " ") if i else part
                      for i, part in enumerate(parts))
    if device is None and module is not None:
        raise argparse.ArgumentTypeError(f"{text!r}: no device for the driver")
    return Contender(name, device, module)


NOTHING = "hot-first=off,urgent=off"        # of ours is in effect if there is no driver
KNOWN = {one.name: one for one in (Contender("none", None, None),
                                   Contender("off", NOTHING, None),
                                   Contender("on", "", ""),
                                   Contender("plain", NOTHING, None, postcopy=False))}


def label(name):
    """Of a contender, for who does not know what `off` and `on` are"""
    return f"pv-ve {name}" if name in ("off", "on") else name


@dataclass(frozen=True)
class Case:
    load: object
    bandwidth: int          # bytes a second
    rtt: float              # seconds
    at_once: bool
    vcpus: int

    @property
    def name(self):
        """For files"""
        return (f"{self.load.name}-{self.vcpus}cpu-{self.bandwidth / MIB:g}MiBps-"
                f"{self.rtt * 1000:g}ms-{'at-once' if self.at_once else 'after-precopy'}")

    @property
    def title(self):
        return (f"{self.load.title}; {self.vcpus} vCPU{'s' * (self.vcpus > 1)}, "
                f"{link_name((self.bandwidth, self.rtt))}, "
                f"{'at once' if self.at_once else 'after one pass of precopy'}")


def cases(args, loads):
    return [Case(loads[load], int(bandwidth * MIB), rtt / 1000, when == "at-once", vcpus)
            for bandwidth, rtt, when, vcpus, load in itertools.product(
                args.bandwidth, args.rtt, args.when, args.vcpus, args.load)]
