# SPDX-License-Identifier: Apache-2.0
"""The bytes of a large library: how fast, and how often in memory."""

import os

from bed import NOBODY, BedError, done, drop_caches
from namespace import OpenToAll
from packages import library, variant
from row_import import starter
from table import Row, median, ms, part, per_endpoint, times

GROUP = "A library of 747 MB, and its pages"
PACKAGE, LIBRARY = "big_kernel", "_big"
SPEED = 0.97
# Of its size, and the rest of its last page.
HELD = 1.001


def read(bed, how, *paths):
    """Seconds (or bytes), the sum of the bytes looked at, and seconds of
    the processor."""
    took, total, cpu = done([bed.tool("reader"), how, *paths]).split()
    return float(took), int(total), float(cpu)


def path_at(mount):
    folder = os.path.realpath(mount.at(".env", variant(), PACKAGE))
    return library(os.path.dirname(folder), os.path.basename(folder),
                   LIBRARY)


def speed_rows(bed, more, start, bar):
    native = library(bed.plain(PACKAGE), PACKAGE, LIBRARY)
    blob = blob_of(start, os.stat(native).st_size)
    with start() as mount:
        at = path_at(mount)
        through = through_mount(bed, at)
        drop_caches()
        # How a file came into memory decides how large its folios are, and
        # that how fast it can be mapped: so both are read natively first.
        sums = {read(bed, "read", path)[1] for path in (blob, native, at)}
        for how, what in (("mmap", "warm mmap, every page touched"),
                          ("read", "warm sequential read")):
            before = mount.metrics()
            took = {at: [], native: []}
            busy = {at: [], native: []}
            for i in range(3 * bed.rounds):
                for path in (at, native) if i % 2 else (native, at):
                    seconds, total, cpu = read(bed, how, path)
                    took[path].append(seconds)
                    busy[path].append(cpu)
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
                 (len(took[at]), per_endpoint(asked)),
                 "processor time alone: %s, beside it %s: %s" % (
                     ms(median(busy[at])), ms(median(busy[native])),
                     times(median(busy[native]) / median(busy[at]))),
                 "mapped after a cold read through the mount: %s" %
                 rate(size, through), said(mount)],
                {"here": took[at], "beside": took[native], "ratio": ratio,
                 "daemon": asked})


def through_mount(bed, path):
    """Seconds to map what was read through the mount alone."""
    drop_caches()
    read(bed, "read", path)
    return [read(bed, "mmap", path)[0] for _ in range(bed.rounds)]


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
    held = []
    with start() as one, start() as two:
        paths = (path_at(one), path_at(two), blob)
        drop_caches()
        before = cached_bytes()
        for path in paths:
            read(bed, "read", path)
        grown = (cached_bytes() - before) / size
        for _ in range(bed.rounds):
            held.append(read(bed, "frames", *paths)[0] / size)
        notes = ["distinct page frames of all three, exact: %s to %s; growth "
                 "of Cached, with what others read: %s" %
                 (times(min(held)), times(max(held)), times(grown)),
                 said(one)]
    most = max(held)
    return Row(GROUP, what, times(most), "", "",
               "1.0 x" if limit else "",
               most <= limit if limit else None, notes,
               {"held": held, "grown": grown})


HOLD = "page cache held, read through two mounts and natively"


@part(HOLD)
def held(bed):
    yield held_row(bed, HOLD, fetched(starter(bed, bed.near(), PACKAGE)),
                   HELD)


@part(HOLD + ALONE)
def held_without_privilege(bed):
    yield held_row(bed, HOLD + ALONE, fetched(unprivileged(bed)), None)
