# SPDX-License-Identifier: Apache-2.0
"""The import beside kernels.get_kernel and huggingface_hub's
snapshot_download, on the same Hub, near and far.

From nothing: no file of the kernel is on the machine, and no bytecode of it.
snapshot_download is told the build and only downloads it; what imports it
afterwards is not in its figure.
"""

import os
import shutil

from bed import RTT_MS, BedError
from fixture import OWNER, SMALL_BUILD
from table import paired, part, per_endpoint

GROUP = "import beside what downloads it, torch imported beforehand"
FAR = "%d ms" % RTT_MS
GET = "get_kernel('%s/%s', version=1)"
BEFORE = "from kernels import get_kernel"
SNAPSHOT = "snapshot_download('%s/%s', repo_type='kernel', revision='v1', " \
    "allow_patterns=['build/%s/*'], cache_dir=%r)"
NOTHING = "from nothing, against get_kernel"
DOWNLOAD = "from nothing, against snapshot_download"
AGAIN = "cached, in a new process, against get_kernel"
NEW = "cached, in a new mount, not pinned, against get_kernel"


class Pair:
    """One kernel on one Hub, had both ways by new processes."""

    def __init__(self, bed, hub, name):
        self.bed, self.hub = bed, hub
        self.forks = bed.forks(hub)
        self.name = name
        self.code = "import " + name.replace("-", "_")
        self.get = GET % (OWNER, name)
        self.took = {}
        self.requests = {}

    def _timed(self, key, code, path=(), before=""):
        self.hub.reset()
        each, _ = self.forks.run(code, path, before)
        self.requests[key] = self.hub.counts()["by_endpoint"]
        self.took.setdefault(key, []).append(each[0])

    def _ours(self):
        cache = self.bed.new_folder("cache")
        with self.bed.mount(self.hub, cache=cache) as mount:
            self.bed.forget_bytecode()
            self._timed("nothing", self.code, [mount.path])
            self._timed("cached", self.code, [mount.path])
        with self.bed.mount(self.hub, cache=cache) as mount:
            self._timed("new", self.code, [mount.path])

    def _theirs(self):
        shutil.rmtree(self.bed.hf_home(self.hub), ignore_errors=True)
        self._timed("theirs", self.get, (), BEFORE)
        self._timed("again", self.get, (), BEFORE)

    def _download(self):
        if self.name != "small-kernel":
            return
        folder = self.bed.new_folder("snapshot")
        self._timed("download", SNAPSHOT % (OWNER, self.name, SMALL_BUILD,
                                            folder), (),
                    "from huggingface_hub import snapshot_download")
        found = sum(name == "__init__.py" for _, _, names in os.walk(folder)
                    for name in names)
        if not found:
            raise BedError("snapshot_download has found nothing")
        shutil.rmtree(folder)

    def round(self, i):
        sides = [self._ours, self._theirs, self._download]
        for side in sides[i % 3:] + sides[:i % 3]:
            side()

    def row(self, what, here, beside, bar=None):
        a, b = self.requests[here], self.requests[beside]
        return paired(
            GROUP, what, self.took[here], self.took[beside], bar,
            ["requests: %d (%s), beside it %d (%s)" % (
                sum(a.values()), per_endpoint(a),
                sum(b.values()), per_endpoint(b))], sooner=True)


def named(name, where, *whats):
    return ["%s, %s: %s" % (name, where, what) for what in whats]


def rows_of(bed, hub, name, where, bars):
    pair = Pair(bed, hub, name)
    for i in range(bed.rounds):
        pair.round(i)
    nothing, download, again, new = named(name, where, NOTHING, DOWNLOAD,
                                          AGAIN, NEW)
    yield pair.row(nothing, "nothing", "theirs", bars[0])
    if "download" in pair.took:
        yield pair.row(download, "nothing", "download")
    yield pair.row(again, "cached", "again", bars[1])
    yield pair.row(new, "new", "again")


@part(*named("small-kernel", FAR, NOTHING, DOWNLOAD, AGAIN, NEW))
def far_rows(bed):
    yield from rows_of(bed, bed.far(), "small-kernel", FAR, (3, 10))


@part(*named("small-kernel", "loopback", NOTHING, DOWNLOAD, AGAIN, NEW))
def near_rows(bed):
    yield from rows_of(bed, bed.near(), "small-kernel", "loopback",
                       (None, None))


@part(*named("relu", FAR, NOTHING, AGAIN, NEW))
def relu_rows(bed):
    yield from rows_of(bed, bed.far(), "relu", FAR, (None, None))
