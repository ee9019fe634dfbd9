# SPDX-License-Identifier: Apache-2.0
"""The bench itself: its table, its directions, its link, its packages."""

import ctypes
import importlib
import io
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import types
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import bench  # noqa: E402
import packages  # noqa: E402
import table  # noqa: E402
from forks import ForkError, Forks  # noqa: E402
from servers import Link  # noqa: E402
from timing import wait_for  # noqa: E402

BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
RELAY = os.path.join(BUILD, "release", "bench", "relay")
READER = os.path.join(BUILD, "release", "bench", "reader")


class Table(unittest.TestCase):
    def test_longer_than_the_bar_is_missed(self):
        row = table.paired("g", "w", [1.3] * 3, [1.0] * 3, 1.2)
        self.assertEqual(row.verdict(), "MISSED")
        row = table.paired("g", "w", [1.1] * 3, [1.0] * 3, 1.2)
        self.assertEqual(row.verdict(), "reached")

    def test_sooner_counts_the_other_way(self):
        row = table.paired("g", "w", [1.0] * 3, [2.9] * 3, 3, sooner=True)
        self.assertEqual((row.verdict(), row.so),
                         ("MISSED", "2.90 x sooner"))
        row = table.paired("g", "w", [1.0] * 3, [3.1] * 3, 3, sooner=True)
        self.assertEqual(row.verdict(), "reached")

    def test_the_median_decides_and_not_the_best(self):
        row = table.limited("g", "w", [0.001, 0.009, 0.009], 0.005)
        self.assertEqual(row.verdict(), "MISSED")

    def test_what_is_added_is_a_difference(self):
        row = table.added("g", "w", [0.007] * 3, [0.001] * 3, 0.005)
        self.assertEqual((row.verdict(), row.so), ("MISSED", "+6.00 ms"))
        row = table.added("g", "w", [0.005] * 3, [0.001] * 3, 0.005)
        self.assertEqual(row.verdict(), "reached")

    def test_without_a_bar_there_is_no_verdict(self):
        self.assertEqual(table.paired("g", "w", [1], [1]).verdict(), "-")

    def test_the_last_lines_name_what_is_missed(self):
        out = io.StringIO()
        table.write([table.limited("g", "slow", [1.0], 0.5),
                     table.limited("g", "quick", [0.1], 0.5)], out)
        end = out.getvalue().rpartition("\n\n")[2]
        self.assertIn("2 rows, 2 with a bar: 1 reached, 1 missed", end)
        self.assertIn("missed: slow", end)
        self.assertNotIn("quick", end)

    def test_a_row_of_another_name_is_a_defect(self):
        @table.part("one")
        def rows(_):
            yield table.Row("g", "two", "")
        with self.assertRaises(ValueError):
            list(table.measured(rows, None))

    def test_one_row_is_found_by_its_name(self):
        module = types.ModuleType("m")
        module.GROUP = "Group"
        for name in ("cold", "warm"):
            function = table.part("import: " + name)(lambda bed: ())
            function.__module__ = "m"
            setattr(module, name, function)
        self.assertEqual(table.parts_of(module, "WARM"), [module.warm])
        self.assertEqual(len(table.parts_of(module, "group")), 2)
        self.assertEqual(table.parts_of(module, "hot"), [])

    def test_no_two_rows_have_one_name(self):
        names = []
        for group in bench.GROUPS:
            module = importlib.import_module("row_" + group)
            found = table.parts_of(module)
            self.assertTrue(found, group)
            names += [(module.GROUP, n) for f in found for n in f.names]
        self.assertEqual(len(names), len(set(names)))


class Processes(unittest.TestCase):
    """No time is given for a statement that failed."""

    @classmethod
    def setUpClass(cls):
        cls.forks = Forks(dict(os.environ))
        cls.addClassCleanup(cls.forks.close)

    def test_an_import_that_finds_nothing_is_an_error(self):
        with self.assertRaises(ForkError) as caught:
            self.forks.run("import no_such_package")
        self.assertIn("ModuleNotFoundError", str(caught.exception))

    def test_one_failure_among_many_is_an_error(self):
        with self.assertRaises(ForkError):
            self.forks.run("import os; assert os.getpid() % 2", n=4)

    def test_what_comes_before_is_not_in_the_time(self):
        took = self.forks.run("pass", (), "import time; time.sleep(0.5)")
        self.assertLess(took[0][0], 0.5)

    def test_figures_come_from_the_code(self):
        self.assertEqual(self.forks.figures("FIGURES = [1, 2.5]"), [1, 2.5])


@unittest.skipUnless(os.access(RELAY, os.X_OK), "the relay is not built")
class TheLink(unittest.TestCase):
    def link(self, *args):
        link = Link(RELAY, *args, ())
        self.addCleanup(link.close)
        return link

    def connect(self, link):
        s = socket.create_connection(("localhost", link.echo_port), 30)
        self.addCleanup(s.close)
        return s

    def test_a_round_trip_is_never_shorter_than_it_should_be(self):
        s = self.connect(self.link(20, None))
        start = time.monotonic()
        s.sendall(b"?")
        self.assertEqual(s.recv(10), b"?")
        first = time.monotonic()
        s.sendall(b"?")
        self.assertEqual(s.recv(10), b"?")
        self.assertGreaterEqual(first - start, 0.040)
        self.assertGreaterEqual(time.monotonic() - first, 0.020)

    def test_a_new_connection_does_not_hold_up_the_others(self):
        link = self.link(1000, None)
        old = self.connect(link)
        old.sendall(b"?")
        self.assertEqual(old.recv(10), b"?")
        new = self.connect(link)
        new.sendall(b"?")
        wait_for(lambda: link.echo.server.taken == 2, "its far end")
        old.sendall(b"?")
        self.assertEqual(old.recv(10), b"?")
        new.setblocking(False)
        with self.assertRaises(BlockingIOError):
            new.recv(10)

    def read(self, link, size):
        s = self.connect(link)
        s.sendall(b"=%d" % size)
        while size > 0:
            data = s.recv(1 << 20)
            self.assertTrue(data, "it ends early")
            size -= len(data)
        self.assertEqual(size, 0)

    def test_all_connections_share_one_rate(self):
        link = self.link(2, 80)  # 10 MB/s
        start = time.monotonic()
        threads = [threading.Thread(target=self.read, args=(link, 10**6))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        # Four times 1 MB, less what may be in the queue at the start.
        self.assertGreaterEqual(time.monotonic() - start, 0.39)

    def test_it_is_fair_to_a_late_connection(self):
        link = self.link(2, 80)
        slow = threading.Thread(target=self.read, args=(link, 5 * 10**6))
        slow.start()
        s = self.connect(link)
        s.sendall(b"?")
        self.assertEqual(s.recv(10), b"?")
        self.assertTrue(slow.is_alive(), "it waited for the whole stream")
        slow.join(30)

    def test_the_end_arrives_in_both_directions(self):
        s = self.connect(self.link(2, None))
        s.sendall(b"last words")
        s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            data = s.recv(100)
            if not data:
                break
            got += data
        self.assertEqual(got, b"last words")


class Packages(unittest.TestCase):
    """A small one, made as the large ones are."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        maker = packages.Maker(cls.folder)
        maker.bytes_of(packages.MB)
        maker.package("tiny", 2, 1, {"_tiny": (800000, 1000)})
        cls.forks = Forks(dict(os.environ))
        cls.addClassCleanup(cls.forks.close)

    def library(self):
        return packages.library(self.folder, "tiny", "_tiny")

    def test_it_has_the_size_that_was_asked_for(self):
        size = os.stat(self.library()).st_size
        self.assertLess(abs(size - 800000), 20000)

    def test_it_can_be_imported_and_is_checked(self):
        self.forks.run("import tiny; assert tiny.m001.f0", [self.folder])

    def test_other_bytes_do_not_go_unnoticed(self):
        other = os.path.join(self.folder, "other")
        shutil.copytree(os.path.join(self.folder, "tiny"),
                        os.path.join(other, "tiny"))
        path = os.path.join(other, "tiny", "__init__.py")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("SUM != ", "SUM != 1"))
        with self.assertRaises(ForkError) as caught:
            self.forks.run("import tiny", [other])
        self.assertIn("wrong bytes", str(caught.exception))

    def test_its_relocations_are_there(self):
        library = ctypes.CDLL(self.library())
        self.assertTrue(library.PyInit__tiny)
        with open(self.library(), "rb") as f:
            self.assertGreater(len(f.read()), 32 * 1000)

    @unittest.skipUnless(os.access(READER, os.X_OK), "it is not built")
    def test_the_reader_gives_one_sum_both_ways(self):
        import timing
        sums = {timing.done([READER, how, self.library()]).split()[1]
                for how in ("read", "mmap")}
        self.assertEqual(len(sums), 1)

    @unittest.skipUnless(os.access(READER, os.X_OK) and os.geteuid() == 0,
                         "it is not built, or this is not root")
    def test_the_reader_counts_a_frame_once(self):
        import timing
        copy = shutil.copy(self.library(), self.folder + "/copy")
        link = self.folder + "/link"
        os.link(self.library(), link)

        def held(*paths):
            return int(timing.done([READER, "frames", *paths]).split()[0])

        size = held(self.library())
        self.assertLess(abs(size - os.stat(self.library()).st_size), 4096)
        self.assertEqual(held(self.library(), link), size)
        self.assertEqual(held(self.library(), copy), 2 * size)


if __name__ == "__main__":
    unittest.main()
