# SPDX-License-Identifier: Apache-2.0
"""Names over time: refresh=, and a Hub that goes away and comes back."""

import os
import socket
import unittest

from mounted import (
    MountCase, make_kernel, make_owner, make_repo, wait_for)
from hub import Hub


def universal(mark):
    return {"torch-universal": {"__init__.py": "MARK = %r\n" % mark}}


def marked(at):
    return os.path.join(at, "build/torch-universal/__init__.py")


class TimeCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", universal("before"))
        make_repo(root, "acme/former", renamed_to="acme/relu")

    def move(self):
        make_kernel(self.root, "acme/relu", "v1", universal("after"))
        self.hub.reload()


class TestRefresh(TimeCase):
    def test_a_name_is_decided_anew_when_the_time_has_passed(self):
        m = self.mount("--refresh=1s")
        before = m.link("acme/relu@v1")
        with open(m.at(marked("acme/relu@v1")), encoding="utf-8") as held:
            self.move()
            wait_for(lambda: m.link("acme/relu@v1") != before,
                     "the new commit")
            self.assertEqual(m.text(marked("acme/relu@v1")),
                             "MARK = 'after'\n")
            # What is open, and the commit itself, stay what they were.
            self.assertEqual(held.read(), "MARK = 'before'\n")
        self.assertEqual(m.text("acme", marked(before)), "MARK = 'before'\n")

    def test_without_it_a_name_is_decided_once(self):
        m = self.mount()
        before = m.link("acme/relu@v1")
        self.move()
        os.listdir(m.at("acme/relu@v1/"))
        self.assertEqual(m.link("acme/relu@v1"), before)
        self.assertEqual(m.counts()["refs"], 1)

    def test_a_commit_is_never_asked_for_again(self):
        m = self.mount("--refresh=1s", imports=())
        at = "acme/relu@" + self.commit("acme/relu")
        m.text(marked(at))
        self.hub.reset()
        m.text(marked(at))
        m.text(marked(at))
        self.assert_requests()


class TestHubDown(TimeCase):
    """The Hub's process goes away, and comes back at the same address."""

    def setUp(self):
        super().setUp()
        self.port = int(self.hub.url.rpartition(":")[2])

    def away(self):
        self.hub.close()

    def back(self):
        self.hub = Hub(self.root, port=self.port)
        self.addCleanup(self.hub.close)

    def warm(self):
        """A mount before this one, and what it has seen."""
        m = self.mount(cache="one")
        m.text(marked("acme/relu@v1"))
        link = m.link("acme/former@v1")
        m.end()
        return link

    def test_what_is_cached_keeps_working_under_its_names(self):
        former = self.warm()
        self.away()
        m = self.mount("--connect-timeout=1s", cache="one")
        self.assertEqual(m.text(marked("acme/relu@v1")),
                         "MARK = 'before'\n")
        self.assertEqual(m.link("acme/relu"), "relu@v1")
        self.assertEqual(m.link("acme/former@v1"), former)
        done = m.python("import relu; print(relu.MARK)")
        self.assertEqual(done.stdout, "before\n", done.stderr)

    def test_it_is_said_once_and_once_more_when_it_is_back(self):
        self.warm()
        self.away()
        m = self.mount("--connect-timeout=1s", cache="one")
        for name in ("relu", "relu@v1", "relu@main", "former"):
            os.readlink(m.at("acme", name))
        down = [line for line in m.log().splitlines()
                if "does not answer" in line]
        self.assertEqual(len(down), 1, m.log())
        states = [s["state"] for s in m.json("status")["sources"]]
        self.assertEqual(states, ["down"])
        self.move()
        self.back()
        wait_for(lambda: "after" in m.text(marked("acme/relu@v1")),
                 "the Hub's word", 40)
        back = [line for line in m.log().splitlines()
                if "answers again" in line]
        self.assertEqual(len(back), 1, m.log())
        states = [s["state"] for s in m.json("status")["sources"]]
        self.assertEqual(states, ["ok"])

    def test_what_is_not_known_is_an_error(self):
        self.warm()
        self.away()
        m = self.mount("--connect-timeout=1s", cache="one")
        self.refuses("EIO", os.readlink, m.at("acme/silu"))


class TestOffline(TimeCase):
    def setUp(self):
        super().setUp()
        # An address where a request would be seen.
        self.trap = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.trap.close)
        self.trap.setblocking(False)

    def untouched(self):
        with self.assertRaises(BlockingIOError):
            self.trap.accept()

    def warm(self):
        m = self.mount(cache="one")
        m.text(marked("acme/relu@v1"))
        m.end()
        self.hub.reset()

    def test_names_keep_their_last_known_commit(self):
        self.warm()
        self.move()
        m = self.mount("-o", "offline", cache="one")
        self.assertEqual(m.link("acme/relu"), "relu@v1")
        self.assertEqual(m.text(marked("acme/relu")), "MARK = 'before'\n")
        done = m.python("import relu; print(relu.MARK)")
        self.assertEqual(done.stdout, "before\n", done.stderr)
        self.refuses("ENETUNREACH", os.readlink, m.at("acme/silu"))
        self.refuses("ENETUNREACH", os.listdir,
                     m.at("acme/relu@" + "0" * 40))
        self.assert_requests()

    def test_nothing_is_asked_at_all(self):
        m = self.mount(
            "-o", "offline", cache="two",
            source="http://127.0.0.1:%d" % self.trap.getsockname()[1])
        self.refuses("ENETUNREACH", os.listdir, m.at("acme/relu"))
        self.refuses("ENETUNREACH", os.listdir, m.at("other"))
        self.untouched()


class TestTrust(TimeCase):
    def kernels(self, root):
        super().kernels(root)
        make_owner(root, "shady", trusted=False)
        make_kernel(root, "shady/gemm", "v1", universal("gemm"))

    def test_a_no_is_believed_by_the_next_mount(self):
        for _ in range(2):
            m = self.mount(cache="one", imports=())
            self.refuses("EACCES", os.listdir, m.at("shady/gemm@v1/build"))
            m.end()
        self.assertEqual(self.hub.counts()["by_endpoint"]["overview"], 1)

    def test_a_yes_is_good_for_what_is_cached_when_it_is_old(self):
        m = self.mount(cache="one")
        m.text(marked("acme/relu@v1"))
        m.end()
        notes = os.path.join(self._caches["one"], "notes", "trust")
        for base, _, names in os.walk(notes):
            for name in names:
                os.utime(os.path.join(base, name), (1e9, 1e9))
        make_owner(self.root, "acme", trusted=False)
        self.hub.reload()
        self.hub.reset()
        m = self.mount("-o", "offline", cache="one")
        self.assertEqual(m.text(marked("acme/relu@v1")),
                         "MARK = 'before'\n")
        self.assert_requests()


if __name__ == "__main__":
    unittest.main()
