# SPDX-License-Identifier: Apache-2.0
"""A build of 200 MB among 30, from nothing, over a link with a rate."""

import os
import shutil
import urllib.parse

from bed import MBIT, RTT_MS, BedError, spawned
from fixture import OWNER
from packages import variant
from table import paired, part, per_endpoint

NAME = "chosen-kernel"
GROUP = "from nothing at %d ms and %d Mbit/s" % (
    RTT_MS, MBIT)
SOONER, LONGER = 1.1, 1.10
THEIRS = "200 MB build among 30, against get_kernel"
CURL = "200 MB build among 30, against curl --parallel"


class Race:
    def __init__(self, bed):
        self.bed = bed
        self.hub = bed.far(MBIT)
        self.forks = bed.forks(self.hub)
        made = os.path.join(bed.packages(), "chosen_kernel")
        self.files = sorted(os.listdir(made))
        self.size = sum(os.stat(os.path.join(made, f)).st_size
                        for f in self.files)
        self.asked, self.sent = {}, {}

    def _count(self, key):
        counts = self.hub.counts()
        self.asked[key] = counts["by_endpoint"]
        got = sum(line["bytes"] for line in counts["log"])
        if got < self.size:
            raise BedError("%s has fetched %d of %d bytes" % (
                key, got, self.size))
        self.sent[key] = got

    def ours(self):
        with self.bed.mount(self.hub) as mount:
            self.bed.forget_bytecode()
            self.hub.reset()
            before = mount.metrics()
            each, _ = self.forks.run("import chosen_kernel", [mount.path])
            self.daemon = mount.asked(before)
        self._count("ours")
        return each[0]

    def theirs(self):
        shutil.rmtree(self.bed.hf_home(self.hub), ignore_errors=True)
        self.hub.reset()
        each, _ = self.forks.run(
            "get_kernel('%s/%s', version=1)" % (OWNER, NAME), (),
            "from kernels import get_kernel")
        self._count("get_kernel")
        return each[0]

    def curl(self):
        """As many connections as curl takes by itself; it knows all names."""
        folder = self.bed.new_folder("curl")
        command = [shutil.which("curl"), "--parallel", "-s", "-f", "-L"]
        for name in self.files:
            command += ["-o", os.path.join(folder, name),
                        "%s/kernels/%s/%s/resolve/v1/build/%s/%s" % (
                            self.hub.url, OWNER, NAME, variant(),
                            urllib.parse.quote(name))]
        self.hub.reset()
        took = spawned(command, self.bed.environment)
        self._count("curl")
        shutil.rmtree(folder)
        return took

    def note(self):
        return "requests: %s; %s" % (
            "; ".join("%s: %d (%s)" % (key, sum(counts.values()),
                                       per_endpoint(counts))
                      for key, counts in self.asked.items()),
            "bytes over the build's: " + ", ".join(
                "%s %.3f" % (key, sent / self.size)
                for key, sent in self.sent.items()))


@part(THEIRS, CURL)
def rows(bed):
    race = Race(bed)
    took = ([], [], [])
    sides = (race.ours, race.theirs, race.curl)
    for i in range(bed.rounds):
        for k in range(3):
            k = (k + i) % 3
            took[k].append(sides[k]())
    note = race.note()
    daemon = "daemon: " + per_endpoint(race.daemon)
    link = "the link alone: %d ms for %d bytes" % (
        8 * race.size / MBIT / 1000 + RTT_MS, race.size)
    ours, theirs, curl = took
    yield paired(GROUP, THEIRS, ours, theirs, SOONER, [note, daemon, link],
                 sooner=True)
    yield paired(GROUP, CURL, ours, curl, LONGER,
                 ["curl knows the names; the import asks for them"])
