# SPDX-License-Identifier: GPL-2.0-or-later
"""All runs of a session: contenders in turn, and what is kept and shown of them"""

import json
import os
import pathlib
import platform
import sys
import time

from lib.vm import Hang

import busy
import cases
import picture
import run
import system
import table
from loads import LOADS, Failed


def make_folder(parent, name):
    """A new one in `parent`, where `latest` leads to it"""
    folder = parent / name
    folder.mkdir(parents=True)
    link = parent / "latest.new"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    link.rename(parent / "latest")
    return folder


class Results:
    """Of all runs: tables on the screen, the rest in files of a folder of their own"""

    def __init__(self, args, all_cases, image):
        self.args = args
        self.runs = {case: {one.name: [] for one in args.contender} for case in all_cases}
        began = time.strftime("%Y-%m-%d-%H%M%S")
        self.folder = make_folder(pathlib.Path(args.build) / "bench", began)
        self.about = {
            "began": began, "command": sys.argv,
            "kernel of the guest": image.release, "packages": image.packages.split("\n"),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, "
                       f"Linux {platform.release()}",
            "clients": args.clients, "scale": args.scale}

    def add(self, case, contender, result):
        self.runs[case][contender.name].append(result)
        self.save()

    def save(self):
        cases_ = [{"title": case.title, "name": case.name, "load": case.load.name,
                   "bandwidth": case.bandwidth, "rtt": case.rtt, "at once": case.at_once,
                   "vcpus": case.vcpus, "contenders": contenders}
                  for case, contenders in self.runs.items()]
        text = json.dumps({**self.about, "cases": cases_}, indent=1)
        (self.folder / "results.json").write_text(text + "\n", encoding="ascii")

    def tables(self, table_of):
        return [table_of(case.title, {name: [result["figures"] for result in those]
                                      for name, those in contenders.items()})
                for case, contenders in self.runs.items() if any(contenders.values())]

    def text(self):
        if self.args.form == "demo":
            return "\n\n".join(self.tables(table.side_by_side))
        return "\n\n".join([*self.tables(table.table), table.LEGEND])

    def machine(self):
        return [result["machine"] for contenders in self.runs.values()
                for those in contenders.values() for result in those]

    def show(self):
        text = self.text()
        (self.folder / "results.txt").write_text(text + "\n", encoding="ascii")
        print("\n" + text)
        for line in busy.complaints(self.machine()):
            print(f"BUSY MACHINE: {line}")
        picture.draw(self.folder, self.runs)
        print(f"all figures: {self.folder / 'results.json'}\n"
              f"the latest are always in: {self.folder.with_name('latest')}", flush=True)


class Time:
    """Is there enough for another one that takes as long as the longest so far?"""

    def __init__(self, limit):
        self.end = time.monotonic() + limit if limit else None
        self.longest = 0

    def is_enough(self):
        return self.end is None or time.monotonic() + 1.1 * self.longest < self.end

    def took(self, seconds):
        self.longest = max(self.longest, seconds)


def measure(kept, all_cases, results, progress, left):
    """False if time is over before all rounds are done"""
    args = kept.args
    for number in range(1, args.runs + 1):
        for case in all_cases:
            for contender in args.contender:
                progress.begin(f"{case.name}, {contender.name}, run {number} of {args.runs}")
                if left.is_enough():
                    kept.get(case, contender.device, progress)
                if not left.is_enough():
                    return False
                start = time.monotonic()
                results.add(case, contender, run.run(kept, case, contender, number, progress))
                left.took(time.monotonic() - start)
    return True


def bench(cfg, args, image, progress, left):
    """True if all went well; what was measured until then is shown anyway."""
    all_cases = cases.cases(args, LOADS)
    results = Results(args, all_cases, image)
    problem = ""
    try:
        if not measure(system.Kept(cfg, args, image), all_cases, results, progress, left):
            print("Time was over before all runs were done.")
    except (Failed, Hang) as why:
        problem = f"FAILED: {progress.title}: {why}"
    progress.end()
    results.show()
    print(problem or "all data was verified in each run: nothing lost, nothing changed")
    return not problem
