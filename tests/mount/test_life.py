# SPDX-License-Identifier: Apache-2.0
"""How a mount begins and ends, well or badly."""

import os
import signal
import socket
import subprocess
import time
import unittest

from asking import (Asked, Reader, ask_read, measured, processes_naming,
                    state_of, wait_for_hub, wait_for_waiting)
from mounted import (DEADLINE, PROGRAM, SPEC, MountCase, clean_environment,
                     errno_of, has_ended, is_fetching, is_mounted, leftovers,
                     lfs_bytes, make_kernel, make_owner, read, wait_for)

BUILD = "build/" + SPEC
BIG = lfs_bytes(300000, seed=4)


class Life(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: {
            "__init__.py": "X = 1\n", "big.so": BIG,
            "more.so": lfs_bytes(200000, seed=5)}},
            files={"large.so": lfs_bytes(400000, seed=6)})

    def pinned(self, m, *parts):
        return m.at("acme", "relu@" + self.commit("acme/relu"), *parts)

    def program(self, *args, **more):
        return subprocess.run(
            [PROGRAM, *args], env=clean_environment(HOME=self.dir),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=3 * DEADLINE,
            universal_newlines=True, cwd=self.dir, **more)

    def options(self, **changed):
        values = {"source": self.hub.url, "env": SPEC, "import": "acme",
                  "cache": os.path.join(self.dir, "own-cache"), **changed}
        return ["--%s=%s" % item for item in values.items()
                if item[1] is not None]

    def folder(self, name="point"):
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        return path


class Beginning(Life):
    def fails(self, status, words, *args):
        """A mounting command that says why and leaves nothing behind."""
        done = self.program(*args)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("kernelfs: "), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(is_mounted(args[-1]))
        self.assertEqual(processes_naming(args[-1]), [])
        return done

    def test_the_command_returns_when_the_mount_serves(self):
        m = self.mount(background=True)
        self.assertEqual(m.ls("acme"), ["relu"])
        self.assertEqual(m.said().count("error"), 0)
        with open(m.output, "rb") as f:
            self.assertEqual(f.read(), b"")

    def test_the_daemon_has_left_the_terminal_and_the_folder(self):
        m = self.mount(background=True)
        self.assertNotEqual(os.getsid(m.pid), os.getsid(0))
        self.assertEqual(os.readlink("/proc/%d/cwd" % m.pid), "/")
        for fd in range(3):
            self.assertEqual(os.readlink("/proc/%d/fd/%d" % (m.pid, fd)),
                             "/dev/null")

    def test_a_missing_mount_point_fails_with_the_next_step(self):
        path = os.path.join(self.dir, "nowhere")
        self.fails(1, ["does not exist", "mkdir -p", path],
                   *self.options(), path)
        self.assertFalse(os.path.exists(path))

    def test_a_mount_point_that_is_not_empty_is_left_alone(self):
        path = self.folder()
        with open(os.path.join(path, "precious"), "wb") as f:
            f.write(b"x")
        self.fails(1, ["not empty", "precious"], *self.options(), path)
        self.assertEqual(os.listdir(path), ["precious"])

    def test_a_file_is_no_mount_point(self):
        path = os.path.join(self.dir, "file")
        with open(path, "wb"):
            pass
        self.fails(1, ["no folder", path], *self.options(), path)

    def test_a_mount_point_in_use_is_busy_and_goes_on(self):
        m = self.mount()
        done = self.program(*self.options(), m.path)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("mount already", done.stderr)
        self.assertEqual(m.ls("acme"), ["relu"])

    def test_a_cache_that_others_may_write_is_refused(self):
        path = self.folder()
        cache = self.folder("shared-cache")
        os.chmod(cache, 0o777)
        self.fails(1, ["can be written by others", cache],
                   *self.options(cache=cache), path)

    def test_a_cache_that_is_a_file_is_refused(self):
        path = self.folder()
        cache = os.path.join(self.dir, "cache-file")
        with open(cache, "wb"):
            pass
        self.fails(1, [cache], *self.options(cache=cache), path)

    def test_what_breaks_a_grammar_is_misuse(self):
        path = self.folder()
        for changed, word in (
                ({"source": "ftp://example.org"}, "source"),
                ({"source": "http://"}, "source"),
                ({"source": "nonsense"}, "source"),
                ({"env": "torch213-nonsense"}, "env"),
                ({"import": "no/such/name/at/all"}, "import"),
                ({"deadline": "soon"}, "deadline"),
                ({"connections": "0"}, "connections"),
                ({"log-level": "loud"}, "log")):
            with self.subTest(**changed):
                self.fails(2, [word], *self.options(**changed), path)

    def test_an_unknown_option_is_misuse(self):
        path = self.folder()
        for option in ("--cach=/x", "--check-arch=on", "-obroker=x",
                       "-ono_such_option_of_anybody"):
            with self.subTest(option=option):
                self.fails(2, [option.lstrip("-o").split("=")[0]
                               if option.startswith("-o") else
                               option.lstrip("-").split("=")[0]],
                           option, *self.options(), path)

    def test_a_python_that_is_not_there_fails(self):
        path = self.folder()
        prefix = os.path.join(self.dir, "no-python")
        self.fails(1, [prefix], *self.options(env=None, python=prefix), path)

    def test_with_a_hub_that_refuses_the_mount_begins_all_the_same(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d" % s.getsockname()[1]
        begun = time.monotonic()
        m = self.mount("--connect-timeout=1s", source=url, background=True)
        measured("mount with a Hub that refuses, connect_timeout=1s",
                 time.monotonic() - begun)
        self.assertIn(".kernelfs", m.ls())

    def test_with_a_hub_that_is_silent_the_mount_waits_connect_timeout(self):
        self.hub.fault("stall")
        begun = time.monotonic()
        m = self.mount("--connect-timeout=1s", background=True)
        took = time.monotonic() - begun
        measured("mount with a silent Hub, connect_timeout=1s", took)
        self.assertGreater(took, 0.9)
        self.assertIn(".kernelfs", os.listdir(m.path))
        self.hub.clear_faults()

    def test_the_list_comes_later_when_the_hub_is_late(self):
        fault = self.hub.fault("stall")
        m = self.mount("--connect-timeout=100ms")
        self.assertNotIn("relu", m.ls())
        fault.release()
        wait_for(lambda: "relu" in m.ls(), "the import name")

    def test_an_interrupt_while_it_begins_ends_both_processes(self):
        path = self.folder()
        for sig in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=sig.name):
                fault = self.hub.fault("stall")
                cache = os.path.join(self.dir, "cache" + sig.name)
                command = subprocess.Popen(
                    [PROGRAM, *self.options(cache=cache), path],
                    env=clean_environment(HOME=self.dir),
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, start_new_session=True)
                wait_for_hub(fault)
                os.killpg(command.pid, sig)
                _, said = command.communicate(timeout=DEADLINE)
                self.assertNotEqual(command.returncode, 0)
                self.assertFalse(is_mounted(path))
                wait_for(lambda: not processes_naming(path),
                         "the daemon's end")
                self.assertEqual(leftovers(cache), [], said)
                self.hub.clear_faults()


@unittest.skipIf(os.geteuid(), "a file system of its own needs root")
class ReadOnlyCache(Life):
    def tmpfs(self, name, options):
        path = self.folder(name)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "kernelfs",
                        path], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=True)
        return path

    def read_only(self, path):
        subprocess.run(["mount", "-o", "remount,ro", path], check=True)

    def test_a_cache_that_cannot_be_made_fails_the_mount(self):
        place = self.tmpfs("place", "size=1m,mode=755")
        self.read_only(place)
        point = self.folder()
        done = self.program(*self.options(cache=place + "/cache"), point)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("Read-only file system", done.stderr)
        self.assertFalse(is_mounted(point))

    def test_what_it_holds_is_served_and_the_rest_says_why_not(self):
        place = self.tmpfs("place", "size=16m,mode=755")
        self._caches["one"] = place
        m = self.mount("--min-free=0", cache="one")
        read(self.pinned(m, BUILD, "__init__.py"))
        wait_for(lambda: m.json("status")["downloads"]["done"] >= 3,
                 "the whole build")
        m.end()
        self.read_only(place)
        again = self.mount("--min-free=0", cache="one")
        self.assertEqual(read(self.pinned(again, BUILD, "big.so")), BIG)
        got = errno_of(read, self.pinned(again, "large.so"))
        self.assertIn(got, ("EROFS", "EIO"))
        self.assertIn(place, again.log())
        self.assertIn("Read-only file system", again.log())
        self.assertEqual(read(self.pinned(again, BUILD, "big.so")), BIG)


class Ending(Life):
    def test_a_signal_unmounts_and_ends_well(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for background in (False, True):
                with self.subTest(signal=sig.name, background=background):
                    m = self.mount(background=background)
                    read(self.pinned(m, BUILD, "big.so"))
                    os.kill(m.pid, sig)
                    wait_for(m.has_ended, "the daemon's end")
                    self.assertIn(m.status, (None, 0))
                    self.assertFalse(is_mounted(m.path))
                    self.assertEqual(os.listdir(m.path), [])

    def test_a_signal_ends_it_though_a_file_is_open(self):
        m = self.mount()
        with open(self.pinned(m, BUILD, "big.so"), "rb") as f:
            os.kill(m.pid, signal.SIGTERM)
            wait_for(m.has_ended, "the daemon's end")
            self.assertEqual(m.status, 0)
            self.assertFalse(is_mounted(m.path))
            self.assertIn(errno_of(os.pread, f.fileno(), 10, 200000),
                          ("ENOTCONN", "ECONNABORTED", "EIO", None))

    def test_unmounting_ends_the_daemon(self):
        m = self.mount(background=True)
        done = m.unmount()
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        wait_for(lambda: has_ended(m.pid), "the daemon's end")

    def test_the_systems_own_umount_ends_the_daemon(self):
        m = self.mount()
        command = ["fusermount3", "-u"] if os.geteuid() else ["umount"]
        subprocess.run([*command, m.path], check=True)
        wait_for(m.has_ended, "the daemon's end")
        self.assertEqual(m.status, 0)

    def test_unmounting_says_busy_while_a_file_is_open(self):
        m = self.mount()
        with open(self.pinned(m, BUILD, "big.so"), "rb"):
            done = m.unmount()
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"busy", done.stderr)
            self.assertIn(b"umount -z", done.stderr)
            self.assertTrue(is_mounted(m.path))
            self.assertIn("relu", m.ls("acme"))
        self.assertEqual(m.unmount().returncode, 0)

    def test_lazily_it_goes_now_and_serves_who_uses_it(self):
        m = self.mount()
        with open(self.pinned(m, BUILD, "big.so"), "rb") as f:
            done = self.program("umount", "-z", m.path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertFalse(is_mounted(m.path))
            self.assertFalse(m.has_ended())
            self.assertEqual(f.read(), BIG)
        wait_for(m.has_ended, "the daemon's end")
        self.assertEqual(m.status, 0)

    def test_a_killed_daemon_is_cleaned_up_by_umount(self):
        m = self.mount()
        m.allowed = {-signal.SIGKILL}
        read(self.pinned(m, BUILD, "big.so"))
        m.kill()
        wait_for(m.has_ended, "the daemon's end")
        self.assertEqual(errno_of(os.listdir, m.path), "ENOTCONN")
        refused = self.program(*self.options(), m.path)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("kernelfs umount", refused.stderr)
        done = m.unmount()
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertFalse(is_mounted(m.path))
        done = self.program(*self.options(cache=m.cache), m.path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(read(self.pinned(m, BUILD, "big.so")), BIG)
        self.assertEqual(m.unmount().returncode, 0)
        wait_for(lambda: not processes_naming(m.path), "the second daemon")

    def test_readers_of_a_stalled_hub_do_not_hold_it_up(self):
        m = self.mount()
        wanted = [self.pinned(m, BUILD, "big.so"),
                  self.pinned(m, "large.so")]
        for path in wanted:
            os.stat(path)
        fault = self.hub.fault("stall", path="resolve|repos/")
        readers = [Reader(wanted[i % 2]) for i in range(64)]
        for reader in readers:
            self.addCleanup(reader.kill)
        wait_for_hub(fault, 2)
        wait_for_waiting(m, 64)
        begun = time.monotonic()
        os.kill(m.pid, signal.SIGTERM)
        wait_for(m.has_ended, "the daemon's end")
        took = time.monotonic() - begun
        measured("SIGTERM to exit, 64 readers on a stalled Hub", took)
        self.assertLess(took, 5)
        self.assertEqual(m.status, 0)
        for reader in readers:
            self.assertIn("Input/output error", reader.said())
            self.assertIsNone(state_of(reader.process.pid))
        self.assertFalse(is_mounted(m.path))

    def test_names_that_are_asked_for_do_not_hold_it_up(self):
        m = self.mount()
        fault = self.hub.fault("stall")
        asked = [Asked(os.listdir, m.at("acme", "relu@v%d" % i))
                 for i in range(1, 9)]
        wait_for_hub(fault)
        wait_for_waiting(m, 8)
        begun = time.monotonic()
        os.kill(m.pid, signal.SIGTERM)
        wait_for(m.has_ended, "the daemon's end")
        took = time.monotonic() - begun
        measured("SIGTERM to exit, 8 names on a stalled Hub", took)
        self.assertLess(took, 5)
        for one in asked:
            self.assertIn(one.end().error, ("EIO", "ENOTCONN",
                                            "ECONNABORTED"))

    def test_a_stalled_download_leaves_no_file_behind(self):
        m = self.mount()
        fault = self.hub.fault("stall", path="repos/", after=1000)
        one = ask_read(self.pinned(m, "large.so"))
        wait_for_hub(fault)
        os.kill(m.pid, signal.SIGTERM)
        wait_for(m.has_ended, "the daemon's end")
        self.assertEqual(one.end().error, "EIO")
        self.assertEqual(leftovers(m.cache), [])
        self.assertFalse(is_fetching(m.cache))


class Together(Life):
    def test_two_mounts_share_what_one_has_fetched(self):
        one = self.mount(cache="both")
        self.assertEqual(read(self.pinned(one, BUILD, "big.so")), BIG)
        wait_for(lambda: one.json("status")["downloads"]["done"] >= 3,
                 "the whole build")
        self.hub.reset()
        other = self.mount(cache="both")
        self.assertEqual(read(self.pinned(other, BUILD, "big.so")), BIG)
        counts = other.counts()
        counts.pop("list", None)
        self.assertEqual(counts, {})

    def test_one_ends_and_the_other_goes_on(self):
        one, other = self.mount(cache="both"), self.mount(cache="both")
        fault = self.hub.fault("stall", path="repos/", after=1000)
        asked = ask_read(self.pinned(one, "large.so"))
        wait_for_hub(fault)
        second = ask_read(self.pinned(other, "large.so"))
        wait_for_waiting(other, 1)
        os.kill(one.pid, signal.SIGTERM)
        wait_for(one.has_ended, "the first daemon's end")
        self.assertEqual(asked.end().error, "EIO")
        self.hub.clear_faults()
        self.assertEqual(second.end().value, lfs_bytes(400000, seed=6))

    def test_a_forked_child_reads_on_where_the_parent_was(self):
        m = self.mount()
        code = """if True:
            import os, sys
            fd = os.open(sys.argv[1], os.O_RDONLY)
            head = os.read(fd, 1000)
            pid = os.fork()
            rest = b""
            if pid == 0:
                while True:
                    piece = os.read(fd, 65536)
                    if not piece:
                        break
                    rest += piece
                os._exit(0 if head + rest == os.pread(fd, 1 << 20, 0) and
                         len(rest) == %d else 3)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """ % (len(BIG) - 1000)
        done = m.python(code, self.pinned(m, BUILD, "big.so"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_report_is_read_on_as_it_was_begun(self):
        m = self.mount()
        with open(m.at(".kernelfs", "status"), "rb", buffering=0) as f:
            begun = f.read(1 << 20)
            read(self.pinned(m, BUILD, "big.so"))  # it grows
            self.assertGreater(len(m.control("status")), len(begun))
            self.assertEqual(f.read(1 << 20), b"")
            self.assertEqual(os.pread(f.fileno(), 1 << 20, 10), begun[10:])
            self.assertGreater(len(os.pread(f.fileno(), 1 << 20, 0)),
                               len(begun))

    def test_a_mount_serves_after_its_reader_was_killed(self):
        m = self.mount()
        fault = self.hub.fault("stall", path="repos/")
        reader = Reader(self.pinned(m, "large.so"))
        self.addCleanup(reader.kill)
        wait_for_hub(fault)
        reader.process.kill()
        reader.process.wait(DEADLINE)
        self.hub.clear_faults()
        self.assertEqual(len(read(self.pinned(m, "large.so"))), 400000)


if __name__ == "__main__":
    unittest.main()
