# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests and the demo share: QEMU processes, the relay, TAP."""
