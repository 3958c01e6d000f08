# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of a guest's progress over time, drawn by gnuplot."""

import pathlib
import shutil
import subprocess

from . import common

STEP = 0.5              # seconds that a point tells the speed of
FLOOR = 0.05            # percent: the lowest that the logarithmic panel shows
TERMINALS = {
    "svg": "svg size 1000,800 font 'sans,15' background 'white'",
    "png": "pngcairo size 1000,800 font 'sans,11' background 'white'",
}
COLOURS = {False: "#b2182b", True: "#2166ac"}
NAMES = {False: "pv-ve off", True: "pv-ve on"}


class Curve:
    """Points (seconds since the switch, percent of the speed before) of one migration."""

    def __init__(self, speeds, samples, start, end, before):
        self.last_page = end - start
        self.points = {kind: [] for kind in speeds.kinds}
        # Whole steps before the switch and after it, so that none has it in the middle.
        left = start - STEP * int(min(before, start - samples[0].time) / STEP)
        while left + STEP < samples[-1].time:
            for kind, points in self.points.items():
                share = speeds.share(kind, samples, left, left + STEP)
                points.append((left + STEP / 2 - start, 100 * share))
            left += STEP

    def at(self, kind, when):
        return min(self.points[kind], key=lambda point: abs(point[0] - when))[1]


def data(name, points, floor):
    lines = [f"{x:.3f} {max(y, floor):.3f}" for x, y in points]
    return "\n".join([f"${name} << END", *lines, "END"])


def marks(curves):
    """Lines at the moments of the switch and, in its colour, of each last page"""
    lines = ["set arrow 1 from first 0, graph 0 to first 0, graph 1 nohead lw 2 lc 'black'"]
    for number, (on, curve) in enumerate(curves.items(), 2):
        x = f"first {curve.last_page:.3f}"
        lines.append(f"set arrow {number} from {x}, graph 0 to {x}, graph 1 nohead "
                     f"dt 2 lw 2 lc '{COLOURS[on]}'")
    return lines


def mark_labels(curves):
    """What the lines are, above the upper panel: the earlier last page to its line's left"""
    first = min(curves, key=lambda on: curves[on].last_page)
    lines = ["set label 1 'switch to postcopy' at first 0, graph 1.05 center"]
    for number, (on, curve) in enumerate(curves.items(), 2):
        side = "right offset -0.5,0" if on == first else "left offset 0.5,0"
        lines.append(f"set label {number} 'last page, {'on' if on else 'off'}' at first "
                     f"{curve.last_page:.3f}, graph 1.05 {side} tc '{COLOURS[on]}'")
    return lines


def line_labels(curves, kind, distance, low):
    """
    Names next to the lines, above the upper one and below the lower one, where they are
    farthest from each other; none below `low`.
    """
    end = min(curve.last_page for curve in curves.values())
    times = [x for x, _ in curves[True].points[kind] if 0.15 * end < x < 0.8 * end]
    when = max(times, default=end / 2,
               key=lambda x: distance(*(curve.at(kind, x) for curve in curves.values())))
    upper = max(curves, key=lambda on: curves[on].at(kind, when))
    lines = []
    for number, (on, curve) in enumerate(curves.items(), 5):
        y = max(curve.at(kind, when), low)
        lines.append(f"set label {number} '{NAMES[on]}' at first {when:.3f}, first {y:.3f} "
                     f"center offset 0,{1.2 if on == upper else -1.2} tc '{COLOURS[on]}' "
                     "front boxed")
    return lines


def difference(a, b):
    return abs(a - b)


def ratio(a, b):
    return max(a, b) / max(min(a, b), 2 * FLOOR)


def plot(curves, kind):
    parts = [f"${kind}{int(on)} with lines lw 2.5 lc '{COLOURS[on]}' notitle"
             for on in curves]
    return "plot 100 with lines lw 1 lc 'gray' notitle, " + ", ".join(parts)


def blocks(curves):
    return [data(f"{kind}{int(on)}", curve.points[kind], floor)
            for on, curve in curves.items() for kind, floor in (("compute", 0),
                                                                ("touch", FLOOR))]


def script(title, curves):
    """All but terminal and output"""
    points = [point for curve in curves.values() for point in curve.points["compute"]]
    first, last = min(points)[0], max(points)[0]
    top = max(120, *(y for _, y in points))
    return "\n".join([
        *blocks(curves),
        f"set multiplot layout 2,1 title '{title}' font ',16'",
        f"set xrange [{first:.2f}:{last:.2f}]",
        "set lmargin 13", "set rmargin 8", "set grid y", "set tics out nomirror",
        "set border 3", "set style textbox opaque noborder",
        *marks(curves),
        *mark_labels(curves), *line_labels(curves, "compute", difference, top / 6),
        "set tmargin 4", "set bmargin 2.5", "set format x ''",
        'set ylabel "compute task:\\nspeed, % of before" offset -1,0',
        f"set yrange [0:{1.15 * top:.0f}]",
        plot(curves, "compute"),
        "unset label", *line_labels(curves, "touch", ratio, 4 * FLOOR),
        "set tmargin 1", "set bmargin 4", "set format x '%g'",
        "set xlabel 'seconds since the switch: the guest runs on the target'",
        'set ylabel "tasks touching random pages:\\nspeed, % of before (log scale)" offset -1,0',
        "set logscale y", f"set yrange [{FLOOR}:400]", "set format y '%g'",
        plot(curves, "touch"),
        "unset multiplot", ""])


def render(stem, text):
    """As STEM.svg and STEM.png: (paths, what kept gnuplot from it)"""
    if not shutil.which("gnuplot"):
        return [], "gnuplot is not there (package gnuplot-nox)"
    drawn = []
    for kind, terminal in TERMINALS.items():
        path = f"{stem}.{kind}"
        done = subprocess.run(
            ["gnuplot", "-"], text=True, capture_output=True, check=False,
            input=f"set terminal {terminal}\nset output '{path}'\n{text}")
        if done.returncode:
            return drawn, f"gnuplot: {done.stderr.strip()}"
        drawn.append(path)
    return drawn, ""


class Pictures:
    """Draws one for each link, in the build folder."""

    def __init__(self, args, accel):
        self.accel = accel
        self.folder = pathlib.Path(args.build) / "demo"
        self.bandwidth = args.bandwidth
        self.at_once = args.at_once
        self.drawn = []
        self.problem = ""

    def draw(self, link, curves):
        """`curves` is a dictionary: pv-ve is on: its Curve"""
        if self.problem:
            return
        self.folder.mkdir(exist_ok=True)
        title = f"A Linux guest under {self.accel}, postcopy: {common.link_name(link)}"
        stem = self.folder / f"{self.accel.lower()}-{self.bandwidth:g}MiBps-{link[1] * 1000:g}ms"
        if self.at_once:
            title += ", without a precopy pass"
            stem = stem.with_name(stem.name + "-at-once")
        drawn, self.problem = render(stem, script(title, curves))
        self.drawn += drawn

    def tell(self):
        for path in self.drawn:
            print(f"picture: {path}")
        if self.problem:
            print(f"no pictures: {self.problem}")
        print(flush=True)
