# SPDX-License-Identifier: Apache-2.0
"""The command line's own time, and the daemon's memory."""

from bed import PREFIX, PROGRAM, spawned
from fixture import OWNER
from table import Row, limited, median, ms, per_endpoint

GROUP = "Commands and memory"
SPEC = "torch213-cxx11-cpu-x86_64-linux"
IDLE = 6e6


def resolve_rows(bed):
    hub = bed.near()
    cache = bed.new_folder("cache")
    repo = "%s/relu@%s" % (OWNER, hub.commit(OWNER + "/relu"))
    base = [PROGRAM, "resolve", "--source=" + hub.url, "--cache=" + cache]
    spec = [*base, "--env=" + SPEC, repo]
    python = [*base, "--python=" + PREFIX, repo]
    detect = [PROGRAM, "env", "--python=" + PREFIX]
    commands = [spec, python, detect, [PROGRAM, "version"], ["/bin/true"]]
    env = bed.environment
    for command in commands:
        spawned(command, env)
    hub.reset()
    took = [[] for _ in commands]
    cpu = [[] for _ in commands]
    for _ in range(4 * bed.rounds):
        for k, command in enumerate(commands):
            took[k].append(spawned(command, env, cpu[k]))
    asked = hub.counts()["by_endpoint"]
    started = "`kernelfs version`, which only starts: %s" % ms(
        median(took[3]))
    detected = "`kernelfs env`, which only detects: %s" % ms(median(took[2]))
    for k, what, notes in ((0, "--env", [started]),
                           (1, "--python", [started, detected])):
        yield limited(GROUP, "resolve a cached commit, " + what, took[k],
                      0.005, took[4], " /bin/true",
                      ["its processor time: %s; of that only to start: %s" %
                       (ms(median(cpu[k])), ms(median(cpu[3]))), *notes,
                       "Hub: %s" % per_endpoint(asked)])


def ready_rows(bed):
    hub = bed.near()
    for what, env in (("--python", None), ("--env", SPEC)):
        cache = bed.new_folder("cache")
        bed.mount(hub, cache=cache, env=env).close()
        hub.reset()
        took = []
        for _ in range(bed.rounds):
            with bed.mount(hub, cache=cache, env=env) as mount:
                took.append(mount.ready_s)
        asked = hub.counts()["by_endpoint"]
        yield limited(GROUP, "mount to ready, lists on disk, " + what, took,
                      0.050, None, "", ["Hub, in %d mounts: %s" %
                                        (len(took), per_endpoint(asked))])


def memory_row(bed):
    hub = bed.near()
    forks = bed.forks(hub)
    with bed.mount(hub) as mount:
        idle = mount.rss_anon()
        forks.run("import relu, small_kernel", [mount.path])
        after = mount.rss_anon()
        forks.run("import modules", [mount.path])
        last = mount.rss_anon()
    return Row(GROUP, "private memory (RssAnon) after mount",
               "%.2f MB" % (idle / 1e6), "", "", "<= 6 MB", idle <= IDLE,
               ["after two imports %.2f MB; after 300 modules %.2f MB" %
                (after / 1e6, last / 1e6)],
               {"idle": idle, "after": after, "last": last})


def after_row(row):
    after = row.data["after"]
    return Row(GROUP, "private memory after two imports",
               "%.2f MB" % (after / 1e6), "", "", "<= 6 MB", after <= IDLE)


def rows(bed):
    yield from resolve_rows(bed)
    yield from ready_rows(bed)
    row = memory_row(bed)
    yield row
    yield after_row(row)
