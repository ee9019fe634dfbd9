# SPDX-License-Identifier: Apache-2.0
"""kernels.lock: `kernelfs lock` beside `kernels lock`, on one stand-in Hub.

Run with a Python that has kernels 0.17.2; exits 77 with one line where it has
not. Both read the same project, with caches of their own that begin empty.
What they write must be the same bytes, what one refuses the other must
refuse, and ours must ask for less.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "hub"))

import make_repo  # noqa: E402
from hub import Hub  # noqa: E402

try:
    from importlib.metadata import version
    KERNELS = version("kernels")
except ImportError:
    KERNELS = None
if KERNELS != "0.17.2":
    print("SKIP: this Python has kernels %s, not 0.17.2" % KERNELS)
    sys.exit(77)

KERNELFS = os.environ.get("KERNELFS") or os.path.join(
    ROOT, "build", os.environ.get("KERNELFS_MODE", ""), "kernelfs")
DEADLINE = 120
CPU = "torch213-cxx11-cpu-x86_64-linux"
CUDA = "torch213-cxx11-cu130-x86_64-linux"
SIX = """
[project]
name = "six"
version = "1.0"

[tool.kernels.dependencies]
"acme/top" = 3          # three deep
"acme/relu" = 1
'acme/a.b' = 1
"beta-labs/attention" = 10
"acme/ffi" = 1
"acme/multi" = 2
"""


def needs(repo, **how):
    return {"repo-id": repo, **how}


def builds(name, depends, *variants):
    """Builds whose metadata names what each needs, with a large file."""
    out = {}
    for variant in variants:
        files = {"__init__.py": "X = 1\n",
                 "_c.abi3.so": make_repo.lfs_bytes(3000, seed=len(variant))}
        meta = make_repo.make_metadata(name, variant, files,
                                       kernel_depends=depends or None)
        files["metadata.json"] = json.dumps(meta)
        out[variant] = files
    return out


def fixtures(root):
    def make(repo, branch, *parts):
        content = {}
        for part in parts:
            content.update(part)
        make_repo.make_kernel(root, repo, branch, content)

    make_repo.make_owner(root, "acme", trusted=True)
    make_repo.make_owner(root, "beta-labs", trusted=True)
    make_repo.make_owner(root, "stranger", trusted=False)
    make("acme/relu", "v1", builds("relu", [], "torch-cpu", "torch-cuda"))
    make("acme/relu", "v2", builds("relu", [], CPU))
    make("acme/a.b", "v1", builds("a-b", [], "torch-universal", "not-one"))
    make("acme/ffi", "v1",
         builds("ffi", [], "tvm-ffi01-cpu-x86_64-linux",
                "tvm-ffi01-cu130-x86_64-linux"))
    for n in (2, 9, 10):
        make("beta-labs/attention", "v%d" % n,
             builds("attention", [], CPU, CUDA, "torch-stable-abi210-cu130-"
                    "aarch64-linux"))
    make("acme/deepest", "v1", builds("deepest", [], CPU))
    make("acme/base", "v2", builds("base", [needs("acme/deepest", version=1)],
                                   CPU))
    make("acme/mid", "v1",
         builds("mid", [needs("acme/base", version=2),
                        needs("acme/relu", version=2)], CPU),
         builds("mid", [], CUDA))
    make("acme/top", "v3", builds("top", [needs("acme/mid", version=1),
                                          needs("acme/mid", version=1)], CPU))
    make("acme/cuda-only", "v1", builds("cuda-only", [], CUDA))
    make("acme/multi", "v2",
         builds("multi", [needs("acme/base", version=2)], CPU),
         builds("multi", [needs("acme/cuda-only", version=1)], CUDA))
    # what is refused
    make("stranger/relu", "v1", builds("relu", [], "torch-cpu"))
    make("acme/uses-stranger", "v1",
         builds("uses", [needs("stranger/relu", version=1)], CPU))
    make("acme/one", "v1", builds("one", [needs("acme/two", version=1)], CPU))
    make("acme/two", "v1", builds("two", [needs("acme/one", version=1)], CPU))
    make("acme/self", "v1",
         builds("self", [needs("acme/self", version=1)], CPU))
    make("acme/by-branch", "v1",
         builds("by", [needs("acme/relu", revision="main")], CPU))
    make("acme/needs-nobody", "v1",
         builds("needs", [needs("acme/nobody", version=1)], CPU))
    make("acme/no-metadata", "v1",
         {CPU: {"__init__.py": "", "metadata.json": None}})
    make("acme/bad-metadata", "v1",
         {CPU: {"__init__.py": "", "metadata.json": "{"}})
    make_repo.make_kernel(root, "acme/no-builds", "v1", {},
                          files={"README.md": "nothing\n"})


class Done:
    def __init__(self, code, out, err, counts):
        self.code, self.out, self.err, self.counts = code, out, err, counts

    def asked(self):
        """Requests by endpoint, those about the client itself left out."""
        counts = dict(self.counts["by_endpoint"])
        counts.pop("harness", None)
        return counts

    def __repr__(self):
        return "exit %d\n%s\n%s" % (self.code, self.out, self.err)


# The reference's program takes seconds to start: it starts once, and is told
# one folder a line. Its exit code and what it said come back as JSON.
WORKER = """
import io, json, sys, traceback
from contextlib import redirect_stderr
from kernels.cli import main
print("ready", flush=True)
for line in sys.stdin:
    sys.argv = ["kernels", "lock", line.rstrip("\\n")]
    said, code = io.StringIO(), 0
    with redirect_stderr(said):
        try:
            main()
        except SystemExit as e:
            code = e.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    print(json.dumps([code, said.getvalue()]), flush=True)
"""


def setUpModule():
    global SCRATCH, HUB, REFERENCE
    SCRATCH = tempfile.mkdtemp(prefix="test-lock-")
    unittest.addModuleCleanup(shutil.rmtree, SCRATCH, ignore_errors=True)
    fixtures(os.path.join(SCRATCH, "root"))
    HUB = Hub(os.path.join(SCRATCH, "root"))
    unittest.addModuleCleanup(HUB.close)
    REFERENCE = subprocess.Popen(
        [sys.executable, "-c", WORKER], env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unittest.addModuleCleanup(end, REFERENCE)
    if REFERENCE.stdout.readline() != "ready\n":
        raise AssertionError("the reference does not start")


def end(process):
    process.stdin.close()
    process.wait(timeout=DEADLINE)
    process.stdout.close()


def environment(**more):
    out = {k: v for k, v in os.environ.items()
           if not k.startswith(("HF_", "KERNELS_", "HUGGING", "KERNELFS_"))}
    out.update(HF_ENDPOINT=HUB.url, HF_HUB_DISABLE_XET="1",
               HF_HUB_DISABLE_PROGRESS_BARS="1", HOME=SCRATCH,
               HF_HOME=os.path.join(SCRATCH, "home"), **more)
    return out


class Case(unittest.TestCase):
    """Every test begins with two empty caches."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="case-", dir=SCRATCH)
        shutil.rmtree(os.path.join(SCRATCH, "home"), ignore_errors=True)
        self.root = os.path.join(SCRATCH, "root")
        self.hub = HUB
        self.serial = 0

    def project(self, text):
        self.serial += 1
        folder = os.path.join(self.dir, "project%d" % self.serial)
        os.mkdir(folder)
        if text is not None:
            with open(os.path.join(folder, "pyproject.toml"), "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        return folder

    def env(self):
        return environment(KERNELFS_CACHE=os.path.join(self.dir, "cache"))

    def run_it(self, command, cwd=None):
        self.hub.reset()
        done = subprocess.run(command, env=self.env(), cwd=cwd,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=DEADLINE)
        return Done(done.returncode, done.stdout.decode(),
                    done.stderr.decode(), self.hub.counts())

    def theirs(self, folder):
        self.hub.reset()
        REFERENCE.stdin.write(folder + "\n")
        REFERENCE.stdin.flush()
        code, said = json.loads(REFERENCE.stdout.readline())
        return Done(code, "", said, self.hub.counts())

    def ours(self, *args, **more):
        return self.run_it([KERNELFS, "lock", *args], **more)

    def read(self, folder):
        with open(os.path.join(folder, "kernels.lock"), "rb") as f:
            return f.read()

    def lock_both(self, text):
        """Each in a folder of its own; the bytes of ours, both runs."""
        a, b = self.project(text), self.project(text)
        theirs, ours = self.theirs(a), self.ours(b)
        self.assertEqual(theirs.code, 0, theirs)
        self.assertEqual(ours.code, 0, ours)
        self.assertEqual(self.read(b), self.read(a))
        return self.read(b), theirs, ours

    def refuse_both(self, text, *said):
        """Neither writes a lock; ours says why."""
        a, b = self.project(text), self.project(text)
        theirs, ours = self.theirs(a), self.ours(b)
        self.assertNotEqual(theirs.code, 0, theirs)
        self.assertNotEqual(ours.code, 0, ours)
        for folder in (a, b):
            self.assertFalse(os.path.exists(
                os.path.join(folder, "kernels.lock")))
        for what in said:
            self.assertIn(what, ours.err)
        self.assertEqual(len(ours.err.splitlines()), 1, ours)
        self.assertEqual(ours.out, "")
        return ours


def one(line):
    return "[tool.kernels.dependencies]\n%s\n" % line


class Equal(Case):
    def test_six_kernels_are_locked_byte_for_byte_with_fewer_requests(self):
        text, theirs, ours = self.lock_both(SIX)
        locks = json.loads(text)
        names = [(e["dependency"]["repo-id"], e["dependency"]["version"])
                 for e in locks]
        self.assertEqual(names, [
            ("acme/a.b", 1), ("acme/base", 2), ("acme/cuda-only", 1),
            ("acme/deepest", 1), ("acme/ffi", 1), ("acme/mid", 1),
            ("acme/multi", 2), ("acme/relu", 1), ("acme/relu", 2),
            ("acme/top", 3), ("beta-labs/attention", 10)])
        for entry in locks:
            self.assertEqual(entry["lock"]["commit"], self.hub.commit(
                entry["dependency"]["repo-id"],
                "v%d" % entry["dependency"]["version"]))
        self.assertNotEqual(text[-1:], b"\n")
        # one a kernel for its trust, refs and builds; HEAD and GET a build
        want, got = theirs.asked(), ours.asked()
        self.assertEqual(want["overview"], 11)
        self.assertEqual(got["overview"], 2)  # one an owner
        self.assertEqual(want["refs"], 11)
        self.assertEqual(got["refs"], 10)  # one a repository
        self.assertEqual(got["tree"], want["tree"])
        self.assertEqual(got["resolve"], 17)  # one a build
        self.assertEqual(want["resolve"], 17)
        self.assertEqual(want["resolve-cache"], 34)  # HEAD and GET
        self.assertEqual(got["resolve-cache"], 17)
        self.assertLess(sum(got.values()), sum(want.values()))

    def test_a_second_lock_asks_for_what_can_move_only(self):
        folder = self.project(SIX)
        self.assertEqual(self.ours(folder).code, 0)
        first = self.read(folder)
        again = self.ours(folder)
        self.assertEqual(again.code, 0, again)
        self.assertEqual(again.asked(), {"refs": 10})
        self.assertEqual(self.read(folder), first)

    def test_a_version_that_moved_is_locked_anew(self):
        text = one('"acme/moves" = 1')
        make_repo.make_kernel(self.root, "acme/moves", "v1",
                              builds("moves", [], CPU))
        folder = self.project(text)
        self.assertEqual(self.ours(folder).code, 0)
        before = self.read(folder)
        make_repo.make_kernel(self.root, "acme/moves", "v1", builds(
            "moves", [needs("acme/base", version=2)], CPU))
        self.hub.reload("acme/moves")
        self.lock_both(text)
        self.assertEqual(self.ours(folder).code, 0)
        self.assertNotEqual(self.read(folder), before)
        self.assertIn(b"acme/deepest", self.read(folder))

    def test_a_dependency_by_a_full_commit_is_locked(self):
        commit = self.hub.commit("acme/relu", "v1")
        make_repo.make_kernel(
            self.root, "acme/by-commit", "v1",
            builds("by", [needs("acme/relu", revision=commit),
                          needs("acme/relu", version=2)], CPU))
        text, _, _ = self.lock_both(
            '[tool.kernels]\ndependencies = {"acme/by-commit" = 1, '
            '"acme/relu" = 1}\n')
        self.assertEqual(
            [e["dependency"] for e in json.loads(text)],
            [{"repo-id": "acme/by-commit", "version": 1},
             {"repo-id": "acme/relu", "version": 1},
             {"repo-id": "acme/relu", "version": 2},
             {"repo-id": "acme/relu", "revision": commit}])

    def test_the_reference_reads_what_we_wrote(self):
        folder = self.project(SIX)
        self.assertEqual(self.ours(folder).code, 0)
        done = self.run_it([sys.executable, "-c", (
            "from kernels._rust import KernelLocks\n"
            "s = open(%r).read()\n"
            "l = KernelLocks.from_json(s)\n"
            "assert l.to_json() == s\n"
            "print(len(list(l.keys())))"
            % os.path.join(folder, "kernels.lock"))])
        self.assertEqual((done.code, done.out), (0, "11\n"), done)


class Refused(Case):
    def test_a_version_that_is_a_string(self):
        ours = self.refuse_both(one('"acme/relu" = "1"'),
                                "pyproject.toml:2:", "string")
        self.assertEqual(ours.code, 2)
        self.assertEqual(ours.counts["by_endpoint"], {})

    def test_an_empty_table(self):
        ours = self.refuse_both(one(""), "no kernels in", "\"owner/name\"")
        self.assertEqual(ours.code, 1)

    def test_no_table(self):
        self.refuse_both("[project]\nname = 'x'\n", "no table")

    def test_no_project(self):
        self.refuse_both(None, "pyproject.toml")

    def test_a_project_that_is_no_toml(self):
        ours = self.refuse_both("[tool.kernels.dependencies\n",
                                "pyproject.toml:1:")
        self.assertEqual(ours.code, 2)

    def test_a_version_that_is_not_there(self):
        self.refuse_both(one('"acme/relu" = 7'), "acme/relu@v7",
                         "there is 1, 2")

    def test_a_repository_that_is_not_there(self):
        self.refuse_both(one('"acme/nobody" = 1'), "acme/nobody")

    def test_a_publisher_that_is_not_trusted(self):
        self.refuse_both(one('"stranger/relu" = 1'), "stranger",
                         "--trust=stranger/relu")

    def test_a_dependency_that_is_not_trusted(self):
        self.refuse_both(one('"acme/uses-stranger" = 1'),
                         "'stranger/relu@v1', which "
                         "'acme/uses-stranger@v1' needs")

    def test_a_cycle(self):
        self.refuse_both(one('"acme/one" = 1'),
                         "'acme/one@v1' needs 'acme/two@v1', which needs "
                         "'acme/one@v1'")

    def test_a_kernel_that_needs_itself(self):
        self.refuse_both(one('"acme/self" = 1'),
                         "'acme/self@v1' needs 'acme/self@v1'")

    def test_a_dependency_by_a_branch(self):
        self.refuse_both(one('"acme/by-branch" = 1'), "acme/relu@main",
                         "full commit")

    def test_a_dependency_that_is_not_there(self):
        self.refuse_both(one('"acme/needs-nobody" = 1'), "acme/nobody")

    def test_a_build_without_metadata(self):
        self.refuse_both(one('"acme/no-metadata" = 1'), CPU)

    def test_a_build_with_broken_metadata(self):
        self.refuse_both(one('"acme/bad-metadata" = 1'), CPU)

    def test_a_repository_without_builds(self):
        self.refuse_both(one('"acme/no-builds" = 1'), "acme/no-builds")


class Ours(Case):
    """What the reference has no counterpart for."""

    def test_trust_can_be_given(self):
        folder = self.project(one('"acme/uses-stranger" = 1'))
        done = self.ours(folder, "--trust=stranger/relu")
        self.assertEqual(done.code, 0, done)
        self.assertIn(b"stranger/relu", self.read(folder))

    def test_the_current_folder_and_the_file_are_the_project(self):
        folder = self.project(one('"acme/relu" = 1'))
        done = self.ours(cwd=folder)
        self.assertEqual((done.code, done.out),
                         (0, "kernels.lock: 1 kernel locked\n"), done)
        first = self.read(folder)
        os.unlink(os.path.join(folder, "kernels.lock"))
        done = self.ours(os.path.join(folder, "pyproject.toml"))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.read(folder), first)

    def test_an_older_lock_stays_when_a_new_one_is_refused(self):
        folder = self.project(one('"acme/relu" = 7'))
        path = os.path.join(folder, "kernels.lock")
        with open(path, "w") as f:
            f.write("older")
        self.assertEqual(self.ours(folder).code, 1)
        self.assertEqual(self.read(folder), b"older")
        self.assertEqual(sorted(os.listdir(folder)),
                         ["kernels.lock", "pyproject.toml"])

    def test_a_lock_option_does_not_stand_in_its_own_way(self):
        folder = self.project(one('"acme/relu" = 1'))
        done = self.ours(folder, "--locked", "--lock=%s/kernels.lock" % folder)
        self.assertEqual(done.code, 0, done)

    def test_offline_it_says_so_and_asks_nobody(self):
        folder = self.project(one('"acme/relu" = 1'))
        done = self.ours(folder, "--offline")
        self.assertEqual(done.code, 1, done)
        self.assertIn("offline", done.err)
        self.assertEqual(done.counts["by_endpoint"], {})

    def test_ctrl_c_ends_it_and_writes_nothing(self):
        folder = self.project(SIX)
        self.hub.fault("stall", path="resolve")
        self.addCleanup(self.hub.clear_faults)
        self.hub.reset()
        process = subprocess.Popen([KERNELFS, "lock", folder], env=self.env(),
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        end = time.monotonic() + DEADLINE
        while "resolve" not in self.hub.counts()["by_endpoint"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(os.listdir(folder), ["pyproject.toml"])


if __name__ == "__main__":
    unittest.main()
