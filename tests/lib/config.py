# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the binary, the guest and QEMU's own Python library are."""

import argparse
import os
import pathlib
import shlex
import shutil
import signal
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOAK = bool(os.environ.get("PV_VE_SOAK"))


def rounds(few, many):
    """How often something is repeated: few times, or many if this is a soak."""
    return many if SOAK else few


def add_arguments(parser):
    parser.add_argument("--build", metavar="DIR", type=os.path.abspath,
                        default=os.environ.get("BUILD", str(ROOT / "build")),
                        help="build folder (default: %(default)s)")
    parser.add_argument("--qemu", metavar="FILE", default=os.environ.get("PV_VE_QEMU"),
                        help="default: qemu-system-x86_64 in the build folder")
    parser.add_argument("--guest", metavar="FILE", default=os.environ.get("PV_VE_GUEST"),
                        help="ELF of the freestanding guest")
    parser.add_argument("--qemu-args", metavar="ARGS",
                        default=os.environ.get("PV_VE_QEMU_ARGS", ""),
                        help="more arguments for every QEMU, as one string")
    parser.add_argument("--keep", action="store_true", help="keep the logs in any case")


def find(what, candidates):
    for path in candidates:
        if path and pathlib.Path(path).exists():
            return str(path)
    raise SystemExit(f"{what} not found; looked for: " +
                     ", ".join(str(p) for p in candidates if p))


class Config:
    """Arguments turned into paths, and a work folder that goes when all went well."""

    def __init__(self, args):
        build = pathlib.Path(args.build).resolve()
        self.qemu = find("QEMU", [args.qemu] if args.qemu else
                         [build / "qemu-system-x86_64"])
        self.guest = find("the test guest", [args.guest] if args.guest else
                          [build / "guests/freestanding/guest.elf"])
        self.qemu_args = shlex.split(args.qemu_args)
        self.keep = args.keep
        self.work = tempfile.mkdtemp(prefix="pv-ve-")
        self.use_qemu_library(build)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))

    def use_qemu_library(self, build):
        near = pathlib.Path(self.qemu).resolve().parent
        folders = [near / "python", build / "fork/python"]
        found = find("QEMU's Python library", [f / "qemu/machine" for f in folders])
        sys.path.insert(0, str(pathlib.Path(found).parents[1]))

    def machine(self, name, **more):
        from .vm import Vm
        return Vm(self, name, **more)

    def pair(self, name, **more):
        from .postcopy import Pair
        return Pair(self, name, **more)

    def done(self, good):
        if good and not self.keep:
            shutil.rmtree(self.work, ignore_errors=True)
        else:
            print(f"# logs are kept in {self.work}", file=sys.stderr, flush=True)


def parse(description):
    parser = argparse.ArgumentParser(description=description)
    add_arguments(parser)
    return parser


def parse_test(description):
    parser = parse(description)
    parser.add_argument("--only", metavar="TEXT", default="",
                        help="only the tests with this in their names")
    return parser.parse_args()
