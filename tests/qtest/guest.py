# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest does on one vCPU, by the interface's own rules and numbers."""

import collections
import struct

from machine import PAGE

# CPUID and MSRs
BASE = 0x40000200
MSR = 0x50565600
NR_MSRS = 7
FEATURES, CONTROL, INFO_AREA, PV_PAGE, NOTIFY, WAIT, URGENT = range(MSR, MSR + NR_MSRS)
NO_MSRS = [0] * NR_MSRS     # as after power-on
F_BASE, F_CPL0, F_IF0, F_WAIT, F_MSIX, F_URGENT = (1 << bit for bit in range(6))
F_ALL = 0x3f
ENABLE, CPL0, IF0 = 1, 2, 4
SLOTS = 120

# Information area
READ, WRITE, FETCH, GLA_VALID, TRANSLATED = 1, 2, 4, 1 << 7, 1 << 8
BUSY = 0xffffffff
INFO = struct.Struct("<IIQQQH6xII")
Info = collections.namedtuple("Info", "reason busy qualification gla gpa eptp_index slot "
                                      "generation")

# States of a slot's words
PARKED, ACKED, RESOLVED, FAILED = 1, 2, 4, 8
GEN_MAX = 0x0fffffff

VECTOR = 0x50
RAM = 0x1000000             # where the tests' missing pages begin; RAM below is present


def word(generation, state):
    return generation << 4 | state


# Lists of urgent pages
BITMAP = 4
ENTRIES = 255
ANNOUNCED = 16              # offset of the word in the PV page


def urgent_list(*entries, following=0, count=None, reserved=0):
    """The bytes of one list; an entry is (GPA | class | BITMAP, what)."""
    return struct.pack("<QII", following, len(entries) if count is None else count,
                       reserved) + b"".join(struct.pack("<QQ", *e) for e in entries)


class Guest:
    """The negotiation of one vCPU, and the two pages that it gives to the host."""

    def __init__(self, machine, vcpu=0, area=None):
        self.machine = machine
        self.vcpu = vcpu
        self.area = area or 0x200000 + vcpu * 0x10000
        self.page = self.area + PAGE

    # MSRs

    def rdmsr(self, msr):
        return self.machine.rdmsr(msr, self.vcpu)

    def wrmsr(self, msr, value):
        return self.machine.wrmsr(msr, value, self.vcpu)

    def msrs(self):
        return [self.rdmsr(msr) for msr in range(MSR, MSR + NR_MSRS)]

    def set_up(self, features=F_ALL, notify=VECTOR):
        """All but the enabling."""
        for msr, value in ((FEATURES, features), (INFO_AREA, self.area),
                           (PV_PAGE, self.page), (NOTIFY, notify)):
            assert self.wrmsr(msr, value) == "done", hex(msr)

    def enable(self, control=ENABLE, features=F_ALL, notify=VECTOR):
        self.set_up(features, notify)
        self.machine.write(self.page, bytes(PAGE))
        assert self.wrmsr(CONTROL, control) == "done"
        return self

    def wait(self, slot, generation):
        return self.wrmsr(WAIT, generation << 32 | slot)

    # Faults

    def touch(self, gpa, kind="read", *states, **more):
        return self.machine.access(gpa, kind, *states, vcpu=self.vcpu, **more)

    def info(self):
        return Info(*INFO.unpack(self.machine.read(self.area, INFO.size)))

    def clear_busy(self):
        self.machine.writel(self.area + 4, 0)

    def fault(self, gpa):
        """A touch that raises #VE, and the handler until the busy word is clear."""
        answer = self.touch(gpa)
        assert answer == "deliver", f"{gpa:#x}: {answer}"
        info = self.info()
        self.clear_busy()
        return info.slot, info.generation

    # The PV page

    def slot_at(self, slot):
        return self.page + 256 + 32 * slot

    def host_word(self, slot):
        return self.machine.readl(self.slot_at(slot))

    def put(self, slot, generation, state):
        self.machine.writel(self.slot_at(slot) + 4, word(generation, state))

    def park(self, slot, generation):
        self.put(slot, generation, PARKED)

    def acknowledge(self, slot, generation):
        self.put(slot, generation, ACKED)

    def done(self):
        return [self.machine.readq(self.page), self.machine.readq(self.page + 8)]

    def announced(self):
        return self.machine.readl(self.page + ANNOUNCED)

    def clear_done(self):
        self.machine.write(self.page, bytes(16))
