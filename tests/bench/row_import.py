# SPDX-License-Identifier: Apache-2.0
"""Large packages, imported through a mount and from a plain folder with .pyc.

Cold: a new mount, then every cache of the kernel dropped. Fresh: a new mount,
pages hot. Warm: again on that mount. The packages are pinned, so that nothing
is asked of the Hub. Beside it in the same rounds: a plain folder on the same
disk, and squashfuse with an image of that folder.
"""

import os

from bed import NOBODY, Lacking, Squash, drop_caches
from fixture import OWNER
from namespace import OpenToAll
from packages import library, variant
from table import median, ms, paired, part, per_endpoint, times

GROUP = "import of large packages, beside a plain folder with its .pyc"
BIG = "300 modules and 747 MB"
MID = "30 modules and 40 MB"
STATES = ("warm", "fresh", "cold")
ALONE = (1.05, 1.3, 1.10)
UNPRIVILEGED = (1.2, 3, 1.45)


def named(what, more=""):
    return ["%s%s: %s" % (what, more, state) for state in STATES]


class Place:
    """Where the package is imported from, and how long that took."""

    def __init__(self, bed, hub, code):
        self.forks = bed.forks(hub)
        self.code = code
        self.took = {state: [] for state in STATES}
        self.cpu = {state: [] for state in STATES}
        self.asked = {}

    def run(self, state, path, mount=None):
        before = mount.metrics() if mount else {}
        self.took[state].append(self.forks.run(self.code, [path])[0][0])
        self.cpu[state].append(self.forks.cpu)
        if mount:
            self.asked[state] = mount.asked(before)


class Plain(Place):
    def __init__(self, bed, hub, code, folder):
        super().__init__(bed, hub, code)
        self.folder = folder

    def cold(self):
        drop_caches()
        self.run("cold", self.folder)

    def hot(self):
        self.run("fresh", self.folder)
        self.run("warm", self.folder)


class Mounted(Place):
    """`start` gives a new mount; it may be that of another filesystem."""

    def __init__(self, bed, hub, code, start):
        super().__init__(bed, hub, code)
        self.start = start
        self.passthrough = (False, "")

    def cold(self):
        with self.start() as mount:
            drop_caches()
            self._run("cold", mount)

    def hot(self):
        with self.start() as mount:
            self._run("fresh", mount)
            self._run("warm", mount)
            if hasattr(mount, "passthrough"):
                self.passthrough = mount.passthrough()

    def _run(self, state, mount):
        self.run(state, mount.path, mount if hasattr(mount, "asked")
                 else None)


def starter(bed, hub, package, *options, **how):
    """A mount at which the package is pinned and cached, again and again."""
    name = OWNER + "/" + package.replace("_", "-")
    pin = "--import=%s@%s" % (name, hub.commit(name))
    cache = bed.new_folder("cache")

    def start():
        return bed.mount(hub, pin, *options, cache=cache, env=SPEC, **how)
    return start


SPEC = variant()


def check_cached(bed, mount, package):
    """The whole library is there, and it is the one that was generated."""
    folder = os.path.realpath(mount.at(".env", SPEC, package))
    names = [n for n in os.listdir(folder) if n.endswith(".so")]
    size = os.stat(library(bed.packages(), package, names[0][:-8])).st_size
    found = os.stat(os.path.join(folder, names[0])).st_size
    if found != size:
        raise ValueError("%s has %d bytes and not %d" % (
            names[0], found, size))


def measure(bed, package, places):
    """Rounds in which each is first in turn."""
    for place in places:
        place.hot()
        for took in (*place.took.values(), *place.cpu.values()):
            took.clear()
    for i in range(bed.rounds):
        turn = places[i % len(places):] + places[:i % len(places)]
        for place in turn:
            place.cold()
            # Now, while its pages are hot: the next one's cold drops them.
            place.hot()


def compare(bed, package, start, others=True):
    hub = bed.near()
    code = "import " + package
    plain = Plain(bed, hub, code, bed.plain(package))
    ours = Mounted(bed, hub, code, start)
    with start() as mount:
        bed.forks(hub).run(code, [mount.path])
        check_cached(bed, mount, package)
    places = [ours, plain]
    squash = None
    if others:
        try:
            image = bed.once(("squash", package), lambda: Squash(
                bed, plain.folder))
            squash = Mounted(bed, hub, code, image.mount)
            places.append(squash)
        except Lacking:
            pass
    hub.reset()
    measure(bed, package, places)
    return plain, ours, squash, hub.counts()["by_endpoint"]


def beside(here, there):
    """What a busy machine changes less; the daemon's is not in it."""
    return "%s, beside it %s: %s" % (
        ms(median(here)), ms(median(there)),
        times(median(here) / median(there)))


def rows_of(names, bars, found, wanted=None):
    """wanted: passthrough must be on (True) or off (False)."""
    plain, ours, squash, sent = found
    on, why = ours.passthrough
    for what, state, bar in zip(names, STATES, bars):
        notes = ["daemon: %s; Hub, in all rounds: %s" %
                 (per_endpoint(ours.asked[state]), per_endpoint(sent)),
                 "passthrough: %s" % ("on" if on else "off (%s)" % why),
                 "processor time of the process alone: " +
                 beside(ours.cpu[state], plain.cpu[state])]
        row = paired(GROUP, what, ours.took[state], plain.took[state], bar,
                     notes)
        row.data.update(daemon=ours.asked[state], hub=sent, passthrough=on)
        if wanted is not None and on != wanted:
            row.reached = False
            row.notes.append("this row is to be measured with passthrough %s"
                             % ("on" if wanted else "off"))
        yield row
        if squash:
            yield paired(GROUP, what.replace(":", ", squashfuse:"),
                         squash.took[state], plain.took[state])


@part(*named(BIG), *named(BIG, ", squashfuse"))
def big_rows(bed):
    found = compare(bed, "big_kernel", starter(bed, bed.near(), "big_kernel"))
    yield from rows_of(named(BIG), ALONE, found, True)


@part(*named(BIG, ", without privilege"))
def big_unprivileged_rows(bed):
    bed.once("open", lambda: OpenToAll(bed.new_folder("dev")))
    start = starter(bed, bed.near(), "big_kernel", user=NOBODY)
    found = compare(bed, "big_kernel", start, others=False)
    yield from rows_of(named(BIG, ", without privilege"), UNPRIVILEGED,
                       found, False)


@part(*named(MID), *named(MID, ", squashfuse"))
def mid_rows(bed):
    found = compare(bed, "mid_kernel", starter(bed, bed.near(), "mid_kernel"))
    yield from rows_of(named(MID), (None, None, None), found)
