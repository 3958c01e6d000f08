# SPDX-License-Identifier: GPL-2.0-or-later
"""The Linux test guest: Debian's cloud kernel, busybox, the driver, guests/linux."""

import copy
import lzma
import pathlib
import re
import shutil
import subprocess
import time

from lib.running import outstanding, until          # noqa: F401  pylint: disable=W0611
from lib.vm import Hang

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = 4096
MEMORY = "256M"
KERNEL_ARGS = "console=ttyS0 quiet panic=-1 mitigations=off tsc=nowatchdog no_timer_check"
COUNTS = ("delivered", "parked_user", "parked_kernel", "at_once", "waited", "abandoned",
          "failed", "notified")
LOAD = ("compute", "touch", "file", "pipe", "fork", "bad", "stall")


class CannotBuild(Exception):
    pass


def run(*command):
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True,
                       text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotBuild(f"{error} {getattr(error, 'stderr', '')}") from error


class Image:
    """
    Kernel and initramfs; `pieces` is what tests/nested/fetch has fetched.  Only the kernel of
    the test beds, which is the cloud flavour's, has modules of guests/linux.
    """

    MODULES = "livepatch", "touch"

    def __init__(self, build, work, flavour="cloud"):
        build = pathlib.Path(build).resolve()
        self.pieces = build / "cache" / ("nested" if flavour == "cloud" else f"nested-{flavour}")
        self.kernel = str(self.pieces / "linux")
        modules = self.MODULES if flavour == "cloud" else ()
        run(ROOT / "scripts/linux-driver", f"--flavour={flavour}", build,
            *(ROOT / "guests/linux" / name for name in modules))
        run("make", "-s", "-C", ROOT / "guests/linux", f"O={build}/guests/linux")
        self.program = build / "guests/linux/pages"
        origin = (self.pieces / "origin").read_text(encoding="ascii").split()[0]
        self.release = re.fullmatch("linux-image-(.*?)(-unsigned)?", origin)[1]
        self.initrd = self.pack(pathlib.Path(work) / f"linux-{flavour}", {
            "init": ROOT / "guests/linux/init",
            "bin/busybox": self.pieces / "busybox",
            "bin/pages": self.program,
            "bin/load": build / "guests/linux/load",
            "bin/kexec": build / "guests/linux/kexec",
            "bin/files": build / "guests/linux/files",
            "bin/heat": build / "guests/linux/heat",
            "pv_ve.ko": build / "linux" / self.release / "pv_ve.ko",
            **{f"{name}.ko": build / f"guests/linux/{name}/{name}.ko" for name in modules},
            **self.modules(work, "virtio_blk"),
        })

    def modules(self, work, *names):
        """The kernel's own, uncompressed, and what they need: {name of the file: path}"""
        found = {}
        for name in names:
            packed = next(self.pieces.glob(f"modules/**/{name.replace('_', '[-_]')}.ko.xz"))
            path = pathlib.Path(work) / f"{name}.ko"
            path.write_bytes(lzma.decompress(packed.read_bytes()))
            needs = re.search(rb"\0depends=([^\0]*)", path.read_bytes())[1].decode()
            found |= self.modules(work, *filter(None, needs.split(",")))
            found[path.name] = path
        return found

    def pack(self, root, files):
        """Returns the archive, beside the folder in which it is put together."""
        for name, path in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / name)
        if (root / "bin").exists():
            (root / "bin/sh").symlink_to("busybox")
        if modules := [*root.glob("*.ko")]:
            run("strip", "--strip-debug", *modules)
        names = [str(path.relative_to(root)) for path in sorted(root.rglob("*"))]
        archive = root.with_suffix(".cpio")
        with open(archive, "wb") as file:
            subprocess.run([str(self.pieces / "busybox"), "cpio", "-o", "-H", "newc"],
                           input="\n".join(names).encode(), stdout=file,
                           stderr=subprocess.DEVNULL, cwd=root, check=True)
        shutil.rmtree(root)
        return str(archive)

    def with_more(self, work, name, files):
        """The guest also has these."""
        more = self.pack(pathlib.Path(work) / name, files)
        image = copy.copy(self)
        image.initrd = f"{self.initrd}.{name}"
        with open(image.initrd, "wb") as both:
            for path in self.initrd, more:
                both.write(pathlib.Path(path).read_bytes())
        return image

    def with_itself(self, work):
        """The guest also has /linux and /initrd, which are its own."""
        return self.with_more(work, "itself", {"linux": self.kernel, "initrd": self.initrd})

    def arguments(self, append=""):
        return ["-kernel", self.kernel, "-initrd", self.initrd,
                "-append", f"{KERNEL_ARGS} {append}"]


class ImageInBed:
    """The same in the nested bed, which is to have these `files`"""

    def __init__(self, image):
        self.program = image.program
        self.release = image.release
        self.arguments_here = image.arguments
        self.files = {"linux": image.kernel, "linux-initrd": image.initrd}

    def arguments(self, append=""):
        arguments = self.arguments_here(append)
        for name, path in self.files.items():
            arguments[arguments.index(path)] = "/" + name
        return arguments


class LoadSample:
    """The load's counters, read without a word to the guest; `time` is the host's."""

    def __init__(self, vm, gpa):
        words = vm.words(gpa, len(LOAD))
        self.time = time.time()
        self.count = dict(zip(LOAD, words))


class Linux:
    """What a Vm that runs the guest understands."""

    def __init__(self, vm):
        self.vm = vm

    def boot(self):
        self.vm.serial.wait("^linux: .* is up")

    def tell(self, line):
        self.vm.serial.send(line + "\n")

    def run(self, line):
        """The lines that a command prints; it must succeed."""
        first = self.vm.serial.seen
        self.tell(line)
        status = int(self.vm.serial.wait(r"^= (\d+)$")[1])
        output = self.vm.serial.lines[first:self.vm.serial.seen - 1]
        if status:
            raise RuntimeError(f"{self.vm.name}: {line}: status {status}: {output}")
        return output

    def ask(self, line):
        """The same for one that may fail: (status, lines)"""
        *output, status = self.run(f"{line}; echo status $?")
        return int(status.split()[1]), output

    def stats(self):
        """The driver's counts, over all CPUs."""
        last = self.run("cat $stats")[-1].split()
        return dict(zip(COUNTS, map(int, last[1:])))

    def start_load(self, arguments=""):
        """guests/linux/load in the background; returns the GPA of its counters."""
        self.run(f"mkfifo /run/ask; load {arguments} </run/ask & exec 9<>/run/ask")
        return int(self.vm.serial.wait(r"^load counters (0x\w+)$")[1], 16)

    def load_counts(self):
        self.tell("r")
        words = self.vm.serial.wait(r"^load \d+ (compute .*)$")[1].split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def reset_stall(self):
        self.tell("s")
        self.vm.serial.wait("^load stall reset$")

    def verify_load(self):
        """(pages, bad words)"""
        self.tell("v")
        match = self.vm.serial.wait(r"^load verified (\d+) bad (\d+)$")
        return int(match[1]), int(match[2])

    def load_goes_on(self):
        first = self.load_counts()

        def moved():
            now = self.load_counts()
            return all(now[kind] > first[kind] for kind in now if kind != "bad")

        until("all kinds of task go on", moved)

    def complaints(self):
        return self.ask("complaints")[1]

    def offer(self, command):
        """Starts the program; the addresses of the pages that it offers."""
        self.tell(command)
        gpas = []
        while True:
            match = self.vm.serial.wait(r"^(gpa (0x\w+)|ready|= \d+)$")
            if match[2]:
                gpas.append(int(match[2], 16))
            elif match[0] == "ready":
                return gpas
            else:
                raise Hang(f"{self.vm.name}: {command}: {self.vm.serial.lines[-5:]}")

    def go(self):
        self.tell("go")
        self.vm.serial.wait("^begun$")

    def done(self, pattern):
        match = self.vm.serial.wait(pattern)
        self.vm.serial.wait(r"^= 0$")
        return match


def machine(config, image, name, vcpus=1, device="", append="", **more):
    return config.machine(name, memory=more.pop("memory", MEMORY), vcpus=vcpus, device=device, append=None,
                          args=[*image.arguments(append), *more.pop("args", ())], **more)


def ranges(pages):
    """Neighbours become one range: (start, size)"""
    found = []
    for page in sorted(set(pages)):
        if found and sum(found[-1]) == page:
            found[-1][1] += PAGE
        else:
            found.append([page, PAGE])
    return found


def change(vm, what, pages):
    for start, size in ranges(pages):
        vm.withheld(what, start, size)
