# SPDX-License-Identifier: Apache-2.0
"""A local folder as the source: file:// of many repositories, or of one."""

import json
import os
import re
import shutil
import subprocess
import time
import unittest

from mounted import (
    DEADLINE, PROGRAM, SPEC, MountCase, clean_environment,
    make_metadata, wait_for)

UNIVERSAL = "torch-universal"
COMMIT = re.compile("^[0-9a-f]{40}$")


def write(folder, files):
    """path -> text or bytes; None takes the file away."""
    for path, data in files.items():
        path = os.path.join(folder, path)
        if data is None:
            os.unlink(path)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())


def build(name, files, variant=UNIVERSAL):
    """The files of one build, by their path in the repository."""
    files = dict(files, **{"metadata.json": json.dumps(
        make_metadata(name, variant, files))})
    return {"build/%s/%s" % (variant, p): d for p, d in files.items()}


class DirCase(MountCase):
    def setUp(self):
        super().setUp()
        self.src = os.path.join(self.dir, "kernels src")
        os.makedirs(self.src)

    @property
    def url(self):
        return "file://" + self.src.replace(" ", "%20")

    def put(self, where, files):
        write(os.path.join(self.src, where), files)

    def local(self, *options, **how):
        how.setdefault("source", self.url)
        return self.mount(*options, **how)

    def prints(self, m, code, **how):
        done = m.python(code, **how)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.rstrip("\n")


class TestFolderOfOwners(DirCase):
    def setUp(self):
        super().setUp()
        self.put("acme/my-relu", {"README.md": "read me\n"})
        self.put("acme/my-relu", build("my-relu", {
            "__init__.py": "from .sub import X\n", "sub.py": "X = 7\n"}))
        self.put("acme/my-relu", build("my-relu", {"__init__.py": "X = 8\n"},
                                       "torch99-cxx11-cpu-x86_64-linux"))

    def test_is_imported_like_any_other(self):
        m = self.local()
        self.assertIn("my_relu", m.ls())
        self.assertEqual(self.prints(m, "import my_relu; print(my_relu.X)"),
                         "7")
        self.assertEqual(m.link("acme", "my-relu"), "my-relu@main")
        commit = m.link("acme", "my-relu@main").partition("@")[2]
        self.assertTrue(COMMIT.match(commit), commit)
        self.assertEqual(m.ls("acme/my-relu/build"), [UNIVERSAL])
        self.assertEqual(m.text("acme/my-relu/README.md"), "read me\n")
        self.assertEqual(m.xattr("source", "acme/my-relu/README.md"), self.url)
        self.assert_requests()

    def test_needs_no_trust_and_works_offline(self):
        m = self.local("--offline")
        self.assertEqual(self.prints(m, "import my_relu; print(my_relu.X)"),
                         "7")
        states = {s["url"]: s["state"] for s in m.json("status")["sources"]}
        self.assertEqual(states, {self.url: "local"})

    def test_absent_names_are_enoent(self):
        self.put("acme/no-kernel", {"notes.txt": "no build/ in it"})
        m = self.local()
        for path in ("acme/none", "acme/no-kernel", "nobody", "acme/my-relu@v1",
                     "acme/my-relu@" + "0" * 40, "acme/my-relu/none",
                     "acme/my-relu/build/none"):
            self.refuses("ENOENT", os.stat, m.at(path))
        self.assertEqual(self.local().ls("acme"), ["my-relu"])

    def test_a_version_is_a_folder_or_a_file_of_refs(self):
        self.put("acme/my-relu/v1", build("my-relu", {"__init__.py": "X = 1"}))
        self.put("acme/my-relu/v2", build("my-relu", {"__init__.py": "X = 2"}))
        self.put("acme/my-relu", {"refs/v3": "v1\n", "refs/v10": "",
                                  "refs/v11": "v77\n"})
        m = self.local()
        commit = {v: m.link("acme", "my-relu@" + v)
                  for v in ("main", "v1", "v2", "v3", "v10")}
        self.assertEqual(commit["v3"], commit["v1"])
        self.assertEqual(commit["v10"], commit["main"])
        self.assertEqual(len(set(commit.values())), 3)
        self.assertEqual(m.link("acme", "my-relu"), "my-relu@v10")
        self.refuses("ENOENT", os.lstat, m.at("acme/my-relu@v11"))
        for version, x in (("v1", "1"), ("2", "2"), ("v10", "7")):
            self.assertEqual(self.prints(
                m, "import my_relu; print(my_relu.X)",
                path=m.at("acme/my-relu@%s/python" % version)), x)
        self.assertEqual(sorted(os.listdir(m.at("acme/my-relu@v1"))),
                         [".kernelfs", "build", "python"])
        self.assertNotIn("v1", m.ls("acme/my-relu@main"))
        self.assertNotIn("refs", m.ls("acme/my-relu@main"))

    def test_the_same_files_are_the_same_commit_anywhere(self):
        m = self.local()
        first = m.link("acme", "my-relu@main")
        shutil.copytree(os.path.join(self.src, "acme/my-relu"),
                        os.path.join(self.dir, "else where/acme/my-relu"))
        other = self.local(source="file://%s/else%%20where" % self.dir)
        self.assertEqual(other.link("acme", "my-relu@main"), first)
        self.assertEqual(
            os.stat(m.at("acme/my-relu/README.md")).st_ino,
            os.stat(other.at("acme/my-relu/README.md")).st_ino)

    def test_pinned_and_cached_it_needs_the_folder_no_more(self):
        m = self.local(cache="shared")
        commit = m.link("acme", "my-relu@main")
        code = "import my_relu; print(my_relu.X)"
        self.assertEqual(self.prints(m, code), "7")
        wait_for(lambda: m.xattr("state", "acme", commit, "build",
                                 UNIVERSAL) == "verified", "the build")
        m.end()
        shutil.rmtree(os.path.join(self.src, "acme"))
        again = self.local(cache="shared")
        self.assertEqual(self.prints(
            again, code, path=again.at("acme", commit, "python")), "7")

    def test_changes_are_seen_after_refresh(self):
        m = self.local("--refresh=1s")
        first = m.link("acme", "my-relu@main")
        self.assertEqual(self.prints(m, "import my_relu; print(my_relu.X)"),
                         "7")
        files = build("my-relu", {"__init__.py": "from .sub import X\n",
                                  "sub.py": "X = 70\n"})
        self.put("acme/my-relu", files)
        next_ = wait_for(lambda: m.link("acme", "my-relu@main") != first and
                         m.link("acme", "my-relu@main"), "the change")
        self.assertEqual(self.prints(
            m, "import my_relu; print(my_relu.X)",
            path=m.at("acme", next_, "python")), "70")
        # what was read before is what it was
        self.assertEqual(m.text("acme", first, "build", UNIVERSAL, "sub.py"),
                         "X = 7\n")

    def test_refresh_of_a_verb_shows_what_is_there_now(self):
        m = self.local()
        first = m.link("acme", "my-relu@main")
        self.put("acme/my-relu", {"README.md": "another\n"})
        done = subprocess.run([PROGRAM, "refresh", m.path, "acme/my-relu"],
                              env=m.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_for(lambda: m.link("acme", "my-relu@main") != first, "the new")
        self.assertEqual(m.text("acme/my-relu@main/README.md"), "another\n")

    def test_without_refresh_a_mount_keeps_what_it_saw(self):
        m = self.local()
        first = m.link("acme", "my-relu@main")
        self.put("acme/my-relu", {"README.md": "another\n"})
        self.assertEqual(m.link("acme", "my-relu@main"), first)
        self.refuses("EBADMSG", m.text, "acme/my-relu/README.md")
        self.assertIn("kernelfs refresh", m.log())
        self.assertEqual(m.text("acme/my-relu/build", UNIVERSAL, "sub.py"),
                         "X = 7\n")
        other = self.local()
        self.assertNotEqual(other.link("acme", "my-relu@main"), first)
        self.assertEqual(other.text("acme/my-relu/README.md"), "another\n")

    def test_an_unchanged_folder_is_not_hashed_again(self):
        big = os.path.join(self.src, "acme/my-relu/big.bin")
        write(self.src, {"acme/my-relu/big.bin": b"x" * 4000000})
        # times prove nothing for what was written just now
        wait_for(lambda: time.time() > os.stat(big).st_ctime + 3, "old age")
        m = self.local(cache="shared")
        commit = m.link("acme", "my-relu@main")
        m.end()
        again = self.local(cache="shared")
        before = self.bytes_read(again)
        self.assertEqual(again.link("acme", "my-relu@main"), commit)
        self.assertLess(self.bytes_read(again) - before, 1000000)

    def bytes_read(self, m):
        with open("/proc/%d/io" % m.pid, encoding="utf-8") as f:
            return int(f.readline().split()[1])


class TestLinksAndNames(DirCase):
    def setUp(self):
        super().setUp()
        write(self.dir, {"secret.txt": "secret\n"})
        self.put("acme/relu", build("relu", {"__init__.py": "X = 7\n"}))
        self.build = os.path.join(self.src, "acme/relu/build", UNIVERSAL)

    def test_a_link_inside_the_build_is_one_here(self):
        os.symlink("__init__.py", os.path.join(self.build, "same.py"))
        os.mkdir(os.path.join(self.build, "sub"))
        os.symlink("../__init__.py", os.path.join(self.build, "sub/up.py"))
        m = self.local()
        place = "acme/relu@main/build/" + UNIVERSAL
        self.assertEqual(m.link(place, "same.py"), "__init__.py")
        self.assertEqual(m.link(place, "sub/up.py"), "../__init__.py")
        self.assertEqual(os.lstat(m.at(place, "same.py")).st_size, 11)
        self.assertEqual(m.text(place, "sub/up.py"), "X = 7\n")
        self.assertTrue(os.path.samefile(m.at(place, "same.py"),
                                         m.at(place, "__init__.py")))
        self.assertEqual(m.ls(place), ["__init__.py", "metadata.json",
                                       "same.py", "sub"])

    def test_a_link_that_leads_out_is_not_shown(self):
        for name, target in (
                ("abs", os.path.join(self.dir, "secret.txt")),
                ("up", "../../../../../secret.txt"),
                ("root", "../../refs"), ("dotty", "./__init__.py"),
                ("folder", "/etc")):
            os.symlink(target, os.path.join(self.build, name))
        os.symlink(self.dir, os.path.join(self.src, "acme/outside"))
        os.symlink("..", os.path.join(self.src, "acme/relu/docs"))
        m = self.local()
        self.assertEqual(m.ls("acme/relu@main/build", UNIVERSAL),
                         ["__init__.py", "metadata.json"])
        for path in ("acme/relu@main/docs", "acme/outside",
                     "acme/relu@main/build/%s/abs" % UNIVERSAL):
            self.refuses("ENOENT", os.lstat, m.at(path))
        self.assertNotIn("docs", m.ls("acme/relu@main"))

    def test_a_folder_swapped_for_a_link_gives_nothing(self):
        m = self.local()
        commit = m.link("acme/relu@main")
        self.assertEqual(m.ls("acme", commit, "build"), [UNIVERSAL])
        os.rename(self.build, os.path.join(self.dir, "moved"))
        os.symlink(os.path.join(self.dir, "moved"), self.build)
        self.refuses("EBADMSG", m.text, "acme", commit, "build", UNIVERSAL,
                     "__init__.py")

    def test_hostile_names_are_left_out_and_odd_ones_kept(self):
        odd = ["a b", "%s%n", "-rf", "\u00e9\u4e2d", "back\\slash", "'q'"]
        for name in odd + ["new\nline", "esc\x1b[2J"]:
            write(self.build, {name: name})
        write(os.fsencode(self.build).decode(), {"ok": ""})
        with open(os.path.join(os.fsencode(self.build), b"\xff\xfe"), "w"):
            pass
        os.mkfifo(os.path.join(self.build, "fifo"))
        m = self.local()
        listed = os.listdir(os.fsencode(m.at("acme/relu@main/build",
                                             UNIVERSAL)))
        self.assertEqual(
            sorted(listed), sorted([os.fsencode(n) for n in odd] + [
                b"__init__.py", b"metadata.json", b"ok", b"\xff\xfe"]))
        for name in odd:
            self.assertEqual(m.text("acme/relu@main/build", UNIVERSAL, name),
                             name)
        self.assertNotIn("\x1b", m.log())
        self.assertIn("left out", m.log())

    def test_git_and_bytecode_are_no_part_of_it(self):
        m = self.local()
        first = m.link("acme/relu@main")
        write(self.src, {"acme/relu/.git/config": "[core]",
                         "acme/relu/x.pyc": "",
                         "acme/relu/build/%s/__pycache__/a.pyc" % UNIVERSAL:
                         ""})
        other = self.local()
        self.assertEqual(other.link("acme/relu@main"), first)
        self.assertEqual(other.ls("acme/relu@main"),
                         [".kernelfs", "build", "python"])


class TestOneRepository(DirCase):
    def setUp(self):
        super().setUp()
        self.src = os.path.join(self.dir, "my-relu")
        write(self.src, build("my-relu", {"__init__.py": "X = 5\n"}))

    def test_has_an_import_name_by_itself(self):
        m = self.local(imports=None)
        self.assertEqual([n for n in m.ls() if n[0] != "."], ["my_relu"])
        self.assertEqual(m.ls("local"), ["my-relu"])
        self.assertNotIn("warning", m.control("log"))
        self.assertEqual(self.prints(m, "import my_relu; print(my_relu.X)"),
                         "5")

    def test_import_says_what_has_one_when_it_is_given(self):
        m = self.local(imports=("acme",))
        self.assertNotIn("my_relu", m.ls())
        self.assertEqual(m.ls("local/my-relu/build"), [UNIVERSAL])

    def test_the_mount_may_lie_in_it(self):
        """Nothing may walk into its own mount, and hang."""
        place = os.path.join(self.src, "mnt")
        os.mkdir(place)
        process = subprocess.Popen(
            [PROGRAM, "-f", "--source=" + self.url, "--env=" + SPEC,
             "--cache=" + os.path.join(self.dir, "own"), place],
            env=clean_environment(HOME=self.dir), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(subprocess.run, ["umount", "-l", place],
                        stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        wait_for(lambda: os.path.ismount(place), "the mount")
        done = subprocess.run(
            ["cat", os.path.join(place, "local/my-relu/build", UNIVERSAL,
                                 "__init__.py")],
            stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
        self.assertEqual(done.stdout, b"X = 5\n")
        self.assertNotIn("mnt", os.listdir(
            os.path.join(place, "local/my-relu")))
        done = subprocess.run([PROGRAM, "umount", place], timeout=DEADLINE,
                              check=False)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(process.wait(DEADLINE), 0)


class TestCommandLine(DirCase):
    def run_it(self, *args):
        return subprocess.run(
            [PROGRAM, *args, "--cache=" + os.path.join(self.dir, "c")],
            env=clean_environment(HOME=self.dir), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=DEADLINE, universal_newlines=True)

    def test_resolve_finds_the_build(self):
        self.put("acme/relu", build("relu", {"__init__.py": ""}))
        done = self.run_it("resolve", "acme/relu", "--source=" + self.url,
                           "--env=" + SPEC)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(UNIVERSAL, done.stdout)

    def test_a_bad_url_is_misuse_and_an_absent_folder_a_failure(self):
        for url, status in (("file://host/x", 2), ("file:relative", 2),
                            ("file:///a%2", 2), ("file:///absent-folder", 1)):
            done = self.run_it("resolve", "acme/relu", "--source=" + url)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(url, done.stderr)


if __name__ == "__main__":
    unittest.main()
