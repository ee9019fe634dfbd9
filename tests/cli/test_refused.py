#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lock files, projects and ranges that are none: the program as a person
calls it. Each is refused in one sentence with the place, and loses nothing."""

import glob
import json
import os
import unittest

from case import ENV_CPU, ROOT, Case

ENV = "--env=" + ENV_CPU
REFUSED = os.path.join(ROOT, "tests", "data", "must-refuse")
RANGES = (
    ">=", ">= ", "==", "~=1", ">=1,,2x", "==1.*.2", ">=1.*", "<1+local", "=1",
    ">=1;2", ">=1 2", "!1", "<>1", ">=v", ">=1.0.0.devx", "~=1.*",
    ">=" + "9" * 300, ">=1," * 100 + ">=1", ">=1\n", ">=\u0661", ">=1\x1b[2J",
    ">=1/../../x", "*", "", "latest", "v1", "main")


def corpus(name):
    out = sorted(glob.glob(os.path.join(REFUSED, name, "*")))
    assert len(out) > 10, name
    return out


class Refused(Case):
    def setUp(self):
        super().setUp()
        self.start_hub()

    def asks_nobody(self):
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_lock_files(self):
        """By every verb that reads one; the mount as well."""
        place = os.path.join(self.dir, "place")
        os.mkdir(place)
        verbs = (("resolve", ENV, "acme/relu"), ("fetch", ENV),
                 ("verify", ENV), ("mount", place, "-f", ENV))
        for i, path in enumerate(corpus("lockfile")):
            verb = verbs[i % len(verbs)]
            with self.subTest(os.path.basename(path), verb=verb[0]):
                self.bad(2, path + ":", *verb, "--lock=" + path)
        self.asks_nobody()
        self.assertFalse(os.path.ismount(place))

    def test_one_of_each_kind_says_where(self):
        for name, says in (
                ("duplicate", "is there twice"),
                ("doubled_key", ":"),
                ("version_and_revision", "entry 1: not exactly one of"),
                ("mixed_formats", "entry 2"),
                ("short_commit", "no commit of 40 hex digits"),
                ("repo_traversal", "entry 1"),
                ("too_many", "more than")):
            path = os.path.join(REFUSED, "lockfile", name)
            with self.subTest(name):
                self.bad(2, says, "resolve", ENV, "acme/relu",
                         "--lock=" + path)

    def test_what_is_no_file_to_read(self):
        huge = os.path.join(self.dir, "huge.lock")
        with open(huge, "wb") as f:
            f.truncate(1 << 40)
        fifo = os.path.join(self.dir, "fifo.lock")
        os.mkfifo(fifo)
        loop = os.path.join(self.dir, "loop.lock")
        os.symlink(loop, loop)
        for path, code in ((huge, 2), (fifo, 2), (self.dir, 1), (loop, 1),
                           ("/dev/zero", None)):
            with self.subTest(path):
                done = self.run_it("resolve", ENV, "acme/relu",
                                   "--lock=" + path)
                self.assertIn(done.code, (code,) if code else (1, 2), done)
                self.assertEqual(done.err.count("\n"), 1, done)
                self.assertIn(path, done.err)
        self.asks_nobody()

    def project(self, path):
        folder = os.path.join(self.dir, os.path.basename(path))
        os.mkdir(folder)
        with open(path, "rb") as f, \
                open(os.path.join(folder, "pyproject.toml"), "wb") as to:
            to.write(f.read())
        with open(os.path.join(folder, "kernels.lock"), "w",
                  encoding="utf-8") as to:
            to.write("[]")
        return folder

    def test_projects(self):
        lines = 0
        for path in corpus("project"):
            with self.subTest(os.path.basename(path)):
                folder = self.project(path)
                done = self.run_it("lock", folder)
                self.assertIn(done.code, (1, 2), done)
                self.assertEqual(done.out, "")
                self.assertEqual(done.err.count("\n"), 1, done)
                place = "kernelfs: %s/pyproject.toml:" % folder
                self.assertTrue(done.err.startswith(place), done)
                lines += done.err[len(place):].partition(":")[0].isdigit()
                with open(os.path.join(folder, "kernels.lock"),
                          encoding="utf-8") as f:
                    self.assertEqual(f.read(), "[]")
                self.assertEqual(sorted(os.listdir(folder)),
                                 ["kernels.lock", "pyproject.toml"])
        # all but those that have too many, or no table at all
        self.assertGreaterEqual(lines, len(corpus("project")) - 3)
        self.asks_nobody()

    def test_ranges(self):
        """By --range and as part of a name."""
        for text in RANGES:
            with self.subTest(text):
                done = self.run_it("resolve", ENV, "acme/relu",
                                   "--range=" + text)
                self.assertEqual((done.code, done.out), (2, ""), done)
                self.assertEqual(done.err.count("\n"), 1, done)
                self.assertNotIn("\x1b", done.err)
                if text[:1] in ("<", ">", "=", "!", "~"):
                    done = self.run_it("resolve", ENV, "acme/relu@" + text)
                    self.assertEqual((done.code, done.out), (2, ""), done)
        self.asks_nobody()

    def test_the_old_format_contradicts_itself(self):
        """One repository, twice, with two commits."""
        path = os.path.join(self.dir, "two.lock")
        entry = {"repo_id": "acme/relu", "variants": {}}
        with open(path, "w", encoding="utf-8") as f:
            json.dump([dict(entry, sha=c * 40) for c in "ab"], f)
        self.bad(2, "'acme/relu' is there twice", "resolve", ENV,
                 "acme/relu", "--lock=" + path)


if __name__ == "__main__":
    unittest.main()
