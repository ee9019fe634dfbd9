# SPDX-License-Identifier: Apache-2.0
"""A Hub that no longer answers: who waits, and who must not."""

import os
import select
import signal
import subprocess
import sys
import time

from bed import wait_for
from fixture import MANY, OWNER, WAITING
from table import limited, ms, part

GROUP = "While the Hub stalls"
OPENS = 40
# Opens each file that it is given, each in a thread of its own.
OPENER = """
import sys, threading
def read(path):
    try:
        with open(path, "rb") as f:
            f.read()
    except OSError:
        pass
for path in sys.argv[1:]:
    threading.Thread(target=read, args=(path,), daemon=True).start()
print("started", flush=True)
sys.stdin.read()
import os
os._exit(0)
"""


def opener(paths):
    process = subprocess.Popen([sys.executable, "-c", OPENER, *paths],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def end(process):
    process.kill()
    process.wait()


def cached(bed, hub, cache, names):
    """Have these kernels of `many` in the cache; gives their paths."""
    parts = [("many", "%s@%s" % (name, hub.commit("many/" + name)), "build",
              "torch-cpu", "__init__.py") for name in names]
    options = ("--import=many", "--import=" + OWNER)
    with bed.mount(hub, *options, cache=cache) as mount:
        for part in parts:
            mount.text(*part)
    return parts


def first_look(path):
    start = time.perf_counter()
    os.stat(path)
    return time.perf_counter() - start


def lookup_row(bed, hub, cache):
    parts = cached(bed, hub, cache, MANY[:2 * bed.rounds])
    commit = hub.commit(OWNER + "/waiting")
    folder = (OWNER, "waiting@" + commit, "build", "torch-cpu")
    options = ("--import=many", "--import=" + OWNER)
    with bed.mount(hub, *options, cache=cache) as stalled, \
            bed.mount(hub, *options, cache=cache) as calm:
        os.listdir(stalled.at(*folder))
        hub.fault(kind="stall")
        process = opener([stalled.at(*folder, name)
                          for name in WAITING[:OPENS]])
        try:
            wait_for(lambda: stalled.metrics()["waiting"] >= OPENS,
                     "%d opens that wait" % OPENS)
            here, beside = [], []
            for part in parts:
                here.append(first_look(stalled.at(*part)))
                beside.append(first_look(calm.at(*part)))
            waiting = stalled.metrics()["waiting"]
        finally:
            hub.clear()
            end(process)
    return limited(GROUP, "first lookup in another, cached commit", here,
                   0.020, beside, " calm",
                   ["%d opens waited all the while; a path of five names; "
                    "worst %s" % (waiting, ms(max(here)))])


def kill(process):
    """Seconds from SIGKILL until the process has ended."""
    fd = os.pidfd_open(process.pid)
    start = time.perf_counter()
    os.kill(process.pid, signal.SIGKILL)
    select.select([fd], [], [], 60)
    took = time.perf_counter() - start
    os.close(fd)
    end(process)
    return took


def kill_row(bed, hub):
    commit = hub.commit(OWNER + "/waiting")
    here, beside = [], []
    with bed.mount(hub) as mount:
        folder = mount.at(OWNER, "waiting@" + commit, "build", "torch-cpu")
        os.listdir(folder)
        hub.fault(kind="stall")
        try:
            for i in range(2 * bed.rounds):
                name = WAITING[i % len(WAITING)]
                process = subprocess.Popen(
                    ["/bin/cat", os.path.join(folder, name)])
                wait_for(lambda: mount.metrics()["waiting"] > 0,
                         "a reader that waits")
                here.append(kill(process))
                wait_for(lambda: mount.metrics()["waiting"] == 0,
                         "nobody waiting")
                process = subprocess.Popen(["/bin/sleep", "100"])
                beside.append(kill(process))
        finally:
            hub.clear()
    return limited(GROUP, "SIGKILL of a reader that waits, to its end", here,
                   0.100, beside, " a sleeper",
                   ["worst %s of %d" % (ms(max(here)), len(here))])


@part("first lookup in another, cached commit",
      "SIGKILL of a reader that waits, to its end")
def rows(bed):
    hub = bed.other_hub()
    yield lookup_row(bed, hub, bed.new_folder("cache"))
    yield kill_row(bed, hub)
    bed.end(hub)
