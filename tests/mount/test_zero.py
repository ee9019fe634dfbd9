# SPDX-License-Identifier: Apache-2.0
"""A pinned, cached kernel asks nobody, whatever pins it and whatever else the
mount is told: each row is a new mount and a new process on a cache that a
mount before it filled. Counted where it would arrive."""

import json
import os
import socket
import subprocess

from gitcase import GitCase
from mounted import (
    DEADLINE, PROGRAM, SPEC, Hub, MountCase, make_kernel, make_owner, unittest)
from test_depends import kernel

TORCH = "torch-universal"
HTTP_GIT = "git+http"
NAMES = ("low", "mid", "high", "relu")
# A kernel that needs one that needs one, and one that needs nothing.
USE = "import high, relu; print(high.mid.low.NAME, relu.NAME)"
USED = "acme/low@v1 acme/relu@v1\n"


class ZeroCase(GitCase):
    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/low")
        kernel(root, "acme/mid", "acme/low@v1")
        kernel(root, "acme/high", "acme/mid@v1")
        kernel(root, "acme/relu")

    def setUp(self):
        super().setUp()
        self.other = os.path.join(self.dir, "other")
        make_owner(self.other, "acme")
        make_kernel(self.other, "acme/only-here", "v1", {
            TORCH: {"__init__.py": "NAME = 'only here'\n"}})
        self.second = Hub(self.other)
        self.addCleanup(self.second.close)
        self.at = {name: "acme/%s@%s" % (name, self.commit("acme/" + name))
                   for name in NAMES}
        self.pins = [self.at[name] for name in ("high", "relu")]
        self.lock_file = os.path.join(self.dir, "kernels.lock")
        with open(self.lock_file, "w", encoding="utf-8") as f:
            json.dump([{"dependency": {"repo-id": "acme/" + name,
                                       "version": 1},
                        "lock": {"commit": self.commit("acme/" + name)}}
                       for name in NAMES], f)

    def mount(self, *options, **how):
        how.setdefault("source", self.hub.url)
        return MountCase.mount(self, *options, **how)

    def forget(self):
        for hub in (self.hub, self.second, self.server):
            hub.reset()

    def assert_nobody_was_asked(self, what):
        for hub in (self.hub, self.second):
            counts = hub.counts()
            self.assertEqual(counts["log"], [], what)
            self.assertEqual(counts["by_endpoint"], {}, what)
            self.assertEqual(
                {k: v for k, v in counts["connections"].items() if v}, {},
                what)
        self.assertEqual(self.server.log, [], what)

    def imports(self, m, code=USE, says=USED, **how):
        done = m.python(code, **how)
        self.assertEqual((done.stdout, done.returncode), (says, 0),
                         done.stderr)

    def looks(self, m, top):
        """Everything that is said of a commit, and its bytes."""
        at = m.at(top, "build")
        self.assertEqual(os.listdir(at), [TORCH])
        for name in os.listdir(os.path.join(at, TORCH)):
            path = os.path.join(at, TORCH, name)
            with open(path, "rb") as f:
                self.assertTrue(f.read())
            for key in os.listxattr(path):
                os.getxattr(path, key)
        for name in ("decision", "decision.json", "depends.json"):
            self.assertTrue(m.text(top, ".kernelfs", name))
        self.assertIn(TORCH, m.ls(top, ".kernelfs/variants"))

    def uses(self, m):
        """By every path that holds the commit."""
        for top in self.at.values():
            self.looks(m, top)
        self.imports(m, "import relu; print(relu.NAME)", "acme/relu@v1\n",
                     path=m.at(self.at["relu"], "python"))
        self.imports(m, "import high; print(high.mid.low.NAME)",
                     "acme/low@v1\n", path=m.at(self.at["high"], "python"))
        repo, commit = self.at["relu"].split("@")
        at = m.at(".env", SPEC, self.at["relu"], "python", "relu")
        self.assertTrue(os.listdir(os.path.realpath(at)))
        at = m.at(".hub", "kernels--" + repo.replace("/", "--"), "snapshots",
                  commit, "build")
        self.assertEqual(os.listdir(at), [TORCH])
        with open(os.path.join(at, TORCH, "__init__.py"), "rb") as f:
            self.assertTrue(f.read())

    def locked_names(self, m):
        """The names that the lock pins, and the import names."""
        for name in NAMES:
            for rev in ("", "@v1", "@1"):
                os.listdir(m.at("acme", name + rev, "build", TORCH))
        self.assertEqual(m.link("acme/relu@v1"), self.at["relu"][5:])
        self.imports(m)
        repo, commit = self.at["relu"].split("@")
        folder = "kernels--" + repo.replace("/", "--")
        self.assertEqual(m.text(".hub", folder, "refs", "v1"), commit)

    def row(self, what, *options, pinned=None, using=None, imported=None,
            **how):
        """One row of the matrix: a mount of its own."""
        with self.subTest(what):
            how.setdefault("imports", pinned or ("nobody/none",))
            how.setdefault("cache", "one")
            self.forget()
            m = self.mount(*options, **how)
            try:
                (using or self.uses)(m)
                if pinned:
                    (imported or self.imports)(m)
                self.assert_nobody_was_asked(what)
            finally:
                m.end()

    @staticmethod
    def libraries(m):
        with open("/proc/%d/maps" % m.pid, encoding="utf-8") as f:
            return f.read()

    def fill(self, *options, **how):
        how.setdefault("cache", "one")
        m = self.mount(*options, imports=self.pins, **how)
        self.uses(m)
        self.imports(m)
        self.assertTrue(self.hub.counts()["log"])
        self.assertNotIn("libgit2", self.libraries(m))
        m.end()
        return m.cache


class TestHub(ZeroCase):
    def test_whatever_pins_it(self):
        self.fill()
        lock = "--lock=" + self.lock_file
        self.row("commits by path")
        self.row("import=o/r@commit", pinned=self.pins)
        self.row("lock", lock)
        self.row("lock, by its names", lock, using=self.locked_names)
        self.row("locked", lock, "--locked")
        self.row("locked, by its names", lock, "--locked",
                 using=self.locked_names)
        self.row("the environment's spelling", pinned=self.pins,
                 environment={"KERNELFS_LOCK": self.lock_file})

    def test_whatever_else_is_said(self):
        cache = self.fill()
        self.row("offline", "--offline", pinned=self.pins)
        self.row("HF_HUB_OFFLINE", pinned=self.pins,
                 environment={"HF_HUB_OFFLINE": "1"})
        self.row("offline and locked", "--offline", "--locked",
                 "--lock=" + self.lock_file, using=self.locked_names)
        self.row("refresh", "--refresh=1s", pinned=self.pins)
        self.row("backend", "--backend=cpu", pinned=self.pins)
        self.row("trust", "--trust=acme", pinned=self.pins)
        self.row("trust of a kernel", "--trust=acme/relu", pinned=self.pins)
        self.row("a token", pinned=self.pins,
                 environment={"HF_TOKEN": "hf_abc"})
        self.row("limits", "--cache-size=1G", "--min-free=1M",
                 pinned=self.pins)
        self.row("a tier", "--tier=" + cache, cache="two", pinned=self.pins)
        self.row("after `kernelfs refresh`", pinned=self.pins,
                 using=self.refreshed)

    def refreshed(self, m):
        done = subprocess.run([PROGRAM, "refresh", m.path], env=m.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.uses(m)

    def test_what_was_heard_long_ago_is_good_enough(self):
        """The Hub's word on publishers gets old; what is here is here."""
        cache = self.fill()
        for base, _, names in os.walk(os.path.join(cache, "notes")):
            for name in names:
                os.utime(os.path.join(base, name), (1e9, 1e9))
        self.row("old notes", pinned=self.pins)
        self.row("old notes and a lock", "--lock=" + self.lock_file,
                 "--locked", using=self.locked_names)

    def test_several_sources_and_addresses(self):
        # What holds the place of a dead Hub: connections would be seen.
        trap = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(trap.close)
        trap.setblocking(False)
        dead = "http://127.0.0.1:%d" % trap.getsockname()[1]
        options = ("--source=" + self.hub.url,)
        self.fill(*options, source=self.second.url)
        self.row("two sources, the second has it", *options,
                 source=self.second.url, pinned=self.pins)
        self.fill("--mirror=" + self.second.url, cache="two")
        self.row("a mirror", "--mirror=" + self.second.url, cache="two",
                 pinned=self.pins)
        self.row("mirrors that are dead", "--mirror=" + dead, cache="two",
                 pinned=self.pins)
        folder = os.path.join(self.dir, "folder")
        os.makedirs(folder)
        self.row("a folder behind it", "--source=file://" + folder,
                 cache="two", pinned=self.pins)
        self.row("a git server behind it",
                 "--source=git+" + self.server.url, cache="two",
                 pinned=self.pins)
        with self.assertRaises(BlockingIOError):
            trap.accept()

    def test_a_kernel_that_needs_one_of_another_source(self):
        make_owner(self.other, "base")
        kernel(self.other, "base/far")
        self.second.reload()
        kernel(self.root, "acme/top", "base/far@v1", "acme/relu@v1")
        self.hub.reload()
        how = {"cache": "one", "pinned": (
            "acme/top@" + self.commit("acme/top"),)}
        source = "--source=" + self.second.url

        def uses(m):
            self.imports(m, "import top; print(top.far.NAME, top.relu.NAME)",
                         "base/far@v1 acme/relu@v1\n")

        m = self.mount(source, imports=how["pinned"], cache="one")
        uses(m)
        self.assertIn("overview", self.second.counts()["by_endpoint"])
        m.end()
        self.row("needs another source's", source, using=uses, imported=uses,
                 **how)
        self.row("the same, offline", source, "--offline", using=uses,
                 imported=uses, **how)

    def run_it(self, *args):
        done = subprocess.run(
            [PROGRAM, *args, "--source=" + self.hub.url, "--env=" + SPEC,
             "--cache=" + self.cache], cwd=self.dir,
            env={"HOME": self.dir, "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout.decode()

    def test_the_command_line(self):
        self.cache = self.fill()
        lock = "--lock=" + self.lock_file
        for command in (
                *(["resolve", pin, "--json"] for pin in self.pins),
                *(["fetch", pin] for pin in self.pins),
                *(["verify", pin] for pin in self.pins),
                ["resolve", "acme/high", lock],
                ["resolve", "acme/high@v1", lock, "--locked"],
                ["resolve", "acme/high", lock, "--locked", "--offline"],
                ["fetch", lock], ["fetch", lock, "--locked"],
                ["verify", lock], ["cache", "ls"], ["cache", "verify"],
                ["cache", "gc"]):
            with self.subTest(command):
                self.forget()
                self.assertTrue(self.run_it(*command) or
                                command[0] == "cache")
                self.assert_nobody_was_asked(command)
        # what was pinned has stayed
        self.row("afterwards", pinned=self.pins)


class TestOthers(ZeroCase):
    def looks_at(self, m, top, name):
        self.assertEqual(m.ls(top, "build"), [TORCH])
        for file in m.ls(top, "build", TORCH):
            os.path.isdir(m.at(top, "build", TORCH, file)) or \
                m.text(top, "build", TORCH, file)
        self.imports(m, "import %s as k; print(k.MARK)" % name, "one\n",
                     path=m.at(top, "python"))
        self.imports(m, "import %s as k; print(k.MARK)" % name, "one\n")

    def test_a_git_server(self):
        url = "git+" + self.server.url
        top = "acme/relu@" + self.one
        how = {"source": url, "cache": "git", "imports": (top,)}
        lock = os.path.join(self.dir, "git.lock")
        with open(lock, "w", encoding="utf-8") as f:
            json.dump([{"dependency": {"repo-id": "acme/relu", "version": 1},
                        "lock": {"commit": self.one}}], f)
        m = self.mount("--trust=acme", **how)
        self.looks_at(m, top, "relu")
        self.assertTrue(self.server.log)
        self.assertIn("libgit2", self.libraries(m))
        m.end()
        for what, options in (
                ("commit", ()), ("lock", ("--lock=" + lock,)),
                ("locked", ("--lock=" + lock, "--locked")),
                ("offline", ("--offline",)),
                ("a Hub behind it", ("--source=" + self.second.url,)),
                ("a Hub before it", ("--source=" + url,))):
            if what == "a Hub before it":
                how["source"] = self.second.url
                m = self.mount("--trust=acme", *options, **how)
                self.looks_at(m, top, "relu")
                m.end()
            self.row(what, "--trust=acme", *options,
                     using=lambda m: self.looks_at(m, top, "relu"), **how)

    def test_a_folder_beside_a_hub(self):
        folder = os.path.join(self.dir, "folder")
        at = os.path.join(folder, "acme/local/build", TORCH)
        os.makedirs(at)
        with open(os.path.join(at, "__init__.py"), "w",
                  encoding="utf-8") as f:
            f.write("MARK = 'one'\n")
        with open(os.path.join(at, "metadata.json"), "w",
                  encoding="utf-8") as f:
            json.dump({"name": "local", "id": "_local", "version": 1,
                       "license": "MIT", "python-depends": [],
                       "backend": {"type": "cpu"}}, f)
        how = {"source": "file://" + folder, "cache": "dir"}
        how["imports"] = ("acme/local",)
        m = self.mount("--source=" + self.hub.url, **how)
        top = "acme/" + m.link("acme/local@main")
        self.looks_at(m, top, "local")
        m.end()
        how["imports"] = (top,)
        self.row("commit", "--source=" + self.hub.url,
                 using=lambda m: self.looks_at(m, top, "local"), **how)
        how.update(source=self.hub.url, imports=(top,))
        m = self.mount("--source=file://" + folder, **how)
        self.looks_at(m, top, "local")
        m.end()
        self.row("a Hub before it", "--source=file://" + folder,
                 using=lambda m: self.looks_at(m, top, "local"), **how)


if __name__ == "__main__":
    unittest.main()
