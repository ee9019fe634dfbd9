# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed 200 times in the middle of downloads: the cache never
holds a wrong byte, and the next mount goes on."""

import glob
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "mount"))

from asking import Asked, errno_of  # noqa: E402
from mounted import (PROGRAM, SLOW, SPEC, MountCase,  # noqa: E402
                     clean_environment, is_mounted, leftovers, lfs_bytes,
                     make_kernel, make_owner, read, wait_for)

BUILD = "build/" + SPEC
LARGE = 40 << 20
LARGE_KILLS = 4 if SLOW else 10
KILLS = 40 if SLOW else 200
FILES = 24
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(
    1, 1 << 30)


class KillCase(MountCase):
    def contents(self):
        return {"f%02d.so" % i: lfs_bytes(20000 + 9000 * i, seed=i)
                for i in range(FILES)}

    def kernels(self, root):
        self.files = self.contents()
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1",
                    {SPEC: {"__init__.py": "X = 1\n", **self.files}})

    def prepare(self):
        print("seed: SEED=%d" % SEED, flush=True)
        self.cache = os.path.join(self.dir, "cache")
        self.point = os.path.join(self.dir, "point")
        os.mkdir(self.point)
        self.addCleanup(subprocess.run, ["umount", "-l", self.point],
                        check=False, stderr=subprocess.DEVNULL)
        self.build = os.path.join(
            self.point, "acme", "relu@" + self.commit("acme/relu"), BUILD)
        return random.Random(SEED)

    def start(self):
        daemon = subprocess.Popen(
            [PROGRAM, "-f", "--source=" + self.hub.url, "--env=" + SPEC,
             "--import=acme", "--cache=" + self.cache, self.point],
            env=clean_environment(HOME=self.dir), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: is_mounted(self.point), "the mount")
        return daemon

    def clean_up(self, daemon):
        daemon.kill()
        daemon.wait()
        done = subprocess.run([PROGRAM, "umount", self.point], check=False,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(is_mounted(self.point))

    def check_cache(self):
        """Every blob is what its name says; returns how many there are."""
        count = 0
        for base, _, names in os.walk(os.path.join(self.cache, "blobs")):
            for name in names:
                data = read(base, name)
                have = hashlib.sha256(data).hexdigest() \
                    if len(name) == 64 else hashlib.sha1(
                        b"blob %d\0" % len(data) + data).hexdigest()
                self.assertEqual(have, name)
                count += 1
        return count


class Kills(KillCase):
    def kill_once(self, rng):
        daemon = self.start()
        asked = []
        try:
            for name in rng.sample(sorted(self.files), 4):
                asked.append((name, Asked(read, self.build, name)))
            # A moment that is not to be awaited: it is to be random.
            threading.Event().wait(rng.random() * 0.06)
        finally:
            daemon.send_signal(signal.SIGKILL)
            for _, one in asked:
                one.end()
            self.clean_up(daemon)
        for name, one in asked:
            self.assertIn(one.error, (
                None, "ENOTCONN", "ECONNABORTED", "ECONNREFUSED"))
            if one.error is None:
                self.assertEqual(one.value, self.files[name])

    def test_a_killed_daemon_leaves_nothing_wrong(self):
        rng = self.prepare()
        self.hub.fault("drip", bps=2000000, origin="cdn")
        partly = 0
        begun = time.monotonic()
        for i in range(KILLS):
            self.kill_once(rng)
            count = self.check_cache()
            partly += 0 < count < FILES
            # With all in it there is nothing to kill any more.
            if count >= FILES or i % 20 == 19:
                subprocess.run(["rm", "-rf", self.cache], check=True)
        print("measured: %d kills in %.0f s, %d left a part of the build"
              % (KILLS, time.monotonic() - begun, partly), flush=True)
        self.assertGreater(partly, KILLS // 10)
        self.hub.clear_faults()
        daemon = self.start()
        try:
            self.assertEqual(leftovers(self.cache), [])
            for name, data in self.files.items():
                self.assertIsNone(errno_of(read, self.build, name))
                self.assertEqual(read(self.build, name), data)
        finally:
            self.clean_up(daemon)
        self.check_cache()


class LargeFile(KillCase):
    """The daemon is killed while one large file arrives."""

    def contents(self):
        return {"large.so": lfs_bytes(LARGE, seed=1)}

    def sent(self):
        return sum(line["bytes"] for line in self.hub.counts()["log"]
                   if line["endpoint"] == "cdn")

    def kill_once(self, rng):
        """After some part of it was sent, or when it has all come."""
        daemon = self.start()
        asked = Asked(read, self.build, "large.so")
        until = self.sent() + rng.randrange(1, LARGE // 4)
        try:
            wait_for(lambda: self.sent() >= until or not asked.waits(),
                     "some of it", 60)
        finally:
            daemon.send_signal(signal.SIGKILL)
            asked.end()
            self.clean_up(daemon)
        self.assertIn(asked.error, (
            None, "ENOTCONN", "ECONNABORTED", "ECONNREFUSED"))
        if asked.error is None:
            self.assertEqual(asked.value, self.files["large.so"])
        return asked.error is not None

    def test_a_large_file_comes_in_spite_of_it(self):
        rng = self.prepare()
        self.hub.fault("drip", bps=4 << 20, origin="cdn")
        killed = sum(self.kill_once(rng) for _ in range(LARGE_KILLS))
        self.check_cache()
        self.hub.clear_faults()
        daemon = self.start()
        try:
            self.assertEqual(read(self.build, "large.so"),
                             self.files["large.so"])
            self.assertEqual(leftovers(self.cache), [])
        finally:
            self.clean_up(daemon)
        self.assertEqual(self.check_cache(), 3)
        print("measured: killed %d times, %.2f times its bytes were sent"
              % (killed, self.sent() / LARGE), flush=True)
        self.assertGreater(killed, 1)
        # What had come before a kill is not fetched again.
        self.assertLess(self.sent(), 2 * LARGE)

    def partials(self):
        return [path for path in glob.glob(self.cache + "/partial/*")
                if os.path.isfile(path) and os.path.getsize(path) > 1 << 20]

    def damages(self, rng):
        """Ways to break what a killed daemon has left."""
        def write_at(path, at, data):
            with open(path, "r+b") as f:
                f.seek(at)
                f.write(data)

        def flip(path):
            for _ in range(20):
                write_at(path, rng.randrange(os.path.getsize(path)), b"\x5a")

        def end(path):
            write_at(path, os.path.getsize(path) - 4096, rng.randbytes(4096))

        def table_of_all(path):
            write_at(path, os.path.getsize(path) - 64, b"\xff" * 64)

        def replaced(path):
            os.unlink(path)
            os.symlink("/dev/zero", path)

        return [flip, end, table_of_all, replaced,
                lambda path: os.truncate(path, os.path.getsize(path) // 2),
                lambda path: os.truncate(path, os.path.getsize(path) + 9999),
                lambda path: os.truncate(path, 0)]

    def test_what_a_kill_left_may_be_damaged(self):
        rng = self.prepare()
        found = 0
        for damage in self.damages(rng):
            subprocess.run(["rm", "-rf", self.cache], check=True)
            self.hub.fault("drip", bps=4 << 20, origin="cdn")
            self.hub.reset()
            self.assertTrue(self.kill_once(rng), "it was too fast")
            for path in self.partials():
                os.chmod(path, 0o600)
                damage(path)
                found += 1
            self.hub.clear_faults()
            daemon = self.start()
            try:
                wait_for(lambda: errno_of(read, self.build, "large.so")
                         is None, "the file, the first time or the second")
                self.assertEqual(read(self.build, "large.so"),
                                 self.files["large.so"])
                self.assertEqual(leftovers(self.cache), [])
            finally:
                self.clean_up(daemon)
            self.check_cache()
        print("measured: %d partial files were damaged" % found, flush=True)
        self.assertGreater(found, 0)


if __name__ == "__main__":
    unittest.main()
