# SPDX-License-Identifier: GPL-2.0-or-later
"""The PCI function: configuration space, and its MSI-X table."""

from machine import Refused

VENDOR_DEVICE = 0x00fe1b36
MSIX_CAPABILITY = 0x11
BAR = 0xe0000000
MASKED = 1


class Function:
    """A function on bus 0, by its identity; its BAR and bus mastering are set up."""

    def __init__(self, machine, identity=VENDOR_DEVICE, bar=BAR, register=0x10):
        self.machine = machine
        self.slot = next(slot for slot in range(32) if self.config(0, slot) == identity)
        if bar is not None:
            self.put_config(register, bar)
            self.put_config(4, 6)
        self.bar = bar

    def select(self, offset, slot):
        slot = self.slot if slot is None else slot
        self.machine.ask("outl", 0xcf8, 1 << 31 | slot << 11 | offset)

    def config(self, offset, slot=None):
        self.select(offset, slot)
        return int(self.machine.ask("inl", 0xcfc), 16)

    def put_config(self, offset, value):
        self.select(offset, None)
        self.machine.ask("outl", 0xcfc, value)


class Msix(Function):
    """MSI-X of the device, switched on."""

    def __init__(self, machine, **where):
        super().__init__(machine, **where)
        self.capability = self.config(0x34) & 0xff
        while self.config(self.capability) & 0xff != MSIX_CAPABILITY:
            self.capability = self.config(self.capability) >> 8 & 0xff
            if not self.capability:
                raise Refused("no MSI-X capability")
        self.entries = (self.config(self.capability) >> 16 & 0x7ff) + 1
        self.table = self.bar + (self.config(self.capability + 4) & ~7)
        self.pending_bits = self.bar + (self.config(self.capability + 8) & ~7)
        self.enable()

    def master(self, on):
        """May it send messages at all?"""
        self.put_config(4, 6 if on else 2)

    def enable(self, on=True):
        value = self.config(self.capability) & ~(1 << 31)
        self.put_config(self.capability, value | on << 31)

    def entry(self, index, address, data, control=0):
        at = self.table + 16 * index
        for offset, value in ((0, address), (4, 0), (8, data), (12, control)):
            self.machine.ask("writel", at + offset, value)

    def mask(self, index, on):
        self.machine.ask("writel", self.table + 16 * index + 12, MASKED if on else 0)

    def pending(self, index):
        word = int(self.machine.ask("readl", self.pending_bits + index // 32 * 4), 16)
        return bool(word >> index % 32 & 1)


# ---- A slot with power ------------------------------------------------------

PORT = 0x000c1b36               # pcie-root-port
EXPRESS_CAPABILITY = 0x10
SLOT_CONTROL = 0x18             # in that capability
INDICATOR_OFF, CONTROLLER_OFF, INDICATOR_ON = 0x300, 0x400, 0x100
# A machine whose guest can power off the device's slot
EXPRESS = ("-M", "q35", "-device", "pcie-root-port,id=rp",
           "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")
IN_SLOT = "bus=rp"


class RootPort(Function):
    """Its slot's power, and the configuration space of the function behind it."""

    def __init__(self, machine):
        super().__init__(machine, PORT, bar=None)
        self.put_config(0x18, 0x010100)         # bus 1 is behind it
        self.capability = self.config(0x34) & 0xff
        while self.config(self.capability) & 0xff != EXPRESS_CAPABILITY:
            self.capability = self.config(self.capability) >> 8 & 0xff

    def slot_control(self, value):
        self.put_config(self.capability + SLOT_CONTROL, value)

    def power_off(self):
        self.slot_control(INDICATOR_ON)
        self.slot_control(CONTROLLER_OFF | INDICATOR_OFF)

    def identity_behind(self):
        self.machine.ask("outl", 0xcf8, 1 << 31 | 1 << 16)
        return int(self.machine.ask("inl", 0xcfc), 16)
