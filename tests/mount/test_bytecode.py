# SPDX-License-Identifier: Apache-2.0
"""Bytecode of kernels on a real mount: what a process then asks for."""

import os
import re
import subprocess

import mounted
from mounted import (
    DEADLINE, MountCase, clean_environment, make_kernel, make_owner)

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

    def crowd(self, m, count):
        """What COUNT processes compile that import the kernel at once."""
        log = os.path.join(self.dir, "log")
        open(log, "wb").close()
        crowd = [subprocess.Popen(
            ["/usr/bin/python3", "-W", "error", "-c", CODE, log], cwd="/",
            env=self.environment(m), stdin=subprocess.PIPE,
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

    EACH_ONCE = sorted("torch-universal/" + p for p in FILES)

    def opens(self, m):
        found = re.search(r'op="open"} (\d+)',
                          mounted.text(m.path, ".kernelfs/metrics"))
        return int(found[1])

    def test_32_processes_and_a_cold_kernel(self):
        m = self.mount()
        self.assertEqual(self.crowd(m, 32), self.EACH_ONCE)
        self.assertEqual(self.crowd(m, 1), [])

    def test_a_second_mount_finds_it(self):
        self.assertEqual(self.crowd(self.mount(), 1), self.EACH_ONCE)
        self.assertEqual(self.crowd(self.mount(), 1), [])

    def test_the_modules_cost_the_daemon_nothing(self):
        m = self.mount()
        self.crowd(m, 1)
        before = self.opens(m)
        self.assertEqual(self.crowd(m, 1), [])
        # The stub, first.py, metadata.json; and the metrics themselves.
        self.assertLessEqual(self.opens(m) - before, 4)

    def test_nothing_is_left_in_the_tree(self):
        m = self.mount()
        self.crowd(m, 2)
        place = m.at("acme/my-kernel@%s/build/torch-universal" %
                     self.commit("acme/my-kernel", "v1"))
        self.assertNotIn("__pycache__", os.listdir(place))


if __name__ == "__main__":
    mounted.unittest.main()
