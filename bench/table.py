# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of several runs of several contenders, as a table of 100 columns, or in words"""

from cases import label
from figures import summary

NAME, CELL = 12, 7
WORDS, COLUMN = 42, 14          # side by side


def speed(value):
    return f"{value:.0f}"


def share(value):
    percent = 100 * value
    return f"{percent:.2f} %" if percent < 1 else f"{percent:.1f} %" if percent < 10 else \
        f"{percent:.0f} %"


def seconds(value):
    return f"{value:.3f}" if value < 1 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


COLUMNS = (("before", "before", speed), ("1st s", "share of first second", share),
           ("whole", "share of postcopy", share), ("p50", "p50", seconds),
           ("p99", "p99", seconds), ("max", "longest", seconds), ("gap", "gap", seconds),
           ("1/2", "half", seconds), ("9/10", "nine tenths", seconds),
           ("page", "last page", seconds), ("lost", "lost", seconds),
           ("down", "down", seconds))
# Above them, over so many
GROUPS = (("speed", 1), ("share of it", 2), ("latency", 3), ("", 1), ("is back", 2), ("last", 1),
          ("vCPU", 1))

LEGEND = "Seconds; speed: transactions a second; whole: until the last page; " \
         "lost: idle with work; ?: not seen"

HELP = """\
figures of the table; times are seconds of the host's clock:
  speed before  transactions a second, before the migration
  share of it   1st s: in the first second after the switch, whole: until the last page came
  latency       how long transactions took that were under way then: half, 99 %, all of them
  gap           longest time without the end of any, from the switch on
  is back       time after the switch until half the speed, nine tenths of it, is back for a
                second; ? if it was not seen
  last page     time after the switch until it came
  vCPU lost     time of each until then in which it did nothing, though there was work
  down          from the stop of the source until the target runs
"""


def line(name, cells):
    return f"{name:{NAME}}" + "".join(f"{cell:>{CELL}}" for cell in cells)


def headings():
    groups = [f" {text}".rjust(CELL) if count == 1 else
              "  " + f" {text}".rjust(CELL * count - 2, "-") for text, count in GROUPS]
    return [" " * NAME + "".join(groups), line("", [heading for heading, _, _ in COLUMNS])]


def ratio(value, base):
    if value is None or not base:
        return "-"
    times = value / base
    return "-" if times >= 999.5 else f"x{times:.3f}" if 0 < times < 0.1 else f"x{times:.3g}"


def rows(runs, first):
    """
    Lines for one contender, of the figures of its runs; `first` are those of the contender
    that it is compared with, if it is another.
    """
    found = [summary([run[key] for run in runs]) for _, key, _ in COLUMNS]
    texts = [["?" if value is None else text(value) for value in values]
             for values, (_, _, text) in zip(found, COLUMNS)]
    lines = [("median", [cells[0] for cells in texts])]
    if len(runs) > 1:
        lines += [("  lowest", [cells[1] for cells in texts]),
                  ("  highest", [cells[2] for cells in texts])]
    if first:
        base = [summary([run[key] for run in first])[0] for _, key, _ in COLUMNS]
        lines.append(("  ratio", [ratio(values[0], other)
                                  for values, other in zip(found, base)]))
    return lines


def table(title, runs):
    """`runs` is a dictionary: name of the contender: figures of its runs, maybe none"""
    runs = {name: those for name, those in runs.items() if those}
    lines = [title, *headings()]
    first = None
    for name, those in runs.items():
        (_, cells), *more = rows(those, first)
        lines.append(line(f"{name[:NAME - 4]} ({len(those)})", cells))
        lines += [line(what, cells) for what, cells in more]
        first = first or those
    return "\n".join(lines)


def with_unit(value):
    return f"{seconds(value)} s"


ROWS = (("transactions a second, before the switch", "before", speed),
        ("in the first second after it, of these", "share of first second", share),
        ("until the last page came, of these", "share of postcopy", share),
        ("no transaction ended for", "gap", with_unit),
        ("half the speed was back after", "half", with_unit),
        ("nine tenths of it were back after", "nine tenths", with_unit),
        ("half of all transactions took at most", "p50", with_unit),
        ("the longest took", "longest", with_unit),
        ("the last page came after", "last page", with_unit),
        ("the guest stood still for the switch", "down", with_unit))


def side_by_side(title, runs):
    """Medians in words, a column for each contender"""
    runs = {name: those for name, those in runs.items() if those}
    lines = [title, f"{'':{WORDS}}" + "".join(f"{label(name):>{COLUMN}}" for name in runs)]
    for words, key, text in ROWS:
        values = [summary([run[key] for run in those])[0] for those in runs.values()]
        lines.append(f"  {words:{WORDS - 2}}" + "".join(
            f"{'not seen' if value is None else text(value):>{COLUMN}}" for value in values))
    return "\n".join(lines)
