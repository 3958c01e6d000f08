# SPDX-License-Identifier: GPL-2.0-or-later
"""One migration of a guest that serves its clients"""

import contextlib
import os
import pathlib
import time
from types import SimpleNamespace

from lib import report
from lib.postcopy import Pair, event_time
from linux import guest

import busy
import clock
import figures
from loads import Failed

WARM = 5.0              # seconds that the clients work before anything is measured
BEFORE = 6.0            # seconds that the speed before is measured
LOST_AFTER = 0.2        # seconds after the switch that an outage begins
AFTER = 4.0             # seconds after the last page that are looked at
PAUSE = 0.02            # seconds between two looks at the migration
PATIENCE = 600
# Without postcopy
DOWN = 300              # milliseconds that the guest may stand still: QEMU's default
ENDLESS = 30.0          # seconds after which it may stand still as long as it takes


class Idle:
    """How long the threads of a VM's vCPUs slept, though they could have had a processor"""

    def __init__(self, vm):
        pid = vm.machine._subp.pid
        self.paths = [pathlib.Path(f"/proc/{pid}/task/{cpu['thread-id']}/schedstat")
                      for cpu in vm.cmd("query-cpus-fast")]
        self.samples = []

    def look(self):
        # Nanoseconds that it had a processor, and that it waited for one
        busy = sum(int(text) for path in self.paths for text in path.read_text().split()[:2])
        self.samples.append(SimpleNamespace(time=time.time(), busy=busy / 1e9))

    def between(self, start, end):
        """Seconds, on average of the vCPUs; the first sample must be of before `start`."""
        busy, none = (report.at(self.samples, when, lambda sample: sample.busy)
                      for when in (end, start))
        return (end - start) - (busy - none) / len(self.paths)


def start_source(kept, case, contender, name, progress):
    """A Vm to be entered: the kept guest in it waits to be woken."""
    path = kept.get(case, contender.device, progress)
    machine = kept.machine(case, contender.device)
    machine["args"] = [*machine["args"], "-incoming", "defer"]
    return kept.cfg.machine(f"{name}-first", **machine), path


def prepare(pair, args):
    pair.prepare()
    pair.target.cmd("migrate-set-capabilities",
                    capabilities=[{"capability": "postcopy-blocktime", "state": True}])
    if args.background:
        pair.source.cmd("migrate-set-parameters",
                        max_postcopy_bandwidth=int(args.background * (1 << 20)))


def switch(pair):
    """(when the source stood still, when the target ran)"""
    running = pair.switch()
    return event_time(pair.source.wait_event("STOP")), running


def measure_before(linux, load, args, progress):
    """The source's clock, and from when until when the speed is that before"""
    progress.show("clients begin")
    load.begin(linux, args)
    time.sleep(WARM)
    progress.show("speed before")
    early = clock.stamps(linux)
    start = time.time()
    time.sleep(BEFORE)
    end = time.time()
    return clock.Clock.between(early, clock.stamps(linux)), start, end


def lose_network(pair, seconds):
    time.sleep(LOST_AFTER)
    pair.lose_network()
    time.sleep(seconds)
    pair.recover()


def finish(pair, idle, look, progress):
    """When the last page came"""
    last = pair.finish(look, pause=PAUSE, patience=PATIENCE)
    idle.look()
    progress.show("after the last page")
    time.sleep(AFTER)
    return last


def migrate(pair, case, args, progress):
    """(what Moments are made of, behind the speed before; how long the vCPUs idled)"""
    prepare(pair, args)
    pair.migrate()
    if not case.at_once:
        progress.show("precopy")
        pair.precopy(lambda: time.sleep(PAUSE))
    idle = Idle(pair.target)
    idle.look()
    stop, running = switch(pair)
    progress.show("postcopy")
    if args.outage:
        lose_network(pair, args.outage)
    last = finish(pair, idle, idle.look, progress)
    return (stop, running, last), idle.between(running, last)


def migrate_plainly(pair, case, _args, progress):
    """The same without postcopy, from where others switch"""
    pair.prepare(postcopy=False)
    pair.source.cmd("migrate-set-parameters", max_bandwidth=pair.bandwidth)
    progress.show("precopy")
    pair.migrate()
    if not case.at_once:
        pair.precopy(lambda: time.sleep(PAUSE))
    idle = Idle(pair.source)
    idle.look()
    start = time.time()
    pair.source.cmd("migrate-set-parameters", downtime_limit=DOWN)

    def look():
        idle.look()
        if time.time() > start + ENDLESS:
            pair.source.cmd("migrate-set-parameters", downtime_limit=1000 * PATIENCE)

    last = finish(pair, idle, look, progress)
    stop, running = (event_time(vm.wait_event(name)) for vm, name in (
        (pair.source, "STOP"), (pair.target, "RESUME")))
    return (stop, start, last, running), idle.between(start, last)


def verify(linux, load, args, said, count):
    load.check(linux, args, said, count)
    if complaints := linux.complaints():
        raise Failed(f"the kernel says: {complaints}")


def examine(pair, source_clock, stop, load, contender, args, progress):
    """(transactions by the host's clock, what the guest and both QEMUs have counted)"""
    linux = guest.Linux(pair.target)
    progress.show("verifying all data")
    target_clock = clock.Clock(clock.stamps(linux), source_clock.rate)
    moved = clock.Moved(source_clock, target_clock, stop)
    said, found = load.end(linux)
    found = [(moved.at(begin), moved.at(end)) for begin, end in found]
    counted = {"down by the guest's clock": moved.down(),
               "blocked": pair.target.cmd("query-migrate").get("postcopy-vcpu-blocktime"),
               "requests": pair.source.cmd("query-migrate")["ram"]["postcopy-requests"]}
    if contender.device is not None:
        counted["device"] = pair.target.stats()
    if contender.module is not None:
        counted["driver"] = linux.stats()
    verify(linux, load, args, said, len(found))
    return figures.Transactions(found), counted


def run(kept, case, contender, number, progress):
    """What is to be told of it"""
    load, args = case.load, kept.args
    name = f"{case.name}-{contender.name}-{number}"
    first, path = start_source(kept, case, contender, name, progress)
    with contextlib.ExitStack() as alive:
        progress.show("guest is loaded")
        source = alive.enter_context(first)
        kept.wake(source, path)
        pair = alive.enter_context(Pair(
            kept.cfg, name, bandwidth=case.bandwidth, rtt=case.rtt, source=source,
            **kept.machine(case, contender.device)))
        linux = guest.Linux(source)
        if contender.module is not None:
            linux.run(f"load_driver {contender.module}")
        look = busy.Look([os.getpid(), pair.relay.process.pid,
                          *(vm.machine._subp.pid for vm in (source, pair.target))])
        source_clock, start, end = measure_before(linux, load, args, progress)
        move = migrate if contender.postcopy else migrate_plainly
        moved, lost = move(pair, case, args, progress)
        moments = figures.Moments(start, end, *moved)
        machine = look.told()
        transactions, counted = examine(pair, source_clock, moments.stop, load, contender,
                                        args, progress)
    return {"figures": {**figures.figures(transactions, moments), "lost": lost},
            "counted": counted, "machine": machine,
            "curve": figures.curve(transactions, moments, args.step, start - moments.switch,
                                   moments.last + AFTER - moments.switch)}
