# SPDX-License-Identifier: Apache-2.0
"""Bytecode is made once, kept by path, and spares sources and daemon."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
import unittest

import fixture
from base import needs_folder
from store import ALL_OF_PLAIN, PLAIN, StoreTest

OLD_S = 2 * 86400


def set_age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


class Kept(StoreTest):
    def test_the_next_process_compiles_nothing_and_opens_no_source(self):
        self.assertEqual(sorted(self.compiled()), ALL_OF_PLAIN)
        self.assertEqual(self.run_watched(), [[], ["metadata.json"]])
        self.assertEqual(self.pieces, self.always())

    def test_it_lies_by_the_path_below_the_mount_for_the_user_alone(self):
        os.umask(os.umask(0))
        self.run_watched()
        top = "%s.0/%s/build/%s/" % (
            self.tag, self.commit(), fixture.UNIVERSAL)
        self.assertEqual(self.kept(), [top + p + "c" for p in ALL_OF_PLAIN])
        for base, _, names in os.walk(self.cache + "/kernelfs"):
            self.assertEqual(stat.S_IMODE(os.lstat(base).st_mode), 0o700, base)
            for name in names:
                mode = os.lstat(os.path.join(base, name)).st_mode
                self.assertEqual(stat.S_IMODE(mode), 0o600, name)

    @needs_folder
    def test_two_mounts_share_it_and_each_is_named_in_tracebacks(self):
        self.run_watched()
        self.own_mount()
        self.assertEqual(self.compiled(), [])
        text = self.fails("import door_plain; door_plain.fail()")
        self.assertRegex(
            text, self.root + r"/.*@[0-9a-f]{40}/build/.*py\", line 22, in fail"
        )

    def test_each_optimisation_has_its_own(self):
        code = """
            import door_plain as d
            assert False
            print(d.Point.__doc__)
            """
        for level, options in enumerate(((), ("-O",), ("-OO",))):
            how = {"options": options}
            if level:
                self.assertIn("__init__.py", self.compiled(code, **how))
            else:
                self.compiled(PLAIN, **how)
            if level:
                self.assertEqual(self.compiled(code, **how), [])
            self.assertTrue(os.path.isdir(self.store(level)))
        self.assertEqual(self.said, "None")

    def test_each_interpreter_has_its_own(self):
        """Another tag is another folder; without one nothing is kept."""
        self.run_watched()
        kept = self.kept()
        before = "import sys; sys.implementation.cache_tag = %r"
        other = before % "cpython-388"
        for wanted in ALL_OF_PLAIN, []:
            self.assertEqual(sorted(self.compiled(before=other)), wanted)
        self.assertEqual(sorted(self.kept()), sorted(
            kept + [p.replace(self.tag, "cpython-388", 1) for p in kept]))
        for _ in range(2):
            self.assertEqual(sorted(self.compiled(before=before % None)),
                             ALL_OF_PLAIN)
        self.assertEqual(len(self.kept()), 2 * len(kept))

    def test_a_later_submodule_and_a_loose_folder(self):
        code = PLAIN + ", door_plain.loose.part"
        self.assertIn("loose/part.py", self.compiled(code))
        self.assertEqual(self.compiled(code), [])
        self.assertEqual(self.compiled("import door_nested"),
                         ["door_nested/__init__.py", "door_nested/sub.py"])
        self.assertEqual(self.compiled("import door_nested"), [])

    def test_run_as_a_module(self):
        for i in range(2):
            done = self.start(None, "-m", "door_plain.tool")
            self.assertEqual((done.stdout, done.stderr), ("tool 8\n", ""))
        self.assertEqual(
            self.compiled("import runpy; runpy.run_module('door_plain.tool')"),
            [],
        )

    def test_reload_takes_it_too(self):
        code = PLAIN + """
import importlib
importlib.reload(door_plain)
importlib.reload(door_plain.sub)
print(door_plain.VERSION)
"""
        self.assertEqual(len(self.compiled(code)), len(ALL_OF_PLAIN))
        self.assertEqual(self.said, "2")
        self.assertEqual(self.compiled(code), [])

    def test_a_module_that_does_not_compile_says_so(self):
        if fixture.REAL_MOUNT:
            self.skipTest("changes the mount, which only a folder allows")
        mount = self.own_mount()
        self.serve()
        path = mount.at(mount.commit("door-plain", "v2"), "build",
                        fixture.UNIVERSAL, "util.py")
        fixture.put(path, "TWO = = 2\n")
        for i in range(2):
            text = self.fails("import door_plain")
            self.assertIn("%s\", line 1" % path, text)
            self.assertIn("SyntaxError: invalid syntax", text)
        self.assertEqual([p for p in self.kept() if "util" in p], [])


class When(StoreTest):
    def test_dont_write_bytecode_reads_only(self):
        env = {"PYTHONDONTWRITEBYTECODE": "1"}
        self.assertEqual(sorted(self.compiled(env=env)), ALL_OF_PLAIN)
        self.assertEqual(os.listdir(self.cache), [])
        self.run_watched()
        before = self.files()
        self.assertEqual(self.compiled(env=env), [])
        self.compiled("import door_nested", env=env)
        self.assertEqual(self.files(), before)

    def test_isolated_neither_reads_nor_writes(self):
        code = "import sys; sys.path[:0] = %r\n%s" % (
            [*self.torch, self.root], PLAIN)
        self.serve()
        self.assertEqual(sorted(self.compiled(code, options=["-I"])),
                         ALL_OF_PLAIN)
        self.assertEqual(os.listdir(self.cache), [])
        self.run_watched()
        self.assertEqual(sorted(self.compiled(code, options=["-I"])),
                         ALL_OF_PLAIN)

    def test_a_prefix_for_bytecode_is_python_s_own_business(self):
        env = {"PYTHONPYCACHEPREFIX": self.folder()}
        self.assertEqual(sorted(self.compiled(env=env)), ALL_OF_PLAIN)
        self.assertEqual(os.listdir(self.cache), [])

    @needs_folder
    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_another_effective_user_keeps_nothing(self):
        os.chown(self.cache, 65534, -1)
        os.chmod(self.root, 0o755)
        # First what lies where that user cannot read.
        code = "import ctypes.util, fcntl, os\n" \
            "import importlib.machinery, importlib.util\n"
        code += "import torch\n" if self.torch else ""
        code += "os.seteuid(65534)\n" + PLAIN
        self.assertEqual(sorted(self.compiled(code)), ALL_OF_PLAIN)
        self.assertEqual(os.listdir(self.cache), [])

    @needs_folder
    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_another_effective_group_keeps_nothing_and_reads_nothing(self):
        code = "import os\nos.setegid(12345)\n" + PLAIN
        self.assertEqual(sorted(self.compiled(code)), ALL_OF_PLAIN)
        self.assertEqual(os.listdir(self.cache), [])
        self.run_watched()
        self.assertEqual(sorted(self.compiled(code)), ALL_OF_PLAIN)

    def test_home(self):
        home = self.folder()
        env = {"HOME": home, "XDG_CACHE_HOME": None}
        self.run_watched(env=env)
        self.assertEqual(self.compiled(env=env), [])
        self.assertEqual(len(self.kept(home + "/.cache")), len(ALL_OF_PLAIN))
        mode = os.stat(home + "/.cache").st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o700)

    def test_no_usable_home_is_plain_loading(self):
        here = self.folder()
        for home, cache in (
            (None, None), ("", None), ("", ""), ("relative", None),
            (here, "relative"), (None, "/proc"), (None, "/dev/null"),
            ("/proc/self", None), (None, here + "/a/b"),
            (None, self.root),
        ):
            env = {"HOME": home, "XDG_CACHE_HOME": cache}
            if cache == self.root and not fixture.REAL_MOUNT:
                continue
            for i in range(2):
                self.assertEqual(sorted(self.compiled(env=env, cwd=here)),
                                 ALL_OF_PLAIN, env)
            self.assertEqual(os.listdir(here), [])

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_below_a_folder_of_somebody_else_nothing_is_made(self):
        home = self.folder()
        os.chown(home, 65534, -1)
        env = {"HOME": home, "XDG_CACHE_HOME": None}
        self.compiled(env=env)
        self.assertEqual(os.listdir(home), [])
        env = {"XDG_CACHE_HOME": home}
        self.compiled(env=env)
        self.assertEqual(os.listdir(home), [])

    def test_an_old_folder_of_a_commit_is_renewed_at_use(self):
        self.run_watched()
        folder = "%s/%s" % (self.store(), self.commit())
        for age, renewed in ((OLD_S, True), (3600, False)):
            set_age(folder, age)
            before = os.stat(folder).st_mtime
            self.run_watched()
            self.assertEqual(os.stat(folder).st_mtime != before, renewed)

    @needs_folder
    def test_pieces_made_when_it_was_built_are_not_compiled(self):
        mount = self.own_mount(made=True)
        self.run_watched()
        self.assertEqual(self.pieces, ["keep.py"])
        self.assertEqual(self.run_watched(), [[], ["metadata.json"]])
        self.assertEqual(self.pieces, [])
        text = self.fails("import sys, door_plain; "
                          "sys.modules['_kernelfs_1'].mount_of(1)")
        self.assertIn(mount.at(".kernelfs/door/core.py"), text)

    @needs_folder
    def test_pieces_made_for_another_python_are_compiled(self):
        mount = self.own_mount(made=True)
        made = mount.at(".kernelfs/door", self.tag + ".made")
        with open(made, "rb") as f:
            data = f.read()
        with open(made, "wb") as f:
            f.write(bytes([data[0] ^ 1]) + data[1:])
        self.run_watched()
        self.assertIn("core.py", self.pieces)
        self.run_watched()
        self.assertEqual(self.pieces, ["first.py"])

    def test_a_new_release_of_the_door_meets_no_old_code(self):
        if fixture.REAL_MOUNT:
            self.skipTest("changes the mount, which only a folder allows")
        self.run_watched()
        mount = self.own_mount()
        with open(mount.at(".kernelfs/door/first.py"), encoding="utf-8") as f:
            text = f.read()
        release = text.partition('RELEASE = "')[2][:16]
        fixture.put(mount.at(".kernelfs/door/first.py"),
                    text.replace(release, "0" * 16))
        self.run_watched()
        self.assertIn("core.py", self.pieces)
        self.run_watched()
        self.assertEqual(self.pieces, ["first.py"])


def mounted(test, folder, options):
    """A small disk at FOLDER, gone when the test ends."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if os.geteuid() or subprocess.call(command, stderr=subprocess.DEVNULL):
        test.skipTest("no right to mount a tmpfs")
    test.addCleanup(subprocess.call, ["umount", "-l", folder])


class Disks(StoreTest):
    def test_a_full_disk(self):
        # Of its door too, where the mount has none of it.
        size = 32 if self.made() else 64
        mounted(self, self.cache, "size=%dk,mode=700" % size)
        for i in range(3):
            self.run_watched(PLAIN + ", door_nested, door_lazy, door_owned")
            odd = [p for p in self.files()
                   if not p.endswith(".pyc") and not p.endswith("/.lock")]
            self.assertEqual(odd, [])
        # What there was room for is sound, and taken.
        count = len(self.kept())
        left = self.compiled(PLAIN + ", door_nested, door_lazy, door_owned")
        self.assertEqual(len(left) + count, len(ALL_OF_PLAIN) + 4)
        self.assertTrue(left)

    def test_a_disk_that_can_only_be_read(self):
        mounted(self, self.cache, "size=4m,mode=700")
        self.run_watched()
        before = self.files()
        subprocess.check_call(["mount", "-o", "remount,ro", self.cache])
        self.assertEqual(self.compiled(), [])
        self.assertEqual(self.compiled("import door_nested"),
                         ["door_nested/__init__.py", "door_nested/sub.py"])
        self.assertEqual(self.files(), before)

    def test_a_disk_that_could_never_be_written(self):
        mounted(self, self.cache, "size=4m,mode=700,ro")
        for i in range(2):
            self.assertEqual(sorted(self.compiled()), ALL_OF_PLAIN)


COUNT = """
import os, sys
_fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

def _hook(event, args):
    if event == "compile" and "/build/" in str(args[1]):
        os.write(_fd, b"%s\\n" % os.fsencode(os.path.basename(args[1])))

sys.addaudithook(_hook)
sys.stdin.read(1)
"""


class Together(StoreTest):
    def crowd(self, count, code):
        """COUNT processes that run CODE from the same moment on; gives what
        they compiled."""
        log = self.folder() + "/log"
        self.serve()
        env = dict(self.bytecode, PYTHONPATH=os.pathsep.join(
            [*self.torch, self.root]))
        crowd = [
            subprocess.Popen(
                [sys.executable, "-c", COUNT + code, log], cwd="/",
                env=fixture.clean_environment(**env), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for i in range(count)
        ]
        for process in crowd:
            process.stdin.write(b"x")
            process.stdin.flush()
        for process in crowd:
            out = process.communicate(timeout=300)[0]
            self.assertEqual((process.returncode, out), (0, b""))
        with open(log, encoding="utf-8") as file:
            return sorted(file.read().split())

    def test_32_processes_compile_each_module_once(self):
        self.run_watched("import door_lazy")  # the door itself is there
        self.assertEqual(
            self.crowd(32, PLAIN),
            sorted(os.path.basename(p) for p in ALL_OF_PLAIN))
        self.assertEqual(
            [p for p in self.files() if os.path.basename(p)[0] == "."
             and not p.endswith("/.lock")], [])

    def test_32_processes_when_not_even_the_door_is_kept(self):
        self.assertEqual(
            self.crowd(32, PLAIN),
            sorted(os.path.basename(p) for p in ALL_OF_PLAIN))

    HOLD = """
        import fcntl, os, sys
        fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        print("held", flush=True)
        sys.stdin.read(1)
        """

    def holder(self):
        """A process that holds the lock of door_plain until its input ends."""
        folder = "%s/%s" % (self.store(), self.commit())
        at = self.store()
        for part in self.commit().split("/"):
            at += "/" + part
            if not os.path.isdir(at):
                os.mkdir(at, 0o700)
        process = subprocess.Popen(
            [sys.executable, "-c", "if 1:" + self.HOLD, folder + "/.lock"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"held\n")
        return process

    def test_a_holder_that_dies_holds_up_nobody(self):
        self.run_watched("import door_lazy")
        process = self.holder()
        # Killed at the first sleep of who waits for it.
        before = """
            import door_lazy, os, signal, sys
            keep = sys.modules["_kernelfs_1"].load("keep")
            real, keep.WAIT_S, naps = keep.sleep, 1000, []

            def sleep(seconds):
                if not naps:
                    os.kill(%d, signal.SIGKILL)
                naps.append(seconds)
                real(seconds)

            keep.sleep = sleep
            """ % process.pid
        code = PLAIN + "\nprint(len(naps) > 0)"
        self.assertEqual(sorted(self.compiled(code, before)), ALL_OF_PLAIN)
        self.assertEqual(self.said, "True")
        self.assertEqual(self.compiled(), [])

    def test_a_holder_that_never_lets_go_is_waited_for_once(self):
        self.run_watched("import door_lazy")
        self.holder()
        before = """
            import door_lazy, sys
            keep = sys.modules["_kernelfs_1"].load("keep")
            now = [0.0]
            waits = []

            def sleep(seconds):
                waits.append(seconds)
                now[0] += seconds

            keep.sleep, keep.monotonic = sleep, lambda: now[0]
            """
        code = PLAIN + "\nprint(sum(waits) < 8, sum(waits) > 4)"
        self.assertEqual(sorted(self.compiled(code, before)), ALL_OF_PLAIN)
        self.assertEqual(self.said, "True True")
        self.assertEqual(self.compiled(), [])

    def test_threads(self):
        code = """
            import importlib, threading
            names = ["door_plain.late", "door_nested", "door_lazy",
                     "door_owned"]
            threads = [threading.Thread(target=importlib.import_module,
                                        args=(n,)) for n in names * 4]
            for t in threads: t.start()
            for t in threads: t.join(60)
            """
        self.run_watched("import door_plain")
        self.compiled(code)
        self.assertEqual(self.compiled(code), [])

    def test_a_fork_in_the_middle(self):
        code = """
            import os, door_plain
            pid = os.fork()
            import door_plain.late, door_nested
            if pid == 0:
                os._exit(0)
            print(os.waitpid(pid, 0)[1])
            """
        self.compiled(code)
        self.assertEqual(self.said.split(), ["0"])
        self.assertEqual(self.compiled(PLAIN + ", door_nested"), [])


@needs_folder
class WithoutMount(StoreTest):
    """compile.py, which `kernelfs fetch --compile` runs."""

    def ask(self, modules, options=(), door=None, **env):
        environment = dict(self.bytecode, **env)
        return subprocess.run(
            [sys.executable, "-I", *options, "-c",
             fixture.door_files()["compile.py"]],
            input=json.dumps({"door": door or fixture.door_files(),
                              "modules": modules}),
            env=fixture.clean_environment(**environment), cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
            universal_newlines=True)

    def modules(self):
        """The sources of door_plain, as blobs with other names."""
        top, blobs = self.mount.at(self.commit()), self.folder()
        found = []
        for base, _, names in os.walk(top + "/build"):
            for name in names:
                if name.endswith(".py"):
                    blob = "%s/%d" % (blobs, len(found))
                    shutil.copy(os.path.join(base, name), blob)
                    key = os.path.join(base, name)[len(self.root) + 1:]
                    found.append({"key": key, "path": blob})
        return found

    def test_an_import_then_compiles_nothing(self):
        for level, options in enumerate(((), ("-O",), ("-OO",))):
            modules = self.modules()
            for kept, known in ((len(modules), 0), (0, len(modules))):
                done = self.ask(modules, options)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                said = json.loads(done.stdout)
                version = ".".join(map(str, sys.version_info[:3]))
                self.assertEqual(said, {
                    "folder": self.store(level), "python": version,
                    "kept": kept, "known": known, "failed": []})
            self.assertEqual(
                self.run_watched(PLAIN + ", door_plain.loose.part",
                                 options=options), [[], ["metadata.json"]])
            self.assertEqual(self.pieces, self.always())
        text = self.fails("import door_plain; door_plain.fail()")
        self.assertIn(self.root + "/" + self.commit(), text)

    def test_it_leaves_just_what_an_import_leaves(self):
        self.ask(self.modules())
        ours = self.cache
        self.cache = self.folder()
        self.bytecode["XDG_CACHE_HOME"] = self.cache
        self.compiled(PLAIN + ", door_plain.loose.part\n"
                      "import runpy\nfor m in 'tool', '__main__':\n"
                      "    runpy.run_module('door_plain.' + m)")
        for path in self.kept():
            with open(self.cache + "/kernelfs/bytecode/" + path, "rb") as f:
                kept = f.read()[:16]
            with open(ours + "/kernelfs/bytecode/" + path, "rb") as f:
                self.assertEqual(f.read()[:8], kept[:8])
        self.assertEqual(self.kept(), self.kept(ours))

    def test_what_does_not_compile_is_told(self):
        modules = self.modules()[:1]
        bad = self.folder() + "/bad"
        fixture.put(bad, "a\nb = = c\n")
        key = modules[0]["key"].rpartition("/")[0]
        for name, path in (("bad.py", bad), ("absent.py", bad + "2"),
                           ("../../../../../x.py", bad)):
            modules.append({"key": key + "/" + name, "path": path})
        done = self.ask(modules)
        said = json.loads(done.stdout)
        self.assertEqual((done.returncode, said["kept"]), (0, 1))
        reasons = [one["reason"] for one in said["failed"]]
        self.assertEqual(reasons[:2], ["invalid syntax (line 2)",
                                       "No such file or directory"])
        self.assertIn("is no path below a build", reasons[2])

    def test_nowhere_to_keep_it_is_said(self):
        done = self.ask(self.modules(), XDG_CACHE_HOME="/proc")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Ano folder for bytecode: .*\n\Z")

    def test_a_full_disk_is_said(self):
        mounted(self, self.cache, "size=48k,mode=700")
        done = self.ask(self.modules())
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("disk is full", done.stderr)


if __name__ == "__main__":
    unittest.main()
