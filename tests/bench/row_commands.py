# SPDX-License-Identifier: Apache-2.0
"""The command line's own time, and the daemon's memory."""

from bed import PREFIX, PROGRAM, spawned
from fixture import OWNER
from table import Row, limited, mb, median, ms, part, per_endpoint

GROUP = "Commands and memory"
SPEC = "torch213-cxx11-cpu-x86_64-linux"
IDLE = 6e6


@part(*("resolve a cached commit, " + how for how in ("--env", "--python")))
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


@part(*("mount to ready, lists on disk, " + how
        for how in ("--python", "--env")))
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


@part("private memory (RssAnon), idle after mount",
      "private memory after two imports")
def memory_rows(bed):
    hub = bed.near()
    forks = bed.forks(hub)
    with bed.mount(hub) as mount:
        idle = mount.rss_anon()
        forks.run("import relu, small_kernel", [mount.path])
        after = mount.rss_anon()
        forks.run("import modules", [mount.path])
        last = mount.rss_anon()
    figures = {"idle": idle, "after": after, "last": last}
    yield Row(GROUP, "private memory (RssAnon), idle after mount", mb(idle),
              "", "", "<= " + mb(IDLE), idle <= IDLE, (), figures)
    yield Row(GROUP, "private memory after two imports", mb(after), "", "",
              "<= " + mb(IDLE), after <= IDLE,
              ["after 300 modules more: %s" % mb(last)], figures)
