# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests in the bed fall over now and then, without a pv-ve device as well (one of nine
migrations).  What was seen of such a run counts for nothing, and it is tried again.
"""

TRIES = 6
ASKED_FOR = "host-qmp-system-reset"


class WasReset(Exception):
    pass


class Record:
    """What a run has to tell, if it counts."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, args))

    def replay(self, tap):
        for name, args in self.calls:
            getattr(tap, name)(*args)


class Watched:
    """The bed for one run, with all machines that it has had."""

    def __init__(self, bed):
        self.bed = bed
        self.config = bed.config
        self.vms = []

    def machine(self, name, **more):
        vm = self.bed.machine(name, **more)
        self.vms.append(vm)
        return vm

    def pair(self, name, **more):
        pair = self.bed.pair(name, **more)
        self.vms += [pair.source, pair.target]
        return pair


def sane(vm):
    if vm.is_running():
        vm.poll_events()
    if any(event["event"] == "RESET" and event["data"]["reason"] != ASKED_FOR
           for event in vm.events):
        raise WasReset


def try_once(tap, bed, test, more):
    """True unless a guest fell over."""
    watched = Watched(bed)
    record = Record()
    try:
        try:
            test(record, watched, *more)
        finally:
            for vm in watched.vms:
                sane(vm)                # else this is why
    except WasReset:
        return False
    except Exception:
        record.replay(tap)
        raise
    record.replay(tap)
    return True


def attempt(tap, bed, test, more):
    for left in range(TRIES - 1, -1, -1):
        if try_once(tap, bed, test, more):
            return
        tap.note(f"the guest was reset, {left} tries left")
    tap.ok(False, "the guest is not reset each time")
