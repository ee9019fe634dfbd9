# SPDX-License-Identifier: Apache-2.0
"""The bytes of a large library: how fast, and how often in memory."""

import os

from bed import NOBODY, BedError, done, drop_caches
from namespace import OpenToAll
from packages import library, variant
from row_import import starter
from table import Row, median, part, per_endpoint, times

GROUP = "A library of 747 MB, and its pages"
PACKAGE, LIBRARY = "big_kernel", "_big"
SPEED = 0.97
# Of its size: what other processes read meanwhile is in the figure as well.
HELD = 1.01


def read(bed, how, path):
    """Seconds, and the sum of the bytes looked at."""
    took, total = done([bed.tool("reader"), how, path]).split()
    return float(took), int(total)


def path_at(mount):
    folder = os.path.realpath(mount.at(".env", variant(), PACKAGE))
    return library(os.path.dirname(folder), os.path.basename(folder),
                   LIBRARY)


def speed_rows(bed, more, start, bar):
    native = library(bed.plain(PACKAGE), PACKAGE, LIBRARY)
    with start() as mount:
        at = path_at(mount)
        drop_caches()
        # Both come from the disk in one way: read from begin to end.
        sums = {read(bed, "read", path)[1] for path in (at, native)}
        for how, what in (("mmap", "warm mmap, every page touched"),
                          ("read", "warm sequential read")):
            before = mount.metrics()
            took = {at: [], native: []}
            for i in range(3 * bed.rounds):
                for path in (at, native) if i % 2 else (native, at):
                    seconds, total = read(bed, how, path)
                    took[path].append(seconds)
                    sums.add(total)
            if len(sums) != 1:
                raise BedError("the mount gives other bytes")
            asked = mount.asked(before)
            size = os.stat(native).st_size
            ratio = median(took[native]) / median(took[at])
            yield Row(
                GROUP, what + more, rate(size, took[at]),
                rate(size, took[native]), times(ratio), ">= %.2f x" % bar
                if bar else "", ratio >= bar if bar else None,
                ["%d rounds; daemon, in all: %s; Hub: none" %
                 (len(took[at]), per_endpoint(asked)), said(mount)],
                {"here": took[at], "beside": took[native], "ratio": ratio,
                 "daemon": asked})


def rate(size, took):
    return "%.2f GB/s" % (size / median(took) / 1e9)


def said(mount):
    on, why = mount.passthrough()
    return "passthrough: %s" % ("on" if on else "off (%s)" % why)


def unprivileged(bed):
    bed.once("open", lambda: OpenToAll(bed.new_folder("dev")))
    return starter(bed, bed.near(), PACKAGE, user=NOBODY)


def fetched(start):
    """With the library in the cache."""
    with start() as mount:
        with open(path_at(mount), "rb") as f:
            f.read(1)
    return start


NAMES = ("warm mmap, every page touched", "warm sequential read")
ALONE = ", without privilege"


@part(*NAMES)
def with_passthrough(bed):
    start = fetched(starter(bed, bed.near(), PACKAGE))
    yield from speed_rows(bed, "", start, SPEED)


@part(*(name + ALONE for name in NAMES))
def without_privilege(bed):
    yield from speed_rows(bed, ALONE, fetched(unprivileged(bed)), None)


def cached_bytes():
    with open("/proc/meminfo", encoding="utf-8") as f:
        return next(int(line.split()[1]) * 1024 for line in f
                    if line.startswith("Cached:"))


def blob_of(start, size):
    """The file in the cache that has these bytes."""
    with start() as mount:
        cache = next(word for word in mount.command
                     if word.startswith("--cache="))[8:]
    for base, _, names in os.walk(cache):
        for name in names:
            path = os.path.join(base, name)
            if os.stat(path).st_size == size:
                return path
    raise BedError("the library is not in the cache")


def held_row(bed, what, start, limit):
    size = os.stat(library(bed.plain(PACKAGE), PACKAGE, LIBRARY)).st_size
    blob = blob_of(start, size)
    grown, notes = [], []
    with start() as one, start() as two:
        for _ in range(bed.rounds):
            drop_caches()
            before = cached_bytes()
            for path in (path_at(one), path_at(two), blob):
                read(bed, "read", path)
            grown.append((cached_bytes() - before) / size)
        resident = [read(bed, "resident", path)[0] / size
                    for path in (path_at(one), path_at(two), blob)]
        notes = ["mincore at mount 1, mount 2 and the cache: %s" %
                 ", ".join(times(r) for r in resident), said(one)]
    held = median(grown)
    return Row(GROUP, what, times(held), "", "",
               "1.0 x (<= %.2f x)" % limit if limit else "",
               held <= limit if limit else None,
               ["growth of Cached in /proc/meminfo; %s to %s" %
                (times(min(grown)), times(max(grown))), *notes],
               {"held": grown, "resident": resident})


HOLD = "page cache held, read through two mounts and natively"


@part(HOLD)
def held(bed):
    yield held_row(bed, HOLD, fetched(starter(bed, bed.near(), PACKAGE)),
                   HELD)


@part(HOLD + ALONE)
def held_without_privilege(bed):
    yield held_row(bed, HOLD + ALONE, fetched(unprivileged(bed)), None)
