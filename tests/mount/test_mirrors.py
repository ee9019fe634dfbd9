# SPDX-License-Identifier: Apache-2.0
"""Several addresses of one source: over to the next, and back again."""

import errno
import os
import socket
import struct
import threading
import unittest

from mounted import (
    Hub, MountCase, lfs_bytes, make_kernel, make_owner, wait_for)

BIG = 3 << 20
LIBRARY = lfs_bytes(BIG)
BUILD = {"torch-universal": {"__init__.py": "X = 1\n", "lib.so": LIBRARY}}
AT = "acme/relu@v1/build/torch-universal"


class Dead:
    """An address where nobody serves, which counts who tries it."""

    def __init__(self):
        self.tries = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.tries += 1
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
            peer.close()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class TestMirrors(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", BUILD)
        make_kernel(root, "acme/gelu", "v1", BUILD)

    def setUp(self):
        super().setUp()
        self.second = Hub(self.root)
        self.addCleanup(self.second.close)

    def dead(self):
        dead = Dead()
        self.addCleanup(dead.close)
        return dead

    def states(self, m):
        return [(s["url"], s["state"]) for s in m.json("status")["sources"]]

    def test_a_dead_one_costs_one_try_and_later_requests_none(self):
        dead = self.dead()
        m = self.mount("--mirror=" + self.hub.url, source=dead.url,
                       imports=())
        self.assertEqual(m.text(AT, "__init__.py"), "X = 1\n")
        # Two may have been under way when it was found out; the probes,
        # every two seconds, are the others.
        found = dead.tries
        self.assertLessEqual(found, 2)
        self.assertEqual(len(m.text(AT, "__init__.py")), 6)
        self.assertEqual(os.path.getsize(m.at(AT, "lib.so")), BIG)
        with open(m.at(AT, "lib.so"), "rb") as f:
            self.assertEqual(len(f.read()), BIG)
        os.listdir(m.at("acme/gelu@v1/build"))
        requests = sum(self.hub.counts()["by_endpoint"].values())
        self.assertGreater(requests, 6)
        self.assertLess(dead.tries, requests)
        self.assertEqual(self.states(m), [(dead.url, "down"),
                                          (self.hub.url, "ok")])
        self.assertEqual(
            m.log().count("'%s' does not answer" % dead.url), 1)

    def test_no_request_of_a_reader_goes_to_the_dead_one_again(self):
        """All further tries are probes: they are as many as probes."""
        dead = self.dead()
        m = self.mount("--mirror=" + self.hub.url, source=dead.url,
                       imports=())
        os.listdir(m.at("acme/relu@v1/build"))
        first = dead.tries
        wait_for(lambda: dead.tries > first, "a probe")
        for name in ("gelu", *("none%d" % i for i in range(20))):
            try:
                os.listdir(m.at("acme/%s@v1" % name))
            except OSError as error:  # who could say is dead
                self.assertEqual(error.errno, errno.EIO)
        # A probe may be under way while the two are read.
        wait_for(lambda: dead.tries - first ==
                 m.json("status")["requests"]["alive"], "as many probes")

    def test_it_returns_to_the_preferred_one(self):
        self.hub.fault("status", code=503)
        m = self.mount("--mirror=" + self.second.url, imports=())
        os.listdir(m.at("acme/relu@v1/build"))
        self.assertEqual(self.states(m)[0], (self.hub.url, "down"))
        self.hub.faults.clear()
        wait_for(lambda: self.states(m)[0] == (self.hub.url, "ok"),
                 "the preferred one")
        self.assertEqual(m.log().count(
            "'%s' answers again" % self.hub.url), 1)
        self.second.reset()
        self.hub.reset()
        os.listdir(m.at("acme/gelu@v1/build"))
        self.assertEqual(self.second.counts()["by_endpoint"], {})
        self.assertEqual(self.hub.counts()["by_endpoint"]["refs"], 1)

    def test_a_download_that_breaks_goes_on_at_the_next(self):
        self.hub.fault("cut", origin="cdn", after=1 << 20)
        m = self.mount("--mirror=" + self.second.url, imports=())
        with open(m.at(AT, "lib.so"), "rb") as f:
            self.assertEqual(f.read(), LIBRARY)
        rest = [line for line in self.second.counts()["log"]
                if line["endpoint"] == "cdn"]
        self.assertEqual(len(rest), 1)
        self.assertLess(rest[0]["bytes"], BIG)
        self.assertGreater(rest[0]["bytes"], 0)

    def test_one_that_lags_behind_is_not_believed(self):
        dead = self.dead()
        empty = os.path.join(self.dir, "empty")
        os.makedirs(empty)
        behind = Hub(empty)
        self.addCleanup(behind.close)
        m = self.mount("--mirror=" + behind.url, "--mirror=" + self.hub.url,
                       source=dead.url, imports=())
        self.assertEqual(m.ls("acme/relu@v1/build"), ["torch-universal"])
        self.assertIn("relu", m.ls("acme"))
        self.assertGreater(behind.counts()["by_endpoint"]["refs"], 0)

    def test_the_preferred_one_is_believed(self):
        m = self.mount("--mirror=" + self.second.url, imports=())
        self.refuses("ENOENT", os.listdir, m.at("acme/none@v1"))
        self.assertEqual(self.second.counts()["by_endpoint"], {})

    def test_the_token_is_for_the_source_itself(self):
        for hub in (self.hub, self.second):
            hub.set(tokens=["hf_secret"])
        dead = self.dead()
        m = self.mount("--mirror=" + self.second.url, source=dead.url,
                       imports=(), environment={"HF_TOKEN": "hf_secret"})
        os.listdir(m.at("acme/relu@v1/build"))
        log = self.second.counts()["log"]
        self.assertTrue(log)
        self.assertEqual([line for line in log if line["authorization"]], [])
        self.assertNotIn("hf_secret", m.log())

    def test_all_dead_is_said(self):
        one, two = self.dead(), self.dead()
        m = self.mount("--mirror=" + two.url, source=one.url, imports=())
        self.refuses("EIO", os.listdir, m.at("acme/relu@v1"))
        self.assertEqual([s for _, s in self.states(m)], ["down", "down"])


if __name__ == "__main__":
    unittest.main()
