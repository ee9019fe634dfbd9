# SPDX-License-Identifier: Apache-2.0
"""Who has to wait for the Hub: what ends it, and whom it does not hold up."""

import os
import signal
import subprocess
import sys
import time
import unittest

from asking import (Asked, Reader, ask_read, log_lines, measured, state_of,
                    wait_for_hub, wait_for_waiting)
from mounted import (DEADLINE, SLOW, SPEC, MountCase, clean_environment,
                     lfs_bytes, make_kernel, make_owner, read, wait_for)

BUILD = "build/" + SPEC
FILES = 40
SIZE = 400000
LARGE = lfs_bytes(SIZE, seed=60)


class Waiting(MountCase):
    """A build of many libraries, and a large file that is in no build, so
    that nobody but its readers wants it."""

    def kernels(self, root):
        make_owner(root, "acme")
        build = {"lib%02d.so" % i: lfs_bytes(3000, seed=i)
                 for i in range(FILES)}
        make_kernel(root, "acme/slow", "v1",
                    {SPEC: {"__init__.py": "", **build}},
                    files={"large.so": LARGE, "second.so": LARGE[1:]})
        make_kernel(root, "acme/quick", "v1",
                    {SPEC: {"__init__.py": "Y = 1\n", "sub/a.py": "Z = 1\n"}})

    def pinned(self, m, repo, *parts):
        return m.at("acme", "%s@%s" % (repo, self.commit("acme/" + repo)),
                    *parts)

    def large(self, m, name="large.so"):
        path = self.pinned(m, "slow", name)
        os.stat(path)
        return path

    def stall(self, **more):
        return self.hub.fault("stall", path=r"resolve|/repos/", **more)

    def child(self, code, *args):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *args], env=clean_environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True)
        self.addCleanup(self.reap, process)
        return process

    def reap(self, process):
        if process.poll() is None:
            process.kill()
        process.communicate()


class Others(Waiting):
    def test_a_cached_commit_is_answered_while_40_opens_wait(self):
        m = self.mount(cache="one")
        read(self.pinned(m, "quick", BUILD, "__init__.py"))
        read(self.pinned(m, "quick", BUILD, "sub/a.py"))
        wait_for(lambda: m.json("status")["downloads"]["queued"] == 0,
                 "the quick build")
        m.end()
        m = self.mount(cache="one")
        names = [self.pinned(m, "slow", BUILD, "lib%02d.so" % i)
                 for i in range(FILES)]
        for name in names:
            os.stat(name)
        fault = self.hub.fault("stall")
        asked = [ask_read(name) for name in names]
        wait_for_hub(fault, 8)
        wait_for_waiting(m, FILES)
        begun = time.monotonic()
        os.stat(self.pinned(m, "quick", BUILD, "sub/a.py"))
        took = time.monotonic() - begun
        measured("first lookup in a cached commit, 40 opens wait", took)
        self.assertLess(took, 2)
        self.assertEqual(read(self.pinned(m, "quick", BUILD, "sub/a.py")),
                         b"Z = 1\n")
        self.assertTrue(all(one.waits() for one in asked))
        self.hub.clear_faults()
        for i, one in enumerate(asked):
            self.assertEqual(one.end().value, lfs_bytes(3000, seed=i))

    def test_a_name_that_waits_holds_no_name_beside_it(self):
        m = self.mount(cache="one")
        read(self.pinned(m, "quick", BUILD, "__init__.py"))
        m.end()
        m = self.mount(cache="one")
        fault = self.hub.fault("stall")
        waiting = Asked(os.listdir, m.at("acme", "slow@v1"))
        wait_for_hub(fault)
        wait_for_waiting(m, 1)
        beside = Asked(os.listdir, self.pinned(m, "quick", BUILD))
        self.assertIn("__init__.py", beside.end(5).value)
        self.assertTrue(waiting.waits())
        self.hub.clear_faults()
        waiting.end()

    def test_the_control_files_are_read_while_others_wait(self):
        m = self.mount()
        path = self.large(m)
        fault = self.stall()
        asked = ask_read(path)
        wait_for_hub(fault)
        wait_for_waiting(m, 1)
        for name in os.listdir(m.at(".kernelfs")):
            if os.path.isfile(m.at(".kernelfs", name)):
                with self.subTest(name=name):
                    self.assertIsNone(
                        ask_read(m.at(".kernelfs", name)).end(5).error)
        fault.release()
        self.assertEqual(asked.end().value, LARGE)

    def test_32_threads_that_want_one_file_cost_one_download(self):
        m = self.mount()
        path = self.large(m)
        fault = self.stall(times=1)
        asked = [ask_read(path) for _ in range(32)]
        wait_for_hub(fault)
        wait_for_waiting(m, 32)
        fault.release()
        for one in asked:
            self.assertEqual(one.end().value, LARGE)
        self.assertEqual(m.counts()["cdn"], 1)


class Interrupted(Waiting):
    def test_sigkill_ends_a_reader_at_once(self):
        for where in ("open", "names"):
            with self.subTest(where=where):
                m = self.mount()
                path = self.large(m) if where == "open" else \
                    m.at("acme", "slow@v1", "large.so")
                fault = self.hub.fault("stall")
                reader = Reader(path)
                self.addCleanup(reader.kill)
                wait_for_hub(fault)
                wait_for_waiting(m, 1)
                begun = time.monotonic()
                reader.process.kill()
                reader.process.wait(DEADLINE)
                took = time.monotonic() - begun
                measured("SIGKILL to the end of a reader (%s)" % where, took)
                self.assertLess(took, 2)
                wait_for(lambda: m.json("status")["waiting"] == 0,
                         "the end of the waiting")
                self.hub.clear_faults()

    def test_the_download_stops_when_the_last_reader_goes(self):
        m = self.mount()
        path = self.large(m)
        fault = self.stall(origin="cdn", after=1000)
        readers = [Reader(path) for _ in range(3)]
        for reader in readers:
            self.addCleanup(reader.kill)
        wait_for_hub(fault)
        wait_for_waiting(m, 3)
        for reader in readers[:2]:
            reader.kill()
        wait_for(lambda: m.json("status")["waiting"] == 1, "two to go")
        self.assertEqual(fault.waiting, 1)
        readers[2].kill()
        # The Hub sees it: the connection is closed.
        wait_for(lambda: fault.waiting == 0, "the end of the download")
        wait_for(lambda: m.json("status")["downloads"]["running"] == 0,
                 "nothing to run")
        self.hub.clear_faults()
        self.assertEqual(read(path), LARGE)
        self.assertEqual(log_lines(m, "large"), [])

    def test_an_interrupt_is_eintr(self):
        m = self.mount()
        code = """if True:
            import ctypes, os, signal, sys
            libc = ctypes.CDLL(None, use_errno=True)
            signal.signal(signal.SIGUSR1, lambda *a: None)
            signal.siginterrupt(signal.SIGUSR1, True)
            print("ready", flush=True)
            fd = libc.open(sys.argv[1].encode(), os.O_RDONLY)
            print(fd, os.strerror(ctypes.get_errno()), flush=True)
            """
        path = self.large(m)
        fault = self.stall()
        child = self.child(code, path)
        wait_for_hub(fault)
        wait_for_waiting(m, 1)
        child.send_signal(signal.SIGUSR1)
        out, said = child.communicate(timeout=DEADLINE)
        self.assertEqual(out, "ready\n-1 Interrupted system call\n", said)
        wait_for(lambda: fault.waiting == 0, "the end of the download")
        self.assertEqual(log_lines(m, "."), [])

    def test_ctrl_c_is_a_keyboard_interrupt(self):
        m = self.mount()
        code = """if True:
            import sys
            try:
                open(sys.argv[1], "rb").read()
            except KeyboardInterrupt:
                print("interrupted")
            with open(sys.argv[2], "rb") as f:
                print(len(f.read()))
            """
        path, second = self.large(m), self.large(m, "second.so")
        fault = self.stall(times=1)
        child = self.child(code, path, second)
        wait_for_hub(fault)
        wait_for_waiting(m, 1)
        child.send_signal(signal.SIGINT)
        out, said = child.communicate(timeout=DEADLINE)
        self.assertEqual(out, "interrupted\n%d\n" % (SIZE - 1), said)

    def test_who_asks_again_after_an_interrupt_gets_it(self):
        m = self.mount()
        path = self.large(m)
        # Python asks again by itself when a signal was only handled.
        code = """if True:
            import signal, sys
            signal.signal(signal.SIGUSR1, lambda *a: None)
            with open(sys.argv[1], "rb") as f:
                print(len(f.read()), flush=True)
            """
        fault = self.stall()
        child = self.child(code, path)
        for _ in range(5):
            hits = fault.hits
            wait_for_hub(fault)
            wait_for_waiting(m, 1)
            child.send_signal(signal.SIGUSR1)
            wait_for(lambda: fault.hits > hits, "another request")
        self.hub.clear_faults()
        out, said = child.communicate(timeout=DEADLINE)
        self.assertEqual(out, "%d\n" % SIZE, said)

    def test_one_that_is_interrupted_takes_nothing_from_the_other(self):
        m = self.mount()
        path = self.large(m)
        fault = self.stall()
        other = ask_read(path)
        reader = Reader(path)
        self.addCleanup(reader.kill)
        wait_for_hub(fault)
        wait_for_waiting(m, 2)
        reader.kill()
        wait_for(lambda: m.json("status")["waiting"] == 1, "one to go")
        fault.release()
        self.assertEqual(other.end().value, LARGE)
        self.assertEqual(m.counts()["cdn"], 1)

    def test_nobody_who_waits_is_in_state_d(self):
        m = self.mount()
        path = self.large(m)
        fault = self.hub.fault("stall")
        readers = [Reader(path) for _ in range(4)]
        readers += [Reader(m.at("acme", "slow@v%d" % i, "large.so"))
                    for i in range(2, 6)]
        for reader in readers:
            self.addCleanup(reader.kill)
        wait_for_hub(fault)
        wait_for_waiting(m, 8)
        self.assertEqual({state_of(r.process.pid) for r in readers}, {"S"})
        begun = time.monotonic()
        for reader in readers:
            reader.process.kill()
        for reader in readers:
            reader.process.wait(DEADLINE)
        measured("SIGKILL of 8 waiting readers", time.monotonic() - begun)
        self.hub.clear_faults()

    def test_all_who_wait_for_one_name_end_when_they_are_killed(self):
        # The kernel lets only the first of them ask; the others wait for
        # it, deaf to signals until it is gone.
        for step in ("slow", "slow@v1"):
            with self.subTest(step=step):
                m = self.mount()
                fault = self.hub.fault("stall")
                readers = [Reader(m.at("acme", step, "large.so"))
                           for _ in range(4)]
                for reader in readers:
                    self.addCleanup(reader.kill)
                wait_for_hub(fault)
                wait_for_waiting(m, 1)
                begun = time.monotonic()
                for reader in readers:
                    reader.process.kill()
                for reader in readers:
                    reader.process.wait(DEADLINE)
                took = time.monotonic() - begun
                measured("SIGKILL of 4 who wait for one name", took)
                self.assertLess(took, 5)
                self.hub.clear_faults()


class Deadlines(Waiting):
    def mount_with(self, **times):
        return self.mount(*["--%s=%s" % (name.replace("_", "-"), value)
                            for name, value in times.items()])

    def check_timed_out(self, m, asked, word, at_least=1.9):
        self.assertEqual(asked.end().error, "ETIMEDOUT")
        self.assertGreater(asked.took, at_least)
        self.assertLess(asked.took, 30)
        lines = log_lines(m, word)
        self.assertEqual(len(lines), 1, m.log())
        return lines[0]

    def test_names_are_waited_for_until_the_deadline(self):
        m = self.mount_with(deadline="2s")
        fault = self.hub.fault("stall", path="refs")
        asked = Asked(os.listdir, m.at("acme", "slow"))
        self.check_timed_out(m, asked, "slow")
        others = [line for line in log_lines(m, ".") if "slow" not in line]
        self.assertTrue(all("does not answer" in o for o in others), others)
        self.assertLessEqual(len(others), 1)
        self.assertLessEqual(fault.hits, 1)
        self.hub.clear_faults()

    def test_a_download_without_progress_is_waited_for_until_the_deadline(
            self):
        m = self.mount_with(deadline="2s")
        path = self.large(m)
        fault = self.stall(origin="cdn", after=1000)
        line = self.check_timed_out(m, ask_read(path), "large.so")
        self.assertIn("slow", line)
        wait_for(lambda: fault.waiting == 0, "the end of the download")
        self.hub.clear_faults()
        self.assertEqual(read(path), LARGE)

    def test_who_waits_in_the_queue_times_out_as_well(self):
        m = self.mount("--deadline=2s", "--connections=1")
        first, second = self.large(m), self.large(m, "second.so")
        fault = self.stall()
        asked = [ask_read(first), ask_read(second)]
        wait_for_hub(fault)
        for one in asked:
            self.assertEqual(one.end().error, "ETIMEDOUT")
            self.assertLess(one.took, 20)
        self.hub.clear_faults()
        self.assertEqual(read(second), LARGE[1:])

    def test_a_stall_is_tried_again_and_then_it_works(self):
        m = self.mount_with(stall_timeout="500ms")
        path = self.large(m)
        for kind in ({}, {"after": 100000}):
            with self.subTest(kind=kind):
                fault = self.stall(origin="cdn", times=1, **kind)
                asked = ask_read(path if not kind else
                                 self.large(m, "second.so"))
                wait_for_hub(fault)
                self.assertIsNone(asked.end().error)
                self.assertEqual(asked.value, LARGE if not kind else
                                 LARGE[1:])
                self.assertEqual(log_lines(m, "."), [])
        ranges = [line["range"] for line in self.hub.counts()["log"]
                  if line["origin"] == "cdn"]
        self.assertEqual(ranges, [None, None, None, "bytes=100000-"])

    def test_a_slow_answer_that_makes_progress_is_not_cut(self):
        m = self.mount_with(deadline="1s", stall_timeout="1s")
        path = self.large(m)
        # About 3 s, three times the deadline.
        fault = self.hub.fault("drip", bps=SIZE // 3, origin="cdn")
        asked = ask_read(path).end()
        self.assertEqual(asked.value, LARGE)
        self.assertGreater(asked.took, 2)
        self.assertEqual(fault.hits, 1)
        self.assertEqual(log_lines(m, "."), [])

    @unittest.skipIf(SLOW, "too slow with a sanitizer to say anything")
    def test_the_names_of_a_slow_hub_are_not_cut_before_the_deadline(self):
        m = self.mount_with(deadline="10s", stall_timeout="3s")
        self.hub.fault("delay_ms", delay_ms=300)
        begun = time.monotonic()
        self.assertIn("build", os.listdir(m.at("acme", "slow@v1")))
        self.assertIn("__init__.py",
                      os.listdir(m.at("acme", "slow@v1", BUILD)))
        measured("two names of a Hub with 300 ms per answer",
                 time.monotonic() - begun)
        self.hub.clear_faults()


if __name__ == "__main__":
    unittest.main()
