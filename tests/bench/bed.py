# SPDX-License-Identifier: Apache-2.0
"""What the rows are measured on: a folder of kernels, stand-in Hubs near and
far in processes of their own, mounts, and processes that are timed.

$KERNELFS names the program (default build/release/kernelfs). Nothing waits
without a limit, and everything is ended and unmounted by close().
"""

import os
import shutil
import sys
import tempfile

import fixture
import packages
from forks import Forks
from mounts import HERE, NOBODY, PREFIX, PROGRAM, ROOT, Mount, Squash
from servers import FarHub, Hub, Link
from timing import (LIMIT_S, BedError, Lacking, clean_environment, done,
                    drop_caches, spawned, wait_for)

__all__ = ["HERE", "LIMIT_S", "MBIT", "NOBODY", "PREFIX", "PROGRAM", "ROOT",
           "RTT_MS", "Bed", "BedError", "FarHub", "Hub", "Lacking", "Link",
           "Squash", "clean_environment", "done", "drop_caches", "spawned",
           "wait_for"]

RTT_MS = 20
MBIT = 1000


class Bed:
    def __init__(self, rounds):
        self.rounds = rounds
        self.folder = tempfile.mkdtemp(prefix="kernelfs-bench-")
        # Another user's daemon has its cache in here.
        os.chmod(self.folder, 0o711)
        self._folders = 0
        self._open = []
        self._known = {}
        self.root = os.path.join(self.folder, "hub")
        self.home = self.new_folder("home")
        self.environment = clean_environment(self.home)

    def new_folder(self, name):
        self._folders += 1
        path = os.path.join(self.folder, "%s%d" % (name, self._folders))
        os.makedirs(path)
        return path

    def once(self, key, make):
        """Made at first use; closed at the end if it can be."""
        if key not in self._known:
            self._known[key] = made = make()
            if hasattr(made, "close"):
                self._open.append(made)
        return self._known[key]

    def tool(self, name):
        """A program of this folder, built by make."""
        path = os.path.join(os.path.dirname(PROGRAM), "bench", name)
        if not os.access(path, os.X_OK):
            path = os.path.join(ROOT, "build", "release", "bench", name)
        if not os.access(path, os.X_OK):
            raise BedError("'%s' is not there; run make bench_all" % path)
        return path

    def program_for_others(self):
        """kernelfs where a user without privilege can run it."""
        return self.once("program", lambda: shutil.copy(
            PROGRAM, os.path.join(self.folder, "kernelfs")))

    def packages(self):
        """Where the large packages are, generated."""
        return self.once("packages", lambda: packages.make(
            os.path.join(ROOT, "build", "bench")))

    def plain(self, package):
        """A large package in a folder on the same disk, with its .pyc."""
        return self.once(("plain", package), lambda: packages.plain(
            self.packages(), package, self.new_folder("plain")))

    def kernels(self):
        def make():
            fixture.lay_out(self.root)
            packages.lay_out(self.packages(), self.root, fixture.OWNER)
            return True
        return self.once("kernels", make)

    def near(self):
        self.kernels()
        return self.once("near", lambda: Hub(self.root))

    def far(self, mbit=None):
        self.kernels()
        return self.once(("far", mbit), lambda: FarHub(
            self.root, self.tool("relay"), RTT_MS, mbit))

    def other_hub(self, *args):
        """A Hub of one row's own, which may be killed."""
        self.kernels()
        return self.keep(Hub(self.root, *args))

    def keep(self, thing):
        self._open.append(thing)
        return thing

    def forget(self, thing):
        if thing in self._open:
            self._open.remove(thing)

    def end(self, thing):
        thing.close()
        self.forget(thing)

    def mount(self, hub, *options, cache=None, **how):
        cache = cache or self.new_folder("cache")
        return self.keep(Mount(self, hub, cache, *options, **how)).start()

    def hf_home(self, hub):
        return os.path.join(self.folder, "hf-" + hub.url.rpartition(":")[2])

    def user_cache(self):
        """Where the processes that import keep what is the user's."""
        return os.path.join(self.home, "cache")

    def forget_bytecode(self):
        """That of the kernels; the door's own stays, as `kernels` keeps its
        own beside itself."""
        top = os.path.join(self.user_cache(), "kernelfs", "bytecode")
        for folder, names, _ in os.walk(top):
            if folder != top:
                for name in names:
                    if name != "door":
                        shutil.rmtree(os.path.join(folder, name))
                names.clear()

    def forks(self, hub):
        """Processes with torch and kernels imported, for this Hub."""
        def make():
            return Forks(clean_environment(
                self.home, HF_ENDPOINT=hub.url, HF_HOME=self.hf_home(hub),
                HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1",
                XDG_CACHE_HOME=self.user_cache()),
                "torch", "kernels", "huggingface_hub")
        return self.once(("forks", hub.url), make)

    def close(self):
        for thing in reversed(self._open):
            try:
                thing.close()
            except Exception as error:
                print("bench: %s" % error, file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)
