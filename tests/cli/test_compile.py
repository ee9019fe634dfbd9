#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`fetch --compile`: after it an import through a mount compiles nothing."""

import glob
import json
import os
import pty
import signal
import subprocess
import sys
import unittest

from case import DEADLINE, ENV_CPU, KERNELFS, Case, make_repo

PYTHON = os.path.realpath(sys.executable)
ENV = "--env=" + ENV_CPU
BUILD = "torch-universal"  # for interpreters without torch, too
NAMES = ["__init__.py", "ops.py", "deep/__init__.py", "deep/more.py"]
FILES = {name: "NAME = %r\n" % name for name in NAMES}
FILES["__init__.py"] = "from . import ops\nfrom .deep import more\n"
# What an import compiles, and which files of the mount it opens.
WATCHER = """if True:
    import json, sys
    seen = {"compile": [], "open": []}
    def hook(event, args):
        if event in seen and args and isinstance(args[-1 if
                event == "compile" else 0], str):
            seen[event].append(args[-1 if event == "compile" else 0])
    sys.addaudithook(hook)
    import tool
    assert tool.deep.more.NAME == "deep/more.py", tool
    print(json.dumps(seen))
    """


class Compile(Case):
    def setUp(self):
        super().setUp()
        self.start_hub()
        self.store = os.path.join(self.home, ".cache", "kernelfs", "bytecode")

    def kernel(self, files=None, name="acme/tool"):
        make_repo.make_kernel(os.path.join(self.dir, "root"), name, "v1", {
            BUILD: files or FILES})
        self.hub.reload()

    def fetch(self, *args, **more):
        return self.run_it("fetch", ENV, "--python=" + PYTHON, "--compile",
                           "acme/tool@v1", *args, **more)

    def compiled(self, *args, **more):
        """What its JSON says of the one build's bytecode."""
        done = self.fetch("--json", *args, **more)
        self.assertEqual(done.code, 0, done)
        (one,) = json.loads(done.out)
        return one["compiled"], done.err

    def kept(self, level=0):
        tag = "%s.%d" % (sys.implementation.cache_tag, level)
        commit = "tool@" + self.hub.commit("acme/tool", "v1")
        top = os.path.join(self.store, tag, "acme", commit, "build", BUILD)
        return {os.path.relpath(p, top)
                for p in glob.glob(top + "/**/*", recursive=True)
                if os.path.isfile(p)}

    def leftovers_of_bytecode(self):
        return [os.path.join(base, name)
                for base, _, names in os.walk(self.store) for name in names
                if name.startswith(".") and name != ".lock"]

    def test_each_source_is_kept_once(self):
        self.kernel()
        version = ".".join(map(str, sys.version_info[:3]))
        told, err = self.compiled()
        self.assertEqual((told, err), (
            {"python": version, "kept": 4, "known": 0, "failed": 0}, ""))
        self.assertEqual(self.kept(), {name + "c" for name in NAMES})
        told, _ = self.compiled()
        self.assertEqual((told["kept"], told["known"]), (0, 4))
        self.assertIn(", 4 compiled for Python %s\n" % version,
                      self.fetch().out)
        self.assertEqual(self.leftovers_of_bytecode(), [])

    def test_an_import_through_a_mount_then_compiles_nothing(self):
        self.kernel()
        mount = os.path.join(self.dir, "mount")
        os.mkdir(mount)
        self.assertEqual(self.fetch().code, 0)
        done = self.run_it(ENV, "--import=acme", mount)
        self.assertEqual(done.code, 0, done)
        try:
            for more in ({}, {"PYTHONDONTWRITEBYTECODE": "1"}):
                run = subprocess.run(
                    [PYTHON, "-c", WATCHER], stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env=self.env(PYTHONPATH=mount, **more),
                    timeout=DEADLINE, check=False, cwd="/")
                self.assertEqual(run.returncode, 0, run.stderr)
                seen = json.loads(run.stdout)
                inside = [p for p in seen["compile"] if p.startswith(mount)]
                # The stub, and the piece that recalls the others.
                self.assertEqual([p for p in inside if "/build/" in p], [])
                self.assertLessEqual(len(set(inside)), 2, inside)
                self.assertEqual([p for p in seen["open"]
                                  if "/build/" in p and p.endswith(".py")],
                                 [])
        finally:
            self.run_it("umount", mount)

    def test_levels_of_optimisation_are_pythons_own(self):
        self.kernel()
        for word, level in (("1", 1), ("2", 2), ("0", 0)):
            told, _ = self.compiled(env={"PYTHONOPTIMIZE": word})
            self.assertEqual(told["kept"], 4)
            self.assertEqual(len(self.kept(level)), 4)

    def test_dontwritebytecode_does_not_matter(self):
        self.kernel()
        told, _ = self.compiled(env={"PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(told["kept"], 4)

    def test_xdg_cache_home_is_where_it_goes(self):
        self.kernel()
        elsewhere = os.path.join(self.dir, "elsewhere")
        os.mkdir(elsewhere)
        told, _ = self.compiled(env={"XDG_CACHE_HOME": elsewhere})
        self.assertEqual(told["kept"], 4)
        self.assertFalse(os.path.exists(self.store))
        self.assertTrue(os.listdir(elsewhere + "/kernelfs/bytecode"))

    def test_what_does_not_compile_is_said_with_its_line(self):
        self.kernel(dict(FILES, **{
            "bad.py": "X = 1\n\nif True\n    pass\n",
            "other.py": b"\xff\xfe broken\n", "zero.py": b"X = 1\0\n"}))
        told, err = self.compiled()
        self.assertEqual((told["kept"], told["failed"]), (4, 3))
        self.assertEqual(err.count("\n"), 3, err)
        self.assertRegex(err, r"kernelfs: 'acme/tool@[0-9a-f]{40}/build/%s/"
                              r"bad\.py' does not compile: .*\(line 3\)\n"
                              % BUILD)
        self.assertRegex(err, "other.py' does not compile")
        self.assertRegex(err, "zero.py' does not compile")

    def test_a_module_that_breaks_the_compiler_takes_no_other_with_it(self):
        deep = "X = " + "(" * 150 + "1" + ")" * 150 + "\n"
        sums = "X = " + "+".join(["1"] * 100000) + "\n"
        self.kernel(dict(FILES, **{"a_deep.py": deep, "a_sum.py": sums}))
        told, err = self.compiled()
        self.assertEqual(told["kept"] + told["known"] + told["failed"], 6,
                         err)
        self.assertEqual(self.kept() & {n + "c" for n in NAMES},
                         {n + "c" for n in NAMES})

    def test_nothing_of_the_kernel_is_run(self):
        mark = os.path.join(self.dir, "ran")
        self.kernel({"__init__.py": "open(%r, 'w')\n" % mark,
                     "sitecustomize.py": "open(%r, 'w')\n" % mark,
                     "json.py": "open(%r, 'w')\n" % mark})
        told, _ = self.compiled()
        self.assertEqual(told["kept"], 3)
        self.assertFalse(os.path.exists(mark))

    def test_many_modules_and_a_bar(self):
        self.kernel(dict(FILES, **{"m%03d.py" % i: "X = %d\n" % i
                                   for i in range(150)}))
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(
            [KERNELFS, "fetch", ENV, "--python=" + PYTHON, "--compile",
             "acme/tool@v1", "--json"], cwd=self.dir,
            env=self.env(TERM="xterm"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        out, _ = process.communicate(timeout=DEADLINE)
        (one,) = json.loads(out)
        self.assertEqual(one["compiled"]["kept"], 154)
        shown = b""
        try:
            while True:
                shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            pass
        self.assertIn(b"64 of 154 files", shown)
        self.assertIn(b"154 of 154 files", shown)

    # ---- interpreters ----

    def script(self, text):
        """A Python prefix whose interpreter does this."""
        folder = os.path.join(self.dir, "prefix", "bin")
        os.makedirs(folder)
        tag = "python%d.%d" % sys.version_info[:2]
        os.makedirs(os.path.join(self.dir, "prefix", "lib", tag,
                                 "site-packages"))
        with open(os.path.join(self.dir, "prefix", "lib", tag, "os.py"), "w",
                  encoding="ascii"):
            pass
        with open(folder + "/python3", "w", encoding="ascii") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(folder + "/python3", 0o755)
        return "--python=" + os.path.dirname(folder)

    def test_an_interpreter_that_is_not_there_is_named(self):
        self.kernel()
        self.bad(1, "/no/such/python", "fetch", ENV, "acme/tool@v1",
                 "--compile", "--python=/no/such/python")
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_an_interpreter_that_ends_badly(self):
        self.kernel()
        python = self.script("exit 3\n")
        self.bad(1, "prefix/bin/python3' ended with 3", "fetch", ENV,
                 "acme/tool@v1", "--compile", python)

    def test_an_interpreter_that_says_something_else(self):
        self.kernel()
        python = self.script("echo hello\n")
        self.bad(1, "said 'hello", "fetch", ENV, "acme/tool@v1", "--compile",
                 python)

    def test_its_environment_is_clean(self):
        self.kernel()
        path = os.path.join(self.dir, "environment")
        python = self.script("env >%s; ls -l /proc/self/fd >>%s\n" %
                             (path, path))
        self.run_it("fetch", ENV, "acme/tool@v1", "--compile", python,
                    env={"PYTHONPATH": "/evil", "HF_HOME": "/hf_secret",
                         "LD_PRELOAD": ""})
        with open(path, encoding="utf-8") as f:
            said = f.read()
        self.assertIn("HOME=" + self.home, said)
        for word in ("PYTHONPATH", "hf_secret", "KERNELFS", self.cache):
            self.assertNotIn(word, said)

    def test_no_folder_for_bytecode_is_said_once(self):
        self.kernel()
        os.makedirs(self.store)
        os.chmod(self.store, 0o777)
        self.bad(1, "no folder for bytecode", "fetch", ENV, "acme/tool@v1",
                 "--compile", "--python=" + PYTHON)

    def test_compile_is_for_fetch(self):
        self.bad(2, "--compile is for fetch", "verify", "acme/tool",
                 "--compile")

    def test_ctrl_c_ends_the_interpreter_and_leaves_nothing(self):
        self.kernel()
        mark = os.path.join(self.dir, "pid")
        python = self.script(
            "echo $$ >%s.new; mv %s.new %s; exec sleep 1000\n" %
            (mark, mark, mark))
        process = self.start("fetch", ENV, "acme/tool@v1", "--compile",
                             python)
        self.wait_for(lambda: os.path.exists(mark)
                      or process.poll() is not None)
        with open(mark, encoding="ascii") as f:
            pid = int(f.read())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, out), (130, b""), err)
        self.wait_for(lambda: not os.path.exists("/proc/%d" % pid))
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(self.leftovers_of_bytecode(), [])


if __name__ == "__main__":
    unittest.main()
