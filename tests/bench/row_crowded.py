# SPDX-License-Identifier: Apache-2.0
"""Does a name cost more where ten thousand kernels are known than ten?"""

import os
import time

from bed import HERE, PROGRAM, Hub, spawned
from make_repo import make_kernel, make_owner
from table import paired, part

GROUP = "10,000 kernels known, against 10"
SPEC = "torch213-cxx11-cpu-x86_64-linux"
FEW, MANY = 10, 10000
BAR = 1.1
LOOKUPS = 200


def lay_out(root, count):
    """`count` kernels of one owner; the files of all are one and the same."""
    make_owner(root, "crowd")
    make_kernel(root, "crowd/k00000", "v1",
                {"torch-cpu": {"__init__.py": "X = 1\n"}})
    first = os.path.join(root, "crowd", "k00000", "branches")
    for i in range(1, count):
        folder = os.path.join(root, "crowd", "k%05d" % i)
        os.mkdir(folder)
        os.symlink(first, os.path.join(folder, "branches"))


class Side:
    """A Hub with so many kernels, and a mount that has decided each."""

    def __init__(self, bed, count):
        root = bed.new_folder("crowd")
        lay_out(root, count)
        self.hub = bed.keep(Hub(root, program=os.path.join(
            HERE, "crowd_hub.py")))
        self.cache = bed.new_folder("cache")
        self.mount = bed.mount(self.hub, "--import=crowd", env=SPEC,
                               cache=self.cache)
        self.commit = self.hub.commit("crowd/k00000")
        for i in range(count):
            os.readlink(self.mount.at("crowd", "k%05d@v1" % i))
        os.stat(self.mount.at("crowd", "k00000@v1", "build", "torch-cpu",
                              "__init__.py"))
        self.turn = 0

    def lookups(self):
        """Seconds per name that the kernel has not seen and the daemon has
        decided: below an environment of its own each time."""
        names = []
        for _ in range(LOOKUPS):
            self.turn += 1
            top = self.mount.at(".env", "%s+py3%d" % (SPEC, self.turn),
                                "crowd")
            os.stat(top)
            names.append(top)
        start = time.perf_counter()
        for top in names:
            os.lstat(top + "/k00000@v1")
            os.lstat(top + "/k00000@" + self.commit)
        return (time.perf_counter() - start) / (2 * LOOKUPS)

    def resolve(self, bed):
        return spawned(
            [PROGRAM, "resolve", "--source=" + self.hub.url,
             "--cache=" + self.cache, "--import=crowd", "--env=" + SPEC,
             "crowd/k00000@" + self.commit], bed.environment)


@part("lookup of a decided name", "kernelfs resolve, cached")
def rows(bed):
    few, many = Side(bed, FEW), Side(bed, MANY)
    looked, resolved = ([], []), ([], [])
    for _ in range(4 * bed.rounds):
        for i, side in enumerate((many, few)):
            looked[i].append(side.lookups())
            resolved[i].append(side.resolve(bed))
    yield paired(GROUP, "lookup of a decided name", *looked, bar=BAR,
                 notes=["each: %d names that the kernel has not seen" %
                        (2 * LOOKUPS)])
    yield paired(GROUP, "kernelfs resolve, cached", *resolved, bar=BAR)
    for side in (few, many):
        bed.end(side.mount)
        bed.end(side.hub)
