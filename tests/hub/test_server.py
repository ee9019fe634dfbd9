# SPDX-License-Identifier: Apache-2.0
"""The stand-in Hub as plain HTTP: repositories, access, redirects.

Any Python from 3.9 on runs it; test_hub.py runs it as well.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import make_repo  # noqa: E402
from case import BIG, DEADLINE, Case, wait_for  # noqa: E402
from hub import Hub  # noqa: E402


class Repositories(Case):
    """Ids, refs, old commits, settings of a repository."""

    @unittest.skipUnless(shutil.which("git"), "git is not installed")
    def test_oids_are_those_of_git(self):
        folder = make_repo.branch_dir(self.root, "acme/relu", "v1")
        # Names around a folder's, which git sorts with a slash behind it.
        make_repo.write_files(folder, {
            "build.x": "", "build0": "", "build/torch-cpu/layers.py": "x",
            "build/run.sh": "#!/bin/sh\n"})
        os.chmod(folder + "/build/run.sh", 0o755)
        os.mkdir(folder + "/empty")
        self.hub.reload()
        shutil.copytree(folder, self.dir + "/git")
        os.unlink(self.dir + "/git/build/torch-cpu/data/table.so")
        make_repo.write_files(self.dir + "/git/build/torch-cpu", {
            "data/table.so": "version https://git-lfs.github.com/spec/v1\n"
            "oid sha256:%s\nsize %d\n" % (hashlib.sha256(BIG).hexdigest(),
                                         len(BIG)),
        })

        def git(*args):
            return subprocess.run(
                ("git", "-c", "core.autocrlf=false", "-C",
                 self.dir + "/git") + args, check=True,
                stdout=subprocess.PIPE).stdout.decode()
        git("init", "-q")
        git("add", "-A", "-f")
        root = git("write-tree").strip()
        theirs = {}
        for line in git("ls-tree", "-r", "-t", root).splitlines():
            mode, _, oid = line.partition("\t")[0].split()
            theirs[line.partition("\t")[2]] = oid
        ours = {i["path"]: i["oid"] for i in self.json(
            "/api/kernels/acme/relu/tree/v1?recursive=true")}
        self.assertEqual(ours, theirs)

    def test_a_changed_branch_gets_a_new_commit_and_the_old_one_stays(self):
        folder = make_repo.branch_dir(self.root, "acme/relu", "v1")
        os.unlink(folder + "/build/torch-cpu/data/table.so")
        make_repo.write_files(folder, {"build/torch-cpu/__init__.py": "Y"})
        self.assertEqual(self.hub.commit("acme/relu", "v1"), self.commit)
        self.control("POST", "reload")
        self.assertNotEqual(self.hub.commit("acme/relu", "v1"), self.commit)
        data = self.ask(self.cached()).data
        self.assertEqual(data, b"from .layers import NAME\n")
        big = self.ask(self.file("build/torch-cpu/data/table.so"))
        self.assertEqual(self.ask(big.getheader("Location")).data, BIG)

    def test_equal_content_gives_an_equal_commit(self):
        with Hub(self.root) as other:
            self.assertEqual(other.commit("acme/relu", "v1"), self.commit)

    def test_tags_point_at_branches_and_commits_or_have_files(self):
        make_repo.make_tag(self.root, "acme/relu", "0.1", "v1")
        make_repo.make_tag(self.root, "acme/relu", "a/b", self.commit)
        make_repo.write_files(self.root + "/acme/relu/tags/own", {"x": "x"})
        self.hub.reload()
        tags = {t["name"]: t for t in
                self.json("/api/kernels/acme/relu/refs")["tags"]}
        self.assertEqual(tags["0.1"]["targetCommit"], self.commit)
        self.assertEqual(tags["a/b"]["targetCommit"], self.commit)
        self.assertEqual(tags["a/b"]["ref"], "refs/tags/a/b")
        self.assertNotEqual(tags["own"]["targetCommit"], self.commit)
        tree = self.json("/api/kernels/acme/relu/tree/refs%2Ftags%2Fown")
        self.assertEqual([i["path"] for i in tree], ["x"])

    def test_large_files_are_lfs_by_pattern_or_by_size(self):
        make_repo.make_repo(self.root, "acme/relu", lfs=["data/*"],
                            lfs_over=1000)
        folder = make_repo.branch_dir(self.root, "acme/relu", "v1")
        make_repo.write_files(folder, {"data/s": "x", "e": "e" * 1000,
                                       "f": "f" * 1001, "g.so": "g"})
        self.hub.reload()
        tree = self.json("/api/kernels/acme/relu/tree/v1?recursive=true")
        self.assertEqual({i["path"] for i in tree if "lfs" in i},
                         {"data/s", "f", "build/torch-cpu/data/table.so"})
        item = [i for i in tree if i["path"] == "f"][0]
        self.assertEqual(item["lfs"]["size"], 1001)
        self.assertEqual(item["lfs"]["oid"],
                         hashlib.sha256(b"f" * 1001).hexdigest())

    def test_the_list_is_paged_and_hides_what_is_private_or_renamed(self):
        for i in range(5):
            make_repo.make_kernel(self.root, "many/k%d" % i, "v1", {})
        make_repo.make_repo(self.root, "many/k1", private=True)
        make_repo.make_repo(self.root, "many/k2", renamed_to="many/k3")
        self.hub.set(list_page=2)
        first = self.ask("/api/kernels?author=many&limit=1000")
        self.assertEqual([k["id"] for k in json.loads(first.data)],
                         ["many/k0", "many/k3"])
        link = first.getheader("Link")
        self.assertTrue(link.endswith(">; rel=\"next\""))
        second = self.ask(link[1:link.index(">")])
        self.assertEqual([k["id"] for k in json.loads(second.data)],
                         ["many/k4"])
        self.assertIsNone(second.getheader("Link"))
        self.hub.set(list=False)
        self.assertEqual(self.ask("/api/kernels?author=many").status, 404)

    def test_paths_info_takes_json_and_forms(self):
        url = "/api/kernels/acme/relu/paths-info/v1"
        for kind, body in (
                ("application/json", json.dumps({"paths": ["build", "no"]})),
                ("application/x-www-form-urlencoded", "paths=build")):
            out = self.json(url, method="POST", body=body,
                            headers={"Content-Type": kind})
            self.assertEqual([i["path"] for i in out], ["build"])

    def test_unknown_things_have_their_error_code(self):
        for target, status, code in (
                ("/api/kernels/no/no/refs", 401, "RepoNotFound"),
                ("/api/kernels/acme/relu/tree/v7", 404, "RevisionNotFound"),
                ("/api/kernels/acme/relu/tree/v1/no", 404, "EntryNotFound"),
                (self.file("no"), 404, "EntryNotFound"),
                (self.file("build"), 404, "EntryNotFound"),
                ("/api/organizations/nobody/overview", 404, None),
                ("/api/kernels/../relu/refs", 401, "RepoNotFound"),
                ("/api/kernels/acme/%2e%2e%2facme/refs", 401,
                 "RepoNotFound")):
            got = self.ask(target)
            self.assertEqual((got.status, got.getheader("X-Error-Code")),
                             (status, code), target)

    def test_a_user_has_no_organization_overview(self):
        make_repo.make_owner(self.root, "jane", kind="user")
        self.assertEqual(
            self.ask("/api/organizations/jane/overview").status, 404)


class Access(Case):
    """Tokens, gates, quotas, the CDN's rules."""

    def with_token(self, target, token):
        return self.ask(target, headers={"Authorization": "Bearer " + token})

    def setUp(self):
        super().setUp()
        self.hub.set(tokens=["good"], outsiders=["out"])

    def set_repo(self, **settings):
        make_repo.make_repo(self.root, "acme/relu", **settings)
        self.hub.reload()

    def test_a_refused_token_is_401_even_for_public_things(self):
        got = self.with_token("/api/kernels/acme/relu/refs", "bad")
        self.assertEqual((got.status, got.getheader("X-Error-Code")),
                         (401, None))

    def test_a_private_repository_looks_like_a_missing_one(self):
        self.set_repo(private=True)
        for repo in ("acme/relu", "acme/none"):
            url = "/api/kernels/%s/refs" % repo
            got = self.ask(url)
            self.assertEqual((got.status, got.getheader("X-Error-Code")),
                             (401, "RepoNotFound"))
            self.assertEqual(self.with_token(url, "out").status, 404)
        self.assertEqual(
            self.with_token("/api/kernels/acme/relu/refs", "good").status,
            200)

    def test_a_gated_repository_lists_but_gives_no_files(self):
        self.set_repo(gated="manual")
        self.assertEqual(self.ask("/api/kernels/acme/relu/refs").status, 200)
        self.assertEqual(self.ask(self.file()).status, 401)
        got = self.with_token(self.file(), "out")
        self.assertEqual((got.status, got.getheader("X-Error-Code")),
                         (403, "GatedRepo"))
        self.assertEqual(self.with_token(self.file(), "good").status, 307)

    def test_a_quota_ends_in_429_with_its_headers(self):
        self.hub.set(quota={"api": {"limit": 2, "window": 60}})
        url = "/api/organizations/acme/overview"
        self.assertEqual(self.ask(url).getheader("RateLimit"),
                         "\"api\";r=1;t=60")
        self.assertEqual(self.ask(url).status, 200)
        got = self.ask(url)
        self.assertEqual((got.status, got.getheader("Retry-After"),
                          got.getheader("RateLimit"),
                          got.getheader("RateLimit-Policy")),
                         (429, "60", "\"api\";r=0;t=60",
                          "\"fixed window\";\"api\";q=2;w=60"))
        self.assertEqual(self.ask(self.file()).status, 307)
        self.hub.reset()
        self.assertEqual(self.ask(url).status, 200)

    def test_the_cdn_refuses_tokens_forgeries_and_late_comers(self):
        big = self.file("build/torch-cpu/data/table.so")
        url = self.ask(big).getheader("Location")
        self.assertTrue(url.startswith(self.hub.cdn_url + "/"))
        self.assertEqual(self.with_token(url, "good").status, 400)
        self.assertEqual(self.ask(url.replace("Expires=", "Expires=9")).status,
                         403)
        self.assertEqual(self.ask(url.partition("?")[0]).status, 403)
        self.hub.set(url_ttl=-1)
        self.assertEqual(self.ask(self.ask(big).getheader("Location")).status,
                         403)
        self.assertEqual(self.ask(url).data, BIG)


class Http(Case):
    """Redirects, ranges, conditions, keep-alive."""

    def test_small_files_hop_on_the_hub_and_large_ones_to_the_cdn(self):
        small = self.ask(self.file(), method="HEAD")
        self.assertEqual(small.status, 307)
        self.assertTrue(small.getheader("Location").startswith(
            "/api/resolve-cache/kernels/acme/relu/" + self.commit))
        self.assertEqual(small.getheader("X-Repo-Commit"), self.commit)
        big = self.ask(self.file("build/torch-cpu/data/table.so"), "HEAD")
        self.assertEqual(
            (big.status, big.getheader("X-Linked-Etag"),
             big.getheader("X-Linked-Size"), big.getheader("ETag")),
            (302, "\"%s\"" % hashlib.sha256(BIG).hexdigest(), "700000",
             None))
        self.hub.set(resolve_cache=False)
        got = self.ask(self.file())
        self.assertEqual((got.status, got.data),
                         (200, b"from .layers import NAME\n"))

    def test_ranges(self):
        for url, whole in (
                (self.cached(), b"from .layers import NAME\n"),
                (self.cached("build/torch-cpu/data/table.so"), BIG)):
            size = len(whole)
            for text, status, data in (
                    ("bytes=3-7", 206, whole[3:8]),
                    ("bytes=5-", 206, whole[5:]),
                    ("bytes=-4", 206, whole[-4:]),
                    ("bytes=4-%d" % (size * 2), 206, whole[4:]),
                    ("bytes=%d-" % size, 416, b""),
                    ("lines=1-2", 200, whole)):
                got = self.ask(url, headers={"Range": text})
                self.assertEqual((got.status, got.data), (status, data), text)
            got = self.ask(url, headers={"Range": "bytes=3-7"})
            self.assertEqual(got.getheader("Content-Range"),
                             "bytes 3-7/%d" % size)

    def test_if_none_match_is_304(self):
        for url in (self.file(), self.cached(),
                    self.file("build/torch-cpu/data/table.so")):
            got = self.ask(url)
            etag = got.getheader("X-Linked-Etag") or got.getheader("ETag")
            again = self.ask(url, headers={"If-None-Match": "W/" + etag})
            self.assertEqual((again.status, again.data), (304, b""))
            other = self.ask(url, headers={"If-None-Match": "\"x\""})
            self.assertEqual(other.status, got.status)

    def test_connections_are_kept_and_counted(self):
        conn = self.connect()
        for _ in range(3):
            conn.request("GET", "/api/kernels/acme/relu/refs")
            self.assertEqual(conn.getresponse().read()[:1], b"{")
        counts = self.hub.counts()
        self.assertEqual(counts["connections"], {"hub": 1, "cdn": 0})
        self.assertEqual(
            counts["requests"], {"GET /api/kernels/acme/relu/refs": 3})

    def test_two_hundred_connections_at_once(self):
        fault = self.hub.fault("stall", path="refs")
        conns = [self.connect() for _ in range(200)]
        for conn in conns:
            conn.request("GET", "/api/kernels/acme/relu/refs")
        wait_for(lambda: fault.waiting == 200)
        self.assertEqual(
            self.ask("/api/organizations/acme/overview").status, 200)
        fault.release()
        self.assertEqual({c.getresponse().status for c in conns}, {200})

    def test_what_is_not_http_is_hung_up_on(self):
        for text in (b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n",
                     b"X" * 100000):
            sock = socket.create_connection(
                ("127.0.0.1", int(self.hub.url.rpartition(":")[2])))
            with sock:
                sock.settimeout(DEADLINE)
                try:
                    sock.sendall(text)
                    self.assertEqual(sock.recv(10), b"")
                except ConnectionError:
                    pass
        self.assertEqual(self.ask("/api/kernels").status, 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
