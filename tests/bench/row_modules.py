# SPDX-License-Identifier: Apache-2.0
"""A package of 300 modules, beside a plain folder with its bytecode."""

from row_crowd import plain_folder
from table import paired, per_endpoint

GROUP = "import of 300 modules, beside a plain folder with its .pyc"
CODE = "import modules"


def rows(bed):
    hub = bed.near()
    forks = bed.forks(hub)
    cache = bed.new_folder("cache")
    with bed.mount(hub, cache=cache) as mount:
        forks.run(CODE, [mount.path])
        folder = plain_folder(bed, mount, "modules")
    forks.run(CODE, [folder])
    sources = bed.new_folder("sources")
    plain, fresh, warm, asked = [], [], [], {}
    for _ in range(bed.rounds):
        plain.append(forks.run(CODE, [folder])[0][0])
        with bed.mount(hub, cache=cache) as mount:
            fresh.append(forks.run(CODE, [mount.path])[0][0])
            before = mount.metrics()
            warm.append(forks.run(CODE, [mount.path])[0][0])
            asked = mount.asked(before)
    yield paired(GROUP, "warm", warm, plain, None,
                 ["the bar of 1.20 x comes with bytecode, a later issue",
                  "daemon: %s" % per_endpoint(asked)])
    yield paired(GROUP, "fresh mount", fresh, plain, None,
                 ["the bar of 3.00 x comes with bytecode, a later issue"])
