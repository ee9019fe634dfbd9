# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: the program, a Hub, a home."""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "hub"))

import make_repo  # noqa: E402
from hub import Hub  # noqa: E402

DEADLINE = 30
ENV_CPU = "torch213-cxx11-cpu-x86_64-linux"
KERNELFS = os.environ.get("KERNELFS") or os.path.join(
    ROOT, "build", os.environ.get("KERNELFS_MODE", ""), "kernelfs")


def fixtures(root):
    make_repo.make_owner(root, "acme", trusted=True)
    make_repo.make_owner(root, "stranger", trusted=False)
    make_repo.make_kernel(root, "acme/relu", "v1", {
        "torch-cpu": {"__init__.py": "X = 1\n"},
        "torch-cuda": {"__init__.py": "X = 2\n"},
        "torch210-cxx11-cpu-x86_64-linux": {"__init__.py": "X = 3\n"},
        ENV_CPU: {"__init__.py": "X = 4\n"},
        "no-variant-at-all": {"__init__.py": "X = 5\n"},
    })
    make_repo.make_kernel(root, "acme/metal-only", "v1", {
        "torch-metal": {"__init__.py": "X = 1\n"}})
    make_repo.make_kernel(root, "stranger/relu", "v1", {
        "torch-cpu": {"__init__.py": "X = 1\n"}})
    make_repo.make_kernel(root, "acme/no-builds", "v1", {},
                          files={"README.md": "nothing\n"})


class Done:
    """What a run of the program left."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return "exit %d\n%s\n%s" % (self.code, self.out, self.err)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="test-cli-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.cache = os.path.join(self.dir, "cache")
        self.home = os.path.join(self.dir, "home")
        os.mkdir(self.home)
        self.hub = None

    def start_hub(self):
        root = os.path.join(self.dir, "root")
        fixtures(root)
        self.hub = Hub(root)
        self.addCleanup(self.hub.close)
        return self.hub

    def env(self, **more):
        kept = ("PATH", "LANG", "ASAN_OPTIONS", "TSAN_OPTIONS",
                "UBSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH")
        out = {k: os.environ[k] for k in kept if k in os.environ}
        out.update(HOME=self.home, KERNELFS_CACHE=self.cache)
        if self.hub:
            out["HF_ENDPOINT"] = self.hub.url
        out.update(more)
        return {k: v for k, v in out.items() if v is not None}

    def start(self, *args, env=None, **more):
        return subprocess.Popen(
            [KERNELFS, *args], env=self.env(**(env or {})),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            cwd=self.dir, **{"stdout": subprocess.PIPE, **more})

    def run_it(self, *args, env=None, **more):
        process = self.start(*args, env=env, **more)
        try:
            out, err = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Done(process.returncode, (out or b"").decode(), err.decode())

    def good(self, *args, **more):
        done = self.run_it(*args, **more)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.err, "", done)
        return done.out

    def bad(self, code, says, *args, **more):
        """It fails with one sentence on stderr that says this."""
        done = self.run_it(*args, **more)
        self.assertEqual(done.code, code, done)
        self.assertTrue(done.err.startswith("kernelfs: "), done)
        self.assertEqual(done.err.count("\n"), 1, done)
        self.assertTrue(done.err.endswith("\n"), done)
        self.assertNotRegex(done.err, r"[a-z]\.\n")
        self.assertIn(says, done.err)
        return done

    def leftovers(self):
        """Temporary files of the cache."""
        found = glob.glob(self.cache + "/**/.*", recursive=True)
        return found + glob.glob(self.cache + "/partial/*")

    def wait_for(self, condition):
        end = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), end, "waited in vain")
            time.sleep(0.005)
