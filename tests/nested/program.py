# SPDX-License-Identifier: GPL-2.0-or-later
"""
A program of tests in the nested bed.

Guests fall over or hang at boot in there now and then, and so does the bed itself, without
#VE as well (see bed.py).  What was seen of such a run counts for nothing, and it is tried
again, in a new bed if need be.
"""

import contextlib
import importlib.machinery
import importlib.util
import sys

from lib import config
from lib.tap import Tap

from .bed import ONE_THREAD, Bed
from .image import CannotBuild

TRIES = 6
ALIVE = 30                      # seconds for the bed to answer


class FellOver(Exception):
    pass


class Record:
    """What a run has to tell, if it counts."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, args))

    def replay(self, tap):
        for name, args in self.calls:
            getattr(tap, name)(*args)


def sane(vm):
    """Raises FellOver if the guest was reset by itself."""
    if vm.is_running():
        vm.catch_up()
    resets = [event["data"]["guest"] for event in vm.events if event["event"] == "RESET"]
    if resets.count(True) > resets.count(False):    # the firmware adds one to each asked for
        raise FellOver("the guest was reset")


class Place:
    """The bed for one run, with all machines that it has had."""

    def __init__(self, bed):
        self.bed = bed
        self.config = bed.config
        self.run = bed.run
        self.time = bed.time
        self.vms = []
        self.booted = []        # those that no migration comes to

    def machine(self, name, **more):
        vm = self.bed.machine(name, **more)
        self.vms.append(vm)
        self.booted.append(vm)
        return vm

    def pair(self, name, **more):
        pair = self.bed.pair(name, **more)
        self.vms += [pair.source, pair.target]
        self.booted.append(pair.source)
        return pair

    def check(self):
        """Raises FellOver if the bed or one of its guests did."""
        try:
            self.bed.run("true", ALIVE)
        except Exception as error:
            raise FellOver("the bed does not answer") from error
        for vm in self.vms:
            sane(vm)
        for vm in self.booted:
            if not vm.serial or not any(line == "ready" or line.endswith(" is up")
                                        for line in vm.serial.lines):
                raise FellOver("the guest did not boot")


class Beds:
    """One bed for many runs, as long as it lasts."""

    def __init__(self, make):
        self.make = make
        self.bed = None

    def get(self, how):
        if self.bed and self.bed.how != how:
            self.close()
        if not self.bed:
            self.bed = self.make(how)
            self.bed.__enter__()
        return self.bed

    def check(self):
        """The next run gets another one if this does not answer."""
        try:
            self.bed.run("true", ALIVE)
        except Exception:       # pylint: disable=broad-except
            self.close()

    def close(self):
        if self.bed:
            with contextlib.suppress(Exception):
                self.bed.__exit__(None, None, None)
        self.bed = None


def program(path):
    """The functions of another test program"""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader(path.name.replace("-", "_"), str(path))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def try_once(tap, beds, how, test, more):
    place = Place(beds.get(how))
    record = Record()
    try:
        test(record, place, *more)
    except Exception:
        place.check()           # else this is why
        record.replay(tap)
        raise
    place.check()
    record.replay(tap)


def attempt(tap, beds, test, more, how=ONE_THREAD):
    for left in range(TRIES - 1, -1, -1):
        try:
            return try_once(tap, beds, how, test, more)
        except FellOver as why:
            tap.note(f"{why}, {left} tries left")
            beds.check()
    return tap.ok(False, "neither the guest nor the bed falls over each time")


def main(description, cases, add_arguments=lambda parser: None, files=lambda cfg, args: {}):
    """
    `cases` is given the arguments: (name, function, more arguments) of each, and how the
    bed runs its vCPUs, if that matters.  `files` tells what else the bed is to have.
    """
    parser = config.parse(description)
    parser.add_argument("--only", metavar="TEXT", default="",
                        help="only the tests with this in their names")
    add_arguments(parser)
    args = parser.parse_args()
    cfg = config.Config(args)
    tap = Tap(args.only)
    try:
        added = files(cfg, args)
        beds = Beds(lambda how: Bed(cfg, args.build, how, added))
        beds.get(ONE_THREAD)
    except CannotBuild as why:
        cfg.done(True)
        reason = "; ".join(str(why).splitlines())
        print(f"1..0 # SKIP the nested bed cannot be built: {reason}")
        return 0
    try:
        for name, test, more, *how in cases(args):
            tap.run(name, attempt, tap, beds, test, more, *how)
    finally:
        beds.close()
    result = tap.end()
    cfg.done(not result)
    return result
