# SPDX-License-Identifier: GPL-2.0-or-later
"""
The demo with the Linux guest under KVM: in the nested bed, by its clock.  As that goes slowly,
less is touched, and of the links only the one with the longest way is shown.
"""

import argparse

from nested.bed import Bed
from nested.cores import Cores
from nested.image import CannotBuild

from . import linux
from .linux import guest

MEM = 16                # MiB that are touched, at most


class Where(Cores):
    """What linux.Here tells, of the bed"""

    name = "KVM"
    before = 1.5
    after = 1.0
    pause = 0.3         # a sample takes the bed as long as a tenth of that


def demo(cfg, args, links, progress):
    """True if no page was lost or changed and the kernel had nothing to complain of."""
    image = linux.make_image(cfg, args, progress)
    if not image:
        return False
    image = guest.ImageInBed(image)
    args = argparse.Namespace(**{**vars(args), "mem": min(args.mem, MEM)})
    progress.begin("nested bed")
    progress.show("Linux with kvm-amd boots")
    try:
        bed = Bed(cfg, args.build, vcpus=args.vcpus + 1, files=image.files)
    except CannotBuild as why:
        progress.end()
        print(f"The nested bed cannot be built, so there is no demo under KVM: {why}\n")
        return False
    with bed:
        where = Where(bed, args.vcpus)
        progress.end()
        print("With pv-ve off the guest uses KVM's own asynchronous page fault.")
        return linux.show(where, args, image, [max(links, key=lambda link: link[1])], progress)
