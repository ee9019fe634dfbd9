# SPDX-License-Identifier: Apache-2.0
"""A Hub that answers questions about names badly, at every endpoint.

Every case has an owner of its own, so that all of them meet their fault at
the same time in one mount, and what is kept of a failure is waited for once.
"""

import collections
import json
import os
import sys
import time
import unittest
import urllib.parse

from asking import Asked, log_lines, measured
from mounted import (DEADLINE, SPEC, MountCase, make_kernel, make_owner,
                     read, wait_for)

BUILD = "build/" + SPEC
VARIANT = urllib.parse.quote(BUILD, safe="")
DEEP = "[" * 200000
SHA1 = "0123456789abcdef0123456789abcdef01234567"


def entry(name, **changed):
    """A file of a tree answer; None takes a key away."""
    out = {"type": "file", "oid": SHA1, "size": 5,
           "path": BUILD + "/" + name, **changed}
    return {k: v for k, v in out.items() if v is not None}


GOOD = entry("__init__.py")

# What each endpoint's question is, and the request that it leads to.
ENDPOINTS = {
    "list": r"author={owner}(&|$)",
    "overview": r"/organizations/{owner}/overview",
    "refs": r"/{owner}/k/refs",
    "tree": r"/{owner}/k/tree/[0-9a-f]+/build\?",
    "variant": r"/{owner}/k/tree/[0-9a-f]+/build%2F",
    "metadata": r"/{owner}/k/resolve/[0-9a-f]+/.*metadata.json",
}

FAULTS = {
    "once": dict(kind="status", code=500, times=1),
    "500": dict(kind="status", code=500),
    "502": dict(kind="status", code=502, headers={"Connection": "close"}),
    "404": dict(kind="status", code=404),
    "html": dict(kind="html"),
    "cut": dict(kind="cut"),
    "short": dict(kind="body", body='[{"type": "file", "path": "bu'),
    "types": dict(kind="body", body={"branches": 5, "isVerified": "?"}),
    "number": dict(kind="body", body="17"),
    "deep": dict(kind="body", body=DEEP),
    "empty": dict(kind="body", body=""),
    "loop": dict(kind="redirect_loop"),
}

# Where a fault does not give EIO: None is success.
OTHERWISE = {
    ("list", "404"): None,  # such a Hub has no lists at all
    ("overview", "404"): "EACCES",  # nobody that the Hub vouches for
    ("overview", "types"): "EACCES",  # nor does this answer
    ("refs", "404"): "ENOENT",
    ("tree", "404"): None,  # nothing was built: an empty build/
    ("variant", "404"): "ENOENT",
    ("metadata", "404"): None,
}
# Their answer is no JSON that the mount reads, but a file with a hash.
NO_JSON = ("short", "types", "number", "deep", "empty")
# The Hub's own answers are kept for longer than a test lasts.
KEPT = ("404",)


def is_kept(case):
    return case[1] in KEPT or case == ("overview", "types")


class FaultsOfNames(MountCase):
    def kernels(self, root):
        self.cases = [(e, f) for e in ENDPOINTS for f in FAULTS
                      if e != "metadata" or f not in NO_JSON]
        for endpoint, fault in self.cases:
            owner = self.owner(endpoint, fault)
            make_owner(root, owner)
            make_kernel(root, owner + "/k", "v1",
                        {SPEC: {"__init__.py": owner}})

    @staticmethod
    def owner(endpoint, fault):
        return "x-%s-%s" % (endpoint, fault)

    def ask(self, m, endpoint, owner):
        """The question whose answer needs this endpoint."""
        kernel = "k@" + self.commit(owner + "/k")
        parts = {"list": [owner], "refs": [owner, "k@v1"],
                 "variant": [owner, kernel, BUILD]}
        return Asked(os.listdir,
                     m.at(*parts.get(endpoint, [owner, kernel, "build"])))

    def expected(self, endpoint, fault):
        if fault == "once":
            return None
        return OTHERWISE.get((endpoint, fault), "EIO")

    def check_case(self, m, endpoint, fault, asked, hits):
        owner = self.owner(endpoint, fault)
        error = self.expected(endpoint, fault)
        self.assertEqual(asked.error, error, m.log()[-2000:])
        self.assertGreater(hits, 0)
        # libcurl asks once more where a kept connection was closed.
        most = {"loop": 11, "cut": 10}.get(fault, 5)
        self.assertLessEqual(hits, most)
        lines = log_lines(m, r"\b%s\b" % owner)
        self.assertEqual(len(lines), int(error in ("EIO", "EACCES")), lines)
        if fault in ("500", "502"):
            self.assertEqual(hits, 5)  # the first and four more

    def test_each_fault_at_each_endpoint(self):
        faults = {}
        for endpoint, fault in self.cases:
            pattern = ENDPOINTS[endpoint].replace(
                "{owner}", self.owner(endpoint, fault))
            faults[endpoint, fault] = self.hub.fault(
                path=pattern, **FAULTS[fault])
        m = self.mount("--connections=64", imports=("x-list-once",))
        begun = time.monotonic()
        asked = {case: self.ask(m, case[0], self.owner(*case))
                 for case in self.cases}
        for case, one in asked.items():
            one.end()
        measured("%d faults met" % len(asked), time.monotonic() - begun)
        for case, one in asked.items():
            with self.subTest(endpoint=case[0], fault=case[1]):
                self.check_case(m, *case, one, faults[case].hits)
        self.assertFalse(m.has_ended())
        self.hub.clear_faults()
        self.check_it_recovers(m)

    def check_it_recovers(self, m):
        left = [case for case in self.cases if not is_kept(case)]

        def all_well():
            tried = [(case, self.ask(m, case[0], self.owner(*case)))
                     for case in left]
            left[:] = [case for case, one in tried
                       if one.end().error is not None]
            return not left
        wait_for(all_well, "another try, 10 s after a failure",
                 DEADLINE + 10)
        for case in self.cases:
            if not is_kept(case):
                owner = self.owner(*case)
                self.assertEqual(
                    read(m.at(owner, "k@" + self.commit(owner + "/k"),
                              BUILD, "__init__.py")), owner.encode())


# A build's listing as a hostile or broken Hub may give it.
LISTINGS = {
    "absolute": [GOOD, entry("x", path="/etc/passwd")],
    "up": [GOOD, entry("../../../etc/passwd")],
    "up-inside": [GOOD, entry("a/../b")],
    "dot": [GOOD, entry("./b")],
    "doubled-slash": [GOOD, entry("a//b")],
    "elsewhere": [GOOD, entry("x", path="build/other/x")],
    "twice": [GOOD, GOOD],
    "file-and-folder": [GOOD, entry("a"), entry("a/b")],
    "nul": [GOOD, entry("a\0b")],
    "long": [GOOD, entry("a" * 300)],
    "endless": [GOOD, entry("/".join(["ab"] * 1000))],
    "negative": [GOOD, entry("a", size=-1)],
    "huge": [GOOD, entry("a", size=1 << 62)],
    "beyond": [GOOD, entry("a", size=10 ** 30)],
    "fraction": [GOOD, entry("a", size=1.5)],
    "text": [GOOD, entry("a", size="5")],
    "no-size": [GOOD, entry("a", size=None)],
    "no-hash": [GOOD, entry("a", oid=None)],
    "short-hash": [GOOD, entry("a", oid="abc")],
    "no-hex": [GOOD, entry("a", oid="z" * 40)],
    "lfs-list": [GOOD, entry("a", lfs=[])],
    "lfs-short": [GOOD, entry("a", lfs={"oid": SHA1, "size": 5})],
    "no-type": [GOOD, entry("a", type=None)],
    "odd-type": [GOOD, entry("a", type="socket")],
    "path-number": [GOOD, entry("a", path=5)],
    "no-object": [GOOD, "a"],
    "null": [None],
}


class HostileListings(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for name in [*LISTINGS, "many"]:
            make_kernel(root, "acme/" + name, "v1",
                        {SPEC: {"__init__.py": name}})

    def folder(self, m, name):
        return m.at("acme", "%s@%s" % (name, self.commit("acme/" + name)),
                    BUILD)

    def body(self, name, value):
        self.hub.fault("body", path=r"/acme/%s/tree/[0-9a-f]+/build%%2F" %
                       name, body=json.dumps(value))

    def test_a_listing_that_is_not_one_is_refused_whole(self):
        for name, listing in LISTINGS.items():
            self.body(name, listing)
        m = self.mount("--connections=64")
        asked = {name: Asked(os.listdir, self.folder(m, name))
                 for name in LISTINGS}
        for name, one in asked.items():
            with self.subTest(name=name):
                self.assertEqual(one.end().error, "EIO")
                lines = log_lines(m, "acme/%s@" % name)
                self.assertEqual(len(lines), 1, lines)
                self.assertNotIn("\0", lines[0])
        self.assertFalse(m.has_ended())
        self.assertEqual(sorted(os.listdir(self.folder(m, "many"))),
                         ["__init__.py", "metadata.json"])

    def test_a_hundred_thousand_entries_are_a_long_listing(self):
        count = 100000
        self.body("many", [entry("d%02d/f%d" % (i % 50, i))
                           for i in range(count)])
        m = self.mount()
        begun = time.monotonic()
        folders = os.listdir(self.folder(m, "many"))
        measured("a listing of 100,000 entries", time.monotonic() - begun)
        self.assertEqual(len(folders), 50)
        self.assertEqual(
            sum(len(os.listdir(os.path.join(self.folder(m, "many"), f)))
                for f in folders), count)
        self.assertFalse(m.has_ended())

    def test_a_page_that_leads_to_itself_or_away_is_refused(self):
        for name, link in (("twice", "{here}"),
                           ("nul", "http://localhost:1/x")):
            target = "%s/api/kernels/acme/%s/tree/%s/%s?recursive=true" \
                "&expand=false" % (self.hub.url, name,
                                   self.commit("acme/" + name), VARIANT)
            self.hub.fault(
                "headers", path=r"/acme/%s/tree/[0-9a-f]+/build%%2F" % name,
                headers={"Link": '<%s>; rel="next"' %
                         link.replace("{here}", target)})
        m = self.mount()
        for name in ("twice", "nul"):
            with self.subTest(name=name):
                asked = Asked(os.listdir, self.folder(m, name)).end()
                self.assertEqual(asked.error, "EIO")
                self.assertEqual(len(log_lines(m, "acme/%s" % name)), 1)
        self.hub.clear_faults()


class Names(MountCase):
    """Names that no repository can have cost the Hub nothing."""

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: {"__init__.py": ""}})

    def test_a_name_that_breaks_the_grammar_is_absent_at_no_cost(self):
        m = self.mount()
        self.hub.reset()
        for name in ("a b", "%2e%2e", "x" * 250, "-x", "x-", ".x", "a\nb",
                     "a?b", "a#b", "relu@", "relu@..",
                     "relu@%2e%2e", "relu@a\nb",
                     "r\u00e9lu", "\udcff"):
            with self.subTest(name=name):
                self.refuses("ENOENT", os.stat, m.at("acme", name))
        self.refuses("ENAMETOOLONG", os.stat, m.at("acme", "x" * 300))
        self.assertEqual(m.counts(), {})


class Counts(MountCase):
    """Where the Hub says when to come again."""

    def kernels(self, root):
        make_owner(root, "acme")
        for i in range(8):
            make_kernel(root, "acme/k%d" % i, "v1",
                        {SPEC: {"__init__.py": ""}})

    def test_retry_after_is_kept_by_all_requests_to_the_host(self):
        m = self.mount()
        self.hub.fault("status", path="/k0/refs", code=429, times=1,
                       headers={"Retry-After": "2"})
        first = Asked(os.listdir, m.at("acme", "k0@v1"))
        wait_for(lambda: m.counts().get("refs") == 1, "the first request")
        wait_for(lambda: not self.hub.counts()["running"], "its answer")
        time_of = time.monotonic()
        others = [Asked(os.listdir, m.at("acme", "k%d@v1" % i))
                  for i in range(1, 8)]
        for one in [first, *others]:
            self.assertIsNone(one.end().error)
        self.assertGreater(time.monotonic() - time_of, 1)
        by_path = collections.Counter(
            line["path"] for line in self.hub.counts()["log"]
            if line["endpoint"] == "refs")
        self.assertEqual(by_path.pop("/api/kernels/acme/k0/refs"), 2)
        self.assertEqual(set(by_path.values()), {1})
        self.assertEqual(log_lines(m, "."), [])

    def test_a_pause_beyond_the_deadline_fails(self):
        m = self.mount("--deadline=2s")
        self.hub.fault("status", path="/k0/refs", code=429,
                       headers={"Retry-After": "3600"})
        asked = Asked(os.listdir, m.at("acme", "k0@v1")).end()
        self.assertIn(asked.error, ("ETIMEDOUT", "EIO"))
        self.assertLess(asked.took, 20)
        self.assertEqual(m.counts()["refs"], 1)
        self.assertEqual(len(log_lines(m, "k0")), 1)
        self.hub.clear_faults()


if __name__ == "__main__":
    sys.exit(unittest.main())
