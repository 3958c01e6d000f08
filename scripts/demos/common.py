# SPDX-License-Identifier: GPL-2.0-or-later
"""What the demos of both guests share: progress on the screen, shares of work, the table."""

from statistics import median

from lib import report

MIB = 1024 * 1024
WINDOW = 2.0            # seconds after the switch that are looked at on their own


class Progress:
    """What is being done: a line that changes on a terminal, else a line for each step."""

    def __init__(self, stream):
        self.stream = stream
        self.tty = stream.isatty()
        self.title = self.step = None

    def begin(self, title):
        self.title = title
        self.step = None

    def show(self, step, detail=""):
        if self.tty:
            print(f"\r\033[K{self.title}: {step}{detail}", end="", file=self.stream)
        elif step != self.step:
            print(f"{self.title}: {step}", file=self.stream)
        self.step = step
        self.stream.flush()

    def end(self):
        if self.tty:
            print("\r\033[K", end="", file=self.stream, flush=True)


class Speeds:
    """
    Work done of each kind, as a share of what was done before in that time.  `kinds` is
    a dictionary of functions, which tell what a sample has of that kind.
    """

    def __init__(self, kinds, first, last):
        self.kinds = kinds
        self.speed = {kind: (done(last) - done(first)) / (last.time - first.time)
                      for kind, done in kinds.items()}

    def share(self, kind, samples, start, end):
        def done(when):
            return report.at(samples, when, self.kinds[kind])

        if not self.speed[kind]:
            return 0.0                  # no task is of that kind
        return (done(end) - done(start)) / (end - start) / self.speed[kind]


def link_name(link):
    bandwidth, rtt = link
    name = f"{bandwidth / MIB:g} MiB/s" if bandwidth else "unlimited"
    return name + (f", {rtt * 1000:g} ms round trip" if rtt else ", no latency")


def percent(value):
    return f"{100 * value:.1f} %"


def count(value):
    return f"{value:.0f}"


def counted(value):
    return count(value) if value else "-"


def milliseconds(value):
    return f"{1000 * value:.1f} ms"


def seconds(value):
    return f"{value:.2f} s"


def print_table(link, rows, runs):
    """
    `runs` is a dictionary: pv-ve is on: results of the runs.  A row is the text, the name
    of the result, what it tells of several runs, and how a value is written.
    """
    columns = [runs[False], runs[True]]
    print(f"{link_name(link):44}{'pv-ve off':>16}{'pv-ve on':>16}")
    for index, (name, what, one, text) in enumerate(rows):
        values = [[run[what] for run in column] for column in columns]
        cells = [text(one(v)) for v in values]
        print(f"  {name:42}" + "".join(f"{cell:>16}" for cell in cells))
        if index == 0 and len(columns[0]) > 1:
            cells = [f"{100 * min(v):.1f} to {100 * max(v):.1f} %" for v in values]
            print(f"  {'  lowest and highest':42}" + "".join(f"{c:>16}" for c in cells))
    print(flush=True)


def share_rows(kinds):
    """Rows for the kinds of task in {name: text}, early and over the whole postcopy."""
    rows = []
    for kind, text in kinds.items():
        rows += [(f"{text}, first {WINDOW:g} s of postcopy", f"{kind} early", median, percent),
                 (f"{text}, whole postcopy", kind, median, percent)]
    return rows


def shares(speeds, samples, start, end):
    """What share_rows shows; the first sample is of the moment of the switch."""
    found = {}
    for kind in speeds.kinds:
        found[f"{kind} early"] = speeds.share(kind, samples, start,
                                              min(start + WINDOW, end))
        found[kind] = speeds.share(kind, samples, start, end)
    return found


def run_all(links, runs, one, progress, done):
    """
    For each link `runs` runs each with pv-ve off and on, in turn: one(link, on).  After a
    link done(link, {on: results}) is called.
    """
    results = []
    for link in links:
        found = {False: [], True: []}
        for number in range(1, runs + 1):
            for on, those in found.items():
                which = f", run {number} of {runs}" if runs > 1 else ""
                progress.begin(f"{link_name(link)}{which}, pv-ve {'on' if on else 'off'}")
                those.append(one(link, on))
        progress.end()
        done(link, found)
        results += found[False] + found[True]
    return results
