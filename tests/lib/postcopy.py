# SPDX-License-Identifier: GPL-2.0-or-later
"""Two QEMU processes, the link between them, and a migration from one to the other."""

import contextlib
import os
import time

from .relay import Relay
from .patience import HANG, Patience
from .vm import Hang, Vm

# So slow that nearly all pages are still missing when postcopy starts.
PRECOPY_BANDWIDTH = 64 * 1024


def event_time(event):
    stamp = event["timestamp"]
    return stamp["seconds"] + stamp["microseconds"] / 1e6


class Pair:
    """
    Source and target of one migration.  `bandwidth` (bytes a second, 0: any) and `rtt`
    (seconds) are the link's; `target` holds what the target has other than the source;
    `source` is one that runs already.  `background`, if given, is for pages that nobody has
    asked for, until hurry(): with nearly none, the end does not come before the guest has
    needed most pages, however slow a busy machine makes it.
    """

    background = None

    def __init__(self, config, name, *, bandwidth=0, rtt=0.0, background=None, preempt=True,
                 target=None, source=None, **machine):
        self.bandwidth = bandwidth
        self.background = background
        self.rtt = rtt
        self.preempt = preempt
        self.name = name
        self.near = os.path.join(config.work, name + ".near")
        self.far = os.path.join(config.work, name + ".far")
        self.closing = contextlib.ExitStack()
        incoming = {"args": [*machine.get("args", ()), "-incoming", "defer"]}
        self.launched = not source
        self.source = source or Vm(config, name + "-source", **machine)
        self.target = Vm(config, name + "-target", **{**machine, **incoming,
                                                      **(target or {})})
        self.relay = None

    def __enter__(self):
        with self.closing:          # closes all of it if one does not start
            self.closing.enter_context(self.target)
            if self.launched:
                self.closing.enter_context(self.source)
            self.relay = Relay(self.near, self.far, self.bandwidth, self.rtt)
            self.closing.callback(self.relay.close)
            self.closing = self.closing.pop_all()
        return self

    def __exit__(self, *exc):
        self.closing.__exit__(*exc)

    def prepare(self, postcopy=True):
        """Capabilities and limits; the target listens."""
        names = ["events"]
        if postcopy:
            names += ["postcopy-ram"] + ["postcopy-preempt"] * self.preempt
        states = [{"capability": name, "state": True} for name in names]
        for vm in (self.source, self.target):
            vm.poll_events()
            vm.events.clear()           # an earlier migration's
            vm.cmd("migrate-set-capabilities", capabilities=states)
        # Requested pages have a channel of their own, which no limit of QEMU's holds
        # for; the link limits both.
        background = self.bandwidth if self.background is None else self.background
        self.source.cmd("migrate-set-parameters", max_postcopy_bandwidth=background,
                        max_bandwidth=PRECOPY_BANDWIDTH if postcopy else 0)
        self.target.cmd("migrate-incoming", uri="unix:" + self.far)

    def migrate(self):
        self.source.cmd("migrate", uri="unix:" + self.near)

    def precopy(self, meanwhile):
        """Until all memory was sent once.  `meanwhile` is called again and again."""
        # What is left then is not so little that the migration ends by itself. (With 0 it
        # would end without having looked at what was written since.)
        self.source.cmd("migrate-set-parameters", max_bandwidth=self.bandwidth,
                        downtime_limit=1)
        state = {"status": "setup"}
        while state.get("ram", {}).get("dirty-sync-count", 0) < 2:
            if state["status"] not in ("setup", "active"):
                raise Hang(f"{self.name}: precopy: {state['status']}")
            meanwhile()
            state = self.source.cmd("query-migrate")

    def switch(self):
        """
        Starts postcopy.  Returns when the guest runs on the target: the time of that,
        as the target's QEMU tells it.
        """
        self.source.wait_event("MIGRATION", status="active")
        self.source.cmd("migrate-start-postcopy")
        self.source.wait_event("MIGRATION", status="postcopy-active")
        return event_time(self.target.wait_event("RESUME"))

    def start_postcopy(self):
        self.prepare()
        self.migrate()
        return self.switch()

    def status(self, vm):
        return vm.cmd("query-migrate").get("status", "none")

    def finish(self, meanwhile=None, pause=0.05, patience=HANG):
        """
        Waits until both sides have completed; returns when the target had.  `meanwhile`
        is called again and again.
        """
        left = {self.source: None, self.target: None}
        patience = Patience(patience)
        while not all(left.values()):
            if meanwhile:
                meanwhile()
            for vm in left:
                vm.poll_events()
                for event in [e for e in vm.events if e["event"] == "MIGRATION"]:
                    vm.events.remove(event)
                    if event["data"]["status"] == "completed":
                        left[vm] = event_time(event)
                    elif event["data"]["status"] in ("failed", "postcopy-paused"):
                        raise Hang(f"{vm.name}: migration is {event['data']['status']}")
                if not vm.is_running():
                    raise Hang(f"{vm.name}: QEMU ended during the migration")
            if patience.is_over():
                raise Hang(f"{self.name}: no end of the migration, source is "
                           f"{self.status(self.source)}, target {self.status(self.target)}")
            time.sleep(pause)
        return left[self.target]

    def hurry(self, bandwidth):
        """From now on all that is left comes, over a link with that bandwidth."""
        self.source.cmd("migrate-set-parameters", max_postcopy_bandwidth=0)
        self.relay.limit(bandwidth)

    def lose_network(self):
        """Returns when both sides know of it."""
        self.relay.cut()
        for vm in (self.source, self.target):
            vm.wait_event("MIGRATION", status="postcopy-paused")

    def recover(self):
        """The network is there again, postcopy goes on."""
        self.relay.resume()
        # The target's main loop may be waiting for a page: out of band.
        self.target.cmd_oob("migrate-recover", {"uri": "unix:" + self.far})
        self.source.cmd("migrate", uri="unix:" + self.near, resume=True)
