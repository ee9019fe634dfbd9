# SPDX-License-Identifier: Apache-2.0
"""Names that are not there, second builds and mounts, sources that are dead."""

import errno
import os
import socket
import time

import fixture  # noqa: F401  (makes tests/hub importable)
from bed import BedError, Hub
from make_repo import make_kernel, make_owner
from table import Row, limited, ms, part, per_endpoint

GROUP = "Offline, second builds, a dead mirror"
SPEC = "torch213-cxx11-cpu-x86_64-linux"
OTHER = "torch213-cxx11-cu130-x86_64-linux"
OFFLINE = 0.005
TIMEOUT_S = 1


def offline_row(bed, hub):
    took = []
    hub.reset()
    with bed.mount(hub, "--offline", env=SPEC) as mount:
        for i in range(20 * bed.rounds):
            start = time.perf_counter()
            try:
                os.stat(mount.at("places", "absent%d@v1" % i))
                raise BedError("an absent kernel is there")
            except OSError as error:
                took.append(time.perf_counter() - start)
                if error.errno != errno.ENETUNREACH:
                    raise
        asked = hub.counts()["by_endpoint"]
    row = limited(GROUP, "offline: the answer for a missing kernel", took,
                  OFFLINE, notes=["the longest: %s; Hub: %s" %
                                  (ms(max(took)), per_endpoint(asked))])
    row.reached = row.reached and not asked
    return row


def second_row(bed, hub):
    cache = bed.new_folder("cache")
    at = ("places", "two@v1", "build")

    def first_byte(mount, spec):
        folder = os.path.realpath(mount.at(".env", spec, *at))
        build = os.listdir(mount.at(".env", spec, *at))[0]
        with open(os.path.join(folder, build, "metadata.json"), "rb") as f:
            f.read(1)

    with bed.mount(hub, "--import=places", cache=cache, env=SPEC) as mount:
        first_byte(mount, SPEC)
        hub.reset()
        first_byte(mount, OTHER)
        more = hub.counts()["by_endpoint"]
    commit = hub.commit("places/two")
    # a named kernel alone: an owner's list would be asked for when mounting
    with bed.mount(hub, "--import=places/two@" + commit, cache=cache,
                   env=SPEC) as mount:
        hub.reset()
        for spec in (SPEC, OTHER):
            os.listdir(mount.at(".env", spec, "places", "two@" + commit,
                                "build"))
        second = hub.counts()["by_endpoint"]
    yield Row(GROUP, "listing requests for a second build of the commit",
              str(more.get("tree", 0)), "", "", "1", more.get("tree") == 1,
              ["Hub: %s (its metadata is read as well)" % per_endpoint(more)],
              {"requests": more})
    yield Row(GROUP, "requests of a second mount on that cache, pinned",
              str(sum(second.values())), "", "", "0", not second,
              ["Hub: %s" % per_endpoint(second)], {"requests": second})


class Hole:
    """An address that takes no connection and does not refuse it either."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fill = []
        for _ in range(8):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.fill.append(s)

    def close(self):
        for s in (*self.fill, self.listener):
            s.close()


def mirror_row(bed, hub):
    hole = Hole()
    firsts, laters = [], []

    def ask(mount, *names):
        """One request: an owner's kernels, or a repository's refs."""
        start = time.perf_counter()
        os.lstat(mount.at(*names))
        return time.perf_counter() - start

    dead = type("Dead", (), {"url": "http://127.0.0.1:%d" % hole.port})
    try:
        for _ in range(bed.rounds):
            with bed.mount(dead, "--mirror=" + hub.url,
                           "--connect-timeout=%ds" % TIMEOUT_S,
                           "--import=nobody/nothing", env=SPEC) as mount:
                firsts.append(ask(mount, "places"))
                laters.append(ask(mount, "places", "two@v1"))
    finally:
        hole.close()
    yield limited(GROUP, "mirror 1 dead: the first answer", firsts,
                  TIMEOUT_S + 0.1, laters, " the next",
                  ["connect_timeout is %d s, a round trip is none" %
                   TIMEOUT_S])


@part("offline: the answer for a missing kernel",
      "listing requests for a second build of the commit",
      "requests of a second mount on that cache, pinned",
      "mirror 1 dead: the first answer")
def rows(bed):
    root = bed.new_folder("places")
    make_owner(root, "places")
    for name in ("one", "two"):
        make_kernel(root, "places/" + name, "v1", {
            spec: {"__init__.py": "X = %r\n" % spec}
            for spec in (SPEC, OTHER)})
    hub = bed.keep(Hub(root))
    yield offline_row(bed, hub)
    yield from second_row(bed, hub)
    yield from mirror_row(bed, hub)
    hub.close()
    bed.forget(hub)
