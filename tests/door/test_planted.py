# SPDX-License-Identifier: Apache-2.0
"""Bytecode that is damaged or that somebody planted is never loaded."""

import importlib.util
import marshal
import os
import random
import shutil
import unittest

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


if __name__ == "__main__":
    unittest.main()
