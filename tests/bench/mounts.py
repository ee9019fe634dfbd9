# SPDX-License-Identifier: Apache-2.0
"""Mounts that are measured, and what they say of themselves."""

import json
import os
import re
import shutil
import subprocess
import sys

from timing import LIMIT_S, BedError, Lacking, done, spawned

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.abspath(os.environ.get("KERNELFS") or os.path.join(
    ROOT, "build", "release", "kernelfs"))
PREFIX = sys.prefix
NOBODY = 65534


class Mount:
    """One mount, in the background as a person starts it. With `user`: by a
    user without any privilege, and open to others."""

    def __init__(self, bed, hub, cache, *options, env=None, user=None):
        self.bed = bed
        self.folder = bed.new_folder("mount")
        self.path = os.path.join(self.folder, "m")
        self.log = os.path.join(self.folder, "log")
        os.mkdir(self.path)
        which = "--env=" + env if env else "--python=" + PREFIX
        self.command = [PROGRAM, "--source=" + hub.url, "--cache=" + cache,
                        "--log=" + self.log, which, *options, self.path]
        self.environment = bed.environment
        if user is not None:
            self._as(user, cache)
        self.user = user
        self.pid = None

    def _as(self, user, cache):
        for path in (self.folder, self.path, cache):
            os.chown(path, user, user)
        self.command[0] = self.bed.program_for_others()
        self.command[1:1] = ["-o", "allow_other"]
        self.command[:0] = [
            shutil.which("setpriv"), "--reuid=%d" % user,
            "--regid=%d" % user, "--clear-groups"]
        self.environment = dict(self.environment, HOME=self.folder)

    def start(self):
        try:
            self.ready_s = spawned(self.command, self.environment)
        except BedError as error:
            raise BedError("%s\n%s" % (error, self._why()))
        self.pid = self.status()["pid"]
        if self.user is not None and self._field("CapEff") != "0" * 16:
            raise BedError("the daemon has capabilities")
        return self

    def _why(self):
        try:
            with open(self.log, encoding="utf-8") as f:
                return f.read()
        except OSError as error:
            return str(error)

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def text(self, *parts):
        with open(self.at(*parts), encoding="utf-8") as f:
            return f.read()

    def control(self, name):
        """In one read, so that it is of one moment."""
        fd = os.open(self.at(".kernelfs", name), os.O_RDONLY)
        try:
            return os.read(fd, 1 << 20).decode()
        finally:
            os.close(fd)

    def status(self):
        return json.loads(self.control("status"))

    def passthrough(self):
        """(is it on, the sentence that says why not)."""
        said = self.status().get("passthrough") or {}
        return bool(said.get("on")), said.get("reason") or ""

    def metrics(self):
        """Requests of the kernel per operation, and what waits."""
        found = re.findall(
            r'^kernelfs_(?:requests_total\{op="(\w+)"\}|(waiting)) (\d+)$',
            self.control("metrics"), re.M)
        return {op or waiting: int(n) for op, waiting, n in found}

    def asked(self, before):
        """Requests since `before`, without those of the second look."""
        after = self.metrics()
        again = self.metrics()
        return {op: 2 * after[op] - again[op] - before[op] for op in after
                if op != "waiting"}

    def _field(self, name):
        with open("/proc/%d/status" % self.pid, encoding="utf-8") as f:
            return re.search(r"^%s:\s+(\w+)" % name, f.read(), re.M)[1]

    def rss_anon(self):
        return int(self._field("RssAnon")) * 1024

    def close(self):
        if not os.path.ismount(self.path):
            return
        try:
            spawned([PROGRAM, "umount", self.path], self.bed.environment)
        except BedError:
            subprocess.run(["umount", "-l", self.path], check=False,
                           timeout=LIMIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        self.bed.forget(self)


class Squash:
    """Another FUSE filesystem: an image of a folder, not compressed, so that
    nothing is measured but the way through it."""

    def __init__(self, bed, folder):
        self.program = shutil.which("squashfuse_ll") or \
            shutil.which("squashfuse")
        if not self.program:
            raise Lacking("squashfuse is not installed")
        self.bed = bed
        self.image = os.path.join(bed.new_folder("squash"), "image")
        done(["mksquashfs", folder, self.image, "-noI", "-noD", "-noF",
              "-noX", "-no-progress", "-quiet"])

    def mount(self):
        return self.bed.keep(SquashMount(self.bed, self))


class SquashMount:
    def __init__(self, bed, squash):
        self.bed = bed
        self.path = bed.new_folder("squash")
        done([squash.program, squash.image, self.path])

    def close(self):
        if os.path.ismount(self.path):
            done(["umount", self.path])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        self.bed.forget(self)
