# SPDX-License-Identifier: Apache-2.0
"""Passthrough: the kernel reads blobs from the cache by itself, and where it
cannot, the same bytes come through the daemon."""

import contextlib
import glob
import json
import mmap
import os
import re
import shutil
import signal
import stat
import subprocess
import threading
import unittest

from mounted import (
    DEADLINE, PROGRAM, SPEC, MountCase, clean_environment,
    is_mounted, lfs_bytes, make_kernel, make_owner, read, wait_for)

BIG = lfs_bytes(3 << 20, seed=8)
MANY = 300
TMPFS = ["mount", "-t", "tmpfs", "none"]
TORCH = "torch-universal"


def is_offered():
    """Linux 6.9 or later, and the right to register files."""
    major, minor = map(int, re.match(r"(\d+)\.(\d+)", os.uname().release)
                       .groups())
    with open("/proc/self/status", encoding="ascii") as f:
        caps = int(re.search(r"CapEff:\s*(\w+)", f.read())[1], 16)
    with open("/proc/self/uid_map", encoding="ascii") as f:
        first = f.read().split() == ["0", "0", "4294967295"]
    return (major, minor) >= (6, 9) and bool(caps & 1 << 21) and first


def resident(path):
    """How many of its bytes lie in memory."""
    done = subprocess.run(["fincore", "--json", "--bytes", path], check=True,
                          stdout=subprocess.PIPE)
    return int(json.loads(done.stdout)["fincore"][0]["res"])


class Passthrough(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {
            TORCH: {"__init__.py": "X = 1\n", "big.so": BIG,
                    "more.so": lfs_bytes(70001, seed=9)},
            "torch-cpu": dict({"f%03d.py" % i: "X = %d\n" % i
                               for i in range(MANY)})})

    def at(self, m, *parts):
        return m.at("acme", "relu@" + self.commit("acme/relu"), "build",
                    *parts)

    def big(self, m):
        return self.at(m, TORCH, "big.so")

    def metric(self, m, name):
        return int(re.search(r"^%s (\d+)$" % re.escape(name),
                             m.control("metrics"), re.M)[1])

    def reads(self, m):
        return self.metric(m, 'kernelfs_requests_total{op="read"}')

    def files(self, m):
        return self.metric(m, "kernelfs_passthrough_files")

    def told(self, m):
        return m.json("status")["passthrough"]

    def assert_off(self, m, *words):
        """It is off, for a reason with these words, and all is served."""
        told = self.told(m)
        self.assertIs(told["on"], False)
        for word in words:
            self.assertIn(word, told["reason"])
        self.assertEqual(read(self.big(m)), BIG)
        self.assertEqual(self.files(m), 0)
        self.assertEqual(self.metric(m, "kernelfs_passthrough"), 0)


@unittest.skipUnless(is_offered(), "no passthrough on this machine")
class TestOn(Passthrough):
    def test_reads_of_every_kind_ask_the_daemon_for_nothing(self):
        m = self.mount()
        self.assertEqual(self.told(m), {"on": True, "reason": None})
        path = self.big(m)
        before = self.reads(m)
        self.assertEqual(read(path), BIG)
        self.assertEqual(read(self.at(m, TORCH, "__init__.py")), b"X = 1\n")
        with open(path, "rb") as f:
            fd = f.fileno()
            self.assertEqual(os.pread(fd, 5000, 1 << 20),
                             BIG[1 << 20:][:5000])
            self.assertEqual(os.pread(fd, 100, len(BIG)), b"")
            with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as whole:
                self.assertEqual(whole[:], BIG)
            with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE,
                           prot=mmap.PROT_READ | mmap.PROT_WRITE) as own:
                own[:4] = b"mine"
                self.assertEqual(own[4:], BIG[4:])
            out = os.path.join(self.dir, "copy")
            with open(out, "wb") as to:
                self.assertEqual(os.sendfile(to.fileno(), fd, 4096, 99999),
                                 99999)
            self.assertEqual(read(out), BIG[4096:][:99999])
            r, w = os.pipe()
            self.assertEqual(os.splice(fd, w, 8192, offset_src=8192), 8192)
            self.assertEqual(os.read(r, 8192), BIG[8192:16384])
            os.close(r)
            os.close(w)
            self.assertEqual(os.lseek(fd, -7, os.SEEK_END), len(BIG) - 7)
            self.assertEqual(os.read(fd, 99), BIG[-7:])
        # reports are read through the daemon: those of the metrics alone
        self.assertLessEqual(self.reads(m) - before, 2)
        self.assertEqual(self.files(m), 2)

    def test_the_page_cache_is_the_blobs_own(self):
        m = self.mount()
        read(self.big(m))
        blob, = (p for p in glob.glob(m.cache + "/blobs/*/*")
                 if os.stat(p).st_size == len(BIG))
        with open(blob, "rb") as f:
            os.fdatasync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.assertEqual(resident(self.big(m)), 0)
        with open(blob, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            f.seek(1 << 20)
            f.read(1 << 20)
        self.assertGreaterEqual(resident(blob), 1 << 20)
        self.assertEqual(resident(self.big(m)), resident(blob))

    def test_what_is_open_goes_on_when_the_daemon_is_killed(self):
        m = self.mount()
        m.allowed.add(-signal.SIGKILL)
        with open(self.big(m), "rb") as f:
            with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as whole:
                blob, = (p for p in glob.glob(m.cache + "/blobs/*/*")
                         if os.stat(p).st_size == len(BIG))
                m.kill()
                wait_for(m.has_ended)
                with open(blob, "rb") as b:  # none of it is in memory
                    os.fdatasync(b.fileno())
                    os.posix_fadvise(b.fileno(), 0, 0,
                                     os.POSIX_FADV_DONTNEED)
                self.assertEqual(whole[:], BIG)
                self.assertEqual(os.pread(f.fileno(), 4096, 12345),
                                 BIG[12345:][:4096])
        self.refuses("ENOTCONN", os.listdir, m.path)

    def test_many_threads_that_open_one_file_first(self):
        m = self.mount()
        wrong = []
        barrier = threading.Barrier(32)

        def one():
            barrier.wait()
            try:
                with open(self.big(m), "rb") as f:
                    got = os.pread(f.fileno(), 1000, 2000)
                    if got != BIG[2000:3000]:
                        wrong.append("bytes")
            except OSError as error:
                wrong.append(error)

        for _ in range(4):
            threads = [threading.Thread(target=one) for _ in range(32)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(wrong, [])
            self.assertEqual(self.files(m), 1)
            self.forget(m, self.big(m))

    def forget(self, m, path):
        """Have the kernel forget its inodes, and the daemon its ids."""
        def gone():
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
                f.write("2")
            return self.files(m) == 0

        self.assertTrue(path)
        wait_for(gone, "forgetting")

    def test_neither_ids_nor_descriptors_are_left_over(self):
        m = self.mount()
        at = self.at(m, "torch-cpu")
        fds = "/proc/%d/fd" % m.pid
        names = sorted(n for n in os.listdir(at) if n.startswith("f"))
        for name in names:  # fetched, and opened once
            read(at, name)
        self.forget(m, at)
        before = len(os.listdir(fds))
        for _ in range(7):
            for name in names:
                with open(os.path.join(at, name), "rb") as a, \
                        open(os.path.join(at, name), "rb") as b:
                    self.assertEqual(a.read(), b.read())
            # the machine may have had the kernel forget some meanwhile
            self.assertIn(self.files(m), range(1, MANY + 1))
            self.assertLessEqual(len(os.listdir(fds)), before + 2)
            self.forget(m, at)
        self.assertLessEqual(len(os.listdir(fds)), before + 2)

    def test_room_is_made_while_ids_are_held(self):
        m = self.mount("--cache-size=3300K", "--min-free=0")
        self.assertEqual(read(self.big(m)), BIG)
        self.assertGreater(self.files(m), 0)
        commit = self.commit("acme/relu")
        make_kernel(self.root, "acme/silu", "v1", {
            TORCH: {"__init__.py": "X = 1\n",
                    "big.so": lfs_bytes(3 << 20, seed=10)}})
        other = m.at("acme/silu@v1/build", TORCH, "big.so")
        self.assertEqual(read(other), lfs_bytes(3 << 20, seed=10))
        sizes = [os.stat(p).st_size for p in glob.glob(m.cache + "/blobs/*/*")]
        self.assertLessEqual(sum(sizes), 3300 << 10)
        # and back, in the file of the same inode
        self.assertEqual(self.commit("acme/relu"), commit)
        self.assertEqual(read(self.big(m)), BIG)

    def test_an_open_file_is_not_removed_for_room(self):
        m = self.mount("--cache-size=3300K", "--min-free=0")
        with open(self.big(m), "rb") as f:
            make_kernel(self.root, "acme/silu", "v1", {
                TORCH: {"__init__.py": "X = 1\n",
                        "big.so": lfs_bytes(3 << 20, seed=10)}})
            other = m.at("acme/silu@v1/build", TORCH, "big.so")
            self.refuses("ENOSPC", read, other)
            self.assertEqual(f.read(), BIG)
        self.assertEqual(read(other), lfs_bytes(3 << 20, seed=10))


@unittest.skipUnless(is_offered(), "no passthrough on this machine")
class TestPlaces(Passthrough):
    """What the cache lies on."""

    def place(self, command, name="place"):
        where = os.path.join(self.dir, name)
        os.makedirs(where, exist_ok=True)
        subprocess.run([*command, where], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", where], check=False)
        return where

    def overlay(self, name="place"):
        base = self.place(TMPFS, name + "-layers")
        for layer in ("lower", "upper", "work"):
            os.mkdir(os.path.join(base, layer))
        return self.place(
            ["mount", "-t", "overlay", "none", "-o",
             "lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work"
             .format(base)], name)

    def serves_from(self, cache, options=()):
        self._caches["given"] = cache
        m = self.mount("--min-free=0", *options, cache="given")
        self.assertEqual(self.told(m), {"on": True, "reason": None})
        before = self.reads(m)
        self.assertEqual(read(self.big(m)), BIG)
        self.assertEqual(read(self.big(m)), BIG)
        self.assertLessEqual(self.reads(m) - before, 2)
        self.assertEqual(self.files(m), 1)
        return m

    def test_a_cache_on_tmpfs(self):
        self.serves_from(os.path.join(self.place(TMPFS), "cache"))

    def test_a_cache_on_overlayfs(self):
        self.serves_from(os.path.join(self.overlay(), "cache"))

    def squashed(self):
        """What a mount has fetched, on another FUSE: a folder."""
        m = self.mount(cache="to be squashed")
        self.assertEqual(read(self.big(m)), BIG)
        m.end()
        image = os.path.join(self.dir, "image")
        subprocess.run(["mksquashfs", m.cache, image, "-quiet",
                        "-no-progress"], check=True,
                       stdout=subprocess.DEVNULL)
        return self.place(["squashfuse", image])

    @unittest.skipUnless(shutil.which("squashfuse") and
                         shutil.which("mksquashfs"), "no squashfuse")
    def test_a_cache_and_a_tier_on_another_fuse(self):
        where = self.squashed()
        self.serves_from(where, options=("--offline",))
        m = self.mount("--tier=" + where)
        before = self.reads(m)
        self.assertEqual(read(self.big(m)), BIG)
        self.assertLessEqual(self.reads(m) - before, 2)
        self.assertEqual(self.files(m), 1)
        self.assertEqual([p for p in glob.glob(m.cache + "/blobs/*/*")
                          if os.stat(p).st_size == len(BIG)], [])

    def test_a_tier_stacked_too_deep_falls_back_alone(self):
        tier = os.path.join(self.overlay(), "tier")
        self._caches["the tier"] = tier
        first = self.mount("--min-free=0", cache="the tier")
        self.assertEqual(read(self.big(first)), BIG)
        small = self.at(first, TORCH, "more.so")
        blobs = {os.stat(p).st_size: p
                 for p in glob.glob(tier + "/blobs/*/*")}
        self.assertEqual(read(small), lfs_bytes(70001, seed=9))
        first.end()
        # the small one is not in it, and comes to the cache
        with contextlib.suppress(FileNotFoundError):
            for p in glob.glob(tier + "/blobs/*/*"):
                if os.stat(p).st_size == 70001:
                    os.unlink(p)
        self.assertIn(len(BIG), blobs)
        m = self.mount("--tier=" + tier)
        self.assertIs(self.told(m)["on"], True)
        for _ in range(2):
            self.assertEqual(read(self.big(m)), BIG)
            self.assertEqual(read(self.at(m, TORCH, "more.so")),
                             lfs_bytes(70001, seed=9))
        self.assertEqual(self.files(m), 1)  # of the two
        self.assertIs(self.told(m)["on"], True)
        self.assertEqual(len([p for p in glob.glob(m.cache + "/blobs/*/*")
                              if os.stat(p).st_size == len(BIG)]), 0)


class TestOff(Passthrough):
    def test_by_the_option(self):
        m = self.mount("--passthrough=off")
        self.assert_off(m, "passthrough=off")
        self.assertGreater(self.reads(m), 2)
        self.assertNotIn("no passthrough", m.log())
        done = subprocess.run(
            [PROGRAM, "doctor", "--json", "--offline"], env=m.environment,
            stdout=subprocess.PIPE, check=False, timeout=6 * DEADLINE)
        said = [f["message"] for f in json.loads(done.stdout)
                if m.path in f["message"]]
        self.assertEqual(said, ["'%s' answers; no passthrough: "
                                "passthrough=off" % m.path])

    def test_another_word_is_refused(self):
        done = subprocess.run(
            [PROGRAM, "--passthrough=perhaps", self.dir],
            env=clean_environment(HOME=self.dir), stderr=subprocess.PIPE,
            timeout=DEADLINE, universal_newlines=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("'perhaps' is none of auto|off|require", done.stderr)


ENTER = 'mount --bind "$1" /dev/fuse && shift && exec "$@"'
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534",
          "--clear-groups"]


@unittest.skipUnless(os.getuid() == 0 and all(map(shutil.which, (
    "unshare", "nsenter", "setpriv", "fusermount3"))), "needs root, unshare")
class TestUnprivileged(Passthrough):
    """A daemon that may not register files: the kernel agrees at INIT, and
    refuses the first file."""

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.node = os.path.join(self.dir, "fuse")
        os.mknod(self.node, stat.S_IFCHR | 0o666, os.makedev(10, 229))
        os.chmod(self.node, 0o666)
        if subprocess.run(["unshare", "-m", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no mount namespace of one's own here")
        self.program = os.path.join(self.dir, "kernelfs")
        shutil.copy(PROGRAM, self.program)
        os.chmod(self.program, 0o755)
        self.own = os.path.join(self.dir, "nobody")
        self.path = os.path.join(self.own, "mount")
        os.makedirs(self.path)
        for path in (self.own, self.path):
            os.chown(path, 65534, 65534)

    def start(self, *options):
        process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "slave", "sh", "-c", ENTER,
             "sh", self.node, *NOBODY, self.program, "-f",
             "--source=" + self.hub.url, "--env=" + SPEC, "--import=acme",
             "--cache=" + os.path.join(self.own, "cache"), *options,
             self.path],
            env=clean_environment(HOME=self.own), cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()

    def serves(self, process):
        if process.poll() is not None:
            raise AssertionError(process.stderr.read().decode())
        with open("/proc/%d/mounts" % process.pid, encoding="utf-8") as f:
            return any(line.split(" ")[1] == self.path for line in f)

    def cat(self, process, *parts):
        return subprocess.run(
            ["nsenter", "-t", str(process.pid), "-m", *NOBODY, "cat",
             os.path.join(self.path, *parts)], check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            timeout=DEADLINE).stdout

    def test_a_refused_registration_is_told_and_all_is_served(self):
        process = self.start("--log=" + os.path.join(self.own, "log"))
        wait_for(lambda: self.serves(process), "the mount")
        told = json.loads(self.cat(process, ".kernelfs/status"))
        self.assertIs(told["passthrough"]["on"], False)
        self.assertIn("CAP_SYS_ADMIN", told["passthrough"]["reason"])
        at = "acme/relu@%s/build/%s" % (self.commit("acme/relu"), TORCH)
        for _ in range(2):
            self.assertEqual(self.cat(process, at, "big.so"), BIG)
        log = read(self.own, "log").decode()
        self.assertEqual(log.count("no passthrough"), 1, log)
        self.assertIn("CAP_SYS_ADMIN", log)

    def test_require_ends_with_the_reason(self):
        process = self.start("--passthrough=require")
        self.assertEqual(process.wait(DEADLINE), 1)
        said = process.stderr.read().decode()
        self.assertIn("passthrough=require", said)
        self.assertIn("CAP_SYS_ADMIN", said)
        self.assertFalse(is_mounted(self.path))


if __name__ == "__main__":
    unittest.main()
