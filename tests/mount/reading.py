# SPDX-License-Identifier: Apache-2.0
"""What reads a mount in every way while it is made hard, for the short tests
beside this and the long ones in tests/torture. Classes here are mixed into
those; their numbers say how long it takes.

$KERNELFS_FSX_SEED repeats a run; each prints its own.
"""

import glob
import hashlib
import os
import random
import subprocess
import sys

from asking import state_of
from mounted import (
    DEADLINE, MODE, ROOT, SPEC, clean_environment, leftovers, lfs_bytes,
    make_kernel, make_owner, read, wait_for)

FSX = os.path.join(ROOT, "build", MODE, "torture", "fsx")
SEED = int(os.environ.get("KERNELFS_FSX_SEED", "0")) or \
    random.SystemRandom().randrange(1, 1 << 30)
BUILD = "build/" + SPEC
PAGE = 4096
# The kernel reads complete files itself where it may, or asks for pages.
WAYS = {"auto": (), "off": ("--passthrough=off",)}
LIBRARY = """
extern const unsigned char begin[], end[];
__asm__(".section .rodata\\n.globl begin\\nbegin:\\n.incbin \\"%s\\"\\n"
        ".globl end\\nend:\\n.byte 0\\n.previous\\n");
unsigned sum(void);
unsigned sum(void)
{
    unsigned s = 0;
    for (const unsigned char *p = begin; p < end; p++)
        s += *p;
    return s;
}
"""
# Says the sum of the library, or why it cannot be loaded.
LOADER = "import ctypes, sys\n" \
         "print(ctypes.CDLL(sys.argv[1]).sum() & 0xffffffff)"


def holed(size, seed):
    """Half of it is zeros, in runs of pages."""
    rng = random.Random(seed)
    return b"".join(lfs_bytes(PAGE, seed + i) if rng.random() < 0.5
                    else bytes(PAGE) for i in range(size // PAGE))


def descriptors(m):
    """What the daemon has open, as links say it."""
    out = []
    folder = "/proc/%d/fd" % m.pid
    for name in os.listdir(folder):
        try:
            out.append(os.readlink(os.path.join(folder, name)))
        except FileNotFoundError:
            continue
    return out


def open_blobs(m):
    """Files of the cache, named or not, that the daemon has open."""
    return [path for path in descriptors(m)
            if path.startswith((m.cache + "/blobs/", m.cache + "/partial/"))
            or path.endswith(" (deleted)")]


class Reading:
    """Comes before MountCase: files, and a plain copy of them."""

    FILES = {}  # name -> bytes

    def mount_to_read(self, *options):
        m = self.mount(*options, log_level="warning")
        m.watchdog.cancel()  # all that may hang has a deadline of its own
        self.hub.reset()
        print("seed: KERNELFS_FSX_SEED=%d passthrough: %s" %
              (SEED, m.json("status")["passthrough"]), flush=True)
        return m

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1",
                    {SPEC: {"__init__.py": "X = 1\n", **self.FILES}})
        self.golden = os.path.join(self.dir, "golden")
        os.makedirs(self.golden)
        for name, data in self.FILES.items():
            with open(os.path.join(self.golden, name), "wb") as f:
                f.write(data)

    def build(self, m):
        return m.at("acme", "relu@" + self.commit("acme/relu"), BUILD)

    def fsx(self, m, operations, *flags, number=0):
        """One process that reads; its seed is the run's and its number."""
        return subprocess.Popen(
            [FSX, *flags, self.build(m), self.golden, str(SEED + number),
             str(operations), *sorted(self.FILES)],
            env=clean_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True)

    def all_read_right(self, processes, deadline):
        """Each ends in time and has found nothing wrong; what they said."""
        said = []
        try:
            for process in processes:
                out, _ = process.communicate(timeout=deadline)
                self.assertEqual(process.returncode, 0, "seed %d: %s" %
                                 (SEED, out))
                said.append(out)
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                    process.communicate()
        return said

    def nothing_leaks(self, m):
        """Nobody reads any more: the daemon lets go of everything."""
        wait_for(lambda: m.json("status")["downloads"]["running"] == 0,
                 "the end of the downloads")
        wait_for(lambda: not open_blobs(m), "blobs to be closed")
        self.assertLess(len(descriptors(m)), 128, descriptors(m))
        self.assertEqual(leftovers(m.cache), [])
        self.blobs_are_right(m.cache)

    def blobs_are_right(self, cache):
        for path in glob.glob(cache + "/blobs/*/*"):
            data, name = read(path), os.path.basename(path)
            have = hashlib.sha256(data).hexdigest() if len(name) == 64 \
                else hashlib.sha1(b"blob %d\0" % len(data) +
                                  data).hexdigest()
            self.assertEqual(have, name)


def sizes(*more):
    """Files around the edges of pages."""
    out = {"f%08d.so" % n: lfs_bytes(n, n) for n in
           (0, 1, PAGE - 1, PAGE, PAGE + 1, 12345, 131072, 300001, *more)}
    out["holes.so"] = holed(40 * PAGE, 7)
    return out


class RandomReads(Reading):
    """pread, readv, read, mmap, splice, sendfile, lseek, fadvise."""

    OPERATIONS = 0
    FILES = sizes()

    def check(self, *options):
        m = self.mount_to_read(*options)
        said = self.all_read_right(
            [self.fsx(m, self.OPERATIONS),
             self.fsx(m, self.OPERATIONS, "-a", number=1)],
            DEADLINE + self.OPERATIONS / 100)
        print("measured: " + "measured: ".join(said), end="", flush=True)
        self.nothing_leaks(m)


class Eviction(Reading):
    """Readers hold files while others come that there is no room for."""

    READERS = 4
    OPERATIONS = 0
    FILES = {"f%02d.so" % i: lfs_bytes(300000 + 1000 * i, i)
             for i in range(24)}

    def check(self, *options):
        limit = sum(map(len, self.FILES.values())) * 2 // 5
        m = self.mount_to_read("--cache-size=%d" % limit, *options)
        said = self.all_read_right(
            [self.fsx(m, self.OPERATIONS, "-e", *["-a"] * (i % 2), number=i)
             for i in range(self.READERS)],
            2 * DEADLINE + self.OPERATIONS / 20)
        print("measured: " + "measured: ".join(said), end="", flush=True)
        self.assertGreater(self.hub.counts()["by_endpoint"]["cdn"],
                           len(self.FILES), "nothing was evicted")
        self.nothing_leaks(m)
        held = sum(os.stat(path).st_size
                   for path in glob.glob(m.cache + "/blobs/*/*"))
        self.assertLessEqual(held, limit)


class Arrival(Reading):
    """Processes load one library while it arrives."""

    PROCESSES = 0
    SIZE = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = os.path.join(ROOT, "build", MODE, "torture")
        os.makedirs(folder, exist_ok=True)
        stem = os.path.join(folder, "arrives-%d" % os.getpid())
        data = lfs_bytes(cls.SIZE, SEED)
        cls.sum = sum(data) & 0xffffffff
        try:
            with open(stem + ".bin", "wb") as f:
                f.write(data)
            with open(stem + ".c", "w", encoding="ascii") as f:
                f.write(LIBRARY % (stem + ".bin"))
            subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o",
                            stem + ".so", stem + ".c"], check=True)
            cls.FILES = {"lib.so": read(stem + ".so")}
        finally:
            for end in (".bin", ".c", ".so"):
                if os.path.exists(stem + end):
                    os.unlink(stem + end)

    def load(self, path):
        return subprocess.Popen(
            [sys.executable, "-S", "-c", LOADER, path],
            env=clean_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True)

    def check(self, *options):
        m = self.mount_to_read("--stall-timeout=5min", *options)
        self.hub.clear_faults()
        fault = self.hub.fault("stall", after=self.SIZE // 9, origin="cdn")
        path = os.path.join(self.build(m), "lib.so")
        loaders = [self.load(path) for _ in range(self.PROCESSES)]
        try:
            self.all_wait(m, loaders)
            fault.release()
            for loader in loaders:
                out, err = loader.communicate(
                    timeout=6 * DEADLINE)
                self.assertEqual((out, err), ("%d\n" % self.sum, ""))
        finally:
            for loader in loaders:
                if loader.poll() is None:
                    loader.kill()
                    loader.communicate()
        self.assertEqual({state_of(one.pid) for one in loaders}, {None})
        self.fetched_once()
        self.nothing_leaks(m)

    def all_wait(self, m, loaders):
        try:
            wait_for(lambda: m.json("status")["waiting"] >= self.PROCESSES,
                     "all to wait", DEADLINE + self.PROCESSES)
        except AssertionError as error:
            raise AssertionError("%s: %s; %s; %s" % (
                error, m.json("status"), [one.poll() for one in loaders],
                self.counted())) from None

    def counted(self):
        return ["%(path).60s %(status)s %(bytes)s" % line
                for line in self.hub.counts()["log"]]

    def fetched_once(self):
        """One download, in one piece or in parts that do not overlap."""
        sent = sum(line["bytes"] for line in self.hub.counts()["log"]
                   if line["endpoint"] == "cdn")
        self.assertLess(sent, len(self.FILES["lib.so"]) * 11 // 10)
