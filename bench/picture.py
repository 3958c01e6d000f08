# SPDX-License-Identifier: GPL-2.0-or-later
"""Throughput and latency over time, of each case a picture"""

from statistics import mean, median

from demos.picture import data, render

from cases import label

COLOURS = ("#b2182b", "#2166ac", "#1b7837", "#762a83", "#e08214", "#01665e", "#4d4d4d")
FLOOR = 0.001           # seconds: the lowest latency that is drawn


def together(curves):
    """
    One curve of several runs: the mean of the speed, the longest latency of any; as far as
    all of them reach
    """
    by_time = {}
    for points in curves:
        for when, speed, latency in points:
            by_time.setdefault(round(when, 4), []).append((speed, latency))
    found = []
    for when, those in sorted(by_time.items()):
        if len(those) == len(curves):
            known = [latency for _, latency in those if latency is not None]
            found.append((when, mean(speed for speed, _ in those), max(known, default=None)))
    return found


def script(title, contenders):
    """gnuplot's, all but terminal and output"""
    curves = {name: together([result["curve"] for result in those])
              for name, those in contenders.items() if those}
    blocks, marks, speeds, latencies = [], [], ["100 with lines lc 'gray' notitle"], []
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        blocks += [data(f"speed{number}", [(x, 100 * y) for x, y, _ in points], 0),
                   data(f"latency{number}", [(x, y) for x, _, y in points if y], FLOOR)]
        speeds.append(f"$speed{number} with lines lw 2 lc '{colour}' title '{label(name)}'")
        latencies.append(f"$latency{number} with points pt 7 ps 0.4 lc '{colour}' notitle")
        last = median(r["figures"]["last page"] for r in contenders[name])
        marks.append(f"set arrow {number + 2} from first {last:.3f}, graph 0 to first "
                     f"{last:.3f}, graph 1 nohead dt 2 lw 2 lc '{colour}'")
    every = [point for points in curves.values() for point in points]
    first, last = min(every)[0], max(every)[0]
    top = max(120, *(100 * speed for _, speed, _ in every))
    return "\n".join([
        *blocks, f"set multiplot layout 2,1 title '{title}' font ',14'",
        f"set xrange [{max(first, -4):.2f}:{last:.2f}]", "set lmargin 13", "set rmargin 4",
        "set grid y", "set tics out nomirror", "set border 3", "set key outside top center "
        "horizontal",
        "set arrow 1 from first 0, graph 0 to first 0, graph 1 nohead lw 2 lc 'black'", *marks,
        "set tmargin 4", "set bmargin 2", "set format x ''",
        'set ylabel "transactions,\\n% of the speed before"', f"set yrange [0:{top:.0f}]",
        "plot " + ", ".join(speeds),
        "set tmargin 1", "set bmargin 4", "set format x '%g'",
        "set xlabel 'seconds since the switch (dashed: the last page is there)'",
        'set ylabel "longest latency, s\\nby the end of the transaction"', "set logscale y",
        "set yrange [*:*]", "plot " + ", ".join(latencies), "unset multiplot", ""])


def draw(folder, runs):
    """`runs` is a dictionary: case: name of the contender: results"""
    for case, contenders in runs.items():
        if not any(contenders.values()):
            continue
        drawn, problem = render(folder / case.name, script(case.title, contenders))
        for path in drawn:
            print(f"picture: {path}")
        if problem:
            print(f"no picture: {problem}")
