# SPDX-License-Identifier: Apache-2.0
"""Every way to read, while signals come, room is short, or the file is still
on its way. The same for longer: tests/torture/test_reading.py."""

import os
import unittest

import reading
from mounted import SLOW, MountCase

# The kernel reads complete files itself, or asks the daemon for pages.
WAYS = {"default": ()}


class Reads(reading.RandomReads, MountCase):
    OPERATIONS = 500 if SLOW else 3000

    def test_random_reads_are_those_of_a_plain_copy(self):
        for name, options in WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


class Evicted(reading.Eviction, MountCase):
    OPERATIONS = 100 if SLOW else 400

    def test_files_that_are_read_stay_right_when_room_is_short(self):
        for name, options in WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


class Arrives(reading.Arrival, MountCase):
    PROCESSES = 8
    SIZE = 3 << 20
    BPS = 1 << 20

    def test_processes_load_a_library_while_it_arrives(self):
        for name, options in WAYS.items():
            with self.subTest(way=name):
                self.check(*options)


if __name__ == "__main__":
    unittest.main()
