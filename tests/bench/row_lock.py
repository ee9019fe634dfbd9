# SPDX-License-Identifier: Apache-2.0
"""`kernelfs lock` beside `kernels lock`, and what a git source is asked."""

import importlib.metadata
import json
import os
import subprocess
import sys
import time

import fixture  # noqa: F401  (makes tests/hub importable)
from bed import LIMIT_S, PROGRAM, ROOT, BedError, Hub, clean_environment
from table import Row, paired, part, per_endpoint

for folder in ("oracle", "git", "mount"):
    sys.path.insert(0, os.path.join(ROOT, "tests", folder))

GROUP = "Locks, and a git server"
REFERENCE = "0.17.2"


class Theirs:
    """The reference's program, started once: that is not what is timed."""

    def __init__(self, worker, env):
        self.process = subprocess.Popen(
            [sys.executable, "-c", worker], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "ready\n":
            raise BedError("the reference does not start")

    def lock(self, folder):
        self.process.stdin.write(folder + "\n")
        self.process.stdin.flush()
        code, said = json.loads(self.process.stdout.readline())
        if code:
            raise BedError("kernels lock: %s" % said)

    def close(self):
        self.process.stdin.close()
        self.process.wait(LIMIT_S)
        self.process.stdout.close()


LOCK = "six kernels that need five: requests of `lock`"
TIME = "its time, the reference's imports left out"
GIT = "git source: requests of a second mount"


@part(LOCK, TIME)
def lock_rows(bed):
    if importlib.metadata.version("kernels") != REFERENCE:
        raise BedError("kernels %s is needed" % REFERENCE)
    import test_lock  # it ends the program where there is another release
    root = bed.new_folder("locks")
    test_lock.fixtures(root)
    hub = bed.keep(Hub(root))
    asked, took, locks = {}, {"ours": [], "theirs": []}, set()

    def timed(name, command):
        """In a new folder, with caches that are empty."""
        folder = bed.new_folder("project")
        with open(os.path.join(folder, "pyproject.toml"), "w",
                  encoding="utf-8") as f:
            f.write(test_lock.SIX)
        hub.reset()
        start = time.perf_counter()
        command(folder)
        took[name].append(time.perf_counter() - start)
        counts = dict(hub.counts()["by_endpoint"])
        counts.pop("harness", None)  # about the client, not the kernels
        asked[name] = counts
        with open(os.path.join(folder, "kernels.lock"), "rb") as f:
            locks.add(f.read())

    def ours(folder):
        subprocess.run(
            [PROGRAM, "lock", folder], check=True, timeout=LIMIT_S,
            env=clean_environment(bed.home, HF_ENDPOINT=hub.url,
                                  KERNELFS_CACHE=bed.new_folder("cache")),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    for _ in range(bed.rounds):
        timed("ours", ours)
        theirs = Theirs(test_lock.WORKER, clean_environment(
            bed.home, HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1",
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            HF_HOME=bed.new_folder("home")))
        try:
            timed("theirs", theirs.lock)
        finally:
            theirs.close()
    hub.close()
    bed.forget(hub)
    here, beside = (sum(asked[name].values()) for name in ("ours", "theirs"))
    yield Row(GROUP, LOCK,
              str(here), "%d kernels lock" % beside,
              "%.2f x" % (here / beside), "fewer, same bytes",
              here < beside and len(locks) == 1,
              ["here: " + per_endpoint(asked["ours"]),
               "kernels lock: " + per_endpoint(asked["theirs"]),
               "the same bytes" if len(locks) == 1 else
               "%d DIFFERENT files" % len(locks)], {"requests": asked})
    yield paired(GROUP, TIME, took["ours"], took["theirs"])


@part(GIT)
def git_row(bed):
    from gitcase import LIBRARY, build, oid
    from gitserver import GitServer
    from repository import Repository
    root = bed.new_folder("git")
    commit = Repository(os.path.join(root, "acme/relu.git")).commit(
        build("one", large={"lib.so": LIBRARY}), branch="v1")
    server = bed.keep(GitServer(root))
    server.large[oid(LIBRARY)] = LIBRARY
    source = type("Git", (), {"url": "git+" + server.url})
    cache = bed.new_folder("cache")
    asked = []
    for name in ("relu", "relu", "relu@" + commit):
        server.reset()
        with bed.mount(source, "--trust=acme", "--import=acme/" + name,
                       cache=cache) as mount:
            at = mount.at("acme", name, "build")
            for file in ("__init__.py", "lib.so"):
                with open(os.path.join(at, os.listdir(at)[0], file),
                          "rb") as f:
                    f.read()
        asked.append(server.counts())
    server.close()
    bed.forget(server)
    first, second, pinned = asked
    yield Row(GROUP, GIT,
              str(sum(second.values())),
              "%d the first" % sum(first.values()), "", "1 advertisement",
              second == {"refs": 1} and not pinned,
              ["the first: %s; the second: %s; pinned: %s" % tuple(
                  map(per_endpoint, asked))], {"requests": asked})

