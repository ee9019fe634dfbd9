# SPDX-License-Identifier: Apache-2.0
"""The test suite of the door on a real mount, with the system's Python; what
needs torch with the Python that runs this, where it has one."""

import importlib.util
import os
import subprocess
import sys
import unittest

from mounted import DEADLINE, ROOT, MountCase

DOOR = os.path.join(ROOT, "tests", "door")
PYTHON = "/usr/bin/python3"


class TestDoorSuite(MountCase):
    def kernels(self, root):
        subprocess.run([sys.executable, os.path.join(DOOR, "fixture.py"),
                        "hub", root], check=True, timeout=60)

    def run_suite(self, *command, **env):
        m = self.mount(imports=("kernels-community/door-named",
                                "kernels-community"))
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=15 * DEADLINE, check=False,
            env=dict(os.environ, KERNELFS_TEST_MOUNT=m.path, **env))
        said = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, said[-20000:])
        return said

    def test_passes_on_a_mount(self):
        said = self.run_suite(sys.executable, os.path.join(DOOR, "run"),
                              PYTHON)
        self.assertRegex(said, r"(?m)^ok .*: [1-9]\d+ tests, ")

    def test_passes_on_a_mount_with_bytecode_of_earlier_tests(self):
        kept = os.path.join(self.dir, "bytecode")
        os.mkdir(kept)
        said = self.run_suite(
            PYTHON, "-B", "-m", "unittest", "test_import", "test_processes",
            "test_tools", "test_twin", "test_depends", "test_installed",
            PYTHONPATH=DOOR, KERNELFS_TEST_BYTECODE=kept)
        self.assertRegex(said, r"(?m)^OK")
        self.assertEqual(os.listdir(kept), ["kernelfs"])

    @unittest.skipUnless(importlib.util.find_spec("torch"),
                         "this Python has no torch")
    def test_the_real_torch_on_a_mount(self):
        names = ("the_real_torch", "data_loader", "torch_compile")
        said = self.run_suite(
            sys.executable, "-m", "unittest", "discover", "-s", DOOR,
            *[word for name in names for word in ("-k", name)])
        self.assertRegex(said, r"(?m)^Ran 3 tests")


if __name__ == "__main__":
    unittest.main()
