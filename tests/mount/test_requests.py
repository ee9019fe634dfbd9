# SPDX-License-Identifier: Apache-2.0
"""What the kernel asks the daemon: counted, first and again. Exact, and the
same on every machine; a request more is a cost that nobody decided."""

import ctypes
import ctypes.util
import errno
import hashlib
import mmap
import os
import re
import struct
import unittest

from asking import Asked, wait_for_hub, wait_for_waiting
from mounted import (
    SPEC, MountCase, lfs_bytes, make_kernel, make_owner, read, spec,
    wait_for)

MODULES = 300
SLOW_NAMES = 6
STRANGERS = 2
FIRST_NAMES = 12
TRIES = 10


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

    def costs(self, counter, call, *args, **wanted):
        """That much and no more, at the latest the tenth time: a machine
        that is short of memory makes the kernel forget what it knew."""
        for _ in range(TRIES):
            counter.since()
            call(*args)
            asked = counter.since()
            if asked == wanted:
                break
        self.assertEqual(asked, wanted)

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
            # beside a stub it is there, for its bytecode, and not listed
            stub = absent == "__pycache__" and "/python/" in base
            assert os.path.lexists(os.path.join(base, absent)) == stub
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
        self.costs(counter, look, at, opendir=folders)

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
        self.costs(self.counter(m), read_all, at, opendir=folders,
                   open=files)

    def test_a_missing_name_is_asked_for_once(self):
        m = self.mount()
        at = self.commit_folder(m) + "/build/" + SPEC
        os.stat(at)
        counter = self.counter(m)
        for _ in range(TRIES):
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
        for _ in range(TRIES):  # see costs()
            fresh = self.mount(cache="one")
            at = self.commit_folder(fresh)
            counter = self.counter(fresh)
            self.imports(fresh, at)
            first = counter.since()
            if first["lookup"] < FIRST_NAMES:
                break
        print("measured: the first import: %r" % first, flush=True)
        self.assertEqual(first["open"], MODULES + 1)
        # isatty() of each, which the kernel does not remember
        self.assertEqual(first["ioctl"], MODULES + 1)
        # Names come with the listing of their folder; what is left are the
        # steps on the way to it and what is missing there.
        self.assertLess(first["lookup"], FIRST_NAMES)
        asked = {"lookup", "open", "opendir", "readdir", "ioctl"}
        if not fresh.json("status")["passthrough"]["on"]:
            asked.add("read")
        self.assertEqual(set(first), asked)
        counter.since()
        self.imports(fresh, at)
        self.costs(counter, self.imports, fresh, at, open=MODULES + 1,
                   ioctl=MODULES + 1, opendir=2)


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


def library():
    """A real one, of this machine: of some length, with relocations."""
    name = ctypes.util.find_library("crypto") or "libc.so.6"
    with open("/proc/self/maps", encoding="utf-8") as f:
        ctypes.CDLL(name)
        path = next(line.split(maxsplit=5)[5].strip() for line in f
                    if name.split(".so")[0] in line)
    return read(path)


def writable(elf):
    """Where the pages lie that the loader writes to: begin and end."""
    at, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        kind, flags, offset, _, _, n = struct.unpack_from(
            "<IIQQQQ", elf, at + i * size)
        if kind == 1 and flags & 2:
            return offset & -mmap.PAGESIZE, offset + n
    raise AssertionError("no such segment")


def resident(fd, begin, end):
    """How many of these pages of a file lie in memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                          ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t,
                             ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    where = libc.mmap(None, end - begin, mmap.PROT_READ, mmap.MAP_SHARED, fd,
                      begin)
    pages = ctypes.create_string_buffer((end - begin) // mmap.PAGESIZE + 1)
    assert libc.mincore(where, end - begin, pages) == 0
    libc.munmap(where, end - begin)
    return sum(page & 1 for page in pages.raw)


class TestAhead(MountCase):
    def kernels(self, root):
        self.library = library()
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {
            SPEC: {"__init__.py": "X = 1\n", "lib.so": self.library}})

    def build(self, m):
        return m.at("acme", "relu@" + self.commit("acme/relu"), "build", SPEC)

    def test_a_library_is_read_ahead_when_its_build_is_first_used(self):
        m = self.mount(cache="one")
        read(self.build(m), "lib.so")
        m.end()
        name = hashlib.sha256(self.library).hexdigest()
        blob = os.path.join(m.cache, "blobs", name[:2], name)
        fd = os.open(blob, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        part = writable(self.library)
        if resident(fd, *part):
            self.skipTest("a disk of memory: all is there at once")
        m = self.mount(cache="one")
        os.listdir(self.build(m))
        self.assertEqual(resident(fd, *part), 0)
        read(self.build(m), "metadata.json")
        pages = (part[1] - part[0] + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        wait_for(lambda: resident(fd, *part) == pages, "the loader's pages")

    def test_what_is_not_in_the_cache_is_not_fetched_for_that(self):
        pin = ("acme/relu@" + self.commit("acme/relu"),)
        m = self.mount(cache="one", imports=pin)
        os.listdir(os.path.dirname(self.build(m)))
        m.end()
        m = self.mount(cache="one", imports=pin)
        os.listdir(self.build(m))
        self.hub.reset()
        read(self.build(m), "metadata.json")
        m.end()  # whatever was begun has ended
        self.assert_requests()


if __name__ == "__main__":
    unittest.main()
