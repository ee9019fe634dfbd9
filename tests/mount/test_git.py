# SPDX-License-Identifier: Apache-2.0
"""Kernels from a git server, and from repositories of this machine."""

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from asking import Asked, log_lines, measured, wait_for_waiting
from gitcase import LIBRARY, VARIANT, GitCase, build, oid
from mounted import (
    PROGRAM, clean_environment, errno_of, make_metadata, read, wait_for)
from gitserver import GitServer, pkt
from repository import Link, Module, lfs_pointer

LIB = ("build", VARIANT, "lib.so")


class TestServer(GitCase):
    def test_an_import_fetches_the_commit_and_its_large_files(self):
        m = self.mount()
        done = m.python("import relu, relu.sub.part\n"
                        "print(relu.MARK, relu.sub.part.PART)")
        self.assertEqual(done.stdout, "two 1\n", done.stderr)
        self.assertEqual(read(m.at("acme/relu", *LIB)), LIBRARY)
        self.assert_asked(refs=1, pack=1, lfs=1, file=1)
        self.assertEqual(m.link("acme/relu"), "relu@v2")
        self.assertEqual(m.link("acme/relu@v2"), "relu@" + self.two)

    def test_only_the_commit_is_fetched_and_not_its_history(self):
        m = self.mount()
        m.ls("acme/relu@" + self.two, "build")
        body = self.server.asked("pack")[0]["body"].decode()
        self.assertIn("want " + self.two, body)
        self.assertIn("deepen 1", body)
        self.assertNotIn(self.one, body)
        self.assert_asked(pack=1)

    def test_branches_tags_and_commits_are_revisions(self):
        self.relu.tag("v0.1.0", self.one)
        self.relu.tag("v0.2.0", self.two, annotated=True)
        self.relu.commit(build("feature"), branch="some/feature")
        m = self.mount()
        for name, mark in (("relu@v1", "one"), ("relu@1", "one"),
                           ("relu@v0.1.0", "one"), ("relu@v0.2.0", "two"),
                           ("relu@>=0.1.0,<0.2", "one"),
                           ("relu@some%2Ffeature", "feature"),
                           ("relu@" + self.one, "one")):
            self.assertEqual(
                m.text("acme", name, "build", VARIANT, "__init__.py"),
                "MARK = %r\n" % mark, name)
        self.assertEqual(self.server.counts()["refs"], 1)
        for name in ("relu@v3", "relu@v0.3.0", "relu@" + 40 * "a", "gemm"):
            self.refuses("ENOENT", os.listdir, m.at("acme", name, "build"))

    def test_a_commit_that_has_lost_its_name_is_still_there(self):
        third = self.relu.commit(build("three"), branch="v3",
                                 parent=self.two)
        self.relu.commit({"README.md": "x"}, branch="v3", parent=third)
        m = self.mount()
        self.assertEqual(
            m.text("acme/relu@" + third, "build", VARIANT, "__init__.py"),
            "MARK = 'three'\n")

    def test_a_server_that_gives_only_what_has_a_name_is_asked_for_all(self):
        def refuse(_, path, body):
            if b"deepen" not in body:
                return None
            return 200, pkt("ERR upload-pack: not our ref x"), {}
        third = self.relu.commit(build("three"), branch="v3",
                                 parent=self.two)
        self.relu.commit({"README.md": "x"}, branch="v3", parent=third)
        self.server.faults["pack"] = refuse
        m = self.mount()
        self.assertEqual(
            m.text("acme/relu@" + third, "build", VARIANT, "__init__.py"),
            "MARK = 'three'\n")
        self.assert_asked(refs=1, pack=2)
        self.refuses("ENOENT", os.listdir,
                     m.at("acme/relu@" + 40 * "b", "build"))

    def test_a_second_mount_asks_for_the_names_and_nothing_else(self):
        m = self.mount(cache="one")
        self.assertEqual(m.python("import relu").returncode, 0)
        read(m.at("acme/relu", *LIB))
        m.end()
        self.server.reset()
        m = self.mount(cache="one")
        done = m.python("import relu; print(relu.MARK)")
        self.assertEqual(done.stdout, "two\n", done.stderr)
        self.assertEqual(read(m.at("acme/relu", *LIB)), LIBRARY)
        self.assert_asked(refs=1)

    def test_pinned_and_cached_asks_for_nothing(self):
        pinned = ("acme/relu@" + self.two, *LIB)
        m = self.mount(cache="one")
        self.assertEqual(read(m.at(*pinned)), LIBRARY)
        m.end()
        self.server.reset()
        m = self.mount(cache="one")
        self.assertEqual(read(m.at(*pinned)), LIBRARY)
        self.assert_asked()

    def test_repositories_with_and_without_git_in_their_url(self):
        def only(suffix):
            def answer(_, path, __):
                return None if (".git/" in path) == suffix else (404, b"")
            return answer
        for suffix in (True, False):
            for kind in ("refs", "pack"):
                self.server.faults[kind] = only(suffix)
            self.server.reset()
            cache = "suffix%d" % suffix
            m = self.mount(cache=cache)
            self.assertEqual(m.ls("acme/relu/build"), [VARIANT])
            self.assert_asked(refs=1 + suffix, pack=1)
            m.end()
            # It is known now which one it is.
            self.server.reset()
            m = self.mount(cache=cache)
            self.assertEqual(m.ls("acme/relu/build"), [VARIANT])
            self.assert_asked(refs=1)

    def test_publishers_are_not_trusted_by_themselves(self):
        self.repository("other/relu.git").commit(build("x"), branch="v1")
        m = self.mount()
        self.refuses("EACCES", os.listdir,
                     m.at("other/relu", "build", VARIANT))

    def test_links_and_submodules(self):
        self.relu.commit({
            **build("links"),
            "build/%s/same.py" % VARIANT: Link("sub/part.py"),
            "build/%s/sub/up.py" % VARIANT: Link("../__init__.py"),
            "build/%s/passwd" % VARIANT: Link("/etc/passwd"),
            "build/%s/out" % VARIANT: Link("../../../../../etc/passwd"),
            "build/%s/other" % VARIANT: Module(40 * "c"),
        }, branch="v5")
        m = self.mount()
        at = ("acme/relu@v5", "build", VARIANT)
        self.assertEqual(m.ls(*at), ["__init__.py", "metadata.json",
                                     "same.py", "sub"])
        self.assertEqual(m.link(*at, "same.py"), "sub/part.py")
        self.assertEqual(m.link(*at, "sub/up.py"), "../__init__.py")
        self.assertEqual(m.text(*at, "same.py"), "PART = 1\n")

    def test_a_server_that_is_down_is_an_error_and_comes_back(self):
        self.server.faults["refs"] = lambda *_: (500, b"", {})
        m = self.mount("--deadline=2s")
        self.assertIn(errno_of(os.listdir, m.at("acme/relu@v2/build")),
                      ("EIO", "ETIMEDOUT"))
        self.server.faults.clear()
        self.assertEqual(m.ls("acme/relu@%s/build" % self.two), [VARIANT])

    def test_offline_asks_nobody(self):
        m = self.mount("--offline")
        self.refuses("ENETUNREACH", os.listdir,
                     m.at("acme/relu@%s/build" % self.two))
        self.assert_asked()

    def test_a_large_file_that_is_wrong_is_never_served(self):
        self.server.large[oid(LIBRARY)] = LIBRARY[:-1] + b"!"
        m = self.mount()
        self.refuses("EBADMSG", read, m.at("acme/relu", *LIB))

    def test_a_large_file_that_its_server_lacks_is_an_error(self):
        self.server.large.clear()
        m = self.mount()
        self.refuses("EIO", read, m.at("acme/relu", *LIB))
        self.assertTrue(log_lines(m, "no such object", ("info", "error",
                                                        "warning")))

    def test_what_was_tidied_away_is_fetched_again(self):
        m = self.mount(cache="one")
        self.assertEqual(m.ls("acme/relu/build"), [VARIANT])
        m.end()
        for base, _, names in os.walk(os.path.join(m.cache, "git")):
            for name in names:
                os.unlink(os.path.join(base, name))
        m = self.mount(cache="one")
        self.assertEqual(read(m.at("acme/relu", *LIB)), LIBRARY)

    def test_a_lock_that_somebody_keeps_holds_nobody(self):
        m = self.mount("--deadline=5s")
        m.ls("acme/relu@%s/build" % self.one)
        folder = next(base for base, _, _ in os.walk(m.cache)
                      if base.endswith("/objects/pack"))
        fd = os.open(folder, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.assertEqual(m.ls("acme/relu@%s/build" % self.two), [VARIANT])

    def test_a_pack_leaves_the_disk_its_floor(self):
        m = self.mount("--min-free=1000T")
        self.assertEqual(errno_of(
            os.listdir, m.at("acme/relu@%s/build" % self.one)), "ENOSPC")
        self.assertTrue(log_lines(m, "less than min_free"), m.log())
        self.assertEqual(
            [name for _, _, files in os.walk(m.cache + "/git")
             for name in files], [])

    def test_what_a_killed_fetch_left_is_cleaned_away(self):
        m = self.mount(cache="one")
        m.ls("acme/relu@%s/build" % self.one)
        m.end()
        folder = next(base for base, _, _ in os.walk(m.cache)
                      if base.endswith("/objects/pack"))
        left = os.path.join(folder, "pack_git2_left")
        with open(left, "wb") as f:
            f.write(b"PACK")
        m = self.mount(cache="one")
        m.ls("acme/relu@%s/build" % self.two)
        self.assertFalse(os.path.exists(left))

    def test_a_url_in_clear_text_is_for_this_machine_only(self):
        for url, said in (("git+http://git.example", "insecure"),
                          ("git+https://user:pass@git.example", "without user"),
                          ("git+file://relative", "no folder of"),
                          ("git+ssh://git.example", "begins with")):
            empty = os.path.join(self.dir, "empty")
            os.makedirs(empty, exist_ok=True)
            done = subprocess.run(
                [PROGRAM, "-f", "--source=" + url, empty],
                env=clean_environment(HOME=self.dir), check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=60)
            self.assertEqual(done.returncode, 2, url)
            self.assertIn(said, done.stdout.decode())
            self.assertNotIn("pass@", done.stdout.decode())


class TestWaiting(GitCase):
    """A server that takes its time: nobody hangs, and one fetch is enough."""

    def setUp(self):
        super().setUp()
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.server.faults["pack"] = lambda *_: self.go.wait(60) and None
        self.at = ("acme/relu@" + self.two, "build")

    def asked(self):
        wait_for(lambda: self.server.asked("pack"), "the request")

    def test_many_who_ask_share_one_fetch(self):
        m = self.mount()
        asked = [Asked(os.listdir, m.at(*self.at)) for _ in range(4)] + \
            [Asked(os.listdir, m.at("acme/relu@" + self.two))
             for _ in range(4)]
        self.asked()
        wait_for_waiting(m, 1)
        self.go.set()
        for a in asked:
            self.assertIsNone(a.end().error)
        self.assert_asked(pack=1)

    def test_a_reader_that_is_killed_is_gone_at_once(self):
        m = self.mount()
        reader = subprocess.Popen(["ls", m.at(*self.at)],
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.asked()
        reader.kill()
        self.assertEqual(reader.wait(10), -9)
        self.go.set()

    def test_the_mount_ends_though_the_server_does_not_answer(self):
        m = self.mount()
        asked = Asked(os.listdir, m.at(*self.at))
        self.asked()
        begun = time.monotonic()
        os.kill(m.pid, signal.SIGTERM)
        self.assertIsNotNone(asked.end().error)
        wait_for(m.has_ended, "the daemon's end")
        measured("SIGTERM to exit during a fetch", time.monotonic() - begun)

    def test_a_server_that_never_answers_is_left_at_the_deadline(self):
        m = self.mount("--deadline=1s")
        self.assertIn(errno_of(os.listdir, m.at(*self.at)),
                      ("ETIMEDOUT", "EIO"))


class TestLock(GitCase):
    """`kernelfs lock` reads metadata of a size that nobody has said."""

    def lock(self, source):
        folder = os.path.join(self.dir, "project")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "pyproject.toml"), "w",
                  encoding="utf-8") as f:
            f.write("[tool.kernels.dependencies]\n\"acme/relu\" = 1\n")
        done = subprocess.run(
            [PROGRAM, "lock", "--trust=acme", "--source=" + source,
             "--cache=" + os.path.join(self.dir, "lock"), folder],
            env=clean_environment(HOME=self.dir), check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60)
        if done.returncode:
            return done.stdout.decode()
        with open(os.path.join(folder, "kernels.lock"), encoding="utf-8") as f:
            return {one["dependency"]["repo-id"]: one["lock"]["commit"]
                    for one in json.load(f)}

    def metadata(self, content, large):
        files = build("x")
        name = "build/%s/metadata.json" % VARIANT
        files[name] = lfs_pointer(content) if large else content
        self.server.large[oid(content)] = content
        return self.relu.commit(files, branch="v1")

    def both(self):
        here = "git+file://" + self.repos
        return ["git+" + self.server.url, here]

    def test_what_it_needs_is_locked_too(self):
        base = self.repository("acme/base.git").commit(
            build("base"), branch="v1")
        content = json.dumps(make_metadata(
            "relu", VARIANT, {}, 1, kernel_depends=[
                {"repo-id": "acme/base", "version": 1}])).encode()
        for large in (False, True):
            commit = self.metadata(content, large)
            for source in self.both()[:2 - large]:
                self.assertEqual(self.lock(source), {
                    "acme/base": base, "acme/relu": commit})

    def test_metadata_without_end_is_refused(self):
        content = b"{" + b" " * (5 << 20) + b"}"
        for large in (False, True):
            self.metadata(content, large)
            for source in self.both()[:2 - large]:
                self.assertIn("metadata.json", self.lock(source))


class TestLogin(GitCase):
    LOGIN = "someone:secret word"

    def setUp(self):
        super().setUp()
        self.server.login = self.LOGIN
        self.netrc = os.path.join(self.dir, "netrc")
        self.write("machine git.example login x password y\n"
                   "machine 127.0.0.1\n\tlogin someone\n"
                   "\tpassword \"secret word\"\n")

    def write(self, text):
        with open(self.netrc, "w", encoding="utf-8") as f:
            f.write(text)

    def mount(self, *options, **how):
        return super().mount(*options, environment={"NETRC": self.netrc},
                             **how)

    def test_it_is_given_to_its_host(self):
        m = self.mount()
        self.assertEqual(read(m.at("acme/relu", *LIB)), LIBRARY)
        for line in self.server.log:
            self.assertEqual("Authorization" in line["headers"], True,
                             line["path"])
        self.assertNotIn("secret", m.said())

    def test_and_to_no_other(self):
        other = GitServer(self.repos)
        self.addCleanup(other.close)
        other.large = self.server.large
        self.server.href = other.url.replace(
            "127.0.0.1", "localhost") + "/large/%s"
        m = self.mount()
        self.assertEqual(read(m.at("acme/relu", *LIB)), LIBRARY)
        asked = other.asked("file")
        self.assertEqual(len(asked), 1)
        self.assertNotIn("Authorization", asked[0]["headers"])
        self.assertEqual(asked[0]["headers"]["X-Opens"], "sesame")
        for line in self.server.log:
            self.assertNotIn("X-Opens", line["headers"])

    def test_default_is_nobodys(self):
        self.write("default login someone password \"secret word\"\n")
        m = self.mount()
        self.refuses("ENOENT", os.listdir, m.at("acme/relu@v1"))
        for line in self.server.log:
            self.assertNotIn("Authorization", line["headers"])

    def test_a_wrong_one_is_refused(self):
        self.write("machine 127.0.0.1 login someone password wrong\n")
        m = self.mount()
        self.refuses("EACCES", os.listdir, m.at("acme/relu@v1/build"))
        self.assertIn(".netrc", m.log())

    def test_a_file_that_is_none_is_said_with_its_line(self):
        self.write("machine 127.0.0.1\nlogon someone\n")
        m = self.mount()
        self.refuses("EACCES", os.listdir, m.at("acme/relu@v1"))
        self.assertTrue(log_lines(m, "line 2: a word that is no keyword"))


class TestHere(GitCase):
    def test_a_repository_is_read_where_it_lies(self):
        self.keep(self.relu.folder)
        m = self.here()
        done = m.python("import relu; print(relu.MARK)")
        self.assertEqual(done.stdout, "two\n", done.stderr)
        self.assertEqual(read(m.at("acme/relu", *LIB)), LIBRARY)
        self.assertFalse(os.path.exists(os.path.join(m.cache, "git")))
        self.assert_asked()

    def keep(self, folder):
        """The large file, as git-lfs keeps it."""
        name = oid(LIBRARY)
        at = os.path.join(folder, "lfs/objects", name[:2], name[2:4])
        os.makedirs(at)
        with open(os.path.join(at, name), "wb") as f:
            f.write(LIBRARY)

    def test_without_network(self):
        m = self.here("--offline")
        self.assertEqual(m.ls("acme/relu/build"), [VARIANT])

    def test_a_working_copy_is_one_too(self):
        r = self.repository("acme/gemm/.git")
        r.commit(build("gemm"), branch="v1")
        r.tag("v1.0.0", r.commit(build("tagged")), annotated=True)
        m = self.here()
        for name, mark in (("gemm", "gemm"), ("gemm@v1.0.0", "tagged")):
            self.assertEqual(
                m.text("acme", name, "build", VARIANT, "__init__.py"),
                "MARK = %r\n" % mark)

    def test_large_files_come_from_the_server_that_lfsconfig_names(self):
        other = LIBRARY[::-1]
        self.server.large[oid(other)] = other
        self.relu.commit({
            **build("led", large={"lib.so": other}),
            ".lfsconfig": "[lfs]\n\turl = \"%s/batch/\" # there\n" %
                          self.server.url,
        }, branch="v3")
        m = self.here()
        self.assertEqual(read(m.at("acme/relu@v3", *LIB)), other)
        self.assertEqual([line["path"] for line in self.server.asked("lfs")],
                         ["/batch/objects/batch"])
        self.refuses("EIO", read, m.at("acme/relu@v2", *LIB))

    def test_packed_repositories_are_read(self):
        subprocess.run(["git", "-c", "safe.directory=*", "-C",
                        self.relu.folder, "gc", "-q", "--aggressive",
                        "--prune=now"], check=True,
                       env=clean_environment(HOME=self.dir))
        self.assertFalse(os.path.exists(os.path.join(
            self.relu.folder, "objects", self.two[:2], self.two[2:])))
        m = self.here()
        self.assertEqual(m.text("acme/relu@v1/build", VARIANT, "__init__.py"),
                         "MARK = 'one'\n")
        self.assertEqual(m.text("acme/relu/README.md"), "# relu\n")

    def test_what_is_not_there(self):
        m = self.here()
        for name in ("gemm", "relu@v7", "relu@" + 40 * "d"):
            self.refuses("ENOENT", os.listdir, m.at("acme", name, "build"))


if __name__ == "__main__":
    unittest.main()
