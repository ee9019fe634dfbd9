# SPDX-License-Identifier: Apache-2.0
"""The cache below a mount: its size, what is in use, who shares it, and what
lies below it."""

import glob
import hashlib
import os
import subprocess
import sys
import unittest

from mounted import (
    DEADLINE, ROOT, MountCase, clean_environment, lfs_bytes, make_kernel,
    make_owner, read, text, wait_for)

SIZE = 200000
COUNT = 12
LIMIT = 900000
VENV = os.path.join(ROOT, "build", "venv", "bin", "python")


def content(i):
    return lfs_bytes(SIZE, "file %d" % i)


def blobs(cache):
    return glob.glob(cache + "/blobs/*/*")


def size_of(cache):
    return sum(os.stat(path).st_size for path in blobs(cache))


# Maps a file, touches its first page, and reads the rest when it is told to.
HOLDER = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
m[0]
print("mapped", flush=True)
sys.stdin.readline()
print(hashlib.sha256(m[:]).hexdigest(), flush=True)
"""


class CacheCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/big", "v1", {"torch-universal": {
            "__init__.py": "X = 1\n",
            **{"data%d.bin" % i: content(i) for i in range(COUNT)}}})

        for repo in ("acme/old", "acme/used"):
            make_kernel(root, repo, "v1", {"torch-universal": {
                "__init__.py": "X = 1\n",
                "data.bin": lfs_bytes(SIZE, repo)}})

    def file(self, m, i):
        return m.at("acme", "big@v1", "build", "torch-universal",
                    "data%d.bin" % i)

    def read_all(self, m):
        for i in range(COUNT):
            self.assertEqual(read(self.file(m, i)), content(i))


class TestSize(CacheCase):
    def test_it_is_kept_and_everything_is_read_right(self):
        m = self.mount("--cache-size=%d" % LIMIT)
        for _ in range(2):
            for i in range(COUNT):
                self.assertEqual(read(self.file(m, i)), content(i))
                self.assertLessEqual(size_of(m.cache), LIMIT)
        status = m.json("status")["cache"]
        self.assertEqual(status["limit"], LIMIT)
        self.assertEqual(status["bytes"], size_of(m.cache))
        self.assertEqual(status["blobs"], len(blobs(m.cache)))

    def test_what_is_mapped_stays_and_reads_on(self):
        m = self.mount("--cache-size=%d" % LIMIT)
        first = self.file(m, 0)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, first], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(holder.stdout.readline(), "mapped\n")
            held = blobs(m.cache)
            inode = os.stat(first).st_ino
            for i in range(1, COUNT):
                self.assertEqual(read(self.file(m, i)), content(i))
            hexes = os.getxattr(first, "user.kernelfs.hash").decode()
            kept = [path for path in held
                    if os.path.basename(path) in hexes]
            self.assertEqual(len(kept), 1, (held, hexes))
            self.assertTrue(os.path.exists(kept[0]))
            out, _ = holder.communicate("go\n", DEADLINE)
            self.assertEqual(out.strip(),
                             hashlib.sha256(content(0)).hexdigest())
            self.assertEqual(os.stat(first).st_ino, inode)
        finally:
            holder.kill()
            holder.wait()

    def test_builds_that_are_used_keep_their_blobs(self):
        m = self.mount(cache="used")
        for repo in ("acme/old", "acme/used"):
            self.assertEqual(read(m.at(repo + "@v1", "build",
                                       "torch-universal", "data.bin")),
                             lfs_bytes(SIZE, repo))
        m.end()
        notes = {text(path).split("\n")[2]: path for path in
                 glob.glob(m.cache + "/notes/uses/*/*")}
        os.utime(notes["acme/old"], (2000, 2000))
        for path in blobs(m.cache):
            os.utime(path, (1000, 1000))
        # All four are one byte too much: one must go.
        m = self.mount("--cache-size=%d" % (4 * SIZE - 1), cache="used")
        for i in range(2):
            read(self.file(m, i))
        for repo, state in (("acme/old", "remote"), ("acme/used", "verified")):
            self.assertEqual(m.xattr("state", repo + "@v1", "build",
                                     "torch-universal", "data.bin"), state)

    def test_nothing_to_remove_is_enospc(self):
        m = self.mount("--cache-size=%d" % (SIZE - 1))
        self.refuses("ENOSPC", read, self.file(m, 0))
        self.assertIn("cache_size", m.log())

    def test_a_blob_that_was_cut_is_fetched_again(self):
        m = self.mount(cache="cut")
        self.assertEqual(read(self.file(m, 0)), content(0))
        m.end()
        for path in blobs(m.cache):
            os.chmod(path, 0o600)
            os.truncate(path, 5)
        m = self.mount(cache="cut")
        self.assertEqual(read(self.file(m, 0)), content(0))


class TestTwo(CacheCase):
    def test_two_daemons_share_one_cache(self):
        a = self.mount(cache="shared")
        b = self.mount(cache="shared")
        self.read_all(a)
        self.hub.reset()
        self.read_all(b)
        self.assertNotIn("resolve", b.counts())
        self.assertNotIn("cdn", b.counts())
        self.assertEqual(a.json("status")["cache"]["bytes"],
                         b.json("status")["cache"]["bytes"])

    def test_two_daemons_hold_one_limit(self):
        option = "--cache-size=%d" % LIMIT
        a = self.mount(option, cache="shared")
        b = self.mount(option, cache="shared")
        for _ in range(2):
            for i in range(COUNT):
                for m, j in ((a, i), (b, COUNT - 1 - i)):
                    self.assertEqual(read(self.file(m, j)), content(j))
        wait_for(lambda: size_of(a.cache) <= LIMIT, "the limit")


@unittest.skipUnless(os.path.exists(VENV), "no build/venv: run make setup")
class TestTiers(CacheCase):
    def hub_cache(self):
        """What the Hub's own client leaves."""
        where = os.path.join(self.dir, "hf")
        subprocess.run(
            [VENV, "-c", "import huggingface_hub as h; h.snapshot_download("
             "'acme/big', repo_type='kernel', revision='v1')"],
            env=clean_environment(HF_ENDPOINT=self.hub.url, HF_HUB_CACHE=where,
                                  HF_HOME=os.path.join(self.dir, "home"),
                                  HF_HUB_DISABLE_XET="1"),
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=6 * DEADLINE)
        self.assertTrue(glob.glob(where + "/kernels--acme--big/blobs/*"))
        self.hub.reset()
        return where

    def assert_from_tier(self, m):
        self.read_all(m)
        self.assertEqual(text(m.at("acme", "big@v1", "build",
                                   "torch-universal", "__init__.py")),
                         "X = 1\n")
        counts = m.counts()
        self.assertNotIn("cdn", counts)
        large = [line for line in m.requests() if ".bin" in line or
                 "__init__.py" in line]
        self.assertEqual(large, [])
        # neither fetched nor copied: at most what the choice was made by
        self.assertLess(size_of(m.cache), 10000)

    def test_the_hub_clients_cache_is_used_unasked(self):
        where = self.hub_cache()
        m = self.mount(environment={"HF_HUB_CACHE": where})
        self.assert_from_tier(m)
        wait_for(lambda: m.xattr("state", "acme", "big@v1", "build",
                                 "torch-universal") == "verified",
                 "the rest of the build")

    def test_wrong_content_there_is_fetched_instead(self):
        where = self.hub_cache()
        for path in glob.glob(where + "/kernels--acme--big/blobs/*"):
            if os.path.getsize(path) == SIZE:
                with open(path, "r+b") as f:
                    f.write(b"wrong")
        m = self.mount("--tier=" + where)
        self.read_all(m)
        self.assertIn("does not match its hash", m.log())
        self.assertGreaterEqual(size_of(m.cache), COUNT * SIZE)

    def test_another_cache_of_ours_answers_with_no_request(self):
        first = self.mount()
        self.read_all(first)
        commit = self.commit("acme/big")
        first.end()
        self.hub.reset()
        m = self.mount("--tier=" + first.cache)
        for i in range(COUNT):
            self.assertEqual(
                read(m.at("acme", "big@" + commit, "build",
                          "torch-universal", "data%d.bin" % i)), content(i))
        asked = [line for line in m.requests() if "acme/big" in line]
        self.assertEqual(asked, [])


if __name__ == "__main__":
    unittest.main()
