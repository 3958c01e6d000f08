# SPDX-License-Identifier: GPL-2.0-or-later
"""Test programs print TAP: one line for each check, the plan at the end."""

import sys
import traceback


class Skip(Exception):
    pass


class Tap:
    def __init__(self, only=""):
        self.only = only            # a part of the names of the tests to run
        self.count = 0
        self.failed = 0

    def ok(self, good, name, *notes):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        if not good:
            self.note(*notes)
        sys.stdout.flush()
        return good

    def equal(self, got, wanted, name):
        return self.ok(got == wanted, name, f"got:    {got!r}", f"wanted: {wanted!r}")

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)

    def note(self, *notes):
        for line in "\n".join(str(note) for note in notes).splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def run(self, name, test, *args):
        """
        A test that raises has failed, and so has one that checks nothing; or it is skipped.
        The others still run.
        """
        if self.only not in name:
            return
        self.note(f"-- {name}")
        before = self.count
        try:
            test(*args)
        except Skip as skip:
            self.skip(name, skip)
        except Exception:           # pylint: disable=broad-except
            self.ok(False, f"{name}: ran to its end", traceback.format_exc())
        else:
            if self.count == before:
                self.ok(False, f"{name}: checks something")

    def end(self):
        if not self.count:
            self.ok(False, f"there is a case with {self.only!r} in its name")
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0
