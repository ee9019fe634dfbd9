# SPDX-License-Identifier: Apache-2.0
"""One cache for the users of a group: mounts of two users, each by a daemon
of his own, and one who is not of the group.

Needs to be root, for it becomes others. They mount in a mount namespace where
/dev/fuse is open to them, as it is on most machines."""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import unittest

from gitcase import GitServer, Repository, build
from mounted import (
    DEADLINE, PROGRAM, SPEC, MountCase, clean_environment, lfs_bytes,
    make_kernel, make_owner, wait_for)

# fusermount3 wants users that have a name.
ANNA, BERT, CARL = (pwd.getpwnam(name).pw_uid for name in (
    "daemon", "bin", "nobody"))
GROUP = 64200
LIBRARY = lfs_bytes(400000, seed=4)
TORCH = "torch-universal"
ENTER = 'mount --bind "$1" /dev/fuse && umask "$2" && shift 2 && exec "$@"'
NODE = os.makedev(10, 229)


def become(uid):
    groups = [uid, GROUP] if uid != CARL else [uid]
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid),
            "--groups", ",".join(map(str, groups))]


class User:
    """A user's mount."""

    def __init__(self, case, uid, source=None, umask="077"):
        self.uid = uid
        self.folder = os.path.join(case.dir, "u%d" % uid)
        self.path = os.path.join(self.folder, "mount")
        os.makedirs(self.path)
        for path in (self.folder, self.path):
            os.chown(path, uid, uid)
        self.log = os.path.join(self.folder, "log")
        env = clean_environment(HOME=self.folder)
        self.process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "slave", "sh", "-c", ENTER,
             "sh", case.node, umask, *become(uid), case.program, "-f",
             "--source=" + (source or case.hub.url), "--cache=" + case.cache,
             "--log=" + self.log, "--log-level=debug", "--env=" + SPEC,
             "--import=nobody/none", "--trust=bcme", self.path],
            env=env, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)
        case.addCleanup(self.end)

    def mounts(self):
        with contextlib.suppress(OSError), \
                open("/proc/%d/mounts" % self.process.pid,
                     encoding="utf-8") as f:
            return any(line.split(" ")[1] == self.path for line in f)
        return False

    def start(self):
        wait_for(lambda: self.mounts() or self.process.poll() is not None,
                 "the mount")
        if self.process.poll() is not None:
            raise AssertionError(self.process.stderr.read().decode())
        return self

    def read(self, *parts):
        """What this user reads there."""
        return subprocess.run(
            ["nsenter", "-t", str(self.process.pid), "-m", *become(self.uid),
             "cat", os.path.join(self.path, *parts)], check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=DEADLINE).stdout

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()


@unittest.skipUnless(os.getuid() == 0 and all(map(shutil.which, (
    "unshare", "nsenter", "setpriv", "fusermount3"))), "needs root, unshare")
class TestGroup(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for name in ("relu", "silu"):
            make_kernel(root, "acme/" + name, "v1", {TORCH: {
                "__init__.py": "X = '%s'\n" % name,
                "lib.so": LIBRARY + name.encode()}})

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.node = os.path.join(self.dir, "fuse")
        os.mknod(self.node, stat.S_IFCHR | 0o666, NODE)
        os.chmod(self.node, 0o666)
        if subprocess.run(["unshare", "-m", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no mount namespace of one's own here")
        # A folder that they can reach, whatever holds this tree.
        self.program = os.path.join(self.dir, "kernelfs")
        shutil.copy(PROGRAM, self.program)
        os.chmod(self.program, 0o755)
        self.cache = os.path.join(self.dir, "shared")
        os.mkdir(self.cache)
        os.chown(self.cache, 0, GROUP)
        os.chmod(self.cache, 0o2770)

    def at(self, name):
        return ("acme/%s@%s/build/%s" % (
            name, self.commit("acme/" + name), TORCH))

    def reads(self, user, name, **requests):
        self.hub.reset()
        self.assertEqual(user.read(self.at(name), "lib.so"),
                         LIBRARY + name.encode())
        self.assertEqual(user.read(self.at(name), "__init__.py"),
                         b"X = '%s'\n" % name.encode())
        counts = self.hub.counts()["by_endpoint"]
        self.assertEqual(counts.get("cdn", 0), requests.get("cdn", 0))
        if not requests:
            self.assertEqual(counts, {})

    def test_what_one_fetched_the_other_has(self):
        anna, bert = User(self, ANNA).start(), User(self, BERT).start()
        self.reads(anna, "relu", cdn=1)
        self.reads(bert, "relu")
        self.reads(bert, "silu", cdn=1)
        self.reads(anna, "silu")
        self.modes()
        owners = {os.stat(os.path.join(base, name)).st_uid
                  for base, _, names in os.walk(self.cache)
                  for name in names}
        self.assertLessEqual({ANNA, BERT}, owners)
        # What the one began, the other tidies away and repairs.
        bert.end()
        self.reads(anna, "relu")

    def test_so_it_is_with_a_git_server(self):
        repos = os.path.join(self.dir, "git")
        relu = Repository(os.path.join(repos, "bcme/relu.git"))
        relu.commit({**build("one"), "docs/a": "a"}, branch="v1")
        server = GitServer(repos)
        self.addCleanup(server.close)
        anna, bert = (User(self, uid, "git+" + server.url).start()
                      for uid in (ANNA, BERT))
        at = ("bcme/relu@v1/build", TORCH, "__init__.py")
        self.assertEqual(anna.read(*at), b"MARK = 'one'\n")
        server.reset()
        self.assertEqual(bert.read(*at), b"MARK = 'one'\n")
        # what nobody has looked at is in anna's pack
        self.assertEqual(bert.read("bcme/relu@v1/docs/a"), b"a")
        self.assertEqual(server.counts(), {"refs": 1})
        self.modes()

    def modes(self):
        for base, folders, names in os.walk(self.cache):
            for name in folders + names:
                path = os.path.join(base, name)
                st = os.lstat(path)
                self.assertEqual(st.st_gid, GROUP, path)
                self.assertFalse(st.st_mode & stat.S_IWOTH, path)
                if stat.S_ISDIR(st.st_mode):
                    self.assertEqual(stat.S_IMODE(st.st_mode), 0o2770, path)
                else:
                    self.assertTrue(st.st_mode & stat.S_IRGRP, path)

    def test_who_is_not_of_the_group_is_refused(self):
        anna = User(self, ANNA).start()
        self.reads(anna, "relu", cdn=1)
        carl = User(self, CARL)
        self.assertEqual(carl.process.wait(DEADLINE), 1)
        said = carl.process.stderr.read().decode()
        self.assertIn(self.cache, said)
        self.assertFalse(carl.mounts())
        # Nor does he take it over when he can look into it.
        os.chmod(self.cache, 0o2775)
        os.makedirs(os.path.join(self.dir, "again"))
        self.dir = os.path.join(self.dir, "again")
        os.chmod(self.dir, 0o755)
        carl = User(self, CARL)
        self.assertEqual(carl.process.wait(DEADLINE), 1)
        self.assertIn(self.cache, carl.process.stderr.read().decode())


if __name__ == "__main__":
    unittest.main()
