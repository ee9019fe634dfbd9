# SPDX-License-Identifier: Apache-2.0
"""Sixteen threads do whatever they like while the Hub fails at random, and
sixteen readers are shot at with signals: no hang, no wrong byte."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "mount"))

import reading  # noqa: E402
from asking import state_of  # noqa: E402
from mounted import (DEADLINE, SPEC, MountCase,  # noqa: E402
                     clean_environment, errno_of, lfs_bytes, make_kernel,
                     make_owner, read, wait_for)

BUILD = "build/" + SPEC
REPOS, FILES = 12, 8
THREADS, OPERATIONS = 16, 2000
SECONDS = 60
STORM_S = 30
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(
    1, 1 << 30)
MAY_FAIL = {"EIO", "ETIMEDOUT", "EBADMSG"}


class Storm(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        self.files = {}
        for r in range(REPOS):
            repo = "acme/k%02d" % r
            files = {"f%d.so" % i: lfs_bytes(5000 + 30000 * i, 100 * r + i)
                     for i in range(FILES)}
            files["sub/small.py"] = "X = %d\n" % r
            make_kernel(root, repo, "v1",
                        {SPEC: {"__init__.py": repo, **files}},
                        files={"README.md": repo})
            for name, data in files.items():
                self.files["k%02d" % r, name] = \
                    data if isinstance(data, bytes) else data.encode()

    def pinned(self, m, repo, *parts):
        return m.at("acme", "%s@%s" % (repo, self.commit("acme/" + repo)),
                    *parts)


class Operations(Storm):
    """2,000 operations in 16 threads for a minute."""

    def weather(self, rng, end):
        """Faults come and go."""
        while time.monotonic() < end.value and not end.is_set():
            kind, more = rng.choice([
                ("status", {"code": 500}), ("status", {"code": 404}),
                ("status", {"code": 429,
                            "headers": {"Retry-After": "0"}}),
                ("html", {}), ("cut", {}), ("cut", {"after": 3000}),
                ("wrong_bytes", {}), ("wrong_length", {"delta": 5}),
                ("wrong_length", {"delta": -5}), ("stall", {}),
                ("stall", {"after": 2000}), ("drip", {"bps": 100000}),
                ("redirect_loop", {}), ("body", {"body": "[{"}),
                ("delay_ms", {"delay_ms": 100})])
            more = dict(more, times=rng.randrange(1, 8),
                        path=rng.choice(["", "resolve", "tree", "refs",
                                         "/repos/", "k0", "f7"]))
            self.hub.fault(kind, **more)
            end.wait(rng.random())
            if rng.random() < 0.3:
                self.hub.clear_faults()
        self.hub.clear_faults()

    def operation(self, m, rng):
        """One of them; gives the name of its error, or None."""
        repo = "k%02d" % rng.randrange(REPOS)
        (_, name), data = rng.choice(
            [item for item in self.files.items() if item[0][0] == repo])

        def whole():
            if read(self.pinned(m, repo, BUILD, name)) != data:
                raise AssertionError("wrong bytes of %s/%s" % (repo, name))

        def part():
            at = rng.randrange(len(data))
            fd = os.open(self.pinned(m, repo, BUILD, name), os.O_RDONLY)
            try:
                if os.pread(fd, 1000, at) != data[at:at + 1000]:
                    raise AssertionError("wrong part of %s/%s" % (repo, name))
            finally:
                os.close(fd)

        return errno_of(rng.choice([
            whole, whole, part, part,
            lambda: os.stat(self.pinned(m, repo, BUILD, name)),
            lambda: os.listdir(self.pinned(m, repo, "build")),
            lambda: os.listdir(self.pinned(m, repo, BUILD)),
            lambda: os.readlink(m.at("acme", repo)),
            lambda: os.listdir(m.at("acme", repo + "@v1")),
            lambda: os.listdir(m.path),
            lambda: m.control("status"),
            lambda: os.getxattr(self.pinned(m, repo, BUILD, name),
                                "user.kernelfs.state"),
            lambda: os.stat(m.at(".env", SPEC, repo))]))

    def worker(self, m, number, end, out):
        rng = random.Random(SEED + number)
        try:
            while not end.is_set() and time.monotonic() < end.value:
                out["errors"].append(self.operation(m, rng))
                # Spread over the minute, so that much weather is met.
                end.wait(rng.random() * SECONDS * THREADS / OPERATIONS)
        except BaseException as error:  # told by the test's own thread
            out["broken"].append(repr(error))
            end.set()

    def test_random_operations_under_random_faults(self):
        print("seed: SEED=%d" % SEED, flush=True)
        m = self.mount("--stall-timeout=500ms", "--deadline=5s")
        end = threading.Event()
        end.value = time.monotonic() + SECONDS
        out = {"errors": [], "broken": []}
        threads = [threading.Thread(target=self.worker, daemon=True,
                                    args=(m, i, end, out))
                   for i in range(THREADS)]
        threads.append(threading.Thread(
            target=self.weather, args=(random.Random(SEED), end),
            daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS + 3 * DEADLINE)
            self.assertFalse(thread.is_alive(), "a thread hangs")
        self.assertEqual(out["broken"], [])
        errors = {e: out["errors"].count(e) for e in set(out["errors"])}
        print("measured: operations by error: %s" % errors, flush=True)
        self.assertEqual(
            set(errors) - MAY_FAIL - {None, "ENOENT", "EACCES"}, set())
        self.assertGreaterEqual(len(out["errors"]), OPERATIONS // 2)
        self.check_all_is_well(m)

    def check_all_is_well(self, m):
        self.assertFalse(m.has_ended())
        # What a 404 hid is hidden for a minute.
        left = dict(self.files)

        def all_right():
            for (repo, name), data in list(left.items()):
                path = self.pinned(m, repo, BUILD, name)
                if errno_of(os.stat, path) or errno_of(read, path):
                    return False
                self.assertEqual(read(path), data)
                del left[repo, name]
            return True
        wait_for(all_right, "an end of all failures", 90)


class Interrupts(Storm, reading.Reading):
    """16 readers of slow files get random signals."""

    READER = """if True:
        import os, random, signal, sys
        signal.signal(signal.SIGUSR1, lambda *a: None)
        rng = random.Random(int(sys.argv[1]))
        print("ready", flush=True)
        count = 0
        while True:
            path = rng.choice(sys.argv[2:])
            with open(path, "rb") as f:
                size = len(f.read())
            if size != os.stat(path).st_size:
                sys.exit("short: " + path)
        """

    def start(self, number, paths):
        process = subprocess.Popen(
            [sys.executable, "-c", self.READER, str(number), *paths],
            env=clean_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()
        return process

    def stop(self, process):
        """It must go at once, wherever it waits; gives what it had said."""
        status = process.poll()
        process.kill()
        process.wait(DEADLINE)
        said = process.stderr.read().decode()
        process.stdout.close()
        process.stderr.close()
        return status, said

    def test_a_storm_of_signals(self):
        print("seed: SEED=%d" % SEED, flush=True)
        rng = random.Random(SEED)
        m = self.mount("--connections=16")
        paths = [self.pinned(m, repo, BUILD, name)
                 for repo, name in self.files]
        self.hub.fault("drip", bps=60000, origin="cdn")
        self.hub.fault("delay_ms", delay_ms=100)
        readers = [self.start(i, paths) for i in range(16)]
        end = time.monotonic() + STORM_S
        shots = kills = 0
        try:
            while time.monotonic() < end:
                i = rng.randrange(len(readers))
                if rng.random() < 0.02:
                    status, said = self.stop(readers[i])
                    self.assertIsNone(status, said)
                    readers[i] = self.start(rng.randrange(1 << 20), paths)
                    kills += 1
                else:
                    with contextlib.suppress(ProcessLookupError):
                        readers[i].send_signal(signal.SIGUSR1)
                    shots += 1
                threading.Event().wait(rng.random() * 0.01)
        finally:
            ended = [self.stop(reader) for reader in readers]
        print("measured: %d signals, %d kills" % (shots, kills), flush=True)
        self.assertEqual([e for e in ended if e[0] is not None], [])
        self.assertEqual({state_of(r.pid) for r in readers}, {None})
        self.hub.clear_faults()
        wait_for(lambda: m.json("status")["waiting"] == 0,
                 "the end of the waiting")
        for (repo, name), data in self.files.items():
            self.assertEqual(read(self.pinned(m, repo, BUILD, name)), data)
        self.nothing_leaks(m)


if __name__ == "__main__":
    unittest.main()
