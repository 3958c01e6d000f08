# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a test program prints: TAP, a line for each check.  Our programs say `# -- NAME` before
those of one test case; where none does, each line is a case of its own.
"""

import re
import signal
import time

LINE = re.compile(r"(not )?ok\b\s*\d*\s*(?:-\s*)?(.*)")
PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?", re.IGNORECASE)
SKIPPED = re.compile(r"(.*?)#\s*skip\S*\s*(.*)", re.IGNORECASE)
CASE = "# -- "


class Case:
    def __init__(self, name):
        self.name = name
        self.start = time.monotonic()
        self.seconds = 0.0
        self.passed = self.failed = self.skipped = 0        # checks
        self.why = ""                                       # it was skipped

    def verdict(self):
        if self.failed:
            return "failed"
        return "passed" if self.passed else "skipped"


class Counts:
    """Of one program, as its lines come."""

    def __init__(self):
        self.cases = []
        self.named = None           # the case that a line belongs to, if it has a name
        self.plan = None
        self.problems = []          # lines to show
        self.comments = False       # those after a failed line belong to it

    def checks(self):
        return sum(case.passed + case.failed + case.skipped for case in self.cases)

    def count(self, verdict):
        return sum(case.verdict() == verdict for case in self.cases)

    def add(self, name):
        self.cases.append(Case(name))
        return self.cases[-1]

    def begin(self, name):
        self.end_case()
        self.named = self.add(name)

    def end_case(self):
        """One without any check was but the title of those that follow."""
        if self.named:
            self.named.seconds = time.monotonic() - self.named.start
            if not self.named.passed + self.named.failed + self.named.skipped:
                self.cases.remove(self.named)
        self.named = None

    def take(self, line):
        if match := LINE.match(line):
            self.take_check(line, match[1], match[2])
        elif match := PLAN.match(line):
            self.take_plan(int(match[1]), match[2])
        elif line.startswith("Bail out!"):
            self.broken(line)
        elif line.startswith(CASE):
            self.comments = False
            self.begin(line.removeprefix(CASE))
        elif self.comments and line.startswith("#"):
            self.problems.append(line)

    def take_check(self, line, is_bad, name):
        case = self.named or self.add(name)
        self.comments = bool(is_bad)
        if is_bad:
            case.failed += 1
            self.problems.append(line)
        elif match := SKIPPED.match(name):
            case.skipped += 1
            case.why = match[2]
        else:
            case.passed += 1

    def take_plan(self, plan, skipped):
        self.plan = plan
        if not plan and skipped is not None:
            self.end_case()
            case = self.add("")
            case.skipped, case.why = 1, skipped
            self.plan = 1

    def broken(self, why):
        self.end_case()
        self.add(why).failed = 1
        self.problems.append(why)

    def end(self, status):
        """The plan and the exit status must fit what was counted."""
        self.end_case()
        checks, failed = self.checks(), self.count("failed")
        if self.plan is None:
            self.broken("no plan" + (f", exit status {status}" if status else ""))
        elif not checks:
            self.broken("nothing was checked")
        elif self.plan != checks:
            text = f"planned {self.plan}, ran {checks}"
            if failed:
                self.problems.append(text)
            else:
                self.broken(text)
        elif status < 0:
            self.broken(f"ended by signal {signal.Signals(-status).name}")
        elif status and not failed:
            self.broken(f"exit status {status}")

    def forbid_skips(self):
        """What was skipped has not been tested."""
        for case in self.cases:
            if case.verdict() == "skipped":
                case.failed = 1
                self.problems.append(f"skipped, which is not allowed: {case.name} ({case.why})")

    def text(self):
        parts = [f"{self.count('passed')} passed"]
        if failed := self.count("failed"):
            parts.append(f"{failed} FAILED")
        if skipped := self.count("skipped"):
            parts.append(f"{skipped} skipped")
        return ", ".join(parts)
