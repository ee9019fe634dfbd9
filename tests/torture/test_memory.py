# SPDX-License-Identifier: Apache-2.0
"""A million names are walked and forgotten: the daemon's memory comes back."""

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

BUILD = "build/" + SPEC
FOLDERS, FILES, PASSES = 100, 1000, 10
SPECS = 50000


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


if __name__ == "__main__":
    unittest.main()
