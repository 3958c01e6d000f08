# SPDX-License-Identifier: GPL-2.0-or-later
"""
The demo with the freestanding guest.  Its compute tasks need no missing page, the others
touch random pages; at the end it verifies every page.
"""

import time
from statistics import median

from lib import report
from lib.postcopy import Pair

from . import common

BEFORE = 2.0            # seconds that the speed on the source is measured
OVERHEAD = 64           # MiB of guest memory besides the test region
RUNS = 3
TASKS = 8               # touching, of each vCPU

KINDS = {"compute": lambda s: s.total("compute"),
         "touch": lambda s: s.total("touch", "ktouch")}

# Of several runs a row tells the median, and of what must not happen the worst.
ROWS = [
    *common.share_rows({"compute": "compute task", "touch": "touching tasks"}),
    ("pages faulted (#VE)", "faults", median, common.counted),
    ("  parked", "parked", median, common.counted),
    ("  waited for", "waited", median, common.counted),
    ("notifications", "notified", median, common.counted),
    ("longest stall of a vCPU", "stall", max, common.milliseconds),
    ("time to the last page", "time", max, common.seconds),
    ("pages verified", "pages", min, common.count),
    ("  of these lost or changed", "wrong", max, common.count),
]


def ask(vm, command, answer):
    vm.serial.send(command)
    return vm.serial.wait(answer)


def measure_before(vm, vcpus):
    first = report.sample(vm, vcpus)
    time.sleep(BEFORE)
    return common.Speeds(KINDS, first, report.sample(vm, vcpus))


def migrate(pair, vcpus, progress):
    """Samples from the switch on, and when the migration began and ended."""
    pair.prepare()
    ask(pair.source, "r", "stall reset")
    pair.migrate()
    start = pair.switch()
    samples = [report.sample(pair.source, vcpus)]   # stopped: exactly what was done
    samples[0].time = start

    def sample():
        samples.append(report.sample(pair.target, vcpus))
        progress.show("postcopy", f" {time.time() - start:.0f} s")

    end = pair.finish(sample)
    samples.append(report.sample(pair.target, vcpus))
    return samples, start, end


def verify(pair, vcpus):
    """(pages verified, pages lost or changed)"""
    found = ask(pair.target, "v", r"verified (\d+) pages, (\d+) bad(?:, (\d+) failed)?")
    pages, bad, failed = (int(n or 0) for n in found.groups())
    last = report.sample(pair.target, vcpus)
    return pages, max(bad, last.bad_count) + failed


def run(cfg, args, link, on, progress):
    """One migration: what the table shows of it"""
    bandwidth, rtt = link
    append = (f"mem={args.mem} compute=1 touch={args.tasks or TASKS} burst=1 "
              f"ve={'on' if on else 'off'}" + (" cpl0=1 if0=1" if args.cpl0 else ""))
    name = f"{'on' if on else 'off'}-{rtt * 1000:g}ms"
    with Pair(cfg, name, bandwidth=bandwidth, rtt=rtt, append=append,
              memory=f"{args.mem + OVERHEAD}M", vcpus=args.vcpus,
              device="" if on else None) as pair:
        progress.show("guest starts")
        pair.source.serial.wait("^ready")
        progress.show("speed before")
        before = measure_before(pair.source, args.vcpus)
        samples, start, end = migrate(pair, args.vcpus, progress)
        progress.show("verifying all pages")
        pages, wrong = verify(pair, args.vcpus)

    base, last = samples[0], samples[-1]
    counts = {name: last.total(*names) - base.total(*names)
              for name, names in (("faults", ("ve_user", "ve_kernel")),
                                  ("parked", ("parked",)), ("waited", ("waited",)),
                                  ("notified", ("notified",)))}
    return {**common.shares(before, samples, start, end), **counts, "pages": pages,
            "wrong": wrong, "stall": last.stall(), "time": end - start}


def demo(cfg, args, links, progress):
    """True if no page was lost or changed."""
    print(f"A freestanding guest with {args.vcpus} vCPU{'s' * (args.vcpus > 1)}, each with "
          f"one compute task and {args.tasks or TASKS} tasks\ntouching {args.mem} MiB.\n",
          flush=True)
    results = common.run_all(links, args.runs or RUNS,
                             lambda link, on: run(cfg, args, link, on, progress), progress,
                             lambda link, runs: common.print_table(link, ROWS, runs))
    wanted = args.mem * common.MIB // report.PAGE
    good = all(r["pages"] == wanted and not r["wrong"] for r in results)
    print("every page verified: none lost, none changed\n" if good else
          "FAILED: pages are lost or changed\n", flush=True)
    return good
