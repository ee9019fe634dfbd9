# SPDX-License-Identifier: Apache-2.0
"""What it costs to look around, to read, and to import: exact requests."""

import os
import subprocess
import unittest

from mounted import (
    SPEC, MountCase, lfs_bytes, make_kernel, make_owner, spec, wait_for)

BUILD = {"__init__.py": "from . import a\nX = 1\n", "a.py": "A = 1\n",
         "sub/__init__.py": "", "lib.so": lfs_bytes(300000),
         "two.so": lfs_bytes(50000, seed=2), "notes.txt": "notes\n"}
SMALL = 4  # files that are no LFS files; an empty one is known without asking
LARGE = 2


class WalkCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        builds = {SPEC: BUILD, "torch-cpu": {"__init__.py": "X = 2\n"},
                  spec("cu130"): {"__init__.py": "X = 3\n"}}
        for name in ("relu", "gemm"):
            make_kernel(root, "acme/" + name, "v1", builds, files={
                "README.md": "# x\n", "docs/more.md": "more\n"})
            make_kernel(root, "acme/" + name, "v2", builds, files={
                "README.md": "# y\n", "docs/more.md": "more\n"})

    def run_tool(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def no_file(self):
        counts = self.hub.counts()
        files = [line["path"] for line in counts["log"]
                 if "resolve" in line["endpoint"] or
                 line["endpoint"] == "cdn"]
        # The choice itself reads metadata.json of its candidates.
        self.assertEqual([f for f in files
                          if "/metadata.json" not in f], [])


class TestLooking(WalkCase):
    def test_tools_over_the_root_resolve_nothing(self):
        m = self.mount()
        self.hub.reset()
        self.run_tool("ls", "-la", m.path)
        self.run_tool("find", m.path)
        self.run_tool("du", "-a", m.path)
        self.run_tool("find", m.path, "-type", "f", "-size", "+1M")
        self.assert_requests()

    def test_a_walk_that_looks_behind_links_fetches_no_file(self):
        m = self.mount()
        self.hub.reset()
        for _ in os.walk(m.path):
            pass
        self.assert_requests(refs=2)

    def test_python_that_imports_nothing_asks_nothing(self):
        m = self.mount()
        self.hub.reset()
        for code in ("pass", "import json, email, unittest",
                     "import importlib.util as u; u.find_spec('absent')",
                     "import importlib.util as u; u.find_spec('relu')",
                     "import pkgutil; list(pkgutil.iter_modules())"):
            done = m.python(code)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_requests()

    def test_a_recursive_listing_of_a_commit_fetches_no_file(self):
        m = self.mount()
        at = m.at("acme/relu@" + self.commit("acme/relu", "v2"))
        self.run_tool("ls", "-lR", at)
        self.run_tool("du", "-a", at)
        self.run_tool("find", at, "-newer", at)
        self.no_file()
        self.assertLessEqual(m.counts()["tree"], 4)

    def test_following_links_fetches_no_file(self):
        m = self.mount()
        self.run_tool("ls", "-lL", m.at("acme"))
        self.run_tool("du", "-L", m.at("relu"))
        self.run_tool("find", "-L", m.at("relu"), "-type", "f")
        self.no_file()

    def test_ls_l_of_an_owner_shows_the_pins(self):
        m = self.mount()
        said = self.run_tool("ls", "-l", m.at("acme"))
        self.assertIn("gemm -> gemm@v2", said)
        self.assertIn("relu -> relu@v2", said)
        self.assert_requests(list=1, refs=2)

    def test_the_door_fetches_nothing(self):
        m = self.mount()
        self.hub.reset()
        m.text("relu/__init__.py")
        m.text("gemm/__init__.py")
        self.assert_requests()
        m.text("acme/relu@v2/python/relu/__init__.py")
        self.assert_requests(refs=1)


class TestReading(WalkCase):
    def setUp(self):
        super().setUp()
        self.at = "acme/relu@%s" % self.commit("acme/relu", "v2")

    def test_a_small_file_costs_itself_only(self):
        m = self.mount()
        os.listdir(m.at(self.at, "build", SPEC, ""))
        self.hub.reset()
        self.assertEqual(m.text(self.at, "build", SPEC, "notes.txt"),
                         "notes\n")
        self.assert_requests(resolve=1, resolve_cache=1)
        m.text(self.at, "build", SPEC, "notes.txt")
        self.assert_requests(resolve=1, resolve_cache=1)

    def fetched(self, m):
        """Wait for the whole build."""
        path = m.at(self.at, "build", SPEC)
        wait_for(lambda: os.getxattr(path, "user.kernelfs.state") ==
                 b"verified", "the whole build")

    def check_whole_build(self, trigger):
        m = self.mount()
        os.listdir(m.at(self.at, "build"))
        for base, _, _ in os.walk(m.at(self.at, "build")):
            os.stat(base)
        self.hub.reset()
        with open(m.at(self.at, "build", SPEC, trigger), "rb") as f:
            f.read()
        self.fetched(m)
        # metadata.json had been read for the choice.
        self.assert_requests(resolve=SMALL - 1 + LARGE,
                             resolve_cache=SMALL - 1, cdn=LARGE)

    def test_reading_the_init_fetches_the_build(self):
        self.check_whole_build("__init__.py")

    def test_reading_a_library_fetches_the_build(self):
        self.check_whole_build("lib.so")

    def test_the_bytes_are_those_of_the_build(self):
        m = self.mount()
        m.text(self.at, "build", SPEC, "__init__.py")
        self.fetched(m)
        size = sum(len(v) for v in BUILD.values())
        counts = self.hub.counts()["bytes_by_endpoint"]
        self.assertGreaterEqual(counts["cdn"] + counts["resolve-cache"], size)
        with open(m.at(self.at, "build", SPEC, "metadata.json"), "rb") as f:
            size += len(f.read())
        # Candidates that are not chosen cost their metadata.json at most.
        self.assertLessEqual(counts["cdn"] + counts["resolve-cache"],
                             size + 2000)

    def test_equal_content_is_fetched_once(self):
        m = self.mount()
        for n in ("v1", "v2"):
            with open(m.at("acme/relu@" + n, "build", SPEC, "lib.so"),
                      "rb") as f:
                f.read()
        self.fetched(m)
        wait_for(lambda: m.xattr("state", "acme/relu@v1/build", SPEC) ==
                 "verified", "the other build")
        self.assertEqual(m.counts()["cdn"], LARGE)


class TestImport(WalkCase):
    CODE = "import relu; assert relu.X == 1, relu; print(relu.__file__)"

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {
            "torch-universal": BUILD, spec("rocm71"): {"__init__.py": ""}})

    def imports(self, m):
        done = m.python(self.CODE)
        self.assertEqual(done.returncode, 0, done.stderr)
        at = m.at("acme/relu@%s/build/torch-universal" %
                  self.commit("acme/relu"))
        self.assertEqual(done.stdout, at + "/__init__.py\n")
        wait_for(lambda: os.getxattr(at, "user.kernelfs.state") ==
                 b"verified", "the whole build")

    def test_an_import_from_nothing(self):
        m = self.mount()
        self.imports(m)
        self.assert_requests(
            list=1, overview=1, refs=1, tree=2, resolve=SMALL + LARGE,
            resolve_cache=SMALL, cdn=LARGE)
        trees = [r.rpartition("/tree/")[2].partition("/")[2]
                 for r in m.requests() if "/tree/" in r]
        self.assertEqual(trees, [
            "build?recursive=false&expand=false",
            "build%2Ftorch-universal?recursive=true&expand=false"])

    def test_each_further_process_asks_nothing(self):
        m = self.mount()
        self.imports(m)
        self.hub.reset()
        for _ in range(3):
            self.imports(m)
        self.assert_requests()

    def test_a_pinned_and_cached_kernel_asks_nothing(self):
        pin = "acme/relu@" + self.commit("acme/relu")
        self.imports(self.mount(imports=(pin,), cache="one"))
        self.hub.reset()
        m = self.mount(imports=(pin,), cache="one")
        self.imports(m)
        self.assert_requests()

    def test_a_pinned_and_cached_kernel_needs_no_hub(self):
        pin = "acme/relu@" + self.commit("acme/relu")
        self.imports(self.mount(imports=(pin,), cache="one"))
        self.hub.fault("cut", path="")
        self.imports(self.mount(imports=(pin,), cache="one"))

    def test_a_cached_kernel_costs_its_refs_on_a_new_mount(self):
        self.imports(self.mount(cache="one"))
        self.hub.reset()
        m = self.mount(cache="one")
        self.imports(m)
        counts = m.counts()
        self.assertLessEqual(set(counts), {"list", "refs", "overview"})
        self.assertTrue(all(n == 1 for n in counts.values()), counts)

    def test_32_processes_cost_what_one_costs(self):
        m = self.mount()
        children = [subprocess.Popen(
            ["/usr/bin/python3", "-c", self.CODE], cwd="/",
            env=dict(os.environ, PYTHONPATH=m.path,
                     PYTHONDONTWRITEBYTECODE="1"),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(32)]
        for child in children:
            said = child.communicate(timeout=120)[1]
            self.assertEqual(child.returncode, 0, said)
        self.imports(m)
        self.assert_requests(
            list=1, overview=1, refs=1, tree=2, resolve=SMALL + LARGE,
            resolve_cache=SMALL, cdn=LARGE)


if __name__ == "__main__":
    unittest.main()
