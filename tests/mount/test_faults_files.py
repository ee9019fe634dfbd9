# SPDX-License-Identifier: Apache-2.0
"""A Hub and a CDN that deliver files badly: right bytes or an error, never
others, none of them fetched twice without need."""

import collections
import hashlib
import os
import re
import sys
import time
import unittest

from asking import Asked, ask_read, log_lines, wait_for_hub
from hub import Hub
from mounted import (SPEC, MountCase, is_fetching, lfs_bytes, make_kernel,
                     make_owner, make_repo, read, wait_for)

SIZE = 300000
TINY = 48
TOKEN = "hf_this_is_the_secret_of_somebody"


def blobs(cache):
    """Every blob of a cache: its name and its bytes."""
    out = {}
    for base, _, names in os.walk(os.path.join(cache, "blobs")):
        for name in names:
            out[name] = read(base, name)
    return out


def true_name(name, data):
    """What a blob of this length of name must be called."""
    if len(name) == 64:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Files(MountCase):
    """Files of the commit that are in no build: each is fetched only when it
    is read. The .so are large files at the CDN, the .txt are not."""

    contents = {}

    def kernels(self, root):
        self.contents = {"f%02d.so" % i: lfs_bytes(SIZE, seed=i)
                         for i in range(20)}
        self.contents.update(("t%02d.txt" % i, b"text %d\n" % i * 500)
                             for i in range(8))
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: {"__init__.py": ""}},
                    files=self.contents)

    def setUp(self):
        super().setUp()
        self.next = collections.Counter()

    def at(self, m, name, repo="relu"):
        return m.at("acme", "%s@%s" % (repo, self.commit("acme/" + repo)),
                    name)

    def fresh(self, kind="f"):
        """A file that no test part has read yet."""
        self.next[kind] += 1
        i = self.next[kind] - 1
        return "f%02d.so" % i if kind == "f" else "t%02d.txt" % i

    def fault(self, kind, name, where="resolve", **more):
        path = re.escape(name) if where == "resolve" else \
            "filename=" + re.escape(name)
        return self.hub.fault(
            kind, path=path, origin="hub" if where == "resolve" else "cdn",
            **more)

    def cdn(self, name):
        """The requests to the CDN for a file: (range, status, bytes)."""
        return [(line["range"], line["status"], line["bytes"])
                for line in self.hub.counts()["log"]
                if line["origin"] == "cdn" and name in line["path"]]

    def asks(self, name):
        return sum(line["endpoint"] == "resolve" and name in line["path"]
                   for line in self.hub.counts()["log"])

    def works(self, m, name):
        one = ask_read(self.at(m, name)).end()
        self.assertEqual((one.error, one.value == self.contents[name]),
                         (None, True))

    def fails(self, m, name, error, lines=1):
        """It gives this error and says so once; later it works."""
        self.assertEqual(ask_read(self.at(m, name)).end().error, error)
        said = log_lines(m, re.escape(name))
        self.assertEqual(len(said), lines, said)
        self.assertFalse(is_fetching(m.cache))
        self.assertEqual(
            [n for n, data in blobs(m.cache).items()
             if data == self.contents[name] or n != true_name(n, data)], [])
        self.hub.clear_faults()
        self.works(m, name)
        return said[0] if said else ""


class Statuses(Files):
    def test_a_failure_that_passes_is_not_seen(self):
        m = self.mount()
        for where in ("resolve", "cdn"):
            for kind, more in (("status", {"code": 500}),
                               ("status", {"code": 503}),
                               ("cut", {}), ("cut", {"reset": True})):
                name = self.fresh()
                with self.subTest(where=where, kind=kind, **more):
                    fault = self.fault(kind, name, where, times=1, **more)
                    self.works(m, name)
                    self.assertEqual(fault.hits, 1)
                    self.assertEqual(log_lines(m, "."), [])

    def test_a_signed_link_that_is_refused_is_asked_for_anew(self):
        m = self.mount()
        name = self.fresh()
        fault = self.fault("status", name, "cdn", code=403, times=1)
        self.works(m, name)
        self.assertEqual((fault.hits, self.asks(name)), (1, 2))
        self.assertEqual(log_lines(m, "."), [])

    def test_a_failure_that_stays_is_eio_after_a_few_tries(self):
        m = self.mount("--connections=16")
        names = {where: self.fresh() for where in ("resolve", "cdn")}
        faults = {where: self.fault("status", name, where, code=500)
                  for where, name in names.items()}
        asked = {where: ask_read(self.at(m, name))
                 for where, name in names.items()}
        for where, name in names.items():
            with self.subTest(where=where):
                self.assertEqual(asked[where].end().error, "EIO")
                self.assertEqual(faults[where].hits, 5)
                self.assertEqual(len(log_lines(m, name)), 1)
        self.hub.clear_faults()
        for name in names.values():
            self.works(m, name)

    def test_a_file_that_the_hub_has_not_is_absent(self):
        m = self.mount()
        name = self.fresh()
        self.fault("status", name, code=404)
        self.fails(m, name, "ENOENT", lines=0)

    def test_a_file_that_the_cdn_has_not_is_a_failure(self):
        m = self.mount()
        name = self.fresh()
        self.fault("status", name, "cdn", code=404)
        self.fails(m, name, "EIO")

    def test_a_login_page_is_no_file(self):
        m = self.mount()
        for where in ("resolve", "cdn"):
            for kind in "ft":
                if (where, kind) == ("cdn", "t"):
                    continue
                name = self.fresh(kind)
                with self.subTest(where=where, name=name):
                    self.fault("html", name, where)
                    self.fails(m, name, "EIO")

    def test_redirects_without_end_are_given_up(self):
        m = self.mount()
        for where in ("resolve", "cdn"):
            name = self.fresh()
            with self.subTest(where=where):
                fault = self.fault("redirect_loop", name, where)
                self.assertEqual(
                    ask_read(self.at(m, name)).end().error, "EIO")
                self.assertLessEqual(fault.hits, 11)
                self.assertIn("redirects", "".join(log_lines(m, name)))
                self.hub.clear_faults()
                self.works(m, name)

    def test_a_redirect_to_no_place_is_a_failure(self):
        m = self.mount()
        for url in ("file:///etc/passwd", "gopher://x/", "//", "http://",
                    "http://user:word@127.0.0.1/"):
            name = self.fresh()
            with self.subTest(url=url):
                self.fault("redirect_to", name, url=url)
                self.fails(m, name, "EIO")

    def test_retry_after_is_waited_for(self):
        m = self.mount()
        name = self.fresh()
        self.fault("status", name, code=429, times=1,
                   headers={"Retry-After": "1"})
        one = ask_read(self.at(m, name)).end()
        self.assertEqual(one.value, self.contents[name])
        self.assertGreater(one.took, 0.9)
        self.assertEqual(self.asks(name), 2)
        self.assertEqual(log_lines(m, "."), [])


class Bytes(Files):
    def test_a_cut_download_goes_on_where_it_was(self):
        m = self.mount()
        for after in (1, 100000, SIZE - 1):
            for reset in (False, True):
                name = self.fresh()
                with self.subTest(after=after, reset=reset):
                    self.fault("cut", name, "cdn", after=after, times=1,
                               reset=reset)
                    self.works(m, name)
                    (_, _, first), (wanted, status, rest) = self.cdn(name)
                    self.assertEqual(status, 206)
                    self.assertEqual(wanted, "bytes=%d-" % (SIZE - rest))
                    # By a reset, bytes on their way may be lost.
                    if not reset:
                        self.assertEqual(first + rest, SIZE)
                    self.assertEqual(log_lines(m, "."), [])

    def test_many_cuts_are_lived_through_while_bytes_come(self):
        m = self.mount()
        name = self.fresh()
        fault = self.fault("cut", name, "cdn", after=80000, times=3)
        self.works(m, name)
        self.assertEqual(fault.hits, 3)
        self.assertEqual(sum(n for _, _, n in self.cdn(name)), SIZE)

    def test_a_server_that_ignores_ranges_sends_it_all_again(self):
        m = self.mount()
        name = self.fresh()
        self.fault("cut", name, "cdn", after=1000, times=1)
        # What a server without ranges would answer: 200 and everything.
        self.fault("body", name, "cdn", body=self.contents[name], code=200,
                   times=1)
        self.works(m, name)

    def test_another_range_than_asked_for_is_not_mixed_in(self):
        m = self.mount()
        name = self.fresh()
        self.fault("cut", name, "cdn", after=1000, times=1)
        self.fault("headers", name, "cdn", headers={
            "Content-Range": "bytes 5000-%d/%d" % (SIZE - 1, SIZE)})
        self.fails(m, name, "EIO")

    def test_a_wrong_length_gives_right_bytes_or_an_error(self):
        m = self.mount()
        for delta in (1, -1, -1000, -SIZE):
            name = self.fresh()
            with self.subTest(delta=delta):
                self.fault("wrong_length", name, "cdn", delta=delta, times=1)
                if delta > -SIZE:
                    self.works(m, name)
                else:  # an empty file, said to be whole
                    self.fails(m, name, "EIO")

    def test_wrong_bytes_once_are_asked_for_again(self):
        m = self.mount()
        for where, kind in (("cdn", "f"), ("resolve", "t")):
            name = self.fresh(kind)
            with self.subTest(name=name):
                fault = self.fault("wrong_bytes", name, where,
                                   times=1 if kind == "f" else None,
                                   skip=0 if kind == "f" else 1)
                if kind == "t":
                    # The 307 comes first; only its target is damaged.
                    fault.left = 1
                self.works(m, name)
                self.assertEqual(log_lines(m, "."), [])

    def test_wrong_bytes_are_never_served_nor_kept(self):
        m = self.mount()
        for where, kind in (("cdn", "f"), ("resolve", "t")):
            name = self.fresh(kind)
            with self.subTest(name=name):
                data = self.contents[name]
                bad = bytearray(data)
                bad[len(bad) // 2] ^= 1
                right = "f" * 64 if kind == "f" else "f" * 40
                fault = self.fault("wrong_bytes", name, where)
                line = self.fails(m, name, "EBADMSG")
                self.assertIn(true_name(right, data), line)
                self.assertIn(true_name(right, bytes(bad)), line)
                if kind == "f":
                    self.assertEqual(fault.hits, 2)

    def test_too_many_and_too_few_bytes_are_errors(self):
        m = self.mount("--connections=16")
        for body, errors in ((b"", ("EIO", "EBADMSG")),
                             (b"x", ("EIO", "EBADMSG")),
                             (b"x" * (SIZE + 1), ("EBADMSG", "EIO"))):
            name = self.fresh()
            with self.subTest(length=len(body)):
                self.fault("body", name, "cdn", body=body)
                one = ask_read(self.at(m, name)).end()
                self.assertIn(one.error, errors)
                self.assertEqual(len(log_lines(m, name)), 1)
                self.hub.clear_faults()
                self.works(m, name)

    def test_readers_beside_a_bad_file_are_not_delayed(self):
        m = self.mount()
        bad, good = self.fresh(), self.fresh()
        fault = self.fault("stall", bad, "cdn", after=5)
        one = ask_read(self.at(m, bad))
        wait_for_hub(fault)
        self.works(m, good)
        self.assertTrue(one.waits())
        fault.release()
        self.assertEqual(one.end().value, self.contents[bad])


class EveryByte(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        self.contents = {"f%02d.so" % i: lfs_bytes(TINY, seed=100 + i)
                         for i in range(TINY)}
        make_kernel(root, "acme/relu", "v1", {SPEC: {"__init__.py": ""}},
                    files=self.contents)

    def test_a_file_may_be_cut_at_every_byte(self):
        for i in range(TINY):
            self.hub.fault("cut", path="filename=f%02d.so" % i, origin="cdn",
                           after=i, times=1, reset=bool(i % 2))
        m = self.mount("--connections=64")
        commit = m.at("acme", "relu@" + self.commit("acme/relu"))
        asked = {name: ask_read(commit, name) for name in self.contents}
        for name, one in asked.items():
            with self.subTest(name=name):
                self.assertEqual(one.end().value, self.contents[name])
        self.assertEqual(log_lines(m, "."), [])


class Tokens(Files):
    def kernels(self, root):
        super().kernels(root)
        make_kernel(root, "acme/private", "v1", {SPEC: {"__init__.py": ""}},
                    files={"f.so": lfs_bytes(SIZE, seed=99)})
        make_repo(root, "acme/private", private=True)

    def setUp(self):
        super().setUp()
        self.other_root = os.path.join(self.dir, "other")
        os.mkdir(self.other_root)
        self.other = Hub(self.other_root)
        self.addCleanup(self.other.close)

    def told(self, hub):
        return {(line["origin"], line["authorization"])
                for line in hub.counts()["log"]}

    def assert_secret(self, m):
        self.assertNotIn(TOKEN, m.said())
        for name in os.listdir(m.at(".kernelfs")):
            if os.path.isfile(m.at(".kernelfs", name)):
                self.assertNotIn(TOKEN.encode(),
                                 read(m.at(".kernelfs", name)))

    def test_the_token_goes_to_the_hub_and_to_nobody_else(self):
        self.hub.set(tokens=[TOKEN])
        m = self.mount(environment={"HF_TOKEN": TOKEN})
        self.assertEqual(read(self.at(m, "f.so", "private")),
                         lfs_bytes(SIZE, seed=99))
        self.assertEqual(self.told(self.hub),
                         {("hub", True), ("cdn", False)})
        self.assert_secret(m)

    def test_another_host_never_sees_it(self):
        self.hub.set(tokens=[TOKEN])
        m = self.mount(environment={"HF_TOKEN": TOKEN})
        name = self.fresh()
        os.stat(self.at(m, name))
        for pattern, ask in (
                (re.escape(name), lambda: read(self.at(m, name))),
                ("/acme/private/refs",
                 lambda: os.listdir(m.at("acme", "private@v1")))):
            for code in (301, 302, 307, 308):
                fault = self.hub.fault(
                    "redirect_to", path=pattern, origin="hub", code=code,
                    url=self.other.url.replace("127.0.0.1", "localhost") +
                    "{target}")
                self.assertIsNotNone(Asked(ask).end().error)
                self.assertGreaterEqual(fault.hits, int(code == 301))
                self.hub.clear_faults()
        self.assertGreater(len(self.other.counts()["log"]), 0)
        self.assertEqual(self.told(self.other), {("hub", False)})
        self.assert_secret(m)

    def test_nor_does_another_port_of_the_same_host(self):
        self.hub.set(tokens=[TOKEN])
        m = self.mount(environment={"HF_TOKEN": TOKEN})
        name = self.fresh()
        # And back again: what was dropped stays dropped.
        self.hub.fault("redirect_to", path=re.escape(name), origin="hub",
                       url=self.other.url + "{target}", times=1)
        self.other.fault("redirect_to", url=self.hub.url + "{target}")
        Asked(read, self.at(m, name)).end()
        self.assertEqual(self.told(self.other), {("hub", False)})
        self.assert_secret(m)

    def test_a_token_that_is_refused_is_eacces(self):
        self.hub.set(tokens=[TOKEN])
        m = self.mount(environment={"HF_TOKEN": "hf_wrong"})
        self.refuses("EACCES", os.listdir, m.at("acme", "private@v1"))
        self.assertEqual(len(log_lines(m, "private")), 1)
        self.assertNotIn("hf_wrong", m.said())

    def test_without_a_token_a_private_kernel_is_not_there(self):
        self.hub.set(tokens=[TOKEN])
        m = self.mount()
        self.refuses("ENOENT", os.listdir, m.at("acme", "private@v1"))


if __name__ == "__main__":
    sys.exit(unittest.main())
