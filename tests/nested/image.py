# SPDX-License-Identifier: GPL-2.0-or-later
"""
The initramfs of the nested bed: busybox, KVM's modules, our QEMU with its libraries and
firmware, the test guest, small programs of its own.
"""

import lzma
import os
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
KVM = "kvm-amd"                 # the SVM that TCG emulates
PORTS = ["virtio_pci", "virtio_console"]
SERIES = "6.12"                 # of Debian's kernels


class CannotBuild(Exception):
    """Says which piece is missing and why."""


def run(what, *command):
    try:
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                              capture_output=True).stdout
    except FileNotFoundError as error:
        raise CannotBuild(f"{what}: {error}") from error
    except subprocess.CalledProcessError as error:
        raise CannotBuild(f"{what}: {error.stderr.decode().strip()}") from error


class Image:
    """
    `pieces` is the folder that fetch fills; files are made in `work`.  `more` has further
    files: their names in the bed, and where they are.
    """

    def __init__(self, build, work, qemu, guest, more, series=SERIES):
        folder = "nested" if series == SERIES else f"nested-{series}"
        self.pieces = pathlib.Path(build) / "cache" / folder
        self.work = pathlib.Path(work)
        self.root = self.work / "root"
        self.qemu = qemu
        self.guest = guest
        self.more = more
        self.kernel = str(self.pieces / "linux")
        self.initrd = str(self.work / "initrd")
        run("the bed's kernel", str(HERE / "fetch"), str(self.pieces), "cloud", series)
        self.origin = (self.pieces / "origin").read_text(encoding="ascii").strip()

    def make(self):
        self.add_programs()
        self.add_modules()
        self.add_qemu()
        for name, path in self.more.items():
            shutil.copy(path, self.root / name)
        self.pack()
        shutil.rmtree(self.root)

    def folder(self, name):
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def add_programs(self):
        bin_ = self.folder("bin")
        shutil.copy(self.pieces / "busybox", bin_ / "busybox")
        (bin_ / "sh").symlink_to("busybox")
        shutil.copy(HERE / "port", bin_ / "port")
        shutil.copy(HERE / "init", self.root / "init")
        for name in "relay", "spin", "hole", "namespace":
            run(f"the bed's {name}", os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra",
                "-Werror", "-o", str(bin_ / name), str(HERE / f"{name}.c"))
            self.add_libraries(bin_ / name)
        shutil.copy(self.guest, self.root / "guest.elf")

    def is_builtin(self, name):
        built_in = (self.pieces / "modules/modules.builtin").read_text(encoding="ascii")
        return f"/{name}.ko\n" in built_in

    def read_module(self, name):
        found = list(self.pieces.glob(f"modules/**/{name}.ko*"))
        if not found:
            raise CannotBuild(f"{self.origin} has no module {name}")
        data = found[0].read_bytes()
        return lzma.decompress(data) if found[0].suffix == ".xz" else data

    def add_modules(self):
        """KVM, what a kernel needs for ports, and what they depend on; `order` lists them."""
        folder = self.folder("modules")
        order = []

        def add(name):
            data = self.read_module(name)
            for other in re.search(rb"\0depends=([^\0]*)", data)[1].decode().split(","):
                if other:
                    add(other)
            if name + ".ko" not in order:
                (folder / (name + ".ko")).write_bytes(data)
                order.append(name + ".ko")

        for name in *PORTS, KVM:
            if not self.is_builtin(name):
                add(name)
        (folder / "order").write_text("\n".join(order) + "\n", encoding="ascii")

    def add_libraries(self, program):
        for path in re.findall(r"(/\S+) \(0x", run("ldd", "ldd", str(program)).decode()):
            shutil.copy(path, self.folder(os.path.dirname(path)[1:]))

    def add_qemu(self):
        self.add_libraries(self.qemu)
        run("strip", os.environ.get("STRIP", "strip"), "-o", str(self.root / "bin/qemu"),
            self.qemu)
        share = self.folder("share")
        for folder in run("firmware", self.qemu, "-L", "help").decode().splitlines():
            for path in pathlib.Path(folder).glob("*.bin"):
                if not path.name.startswith("vgabios"):
                    shutil.copy(path, share)

    def pack(self):
        names = [str(path.relative_to(self.root)) for path in sorted(self.root.rglob("*"))]
        with open(self.initrd, "wb") as file:
            subprocess.run([str(self.pieces / "busybox"), "cpio", "-o", "-H", "newc"],
                           input="\n".join(names).encode(), stdout=file,
                           stderr=subprocess.DEVNULL, cwd=self.root, check=True)
