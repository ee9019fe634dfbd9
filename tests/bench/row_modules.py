# SPDX-License-Identifier: Apache-2.0
"""A package of 300 modules, beside a plain folder with its bytecode."""

from row_crowd import plain_folder
from table import of_later, paired, per_endpoint

GROUP = "import of 300 modules, beside a plain folder with its .pyc"
CODE = "import modules"
# Looked for where there is none, and not written either.
NO_BYTECODE = """
import sys
sys.dont_write_bytecode = True
sys.pycache_prefix = "/nowhere"
"""


def rows(bed):
    hub = bed.near()
    forks = bed.forks(hub)
    cache = bed.new_folder("cache")
    with bed.mount(hub, cache=cache) as mount:
        forks.run(CODE, [mount.path])
        folder = plain_folder(bed, mount, "modules")
    forks.run(CODE, [folder])
    plain, bare, fresh, warm, asked = [], [], [], [], {}
    for _ in range(bed.rounds):
        plain.append(forks.run(CODE, [folder])[0][0])
        bare.append(forks.run(CODE, [folder], NO_BYTECODE)[0][0])
        with bed.mount(hub, cache=cache) as mount:
            fresh.append(forks.run(CODE, [mount.path])[0][0])
            before = mount.metrics()
            warm.append(forks.run(CODE, [mount.path])[0][0])
            asked = mount.asked(before)
    yield of_later("bytecode", paired(
        GROUP, "warm", warm, plain, 1.2,
        ["daemon: %s" % per_endpoint(asked),
         "a lookup for each module: Python tries to make __pycache__, and "
         "the kernel looks again where something is to be made"]))
    yield of_later("bytecode", paired(GROUP, "fresh mount", fresh, plain, 3))
    yield paired(GROUP, "warm / plain folder without .pyc", warm, bare, None,
                 ["what is left when both must compile"])
