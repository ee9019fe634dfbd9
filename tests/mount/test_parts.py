# SPDX-License-Identifier: Apache-2.0
"""Large files: in parallel ranges, each byte once, also after a kill; and who
waits goes before who does not, also in another process."""

import base64
import os
import re
import struct
import subprocess
import unittest

from asking import Asked
from mounted import (PROGRAM, SPEC, MountCase, clean_environment, lfs_bytes,
                     make_kernel, make_owner, read, wait_for)

BUILD = "build/" + SPEC
BLOCK = 4 << 20
SIZE = (64 << 20) + 4321
NOTED = 256 << 10
HANDS = 8
SMALL = 120
LARGE = None


def large():
    global LARGE
    if LARGE is None:
        LARGE = lfs_bytes(SIZE, seed=64)
    return LARGE


def noted(path):
    """How far each block has come, as the file in partial/ says."""
    with open(path, "rb") as f:
        f.seek(SIZE)
        table = f.read()
    magic, block, _, size = struct.unpack_from("=8sIIQ", table)
    assert (magic, block, size) == (b"kfsparts", BLOCK, SIZE), table[:24]
    return list(struct.unpack_from("=%dI" % -(-SIZE // BLOCK), table, 24))


class Parts(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/big", "v1", {
            SPEC: {"__init__.py": "X = 1\n", "big.so": large()}})
        make_kernel(root, "acme/many", "v1", {
            SPEC: {"__init__.py": "X = 1\n",
                   **{"f%03d.so" % i: lfs_bytes(3000 + i, seed=1000 + i)
                      for i in range(SMALL)}}})
        for seed, name in enumerate(("one", "two")):
            make_kernel(root, "acme/" + name, "v1", {
                SPEC: {"__init__.py": "X = 1\n",
                       "lib.so": lfs_bytes(2000, seed=seed)}})

    def name(self, repo="acme/big", file="big.so"):
        return os.path.join("acme", "%s@%s" % (repo.split("/")[1],
                                               self.commit(repo)), BUILD, file)

    def ranges(self):
        """The ranges asked of the CDN, as (from, until)."""
        out = []
        for line in self.hub.counts()["log"]:
            if line["origin"] == "cdn" and line["status"] in (200, 206, None):
                self.assertIsNotNone(line["range"], line)
                low, high = re.fullmatch(r"bytes=(\d+)-(\d+)",
                                         line["range"]).groups()
                out.append((int(low), int(high) + 1))
        return sorted(out)

    def assert_once(self, ranges, size=SIZE):
        """They do not overlap, and are so many bytes together."""
        for (_, end), (begin, _) in zip(ranges, ranges[1:]):
            self.assertLessEqual(end, begin)
        self.assertEqual(sum(end - begin for begin, end in ranges), size)

    def resolves(self):
        return [line for line in self.hub.counts()["log"]
                if line["endpoint"].startswith("resolve") and
                line["path"].endswith("big.so")]

    def fetch(self, cache, *kernels):
        return subprocess.Popen(
            [PROGRAM, "fetch", "--source=" + self.hub.url, "--cache=" + cache,
             "--env=" + SPEC, *kernels],
            env=clean_environment(HOME=self.dir), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_a_large_file_comes_in_ranges_each_once(self):
        m = self.mount()
        self.assertEqual(read(m.at(self.name())), large())
        self.assert_once(self.ranges())
        # whoever helped knew from the first answer where the bytes are
        self.assertEqual(len(self.resolves()), 1)
        self.assertEqual(m.json("status")["downloads"]["failed"], 0)

    def test_many_hands_at_once(self):
        m = self.mount()
        fault = self.hub.fault("stall", after=100000, origin="cdn")
        asked = Asked(read, m.at(self.name()))
        wait_for(lambda: fault.waiting >= HANDS, "hands")
        self.hub.clear_faults()
        asked.end()
        self.assertEqual(asked.value, large())
        self.assert_once(self.ranges())

    def kill_in_the_middle(self, m):
        """Ends with what the killed one had noted, per block."""
        fault = self.hub.fault("stall", after=1000000, origin="cdn", skip=5)
        asked = Asked(read, m.at(self.name()))
        wait_for(lambda: fault.waiting >= HANDS, "a stalled download")
        folder = os.path.join(m.cache, "partial")
        path, = (os.path.join(folder, n) for n in os.listdir(folder))
        least = 5 * BLOCK + HANDS * (1000000 - NOTED - 65536)
        wait_for(lambda: sum(noted(path)) >= least, "the notes")
        m.allowed.add(-9)
        m.kill()
        asked.end()
        self.assertIsNotNone(asked.error)
        self.hub.clear_faults()
        return noted(path)

    def test_a_killed_download_is_gone_on_with(self):
        first = self.mount(cache="one")
        got = self.kill_in_the_middle(first)
        self.hub.reset()
        m = self.mount(cache="one")
        self.assertEqual(read(m.at(self.name())), large())
        ranges = self.ranges()
        self.assert_once(ranges, SIZE - sum(got))
        for begin, end in ranges:
            block = begin // BLOCK
            self.assertEqual(begin, block * BLOCK + got[block])
            self.assertLessEqual(end, (block + 1) * BLOCK)
        self.assertEqual(os.listdir(os.path.join(m.cache, "partial")), [])

    def test_a_verb_goes_on_with_what_a_mount_left(self):
        first = self.mount(cache="one")
        got = self.kill_in_the_middle(first)
        self.hub.reset()
        done = self.fetch(first.cache, "acme/big")
        out, _ = done.communicate(timeout=60)
        self.assertEqual(done.returncode, 0, out)
        self.assert_once(self.ranges(), SIZE - sum(got))

    def test_a_damaged_half_is_found_and_asked_for_again(self):
        first = self.mount(cache="one")
        self.kill_in_the_middle(first)
        folder = os.path.join(first.cache, "partial")
        path, = (os.path.join(folder, n) for n in os.listdir(folder))
        with open(path, "r+b") as f:
            f.seek(12345)
            f.write(b"\0" * 4096)
        m = self.mount(cache="one")
        self.assertEqual(read(m.at(self.name())), large())

    def test_a_signed_link_that_expires_is_renewed(self):
        m = self.mount()
        self.hub.fault("status", code=403, origin="cdn", skip=4, times=1)
        self.assertEqual(read(m.at(self.name())), large())
        self.assert_once(self.ranges())
        self.assertEqual(len(self.resolves()), 2)

    def test_a_server_without_ranges(self):
        m = self.mount()
        self.hub.fault("body", code=200, origin="cdn",
                       body_base64=base64.b64encode(large()).decode())
        self.assertEqual(read(m.at(self.name())), large())

    def test_a_cut_in_every_second_block(self):
        m = self.mount()
        for skip in range(1, 14, 2):
            self.hub.fault("cut", after=700000, origin="cdn", skip=skip,
                           times=1)
        self.assertEqual(read(m.at(self.name())), large())
        self.assertGreater(len(self.ranges()), -(-SIZE // BLOCK))

    def test_eight_processes_bring_it_once(self):
        cache = os.path.join(self.dir, "shared")
        gate = self.hub.fault("stall", origin="cdn")
        all_ = [self.fetch(cache, "acme/big") for _ in range(8)]
        wait_for(lambda: gate.waiting >= 1, "a download")
        self.hub.clear_faults()
        for one in all_:
            out, _ = one.communicate(timeout=120)
            self.assertEqual(one.returncode, 0, out)
        self.assert_once([r for r in self.ranges() if r[1] > 1000])

    def questions(self):
        """Whose libraries the Hub was asked for, in order."""
        return [re.match(r"/kernels/acme/(\w+)/resolve/", line["path"])[1]
                for line in self.hub.counts()["log"]
                if line["endpoint"] == "resolve" and
                line["path"].endswith(".so")]

    def test_an_import_overtakes_a_fetch_of_many(self):
        m = self.mount(cache="one")
        os.listdir(os.path.dirname(m.at(self.name("acme/one"))))
        self.hub.reset()
        many = self.hub.fault("stall", path=r"acme/many/resolve/.*\.so")
        one = self.hub.fault("stall", path=r"acme/one/resolve/.*\.so")
        fetch = self.fetch(m.cache, "acme/many", "--connections=8")
        wait_for(lambda: many.waiting == 8, "the fetch's first questions")
        asked = Asked(read, m.at(self.name("acme/one", "lib.so")))
        wait_for(lambda: one.waiting == 1, "the import's question")
        many.release()
        wait_for(lambda: sum(1 for line in self.hub.counts()["log"]
                             if line["origin"] == "cdn" and
                             line["status"] == 200) == 8,
                 "what the fetch had begun")
        # while somebody waits, the fetch begins nothing more; meanwhile
        # others ask and are answered
        os.listdir(os.path.dirname(m.at(self.name("acme/two"))))
        read(m.at(self.name("acme/two", "lib.so")))
        self.assertEqual(self.questions().count("many"), 8)
        one.release()
        asked.end()
        self.assertIsNone(asked.error)
        out, _ = fetch.communicate(timeout=120)
        self.assertEqual(fetch.returncode, 0, out)
        self.assertEqual(self.questions()[:10], 8 * ["many"] + ["one", "two"])
        self.assertEqual(len(self.questions()), SMALL + 2)


if __name__ == "__main__":
    unittest.main()
