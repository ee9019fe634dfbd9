# SPDX-License-Identifier: Apache-2.0
"""A thousand kernels cached, and a million tree entries known."""

import os

from bed import HERE, Hub
from make_repo import make_kernel, make_owner
from packages import variant
from table import Row, limited, mb, part, per_endpoint

GROUP = "1,000 kernels in the cache, 1,000 entries each"
KERNELS, ENTRIES = 1000, 1000
READY, MEMORY = 0.080, 32e6
BUILD = "torch-cpu"


def lay_out(root):
    """One content for all: a build of a thousand files."""
    make_owner(root, "crowd")
    files = {"d%02d/f%02d.py" % (i, k): "X = %d\n" % (i * 25 + k)
             for i in range(ENTRIES // 25) for k in range(25)}
    files["__init__.py"] = "X = 1\n"
    make_kernel(root, "crowd/k0000", "v1", {BUILD: files})
    first = os.path.join(root, "crowd", "k0000", "branches")
    for i in range(1, KERNELS):
        folder = os.path.join(root, "crowd", "k%04d" % i)
        os.mkdir(folder)
        os.symlink(first, os.path.join(folder, "branches"))


class Crowd:
    def __init__(self, bed):
        root = bed.new_folder("crowd")
        lay_out(root)
        self.hub = bed.keep(Hub(root, program=os.path.join(
            HERE, "crowd_hub.py")))
        self.cache = bed.new_folder("cache")
        self.options = ("--import=crowd",)
        with self.mount(bed) as mount:
            self.entries = self.look(mount)

    def mount(self, bed):
        return bed.mount(self.hub, *self.options, cache=self.cache,
                         env=variant())

    def look(self, mount):
        """Every kernel decided and its first file read; how many entries
        there are in all."""
        for i in range(KERNELS):
            at = mount.at("crowd", "k%04d@v1" % i, "build", BUILD)
            with open(os.path.join(at, "__init__.py"), "rb") as f:
                if f.read() != b"X = 1\n":
                    raise ValueError("not the file that was laid out")
        count = sum(1 + len(names) for _, _, names in os.walk(
            os.path.realpath(at)))
        if count < ENTRIES:
            raise ValueError("only %d entries in %s" % (count, at))
        return count * KERNELS


@part("mount to ready, 1,000 kernels cached",
      "private memory (RssAnon), 1,000 kernels and a million entries")
def rows(bed):
    crowd = Crowd(bed)
    took = []
    crowd.hub.reset()
    for _ in range(bed.rounds):
        with crowd.mount(bed) as mount:
            if len(os.listdir(mount.path)) < KERNELS:
                raise ValueError("not all import names are there")
            took.append(mount.ready_s)
    asked = crowd.hub.counts()["by_endpoint"]
    yield limited(GROUP, "mount to ready, 1,000 kernels cached", took, READY,
                  notes=["Hub, in %d mounts: %s" %
                         (len(took), per_endpoint(asked))])
    crowd.hub.reset()
    with crowd.mount(bed) as mount:
        idle = mount.rss_anon()
        entries = crowd.look(mount)
        known = mount.rss_anon()
        fresh = mount.metrics()
    yield Row(GROUP,
              "private memory (RssAnon), 1,000 kernels and a million entries",
              mb(known), "", "", "<= " + mb(MEMORY), known <= MEMORY,
              ["%d entries; before they were looked at: %s" %
               (entries, mb(idle)),
               "daemon: %s; Hub: %s" % (
                   per_endpoint(fresh),
                   per_endpoint(crowd.hub.counts()["by_endpoint"]))],
              {"idle": idle, "known": known, "entries": entries})
    bed.end(crowd.hub)
