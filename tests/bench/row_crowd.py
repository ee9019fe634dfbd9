# SPDX-License-Identifier: Apache-2.0
"""32 processes import the same kernel at the same moment."""

import compileall
import os
import shutil

from fixture import OWNER
from table import Row, median, ms, paired, part, per_endpoint

GROUP = "32 processes import the same kernel"
CROWD = 32
CODE = "import small_kernel"


def plain_folder(bed, mount, name):
    """The build as a package in a folder, its bytecode beside it."""
    package = name.replace("-", "_")
    folder = bed.new_folder("plain")
    build = mount.at(OWNER, name, "build")
    shutil.copytree(os.path.join(build, *os.listdir(build)),
                    os.path.join(folder, package), copy_function=shutil.copy)
    compileall.compile_dir(folder, quiet=1)
    return folder


def gets(counts):
    """The most GETs of any one address, redirect hops not added up."""
    return max(n for key, n in counts["requests"].items()
               if key.startswith("GET "))


def cold(bed, hub, forks, rounds):
    whole, most, found = [], 0, {}
    for _ in range(rounds):
        with bed.mount(hub) as mount:
            bed.forget_bytecode()
            hub.reset()
            whole.append(forks.run(CODE, [mount.path], n=CROWD)[1])
            counts = hub.counts()
            most, found = max(most, gets(counts)), counts["by_endpoint"]
    return whole, most, found


def warm(bed, hub, forks):
    here, beside = [], []
    with bed.mount(hub) as mount:
        forks.run(CODE, [mount.path])
        folder = plain_folder(bed, mount, "small-kernel")
        forks.run(CODE, [folder])
        before = mount.metrics()
        for _ in range(bed.rounds):
            here.append(forks.run(CODE, [mount.path], n=CROWD)[1])
            beside.append(forks.run(CODE, [folder], n=CROWD)[1])
        asked = mount.asked(before)
    each = {op: n // (bed.rounds * CROWD) for op, n in asked.items()}
    return here, beside, each


ONE = "GETs of any one address, cold"
THERE = "once it is there / plain folder with its .pyc"


@part(ONE, THERE)
def rows(bed):
    hub = bed.near()
    forks = bed.forks(hub)
    whole, most, found = cold(bed, hub, forks, bed.rounds)
    here, beside, each = warm(bed, hub, forks)
    yield Row(GROUP, ONE, str(most), "", "",
              "1", most == 1,
              ["Hub, per round: %s" % per_endpoint(found),
               "all 32 done after %s (30 files, 2 MB)" % ms(median(whole))],
              {"whole": whole, "requests": found})
    yield paired(GROUP, THERE, here, beside, 1.2,
                 ["daemon, per process: %s; Hub: none" % per_endpoint(each)])
