# SPDX-License-Identifier: GPL-2.0-or-later
"""Migration of a machine: to another one over a socket, or by way of a file."""

import contextlib
import os
import signal
import struct
import tempfile

from guest import ENABLE, F_ALL, VECTOR, Guest
from lib.tap import Skip
from machine import PAGE, Machine, Refused


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


# ---- Postcopy

FILLED = 0x800000, 0x2000000    # start and size: sent page by page, so it takes long
LATE = 0x3000000                # not sent before that
FAR = 0x3800000                 # nor soon after LATE, when that is asked for
SLOW = 100000                   # bytes a second


@contextlib.contextmanager
def postcopy(prepare, vcpus=2, meanwhile=lambda source: None, device=""):
    """
    Source and target of a postcopy that has just begun, the source stopped.  The
    source ends it when it gets a SIGCONT.  prepare(source, target) comes first;
    meanwhile(source) when the target has all but its memory, and has asked for none.
    `device` has the properties of the target's.
    """
    with socket_path() as path, Machine(vcpus=vcpus, device="hot-first=off") as source, \
            Machine("-incoming", "defer", "-S", vcpus=vcpus, device=device) as target:
        for machine in source, target:
            try:
                machine.qmp("migrate-set-capabilities", capabilities=[
                    {"capability": "postcopy-ram", "state": True}])
            except Refused as error:
                raise Skip(error) from error
        source.ask("memset", *FILLED, 0x5a)
        source.ask("memset", LATE + 16 * PAGE, FAR - LATE, 0x5a)
        prepare(source, target)
        source.qmp("migrate-set-parameters", **{"max-bandwidth": SLOW,
                                                "max-postcopy-bandwidth": SLOW})
        target.qmp("migrate-incoming", uri=f"unix:{path}")
        source.qmp("migrate", uri=f"unix:{path}")
        source.until("it has begun", lambda: status(source) == "active")
        source.qmp("migrate-start-postcopy")
        target.until("it is there", lambda: target.qmp("query-status")["status"] == "paused")
        meanwhile(source)
        os.kill(source.process.pid, signal.SIGSTOP)
        target.qmp("cont")          # before this it asks for no page
        target.settle()
        yield source, target


def requests(source):
    return source.qmp("query-migrate")["ram"]["postcopy-requests"]


def finish(source):
    os.kill(source.process.pid, signal.SIGCONT)
    source.qmp("migrate-set-parameters", **{"max-postcopy-bandwidth": 0})
    source.until("all has come", lambda: status(source) in ("completed", "failed"))
    return status(source)
