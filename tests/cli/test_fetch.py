#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`fetch`, `verify` and ranges, on the stand-in Hub; no mount."""

import glob
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import unittest

from case import DEADLINE, ENV_CPU, KERNELFS, Case, make_repo

ENV = "--env=" + ENV_CPU
FIT = "torch-cpu"
BIG = make_repo.lfs_bytes(3 << 20, seed=5)


class Fetching(Case):
    def setUp(self):
        super().setUp()
        self.start_hub()
        root = os.path.join(self.dir, "root")
        for version, mark in ((1, "one"), (2, "two")):
            make_repo.make_kernel(root, "acme/tool", "v%d" % version, {
                ENV_CPU: {"__init__.py": "X = %r\n" % mark, "big.so": BIG},
                "torch-cuda": {"__init__.py": "X = 'cuda'\n"}})
        for n in ("1.0.0", "1.2.0", "2.0.0"):
            make_repo.make_tag(root, "acme/tool", "v" + n,
                               "v2" if n[0] == "2" else "v1")
        self.hub.reload()

    def lock(self, **revisions):
        path = os.path.join(self.dir, "kernels.lock")
        document = [
            {"dependency": {"repo-id": "acme/" + name, "version": version},
             "lock": {"commit": self.hub.commit("acme/" + name,
                                                "v%d" % version)}}
            for name, version in revisions.items()]
        with open(path, "w", encoding="utf-8") as f:
            json.dump(document, f)
        return path

    def old_lock(self, digest):
        path = os.path.join(self.dir, "old.lock")
        with open(path, "w", encoding="utf-8") as f:
            json.dump([{"repo_id": "acme/tool",
                        "sha": self.hub.commit("acme/tool", "v1"),
                        "variants": {ENV_CPU: {
                            "hash": "sha256-" + digest,
                            "hash_type": "git_lfs_concat"}}}], f)
        return path

    def blob_of(self, content):
        hexed = hashlib.sha256(content).hexdigest()
        (path,) = glob.glob(self.cache + "/blobs/*/" + hexed)
        return path

    def damage(self, path):
        os.chmod(path, 0o600)
        with open(path, "r+b") as f:
            f.seek(100)
            f.write(b"damaged")


class Fetch(Fetching):
    def test_what_was_fetched_needs_no_request_again(self):
        # Its metadata.json is there already: it was read to choose.
        out = self.good("fetch", ENV, "acme/tool@v1")
        self.assertRegex(out, r"\Aacme/tool@v1  %s  3 files, 3\.0 MiB, "
                              r"2 fetched\n\Z" % ENV_CPU)
        self.blob_of(BIG)
        self.hub.reset()
        pinned = "acme/tool@" + self.hub.commit("acme/tool", "v1")
        out = self.good("fetch", ENV, pinned)
        self.assertIn(", 0 fetched\n", out)
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_json(self):
        (one,) = json.loads(self.good("fetch", ENV, "acme/tool", "--json"))
        self.assertEqual(
            (one["repo"], one["revision"], one["variant"], one["files"],
             one["fetched"], one["failed"]),
            ("acme/tool", "v2", ENV_CPU, 3, 2, 0))
        self.assertEqual(one["commit"], self.hub.commit("acme/tool", "v2"))

    def test_all_variants(self):
        out = self.good("fetch", ENV, "acme/tool@v1", "--all-variants")
        self.assertEqual(sorted(line.split()[1] for line in
                                out.splitlines()),
                         sorted([ENV_CPU, "torch-cuda"]))

    def test_all_that_a_lock_lists(self):
        lock = self.lock(tool=1, relu=1)
        out = self.good("fetch", ENV, "--lock", lock)
        self.assertEqual([line.split()[0] for line in out.splitlines()],
                         ["acme/relu@v1", "acme/tool@v1"])

    def test_nothing_to_do_is_misuse(self):
        self.bad(2, "--lock=FILE", "fetch")
        self.bad(2, "acme", "fetch", "acme")
        self.bad(1, "gone.lock", "fetch", "--lock=gone.lock")
        self.bad(2, "--all-variants", "env", "--all-variants")

    def test_the_others_are_fetched_when_one_has_no_build(self):
        done = self.run_it("fetch", ENV, "acme/metal-only", "acme/tool@v1")
        self.assertEqual(done.code, 3, done)
        self.assertIn("acme/metal-only", done.err)
        self.assertIn("2 fetched", done.out)
        done = self.run_it("fetch", ENV, "stranger/relu")
        self.assertEqual((done.code, done.out), (1, ""))
        done = self.run_it("fetch", ENV, "stranger/relu", "--all-variants")
        self.assertEqual((done.code, done.out), (1, ""))

    def test_bytes_that_are_wrong_are_said(self):
        self.hub.fault("wrong_bytes", path="big.so", origin="cdn")
        done = self.run_it("fetch", ENV, "acme/tool@v1")
        self.assertEqual(done.code, 4, done)
        self.assertIn("1 not", done.out)

    def test_offline_is_refused_at_once(self):
        self.bad(1, "offline", "fetch", ENV, "acme/tool", "--offline")
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_a_source_that_is_down_is_said_once(self):
        gone = {"HF_ENDPOINT": "http://127.0.0.1:1"}
        project = os.path.join(self.dir, "pyproject.toml")
        with open(project, "w", encoding="utf-8") as f:
            f.write('[tool.kernels.dependencies]\n"acme/tool" = 1\n')
        for args in (["fetch", ENV, "acme/tool"], ["lock"]):
            done = self.bad(1, "Failed to connect", *args, env=gone)
            self.assertEqual(done.err.count("http://127.0.0.1:1/"), 1, done)

    def test_what_is_cached_goes_on_and_says_why(self):
        self.good("fetch", ENV, "acme/tool")
        self.hub.close()
        done = self.run_it("fetch", ENV, "acme/tool")
        self.assertEqual((done.code, done.err.count("\n")), (0, 1), done)
        self.assertIn("does not answer", done.err)
        self.assertIn("0 fetched", done.out)

    def test_a_file_that_fails_is_named_once(self):
        self.hub.fault("status", path="big.so", code=404)
        done = self.run_it("fetch", ENV, "acme/tool@v1")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.err.count("/build/%s/big.so'" % ENV_CPU), 1, done)

    def test_a_terminal_sees_a_bar(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(
            [KERNELFS, "fetch", ENV, "--lock", self.lock(tool=1, relu=1)],
            cwd=self.dir, env=self.env(TERM="xterm"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        out, _ = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(out.count(b" fetched\n"), 2, out)
        self.assertIn(b"3 files, 3.0 MiB, 2 fetched", out)
        shown = b""
        try:
            while True:
                shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            pass
        self.assertRegex(shown, rb"\r\[#*\.*\] .* of 3\.0 MiB, \d of 3 files")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown[-100:])

    def test_ctrl_c_ends_it_and_leaves_nothing_half(self):
        self.hub.fault("stall", path="big.so", after=1000)
        process = self.start("fetch", ENV, "--lock", self.lock(tool=1))
        self.wait_for(lambda: any("big.so" in line["path"] for line in
                                  self.hub.counts()["log"])
                      or process.poll() is not None)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(out, b"")
        self.assertEqual(self.leftovers(), [])


class Verify(Fetching):
    def test_what_is_whole_verifies_without_a_request(self):
        self.good("fetch", ENV, "acme/tool@v1")
        self.hub.reset()
        out = self.good("verify", ENV, "acme/tool@v1")
        self.assertEqual(out, "acme/tool@v1  %s  verified\n" % ENV_CPU)
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_what_is_missing_is_not_called_offline(self):
        self.bad(4, "'acme/tool@v1' is not in the cache; `kernelfs fetch`",
                 "verify", ENV, "acme/tool@v1")

    def test_a_damaged_blob_is_found(self):
        self.good("fetch", ENV, "acme/tool@v1")
        self.damage(self.blob_of(BIG))
        done = self.run_it("verify", ENV, "acme/tool@v1")
        self.assertEqual(done.code, 4, done)
        self.assertIn("'big.so' is damaged", done.out)
        self.assertIn(hashlib.sha256(BIG).hexdigest(), done.out)
        done = self.run_it("verify", ENV, "acme/tool@v1", "--json")
        (one,) = json.loads(done.out)
        self.assertIs(one["verified"], False)
        self.assertIn("big.so", one["reason"])

    def test_a_missing_blob_is_found(self):
        self.good("fetch", ENV, "acme/tool@v1")
        os.unlink(self.blob_of(BIG))
        done = self.run_it("verify", ENV, "acme/tool@v1")
        self.assertEqual(done.code, 4, done)
        self.assertIn("'big.so' is not in the cache", done.out)
        self.good("fetch", ENV, "acme/tool@v1")
        self.good("verify", ENV, "acme/tool@v1")

    def test_what_was_never_fetched_does_not_verify(self):
        done = self.run_it("verify", ENV, "acme/tool@v1")
        self.assertEqual(done.code, 4, done)
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_a_lock_and_the_cache_agree(self):
        lock = self.lock(tool=1, relu=1)
        self.good("fetch", ENV, "--lock", lock)
        self.assertEqual(self.good("verify", ENV, "--lock", lock)
                         .count("verified\n"), 2)
        more = self.run_it("verify", ENV, "--lock", lock, "--all-variants")
        self.assertEqual(more.code, 4, more)
        self.good("fetch", ENV, "--lock", lock, "--all-variants")
        self.good("verify", ENV, "--lock", lock, "--all-variants")

    def test_hashes_of_an_old_lock_are_compared(self):
        self.good("fetch", ENV, "acme/tool@v1")
        done = self.run_it("verify", ENV, "--lock", self.old_lock("0" * 64))
        self.assertEqual(done.code, 4, done)
        said = done.out + done.err
        real = re.search(r"(?!0{64})[0-9a-f]{64}", said)
        self.assertTrue(real, done)
        self.good("verify", ENV, "--lock", self.old_lock(real.group()))


class Ranges(Fetching):
    def commit(self, *args):
        return json.loads(self.good("resolve", ENV, "--json", *args))

    def test_a_range_takes_the_highest_tag_that_fits(self):
        for spec, commit in ((">=1,<2", "v1"), ("~=1.0", "v1"),
                             ("==2.*", "v2"), (">=1", "v2"),
                             ("!=2.0.0", "v1")):
            want = self.hub.commit("acme/tool", commit)
            self.assertEqual(self.commit("acme/tool", "--range",
                                         spec)["commit"], want)
            self.assertEqual(self.commit("acme/tool@" + spec)["commit"],
                             want)

    def test_what_is_no_range_is_misuse(self):
        self.bad(2, "is no range", "resolve", "acme/tool", "--range=v1")
        self.bad(2, "", "resolve", "acme/tool", "--range=>=x!")
        self.bad(2, "already", "resolve", "acme/tool@v1", "--range=>=1")
        self.bad(2, "--range", "env", "--range=>=1")
        self.bad(2, "needs a value", "resolve", "acme/tool", "--range")

    def test_a_range_that_nothing_fits(self):
        self.bad(1, "acme/tool", "resolve", ENV, "acme/tool", "--range=>=9")


class Locked(Fetching):
    def test_a_locked_name_leads_to_its_commit(self):
        lock = self.lock(tool=1)
        got = json.loads(self.good("resolve", ENV, "acme/tool", "--json",
                                   "--lock", lock))
        self.assertEqual(got["commit"], self.hub.commit("acme/tool", "v1"))

    def test_what_is_not_locked_is_refused(self):
        lock = self.lock(tool=1)
        self.good("resolve", ENV, "acme/tool", "--lock", lock, "--locked")
        for word in ("acme/tool@v2", "acme/relu", "acme/relu@v1"):
            done = self.bad(1, "kernelfs lock", "resolve", ENV, word,
                            "--lock", lock, "--locked")
            self.assertEqual(done.out, "")
        self.bad(2, "no lock file", "resolve", ENV, "acme/tool", "--locked")

    def test_a_malformed_lock_is_misuse(self):
        path = os.path.join(self.dir, "bad.lock")
        with open(path, "w", encoding="utf-8") as f:
            f.write("[{]")
        self.bad(2, "bad.lock", "resolve", ENV, "acme/tool", "--lock", path)


if __name__ == "__main__":
    unittest.main()
