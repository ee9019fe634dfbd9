# SPDX-License-Identifier: Apache-2.0
"""The verbs that look after the cache, filled by `resolve` and a mount."""

import glob
import hashlib
import json
import os
import time
import unittest

from case import ENV_CPU, Case

FILES = {"__init__.py": "X = 4\n"}


class TestCache(Case):
    def fill(self):
        """Fetch the chosen build through a mount."""
        self.start_hub()
        mount = os.path.join(self.dir, "mount")
        os.mkdir(mount)
        done = self.run_it("--env=" + ENV_CPU, "--import=acme", mount)
        self.assertEqual(done.code, 0, done)
        try:
            with open(mount + "/relu/build/%s/__init__.py" % ENV_CPU,
                      encoding="utf-8") as f:
                self.assertEqual(f.read(), FILES["__init__.py"])
            self.wait_for(lambda: json.loads(self.status(mount))
                          ["downloads"]["queued"] == 0)
        finally:
            self.run_it("umount", mount)

    def status(self, mount):
        with open(mount + "/.kernelfs/status", encoding="utf-8") as f:
            return f.read()

    def ls(self, **more):
        return json.loads(self.good("cache", "ls", "--json", **more))

    def blob_of(self, text):
        """The blob of a small file: its name is that of git."""
        data = text.encode()
        name = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return os.path.join(self.cache, "blobs", name[:2], name)

    def damage(self, text):
        path = self.blob_of(text)
        os.chmod(path, 0o600)
        with open(path, "r+b") as f:
            f.write(b"Y")
        return path

    def test_an_empty_cache_lists_nothing(self):
        self.assertEqual(self.ls(), [])
        self.assertIn("0 bytes in 0 blobs", self.good("cache", "ls"))
        self.assertIn("0 blobs checked", self.good("cache", "verify"))
        self.assertIn("0 bytes removed", self.good("cache", "gc"))

    def test_ls_tells_builds_with_size_and_use(self):
        before = time.time()
        self.fill()
        # Not all of counts(): the Hub may not have counted its last bytes.
        asked = self.hub.counts()["requests"]
        lines = {line["variant"]: line for line in self.ls()}
        self.assertEqual(self.hub.counts()["requests"], asked)
        line = lines[ENV_CPU]
        self.assertEqual(set(line), {"repo", "commit", "variant", "bytes",
                                     "last_used", "verified"})
        self.assertEqual(line["repo"], "acme/relu")
        self.assertRegex(line["commit"], "^[0-9a-f]{40}$")
        self.assertGreaterEqual(line["bytes"], 6)
        self.assertIs(line["verified"], True)
        used = time.mktime(time.strptime(line["last_used"],
                                         "%Y-%m-%dT%H:%M:%SZ"))
        self.assertGreaterEqual(used - time.timezone, before - 2)
        plain = self.good("cache", "ls")
        self.assertIn("acme/relu@" + line["commit"], plain)
        self.assertIn("verified", plain)
        self.assertIn("at most 50.0 GiB", plain)
        os.unlink(self.blob_of(FILES["__init__.py"]))
        lines = {line["variant"]: line for line in self.ls()}
        self.assertIs(lines[ENV_CPU]["verified"], False)

    def test_verify_fetches_what_is_wrong_again(self):
        self.fill()
        self.assertIn(" 0 wrong", self.good("cache", "verify"))
        path = self.damage(FILES["__init__.py"])
        done = self.run_it("cache", "verify", "--json")
        self.assertEqual(done.code, 0, done)
        self.assertIn("does not match its name", done.err)
        told = json.loads(done.out)
        self.assertEqual((told["wrong"], told["fetched_again"],
                          told["missing"]), (1, 1, 0))
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), FILES["__init__.py"])

    def test_verify_says_with_4_what_cannot_be_mended(self):
        self.fill()
        path = self.damage(FILES["__init__.py"])
        done = self.run_it("cache", "verify", "--offline")
        self.assertEqual(done.code, 4, done)
        self.assertIn("1 missing now", done.out)
        self.assertFalse(os.path.exists(path))
        # and gone is not wrong
        self.assertEqual(self.run_it("cache", "verify").code, 0)

    def test_gc_holds_to_the_limits_and_forgets(self):
        self.fill()
        notes = glob.glob(self.cache + "/notes/uses/*/*")
        self.assertTrue(notes)
        told = json.loads(self.good("cache", "gc", "--cache-size=1",
                                    "--json"))
        self.assertGreater(told["removed_bytes"], 0)
        self.assertEqual((told["bytes"], told["blobs"]), (0, 0))
        # somebody may be about to fetch it: not before a day has passed
        self.assertEqual(told["forgotten"], 0)
        for note in notes:
            os.utime(note, (1, 1))
        told = json.loads(self.good("cache", "gc", "--json"))
        self.assertEqual(told["forgotten"], len(notes))
        self.assertEqual(glob.glob(self.cache + "/notes/uses/*/*"), [])
        self.assertEqual(glob.glob(self.cache + "/notes/trees/*/*"), [])
        self.assertEqual(self.ls(), [])

    def test_words_that_mean_nothing(self):
        self.bad(2, "usage: kernelfs cache ls|gc|verify", "cache", "clear")

    def test_a_newer_layout_is_refused(self):
        os.makedirs(self.cache, mode=0o700)
        with open(self.cache + "/layout", "w", encoding="ascii") as f:
            f.write("2\n")
        self.bad(1, "layout 2", "cache", "ls")
        with open(self.cache + "/layout", "w", encoding="ascii") as f:
            f.write("two\n")
        self.bad(1, "layout", "cache", "ls")

    def test_a_tier_must_be_there_and_another_folder(self):
        self.bad(1, "tier", "cache", "ls", "--tier=" + self.dir + "/no")
        self.bad(2, "is the cache itself", "cache", "ls",
                 "--tier=" + self.cache)


if __name__ == "__main__":
    unittest.main()
