# SPDX-License-Identifier: Apache-2.0
"""Repositories and git servers that mean harm, or are broken: what is wrong is
refused with a sentence that names it, and the rest goes on."""

import glob
import http.server
import os
import signal
import subprocess
import threading
import time
import unittest

from asking import Asked, log_lines, measured
from gitcase import LIBRARY, VARIANT, GitCase, build, lfs_pointer, oid
from mounted import (
    PROGRAM, clean_environment, errno_of, read, text, wait_for)
from gitserver import pkt
from repository import (
    FILE, FOLDER, Raw, nest, pack_of_nothing, pack_that_unfolds)

AT = ("build", VARIANT)
ANY = ("info", "warning", "error")


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another server: remembers that it was asked."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *args):
        pass


class TestTrees(GitCase):
    """Each as the build of v9, beside a good one that must not suffer."""

    def hostile(self, raw):
        """A branch whose build has these bytes as a tree."""
        files = nest(build("bad"))
        files["build"]["torch-cpu"] = Raw(raw)
        self.relu.commit({}, branch="v9", tree=self.relu.tree(files))

    def refused(self, raw, said, served=True):
        """`served`: git's own server would give it."""
        self.hostile(raw)
        for m in [self.mount()] * served + [self.here()]:
            at = "acme/relu@v9/build"
            self.assertEqual(errno_of(os.listdir, m.at(at, "torch-cpu")),
                             "EIO", said)
            self.assertTrue(log_lines(m, said, ANY), m.log())
            self.assertEqual(text(m.at(at, VARIANT, "__init__.py")),
                             "MARK = 'bad'\n")
            m.end()

    def file(self, name, content=b"x"):
        return self.relu.entry(FILE, name, self.relu.blob(content))

    def test_a_path_out_of_its_folder(self):
        for name in ("..", ".", "../../etc", "/etc/passwd", "a/b", ""):
            self.refused(self.file(name), "no plain step of a path",
                         served=name != "")

    def test_gits_own_folder(self):
        inner = self.relu.tree({"config": "[core]\n\tfsmonitor = false\n"})
        for name in (".git", ".GIT"):
            self.refused(self.relu.entry(FOLDER, name, inner),
                         "no plain step of a path")

    def test_control_bytes_in_a_name(self):
        self.refused(self.file("a\nb"), "no plain step of a path")

    def test_a_name_that_is_too_long(self):
        self.refused(self.file("n" * 256), "no plain step of a path")

    def test_two_of_one_name(self):
        self.refused(self.file("a.py", b"1") + self.file("a.py", b"2"),
                     "a.py")

    def test_an_unknown_mode(self):
        self.refused(self.relu.entry("100777777", "a", self.relu.blob("x")),
                     "unknown mode")

    def test_a_tree_that_is_cut_off(self):
        self.refused(self.file("a.py")[:-1], "cut off behind 'a.py'",
                     served=False)

    def test_a_folder_that_is_a_file(self):
        self.refused(self.relu.entry(FOLDER, "a", self.relu.blob("x")),
                     "of another kind", served=False)

    def test_trees_that_hold_each_other_many_times(self):
        inner = self.relu.tree({"f": "x"})
        for _ in range(8):
            inner = self.relu.object("tree", b"".join(
                self.relu.entry(FOLDER, "d%02d" % i, inner)
                for i in range(40)))
        # from the folder alone: it takes a million entries to be refused
        self.refused(self.relu.entry(FOLDER, "bomb", inner), "more than",
                     served=False)

    def test_pointers_that_are_none(self):
        good = lfs_pointer(b"x").decode()
        for content, said in (
                (good.replace("sha256:", "sha256:../../"), "64 lower-case"),
                (good.replace("size 1", "size 1e3"), "of no size"),
                (good.replace("size 1", "size 99999999999999"), "of no size"),
                (good + "more\n", "does not end"),
                (good.replace("oid", "ext-0-x sha256:%s\noid" % (64 * "a")),
                 "extension")):
            self.refused(self.file("lib.so", content), said)


class TestLargeFiles(GitCase):
    def setUp(self):
        super().setUp()
        self.other = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Elsewhere)
        self.other.asked = []
        thread = threading.Thread(target=self.other.serve_forever,
                                  kwargs={"poll_interval": 0.05})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.other.server_close)
        self.addCleanup(self.other.shutdown)

    def refused(self, said, revision="v2"):
        m = self.mount()
        self.assertEqual(errno_of(read, m.at("acme/relu@" + revision, *AT,
                                             "lib.so")), "EIO", said)
        self.assertTrue(log_lines(m, said, ANY), m.log())
        self.assertEqual(self.other.asked, [])
        m.end()

    def test_addresses_where_nothing_is_taken_from(self):
        for href in ("file:///etc/passwd", "ftp://127.0.0.1/x",
                     "http://203.0.113.9/x", "/etc/passwd", "gopher://x/",
                     "http://a:b@127.0.0.1:%d/x" %
                     self.other.server_address[1]):
            self.server.href = href.replace("%", "%%") + "?%s"
            self.refused("where nothing is taken from")

    def answer(self, body):
        self.server.faults["lfs"] = lambda *_: (200, body, {})

    def test_answers_that_are_none(self):
        name = oid(LIBRARY)
        one = '{"oid": "%s", "size": %d, "actions": {"download": ' \
              '{"href": "http://127.0.0.1/", "header": {%s}}}}'
        good = one % (name, len(LIBRARY), "")
        for body, said in (
                ("<html>", "no good JSON"), ("[]", "no JSON object"),
                ("{}", "no list"), ('{"objects": []}', "not in the answer"),
                ('{"objects": [%s, %s]}' % (good, good), "there twice"),
                ('{"transfer": "ssh", "objects": [%s]}' % good, "transfer"),
                ('{"objects": [%s]}' % (one % (name, 5, "")), "another size"),
                ('{"objects": [%s]}' % (one % (
                    name, len(LIBRARY), '"A": "b\\r\\nHost: x"')), "header"),
                ('{"objects": [{"oid": "%s", "size": %d}]}' %
                 (name, len(LIBRARY)), "no address"),
                ("{" + " " * (2 << 20) + "}", "larger")):
            self.answer(body.encode())
            self.refused(said)

    def test_lfsconfig_that_leads_elsewhere(self):
        for n, url in enumerate(("file:///etc", "ssh://git@x/y",
                                 "http://203.0.113.9/lfs")):
            self.relu.commit({
                **build("x", large={"lib.so": LIBRARY}),
                ".lfsconfig": "[lfs]\n\turl = %s\n" % url}, branch="v%d" %
                             (20 + n))
            self.refused("where nothing is taken from", "v%d" % (20 + n))

    def test_lfsconfig_that_is_none_is_said_with_its_line(self):
        self.relu.commit({
            **build("x", large={"lib.so": LIBRARY}),
            ".lfsconfig": "[lfs]\n\turl = \"http://\n"}, branch="v20")
        self.refused(".lfsconfig:2: a quote that does not end", "v20")


class TestServers(GitCase):
    def refused(self, said, kind, answer):
        self.server.faults = {kind: lambda *_: answer}
        m = self.mount("--deadline=3s")
        self.assertEqual(errno_of(os.listdir, m.at("acme/relu@v1/build")),
                         "EIO", said)
        self.assertTrue(log_lines(m, said, ANY), m.log())
        m.end()

    def refs(self, *lines):
        head = pkt("# service=git-upload-pack\n") + b"0000"
        return 200, head + b"".join(map(pkt, lines)) + b"0000", {}

    def test_names_that_are_none(self):
        a, b = 40 * "a", 40 * "b"
        for answer, said in (
                ((200, b"<html>login</html>", {}), "none of a git server"),
                (self.refs("zz refs/heads/v1\n"), "40 hex digits"),
                (self.refs(a + " refs/heads/v1\n", b + " refs/heads/v1\n"),
                 "two branches have the name 'v1'"),
                (self.refs(a + " refs/tags/v1^{}\n"), "behind no tag"),
                ((200, self.refs(a + " refs/heads/v1\n")[1][:-9], {}),
                 "none of a git server"),
                (self.refs(*("%s refs/heads/b%05d\n" % (a, i)
                             for i in range(10001))), "more than 10000"),
                ((200, b"x" * (33 << 20), {}), "more than 33554432 bytes")):
            self.refused(said, "refs", answer)

    def test_a_redirect_to_a_file(self):
        self.refused("", "refs", (302, b"", {"Location": "file:///etc/passwd"}))

    def test_packs_that_are_none(self):
        def band(data):
            return pkt("NAK\n") + pkt(b"\1" + data) + b"0000"
        for body, said in (
                (b"<html>", "none of a git server"),
                (pkt("hello\n"), "no pack"),
                (pkt("NAK\n"), "ended before"),
                (pkt("NAK\n") + pkt(b"\3out of memory"), "out of memory"),
                (band(b"JUNK" * 10), "pack"),
                (band(pack_of_nothing(0xffffffff)), "pack"),
                (band(pack_of_nothing(3)), "pack"),
                (band(pack_of_nothing(0)) + b"more", "behind the pack")):
            self.refused(said, "pack", (200, body, {}))

    def test_a_pack_that_unfolds_without_end_holds_nobody(self):
        pack = pack_that_unfolds(20000, 64 << 20)
        body = pkt("NAK\n") + b"".join(
            pkt(b"\1" + pack[i:i + 60000])
            for i in range(0, len(pack), 60000)) + b"0000"
        for ends in (self.left_at_the_deadline, self.ended_by_a_signal):
            self.server.faults = {"pack": lambda *_: (200, body, {})}
            ends()

    def left_at_the_deadline(self):
        m = self.mount("--deadline=2s", cache="left")
        at = m.at("acme/relu@" + self.one, "build")
        self.assertIn(errno_of(os.listdir, at), ("ETIMEDOUT", "EIO"))
        self.server.faults = {}
        wait_for(lambda: errno_of(os.listdir, at) is None, "a good answer")
        m.end()

    def ended_by_a_signal(self):
        m = self.mount(cache="ended")
        asked = Asked(os.listdir, m.at("acme/relu@" + self.one, "build"))
        wait_for(lambda: glob.glob(
            m.cache + "/git/*/objects/pack/pack_*"), "a pack")
        begun = time.monotonic()
        os.kill(m.pid, signal.SIGTERM)
        self.assertIsNotNone(asked.end().error)
        wait_for(m.has_ended, "the daemon's end")
        measured("SIGTERM to exit in a pack", time.monotonic() - begun)

    def test_nothing_of_a_repository_is_run(self):
        mark = os.path.join(self.dir, "ran")
        run = "#!/bin/sh\ntouch %s\n" % mark
        for name in ("post-checkout", "pre-receive", "reference-transaction",
                     "fsmonitor", "post-index-change"):
            self.relu.put("hooks/" + name, run)
            os.chmod(os.path.join(self.relu.folder, "hooks", name), 0o755)
        self.relu.put("config", "[core]\n\trepositoryformatversion = 0\n"
                      "\tbare = true\n\tfsmonitor = %s/hooks/fsmonitor\n"
                      "\thooksPath = %s/hooks\n\tsshCommand = touch %s\n"
                      "[credential]\n\thelper = !touch %s\n"
                      "[filter \"lfs\"]\n\tsmudge = touch %s\n"
                      "[include]\n\tpath = /dev/zero\n" % (
                          self.relu.folder, self.relu.folder, mark, mark,
                          mark))
        self.relu.commit({**build("x"),
                          ".gitattributes": "* filter=lfs\n"}, branch="v4")
        for m in (self.here(),):
            self.assertEqual(text(m.at("acme/relu@v4", *AT, "__init__.py")),
                             "MARK = 'x'\n")
            m.end()
        self.assertFalse(os.path.exists(mark))


if __name__ == "__main__":
    unittest.main()
