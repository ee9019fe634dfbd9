# SPDX-License-Identifier: Apache-2.0
"""Bytecode that is damaged or that somebody planted is never loaded."""

import importlib.util
import marshal
import os
import random
import shutil
import unittest

import fixture
from base import needs_folder
from store import ALL_OF_PLAIN, PLAIN, StoreTest

NOBODY = 65534
needs_root = unittest.skipUnless(os.geteuid() == 0, "needs root")


def packed(text, name="planted"):
    """TEXT as kept code."""
    body = marshal.dumps(compile(text, name, "exec"))
    magic = importlib.util.MAGIC_NUMBER + bytes(4)
    return magic + importlib.util.source_hash(body) + body


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Planted(StoreTest):
    """door_plain is kept; then something is done to one of its files."""

    def setUp(self):
        super().setUp()
        self.run_watched()
        self.file = self.of_plain() + "/util.pyc"
        self.evil = packed("TWO = 2\nprint('planted code ran')\n")

    def not_loaded(self, repaired=True):
        """The source is used in place of the file, and then kept again."""
        self.assertEqual(self.compiled(), ["util.py"])
        self.assertEqual(self.said, "")
        if repaired:
            self.assertEqual(self.compiled(), [])
            self.assertEqual(self.said, "")
            self.assertEqual(os.lstat(self.file).st_mode, 0o100600)
            self.assertEqual(os.lstat(self.file).st_uid, os.geteuid())

    def test_what_these_tests_plant_would_run(self):
        """Else they would prove nothing."""
        write(self.file, self.evil)
        self.assertEqual(self.compiled(), [])
        self.assertEqual(self.said, "planted code ran")

    def test_damaged(self):
        good = read(self.file)
        some = random.Random(1)
        flips = [some.randrange(8 * len(good)) for i in range(24)]
        cases = [b"", good[:7], good[:16], good[:-1], good + b"\0",
                 bytes(some.randrange(256) for i in range(200)),
                 b"\0\0\r\n" + good[4:], good[:4] + b"\1" + good[5:]]
        for bit in flips:
            data = bytearray(good)
            data[bit // 8] ^= 1 << bit % 8
            cases.append(bytes(data))
        for data in cases:
            write(self.file, data)
            self.not_loaded(repaired=False)
            self.assertEqual(read(self.file), good)

    def test_writable_by_others(self):
        for mode in (0o620, 0o602, 0o666):
            write(self.file, self.evil)
            os.chmod(self.file, mode)
            self.not_loaded()

    @needs_root
    def test_of_another_user(self):
        write(self.file, self.evil)
        os.chown(self.file, NOBODY, -1)
        self.not_loaded()

    def test_behind_a_link(self):
        elsewhere = self.folder() + "/evil.pyc"
        write(elsewhere, self.evil)
        os.chmod(elsewhere, 0o600)
        os.unlink(self.file)
        os.symlink(elsewhere, self.file)
        self.not_loaded()
        self.assertEqual(read(elsewhere), self.evil)

    def test_a_fifo_hangs_nobody(self):
        os.unlink(self.file)
        os.mkfifo(self.file, 0o600)
        self.not_loaded()

    def test_a_folder_in_its_place(self):
        os.unlink(self.file)
        os.mkdir(self.file, 0o700)
        self.not_loaded(repaired=False)
        self.not_loaded(repaired=False)

    def test_a_lock_that_is_none(self):
        lock = "%s/%s/.lock" % (self.store(), self.commit())
        elsewhere = self.folder() + "/untouched"
        for make in (lambda: os.mkfifo(lock, 0o600),
                     lambda: os.mkdir(lock, 0o700),
                     lambda: os.symlink(elsewhere, lock)):
            os.unlink(self.file)
            shutil.rmtree(lock) if os.path.isdir(lock) else os.unlink(lock)
            make()
            self.assertEqual(self.compiled(), ["util.py"])
            self.assertFalse(os.path.exists(elsewhere))
            write(self.file, b"")

    def folders(self):
        """Every folder from the user's cache down to that of leaf.pyc."""
        top = self.cache
        rest = (self.of_plain() + "/deep")[len(top) + 1:].split("/")
        for i in range(len(rest)):
            yield "/".join([top, *rest[: i + 1]])

    def plant_leaf(self):
        write(self.of_plain() + "/deep/leaf.pyc",
              packed("LEAF = 3\nprint('planted code ran')\n"))

    def bad_folder(self, spoil, mend):
        """With each FOLDER spoilt in turn, what is in it is not loaded, and
        nothing is written into it."""
        for folder in self.folders():
            self.plant_leaf()
            for path in self.files():
                if path.endswith("/late.pyc"):
                    os.unlink("%s/kernelfs/bytecode/%s" % (self.cache, path))
            undo = spoil(folder)
            compiled = self.compiled()
            self.assertIn("deep/leaf.py", compiled, folder)
            self.assertEqual(self.said, "", folder)
            mend(folder, undo)
            if folder.endswith("/deep"):  # what lies beside it is kept
                self.assertEqual(sorted(compiled),
                                 ["deep/__init__.py", "deep/leaf.py",
                                  "late.py"])
            else:
                self.assertEqual(sorted(compiled), ALL_OF_PLAIN, folder)
                self.assertEqual([p for p in self.files() if "late" in p], [])

    def test_the_leaf_of_these_tests_would_run(self):
        self.plant_leaf()
        self.compiled()
        self.assertEqual(self.said, "planted code ran")

    def test_a_folder_on_the_way_is_writable_by_others(self):
        for mode in (0o720, 0o702):
            self.bad_folder(lambda f: os.chmod(f, mode),
                            lambda f, _: os.chmod(f, 0o700))

    @needs_root
    def test_a_folder_on_the_way_is_another_user_s(self):
        self.bad_folder(lambda f: os.chown(f, NOBODY, -1),
                        lambda f, _: os.chown(f, os.geteuid(), -1))

    def test_a_folder_on_the_way_is_a_link(self):
        def spoil(folder):
            real = self.folder() + "/real"
            os.rename(folder, real)
            os.symlink(real, folder)
            return real

        def mend(folder, real):
            os.unlink(folder)
            os.rename(real, folder)

        self.bad_folder(spoil, mend)

    def test_the_user_s_cache_is_where_others_may_rename(self):
        """They could put one folder of the user in the place of another."""
        os.chmod(self.cache, 0o1777)  # as /tmp, where they may not
        self.assertEqual(self.compiled(), [])
        self.plant_leaf()
        for mode in (0o777, 0o702):
            os.chmod(self.cache, mode)
            self.assertEqual(sorted(self.compiled()), ALL_OF_PLAIN)
            self.assertEqual(self.said, "")

    @needs_root
    def test_the_user_s_cache_is_a_group_s_or_somebody_s(self):
        self.plant_leaf()
        for owner, group, mode in ((NOBODY, 0, 0o700), (NOBODY, 0, 0o1777),
                                   (0, 12345, 0o770)):
            os.chown(self.cache, owner, group)
            os.chmod(self.cache, mode)
            self.assertEqual(sorted(self.compiled()), ALL_OF_PLAIN)
            self.assertEqual(self.said, "")
        os.chown(self.cache, 0, 0)  # a group of the user's own
        os.chmod(self.cache, 0o770)
        self.compiled()
        self.assertEqual(self.said, "planted code ran")

    def test_a_file_on_the_way(self):
        def spoil(folder):
            real = self.folder() + "/real"
            os.rename(folder, real)
            write(folder, b"")
            return real

        def mend(folder, real):
            os.unlink(folder)
            os.rename(real, folder)

        self.bad_folder(spoil, mend)


class PlantedDoor(StoreTest):
    """The same for the door's own pieces, which run before any kernel."""

    def setUp(self):
        super().setUp()
        if self.made():
            self.skipTest("this mount has bytecode of its door itself")
        self.run_watched()
        self.door = self.store() + "/door"
        self.core = ["%s/%s" % (self.door, name)
                     for name in os.listdir(self.door)
                     if name.endswith("-core.pyc")][0]
        self.good = read(self.core)
        self.evil = packed("print('planted code ran', flush=True)\n"
                           "raise SystemExit(9)\n")

    def not_loaded(self):
        self.run_watched()
        self.assertEqual(self.said, "")
        self.assertIn("core.py", self.pieces)

    def test_what_these_tests_plant_would_run(self):
        write(self.core, self.evil)
        done = self.start(PLAIN)
        self.assertEqual((done.returncode, done.stdout),
                         (9, "planted code ran\n"))

    def test_damaged(self):
        for data in (b"", self.good[:-1], self.good + b"\0"):
            write(self.core, data)
            self.not_loaded()
            self.assertEqual(read(self.core), self.good)

    def test_writable_by_others(self):
        write(self.core, self.evil)
        for mode in (0o620, 0o602):
            os.chmod(self.core, mode)
            self.not_loaded()
            write(self.core, self.evil)

    def test_behind_a_link(self):
        elsewhere = self.folder() + "/evil.pyc"
        write(elsewhere, self.evil)
        os.unlink(self.core)
        os.symlink(elsewhere, self.core)
        self.not_loaded()

    @needs_root
    def test_of_another_user(self):
        write(self.core, self.evil)
        os.chown(self.core, NOBODY, -1)
        self.not_loaded()

    def test_in_a_bad_folder(self):
        write(self.core, self.evil)
        os.chmod(self.door, 0o720)
        self.not_loaded()
        os.chmod(self.door, 0o700)
        if os.geteuid() == 0:
            os.chown(self.door, NOBODY, -1)
            self.not_loaded()
            os.chown(self.door, 0, -1)
        real = self.folder() + "/real"
        os.rename(self.door, real)
        os.symlink(real, self.door)
        self.not_loaded()


@needs_folder
class PlantedAbove(StoreTest):
    """A door that somebody made in a folder above the mount, as /tmp is."""

    def setUp(self):
        super().setUp()
        self.top = self.folder()
        self.evil = "print('planted code ran', flush=True)\n"

    def plant(self, owner):
        for name in ("first.py", "core.py"):
            fixture.put("%s/.kernelfs/door/%s" % (self.top, name), self.evil)
        for at, _, names in os.walk(self.top + "/.kernelfs"):
            for path in (at, *(os.path.join(at, n) for n in names)):
                os.chown(path, owner, -1)

    def stub_alone(self):
        """The mount's stub, with no door where it was."""
        at = self.top + "/away/door_plain"
        os.makedirs(at)
        shutil.copy(self.root + "/door_plain/__init__.py", at)
        return self.top + "/away"

    def refused(self):
        text = self.fails("import door_plain", first=[self.stub_alone()])
        self.assertIn("is not where it was", text)

    @needs_root
    def test_first_py(self):
        self.plant(NOBODY)
        self.refused()

    def test_what_these_tests_plant_would_run(self):
        self.plant(os.geteuid())
        done = self.start("import door_plain", first=[self.stub_alone()])
        self.assertIn("planted code ran", done.stdout)

    @needs_root
    def test_the_folder_of_another_mount(self):
        """With the true door loaded, what is taken for a second mount."""
        self.plant(NOBODY)
        at = self.stub_alone()
        spec = self.serve()
        build = "%s/o/r@%s/build/v" % (self.top, "1" * 40)
        fixture.put(build + "/__init__.py", self.evil)
        link = "%s/.env/%s/away/door_plain" % (self.top, spec)
        os.makedirs(os.path.dirname(link))
        os.symlink(build, link)
        text = self.fails("""
            import sys, door_nested
            sys.path.insert(0, %r)
            import door_plain
            """ % at)
        self.assertIn("is gone", text)


class Interrupted(StoreTest):
    def test_nothing_is_left_half_made(self):
        self.run_watched("""
            import door_plain, os, _kernelfs_1 as core

            def interrupt(*args):
                raise KeyboardInterrupt

            keep, replace = core.load("keep"), os.replace
            os.replace = interrupt
            try:
                keep.keep(core.store + "/door/x.pyc", interrupt.__code__)
            except KeyboardInterrupt:
                print("interrupted")
            os.replace = replace
            """)
        self.assertEqual(self.said, "interrupted")
        self.assertEqual([p for p in self.files()
                          if not p.endswith((".pyc", "/.lock"))], [])


class Races(StoreTest):
    """Between two threads, at their worst moment."""

    def test_another_thread_keeps_the_last_piece(self):
        self.assertIn("late.py", self.compiled("""
            import _kernelfs_1 as core

            class Fresh(list):
                def __bool__(self):  # and then there is none
                    return True

            core.fresh = Fresh()
            import door_plain, door_plain.late
            """, before="import door_nested"))

    def test_another_thread_finds_a_mount(self):
        self.python("""
            import door_nested, _kernelfs_1 as core

            class Path(str):
                def startswith(self, prefix):
                    core.mounts["/another/%d" % len(core.mounts)] = "/other"
                    return super().startswith(prefix)

            core.mount_of(Path("/"))
            """)


if __name__ == "__main__":
    unittest.main()
