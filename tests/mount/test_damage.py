# SPDX-License-Identifier: Apache-2.0
"""The cache's files are damaged by hand between uses, or by a broken disk:
what has the wrong size is never served, what has wrong bytes is found by
`verify` and fetched again, and nothing hangs, leaks or stays behind."""

import glob
import hashlib
import os
import subprocess
import unittest

import reading
from mounted import (
    DEADLINE, PROGRAM, MountCase, clean_environment, lfs_bytes, read)

SIZE = 300001


class Damage(reading.Reading, MountCase):
    FILES = {"one.so": lfs_bytes(SIZE, 1), "two.so": lfs_bytes(2 * SIZE, 2)}

    def setUp(self):
        super().setUp()
        self.options = ()

    def blob(self, m, name="one.so"):
        (path,) = glob.glob(m.cache + "/blobs/*/" +
                            hashlib.sha256(self.FILES[name]).hexdigest())
        return path

    def filled(self):
        """A cache that a mount has filled, and that mount, ended."""
        m = self.mount(*self.options, cache="shared")
        self.read_all(m)
        m.end()
        return m

    def read_all(self, m):
        for name, data in self.FILES.items():
            self.assertEqual(read(self.build(m), name), data, name)

    def downloads(self):
        return self.hub.counts()["by_endpoint"].get("cdn", 0)

    def mends(self, m, damage):
        """The damage is done between two mounts: nobody sees it."""
        path = self.blob(m)
        os.chmod(path, 0o600)
        damage(path)
        self.hub.reset()
        again = self.mount(*self.options, cache="shared")
        self.read_all(again)
        self.assertEqual(self.downloads(), 1)
        self.assertEqual(read(self.blob(again)), self.FILES["one.so"])
        self.nothing_leaks(again)
        again.end()

    def both_ways(self, check):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.options = options
                check()

    def test_a_blob_that_was_cut_is_fetched_again(self):
        def check():
            m = self.filled()
            for size in (0, 1, SIZE - 1):
                self.mends(m, lambda path, n=size: os.truncate(path, n))
        self.both_ways(check)

    def test_a_blob_that_has_grown_is_fetched_again(self):
        m = self.filled()
        self.mends(m, lambda path: os.truncate(path, SIZE + 1))

    def test_what_stands_in_a_blobs_place_is_not_served(self):
        m = self.filled()
        other = os.path.join(self.dir, "other")
        with open(other, "wb") as f:
            f.write(bytes(SIZE))

        def link(path):
            os.unlink(path)
            os.symlink(other, path)

        def fifo(path):
            os.unlink(path)
            os.mkfifo(path)

        self.mends(m, link)
        self.mends(m, fifo)
        self.assertEqual(read(other), bytes(SIZE))

    def test_a_blob_that_is_cut_while_it_is_mounted(self):
        """What the kernel knows of it already may end early; no byte is
        wrong, and the next mount has it whole."""
        def check():
            m = self.mount(*self.options, cache="mounted")
            self.read_all(m)
            path = self.blob(m)
            os.chmod(path, 0o600)
            reading.wait_for(lambda: not reading.open_blobs(m),
                             "blobs to be closed")
            os.truncate(path, 100)
            data = read(self.build(m), "one.so")
            self.assertEqual(data, self.FILES["one.so"][:len(data)])
            self.assertGreaterEqual(len(data), 100)
            m.end()
            again = self.mount(*self.options, cache="mounted")
            self.read_all(again)
            again.end()
        self.both_ways(check)

    def test_a_flipped_byte_is_found_and_mended(self):
        m = self.filled()
        path = self.blob(m)
        os.chmod(path, 0o600)
        with open(path, "r+b") as f:
            f.seek(SIZE // 2)
            byte = f.read(1)[0]
            f.seek(SIZE // 2)
            f.write(bytes([byte ^ 1]))
        again = self.mount(cache="shared")
        self.assertIn("1 wrong", self.verify(again))
        self.read_all(again)
        self.assertIn(" 0 wrong", self.verify(again))
        self.nothing_leaks(again)

    def verify(self, m):
        done = subprocess.run(
            [PROGRAM, "cache", "verify", "--cache=" + m.cache,
             "--source=" + self.hub.url],
            env=clean_environment(HOME=self.dir), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=3 * DEADLINE, universal_newlines=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_notes_that_are_damaged_are_asked_for_again(self):
        m = self.filled()
        for path in glob.glob(m.cache + "/notes/**/*", recursive=True):
            if os.path.isfile(path):
                os.chmod(path, 0o600)
                size = os.path.getsize(path)
                with open(path, "r+b") as f:
                    f.seek(size // 3)
                    f.write(b"\xff\0\xff")
        again = self.mount(cache="shared")
        self.read_all(again)
        self.nothing_leaks(again)

    def test_the_count_of_the_cache_is_put_right(self):
        m = self.filled()
        for text in (b"", b"x" * 42, b"9" * 20 + b" " + b"9" * 20 + b"\n"):
            with open(m.cache + "/usage", "wb") as f:
                f.write(text)
            again = self.mount("--cache-size=10M", cache="shared")
            self.read_all(again)
            again.end()


if __name__ == "__main__":
    unittest.main()
