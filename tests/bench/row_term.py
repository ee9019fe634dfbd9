# SPDX-License-Identifier: Apache-2.0
"""SIGTERM while 64 readers wait for a Hub that says nothing."""

import os
import select
import signal
import subprocess
import time

from bed import BedError, wait_for
from fixture import OWNER, WAITING
from table import Row, median, ms, part, per_endpoint

GROUP = "SIGTERM with readers that wait"
WHAT = "SIGTERM to exit, 64 readers blocked"
READERS, LIMIT = 64, 2.0


def state(pid):
    """The letter of /proc: D is a process that nothing can end."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return "-"


def end_of(pid, watched):
    """Seconds from SIGTERM to the end of the daemon, and how many of the
    watched were seen in state D after that."""
    fd = os.pidfd_open(pid)
    start = time.perf_counter()
    os.kill(pid, signal.SIGTERM)
    done = select.select([fd], [], [], 30)[0]
    took = time.perf_counter() - start
    os.close(fd)
    if not done:
        raise BedError("the daemon has not ended within 30 s")
    left = []
    for process in watched:
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            left.append(state(process.pid))
    return took, left


def round_of(bed, hub, commit):
    mount = bed.mount(hub)
    folder = mount.at(OWNER, "waiting@" + commit, "build", "torch-cpu")
    os.listdir(folder)
    hub.fault(kind="stall")
    readers = []
    try:
        for i in range(READERS):
            name = WAITING[i % len(WAITING)]
            readers.append(subprocess.Popen(
                ["/bin/cat", os.path.join(folder, name)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for(lambda: mount.metrics()["waiting"] >= READERS,
                 "%d readers that wait" % READERS)
        took, left = end_of(mount.pid, readers)
    finally:
        hub.clear()
        for process in readers:
            process.kill()
            process.wait()
        mount.close()
        bed.forget(mount)
    return took, left, sum(r.returncode == 0 for r in readers)


@part(WHAT)
def rows(bed):
    hub = bed.other_hub()
    commit = hub.commit(OWNER + "/waiting")
    took, stuck, read = [], [], 0
    for _ in range(bed.rounds):
        seconds, left, whole = round_of(bed, hub, commit)
        took.append(seconds)
        stuck += left
        read += whole
    worst = max(took)
    yield Row(GROUP, WHAT, ms(median(took)), "", "", "<= %s, no D" %
              ms(LIMIT), worst <= LIMIT and not stuck and not read,
              ["worst %s of %d; readers left 2 s later: %s; that read "
               "something: %d" % (ms(worst), len(took),
                                  " ".join(stuck) or "none", read),
               "Hub, in all: %s" % per_endpoint(hub.counts()["by_endpoint"])],
              {"took": took, "left": stuck})
    bed.end(hub)
