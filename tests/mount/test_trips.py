# SPDX-License-Identifier: Apache-2.0
"""What does not hang on each other is asked at once: answers are held at the
Hub until the questions beside them have come. And no question more for it."""

import contextlib
import glob
import os
import signal
import threading
import time
import unittest

from mounted import (
    SPEC, MountCase, lfs_bytes, make_kernel, make_owner, wait_for)

GOOD, BAD = "torch-universal", "torch-cpu"  # the better one is the bad one
FILES = dict({"m%d.py" % i: "N = %d\n" % i for i in range(5)}, **{
    "__init__.py": "from . import m0, m1, m2, m3, m4\n",
    "table.bin": lfs_bytes(50000)})
FILE_COUNT = len(FILES) + 1  # its metadata.json too
IMPORT = "import relu; print(relu.m4.N)"


class Aside:
    """A call in a thread, whose result is asked for at the end."""

    def __init__(self, call, *args):
        self.result = None
        self.error = None
        self.thread = threading.Thread(target=self._run, args=(call, *args),
                                       daemon=True)
        self.thread.start()

    def _run(self, call, *args):
        try:
            self.result = call(*args)
        except Exception as error:
            self.error = error

    def join(self):
        self.thread.join(60)
        if self.error is not None:
            raise self.error
        return self.result


class TestTrips(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {GOOD: FILES})
        make_kernel(root, "acme/torn", "v1", {
            BAD: {"__init__.py": "X = 1\n", "big.bin": lfs_bytes(70000),
                  "metadata.json": "no metadata\n"},
            GOOD: {"__init__.py": "X = 2\n"}})

    def hold(self, path):
        fault = self.hub.fault("stall", path=path)
        self.addCleanup(fault.release)
        return fault

    def runs(self, m, code, **how):
        done = m.python(code, **how)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def mount_quietly(self, *options, **how):
        """The owners' lists, which a mount begins with, are there."""
        m = self.mount(*options, **how)
        wait_for(lambda: "relu" in m.ls(), "the list of the owner")
        self.hub.reset()
        return m

    def assert_asked(self, **expected):
        """And the owners' lists, which a mount asks for by itself."""
        lists = self.hub.counts()["by_endpoint"].get("list", 0)
        self.assertLessEqual(lists, 1)
        self.assert_requests(list=lists, **expected)

    def assert_whole_import(self):
        self.assert_asked(overview=1, refs=1, tree=2, resolve=FILE_COUNT,
                          resolve_cache=FILE_COUNT)

    def test_trust_is_asked_beside_the_revision(self):
        m = self.mount_quietly()
        held = [self.hold("/overview"), self.hold("/relu/refs")]
        done = Aside(self.runs, m, IMPORT)
        wait_for(lambda: all(f.waiting for f in held),
                 "both questions at once")
        for fault in held:
            fault.release()
        self.assertEqual(done.join(), "4")
        self.assert_whole_import()

    def test_trust_is_asked_beside_the_builds(self):
        m = self.mount_quietly()
        held = [self.hold("/overview"), self.hold("/build\\?")]
        done = Aside(m.ls, "acme/relu@v1/build")
        wait_for(lambda: all(f.waiting for f in held),
                 "both questions at once")
        for fault in held:
            fault.release()
        self.assertEqual(done.join(), [GOOD])

    def test_the_files_come_before_the_metadata(self):
        m = self.mount_quietly()
        held = self.hold("/resolve/.*metadata")
        done = Aside(self.runs, m, IMPORT)
        wait_for(lambda: held.waiting and self.came() == sorted(FILES),
                 "all files but that one")
        self.assertEqual(held.waiting, 1)
        held.release()
        self.assertEqual(done.join(), "4")
        self.assert_whole_import()

    def came(self):
        """The names of the files whose bytes were sent."""
        return sorted(
            os.path.basename(line["path"].partition("?")[0])
            for line in self.hub.counts()["log"]
            if line["status"] == 200 and line["endpoint"] == "resolve-cache")

    def test_who_only_looks_makes_no_byte_come(self):
        m = self.mount_quietly()
        env = ".env/" + SPEC
        self.assertEqual(m.ls(env), ["relu", "torn"])
        self.assertTrue(m.link(env, "relu").endswith("/" + GOOD))
        os.stat(m.at(env, "relu"))
        at = "acme/relu@" + self.commit("acme/relu")
        self.assertEqual(m.ls(env, at, "build"), [GOOD])
        self.assertIn(GOOD, m.text(at, ".kernelfs/decision"))
        m.end()  # nothing is under way any more
        self.assert_asked(overview=1, refs=1, tree=2, resolve=1,
                          resolve_cache=1)

    def test_what_was_begun_for_a_refused_build_stops(self):
        m = self.mount_quietly()
        big, metadata = self.hold("big.bin"), self.hold(
            "/resolve/.*%s/metadata" % BAD)
        env = ".env/" + SPEC  # as a door asks, of a Python with torch
        self.assertFalse(os.path.lexists(m.at(env, "torn.import")))
        done = Aside(m.link, env, "torn")
        wait_for(lambda: big.waiting and metadata.waiting, "both files")
        metadata.release()
        self.assertTrue(done.join().endswith("/" + GOOD))
        wait_for(lambda: not big.waiting, "the end of the other download")
        self.assertNotIn("big.bin", self.came())

    def test_a_new_process_asks_nobody(self):
        m = self.mount_quietly()
        self.runs(m, IMPORT)
        self.hub.reset()
        self.assertEqual(self.runs(m, IMPORT), "4")
        self.assert_asked()

    def test_a_new_mount_asks_for_the_revision_alone(self):
        self.runs(self.mount(cache="one"), IMPORT)
        m = self.mount_quietly(cache="one")
        self.assertEqual(self.runs(m, IMPORT), "4")
        self.assert_asked(refs=1)

    def test_an_old_word_of_trust_will_do_for_what_is_cached(self):
        m = self.mount(cache="one")
        self.runs(m, IMPORT)
        notes = glob.glob(os.path.join(m.cache, "notes/trust/*/*"))
        self.assertTrue(notes)
        before = time.time() - 3 * 86400
        for note in notes:
            os.utime(note, (before, before))
        m = self.mount_quietly(cache="one")
        self.assertEqual(self.runs(m, IMPORT), "4")
        self.assert_asked(refs=1)

    def test_the_end_comes_in_the_middle(self):
        m = self.mount_quietly()
        held = self.hold("/resolve/.*metadata")
        done = Aside(m.python, IMPORT)
        wait_for(lambda: held.waiting, "the metadata")
        os.kill(m.pid, signal.SIGTERM)
        with contextlib.suppress(Exception):
            done.join()
        wait_for(m.has_ended, "the end of the daemon")


if __name__ == "__main__":
    unittest.main()
