# SPDX-License-Identifier: Apache-2.0
"""What the kernel asks the daemon: counted, first and again. Exact, and the
same on every machine; a request more is a cost that nobody decided."""

import errno
import os
import re
import unittest

from asking import Asked, wait_for_hub, wait_for_waiting
from mounted import (
    SPEC, MountCase, lfs_bytes, make_kernel, make_owner, spec, wait_for)

MODULES = 300
SLOW_NAMES = 6
STRANGERS = 2


def build():
    out = {"m%03d.py" % i: "X = %d\n" % i for i in range(MODULES)}
    out["__init__.py"] = "".join(
        "from . import m%03d\n" % i for i in range(MODULES))
    out["sub/deep/data.txt"] = "data\n"
    out["lib.so"] = lfs_bytes(300000)
    return out


class Counter:
    """What was asked between two looks, without the looks themselves."""

    def __init__(self, m):
        self._file = os.open(m.at(".kernelfs", "metrics"), os.O_RDONLY)
        self._last = self._look()

    def _look(self):
        # Of a file that is open this is one READ and nothing else.
        text = os.pread(self._file, 1 << 20, 0).decode()
        return {op: int(n) for op, n in re.findall(
            r'^kernelfs_requests_total{op="(\w+)"} (\d+)$', text, re.M)}

    def since(self):
        now = self._look()
        out = {op: n - self._last[op] for op, n in now.items()}
        out["read"] -= 1
        # Programs of the machine look at the root of every mount at times.
        if out["getattr"] <= STRANGERS:
            out["getattr"] = 0
        self._last = now
        return {op: n for op, n in out.items() if n}

    def close(self):
        os.close(self._file)


class RequestsCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {
            SPEC: build(), spec("cu130"): {"__init__.py": ""}})
        for i in range(SLOW_NAMES):
            make_kernel(root, "acme/slow%d" % i, "v1",
                        {SPEC: {"__init__.py": ""}})

    def counter(self, m):
        counter = Counter(m)
        self.addCleanup(counter.close)
        return counter

    def commit_folder(self, m):
        """The folder of the commit by way of a descriptor: names above it may
        change, and are asked for again after a second."""
        fd = os.open(m.at("acme/relu@" + self.commit("acme/relu")),
                     os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, fd)
        return "/proc/%d/fd/%d" % (os.getpid(), fd)

    def whole(self, at):
        """Wait until all of the build is in the cache."""
        with open(at + "/__init__.py", "rb") as f:
            f.read()
        wait_for(lambda: os.getxattr(at, "user.kernelfs.state") ==
                 b"verified", "the whole build")


def look(at):
    """Each name below listed, looked at and, where it leads, followed; and
    names that are not there. How many folders and files."""
    folders = files = 0
    for base, dirs, names in os.walk(at):
        folders += 1
        for name in dirs + names:
            path = os.path.join(base, name)
            os.lstat(path)
            os.stat(path)
            if os.path.islink(path):
                os.readlink(path)
        for absent in ("__pycache__", "no-such-name", "m000.pyc"):
            assert not os.path.lexists(os.path.join(base, absent))
        files += len(names)
    return folders, files


def read_all(at):
    for base, _, names in os.walk(at):
        for name in names:
            with open(os.path.join(base, name), "rb", buffering=0) as f:
                f.readall()


class TestCounts(RequestsCase):
    def test_what_was_looked_at_is_not_asked_for_again(self):
        m = self.mount()
        at = self.commit_folder(m)
        counter = self.counter(m)
        folders, _ = look(at)
        look(at)  # build/ was opened before its choice was made for good
        counter.since()
        for _ in range(2):
            self.assertEqual(look(at)[0], folders)
            self.assertEqual(counter.since(), {"opendir": folders})

    def test_a_listing_brings_the_names_with_it(self):
        m = self.mount()
        at = self.commit_folder(m) + "/build/" + SPEC
        os.stat(at)
        counter = self.counter(m)
        names = os.listdir(at)
        self.assertGreater(len(names), MODULES)
        asked = counter.since()
        self.assertEqual(set(asked), {"opendir", "readdir"})
        for name in names:
            os.stat(os.path.join(at, name))
        self.assertEqual(counter.since(), {})

    def test_a_link_is_read_once(self):
        m = self.mount()
        at = self.commit_folder(m) + "/.kernelfs/variants"
        names = os.listdir(at)
        self.assertEqual(len(names), 2)
        counter = self.counter(m)
        targets = [os.readlink(os.path.join(at, name)) for name in names]
        self.assertEqual(targets, ["../../build/" + name for name in names])
        self.assertEqual(counter.since(), {"readlink": 2})
        for name in names:
            os.readlink(os.path.join(at, name))
            os.lstat(os.path.join(at, name))
        self.assertEqual(counter.since(), {})

    def test_reading_again_costs_the_opens(self):
        m = self.mount()
        at = self.commit_folder(m) + "/build/" + SPEC
        self.whole(at)
        folders, files = look(at)
        read_all(at)
        counter = self.counter(m)
        read_all(at)
        self.assertEqual(counter.since(), {"opendir": folders, "open": files})

    def test_a_missing_name_is_asked_for_once(self):
        m = self.mount()
        at = self.commit_folder(m) + "/build/" + SPEC
        os.stat(at)
        counter = self.counter(m)
        for _ in range(3):
            self.assertFalse(os.path.lexists(at + "/__pycache__"))
        self.assertEqual(counter.since(), {"lookup": 1})
        with self.assertRaises(OSError) as caught:
            os.mkdir(at + "/__pycache__")
        self.assertEqual(caught.exception.errno, errno.EROFS)
        # The kernel believes no absence where a name is to be made new.
        self.assertEqual(counter.since(), {"lookup": 1})


class TestImports(RequestsCase):
    CODE = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
importlib.import_module(sys.argv[2])
"""

    def imports(self, m, at):
        done = m.python(self.CODE, at + "/build", SPEC, path="/nowhere")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_import_of_300_modules_costs_their_opens(self):
        m = self.mount(cache="one")
        self.whole(self.commit_folder(m) + "/build/" + SPEC)
        fresh = self.mount(cache="one")
        at = self.commit_folder(fresh)
        counter = self.counter(fresh)
        self.imports(fresh, at)
        first = counter.since()
        self.imports(fresh, at)
        counter.since()
        self.imports(fresh, at)
        again = counter.since()
        for asked in first, again:
            self.assertEqual(asked["open"], MODULES + 1)
            # isatty() of each, which the kernel does not remember
            self.assertEqual(asked["ioctl"], MODULES + 1)
            self.assertEqual(
                set(asked) & {"flush", "getattr", "xattr", "readlink"}, set())
        # Names come with the listing of their folder; what is left are the
        # steps on the way to it and what is missing there.
        self.assertLess(first["lookup"], 12)
        self.assertNotIn("lookup", again)
        self.assertNotIn("readdir", again)
        self.assertLess(again["opendir"], 6)
        print("measured: first import %r, again %r" % (first, again),
              flush=True)


class TestAtOnce(RequestsCase):
    def test_new_names_of_one_folder_are_looked_up_at_once(self):
        m = self.mount()
        os.listdir(m.at("acme"))
        fault = self.hub.fault("stall", path="/refs")
        asked = [Asked(os.lstat, m.at("acme", "slow%d@v1" % i))
                 for i in range(SLOW_NAMES)]
        # None is answered before all have come.
        wait_for_hub(fault, SLOW_NAMES)
        wait_for_waiting(m, SLOW_NAMES)
        self.assertTrue(all(one.waits() for one in asked))
        fault.release()
        for one in asked:
            self.assertIsNone(one.end().error)


if __name__ == "__main__":
    unittest.main()
