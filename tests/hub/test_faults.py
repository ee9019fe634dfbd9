# SPDX-License-Identifier: Apache-2.0
"""Each kind of fault, and hub.py, make_repo.py, relay.py as programs.

Any Python from 3.9 on runs it; test_hub.py runs it as well.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import make_repo  # noqa: E402
from case import BIG, DEADLINE, HERE, Case, wait_for  # noqa: E402
from relay import Relay  # noqa: E402


class Faults(Case):
    """Each kind of fault, as a client sees it."""

    REFS = "/api/kernels/acme/relu/refs"

    def truth(self):
        return self.ask(self.REFS).data

    def test_status(self):
        self.hub.fault("status", path="refs", code=503, times=2,
                       headers={"Retry-After": "7"}, body="busy")
        for _ in range(2):
            got = self.ask(self.REFS)
            self.assertEqual(
                (got.status, got.getheader("Retry-After"), got.data),
                (503, "7", b"busy"))
        self.assertEqual(self.ask(self.REFS).status, 200)

    def test_stall_before_the_headers_until_release(self):
        fault = self.hub.fault("stall", path="refs")
        conn = self.connect()
        conn.request("GET", self.REFS)
        wait_for(lambda: fault.waiting == 1)
        self.assertEqual(self.hub.counts()["log"][-1]["status"], None)
        self.control("DELETE", "fault")
        self.assertEqual(conn.getresponse().status, 200)
        self.assertEqual(self.ask(self.REFS).status, 200)

    def test_stall_in_the_body_until_the_client_leaves(self):
        truth = self.truth()
        fault = self.hub.fault("stall", path="refs", after=10)
        conn = self.connect()
        conn.request("GET", self.REFS)
        got = conn.getresponse()
        self.assertEqual(got.read(10), truth[:10])
        wait_for(lambda: fault.waiting == 1)
        conn.sock.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: fault.waiting == 0)
        self.assertEqual(self.hub.counts()["log"][-1]["bytes"], 10)

    def test_drip_comes_slowly_and_whole(self):
        truth = self.truth()
        begin = time.monotonic()
        self.hub.fault("drip", path="refs", bps=len(truth) * 5)
        self.assertEqual(self.ask(self.REFS).data, truth)
        self.assertGreater(time.monotonic() - begin, 0.1)

    def test_cut_after_some_bytes_and_without_an_answer(self):
        fault = self.hub.fault("cut", path="refs", after=7)
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.ask(self.REFS)
        self.assertEqual(len(caught.exception.partial), 7)
        self.assertEqual(self.hub.counts()["log"][-1]["bytes"], 7)
        self.assertEqual(fault.hits, 1)
        self.hub.clear_faults()
        self.hub.fault("cut", path="refs")
        with self.assertRaises(http.client.RemoteDisconnected):
            self.ask(self.REFS)
        self.hub.clear_faults()
        self.hub.fault("cut", path="refs", reset=True)
        with self.assertRaises(ConnectionResetError) as caught:
            self.ask(self.REFS)
        # RemoteDisconnected, an end without RST, is a subclass of it.
        self.assertIs(type(caught.exception), ConnectionResetError)

    def test_wrong_length_longer_and_shorter(self):
        truth = self.truth()
        self.hub.fault("wrong_length", path="refs", delta=5, times=1)
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.ask(self.REFS)
        self.assertEqual(caught.exception.partial, truth)
        self.hub.fault("wrong_length", path="refs", delta=-5, times=1)
        self.assertEqual(self.ask(self.REFS).data, truth[:-5])

    def test_wrong_bytes_has_the_right_size_and_one_other_byte(self):
        url = self.cached("build/torch-cpu/data/table.so")
        self.hub.fault("wrong_bytes", origin="cdn")
        got = self.ask(url).data
        self.assertEqual(len(got), len(BIG))
        self.assertEqual([i for i in range(len(BIG)) if got[i] != BIG[i]],
                         [350000])

    def test_html(self):
        self.hub.fault("html", path="refs")
        got = self.ask(self.REFS)
        self.assertEqual((got.status, got.getheader("Content-Type")),
                         (200, "text/html"))
        self.assertIn(b"<form", got.data)

    def test_redirects_in_a_loop_and_to_anywhere(self):
        self.hub.fault("redirect_loop", path="refs", times=1)
        got = self.ask(self.REFS)
        self.assertEqual((got.status, got.getheader("Location")),
                         (302, self.REFS))
        self.hub.fault("redirect_to", path="refs", code=307, times=1,
                       url="http://localhost:1{target}?x")
        got = self.ask(self.REFS)
        self.assertEqual((got.status, got.getheader("Location")),
                         (307, "http://localhost:1%s?x" % self.REFS))

    def test_body_and_headers(self):
        self.hub.fault("body", path="/tree/", body=[{"path": "../x"}])
        got = self.ask("/api/kernels/acme/relu/tree/v1")
        self.assertEqual((got.status, json.loads(got.data)),
                         (200, [{"path": "../x"}]))
        self.hub.fault("body", path="refs", body=b"{\"branches\": [\xff")
        self.assertEqual(self.ask(self.REFS).data, b"{\"branches\": [\xff")
        self.hub.fault("headers", path="resolve",
                       headers={"x-repo-commit": None, "ETag": "W/\"a\""})
        got = self.ask(self.file())
        self.assertEqual((got.getheader("X-Repo-Commit"),
                          got.getheader("ETag")), (None, "W/\"a\""))

    def test_a_delay_applies_besides_another_fault(self):
        self.hub.fault("delay_ms", path="refs", delay_ms=50)
        self.hub.fault("status", path="refs", code=500)
        begin = time.monotonic()
        self.assertEqual(self.ask(self.REFS).status, 500)
        self.assertGreater(time.monotonic() - begin, 0.045)

    def test_matching_by_method_origin_path_skip_and_times(self):
        fault = self.hub.fault("status", code=500, method="GET|POST",
                               origin="hub", path="tree/v1/build/torch",
                               skip=1, times=1)
        url = "/api/kernels/acme/relu/tree/v1/build%2Ftorch-cpu"
        self.assertEqual(
            [self.ask(url, "HEAD").status, self.ask(self.REFS).status,
             self.ask(url).status, self.ask(url).status,
             self.ask(url).status], [200, 200, 200, 500, 200])
        self.assertEqual((fault.hits, fault.left), (1, 0))

    def test_the_control_interface_does_all_that_the_class_does(self):
        number = self.control("POST", "fault", {
            "kind": "status", "code": 502, "path": "refs"})["id"]
        self.assertEqual(self.ask(self.REFS).status, 502)
        told = self.control("GET", "fault")
        self.assertEqual([(f["id"], f["hits"]) for f in told], [(number, 1)])
        self.control("DELETE", "fault/%d" % number)
        self.assertEqual(self.ask(self.REFS).status, 200)
        counts = self.control("GET", "counts")
        self.assertEqual(counts["requests"], {"GET " + self.REFS: 2})
        self.control("POST", "reset")
        self.assertEqual(self.control("GET", "counts")["log"], [])
        self.control("POST", "set", {"page_size": 1})
        self.assertEqual(self.hub.settings.page_size, 1)
        for name, value in (("fault", {"kind": "nonsense"}),
                            ("fault", {"kind": "status"}),
                            ("fault", {"kind": "html", "after": 1}),
                            ("fault", {"kind": "html", "path": "("}),
                            ("set", {"nonsense": 1}),
                            ("set", {"page_size": "1"})):
            got = self.ask("/_control/" + name, method="POST",
                           body=json.dumps(value))
            self.assertEqual(got.status, 400, value)


class Programs(Case):
    """hub.py, make_repo.py and relay.py as programs, and the relay."""

    def start(self, *args, **more):
        process = subprocess.Popen([sys.executable] + list(args),
                                   stdout=subprocess.PIPE, **more)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, json.loads(process.stdout.readline())

    def test_hub_announces_itself_and_leaves_cleanly_under_load(self):
        read, write = os.pipe()
        ready = self.dir + "/ready"
        process, said = self.start(
            HERE + "/hub.py", "--root", self.root, "--ready-file", ready,
            "--ready-fd", str(write), "--cdn-public-url", "http://x.test:1/",
            "--token", "good", "--set", "{\"page_size\": 1}",
            pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as f:
            self.assertEqual(json.loads(f.read()), said)
        with open(ready, encoding="utf-8") as f:
            self.assertEqual(json.load(f), said)
        url = said["url"] + self.file("build/torch-cpu/data/table.so")
        self.assertTrue(self.ask(url).getheader("Location").startswith(
            "http://x.test:1/repos/"))
        tree = self.json(said["url"] + "/api/kernels/acme/relu/tree/v1/build")
        self.assertEqual(len(tree), 1)
        self.ask(said["url"] + "/_control/fault", method="POST",
                 body=json.dumps({"kind": "stall"}))
        conn = self.connect(said["url"])
        conn.request("GET", "/api/kernels")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_hub_refuses_a_root_that_is_not_there(self):
        done = subprocess.run(
            [sys.executable, HERE + "/hub.py", "--root", self.dir + "/no"],
            stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"not a directory", done.stderr)

    def test_make_repo_writes_from_folders(self):
        make_repo.write_files(self.dir + "/src", {"__init__.py": "A = 1\n"})
        subprocess.run([sys.executable, HERE + "/make_repo.py", self.root,
                        "b/c", "v2", "--trusted",
                        "torch-cuda=" + self.dir + "/src"], check=True)
        tree = self.json("/api/kernels/b/c/tree/v2?recursive=true")
        self.assertEqual([i["path"] for i in tree][-2:],
                         ["build/torch-cuda/__init__.py",
                          "build/torch-cuda/metadata.json"])
        with open(make_repo.branch_dir(self.root, "b/c", "v2") +
                  "/build/torch-cuda/metadata.json", "rb") as f:
            meta = json.load(f)
        self.assertEqual((meta["version"], meta["backend"]["type"]),
                         (2, "cuda"))
        self.assertTrue(self.json("/api/organizations/b/overview")
                        ["trustedKernelPublisher"])

    def test_the_relay_adds_its_round_trip_and_changes_nothing(self):
        port = int(self.hub.url.rpartition(":")[2])
        url = self.cached("build/torch-cpu/data/table.so")
        with Relay("127.0.0.1", port, rtt_ms=40) as relay, \
                Relay("localhost", int(self.hub.cdn_url.rpartition(":")[2]),
                      rtt_ms=40, mbit=400) as cdn:
            conn = self.connect(relay.url)
            for least in (0.075, 0.035):
                begin = time.monotonic()
                conn.request("GET", "/api/organizations/acme/overview")
                self.assertEqual(conn.getresponse().read()[:1], b"{")
                self.assertGreater(time.monotonic() - begin, least)
            self.hub.set_cdn_public_url(cdn.url)
            url = self.cached("build/torch-cpu/data/table.so")
            self.assertTrue(url.startswith(cdn.url))
            results = []
            threads = [threading.Thread(
                target=lambda: results.append(self.ask(url).data))
                for _ in range(20)]
            begin = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual([r == BIG for r in results], [True] * 20)
            # 14 MB at 400 Mbit/s, shared by all of them.
            self.assertGreater(time.monotonic() - begin, 0.27)
            fault = self.hub.fault("stall", path="refs")
            conn = self.connect(relay.url)
            conn.request("GET", "/api/kernels/acme/relu/refs")
            wait_for(lambda: fault.waiting == 1)
            conn.sock.shutdown(socket.SHUT_RDWR)
            wait_for(lambda: fault.waiting == 0)

    def test_the_relay_as_a_program(self):
        process, said = self.start(
            HERE + "/relay.py", "--to", self.hub.url[len("http://"):],
            "--rtt-ms", "1")
        self.assertEqual(
            self.ask(said["url"] + "/api/agent-harnesses").status, 200)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
