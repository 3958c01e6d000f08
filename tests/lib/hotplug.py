# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs of the freestanding guest that are plugged and unplugged."""

from . import running

PORTS = 0xcd8                   # of the ACPI device that ejects vCPUs


def slot(vm, number):
    """Where the vCPU with that number can be plugged"""
    return next(cpu for cpu in vm.cmd("query-hotpluggable-cpus")
                if cpu["props"]["core-id"] == number)


def plug(vm, number):
    where = slot(vm, number)
    vm.cmd("device_add", driver=where["type"], id=f"vcpu{number}", **where["props"])


def unplug(vm, number):
    """The guest has no ACPI: the monitor does what its methods would."""
    left = len(vm.cmd("query-cpus-fast")) - 1
    vm.hmp(f"o /xw {PORTS:#x} 0")               # leaves the layout of old guests
    vm.cmd("device_del", id=f"vcpu{number}")
    vm.hmp(f"o /xw {PORTS:#x} {number}")
    vm.hmp(f"o /xb {PORTS + 4:#x} 8")
    running.until("it is gone", lambda: len(vm.cmd("query-cpus-fast")) == left)


def reboot(vm, vcpus):
    """The guest finds the vCPUs that there are now."""
    vm.cmd("system_reset")
    vm.serial.wait("^ready")
    return running.goes_on(vm, ["touch"], vcpus)


def in_order(vm):
    """Which vCPU is the guest's first, second, ...: they come up in any order"""
    pages = [vcpu["pv-page"] for vcpu in vm.get("vcpus")]
    return sorted((i for i, page in enumerate(pages) if page), key=pages.__getitem__)
