# SPDX-License-Identifier: Apache-2.0
"""The unmodified `kernels` package on a mount: .hub/ as its cache, a kernel's
folder for LOCAL_KERNELS and get_local_kernel; and beside `import` in one
process. With a real torch extension, whose library ends a process that loads
it from two files."""

import importlib.util
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

from mounted import ROOT, MountCase, errno_of  # noqa: E402

sys.path.insert(0, os.path.join(ROOT, "tests", "kernel"))

REPO = "kernels-community/relu"
FOLDER = "kernels--kernels-community--relu"
CHECK = """
import os, sys, torch
mount, build = sys.argv[1:3]
x = torch.tensor([-1.0, 2.0])

def check(k, build=build):
    assert k.relu(x).tolist() == [0.0, 2.0]
    assert k.__file__.startswith(mount + "/"), k.__file__
    assert os.path.realpath(k.__file__).startswith(build + "/"), k.__file__
    return k
"""


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


for needed in ("torch", "kernels"):
    if not importlib.util.find_spec(needed):
        skip("no %s in %s" % (needed, sys.executable))

import build  # noqa: E402
import extension  # noqa: E402
from mounted import make_kernel, make_owner, make_tag  # noqa: E402
from test_depends import UNIVERSAL, kernel  # noqa: E402


def setUpModule():
    global scratch, built, variant
    scratch = tempfile.TemporaryDirectory(prefix="test-hub-view-")
    built = os.path.join(scratch.name, "hub")
    try:
        variant = build.build(pathlib.Path(built))
    except extension.BuildError as error:
        scratch.cleanup()
        skip("the extension cannot be compiled: %s" % error)


def tearDownModule():
    scratch.cleanup()


class HubView(MountCase):
    def kernels(self, root):
        shutil.copytree(built, root, dirs_exist_ok=True)

    def setUp(self):
        super().setUp()
        self.m = self.mount("--python=" + sys.prefix, env=None,
                            cache="shared", imports=("kernels-community",))
        self.one, self.two = (self.commit(REPO, v) for v in ("v1", "v2"))

    def real(self, commit):
        return self.m.at("%s@%s/build/%s" % (REPO, commit, variant))

    def run_it(self, code, commit, *, mount=False, status=0, **env):
        """CODE behind CHECK, in a Python with torch and kernels."""
        done = self.m.python(
            CHECK + code, self.m.path, self.real(commit),
            python=sys.executable, env=env,
            path=self.m.path if mount else self.dir)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def cached(self, code, commit, **how):
        return self.run_it(code, commit, KERNELS_CACHE=self.m.at(".hub"),
                           HF_HUB_OFFLINE="1", **how)

    def lock_file(self):
        lock = os.path.join(self.dir, "kernels.lock")
        with open(lock, "w", encoding="utf-8") as f:
            json.dump([{"dependency": {"repo-id": REPO, "version": 1},
                        "lock": {"commit": self.one}}], f, indent=2)
        return lock

    # .hub/

    def test_the_cache_serves_every_loader(self):
        lock = self.lock_file()
        self.cached("""
import pathlib
from kernels import get_kernel, load_kernel
repo, one, two, lock = %r
for version, build in (1, one), (2, two):
    check(get_kernel(repo, version=version), build)
for revision in "v1", %r:
    check(get_kernel(repo, revision=revision), one)
check(load_kernel(repo, lockfile=pathlib.Path(lock)), one)
for wrong, version, said in (
        (repo, 9, "Version 9 not found, available versions: 1, 2"),
        ("kernels-community/none", 1, "not available in the local cache")):
    try:
        get_kernel(wrong, version=version)
    except ValueError as error:
        assert said in str(error), error
    else:
        raise SystemExit("%%s: version %%d is there" %% (wrong, version))
""" % ((REPO, self.real(self.one), self.real(self.two), lock), self.one),
            self.one)

    def test_what_is_pinned_and_cached_costs_no_request(self):
        code = ("from kernels import get_kernel\n"
                "check(get_kernel(%r, revision=%r))" % (REPO, self.one))
        self.cached(code, self.one)
        self.m.end()
        self.m = self.again()
        self.hub.reset()
        self.cached(code, self.one)
        self.assert_requests()

    def again(self):
        """The next mount, offline, on the same cache."""
        return self.mount("--python=" + sys.prefix, "--offline",
                          cache="shared", env=None, imports=(REPO,))

    def test_a_lock_is_enough_when_nobody_can_be_asked(self):
        lock = self.lock_file()
        code = ("from kernels import get_kernel\n"
                "check(get_kernel(%r, version=1))" % REPO)
        self.cached(code, self.one)
        for options in (["--locked"], ["--offline"]):
            self.m.end()
            self.m = self.mount(
                "--python=" + sys.prefix, "--lock=" + lock, *options,
                cache="shared", env=None, imports=(REPO,))
            self.hub.reset()
            self.cached(code, self.one)
            self.assertIn("v1", self.m.ls(".hub", FOLDER, "refs"))
            self.assert_requests()

    def test_a_file_has_one_inode_by_every_path(self):
        snapshot = self.m.at(".hub", FOLDER, "snapshots", self.one, "build")
        self.assertEqual(os.listdir(snapshot), [variant])
        for name in os.listdir(os.path.join(snapshot, variant)):
            here = os.stat(os.path.join(snapshot, variant, name))
            there = os.stat(os.path.join(self.real(self.one), name))
            self.assertEqual((here.st_dev, here.st_ino),
                             (there.st_dev, there.st_ino), name)

    def test_the_layout(self):
        m = self.m
        self.assertEqual(m.ls(".hub"), [])
        self.assertEqual(m.ls(".hub", FOLDER), ["refs", "snapshots"])
        self.assertEqual(m.ls(".hub", FOLDER, "refs"), ["main", "v1", "v2"])
        for name, commit in (("v1", self.one), ("v2", self.two)):
            path = m.at(".hub", FOLDER, "refs", name)
            self.assertEqual(m.text(path), commit)
            st = os.lstat(path)
            self.assertEqual((st.st_size, st.st_mode), (40, 0o100444))
        self.assertIn(self.one, m.ls(".hub", FOLDER, "snapshots"))
        self.assertEqual(
            m.link(".hub", FOLDER, "snapshots", self.one, "README.md"),
            "../../../../%s@%s/README.md" % (REPO, self.one))
        self.assertTrue(m.text(".hub", FOLDER, "snapshots", self.one,
                               "README.md"))
        for path in ("trees", "blobs", "refs/v9", "refs/1", "refs/latest",
                     "snapshots/v1", "snapshots/%s/python" % self.one,
                     "snapshots/%s/build/torch-cpu" % self.one,
                     "../models--kernels-community--relu",
                     "../kernels--kernels-community--none"):
            self.assertEqual(
                errno_of(os.stat, m.at(".hub", FOLDER + "/" + path)),
                "ENOENT", path)

    # The folder of a kernel

    def test_local_kernels_online(self):
        self.run_it("from kernels import get_kernel\n"
                    "check(get_kernel(%r, version=2))" % REPO, self.two,
                    HF_ENDPOINT=self.hub.url,
                    LOCAL_KERNELS="%s=%s" % (REPO, self.m.at(REPO)))

    def test_get_local_kernel(self):
        self.run_it("""
import pathlib
from kernels import get_local_kernel
for path in %r:
    check(get_local_kernel(pathlib.Path(path)))
""" % [self.m.at(REPO + "@v1" + more) for more in
            ("", "/build", "/build/" + variant)], self.one)

    # Beside an import, in one process

    IMPORT = "import relu; check(relu)\n"

    def test_import_and_the_cache_in_both_orders(self):
        get = ("from kernels import get_kernel\n"
               "check(get_kernel(%r, version=2))\n" % REPO)
        for code in (self.IMPORT + get, get + self.IMPORT):
            self.cached(code, self.two, mount=True)

    def test_import_and_get_local_kernel_in_both_orders(self):
        get = ("import pathlib\nfrom kernels import get_local_kernel\n"
               "check(get_local_kernel(pathlib.Path(%r)))\n"
               % self.m.at(REPO))
        for code in (self.IMPORT + get, get + self.IMPORT):
            self.run_it(code, self.two, mount=True)

    def test_a_foreign_cache_first_is_shared_or_refused_in_a_sentence(self):
        said = self.run_it("""
from kernels import get_kernel
k = get_kernel(%r, version=2)
assert not k.__file__.startswith(mount)
try:
    import relu
    assert relu.relu(x).tolist() == [0.0, 2.0]
    print("works")
except ImportError as error:
    assert "relu" in str(error)
    print("refused:", error)
""" % REPO, self.two, mount=True, HF_ENDPOINT=self.hub.url,
            HF_HUB_CACHE=os.path.join(self.dir, "foreign"))
        self.assertTrue("works" in said or "refused: " in said, said)


class WithoutTorch(MountCase):
    """Kernels that need others, and names with '/', in .hub/."""

    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/low")
        kernel(root, "acme/mid", "acme/low@v1")
        kernel(root, "acme/high", "acme/mid@v1")
        for branch in ("v1", "feature/a/x", "feature/b", "feature.c"):
            kernel(root, "acme/relu", branch=branch)
        make_tag(root, "acme/relu", "nightly/1", "v1")

    def run_it(self, m, code):
        done = m.python("import sys\nfrom kernels import get_kernel\n" + code,
                        python=sys.executable, path=self.dir,
                        env={"KERNELS_CACHE": m.at(".hub"),
                             "HF_HUB_OFFLINE": "1"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.split()

    def test_a_kernel_that_needs_kernels(self):
        m = self.mount("--python=" + sys.prefix, env=None)
        code = ("k = get_kernel('acme/high', version=1)\n"
                "print(k.mid.low.NAME)\n"
                "for one in (k, k.mid, k.mid.low): print(one.__file__)\n")
        name, *files = self.run_it(m, code)
        self.assertEqual(name, "acme/low@v1")
        for repo, file in zip(("high", "mid", "low"), files):
            self.assertTrue(file.startswith(m.path + "/"), file)
            self.assertTrue(os.path.samefile(file, m.at(
                "acme/%s@v1/build" % repo, UNIVERSAL, "__init__.py")), file)

    def test_a_branch_with_a_slash_lies_in_folders(self):
        m = self.mount("--python=" + sys.prefix, env=None, cache="one")
        refs = m.at(".hub/kernels--acme--relu/refs")
        out = self.run_it(m, "for r in ('feature/a/x', 'feature.c', "
                          "'nightly/1'):\n"
                          "    print(get_kernel('acme/relu', revision=r)"
                          ".NAME)\n")
        self.assertEqual(out, ["acme/relu@feature/a/x", "acme/relu@feature.c",
                               "acme/relu@v1"])
        found = {os.path.relpath(os.path.join(base, name), refs)
                 for base, _, names in os.walk(refs) for name in names}
        self.assertEqual(found, {"main", "v1", "feature/a/x", "feature/b",
                                 "feature.c", "nightly/1"})
        self.assertEqual(sorted(os.listdir(refs)), [
            "feature", "feature.c", "main", "nightly", "v1"])
        for rev in ("v1", "feature/a/x", "feature/b"):
            self.assertEqual(m.text(refs, rev),
                             self.commit("acme/relu", rev))
        for name in ("feature/a/y", "feature/x", "feature%2Fb", "feat",
                     "v1/x", "feature/b/c", "nightly/2", "x" * 210 + "/y"):
            with self.assertRaises(OSError, msg=name):
                os.stat(os.path.join(refs, name))
        m.end()
        # what was seen is there when nobody can be asked
        self.hub.reset()
        m = self.mount("--offline", cache="one")
        refs = m.at(".hub/kernels--acme--relu/refs")
        self.assertEqual(m.text(refs, "feature/a/x"),
                         self.commit("acme/relu", "feature/a/x"))
        self.assertIn("feature", os.listdir(refs))
        self.assertEqual(os.listdir(refs + "/feature/a"), ["x"])
        self.assert_requests()


if __name__ == "__main__":
    unittest.main()
