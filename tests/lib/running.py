# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests know about the freestanding guest while it runs."""

import time

from . import report
from .patience import Patience
from .vm import Hang

MIB = 1024 * 1024
MEMORY = "128M"
TASKS = 8                       # touching tasks of each vCPU, the guest's default
REGION = 16                     # MiB
REGION_PAGES = REGION * MIB // report.PAGE
IMAGE_PAGES = 64                # of the guest, that it names as urgent


def pair(place, name, append="", vcpus=1, device="", **more):
    """Here, if `place` is the Config, or in the nested bed"""
    return place.pair(name, memory=MEMORY, vcpus=vcpus, device=device,
                      append=f"mem={REGION} map=4k {append}", **more)


def machine(place, name, append="", vcpus=1, device="", **more):
    return place.machine(name, memory=MEMORY, vcpus=vcpus, device=device,
                         append=f"mem={REGION} map=4k {append}", **more)


def sample(vm, vcpus=1):
    return report.sample(vm, vcpus)


def until(what, test, pause=0.05):
    """The first true value of test(); `what` says what was waited for in vain."""
    patience = Patience()
    while not (value := test()):
        if patience.is_over():
            raise Hang(f"waited in vain: {what}")
        time.sleep(pause)
    return value


def outstanding(vm):
    return sum(vcpu["outstanding"] for vcpu in vm.get("vcpus"))


def goes_on(vm, names, vcpus=1):
    """Waits until each vCPU has counted on in all of these."""
    first = sample(vm, vcpus)

    def moved():
        now = sample(vm, vcpus)
        return all(now.cpu[i][name] > first.cpu[i][name]
                   for i in range(vcpus) for name in names)

    until(f"{vm.name}: {', '.join(names)} of every vCPU go on", moved)
    return True


def verify(vm):
    """(pages, bad, failed) as the guest found them"""
    vm.serial.send("v")
    found = vm.serial.wait(r"^verified (\d+) pages, (\d+) bad(?:, (\d+) failed)?")
    return tuple(int(n or 0) for n in found.groups())


def check_pages(tap, vm, vcpus=1):
    tap.equal(verify(vm), (REGION_PAGES, 0, 0), "all pages verified, none bad")
    tap.equal(sample(vm, vcpus).bad_count, 0, "no task ever read a wrong word")


def check_nobody_lost(tap, vm, vcpus=1):
    until("no task sleeps", lambda: sample(vm, vcpus).total("sleeping") == 0)
    tap.ok(goes_on(vm, ["compute", "touch"], vcpus), "all vCPUs compute and touch on")
    now = sample(vm, vcpus)
    alive = vcpus * (TASKS + 1)                 # those that touch, and one computes
    tap.equal(now.total("alive"), alive, "all tasks are alive")


def check_counts(tap, vm, before, vcpus=1):
    """
    Nothing is outstanding any more: host and guest must have counted the same since the
    sample `before`, after which this QEMU took over.
    """
    tap.equal(outstanding(vm), 0, "no fault is outstanding")
    stats = vm.stats()
    now = sample(vm, vcpus)

    def since(*names):
        return now.total(*names) - before.total(*names)

    # More than one for each task: then they were woken while pages were still missing.
    tap.ok(stats["delivered"] > vcpus * TASKS, "many #VE were delivered", stats)
    tap.equal(stats["resolved"] + stats["failed"], stats["delivered"],
              "each delivered fault was resolved or failed")
    tap.equal(stats["failed"], 0, "no page failed")
    tap.equal(since("ve_user", "ve_kernel"), stats["delivered"],
              "the guest took as many #VE as were delivered")
    tap.equal(since("parked", "waited", "retried"), stats["delivered"],
              "each was parked, waited for or tried again")
    tap.equal(since("awake", "woken"), since("parked"), "each parked task was woken")
    tap.ok(since("woken") <= stats["parked"] <= since("parked"),
           "the host saw those parked that it woke", stats, now.cpu)
    # One interrupt tells of both words of done bits, if they were set before it came.
    useful = since("notified") - (since("spurious") if vm.NOTIFIES_WITHOUT_REASON else 0)
    tap.ok(useful <= stats["notified"] <= 2 * since("notified"),
           "host and guest counted the same notifications", stats, now.cpu)
    tap.ok(stats["notified"] <= stats["parked"], "no notification without a parked fault")


def described(vm):
    """Of each vCPU, whether it names pages that must come first"""
    return [vcpu["urgent"] != 0 for vcpu in vm.get("vcpus")]


def switch_when_described(tap, pair, vcpus=1, pages=REGION_PAGES):
    """A guest with urgent=1 answers the announcement; then postcopy begins."""
    tap.equal(described(pair.source), [False] * vcpus, "no list before")
    pair.prepare()
    pair.migrate()
    until("each vCPU has answered", lambda: all(described(pair.source)))
    pair.switch()
    stats = pair.source.stats()
    tap.equal((stats["named"], stats["refused"]), (2 * vcpus + IMAGE_PAGES + pages, 0),
              "areas, image and region are named")


def check_withdrawn(tap, vm):
    until("each vCPU knows that it is over", lambda: not any(described(vm)))
    tap.equal(vm.stats()["named"], 0, "where the guest came to nobody reads its lists")


def well_under_way(vm, vcpus=1, faults=100):
    """
    Waits until what the guest's kernel needs has arrived, so that only tasks wait for
    pages: many #VE were taken and the compute tasks go on.
    """
    until(f"{vm.name}: {faults} #VE", lambda: vm.stats()["delivered"] >= faults)
    goes_on(vm, ["compute"], vcpus)
