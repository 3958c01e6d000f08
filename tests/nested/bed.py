# SPDX-License-Identifier: GPL-2.0-or-later
"""
The nested bed: Linux with kvm-amd in a machine that TCG emulates, which runs QEMU with
KVM.  It boots once for any number of tests.

    with Bed(config, args.build) as bed:
        bed.run("cat /proc/version")
        with bed.machine("name", append="mem=16") as vm: ...        # like Vm
        with bed.pair("name", rtt=0.01, append="mem=16") as pair: ...   # like Pair

An inner program's standard output and exit status come through the port `control`.
A program can have ports of its own, byte streams between it and a socket out here;
each is plugged for one program and pulled when that has ended.
"""

import contextlib
import functools
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from lib.vm import HANG, Hang, Serial, Vm

from .image import SERIES, Image

MEMORY = "2G"
VCPUS = 2
# The clock goes on by 1 ns with each instruction: what happens in the bed does not depend on
# how fast and how busy the host is, and figures hold on any.  The vCPUs take turns in one
# thread; with a thread for each, guests hang or are reset now and then, without #VE, too.
# The cause may be that VMRUN and #VMEXIT change interrupt_request without the lock that
# others take for that.  TCG counts each byte of a REP MOVSB, so the kernel is to copy in
# other ways.
CLOCK = ["-icount", "shift=0", "-cpu", "max,-erms,-fsrm"]
FOREVER = 1e8
# Long pauses of a busy host are no errors of the kernel's.
KERNEL_ARGS = ("console=ttyS0 quiet panic=-1 mitigations=off nowatchdog tsc=nowatchdog "
               "rcupdate.rcu_cpu_stall_suppress=1")


def one_line(text):
    """As a single word of the shell's that has no line end in it"""
    for char, escape in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n")):
        text = text.replace(char, escape)
    return f"$'{text}'"


class Monitor:
    """QMP of the outer machine for use by any thread."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.answers = self.socket.makefile("r", encoding="utf-8")
        self.answers.readline()
        self.cmd("qmp_capabilities")

    def try_cmd(self, name, /, **arguments):
        """The error, if there is one."""
        with self.lock:
            text = json.dumps({"execute": name, "arguments": arguments})
            self.socket.sendall(text.encode() + b"\n")
            for line in self.answers:
                answer = json.loads(line)
                if "error" in answer or "return" in answer:
                    return answer.get("error", {}).get("desc")
        raise Hang(f"bed: QEMU ended at {name}")

    def cmd(self, name, /, **arguments):
        if error := self.try_cmd(name, **arguments):
            raise RuntimeError(f"bed: {name}: {error}")

    def close(self):
        self.answers.close()
        self.socket.close()


class Job:
    """A program in the bed, to be handled like subprocess.Popen."""

    def __init__(self, bed, name, ports):
        self.bed = bed
        self.name = name
        self.ports = ports
        self.pid = None
        self.returncode = None
        self.output = []
        self.changed = threading.Condition()

    def take(self, what, text):
        with self.changed:
            if what == "said":
                self.output.append(text)
            elif what == "pid":
                self.pid = int(text)
            elif what == "end":
                status = int(text)
                self.returncode = 128 - status if status > 128 else status
            self.changed.notify_all()

    def poll(self):
        return self.returncode

    def until(self, test, timeout):
        with self.changed:
            if not self.changed.wait_for(test, timeout):
                raise subprocess.TimeoutExpired(self.name, timeout)

    def wait(self, timeout=HANG):
        self.until(lambda: self.returncode is not None, timeout)
        return self.returncode

    def send_signal(self, number):
        self.until(lambda: self.pid or self.returncode is not None, HANG)
        if self.returncode is None:
            self.bed.tell(f"kill -{number} {self.pid}")

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Bed:
    """`times` holds the seconds from the start of QEMU to each step of the boot."""

    def __init__(self, config, build, vcpus=VCPUS, files=None, series=SERIES):
        self.another = functools.partial(Bed, config, build, vcpus, files, series)
        self.config = config
        self.image = Image(build, config.work, config.qemu, config.guest, files or {}, series)
        self.image.make()
        self.control = Serial("control", os.path.join(config.work, "bed.control"))
        self.monitor_path = os.path.join(config.work, "bed.qmp")
        self.monitor = None
        self.vm = Vm(config, "bed", memory=MEMORY, vcpus=vcpus, append=None, device=None,
                     accel="tcg",
                     args=[*CLOCK, "-kernel", self.image.kernel, "-initrd", self.image.initrd,
                           "-append", KERNEL_ARGS, "-no-reboot",
                           "-qmp", f"unix:{self.monitor_path},server=on,wait=off",
                           "-device", "virtio-serial", "-chardev",
                           f"socket,id=control,fd={self.control.far.fileno()}",
                           "-device", "virtserialport,chardev=control,name=control"])
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.numbers = itertools.count(1)
        self.jobs = {}
        self.times = {}
        self.closing = contextlib.ExitStack()

    def __enter__(self):
        start = time.monotonic()
        with self.closing:
            self.closing.callback(self.control.close)
            self.control.offer()
            self.closing.enter_context(self.vm)
            self.control.start()
            self.monitor = Monitor(self.monitor_path)
            self.closing.callback(self.monitor.close)
            self.vm.serial.wait("^bed: Linux .* is up")
            self.times["kernel"] = time.monotonic() - start
            self.control.wait("^bed ready")
            self.times["bed"] = time.monotonic() - start
            os.unlink(self.image.initrd)        # large; logs may be kept
            self.thread.start()
            self.closing = self.closing.pop_all()
        return self

    def __exit__(self, *exc):
        self.closing.close()

    def follow(self):
        """Gives each line of the control port to its job, until QEMU has ended."""
        with contextlib.suppress(Hang, OSError):
            while True:
                match = self.control.wait(r"^(\S+) (pid|said|end) ?(.*)", FOREVER)
                name, what, text = match.groups()
                if what == "end":
                    self.pull(self.jobs[name].ports)
                self.jobs[name].take(what, text)
        for job in self.jobs.values():
            if job.returncode is None:
                job.take("end", str(128 + signal.SIGKILL))

    def tell(self, line):
        self.control.send(line + "\n")

    def plug(self, name):
        """Our end of a new port, in the bed known by that name."""
        path = os.path.join(self.config.work, name)
        address = {"type": "unix", "data": {"path": path}}
        self.monitor.cmd("chardev-add", id=name, backend={
            "type": "socket", "data": {"addr": address, "server": True, "wait": False}})
        near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        near.connect(path)
        self.monitor.cmd("device_add", driver="virtserialport", id=name, chardev=name,
                         name=name)
        return near

    def pull(self, names):
        """Ends these streams, after all that was written into them."""
        for name in names:
            self.monitor.cmd("device_del", id=name)
            while "busy" in (self.monitor.try_cmd("chardev-remove", id=name) or ""):
                time.sleep(0.001)       # QEMU frees the port some time after it is gone

    def start(self, name, script, ports=()):
        """
        A job that runs the shell script, and our ends of its ports: for each p of these
        the script has a variable p with the device's path.
        """
        name = f"{name}.{next(self.numbers)}"
        streams = {port: f"{name}.{port}" for port in ports}
        near = [self.plug(stream) for stream in streams.values()]
        self.jobs[name] = job = Job(self, name, list(streams.values()))
        opens = "".join(f"{port}=$(port {stream}); " for port, stream in streams.items())
        self.tell(f"start {name} {one_line(opens + script)}")
        return (job, *near)

    def run(self, script, timeout=HANG):
        """The output of a script that must succeed."""
        job, = self.start("run", script)
        if job.wait(timeout):
            raise RuntimeError(f"bed: {script}: status {job.returncode}: {job.output}")
        return "\n".join(job.output)

    def time(self):
        """In seconds, by the clock in the bed"""
        text = self.run("adjtimex | grep tv_")
        seconds, microseconds = map(int, re.findall(r": +(\d+)", text))
        return seconds + microseconds / 1e6

    def machine(self, name, **more):
        from .inner import InnerVm
        return InnerVm(self, name, **more)

    def pair(self, name, **more):
        from .inner import InnerPair
        return InnerPair(self, name, **more)
