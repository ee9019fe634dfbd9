#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`cache gc` and the door's bytecode: what was long unused goes, and nothing
else does, whatever lies there."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest

from case import Case

DAY = 86400
HEX = "0123456789abcdef0123456789abcdef01234567"
TAG = "cpython-311.0"
OTHER = 65534  # nobody


def age(path, days):
    then = time.time() - days * DAY
    os.utime(path, (then, then), follow_symlinks=False)


class Bytecode(Case):
    def setUp(self):
        super().setUp()
        self.base = os.path.join(self.home, ".cache", "kernelfs", "bytecode")

    def folder(self, *parts, mode=0o700):
        """Made step by step below the base, each with this mode."""
        path = self.home
        for part in [".cache", "kernelfs", "bytecode", *parts]:
            path = os.path.join(path, part)
            if not os.path.isdir(path):
                os.mkdir(path)
                os.chmod(path, mode)
        return path

    def put(self, *parts, size=100, days=0, mode=0o600):
        path = os.path.join(self.folder(*parts[:-1]), parts[-1])
        with open(path, "wb") as f:
            f.write(b"x" * size)
        os.chmod(path, mode)
        age(path, days)
        return path

    def commit(self, name="acme/relu", tag=TAG, days=0, files=3):
        """The bytecode of a commit that was last used so many days ago."""
        owner, repo = name.split("/")
        top = [tag, owner, repo + "@" + HEX]
        for i in range(files):
            self.put(*top, "build", "torch-cpu", "sub%d" % i, "m.pyc",
                     days=days)
        path = self.folder(*top)
        age(path, days)
        return path

    def gc(self, says="", **env):
        done = self.run_it("cache", "gc", "--json", env=env)
        self.assertEqual(done.code, 0, done)
        if says:
            self.assertIn(says, done.err)
        else:
            self.assertEqual(done.err, "", done)
        told = json.loads(done.out)
        return told["bytecode_commits"], told["bytecode_bytes"]


class Gc(Bytecode):
    def test_what_was_unused_for_90_days_goes_with_empty_parents(self):
        old = self.commit(days=91)
        other = self.commit("acme/tool", days=2)
        alone = self.commit("lonely/one", tag="cpython-39.2", days=400)
        self.assertEqual(self.gc(), (2, 600))
        self.assertFalse(os.path.exists(old))
        self.assertTrue(os.path.isfile(
            other + "/build/torch-cpu/sub2/m.pyc"))
        self.assertFalse(os.path.exists(alone))
        self.assertEqual(os.listdir(self.base), [TAG])
        self.assertEqual(os.listdir(self.base + "/" + TAG), ["acme"])

    def test_what_was_used_89_days_ago_stays_though_its_files_are_old(self):
        path = self.commit(days=200)
        age(path, 89)
        self.assertEqual(self.gc(), (0, 0))
        self.assertEqual(len(os.listdir(path + "/build/torch-cpu")), 3)

    def test_a_person_is_told(self):
        self.commit(days=91)
        self.assertIn("300 bytes of bytecode removed, of 1 commits that were "
                      "unused for 90 days\n", self.good("cache", "gc"))

    def test_pieces_of_the_door_that_are_old_go(self):
        old = self.put(TAG, "door", "a" * 64 + ".pyc", days=91)
        new = self.put(TAG, "door", "b" * 64 + ".pyc", days=89)
        self.assertEqual(self.gc(), (0, 100))
        self.assertFalse(os.path.exists(old))
        self.assertTrue(os.path.exists(new))

    def test_an_owner_may_be_called_door(self):
        old = self.commit("door/relu", days=91)
        piece = self.put(TAG, "door", "b" * 64 + ".pyc")
        self.assertEqual(self.gc(), (1, 300))
        self.assertFalse(os.path.exists(old))
        self.assertTrue(os.path.exists(piece))

    def test_what_a_killed_writer_left_goes_after_a_day(self):
        path = self.commit()
        build = [TAG, "acme", os.path.basename(path), "build", "torch-cpu"]
        gone = [self.put(*build, ".m.pyc.0123", days=2),
                self.put(TAG, "door", "x.tmp", days=2, size=50)]
        kept = [self.put(*build, ".m.pyc.4567", days=0.5),
                self.put(*build[:3], ".lock", days=80),
                self.put(*build, "old.pyc", days=80)]
        self.assertEqual(self.gc(), (0, 150))
        self.assertEqual([p for p in gone if os.path.exists(p)], [])
        self.assertEqual([p for p in kept if not os.path.exists(p)], [])

    def test_xdg_cache_home_comes_first(self):
        self.commit(days=91)
        elsewhere = os.path.join(self.dir, "elsewhere")
        os.mkdir(elsewhere)
        self.assertEqual(self.gc(XDG_CACHE_HOME=elsewhere), (0, 0))
        shutil.move(os.path.join(self.home, ".cache", "kernelfs"), elsewhere)
        self.assertEqual(self.gc(XDG_CACHE_HOME=elsewhere), (1, 300))

    def test_no_home_is_nothing_to_clean(self):
        for home in (None, "", "relative"):
            self.assertEqual(self.gc(HOME=home, KERNELFS_CACHE=self.cache),
                             (0, 0))


class Doctor(Bytecode):
    """It says what keeps imports from keeping bytecode, and what to do."""

    def found(self, **env):
        done = self.run_it("doctor", "--json", "--offline", env=env)
        (one,) = [f for f in json.loads(done.out)
                  if f["check"] == "bytecode"]
        return one

    def is_well(self, says, hint="", **env):
        found = self.found(**env)
        self.assertTrue(found["ok"], found)
        self.assertIn(says, found["message"])
        self.assertIn(hint, found["hint"])

    def is_bad(self, says, **env):
        found = self.found(**env)
        self.assertFalse(found["ok"], found)
        self.assertIn(says, found["message"])
        self.assertIn("XDG_CACHE_HOME=", found["hint"])

    def test_a_folder_that_can_be_made_or_is_there(self):
        self.is_well("is kept in '%s'" % self.base)
        self.assertEqual(os.listdir(self.home), [])
        self.folder()
        self.is_well("is kept in '%s'" % self.base)
        self.is_well("is kept in '%s/" % self.dir, XDG_CACHE_HOME=self.dir)

    def test_what_keeps_python_from_it(self):
        self.is_well("PYTHONDONTWRITEBYTECODE is set", "fetch --compile",
                     PYTHONDONTWRITEBYTECODE="1")
        self.is_well("PYTHONPYCACHEPREFIX is set", "unset",
                     PYTHONPYCACHEPREFIX="/x")
        self.is_well("is kept", PYTHONDONTWRITEBYTECODE="",
                     PYTHONPYCACHEPREFIX="")

    def test_no_folder_at_all(self):
        self.is_bad("neither XDG_CACHE_HOME nor HOME", HOME="")
        self.is_bad("neither XDG_CACHE_HOME nor HOME", HOME=None)
        self.is_bad("no absolute path", XDG_CACHE_HOME="x")
        self.is_bad("No such file", HOME=self.dir + "/not/there")

    def test_a_folder_that_is_not_its_users_alone(self):
        path = self.folder()
        os.chmod(path, 0o770)
        self.is_bad("others may write into '%s'" % path)
        os.chmod(path, 0o700)
        os.rename(path, path + ".away")
        os.symlink(path + ".away", path)
        self.is_bad("'%s' is no folder" % path)

    def test_a_cache_in_which_others_may_rename(self):
        base = os.path.join(self.home, ".cache")
        self.folder()
        os.chmod(base, 0o777)
        self.is_bad("others may write into '%s'" % base)
        os.chmod(base, 0o1777)
        self.is_well("is kept")
        os.chmod(base, 0o700)

    @unittest.skipIf(os.geteuid(), "only root can give files away")
    def test_a_folder_of_somebody_else(self):
        path = self.folder()
        os.chown(path, OTHER, OTHER)
        self.is_bad("belongs to user %d" % OTHER)
        os.rmdir(path)
        os.rmdir(os.path.dirname(path))
        os.chown(os.path.join(self.home, ".cache"), OTHER, OTHER)
        self.is_bad("belongs to user %d" % OTHER)


class Hostile(Bytecode):
    """What is not the door's is left alone, and said."""

    def setUp(self):
        super().setUp()
        self.outside = os.path.join(self.dir, "outside")
        os.makedirs(self.outside + "/deep")
        for name in ("/precious", "/deep/precious"):
            with open(self.outside + name, "wb") as f:
                f.write(b"x")
            age(self.outside + name, 400)
        age(self.outside + "/deep", 400)
        age(self.outside, 400)

    def tearDown(self):
        for name in ("/precious", "/deep/precious"):
            self.assertTrue(os.path.exists(self.outside + name), name)

    def test_links_are_never_followed_at_any_level(self):
        path = self.commit(days=91)
        levels = [(TAG, "link@" + HEX), ("linked.0",), (TAG, "linked"),
                  (TAG, "acme", "link@" + HEX),
                  (TAG, "acme", os.path.basename(path), "build", "link"),
                  (TAG, "door", "a" * 64 + ".pyc")]
        for level in levels:
            link = os.path.join(self.folder(*level[:-1]), level[-1])
            os.symlink(self.outside, link)
            age(link, 400)
        age(path, 91)
        commits, size = self.gc(says="names below")
        # The folder that holds a link is not empty, so it stays.
        self.assertEqual((commits, size), (0, 300))
        for level in levels:
            self.assertTrue(os.path.islink(os.path.join(self.base, *level)))

    def test_a_folder_that_is_a_link_is_refused_whole(self):
        self.commit(days=91)
        for folder in (self.base, os.path.dirname(self.base)):
            os.rename(folder, folder + ".away")
            os.symlink(folder + ".away", folder)
            self.assertEqual(self.gc(says="is no folder"), (0, 0))
            os.unlink(folder)
            os.rename(folder + ".away", folder)
        self.assertEqual(self.gc(), (1, 300))

    def test_what_others_may_write_is_not_ours(self):
        path = self.commit(days=91)
        for folder in (os.path.dirname(self.base), self.base):
            os.chmod(folder, 0o770)
            self.assertEqual(self.gc(says="others may write"), (0, 0))
            os.chmod(folder, 0o700)
        for folder in (os.path.dirname(os.path.dirname(path)),
                       os.path.dirname(path), path, path + "/build"):
            os.chmod(folder, 0o702)
            self.assertEqual(self.gc(says="names below"), (0, 0), folder)
            os.chmod(folder, 0o700)
        self.assertEqual(self.gc(), (1, 300))

    @unittest.skipIf(os.geteuid(), "only root can give files away")
    def test_what_another_user_owns_is_not_ours(self):
        path = self.commit(days=91)
        for folder in (os.path.dirname(self.base), self.base):
            os.chown(folder, OTHER, OTHER)
            self.assertEqual(
                self.gc(says="belongs to user %d, not to you (0)" % OTHER),
                (0, 0))
            os.chown(folder, 0, 0)
        for folder in (os.path.dirname(path), path, path + "/build"):
            os.chown(folder, OTHER, OTHER)
            self.assertEqual(self.gc(says="names below"), (0, 0), folder)
            os.chown(folder, 0, 0)
        planted = path + "/build/torch-cpu/sub0/m.pyc"
        os.chown(planted, OTHER, OTHER)
        age(path, 91)
        self.assertEqual(self.gc(says="1 names below"), (0, 200))
        self.assertTrue(os.path.exists(planted))

    def test_what_is_no_file_stays(self):
        path = self.commit(days=91)
        os.mkfifo(path + "/build/fifo")
        self.put(TAG, "acme", os.path.basename(path), "build", "open.pyc",
                 mode=0o666)
        age(path, 91)
        self.assertEqual(self.gc(says="2 names below"), (0, 300))
        self.assertEqual(sorted(os.listdir(path + "/build")),
                         ["fifo", "open.pyc"])

    def test_names_that_are_not_the_doors_stay(self):
        kept = [self.put("notes", "mine", "relu@" + HEX, "m.pyc"),
                self.put(TAG, "acme", "relu", "m.pyc"),
                self.put(TAG, "acme", "relu@" + HEX[:-1], "m.pyc"),
                self.put(TAG, "acme", "@" + HEX, "m.pyc"),
                self.put(TAG, "acme", "relu@" + HEX.upper(), "m.pyc"),
                self.put(TAG, "file"), self.put("file.0")]
        for path in kept:
            age(path, 400)
            age(os.path.dirname(path), 400)
        self.assertEqual(self.gc(says="2 names below"), (0, 0))
        self.assertEqual([p for p in kept if not os.path.exists(p)], [])

    def test_a_bottomless_folder_costs_no_descriptor_for_each_level(self):
        path = self.commit(days=91)
        at = os.open(path, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("d", 0o700, dir_fd=at)
            below = os.open("d", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        self.addCleanup(subprocess.run, ["rm", "-rf", path], check=False)
        age(path, 91)
        self.assertEqual(self.gc(says="names below"), (0, 300))

    def test_a_second_cleaner_and_writers_at_the_same_time(self):
        for i in range(40):
            self.commit("acme/k%02d" % i, days=91)
        end = threading.Event()
        broken = []

        def write():
            while not end.is_set():
                for i in range(40):
                    folder = os.path.join(self.base, TAG, "acme",
                                          "k%02d@%s" % (i, HEX), "build")
                    try:
                        os.makedirs(folder, 0o700, exist_ok=True)
                        with open(folder + "/new.pyc", "wb") as f:
                            f.write(b"new")
                    except FileNotFoundError:
                        continue  # removed in between, as the door has it
                    except OSError as error:
                        broken.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            cleaners = [self.start("cache", "gc", "--json")
                        for _ in range(3)]
            done = [(c.communicate(timeout=30), c.returncode)
                    for c in cleaners]
        finally:
            end.set()
            writer.join()
        self.assertEqual(broken, [])
        for (_, err), code in done:
            self.assertEqual((code, err), (0, b""))
        left = [f for _, _, files in os.walk(self.base) for f in files]
        self.assertEqual(set(left), {"new.pyc"})


if __name__ == "__main__":
    sys.exit(unittest.main())
