# SPDX-License-Identifier: Apache-2.0
"""What every test of the door needs: a mount, and a Python that uses it."""

import atexit
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

import fixture

_mounts = []
HAS_TORCH = importlib.util.find_spec("torch") is not None
_stand_in = []


def real_torch(test):
    """Use the torch of this Python, where it has one."""
    test.real_torch = True
    return test


def needs_torch(test):
    skip = unittest.skipUnless(HAS_TORCH, "this Python has no torch")
    return skip(real_torch(test))


needs_folder = unittest.skipIf(
    fixture.REAL_MOUNT, "changes the mount, which only a folder allows"
)


class DoorTest(unittest.TestCase):
    """One mount per program; a test that changes it makes its own.

    Where Python has torch, which takes seconds to import, most tests put a
    stand-in before it; those that say so use the real one.
    """

    # The tests of bytecode aside, none is kept; KERNELFS_TEST_BYTECODE names
    # a folder for it, to run all the others with it.
    bytecode = {}
    if os.environ.get("KERNELFS_TEST_BYTECODE"):
        bytecode = {
            "PYTHONDONTWRITEBYTECODE": None,
            "XDG_CACHE_HOME": os.environ["KERNELFS_TEST_BYTECODE"],
        }

    def setUp(self):
        self.mount, self.torch = None, []
        method = getattr(self, self._testMethodName)
        if HAS_TORCH and not hasattr(method, "real_torch"):
            if not _stand_in:
                _stand_in.append(tempfile.mkdtemp(prefix="door-torch-"))
                atexit.register(shutil.rmtree, _stand_in[0], True)
                fixture.fake_torch(_stand_in[0])
            self.torch = _stand_in
        if fixture.REAL_MOUNT:
            self.root = os.path.realpath(fixture.REAL_MOUNT)
            return
        if not _mounts:
            _mounts.append(fixture.Mount())
        self.use(_mounts[0])

    def use(self, mount):
        self.mount, self.root = mount, mount.path

    def own_mount(self, kernels=fixture.KERNELS, made=False):
        self.use(fixture.Mount(kernels, made))
        return self.mount

    def folder(self):
        path = os.path.realpath(tempfile.mkdtemp(prefix="door-"))
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def serve(self, first=(), last=(), before=""):
        """Have the mount answer for start()'s Python; give the spec."""
        spec = fixture.spell([*first, *self.torch, *last], before)
        if self.mount:
            self.mount.serve(spec)
        return spec

    def start(self, code, *args, first=(), last=(), **how):
        """Run CODE in a Python with FIRST, the mount and LAST as its path."""
        if how.pop("served", True):
            self.serve(first, last)
        paths = os.pathsep.join([*first, *self.torch, self.root, *last])
        env = dict(self.bytecode, PYTHONPATH=paths)
        env.update(how.pop("env", {}))
        env = fixture.clean_environment(**env)
        command = [sys.executable, *how.pop("options", ())]
        if code is not None:
            command += ["-c", textwrap.dedent(code)]
        return subprocess.run(
            [*command, *args],
            env=env,
            cwd=how.pop("cwd", "/"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=300,
            universal_newlines=True,
            **how
        )

    def python(self, code, *args, **how):
        """As start(), for code that must succeed; gives what it printed."""
        done = self.start(code, *args, **how)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def fails(self, code, *args, **how):
        """As start(), for code that must end with an exception."""
        done = self.start(code, *args, **how)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr
