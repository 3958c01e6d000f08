# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of tests in the nested bed."""

import contextlib
import importlib.machinery
import importlib.util
import sys

from lib import config
from lib.tap import Tap

from .bed import Bed
from .image import SERIES, CannotBuild


def program(path):
    """The functions of another test program"""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader(path.name.replace("-", "_"), str(path))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def run_in(bed, tap, cases):
    """All in one bed, but for what comes after a failure: that may have been the bed's."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(bed)
        for name, test, more in cases:
            failed = tap.failed
            tap.run(name, test, tap, bed, *more)
            if tap.failed > failed:
                stack.close()
                bed = stack.enter_context(bed.another())


def main(description, cases, files=lambda cfg, args: {}, series=SERIES):
    """
    `cases`: (name, function, more arguments) of each.  `files` tells what else the bed is
    to have, `series` which kernel of Debian's.
    """
    args = config.parse_test(description)
    cfg = config.Config(args)
    tap = Tap(args.only)
    try:
        bed = Bed(cfg, args.build, files=files(cfg, args), series=series)
    except CannotBuild as why:
        cfg.done(True)
        reason = "; ".join(str(why).splitlines())
        print(f"1..0 # SKIP the nested bed cannot be built: {reason}")
        return 0
    run_in(bed, tap, cases)
    result = tap.end()
    cfg.done(not result)
    return result
