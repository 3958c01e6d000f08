# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs here do to a guest that runs: its test region goes out of reach."""

import copy
import functools
import re
import subprocess

from lib import report, running
from lib.tap import Skip

PAGES = running.REGION_PAGES
STILL = 4                       # samples of a vCPU that does not run
TASK_PAGES = 5                  # of a vCPU: ten blocks of 2 KiB, each with a kernel stack


def address_of(place, symbol):
    """Of something in the guest's image, which is mapped one to one"""
    symbols = subprocess.run(["nm", getattr(place, "config", place).guest], check=True,
                             capture_output=True, text=True).stdout
    return next(int(line.split()[0], 16) for line in symbols.splitlines()
                if line.split()[-1] == symbol)


def page_of(place, symbol):
    """(start, size) of the guest's page with that function"""
    return address_of(place, symbol) & -report.PAGE, report.PAGE


def stacks(vm):
    """(start, size) of vCPU 0's tasks: their memory follows the last PV page."""
    last = max(vcpu["pv-page"] for vcpu in vm.get("vcpus"))
    return last + report.PAGE, TASK_PAGES * report.PAGE


def count(vm, *names):
    found = vm.stats()
    for name in names:
        found = found[name]
    return found


def until_more(vm, *names, more=1):
    """Nothing in the guest's memory is read meanwhile: that could release it."""
    before = count(vm, *names)

    def check():
        return count(vm, *names) >= before + more

    return lambda: running.until(f"{more} more of {'/'.join(names)}", check)


def change(vm, what, first=0, count=PAGES):
    """withhold, release or fail pages of the test region, by number"""
    vm.withheld(what, report.REGION_GPA + first * report.PAGE, count * report.PAGE)


def before_all(cfg, *args):
    """The same, with arguments for QEMU that stand before all others."""
    cfg = copy.copy(cfg)
    cfg.qemu_args = [*args, *cfg.qemu_args]
    return cfg


def boot(vm, vcpus=1):
    """A sample of the guest at work before anything was withheld from it."""
    vm.serial.wait("^ready")
    before = running.sample(vm, vcpus)
    running.goes_on(vm, ["touch"], vcpus)
    return before


def wait_sleep(vm, tasks, vcpus=1):
    running.until(f"{tasks} tasks sleep",
                  lambda: running.sample(vm, vcpus).total("sleeping") == tasks)
    return True


def wait_outstanding(vm, faults):
    running.until(f"{faults} faults are outstanding",
                  lambda: running.outstanding(vm) == faults)
    return True


def wait_suspended(vm, vcpus=1):
    """Until no vCPU seems to run: it would tick every millisecond."""
    ticks = []

    def still():
        ticks.append([cpu["ticks"] for cpu in running.sample(vm, vcpus).cpu])
        return len(ticks) >= STILL and ticks[-STILL:] == [ticks[-1]] * STILL

    running.until("all vCPUs are suspended", still)
    return True


# What a guest without its test region does: name, its options, and what to wait for
# until it can do nothing more
WAYS = (("park", "", lambda vm, vcpus: wait_sleep(vm, vcpus * running.TASKS, vcpus)),
        ("wait", "policy=wait", lambda vm, vcpus: wait_outstanding(vm, vcpus * running.TASKS)),
        ("suspended", "ve=off", wait_suspended))


def registers(vm):
    """(CS base, RIP, halted) of each vCPU"""
    text = vm.hmp("info registers -a")
    found = re.findall(r"[RE]IP=(\w+).*?HLT=(\d).*?CS =\w+ (\w+)", text, re.DOTALL)
    return [(int(base, 16), int(ip, 16), halted == "1") for ip, halted, base in found]


@functools.cache
def address_of_armed(program):
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=False)
    match = re.search(r"^(\w+) \w pv_ve_armed$", symbols.stdout, re.MULTILINE)
    if not match:
        raise Skip(f"no symbols in {program}: {symbols.stderr.strip()}")
    return int(match[1], 16)


def armed(vm):
    """How many sources have pages missing, which QEMU keeps in a variable of its own."""
    process = vm.machine._subp
    with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
        start = int(maps.readline().split("-")[0], 16)
    with open(f"/proc/{process.pid}/mem", "rb") as memory:
        memory.seek(start + address_of_armed(process.args[0]))
        return int.from_bytes(memory.read(4), "little")
