# SPDX-License-Identifier: Apache-2.0
"""Every way to read, while signals come, room is short, or the file is still
on its way. The same for longer: tests/torture/test_reading.py."""

import os
import re
import unittest

import reading
from mounted import SLOW, MountCase, read, wait_for


class Reads(reading.RandomReads, MountCase):
    OPERATIONS = 500 if SLOW else 3000

    def test_random_reads_are_those_of_a_plain_copy(self):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


class ReadAhead(reading.Reading, MountCase):
    FILES = reading.sizes()

    def read_requests(self, m):
        """Those that the metrics have cost are not among them."""
        found = re.search(r'(?m)^kernelfs_requests_total\{op="read"\} (\d+)$',
                          m.control("metrics"))
        self.looks += 1
        return int(found.group(1)) - self.looks * self.cost

    def check(self, *options):
        """posix_fadvise has the kernel ask the daemon for pages of a file
        that it reads by itself; the next open is like the first."""
        m = self.mount_to_read(*options)
        self.looks = self.cost = 0
        self.cost = -self.read_requests(m) + self.read_requests(m)
        path = os.path.join(self.build(m), "f%08d.so" % 300001)
        first = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, first)
        before = self.read_requests(m)
        os.posix_fadvise(first, 0, 0, os.POSIX_FADV_WILLNEED)
        wait_for(lambda: self.read_requests(m) > before, "a request")
        for _ in range(3):
            self.assertEqual(read(path), self.FILES[os.path.basename(path)])

    def test_what_is_read_ahead_is_opened_again(self):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


class Evicted(reading.Eviction, MountCase):
    OPERATIONS = 100 if SLOW else 400

    def test_files_that_are_read_stay_right_when_room_is_short(self):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


class Arrives(reading.Arrival, MountCase):
    PROCESSES = 8
    SIZE = 3 << 20

    def test_processes_load_a_library_while_it_arrives(self):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


if __name__ == "__main__":
    unittest.main()
