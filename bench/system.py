# SPDX-License-Identifier: GPL-2.0-or-later
"""
The bench's guest: that of tests/linux, with programs from Debian's packages and their data in
its memory.  Booted, with its server running, it is kept in a file, so that runs begin alike.
"""

import copy
import hashlib
import os
import pathlib
import re
import subprocess

from lib.running import until
from linux import guest

HERE = pathlib.Path(__file__).resolve().parent
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "ld-linux-x86-64.so.2"
# Of each package: what the guest needs of it, and what of that it does not
WANTED = {
    "postgresql": ["usr/lib/postgresql/*/bin/initdb", "usr/lib/postgresql/*/bin/p*",
                   "usr/lib/postgresql/*/lib/*.so", "usr/share/postgresql/**/*"],
    "memcached": ["usr/bin/memcached"],
    "redis-server": ["usr/bin/redis-server"],
    "tcc": ["usr/bin/tcc"],
}
# Properties of the device that a guest without the driver takes no notice of
SHARED = ("urgent", "hot-first")
UNWANTED = re.compile(r"llvmjit|/man/|/locale/")


def run(*command):
    """What it prints"""
    try:
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise guest.CannotBuild(f"{error} {getattr(error, 'stderr', '')}") from error


class Packages:
    """Files of Debian's packages that a guest needs, and the libraries that these need"""

    def __init__(self, build, names):
        folder = pathlib.Path(build).resolve() / "cache/bench/packages"
        run(HERE / "packages", folder, *names)
        self.root = folder / "root"
        self.origin = (folder / "origin").read_text(encoding="ascii")
        self.loader = str(next(self.root.glob(f"**/{LOADER}")))
        self.files = {f"lib64/{LOADER}": self.loader}
        for name in names:
            for pattern in WANTED[name]:
                self.add(pattern)
        self.add_libraries()

    def add(self, pattern):
        for path in self.root.glob(pattern):
            name = str(path.relative_to(self.root))
            if path.is_file() and not UNWANTED.search(name):
                self.files[name] = path

    def add_libraries(self):
        folders = ":".join(str(self.root / folder) for folder in (
            LIBRARIES, LIBRARIES.removeprefix("usr/")))
        programs = [path for path in self.files.values() if "/bin/" in str(path)]
        for program in programs:
            text = run(self.loader, "--library-path", folders, "--list", program)
            for name, path in re.findall(r"^\s*([^/\s]\S*) => (/\S+)", text, re.MULTILINE):
                self.files[f"{LIBRARIES}/{name}"] = path


def compile_program(work, name):
    """One of our own"""
    program = pathlib.Path(work) / name
    run(os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o",
        program, HERE / f"guest/{name}.c")
    return program


def make_image(build, work, loads):
    """Like guest.Image, of which it is one, with all that these loads need"""
    image = guest.Image(build, work)
    packages = Packages(build, sorted({load.package for load in loads if load.package}))
    programs = [compile_program(work, name) for name in
                sorted({"stamp", *(name for load in loads for name in load.programs)})]
    scripts = [path for path in sorted((HERE / "guest").iterdir())
               if path.is_file() and not path.suffix]
    files = {**packages.files, **{f"usr/bin/{path.name}": path for path in programs},
             **{f"bench/{path.name}": path for path in scripts}}
    more = image.pack(pathlib.Path(work) / "bench-root", files)
    image = copy.copy(image)
    with open(image.initrd, "ab") as both:
        both.write(pathlib.Path(more).read_bytes())
    os.unlink(more)
    image.packages = packages.origin
    image.identity = identity(
        [image.kernel, image.pieces / "busybox", *programs, *scripts,
         guest.ROOT / "guests/linux/init",
         pathlib.Path(build) / "linux" / image.release / "pv_ve.ko"], packages.origin)
    return image


def identity(paths, *words):
    """Tells these files and words from others"""
    digest = hashlib.sha256(repr(words).encode())
    for path in paths:
        digest.update(hashlib.sha256(pathlib.Path(path).read_bytes()).digest())
    return digest.hexdigest()[:16]


def least(device):
    """
    Properties of a device that all guests which differ only in these can be kept with: one
    that offers less is loaded where more is offered.
    """
    if device is None:
        return None
    others = [part for part in device.split(",") if part.partition("=")[0] not in SHARED]
    return ",".join([*filter(None, others), *(f"{name}=off" for name in SHARED)])


class Kept:
    """Guests that were booted once, by load, number of vCPUs and device"""

    def __init__(self, cfg, args, image):
        self.cfg = cfg
        self.args = args
        self.image = image
        self.folder = pathlib.Path(args.build).resolve() / "cache/bench"
        self.qemu = identity([cfg.qemu])

    def machine(self, case, device):
        """Arguments of a Vm or a Pair"""
        return {"memory": f"{case.load.memory}M", "vcpus": case.vcpus, "device": device,
                "append": None, "args": self.image.arguments()}

    def path(self, case, device):
        """Where this guest is kept; those that cannot be used any more are deleted."""
        machine = self.machine(case, device)
        what = "none" if device is None else re.sub(r"[^\w.]+", "-", device)
        name = f"{case.load.server}-{case.vcpus}cpu-{what}"
        words = [machine[key] for key in ("memory", "vcpus", "device")]
        wanted = identity([], self.qemu, self.image.identity, case.load.size(self.args),
                          self.args.clients, *words)
        path = self.folder / f"{name}.{wanted}"
        for old in self.folder.glob(f"{name}.*"):
            if old != path:
                old.unlink()
        return path

    def get(self, case, device, progress):
        device = least(device)
        path = self.path(case, device)
        if not path.exists():
            self.make(path, case, device, progress)
        return path

    def make(self, path, case, device, progress):
        progress.show("guest boots")
        with self.cfg.machine("prepare", **self.machine(case, device)) as vm:
            linux = guest.Linux(vm)
            linux.boot()
            progress.show("its server gets its data")
            linux.run(". /bench/common")
            case.load.make(linux, self.args)
            progress.show("the guest is kept for later")
            vm.cmd("stop")
            unfinished = path.with_suffix(".new")
            vm.cmd("migrate-set-capabilities",
                   capabilities=[{"capability": "events", "state": True}])
            vm.cmd("migrate-set-parameters", max_bandwidth=0)
            vm.cmd("migrate", uri=f"file:{unfinished}")
            vm.wait_event("MIGRATION", status="completed")
            unfinished.rename(path)

    def wake(self, vm, path):
        """`vm` waits for what comes in; it goes on where the guest was kept."""
        vm.cmd("migrate-set-capabilities",
               capabilities=[{"capability": "events", "state": True}])
        vm.cmd("migrate-incoming", uri=f"file:{path}")
        vm.wait_event("MIGRATION", status="completed")
        until("the guest is loaded",
              lambda: vm.cmd("query-status")["status"] == "paused")
        vm.cmd("cont")
