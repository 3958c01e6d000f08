# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process: QMP through QEMU's own library, and the serial port by lines."""

import asyncio
import contextlib
import os
import re
import socket
import threading
import time

from .patience import HANG, Patience

STATE = 5                       # seconds at most to tell about a failure


class Hang(Exception):
    pass


class Serial:
    """Reads lines from the guest in a thread of its own and keeps all of them."""

    def __init__(self, name, log):
        self.name = name
        self.near, self.far = socket.socketpair()
        self.log = open(log, "wb")
        self.lines = []
        self.times = []             # when each of them was there
        self.seen = 0               # lines before this one were already waited for
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)

    def arguments(self):
        return ["-chardev", f"socket,id=serial0,fd={self.far.fileno()}",
                "-serial", "chardev:serial0"]

    def offer(self):
        """The next program takes it over, and no other: it ends with that one."""
        os.set_inheritable(self.far.fileno(), True)

    def start(self):
        self.far.close()
        self.thread.start()

    def read(self):
        rest = b""
        while True:
            try:
                data = self.near.recv(4096)
            except OSError:
                data = b""
            if not data:
                break
            self.log.write(data)
            self.log.flush()
            *lines, rest = (rest + data).split(b"\n")
            now = time.time()
            with self.changed:
                self.lines += [line.decode(errors="replace").strip() for line in lines]
                self.times += [now] * len(lines)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def send(self, text):
        self.near.sendall(text.encode())

    def wait(self, pattern, timeout=HANG):
        """The match of the first line not yet waited for that fits the pattern."""
        patience = Patience(timeout)
        with self.changed:
            while True:
                while self.seen < len(self.lines):
                    line = self.lines[self.seen]
                    self.seen += 1
                    if match := re.search(pattern, line):
                        return match
                left = patience.left()
                if self.ended or not left:
                    why = "ended" if self.ended else "is silent"
                    last = " / ".join(self.lines[-3:])
                    raise Hang(f"{self.name}: serial port {why}, waiting for "
                               f"{pattern!r}; last lines: {last}")
                self.changed.wait(left)

    def close(self):
        with contextlib.suppress(OSError):
            self.near.shutdown(socket.SHUT_RDWR)
        self.near.close()
        self.far.close()
        if self.thread.ident:
            self.thread.join()
        self.log.close()


class Vm:
    """
    A QEMU process.  Used as a context manager it is gone afterwards, whatever happened.

    device: properties of the pv-ve device ("" for none of them), None for no device.
    """

    LOCAL = True                # a process of this machine
    NOTIFIES_WITHOUT_REASON = False
    WAITS = "at"                # the WRMSR to WAIT is where RIP is meanwhile

    def __init__(self, config, name, *, memory="256M", vcpus=1, append="", device="",
                 accel="tcg,thread=multi", args=()):
        from qemu.machine import QEMUMachine        # found by config
        self.name = name
        self.log = os.path.join(config.work, name)
        self.serial = Serial(name, self.log + ".serial")
        arguments = [*config.qemu_args, "-nodefaults", "-nic", "none",
                     "-cpu", "max", "-accel", accel,
                     "-m", memory, "-smp", str(vcpus), *self.serial.arguments()]
        if append is not None:
            arguments += ["-kernel", config.guest, "-append", append]
        if device is not None:
            arguments += ["-device", ",".join(["pv-ve", "id=ve", *filter(None, [device])])]
        self.machine = QEMUMachine(config.qemu, args=[*arguments, *args], name=name,
                                   base_temp_dir=config.work, log_dir=config.work,
                                   qmp_timer=HANG)
        self.machine.set_machine("q35")
        self.events = []

    def __enter__(self):
        try:
            self.serial.offer()
            self.machine.launch()
            self.serial.start()
        except BaseException:
            self.serial.close()
            raise
        with open(self.log + ".command", "w", encoding="utf-8") as file:
            process = self.machine._subp
            file.write(" ".join(process.args) + "\n")
        self.qmp_timeout(HANG)
        return self

    def tell_state(self):
        """For the log of a test that failed: what it has counted, if it still answers"""
        with contextlib.suppress(Exception):
            self.qmp_timeout(STATE)
            print(f"# {self.name}: {self.stats()} {self.get('vcpus')}")

    def __exit__(self, *exc):
        if any(exc):
            self.tell_state()
        # Not politely: QEMU may be waiting for a page that never comes.
        with contextlib.suppress(Exception):
            self.machine.shutdown(hard=True)
        self.serial.close()

    def qmp_timeout(self, seconds):
        self.machine._qmp.settimeout(seconds)

    def is_running(self):
        return self.machine.is_running()

    def kill(self):
        """As if its host lost power."""
        self.machine._subp.kill()
        self.machine._subp.wait()

    def quit(self):
        """Ends QEMU as its user would, returns its exit status."""
        self.machine.shutdown(timeout=int(HANG))
        return self.machine.exitcode()

    def cmd(self, name, **arguments):
        return self.machine.cmd(name, **arguments)

    def error_of(self, name, **arguments):
        """The message of the error that a command must fail with ('' if it did not)."""
        reply = self.machine.qmp(name, **arguments)
        return reply["error"]["desc"] if "error" in reply else ""

    def cmd_oob(self, name, arguments):
        """Out of band: works even if QEMU's main loop is stopped at a missing page."""
        reply = self.machine._qmp.cmd_obj(
            {"exec-oob": name, "arguments": arguments, "id": f"oob-{time.monotonic_ns()}"})
        if "error" in reply:
            raise RuntimeError(f"{self.name}: {name}: {reply['error']['desc']}")

    def hmp(self, line):
        return self.cmd("human-monitor-command", command_line=line)

    def poll_events(self):
        self.events += self.machine.get_qmp_events(wait=False)

    def wait_event(self, name, timeout=HANG, **data):
        """Takes the first event of that name whose data has these values."""
        patience = Patience(timeout)
        while True:
            self.poll_events()
            for event in self.events:
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    self.events.remove(event)
                    return event
            if not self.is_running():
                raise Hang(f"{self.name}: QEMU ended, waiting for event {name}")
            if patience.is_over():
                raise Hang(f"{self.name}: no event {name} {data or ''}")
            with contextlib.suppress(asyncio.TimeoutError):
                self.events += self.machine._qmp.get_events(wait=0.2)

    # The pv-ve device

    DEVICE = "/machine/peripheral/ve"

    def get(self, name, path=DEVICE):
        return self.cmd("qom-get", path=path, property=name)

    def set(self, name, value, path=DEVICE):
        return self.cmd("qom-set", path=path, property=name, value=value)

    def stats(self):
        return self.get("stats")

    def withheld(self, what, start, size, **more):
        self.set(what, {"start": start, "size": size, **more}, self.DEVICE + "/withheld")

    # The guest's memory

    def words(self, gpa, count):
        """Reads 64-bit words at a guest-physical address."""
        text = self.hmp(f"xp /{count}gx {gpa:#x}")
        found = [int(word, 16) for line in text.splitlines()
                 for word in line.partition(":")[2].split()]
        if len(found) != count:
            raise RuntimeError(f"{self.name}: xp {gpa:#x}: {text.strip()}")
        return found
