# SPDX-License-Identifier: GPL-2.0-or-later
"""
The nested bed as a machine with a core for each vCPU of its guests, and one for all else:
QEMU's other threads, the link, the kernel.

The bed's cores take turns, and its clock counts the instructions of all of them, a nanosecond
each.  Each core has something to do at any time, if only to spin, so each gets its part of
the turns; the clock is so much too fast.  Here all times are told and measured as if it were
right: then each core makes 1,000 million instructions a second, whatever the host does.
"""

GROUP = "/sys/fs/cgroup/idle"
SPINS = "spin"                  # the program that does


class Cores:
    """Of a bed that was made with so many vCPUs: `count`"""

    def __init__(self, bed, vcpus):
        self.bed = bed
        self.count = vcpus + 1
        bed.run(f"mount -t cgroup2 none /sys/fs/cgroup && "
                f"echo +cpu >/sys/fs/cgroup/cgroup.subtree_control && mkdir {GROUP} && "
                f"echo threaded >{GROUP}/cgroup.type && echo 1 >{GROUP}/cpu.idle")
        for core in range(self.count):
            bed.run(f"{SPINS} >/dev/null 2>&1 & "
                    f"echo $! >{GROUP}/cgroup.threads && taskset -p {1 << core:x} $!")

    def now(self):
        return self.bed.time() / self.count

    def sleep(self, seconds):
        self.bed.run(f"sleep {seconds * self.count}")

    def timed(self, function):
        """What it returns, with the time"""
        before = self.now()
        result = function()
        result.time = (before + self.now()) / 2
        return result

    def pair(self, name, bandwidth, rtt, **more):
        return self.bed.pair(name, bandwidth=bandwidth // self.count, rtt=rtt * self.count,
                             **more)

    def event(self, when):
        """The time of an event that a pair told"""
        return when / self.count

    def place(self, pair):
        """Each vCPU on its own core, all else on the first; new threads are there, too."""
        for vm in (pair.source, pair.target):
            self.bed.run(f"for t in /proc/{vm.machine._subp.pid}/task/*; do "
                         "taskset -p 1 ${t##*/}; done")
            for cpu in vm.cmd("query-cpus-fast"):
                self.bed.run(f"taskset -p {2 << cpu['cpu-index']:x} {cpu['thread-id']}")
        self.bed.run(f"taskset -p 1 {pair.relay.process.pid}")
