# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU in the nested bed: Vm, Pair and Relay for what runs there.  Imported by bed.py."""

import contextlib
import os
import shlex
import subprocess
import threading

from qemu.qmp.legacy import QEMUMonitorProtocol     # found by config

from lib.postcopy import Pair
from lib.relay import Relay
from lib.vm import HANG, STATE, Serial, Vm


class InnerSerial(Serial):
    """Lines from the stream of a port."""

    def __init__(self, name, log, stream):  # pylint: disable=super-init-not-called
        self.name = name
        self.near = self.far = stream
        self.log = open(log, "wb")
        self.lines = []
        self.times = []
        self.seen = 0
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)

    def start(self):
        self.thread.start()


class InnerMachine:
    """What Vm uses of QEMUMachine."""

    def __init__(self, bed, name, args, within):
        self.bed = bed
        self.name = name
        self.args = args
        self.within = within
        self._subp = self._qmp = None

    def launch(self):
        """Returns the stream of the serial port."""
        script = (f"exec {self.within} qemu -L /share -display none -vga none "
                  "-chardev serial,id=mon,path=$mon -mon chardev=mon,mode=control "
                  "-chardev serial,id=serial0,path=$serial -serial chardev:serial0 " +
                  shlex.join(self.args))
        self._subp, monitor, serial = self.bed.start(self.name, script, ("mon", "serial"))
        self._subp.args = [script]
        self._qmp = QEMUMonitorProtocol(monitor, nickname=self.name)
        watchdog = threading.Timer(HANG, self._subp.kill)
        watchdog.start()
        try:
            self._qmp.connect()
        except BaseException as error:
            self._subp.kill()
            self._subp.wait()
            serial.close()
            said = "\n".join(self._subp.output)
            raise RuntimeError(f"{self.name}: QEMU did not start: {said}") from error
        finally:
            watchdog.cancel()
        return serial

    def is_running(self):
        return self._subp.poll() is None

    def exitcode(self):
        return self._subp.poll()

    def output(self):
        """Lines that QEMU has printed."""
        return self._subp.output

    def qmp(self, name, /, **arguments):
        return self._qmp.cmd_raw(name, {key.replace("_", "-"): value
                                        for key, value in arguments.items()})

    def cmd(self, name, /, **arguments):
        return self._qmp.cmd(name, **{key.replace("_", "-"): value
                                      for key, value in arguments.items()})

    def get_qmp_events(self, wait=False):
        return self._qmp.get_events(wait=wait)

    def shutdown(self, hard=False, timeout=HANG):
        try:
            if hard:
                self._subp.kill()
            else:
                self.cmd("quit")
            self._subp.wait(timeout)
        finally:
            # The stream ended with the program, maybe within a line.
            with contextlib.suppress(Exception):
                self._qmp.close()


class InnerVm(Vm):
    """
    Like Vm, under KVM.  `accel` can have more of KVM's properties; paths in `args` are
    the bed's.  `within`: a command that runs QEMU.
    """

    LOCAL = False
    NOTIFIES_WITHOUT_REASON = True      # to end KVM's halt
    WAITS = "past"

    def __init__(self, bed, name, *,    # pylint: disable=super-init-not-called
                 memory="256M", vcpus=1, append="", device="", accel="kvm",
                 args=(), within=""):
        self.name = name
        self.log = os.path.join(bed.config.work, name)
        self.serial = None
        arguments = ["-nodefaults", "-nic", "none", "-machine", "q35", "-cpu", "max",
                     "-accel", accel, "-m", memory, "-smp", str(vcpus)]
        if append is not None:
            arguments += ["-kernel", "/guest.elf", "-append", append]
        if device is not None:
            arguments += ["-device", ",".join(["pv-ve", "id=ve", *filter(None, [device])])]
        self.machine = InnerMachine(bed, name, [*arguments, *args], within)
        self.events = []

    def __enter__(self):
        stream = self.machine.launch()
        self.serial = InnerSerial(self.name, self.log + ".serial", stream)
        self.serial.start()
        with open(self.log + ".command", "w", encoding="utf-8") as file:
            file.write(self.machine._subp.args[0] + "\n")
        self.qmp_timeout(HANG)
        return self

    def was_reset(self):
        """Not as asked for: of a guest that falls over tests see but that it is there again."""
        if self.is_running():
            self.cmd("query-status")        # all events so far stand before the answer
            self.poll_events()
        resets = [event["data"]["guest"] for event in self.events
                  if event["event"] == "RESET"]
        # The firmware adds one to each that was asked for.
        return resets.count(True) > resets.count(False)

    def tell_state(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.machine._subp.wait(STATE)
            print(f"# {self.name}: QEMU ended with {status}", *self.machine.output(),
                  sep="\n#   ", flush=True)
            return
        with contextlib.suppress(Exception):
            self.qmp_timeout(STATE)
            if self.was_reset():
                print(f"# {self.name}: the guest was reset by itself")
        super().tell_state()

    def __exit__(self, *exc):
        try:
            fell_over = not any(exc) and self.was_reset()
        finally:
            super().__exit__(*exc)
        if fell_over:
            raise RuntimeError(f"{self.name}: the guest was reset by itself")


class InnerRelay(Relay):
    """The relay of the bed, with the same commands."""

    def __init__(self, bed, *args):     # pylint: disable=super-init-not-called
        script = "exec relay " + shlex.join(map(str, args)) + " 0<>$line 1>&0"
        self.process, stream = bed.start("relay", script, ("line",))
        self.process.stdin = stream.makefile("w", encoding="ascii")
        self.process.stdout = stream.makefile("r", encoding="ascii")
        stream.close()
        self.answer()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class InnerPair(Pair):
    """Like Pair; the link is in the bed, times are those of the clock there."""

    def __init__(self, bed, name, *,    # pylint: disable=super-init-not-called
                 bandwidth=0, rtt=0.0, background=None, preempt=True, target=None,
                 source=None, **machine):
        self.bed = bed
        self.bandwidth = bandwidth
        self.background = background
        self.rtt = rtt
        self.preempt = preempt
        self.name = name
        self.near = f"/tmp/{name}.near"
        self.far = f"/tmp/{name}.far"
        self.closing = contextlib.ExitStack()
        incoming = {"args": [*machine.get("args", ()), "-incoming", "defer"]}
        self.launched = not source
        self.source = source or InnerVm(bed, name + "-source", **machine)
        self.target = InnerVm(bed, name + "-target",
                              **{**machine, **incoming, **(target or {})})
        self.relay = None

    def __enter__(self):
        with self.closing:
            self.closing.enter_context(self.target)
            if self.launched:
                self.closing.enter_context(self.source)
            self.relay = InnerRelay(self.bed, self.near, self.far, self.bandwidth, self.rtt)
            self.closing.callback(self.relay.close)
            self.closing = self.closing.pop_all()
        return self
