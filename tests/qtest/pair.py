# SPDX-License-Identifier: GPL-2.0-or-later
"""Migration of a machine: to another one over a socket, or by way of a file."""

import contextlib
import os
import struct
import tempfile

from guest import ENABLE, F_ALL, VECTOR, Guest
from machine import Machine


QEMU_VM_SUBSECTION = 5       # what begins one in the stream


@contextlib.contextmanager
def socket_path():
    with tempfile.TemporaryDirectory(prefix="pv-ve-") as folder:
        yield os.path.join(folder, "socket")


def status(machine):
    return machine.qmp("query-migrate").get("status")


def migrate(source, uri):
    source.qmp("migrate", uri=uri)
    source.until("migration ends", lambda: status(source) in ("completed", "failed"))
    return status(source)


def runs(machine):
    return machine.qmp("query-status")["status"] == "running"


def receive(source, target, path):
    """Moves the machine; the target, started with `-incoming defer`, runs then."""
    target.qmp("migrate-incoming", uri=f"unix:{path}")
    assert migrate(source, f"unix:{path}") == "completed"
    target.until("it runs", lambda: runs(target))
    target.settle()


@contextlib.contextmanager
def pair(**options):
    """Source, target, and a function that moves the machine from one to the other."""
    with socket_path() as path, Machine(**options) as source, \
            Machine("-incoming", "defer", **options) as target:
        yield source, target, lambda: receive(source, target, path)


def refused(source, target_options, more=()):
    """What the target says that does not take the source's state."""
    with socket_path() as path:
        target = Machine("-incoming", f"unix:{path}", *more, **target_options)
        with target:
            migrate(source, f"unix:{path}")
            target.process.wait(120)
            return target.process.returncode, target.end()


class Stream:
    """The state of one machine in a file, parts of which can be exchanged."""

    def __init__(self, folder, machine):
        self.path = os.path.join(folder, "state")
        assert migrate(machine, f"file:{self.path}") == "completed"
        with open(self.path, "rb") as file:
            self.original = file.read()

    def put(self, old, new):
        """The bytes must be there exactly once."""
        assert self.original.count(old) == 1, f"{self.original.count(old)} times"
        assert len(old) == len(new)
        with open(self.path, "wb") as file:
            file.write(self.original.replace(old, new))

    def load(self, machine):
        """Into a machine that was started with `-incoming defer`."""
        machine.qmp("migrate-incoming", uri=f"file:{self.path}")


def vcpu_bytes(guest, *, features=F_ALL, control=ENABLE, info=None, page=None, notify=VECTOR,
               wait_rip=0, interrupt_due=False):
    """How a vCPU's state lies in the stream."""
    return struct.pack(">IIQQIQ?", features, control, guest.area if info is None else info,
                       guest.page if page is None else page, notify, wait_rip,
                       interrupt_due)


def urgent_bytes(gpa):
    """How the subsection of a vCPU that names pages lies in the stream."""
    name = b"pv-ve/vcpu/urgent"
    return (struct.pack(">BB", QEMU_VM_SUBSECTION, len(name)) + name +
            struct.pack(">IQ", 1, gpa))


FREE, OUTSTANDING, DONE = range(3)  # a slot's states


def slot_bytes(gpa, generation, state, failed=False, posted=False):
    return struct.pack(">QIB??", gpa, generation, state, failed, posted)


def arrived(machine, vcpu=0, area=None):
    """The guest on its new host, which is the same guest."""
    return Guest(machine, vcpu, area)
