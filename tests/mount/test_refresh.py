# SPDX-License-Identifier: Apache-2.0
"""`kernelfs refresh`, the control socket, and refresh=DURATION."""

import json
import os
import signal
import socket
import stat
import subprocess
import unittest

from mounted import (DEADLINE, PROGRAM, SPEC, MountCase, make_kernel,
                     make_owner, wait_for)


def builds(mark):
    return {SPEC: {"__init__.py": "MARK = %r\n" % mark}}


class Refresh(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for name in ("relu", "gelu"):
            make_kernel(root, "acme/" + name, "main", builds(1))
            make_kernel(root, "acme/" + name, "v1", builds(1))

    def move(self, name="relu", branch="v1", mark=2):
        """The branch goes on; its new commit."""
        before = self.commit("acme/" + name, branch)
        make_kernel(self.root, "acme/" + name, branch, builds(mark))
        self.hub.reload()
        after = self.commit("acme/" + name, branch)
        self.assertNotEqual(before, after)
        return after

    def tell(self, m, *args, user=None):
        command = [PROGRAM, *args]
        more = {"user": user} if user is not None else {}
        return subprocess.run(
            command, env=m.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            timeout=3 * DEADLINE, universal_newlines=True, **more)

    def refresh(self, m, *words):
        done = self.tell(m, "refresh", m.path, *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def shown(self, m, name="relu@v1"):
        """The commit that a name leads to now."""
        return os.path.basename(
            os.path.realpath(m.at("acme", name))).partition("@")[2]

    def test_a_branch_that_moved_is_seen_afterwards_and_not_before(self):
        m = self.mount()
        before = self.shown(m)
        after = self.move()
        self.assertEqual(self.shown(m), before)
        self.assertEqual(self.refresh(m), m.path + "\n")
        wait_for(lambda: self.shown(m) == after, "the new commit")
        self.assertEqual(m.text("acme/relu@v1/build", SPEC, "__init__.py"),
                         "MARK = 2\n")
        # What was there stays where it is.
        self.assertEqual(m.text("acme", "relu@" + before, "build", SPEC,
                                "__init__.py"), "MARK = 1\n")

    def test_a_path_in_the_mount_names_it(self):
        m = self.mount()
        self.shown(m)
        after = self.move()
        done = self.tell(m, "refresh", m.at("acme", "relu@v1", "build"))
        self.assertEqual((done.returncode, done.stdout), (0, m.path + "\n"))
        wait_for(lambda: self.shown(m) == after, "the new commit")

    def test_one_repository_alone(self):
        m = self.mount()
        gelu = self.shown(m, "gelu@v1")
        self.shown(m)
        after = self.move()
        self.move("gelu")
        self.refresh(m, "acme/relu")
        wait_for(lambda: self.shown(m) == after, "the new commit")
        self.assertEqual(self.shown(m, "gelu@v1"), gelu)

    def test_all_mounts_of_a_user(self):
        a, b = self.mount(), self.mount()
        self.shown(a), self.shown(b)
        after = self.move()
        done = self.tell(a, "refresh", "--json")
        told = [x["mountpoint"] for x in json.loads(done.stdout)]
        self.assertIn(a.path, told)
        self.assertIn(b.path, told)
        for m in (a, b):
            wait_for(lambda m=m: self.shown(m) == after, "the new commit")

    def test_a_new_kernel_gets_its_import_name(self):
        m = self.mount()
        wait_for(lambda: "relu" in m.ls(), "the list")
        make_kernel(self.root, "acme/silu", "v1", builds(1))
        self.hub.reload()
        self.refresh(m)
        wait_for(lambda: "silu" in m.ls(), "the new name")

    def test_a_pinned_path_asks_nothing_after_a_refresh(self):
        m = self.mount()
        pinned = "acme/relu@%s/build/%s/__init__.py" % (self.shown(m), SPEC)
        m.text(pinned)
        m.text(".kernelfs/status")
        self.refresh(m)
        wait_for(lambda: self.hub.counts()["by_endpoint"].get("list", 0)
                 >= 2, "the list")
        self.hub.reset()
        m.text(pinned)
        self.assert_requests()

    def test_refresh_of_the_option_does_it_by_age(self):
        m = self.mount("--refresh=50ms")
        self.shown(m)
        after = self.move()
        wait_for(lambda: self.shown(m) == after, "the new commit")

    def test_what_is_no_repository_is_misuse(self):
        m = self.mount()
        for word in ("acme", "acme/relu@v1", "acme/re lu", "a/b/c"):
            done = self.tell(m, "refresh", m.path, word)
            self.assertEqual(done.returncode, 2, done)
        done = self.tell(m, "refresh", self.dir)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not in a kernelfs mount", done.stderr)

    # the socket

    def socket_of(self, m):
        return m.json("status")["control"]

    def test_the_socket_is_the_owners_alone(self):
        m = self.mount()
        path = self.socket_of(m)
        folder = os.stat(os.path.dirname(path))
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        self.assertEqual(stat.S_IMODE(folder.st_mode) & 0o077, 0)
        self.assertEqual(folder.st_uid, os.geteuid())
        m.end()
        self.assertFalse(os.path.exists(path))

    @unittest.skipIf(os.geteuid(), "being another user needs root")
    def test_another_user_is_refused(self):
        m = self.mount("-oallow_other")
        for part in (self.dir, os.path.dirname(m.path)):
            os.chmod(part, 0o755)
        before = self.shown(m)
        self.move()
        done = self.tell(m, "refresh", m.path, user=65534)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("kernelfs: ", done.stderr)
        self.assertEqual(self.shown(m), before)

    def test_hostile_programs_do_not_stop_it(self):
        m = self.mount()
        self.shown(m)
        after = self.move()
        path = self.socket_of(m)
        held = []
        for said in (b"", b"{", b"\0" * 200000, b"[]\n", b"{}\n",
                     b'{"command": "upgrade"}\n',
                     b'{"command": "refresh", "repos": {"a": 1}}\n',
                     b'{"command": "refresh", "repos": [1]}\n',
                     b'{"command": "refresh", "repos": ["../x"]}\n'):
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.settimeout(DEADLINE)
            s.connect(path)
            try:
                s.sendall(said)
            except (BrokenPipeError, ConnectionResetError):
                pass
            if said.endswith(b"\n"):
                answer = json.loads(s.makefile().readline())
                self.assertIs(answer["ok"], False)
                self.assertIn("error", answer)
            else:
                held.append(s)
        self.refresh(m)
        wait_for(lambda: self.shown(m) == after, "the new commit")

    def test_the_socket_of_a_killed_daemon_goes_with_the_next_mount(self):
        m = self.mount()
        path = self.socket_of(m)
        m.allowed.add(-signal.SIGKILL)
        m.kill()
        wait_for(m.has_ended, "the end")
        self.assertTrue(os.path.exists(path))
        again = self.mount()
        self.assertFalse(os.path.exists(path))
        self.assertTrue(os.path.exists(self.socket_of(again)))


if __name__ == "__main__":
    unittest.main()
