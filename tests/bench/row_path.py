# SPDX-License-Identifier: Apache-2.0
"""What a mount in PYTHONPATH costs a Python that imports nothing from it."""

import os
import sys

from bed import clean_environment, spawned
from fixture import MANY
from table import Row, median, middle_half, ms, part, per_endpoint

GROUP = "python3 -c pass, with a mount of 60 import names in PYTHONPATH"
LIMIT = 0.002


def interleaved(python, environments, rounds):
    out = [[] for _ in environments]
    cpu = [[] for _ in environments]
    for i in range(rounds):
        order = list(range(len(environments)))
        # Nobody is always the first of a round.
        for k in order[i % len(order):] + order[:i % len(order)]:
            out[k].append(spawned([python, "-c", "pass"], environments[k],
                                  cpu[k]))
    return out, cpu


def row(bed, mount, what, counts):
    python = os.path.join(sys.prefix, "bin", "python3")
    without = clean_environment(bed.home)
    empty = dict(without, PYTHONPATH=bed.new_folder("empty"))
    within = dict(without, PYTHONPATH=mount.path)
    rounds = max(25, 8 * bed.rounds)
    interleaved(python, [within, without, empty], 1)
    before = mount.metrics()
    (here, beside, folder), cpu = interleaved(
        python, [within, without, empty], rounds)
    asked = {op: round(n / rounds, 1) for op, n in
             mount.asked(before).items()}
    asked = "lookup %(lookup)s, getattr %(getattr)s, readdir %(readdir)s, " \
        "open %(open)s" % asked
    more = median(here) - median(beside)
    sent = counts()
    return Row(GROUP, what, ms(median(here)), ms(median(beside)),
               "%+.2f ms" % (more * 1000), "<= +2 ms, 0 asked",
               more <= LIMIT and not sent,
               ["half of the %d rounds: %s; without: %s; an empty folder "
                "there: %s" % (rounds, middle_half(here),
                               middle_half(beside), ms(median(folder))),
                "its processor time: %s; without: %s" %
                (ms(median(cpu[0])), ms(median(cpu[1]))),
                "Hub: %s; daemon, per start: %s" %
                (per_endpoint(sent), asked)],
               {"here": here, "beside": beside, "empty": folder})


@part("the Hub answers", "the Hub is dead")
def rows(bed):
    hub = bed.other_hub()
    with bed.mount(hub, "--import=many") as mount:
        names = os.listdir(mount.path)
        assert set(MANY) <= set(names), names
        hub.reset()
        yield row(bed, mount, "the Hub answers",
                  lambda: hub.counts()["by_endpoint"])
        hub.kill()
        done = mount.status()["requests"]
        # A dead Hub counts nothing, so the daemon's own count is asked.
        yield row(bed, mount, "the Hub is dead",
                  lambda: {k: v - done[k] for k, v in
                           mount.status()["requests"].items()
                           if v != done[k]})
    hub.close()
    bed.forget(hub)
