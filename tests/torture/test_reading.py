# SPDX-License-Identifier: Apache-2.0
"""What tests/mount/test_reads.py does, for as long as it takes to believe it:
50,000 random reads, 64 processes that load what is still arriving, a cache
that holds less than half of what is read."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "mount"))

import reading  # noqa: E402
from mounted import SLOW, MountCase, lfs_bytes  # noqa: E402


class Reads(reading.RandomReads, MountCase):
    OPERATIONS = 10000 if SLOW else 50000
    FILES = dict(reading.sizes((3 << 20) + 17),
                 **{"large.so": lfs_bytes(40 << 20, 1)})

    def test_50000_random_reads(self):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


class Evicted(reading.Eviction, MountCase):
    READERS = 8
    OPERATIONS = 400 if SLOW else 2000
    FILES = {"f%02d.so" % i: lfs_bytes(300000 + 1000 * i, i)
             for i in range(60)}

    def test_readers_of_more_than_there_is_room_for(self):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


class Arrives(reading.Arrival, MountCase):
    PROCESSES = 64
    SIZE = 24 << 20

    def test_64_processes_load_a_library_while_it_arrives(self):
        for name, options in reading.WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


if __name__ == "__main__":
    unittest.main()
