# SPDX-License-Identifier: Apache-2.0
"""A million names are walked and forgotten: the daemon's memory comes back.
What it knows of a thousand kernels and a million entries is little."""

import json
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "mount"))

from asking import measured  # noqa: E402
from mounted import (MODE, SPEC, MountCase, make_kernel,  # noqa: E402
                     make_owner, read, wait_for)

from repos import Snapshot  # noqa: E402

BUILD = "build/" + SPEC
FOLDERS, FILES, PASSES = 100, 1000, 10
SPECS = 50000
KERNELS, EACH = 1000, 1000
WIDE = 999990  # with its folders, less than a listing may have
IDLE_KB, KNOWN_KB = 6 << 10, 32 << 10  # what is promised


def rss_anon_kb(pid):
    for line in read("/proc/%d/status" % pid).decode().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("no RssAnon")


def drop_names():
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
        f.write("2\n")


def walk(folder):
    """Look at every name below; how many there were."""
    count = 0
    for entry in os.scandir(folder):
        entry.stat(follow_symlinks=False)
        count += 1
        if entry.is_dir(follow_symlinks=False):
            count += walk(entry.path)
    return count


@unittest.skipIf(os.geteuid(), "only root can make the kernel drop names")
@unittest.skipIf(MODE == "asan", "asan keeps freed memory in quarantine")
class Memory(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/wide", "v1", {SPEC: {"__init__.py": ""}})

    def mount_for_long(self):
        m = self.mount()
        m.watchdog.cancel()
        return m

    def comes_back(self, m, before, what):
        """Within a tenth of what it was, or of a megabyte."""
        most = before + max(before // 10, 1024)
        drop_names()
        try:
            wait_for(lambda: rss_anon_kb(m.pid) <= most, "less memory")
        finally:
            print("measured: RssAnon %s: %d kB before, %d kB after"
                  % (what, before, rss_anon_kb(m.pid)), flush=True)

    def test_a_million_names_of_a_commit(self):
        self.hub.fault("body", path="/tree/[0-9a-f]+/build%2F", body=[
            {"type": "file", "path": "%s/d%03d/file%04d.py" % (BUILD, d, f),
             "oid": "%040x" % (d * FILES + f), "size": 5}
            for d in range(FOLDERS) for f in range(FILES)])
        m = self.mount_for_long()
        folder = m.at("acme", "wide@" + self.commit("acme/wide"), BUILD)
        self.assertEqual(walk(folder), FOLDERS * FILES + FOLDERS)
        drop_names()
        time_of = time.monotonic()
        before = rss_anon_kb(m.pid)
        os.stat(m.path)
        names = sum(self.one_pass(folder) for _ in range(PASSES))
        self.assertGreaterEqual(names, 1000000)
        measured("%d names walked" % names, time.monotonic() - time_of)
        self.comes_back(m, before, "of a million names of a commit")

    @staticmethod
    def one_pass(folder):
        count = walk(folder)
        drop_names()
        return count

    def test_names_that_anybody_can_invent(self):
        m = self.mount_for_long()
        env = m.at(".env")
        for i in range(1000):
            os.stat(os.path.join(env, "%s+py3%d" % (SPEC, i)))
        drop_names()
        wait_for(lambda: json.loads(m.control("status")), "the status")
        before = rss_anon_kb(m.pid)
        known = 0
        for i in range(SPECS):
            # All differ, and all are specs.
            name = "torch2%d-cxx11-cu%d%d-x86_64-linux+sm%d0" % (
                i % 90 + 10, i // 90 % 40 + 90, i // 3600 % 10,
                i // 36000 + 5)
            try:
                os.stat(os.path.join(env, name))
                known += 1
            except FileNotFoundError:
                pass
        print("measured: %d of %d invented specs exist" % (known, SPECS),
              flush=True)
        self.assertGreater(known, SPECS // 2)
        self.comes_back(m, before, "of invented specs")

    def test_names_that_do_not_exist(self):
        m = self.mount_for_long()
        folder = m.at("acme", "wide@" + self.commit("acme/wide"), BUILD)
        os.listdir(folder)
        before = rss_anon_kb(m.pid)
        for i in range(SPECS):
            self.assertFalse(os.path.lexists(
                os.path.join(folder, "no-such-file-%d" % i)))
        self.comes_back(m, before, "of names that do not exist")


class Entries:
    """The items of a listing, made when they are asked for."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, part):
        return ["{\"type\":\"file\",\"path\":\"%s/d/file%06d.py\","
                "\"oid\":\"%040x\",\"size\":5}" % (BUILD, i, i)
                for i in range(part.start, part.stop)]


@unittest.skipIf(os.geteuid(), "only root can make the kernel drop names")
@unittest.skipIf(MODE in ("asan", "tsan"), "sanitizers have memory of their "
                                           "own")
class Known(MountCase):
    entries = EACH

    def kernels(self, root):
        make_owner(root, "acme")
        for i in range(KERNELS):
            make_kernel(root, "acme/k%d" % i, "v1",
                        {SPEC: {"__init__.py": ""}})

    def setUp(self):
        super().setUp()
        listing = Snapshot.listing

        def longer(snapshot, path, recursive):
            if path.startswith("build/") and recursive:
                return Entries(self.entries)
            return listing(snapshot, path, recursive)
        Snapshot.listing = longer
        self.addCleanup(setattr, Snapshot, "listing", listing)
        self.hub.set(page_size=10000)
        self.m = self.mount(log_level="warning")
        self.m.watchdog.cancel()

    def holds(self, most, what):
        """Once the kernel has forgotten what it had heard."""
        def little():
            drop_names()
            return rss_anon_kb(self.m.pid) <= most
        try:
            wait_for(little, "at most %d kB" % most)
        finally:
            print("measured: RssAnon %s: %d kB" %
                  (what, rss_anon_kb(self.m.pid)), flush=True)

    def build(self, i):
        return self.m.at("acme", "k%d" % i, BUILD)

    def know(self, i):
        """As an import makes it known, but for the bytes."""
        os.listdir(self.m.at("acme", "k%d" % i, "build"))
        read(self.m.at("acme", "k%d" % i, ".kernelfs", "decision"))
        os.stat(self.build(i))

    def test_a_thousand_kernels_of_a_thousand_entries(self):
        self.holds(IDLE_KB, "of an idle mount")
        for i in range(KERNELS):
            self.know(i)
        self.holds(KNOWN_KB, "of a million entries known")
        names = sum(walk(self.build(i)) for i in range(KERNELS))
        self.assertGreaterEqual(names, KERNELS * EACH)
        self.holds(KNOWN_KB, "of a million entries walked and forgotten")

    def test_one_commit_of_a_million_entries(self):
        self.entries = WIDE
        self.know(0)
        self.holds(KNOWN_KB, "of a listing of a million")
        self.assertGreaterEqual(walk(self.build(0)), WIDE)
        self.holds(KNOWN_KB, "of a million walked and forgotten")


if __name__ == "__main__":
    unittest.main()
