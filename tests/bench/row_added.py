# SPDX-License-Identifier: Apache-2.0
"""What the door adds to an import.

Kernels of one line, so that nothing of their own is in the figure: each new
process imports eleven of them, one after the other, and times each. The same
eleven in a plain folder with their .pyc. What the first takes longer than the
first there is what the door costs a process, what the others take longer is
what it costs each further kernel.
"""

import compileall
import os

from fixture import MANY
from packages import variant
from table import added, part, per_endpoint

GROUP = "What the door adds, torch imported beforehand"
NAMES = MANY[:11]
FIRST, FURTHER = 0.005, 0.001
CODE = """
import time
FIGURES = []
for name in %r:
    start = time.perf_counter()
    module = __import__(name)
    FIGURES.append(time.perf_counter() - start)
    assert module.NAME == name, module
""" % (NAMES,)


def plain(bed):
    folder = bed.new_folder("plain")
    for name in NAMES:
        os.mkdir(os.path.join(folder, name))
        with open(os.path.join(folder, name, "__init__.py"), "w",
                  encoding="utf-8") as f:
            f.write("NAME = %r\n" % name)
    compileall.compile_dir(folder, quiet=1)
    return folder


@part("first kernel of a process", "each further one")
def rows(bed):
    hub = bed.near()
    forks = bed.forks(hub)
    folder = plain(bed)
    pins = ["--import=many/%s@%s" % (name, hub.commit("many/" + name))
            for name in NAMES]
    here, beside = [], []
    with bed.mount(hub, *pins, env=variant()) as mount:
        forks.figures(CODE, [mount.path])
        forks.figures(CODE, [folder])
        hub.reset()
        before = mount.metrics()
        rounds = 3 * bed.rounds
        for _ in range(rounds):
            here.append(forks.figures(CODE, [mount.path]))
            beside.append(forks.figures(CODE, [folder]))
        asked = {op: round(n / rounds, 1)
                 for op, n in mount.asked(before).items()}
        sent = hub.counts()["by_endpoint"]
    note = "daemon, per process of eleven kernels: %s; Hub: %s" % (
        per_endpoint(asked), per_endpoint(sent))
    yield added(GROUP, "first kernel of a process", [h[0] for h in here],
                [b[0] for b in beside], FIRST, [note])
    yield added(GROUP, "each further one", [t for h in here for t in h[1:]],
                [t for b in beside for t in b[1:]], FURTHER, [note])
