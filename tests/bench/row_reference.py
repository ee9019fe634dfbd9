# SPDX-License-Identifier: Apache-2.0
"""The import beside kernels.get_kernel, on the same Hub, near and far."""

import shutil

from bed import RTT_MS
from fixture import OWNER
from table import of_later, paired, per_endpoint

GROUP = "import beside kernels.get_kernel, torch imported beforehand"
GET = "get_kernel('%s/%s', version=1)"
BEFORE = "from kernels import get_kernel"


class Pair:
    """One kernel on one Hub, imported both ways in new processes."""

    def __init__(self, bed, hub, name):
        self.bed, self.hub = bed, hub
        self.forks = bed.forks(hub)
        self.code = "import " + name.replace("-", "_")
        self.get = GET % (OWNER, name)
        self.requests = {}

    def _timed(self, key, code, path=(), before=""):
        self.hub.reset()
        each, _ = self.forks.run(code, path, before)
        counts = self.hub.counts()["by_endpoint"]
        self.requests[key] = counts
        return each[0]

    def _get(self, key):
        return self._timed(key, self.get, (), BEFORE)

    def round(self):
        """Seconds: from nothing, theirs, in a new process, theirs, and in
        a new mount."""
        cache = self.bed.new_folder("cache")
        with self.bed.mount(self.hub, cache=cache) as mount:
            nothing = self._timed("nothing", self.code, [mount.path])
            shutil.rmtree(self.bed.hf_home(self.hub), ignore_errors=True)
            theirs = self._get("theirs")
            cached = self._timed("cached", self.code, [mount.path])
            again = self._get("again")
        with self.bed.mount(self.hub, cache=cache) as mount:
            new = self._timed("new", self.code, [mount.path])
        return nothing, theirs, cached, again, new

    def note(self, here, beside):
        a, b = self.requests[here], self.requests[beside]
        return "requests: %d (%s), beside %d (%s)" % (
            sum(a.values()), per_endpoint(a), sum(b.values()),
            per_endpoint(b))


def barred(why, row):
    return row if row.reached is None else of_later(why, row)


def rows_of(bed, hub, name, where, bars):
    pair = Pair(bed, hub, name)
    nothing, theirs, cached, again, new = zip(
        *(pair.round() for _ in range(bed.rounds)))
    label = "%s, %s: " % (name, where)
    yield barred("fewer round trips", paired(
        GROUP, label + "from nothing", nothing, theirs, bars[0],
        [pair.note("nothing", "theirs")], sooner=True))
    yield barred("bytecode", paired(
        GROUP, label + "cached, new process", cached, again, bars[1],
        [pair.note("cached", "again")], sooner=True))
    yield paired(GROUP, label + "cached, new mount, not pinned", new, again,
                 None, [pair.note("new", "again")], sooner=True)


def rows(bed):
    far = "%d ms" % RTT_MS
    bed.forks(bed.near())
    bed.forks(bed.far())
    yield from rows_of(bed, bed.near(), "relu", "loopback", (None, None))
    yield from rows_of(bed, bed.far(), "relu", far, (None, None))
    yield from rows_of(bed, bed.near(), "small-kernel", "loopback",
                       (None, None))
    yield from rows_of(bed, bed.far(), "small-kernel", far, (3, 10))
