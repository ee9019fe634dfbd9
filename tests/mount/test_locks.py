# SPDX-License-Identifier: Apache-2.0
"""lock= and locked: what the file pins, and what it refuses."""

import hashlib
import json
import os
import subprocess
import unittest

from mounted import (DEADLINE, PROGRAM, MountCase, clean_environment,
                     errno_of, lfs_bytes, make_kernel, make_owner)

BUILD = "build/torch-universal"


def files(mark):
    return {"torch-universal": {"__init__.py": "MARK = %r\n" % mark,
                                "lib.so": lfs_bytes(3000)}}


def entry(repo, version, commit):
    return {"dependency": {"repo-id": repo, "version": version},
            "lock": {"commit": commit}}


class LockCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for n in (1, 2):
            make_kernel(root, "acme/relu", "v%d" % n, files(n))
        make_kernel(root, "acme/silu", "v1", files("silu"))

    def lock(self, *entries):
        path = os.path.join(self.dir, "kernels.lock")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(entries, f, indent=2)
        return path

    def locked_v1(self):
        return self.lock(entry("acme/relu", 1, self.commit("acme/relu")))

    def move(self):
        make_kernel(self.root, "acme/relu", "v1", files("moved"))
        make_kernel(self.root, "acme/relu", "v3", files(3))
        self.hub.reload()

    def verb(self, *args):
        return subprocess.run(
            [PROGRAM, *args], env=clean_environment(HOME=self.dir),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=DEADLINE, universal_newlines=True)

    def mark(self, m, name):
        return m.text("acme", name, BUILD, "__init__.py")


class TestLock(LockCase):
    def test_the_default_and_its_version_are_the_locked_commit(self):
        old = self.commit("acme/relu")
        lock = self.locked_v1()
        self.move()
        m = self.mount("--lock=" + lock)
        self.assertEqual(m.link("acme/relu"), "relu@v1")
        self.assertEqual(m.link("acme/relu@v1"), "relu@" + old)
        self.assertEqual(m.link("acme/relu@1"), "relu@" + old)
        for name in ("relu", "relu@v1", "relu@1"):
            self.assertEqual(self.mark(m, name), "MARK = 1\n")
        self.assertEqual(self.mark(m, "relu@latest"), "MARK = 3\n")
        self.assertEqual(self.mark(m, "relu@v2"), "MARK = 2\n")
        self.assertEqual(self.mark(m, "silu"), "MARK = 'silu'\n")

    def test_it_goes_before_the_config(self):
        m = self.mount("--lock=" + self.locked_v1(),
                       imports=("acme/relu@v2",))
        self.assertEqual(m.link("acme/relu"), "relu@v1")

    def test_a_locked_kernel_has_an_import_name(self):
        m = self.mount("--lock=" + self.locked_v1(), "--import=acme/silu",
                       imports=())
        self.assertIn("relu", m.ls())
        done = m.python("import relu; print(relu.MARK)")
        self.assertEqual(done.stdout, "1\n", done.stderr)

    def test_the_second_mount_asks_nobody(self):
        lock = self.locked_v1()
        for _ in range(2):
            self.hub.reset()
            m = self.mount("--lock=" + lock, cache="one", imports=(
                "acme/relu",))
            done = m.python("import relu; print(relu.MARK)")
            self.assertEqual(done.stdout, "1\n", done.stderr)
            self.assertNotIn("refs", m.counts())
            m.end()
        self.assert_requests()


class TestLocked(LockCase):
    def test_what_it_does_not_list_is_refused(self):
        commit = self.commit("acme/relu")
        other = self.commit("acme/relu", "v2")
        m = self.mount("--lock=" + self.locked_v1(), "--locked")
        for name in ("relu", "relu@v1", "relu@" + commit):
            self.assertEqual(self.mark(m, name), "MARK = 1\n")
        for name in ("relu@v2", "relu@latest", "relu@main", "silu",
                     "silu@v1", "relu@" + other, "relu@>=0.1"):
            self.assertEqual(errno_of(
                os.listdir, m.at("acme", name, "build")), "EPERM", name)
        hub = ".hub/kernels--acme--"
        for name in ("silu", "relu/refs/v2", "relu/refs/main",
                     "relu/snapshots/" + other):
            self.refuses("EPERM", os.lstat, m.at(hub + name))
        self.assertEqual(m.text(hub + "relu/refs/v1"), commit)
        said = m.control("log")
        self.assertIn("acme/relu@v2", said)
        self.assertIn("kernels.lock", said)
        self.assertIn("`kernelfs lock`", said)
        self.assertNotIn("refs", m.counts())

    def test_it_is_not_listed_and_why_has_the_sentence(self):
        m = self.mount("--lock=" + self.locked_v1(), "--locked")
        self.assertEqual(m.ls("acme"), ["relu"])
        for name in ("silu", "relu@v2", "relu@>=0.1"):
            done = self.verb("why", m.at("acme", name))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("'acme/%s' is not in " % name, done.stdout)
        told = json.loads(
            self.verb("why", "--json", m.at("acme/silu")).stdout)
        self.assertIn("'acme/silu' is not in ", told["why"])
        self.assertIsNone(told["target"])

    def test_the_import_explains(self):
        m = self.mount("--lock=" + self.locked_v1(), "--locked")
        done = m.python("import relu; print(relu.MARK)")
        self.assertEqual(done.stdout, "1\n", done.stderr)
        done = m.python("import silu")
        self.assertEqual(done.returncode, 1)
        for word in ("ImportError", "acme/silu", "kernels.lock",
                     "kernelfs lock"):
            self.assertIn(word, done.stderr)


class TestOldFormat(LockCase):
    def old(self, change=None):
        folder = os.path.join(self.root, "acme/relu/branches/v1", BUILD)
        hasher = hashlib.sha256()
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as f:
                content = f.read()
            git = b"blob %d\0" % len(content)
            one = hashlib.sha256(content) if name.endswith(".so") else \
                hashlib.sha1(git + content)
            hasher.update(name.encode() + one.digest())
        digest = hasher.hexdigest()
        if change:
            digest = change + digest[len(change):]
        return digest, self.lock({
            "repo_id": "acme/relu", "sha": self.commit("acme/relu"),
            "variants": {"torch-universal": {
                "hash": "sha256-" + digest,
                "hash_type": "git_lfs_concat"}}})

    def test_a_build_that_has_its_hash_is_served(self):
        m = self.mount("--lock=" + self.old()[1], "--locked")
        self.assertEqual(m.link("acme/relu"),
                         "relu@" + self.commit("acme/relu"))
        self.assertEqual(self.mark(m, "relu"), "MARK = 1\n")

    def test_one_that_has_another_is_ebadmsg_before_its_first_byte(self):
        digest, lock = self.old(change="0123456789")
        m = self.mount("--lock=" + lock)
        self.refuses("EBADMSG", os.listdir, m.at("acme/relu/build"))
        self.refuses("EBADMSG", self.mark, m, "relu")
        self.assertIn("sha256-" + digest, m.control("log"))
        self.assertNotIn("resolve", m.counts())
        self.assertNotIn("cdn", m.counts())


if __name__ == "__main__":
    unittest.main()
