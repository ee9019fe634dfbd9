# SPDX-License-Identifier: Apache-2.0
"""`make install` into a scratch root, and the program run from there."""

import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACES = (
    "bin/kernelfs",
    "share/man/man1/kernelfs.1",
    "share/bash-completion/completions/kernelfs",
    "share/doc/kernelfs/kernelfs.conf.example",
)


def make(*words):
    return subprocess.run(
        ["make", "-s", *words], cwd=ROOT, capture_output=True, text=True, timeout=600
    )


@unittest.skipIf(os.environ.get("KERNELFS_MODE", "release") != "release", "installs the release build")
class Install(unittest.TestCase):
    def test_installs_runs_and_goes_again(self):
        with tempfile.TemporaryDirectory() as scratch:
            where = ["DESTDIR=" + scratch, "PREFIX=/opt/kfs"]
            done = make("install", *where)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            base = os.path.join(scratch, "opt/kfs")
            for place in PLACES:
                self.assertTrue(os.path.isfile(os.path.join(base, place)), place)
            program = os.path.join(base, "bin/kernelfs")
            said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
            self.assertEqual(said.returncode, 0)
            self.assertRegex(said.stdout, r"^kernelfs \d+\.\d+\.\d+\n$")
            done = make("uninstall", *where)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            left = [f for _, _, files in os.walk(scratch) for f in files]
            self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
