# SPDX-License-Identifier: Apache-2.0
"""Bytecode of kernels on a real mount: what a process then asks for."""

import os
import subprocess

import mounted
from mounted import (
    DEADLINE, MountCase, clean_environment, make_kernel, make_owner)
from test_requests import TRIES, Counter

COUNT = 12
FILES = dict({"m%d.py" % i: "X = %d\n" % i for i in range(COUNT)}, **{
    "__init__.py": "".join("from . import m%d\n" % i for i in range(COUNT)),
    "low/__init__.py": "Y = 1\n"})
CODE = """
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def hook(event, args):
    if event == "compile" and "/build/" in str(args[1]):
        os.write(log, b"%s\\n" % os.fsencode(args[1].partition("/build/")[2]))
sys.addaudithook(hook)
sys.stdin.read(1)
import my_kernel.low
"""

# What is compiled of the mount itself.
STUB = """
import sys
def hook(event, args):
    path = str(args[1]) if event == "compile" else ""
    if path.startswith(sys.argv[1]) and "/build/" not in path:
        print(path)
sys.addaudithook(hook)
import my_kernel
assert my_kernel.m1.X == 1
"""
TAG = subprocess.run(
    ["/usr/bin/python3", "-c",
     "import sys; print(sys.implementation.cache_tag)"],
    check=True, timeout=60, capture_output=True, text=True).stdout.strip()


class TestBytecode(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/my-kernel", "v1", {"torch-universal": FILES})

    def environment(self, m):
        env = clean_environment(PYTHONPATH=m.path, HOME=self.dir,
                                XDG_CACHE_HOME=os.path.join(self.dir, "xdg"))
        del env["PYTHONDONTWRITEBYTECODE"]
        os.makedirs(env["XDG_CACHE_HOME"], exist_ok=True)
        return env

    def crowd(self, mounts, count):
        """What COUNT processes compile that import the kernel at once, from
        the mounts in turn."""
        mounts = mounts if isinstance(mounts, tuple) else (mounts,)
        log = os.path.join(self.dir, "log")
        open(log, "wb").close()
        crowd = [subprocess.Popen(
            ["/usr/bin/python3", "-W", "error", "-c", CODE, log], cwd="/",
            env=self.environment(mounts[i % len(mounts)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for i in range(count)]
        for process in crowd:
            process.stdin.write(b"x")
            process.stdin.flush()
        for process in crowd:
            said = process.communicate(timeout=6 * DEADLINE)[0]
            self.assertEqual((process.returncode, said), (0, b""))
        with open(log, encoding="utf-8") as f:
            return sorted(f.read().split())

    WARM = {"open": 3, "opendir": 2, "ioctl": 1}
    EACH_ONCE = sorted("torch-universal/" + p for p in FILES)

    def test_32_processes_and_a_cold_kernel(self):
        m = self.mount()
        self.assertEqual(self.crowd(m, 32), self.EACH_ONCE)
        self.assertEqual(self.crowd(m, 1), [])

    def test_a_second_mount_finds_it(self):
        self.assertEqual(self.crowd(self.mount(), 1), self.EACH_ONCE)
        self.assertEqual(self.crowd(self.mount(), 1), [])

    def test_two_mounts_at_once(self):
        both = self.mount(cache="one"), self.mount(cache="one")
        self.assertEqual(self.crowd(both, 8), self.EACH_ONCE)
        self.assertEqual(self.crowd(both, 2), [])

    def test_the_modules_cost_the_daemon_nothing(self):
        """What a process opens: the stub, the door's first piece and the
        build's metadata.json; it lists the mount and the build, and looks
        whether the stub is a terminal. Where the mount has no bytecode of
        the stub for this Python, that tries to make a __pycache__ for it.
        Of the modules nothing is opened, closed or looked at again."""
        m = self.mount()
        self.crowd(m, 1)
        warm = dict(self.WARM, **({} if self.made(m) else {"lookup": 1}))
        counter = Counter(m)
        self.addCleanup(counter.close)
        for _ in range(TRIES):  # see costs() of test_requests.py
            counter.since()
            self.assertEqual(self.crowd(m, 1), [])
            asked = counter.since()
            if asked == warm:
                break
        self.assertEqual(asked, warm)

    def made(self, m):
        """Was kernelfs built with bytecode of its door for this Python?"""
        names = os.listdir(m.at("my_kernel", "__pycache__"))
        return "__init__.%s.pyc" % TAG in names

    def test_bytecode_of_the_stub_is_there_where_a_python_was(self):
        m = self.mount()
        self.crowd(m, 1)
        if not self.made(m):
            self.skipTest("kernelfs was built without this Python")
        for options in [], ["-O"], ["-OO"]:
            done = subprocess.run(
                ["/usr/bin/python3", *options, "-c", STUB, m.path],
                cwd="/", env=self.environment(m), timeout=DEADLINE,
                capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            if not options:  # the others have no kept code yet
                self.assertEqual(done.stdout, b"")
            self.assertNotIn(b"__init__.py", done.stdout)
            self.assertNotIn(b"first.py", done.stdout)

    def test_nothing_is_left_in_the_tree(self):
        m = self.mount()
        self.crowd(m, 2)
        place = m.at("acme/my-kernel@%s/build/torch-universal" %
                     self.commit("acme/my-kernel", "v1"))
        self.assertNotIn("__pycache__", os.listdir(place))


if __name__ == "__main__":
    mounted.unittest.main()
