# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU whose vCPUs do not run: the tests say over qtest what they do."""

import collections
import contextlib
import fcntl
import itertools
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
from lib.patience import Patience, run_to_end   # noqa: E402  pylint: disable=C0413
from lib.tap import Skip, Tap           # noqa: E402  pylint: disable=C0413

BUILD = pathlib.Path(os.environ.get("BUILD", TESTS.parent / "build"))
QEMU = os.environ.get("QTEST_QEMU_BINARY", str(BUILD / "qemu-system-x86_64"))
DEVICE = "/machine/peripheral/ve"
PAGE = 4096

State = collections.namedtuple("State", "vector interrupts wakes resumes")


class Refused(Exception):
    """A command was answered with an error; its text says which."""


class Lines:
    """Commands out, lines in, over a socket that QEMU inherits."""

    def __init__(self):
        self.near, self.far = socket.socketpair()
        self.rest = b""

    def send(self, line):
        self.near.sendall(line.encode() + b"\n")

    def receive(self):
        patience = Patience()
        while b"\n" not in self.rest:
            while not select.select([self.near], [], [], patience.left())[0]:
                if patience.is_over():
                    raise TimeoutError("QEMU does not answer")
            data = self.near.recv(65536)
            if not data:
                raise ConnectionError("QEMU has ended")
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def close(self):
        self.near.close()
        self.far.close()


def arguments(device, vcpus, memory, more, accel="qtest"):
    return [QEMU, "-accel", accel, "-nodefaults", "-display", "none", "-m", memory,
            "-smp", str(vcpus), *more,
            *(["-device", ",".join(filter(None, ["pv-ve", "id=ve", device]))]
              if device is not None else [])]


def message(*more, device="", accel="qtest"):
    """What a QEMU says that does not start, and its exit status."""
    done = run_to_end(arguments(device, 1, "64M", more, accel))
    return done.returncode, done.stderr.decode().strip()


class Machine:
    """
    Used as a context manager: the process is gone afterwards, whatever happened.

    device: properties of the pv-ve device, None for no device.
    """

    def __init__(self, *more, device="", vcpus=2, memory="64M"):
        self.qtest, self.monitor = Lines(), Lines()
        ends = self.qtest.far.fileno(), self.monitor.far.fileno()
        args = [*arguments(device, vcpus, memory, more),
                "-chardev", f"socket,id=qtest,fd={ends[0]}", "-qtest", "chardev:qtest",
                "-qtest-log", "none", "-chardev", f"socket,id=qmp,fd={ends[1]}",
                "-mon", "chardev=qmp,mode=control"]
        self.process = subprocess.Popen(args, pass_fds=ends, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.qtest.far.close()
        self.monitor.far.close()
        self.events = []
        self.said = None

    def __enter__(self):
        try:
            self.monitor.receive()
            self.qmp("qmp_capabilities")
        except BaseException as error:
            self.__exit__(None, error, None)
            raise
        return self

    def __exit__(self, _, error, __):
        status = self.process.poll()
        said = self.end()
        if error:
            error.add_note(f"QEMU {self.process.pid}: " +
                           ("ran" if status is None else f"had ended, {status}") +
                           (f", and said: {said}" if said else ""))

    def end(self):
        """Ends QEMU and returns what it said."""
        if self.said is None:
            self.process.kill()
            self.said = self.process.communicate()[1].decode(errors="replace")
            self.qtest.close()
            self.monitor.close()
        return self.said

    # The protocols

    def ask(self, *words):
        self.qtest.send(" ".join(map(str, words)))
        status, _, answer = self.qtest.receive().partition(" ")
        if status != "OK":
            raise Refused(answer)
        return answer

    def ask_at_once(self, *commands):
        """All of them before the main loop does anything else; their answers."""
        self.qtest.send("\n".join(" ".join(map(str, words)) for words in commands))
        return [self.qtest.receive() for _ in commands]

    def qmp(self, command, **arguments_):
        self.monitor.send(json.dumps({"execute": command, "arguments": arguments_}))
        while True:
            reply = json.loads(self.monitor.receive())
            if "event" in reply:
                self.events.append(reply)
            elif "error" in reply:
                raise Refused(reply["error"]["desc"])
            else:
                return reply["return"]

    def wait_event(self, name, **data):
        """Takes the first event of that name whose data has these values."""
        for count in itertools.count():
            while count >= len(self.events):
                reply = json.loads(self.monitor.receive())
                assert "event" in reply, reply
                self.events.append(reply)
            event = self.events[count]
            if event["event"] == name and data.items() <= event.get("data", {}).items():
                return self.events.pop(count)

    def until(self, what, test):
        patience = Patience()
        while not (found := test()):
            if patience.is_over():
                raise TimeoutError(f"waited in vain: {what}")
            time.sleep(0.001)
        return found

    def settle(self):
        """
        What the main loop had to do when this was called is done: it has gone round
        after it.
        """
        for _ in range(3):
            self.ask("pv_ve_state 0")

    # The vCPUs

    def cpuid(self, leaf, vcpu=0):
        """EAX to EDX, or None if there is no such leaf of ours."""
        try:
            return [int(word, 0) for word in self.ask("pv_ve_cpuid", vcpu, leaf).split()]
        except Refused:
            return None

    def rdmsr(self, msr, vcpu=0):
        answer = self.ask("pv_ve_rdmsr", vcpu, msr)
        return answer if answer == "#GP" else int(answer, 0)

    def wrmsr(self, msr, value, vcpu=0):
        return self.ask("pv_ve_wrmsr", vcpu, msr, value)

    def access(self, gpa, kind="read", *states, cpl=3, interrupts=1, gla="-", vcpu=0):
        return self.ask("pv_ve_access", vcpu, gpa, kind, cpl, interrupts, gla, *states)

    def state(self, vcpu=0):
        return State(*map(int, self.ask("pv_ve_state", vcpu).split()))

    def settled(self, vcpu=0, **wanted):
        """The state of the vCPU once it is what is wanted, or nothing more happens."""
        self.settle()
        try:
            self.until("", lambda: all(getattr(self.state(vcpu), name) >= value
                                       for name, value in wanted.items()))
        except TimeoutError:
            pass
        return self.state(vcpu)

    # Guest memory

    def read(self, gpa, size):
        return bytes.fromhex(self.ask("read", gpa, size).removeprefix("0x"))

    def write(self, gpa, data):
        self.ask("write", gpa, len(data), "0x" + data.hex())

    def readl(self, gpa):
        return int.from_bytes(self.read(gpa, 4), "little")

    def writel(self, gpa, value):
        self.write(gpa, value.to_bytes(4, "little"))

    def readq(self, gpa):
        return int.from_bytes(self.read(gpa, 8), "little")

    def writeq(self, gpa, value):
        self.write(gpa, value.to_bytes(8, "little"))

    # What users see and drive

    def stats(self):
        """All counters that are not 0, the declined ones by their reasons."""
        stats = self.qmp("qom-get", path=DEVICE, property="stats")
        stats.update(stats.pop("declined"))
        for group in "kicks", "ahead":
            for name, value in stats.pop(group).items():
                stats[f"{group} {name}"] = value
        return {name: value for name, value in stats.items() if value}

    def vcpus(self):
        return self.qmp("qom-get", path=DEVICE, property="vcpus")

    def outstanding(self):
        return [vcpu["outstanding"] for vcpu in self.vcpus()]

    def named(self):
        """[(block, offset, pages, class)], in the order in which the host takes them"""
        runs = [run.rsplit(":", 3) for run in self.ask("pv_ve_named").split()]
        return [(block, int(at, 0), int(pages), int(urgency))
                for block, at, pages, urgency in runs]

    def withhold(self, gpa, size=PAGE, *suppressed):
        self.ask("pv_ve_withhold", gpa, size, *suppressed)

    def release(self, gpa, size=PAGE):
        self.ask("pv_ve_release", gpa, size)

    def fail(self, gpa, size=PAGE):
        self.ask("pv_ve_fail", gpa, size)

    def withheld_pages(self):
        return self.qmp("qom-get", path=DEVICE + "/withheld", property="pages")

    def reset(self):
        self.qmp("system_reset")
        self.wait_event("RESET")
        self.settle()


@contextlib.contextmanager
def huge_pages(count):
    """
    That many free huge pages of 2 MiB, if this machine lets us have them; for one program at
    a time.
    """
    path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
    try:
        knob = open(path, "r+", encoding="ascii", buffering=1)
    except OSError as error:
        raise Skip(f"huge pages: {error}") from error

    def read():
        with open(path, encoding="ascii") as file:
            return int(file.read())

    with knob:
        fcntl.flock(knob, fcntl.LOCK_EX)
        before = read()
        try:
            print(before + count, file=knob)
            if read() < before + count:
                raise Skip("not enough memory for huge pages")
            yield
        finally:
            print(before, file=knob)


# ---- The cases of one program ---------------------------------------------

cases = []


def case(function):
    cases.append(function)
    return function


def refusal(function, *args, **named):
    """The text of the error that a call must end with ('' if it did not)."""
    try:
        function(*args, **named)
    except Refused as error:
        return str(error)
    return ""


def matches(tap, text, pattern, name):
    return tap.ok(re.search(pattern, text), name, f"got:    {text}", f"wanted: {pattern}")


def main():
    tap = Tap(sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] != "--tap" else "")
    for function in cases:
        tap.run(function.__name__.replace("_", " "), function, tap)
    sys.exit(tap.end())
