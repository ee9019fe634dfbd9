# SPDX-License-Identifier: Apache-2.0
"""One download per blob and host, however many ask; and a cache that is
full."""

import collections
import os
import subprocess
import sys
import unittest

from asking import Asked, Reader, ask_read, log_lines, wait_for_hub, \
    wait_for_waiting
from mounted import (DEADLINE, SPEC, MountCase, clean_environment, errno_of,
                     lfs_bytes, make_kernel, make_owner, read, wait_for)

BUILD = "build/" + SPEC
PROCESSES = 32
MODULES = 12
KERNEL = {
    "__init__.py": "from . import %s\nVALUE = 7\n" % ", ".join(
        "m%02d" % i for i in range(MODULES)),
    **{"m%02d.py" % i: "NUMBER = %d\n" % i for i in range(MODULES)},
    "data.so": lfs_bytes(300000, seed=1),
    "more.so": lfs_bytes(5000, seed=2),
}
IMPORT = """if True:
    import os, sys
    sys.path.insert(0, sys.argv[1])
    sys.stdin.read(1)
    import relu
    with open(os.path.join(os.path.dirname(relu.__file__), "data.so"),
              "rb") as f:
        print(relu.VALUE, relu.m11.NUMBER, len(f.read()))
    """


class OneFlight(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: KERNEL})

    def start(self, m):
        """A process that imports the kernel once it is let go."""
        return subprocess.Popen(
            [sys.executable, "-c", IMPORT, m.at(".env", SPEC)],
            env=clean_environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True)

    def import_all(self, mounts):
        processes = [self.start(m) for m in mounts
                     for _ in range(PROCESSES // len(mounts))]
        try:
            for process in processes:
                process.stdin.write("x")
                process.stdin.flush()
            for process in processes:
                out, said = process.communicate(timeout=3 * DEADLINE)
                self.assertEqual(out, "7 11 300000\n", said)
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def gets(self):
        """Requests per file: (endpoint, file) -> count."""
        return collections.Counter(
            (line["endpoint"],
             line["path"].partition("filename=")[2].partition("&")[0]
             if line["origin"] == "cdn" else
             line["path"].partition("?")[0].rpartition("/")[2])
            for line in self.hub.counts()["log"]
            if line["endpoint"] in ("resolve", "resolve-cache", "cdn"))

    def assert_one_get_per_blob(self):
        gets = self.gets()
        self.assertEqual(set(gets.values()), {1}, gets)
        self.assertEqual(
            {name for endpoint, name in gets if endpoint == "resolve"},
            set(KERNEL) | {"metadata.json"})

    def test_32_processes_import_a_cold_kernel(self):
        m = self.mount()
        self.import_all([m])
        wait_for(lambda: m.json("status")["downloads"]["queued"] == 0 and
                 m.json("status")["downloads"]["running"] == 0,
                 "the rest of the build")
        self.assert_one_get_per_blob()
        for endpoint, most in (("refs", 1), ("overview", 1), ("tree", 2)):
            self.assertLessEqual(m.counts().get(endpoint, 0), most, endpoint)

    def test_two_mounts_of_one_cache_fetch_each_blob_once(self):
        mounts = [self.mount(cache="both"), self.mount(cache="both")]
        self.import_all(mounts)
        for m in mounts:
            wait_for(lambda m=m: m.json("status")["downloads"]["queued"] == 0
                     and m.json("status")["downloads"]["running"] == 0,
                     "the rest of the build")
        gets = self.gets()
        # What decides the choice each mount may ask for itself.
        gets = {key: n for key, n in gets.items()
                if key[1] != "metadata.json"}
        self.assertEqual(set(gets.values()), {1}, gets)

    def test_the_other_mount_takes_over_when_one_is_killed(self):
        one, other = self.mount(cache="both"), self.mount(cache="both")
        commit = "relu@" + self.commit("acme/relu")
        for m in (one, other):
            os.stat(m.at("acme", commit, BUILD, "data.so"))
        fault = self.hub.fault("stall", path="filename=data.so",
                               origin="cdn", after=1000, times=1)
        reader = Reader(one.at("acme", commit, BUILD, "data.so"))
        self.addCleanup(reader.kill)
        wait_for_hub(fault)
        waiting = ask_read(other.at("acme", commit, BUILD, "data.so"))
        wait_for_waiting(other, 1)
        one.allowed = {-9}
        one.kill()
        self.assertEqual(waiting.end().value, KERNEL["data.so"])


@unittest.skipIf(os.geteuid(), "a file system of its own needs root")
class Full(MountCase):
    """The cache lies on a small file system."""

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1",
                    {SPEC: {"__init__.py": "X = 1\n"}},
                    files={"small.txt": b"small",
                           "large.so": lfs_bytes(3 << 20, seed=3),
                           "middle.so": lfs_bytes(900000, seed=4)})

    def setUp(self):
        super().setUp()
        self.place = os.path.join(self.dir, "place")
        os.mkdir(self.place)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700",
                        "kernelfs", self.place], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.place],
                        check=True)
        self._caches["small"] = self.place

    def at(self, m, name):
        return m.at("acme", "relu@" + self.commit("acme/relu"), name)

    def test_a_file_that_does_not_fit_is_enospc(self):
        m = self.mount("--min-free=0", cache="small")
        self.refuses("ENOSPC", read, self.at(m, "large.so"))
        (line,) = log_lines(m, "large.so")
        self.assertIn("No space left", line)
        self.assertIn(self.place, line)
        self.assertEqual(read(self.at(m, "small.txt")), b"small")
        self.assertEqual(len(read(self.at(m, "middle.so"))), 900000)

    def test_the_default_floor_suits_a_small_disk(self):
        m = self.mount(cache="small")
        self.assertEqual(len(read(self.at(m, "middle.so"))), 900000)
        self.refuses("ENOSPC", read, self.at(m, "large.so"))
        (line,) = log_lines(m, "large.so")
        self.assertIn("min_free", line)

    def test_it_works_again_when_there_is_room(self):
        m = self.mount("--min-free=0", cache="small")
        ballast = os.path.join(self.place, "ballast")
        with open(ballast, "wb") as f:
            f.write(b"x" * 1500000)
        self.refuses("ENOSPC", read, self.at(m, "middle.so"))
        os.unlink(ballast)
        self.assertEqual(len(read(self.at(m, "middle.so"))), 900000)

    def test_names_are_known_though_nothing_can_be_kept(self):
        ballast = os.path.join(self.place, "ballast")
        m = self.mount("--min-free=0", cache="small")
        with open(ballast, "wb", buffering=0) as f:
            while errno_of(f.write, b"x" * 4096) is None:
                pass
        asked = Asked(os.listdir, m.at("acme", "relu@v1", "build")).end()
        self.assertIn(asked.error, (None, "ENOSPC"))
        self.assertFalse(m.has_ended())
        os.unlink(ballast)
        self.assertEqual(read(self.at(m, "small.txt")), b"small")


if __name__ == "__main__":
    unittest.main()
