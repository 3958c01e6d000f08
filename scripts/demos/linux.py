# SPDX-License-Identifier: GPL-2.0-or-later
"""
The demo with a stock Linux kernel, the driver, and a mixed load: tasks that compute, touch
random pages of a large region, read and write a file in tmpfs, talk through pipes, fork and
exec.  All that they work on is verified.  Of each link a picture is drawn, too.
"""

import pathlib
import sys
import textwrap
import time
from statistics import median

from lib.postcopy import Pair

from . import common, picture

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/linux"))
import guest                            # noqa: E402  pylint: disable=C0413

WARM = 1.0              # seconds that the load runs before it is looked at
PATIENCE = 600          # seconds for the postcopy: the nested bed is slow
OVERHEAD = 192          # MiB of guest memory besides the region that is touched
RUNS = 1
TASKS = 32              # touching, of each vCPU: threads, like a server's

KINDS = {kind: lambda s, kind=kind: s.count[kind]
         for kind in ("compute", "touch", "file", "pipe", "fork")}

# Of several runs a row tells the median, and of what must not happen the worst.
ROWS = [
    *common.share_rows({"compute": "compute", "touch": "touching tasks"}),
    ("file reads and writes, whole postcopy", "file", median, common.percent),
    ("pipes, whole postcopy", "pipe", median, common.percent),
    ("fork and exec, whole postcopy", "fork", median, common.percent),
    ("pages faulted (#VE)", "delivered", median, common.counted),
    ("  parked by user mode", "parked_user", median, common.counted),
    ("  parked by kernel mode", "parked_kernel", median, common.counted),
    ("  there before the task slept", "at_once", median, common.counted),
    ("  waited for", "waited", median, common.counted),
    ("notifications", "notified", median, common.counted),
    ("longest stall of a vCPU", "stall", max, common.milliseconds),
    ("time to the last page", "time", max, common.seconds),
    ("pages verified", "pages", min, common.count),
    ("  wrong words in them", "wrong", max, common.count),
]


class Here:
    """Where the guest runs, and by what clock: like Cores of the nested bed, with TCG."""

    name = "TCG"
    count = 1
    before = 3.0        # seconds that the speed on the source is measured
    after = 2.0         # seconds that the picture shows after the last page
    pause = 0.05        # seconds of the host between samples

    def __init__(self, cfg):
        self.cfg = cfg

    def pair(self, name, bandwidth, rtt, **more):
        return Pair(self.cfg, name, bandwidth=bandwidth, rtt=rtt, **more)

    def place(self, pair):
        pass

    def sleep(self, seconds):
        time.sleep(seconds)

    def timed(self, function):
        return function()

    def event(self, when):
        return when


class Watch:
    """Samples of the load's counters, from the source first, then from the target."""

    def __init__(self, where, gpa):
        self.where = where
        self.gpa = gpa
        self.samples = []

    def look(self, vm):
        self.samples.append(self.where.timed(lambda: guest.LoadSample(vm, self.gpa)))

    def during(self, vm, seconds):
        self.look(vm)
        deadline = self.samples[-1].time + seconds
        while self.samples[-1].time < deadline:
            time.sleep(self.where.pause)
            self.look(vm)


def load_arguments(args):
    """compute, touch, ...: so many tasks for each vCPU"""
    pages = args.mem * common.MIB // guest.PAGE
    tasks = {**dict.fromkeys(KINDS, 0), **dict.fromkeys(args.kinds, args.vcpus)}
    if tasks["touch"]:
        tasks["touch"] = (args.tasks or TASKS) * args.vcpus
    return " ".join([*(f"{kind}={count}" for kind, count in tasks.items()),
                     f"pages={pages}", f"filepages={file_pages(args)}",
                     f"alone={int(args.processes)}"])


def file_pages(args):
    return args.mem * common.MIB // guest.PAGE // 4


def start_guest(where, linux, args, on, progress):
    """Returns the address of the load's counters and the driver's counts."""
    progress.show("guest boots")
    linux.boot()
    if on:
        linux.run("load_driver")
    progress.show("speed before")
    gpa = linux.start_load(load_arguments(args))
    where.sleep(WARM)
    return gpa, linux.stats() if on else {}


def precopy(pair, watch, progress):
    """Until all memory was sent once; what was written since is sent again in postcopy."""
    progress.show("precopy")
    pair.precopy(lambda: watch.during(pair.source, watch.where.pause))


def migrate(pair, watch, args, progress):
    """Samples from the switch on, and when postcopy began and ended."""
    pair.prepare()
    pair.migrate()
    if not args.at_once:
        precopy(pair, watch, progress)
    guest.Linux(pair.source).reset_stall()
    start = watch.where.event(pair.switch())
    first = len(watch.samples)
    watch.look(pair.source)                         # stopped: exactly what was done
    watch.samples[first].time = start

    def look():
        watch.look(pair.target)
        progress.show("postcopy", f" {watch.samples[-1].time - start:.0f} s")

    end = watch.where.event(pair.finish(look, watch.where.pause, PATIENCE))
    progress.show("after the last page")
    watch.during(pair.target, watch.where.after)
    return watch.samples[first:], start, end


def examine(pair, earlier, progress):
    """What the guest itself tells when all is over"""
    progress.show("verifying all pages")
    linux = guest.Linux(pair.target)
    pages, wrong = linux.verify_load()
    counts = {name: 0 for name in guest.COUNTS}
    if earlier:
        counts = {name: count - earlier[name] for name, count in linux.stats().items()}
    return {**counts, "pages": pages, "wrong": wrong, "complaints": linux.complaints()}


def run(where, args, image, link, on, progress):
    """One migration: what the table and the picture show of it"""
    name = f"linux-{'on' if on else 'off'}-{link[1] * 1000:g}ms"
    with where.pair(name, *link, append=None, args=image.arguments(),
                    memory=f"{args.mem + OVERHEAD}M", vcpus=args.vcpus,
                    device="" if on else None) as pair:
        where.place(pair)
        gpa, earlier = start_guest(where, guest.Linux(pair.source), args, on, progress)
        watch = Watch(where, gpa)
        watch.during(pair.source, where.before)
        speeds = common.Speeds(KINDS, watch.samples[0], watch.samples[-1])
        samples, start, end = migrate(pair, watch, args, progress)
        found = examine(pair, earlier, progress)
    stall = next(s for s in samples if s.time >= end).count["stall"] / 1e9 / where.count
    return {**common.shares(speeds, samples, start, end), **found, "stall": stall,
            "time": end - start,
            "curve": picture.Curve(speeds, watch.samples, start, end, where.before)}


def judge(args, results):
    """True if all is well; says what is not."""
    wanted = args.mem * common.MIB // guest.PAGE + file_pages(args)
    good = all(r["pages"] == wanted and not r["wrong"] for r in results)
    print("every page verified: none lost, none changed" if good else
          "FAILED: pages are lost or changed")
    for result in results:
        for line in result["complaints"]:
            print(f"FAILED: the kernel says: {line}")
            good = False
    return good


def make_image(cfg, args, progress):
    """None if there is none"""
    progress.begin("Linux guest")
    progress.show("kernel, driver and programs")
    try:
        return guest.Image(args.build, cfg.work)
    except guest.CannotBuild as error:
        why = error
    finally:
        progress.end()
    print(f"The Linux guest cannot be built, so there is no demo with it: {why}\n")
    return None


def told(args):
    """What tasks there are, for each vCPU"""
    count = args.tasks or TASKS
    texts = {
        "compute": "compute (1)",
        "touch": f"touch {args.mem} MiB at random ({count} threads)",
        "file": "read and write a file in tmpfs (1)",
        "pipe": "talk through pipes (2)",
        "fork": "fork and exec (1)",
    }
    if args.processes:
        texts["touch"] = (f"touch {args.mem / count / args.vcpus:g} MiB of their own "
                          f"at random ({count} processes)")
    return ", ".join(text for kind, text in texts.items() if kind in args.kinds)


def rows(args):
    """Without those of tasks that are not there"""
    return [row for row in ROWS if row[1].split()[0] in {*args.kinds} or
            row[1].split()[0] not in KINDS]


def show(where, args, image, links, progress):
    """True if no page was lost or changed and the kernel had nothing to complain of."""
    when = "at once" if args.at_once else "after all memory was sent once"
    print(f"A stock Linux guest ({image.release}) under {where.name} with {args.vcpus} "
          f"vCPU{'s' * (args.vcpus > 1)}, each with tasks\nthat " +
          textwrap.fill(told(args), 90) + f".\nIt switches to postcopy {when}.\n", flush=True)
    pictures = picture.Pictures(args, where.name)

    def done(link, runs):
        common.print_table(link, rows(args), runs)
        pictures.draw(link, {on: those[0]["curve"] for on, those in runs.items()})

    results = common.run_all(links, args.runs or RUNS,
                             lambda link, on: run(where, args, image, link, on, progress),
                             progress, done)
    good = judge(args, results)
    pictures.tell()
    return good


def demo(cfg, args, links, progress):
    image = make_image(cfg, args, progress)
    return bool(image) and show(Here(cfg), args, image, links, progress)
