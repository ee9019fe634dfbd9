# SPDX-License-Identifier: Apache-2.0
"""The proof of the stand-in Hub: the unmodified clients use it.

Run with the interpreter of an environment that has kernels 0.17.2 and
huggingface_hub 2.4.0; exits 77 with one SKIP line where they are missing.
The clients run in processes of their own (they read their settings at
import); faults and counts are looked at with plain sockets.
"""

import hashlib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import make_repo  # noqa: E402
from hub import Hub  # noqa: E402
from relay import Relay  # noqa: E402

BIG = make_repo.lfs_bytes(700000, seed=1)
RELU = "torch-cpu"
DEADLINE = 20


def wait_for(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.005)


class Case(unittest.TestCase):
    """A root folder with one owner and one kernel, and a hub on it."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="test-hub-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.root = os.path.join(self.dir, "root")
        make_repo.make_owner(self.root, "acme")
        make_repo.make_kernel(self.root, "acme/relu", "v1", {
            "torch-cpu": {"__init__.py": "from .layers import NAME\n",
                          "layers/__init__.py": "NAME = 'cpu'\n",
                          "data/table.so": BIG},
            "torch-cuda": {"__init__.py": "NAME = 'cuda'\n"},
        })
        self.hub = Hub(self.root)
        self.addCleanup(self.hub.close)
        self.commit = self.hub.commit("acme/relu", "v1")
        self.hub.reset()

    def client(self, code, **env):
        """The JSON that a client process prints."""
        base = {k: v for k, v in os.environ.items()
                if not k.startswith(("HF_", "KERNELS_", "HUGGING"))}
        base.update({"HF_ENDPOINT": self.hub.url, "HF_HUB_DISABLE_XET": "1",
                     "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                     "HF_HOME": os.path.join(self.dir, "home")}, **env)
        done = subprocess.run([sys.executable, "-c", code], env=base,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return json.loads(done.stdout.decode().splitlines()[-1])

    def connect(self, url=None):
        parts = urllib.parse.urlsplit(url or self.hub.url)
        conn = http.client.HTTPConnection(parts.hostname, parts.port,
                                          timeout=DEADLINE)
        self.addCleanup(conn.close)
        return conn

    def ask(self, target, method="GET", headers=None, body=None):
        """One request on a new connection; the response, body in .data."""
        url = target if "://" in target else self.hub.url + target
        parts = urllib.parse.urlsplit(url)
        conn = self.connect(url)
        conn.request(method, parts.path + ("?" + parts.query if parts.query
                                           else ""), body, headers or {})
        response = conn.getresponse()
        response.data = response.read()
        conn.close()
        return response

    def json(self, target, **more):
        return json.loads(self.ask(target, **more).data)

    def control(self, method, name, value=None):
        body = None if value is None else json.dumps(value)
        return self.json("/_control/" + name, method=method, body=body)

    def file(self, path="build/torch-cpu/__init__.py"):
        return "/kernels/acme/relu/resolve/%s/%s" % (self.commit, path)

    def cached(self, path="build/torch-cpu/__init__.py"):
        return self.ask(self.file(path)).getheader("Location")


class Clients(Case):
    """huggingface_hub and kernels, unmodified."""

    def test_snapshot_download_gets_every_byte_and_counts_are_exact(self):
        path = self.client(
            "import json, huggingface_hub as h\n"
            "print(json.dumps(h.snapshot_download('acme/relu', "
            "repo_type='kernel', revision='v1')))")
        source = make_repo.branch_dir(self.root, "acme/relu", "v1")
        self.assertEqual(make_repo.read_folder(path),
                         make_repo.read_folder(source))
        counts = self.hub.counts()
        # HEAD of each; small ones are asked again where the 307 leads, the
        # GET goes straight to the last address.
        small, big = 5, 1
        self.assertEqual(counts["by_endpoint"], {
            "harness": 1, "info": 1, "tree": 1, "resolve": small + big,
            "resolve-cache": 2 * small, "cdn": big})
        files = make_repo.read_folder(source)
        for name, data in files.items():
            if data == BIG:
                key = "GET /repos/acme/relu/%s" % \
                    hashlib.sha256(data).hexdigest()
            else:
                key = "GET /api/resolve-cache/kernels/acme/relu/%s/%s" % (
                    self.commit, name)
            self.assertEqual(counts["requests"][key], 1)
            self.assertEqual(counts["bytes"][key], len(data))
        self.assertEqual(sum(counts["bytes"].values()),
                         sum(line["bytes"] for line in counts["log"]))

    def test_a_token_goes_to_the_hub_and_never_to_the_cdn(self):
        make_repo.make_repo(self.root, "acme/relu", private=True)
        self.hub.reload("acme/relu")
        self.hub.set(tokens=["hf_good"])
        path = self.client(
            "import json, huggingface_hub as h\n"
            "print(json.dumps(h.hf_hub_download('acme/relu', "
            "'build/torch-cpu/data/table.so', repo_type='kernel', "
            "revision='v1')))", HF_TOKEN="hf_good")
        with open(path, "rb") as f:
            self.assertEqual(f.read(), BIG)
        log = self.hub.counts()["log"]
        seen = {(line["endpoint"], line["authorization"]) for line in log
                if line["endpoint"] != "harness"}
        self.assertEqual(seen, {("resolve", True), ("cdn", False)})

    def test_a_tree_of_many_pages_is_listed_whole(self):
        self.hub.set(page_size=2)
        paths = self.client(
            "import json, huggingface_hub as h\n"
            "print(json.dumps([i.path for i in h.HfApi().list_repo_tree("
            "'acme/relu', repo_type='kernel', revision='v1', "
            "recursive=True)]))")
        self.assertEqual(paths, [
            "build", "build/torch-cpu", "build/torch-cpu/__init__.py",
            "build/torch-cpu/data", "build/torch-cpu/data/table.so",
            "build/torch-cpu/layers", "build/torch-cpu/layers/__init__.py",
            "build/torch-cpu/metadata.json", "build/torch-cuda",
            "build/torch-cuda/__init__.py", "build/torch-cuda/metadata.json"])
        self.assertEqual(self.hub.counts()["by_endpoint"]["tree"], 6)

    def test_kernels_loads_a_noarch_build_of_a_trusted_owner(self):
        out = self.client(
            "import json, kernels\n"
            "k = kernels.get_kernel('acme/relu', version=1)\n"
            "print(json.dumps([k.NAME, k.__file__.split('/')[-2]]))")
        self.assertEqual(out, ["cpu", RELU])
        self.assertEqual(self.hub.counts()["by_endpoint"], {
            "harness": 1, "overview": 1, "refs": 1, "tree": 2,
            "resolve": 4, "resolve-cache": 6, "cdn": 1})

    def test_kernels_refuses_an_owner_that_is_not_trusted(self):
        make_repo.make_owner(self.root, "acme", trusted=False)
        out = self.client(
            "import json, kernels\n"
            "try: kernels.get_kernel('acme/relu', version=1)\n"
            "except ValueError as e: print(json.dumps(str(e)))")
        self.assertIn("not from a trusted publisher", out)

    def test_kernels_lists_variants_and_knows_what_fits(self):
        out = self.client(
            "import json, kernels\n"
            "from kernels import get_kernel_variants\n"
            "v = get_kernel_variants('acme/relu', version=1)\n"
            "print(json.dumps([kernels.has_kernel('acme/relu', version=1),"
            " sorted(str(d.variant.variant_str) for d in v)]))")
        self.assertEqual(out, [True, ["torch-cpu", "torch-cuda"]])

    def test_a_mirror_that_loses_headers_is_an_error_of_the_client(self):
        self.hub.fault("headers", path="resolve",
                       headers={"X-Repo-Commit": None})
        out = self.client(
            "import json, huggingface_hub as h\n"
            "try: h.hf_hub_download('acme/relu', "
            "'build/torch-cpu/metadata.json', repo_type='kernel', "
            "revision='v1')\n"
            "except Exception as e: print(json.dumps(repr(e)))")
        self.assertIn("LocalEntryNotFoundError", out)

    def test_a_renamed_repository_is_followed(self):
        make_repo.make_repo(self.root, "acme/old", renamed_to="acme/relu")
        out = self.client(
            "import json, huggingface_hub as h\n"
            "p = h.hf_hub_download('acme/old', 'build/torch-cuda/__init__.py'"
            ", repo_type='kernel', revision='v1')\n"
            "print(json.dumps([open(p).read(), "
            "h.HfApi().kernel_info('acme/old').id]))")
        self.assertEqual(out, ["NAME = 'cuda'\n", "acme/relu"])

    def test_errors_are_the_ones_the_client_knows(self):
        out = self.client(
            "import json, huggingface_hub as h\n"
            "from huggingface_hub.errors import *\n"
            "api = h.HfApi()\n"
            "def name(f, *a, **k):\n"
            "    try: f(*a, repo_type='kernel', **k)\n"
            "    except Exception as e: return type(e).__name__\n"
            "d = h.hf_hub_download\n"
            "print(json.dumps([name(d, 'acme/none', 'x'),"
            " name(d, 'acme/relu', 'x', revision='v9'),"
            " name(d, 'acme/relu', 'x', revision='v1')]))")
        self.assertEqual(out, ["RepositoryNotFoundError",
                               "RevisionNotFoundError",
                               "RemoteEntryNotFoundError"])


    def test_metadata_of_make_repo_parses_and_its_digest_holds(self):
        make_repo.make_kernel(self.root, "acme/x", "v3", {
            "torch-cuda": {"__init__.py": "", "a/metadata.json": "{}",
                           "b.pyc": "x", "__pycache__/c": "y"}})
        folder = make_repo.branch_dir(self.root, "acme/x", "v3") + "/build"
        code = (
            "import json, pathlib\n"
            "from kernels._rust import Digest, DigestAlgorithm, Metadata\n"
            "d = pathlib.Path(%r)\n"
            "m = Metadata.read_from_file(d / 'metadata.json')\n"
            "m.digest.validate(Digest.hash_variant(m.digest.algorithm, d))\n"
            "print(json.dumps([m.version, str(m.backend.backend_type), "
            "sorted(m.digest.files)]))\n")
        self.assertEqual(self.client(code % (folder + "/torch-cuda")), [
            3, "cuda", ["__init__.py", "a/metadata.json"]])


class Repositories(Case):
    """Ids, refs, old commits, settings of a repository."""

    @unittest.skipUnless(shutil.which("git"), "git is not installed")
    def test_oids_are_those_of_git(self):
        folder = make_repo.branch_dir(self.root, "acme/relu", "v1")
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
        git("add", "-A")
        git("-c", "user.name=x", "-c", "user.email=x", "commit", "-q",
            "-m", "x")
        theirs = {}
        for line in git("ls-tree", "-r", "-t", "HEAD").splitlines():
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


class Faults(Case):
    """Each kind of fault, as a client sees it."""

    REFS = "/api/kernels/acme/relu/refs"

    def truth(self):
        return self.ask(self.REFS).data

    def test_status(self):
        self.hub.fault("status", path="refs", code=503, times=2,
                       headers={"Retry-After": "7"}, body="busy")
        for _ in range(2):
            got = self.ask(self.REFS)
            self.assertEqual(
                (got.status, got.getheader("Retry-After"), got.data),
                (503, "7", b"busy"))
        self.assertEqual(self.ask(self.REFS).status, 200)

    def test_stall_before_the_headers_until_release(self):
        fault = self.hub.fault("stall", path="refs")
        conn = self.connect()
        conn.request("GET", self.REFS)
        wait_for(lambda: fault.waiting == 1)
        self.assertEqual(self.hub.counts()["log"][-1]["status"], None)
        self.control("DELETE", "fault")
        self.assertEqual(conn.getresponse().status, 200)
        self.assertEqual(self.ask(self.REFS).status, 200)

    def test_stall_in_the_body_until_the_client_leaves(self):
        truth = self.truth()
        fault = self.hub.fault("stall", path="refs", after=10)
        conn = self.connect()
        conn.request("GET", self.REFS)
        got = conn.getresponse()
        self.assertEqual(got.read(10), truth[:10])
        wait_for(lambda: fault.waiting == 1)
        conn.sock.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: fault.waiting == 0)
        self.assertEqual(self.hub.counts()["log"][-1]["bytes"], 10)

    def test_drip_comes_slowly_and_whole(self):
        truth = self.truth()
        begin = time.monotonic()
        self.hub.fault("drip", path="refs", bps=len(truth) * 5)
        self.assertEqual(self.ask(self.REFS).data, truth)
        self.assertGreater(time.monotonic() - begin, 0.1)

    def test_cut_after_some_bytes_and_without_an_answer(self):
        fault = self.hub.fault("cut", path="refs", after=7)
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.ask(self.REFS)
        self.assertEqual(len(caught.exception.partial), 7)
        self.assertEqual(self.hub.counts()["log"][-1]["bytes"], 7)
        self.assertEqual(fault.hits, 1)
        self.hub.clear_faults()
        self.hub.fault("cut", path="refs")
        with self.assertRaises(http.client.RemoteDisconnected):
            self.ask(self.REFS)
        self.hub.clear_faults()
        self.hub.fault("cut", path="refs", reset=True)
        with self.assertRaises(ConnectionResetError):
            self.ask(self.REFS)

    def test_wrong_length_longer_and_shorter(self):
        truth = self.truth()
        self.hub.fault("wrong_length", path="refs", delta=5, times=1)
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.ask(self.REFS)
        self.assertEqual(caught.exception.partial, truth)
        self.hub.fault("wrong_length", path="refs", delta=-5, times=1)
        self.assertEqual(self.ask(self.REFS).data, truth[:-5])

    def test_wrong_bytes_has_the_right_size_and_one_other_byte(self):
        url = self.cached("build/torch-cpu/data/table.so")
        self.hub.fault("wrong_bytes", origin="cdn")
        got = self.ask(url).data
        self.assertEqual(len(got), len(BIG))
        self.assertEqual([i for i in range(len(BIG)) if got[i] != BIG[i]],
                         [350000])

    def test_html(self):
        self.hub.fault("html", path="refs")
        got = self.ask(self.REFS)
        self.assertEqual((got.status, got.getheader("Content-Type")),
                         (200, "text/html"))
        self.assertIn(b"<form", got.data)

    def test_redirects_in_a_loop_and_to_anywhere(self):
        self.hub.fault("redirect_loop", path="refs", times=1)
        got = self.ask(self.REFS)
        self.assertEqual((got.status, got.getheader("Location")),
                         (302, self.REFS))
        self.hub.fault("redirect_to", path="refs", code=307, times=1,
                       url="http://localhost:1{target}?x")
        got = self.ask(self.REFS)
        self.assertEqual((got.status, got.getheader("Location")),
                         (307, "http://localhost:1%s?x" % self.REFS))

    def test_body_and_headers(self):
        self.hub.fault("body", path="/tree/", body=[{"path": "../x"}])
        got = self.ask("/api/kernels/acme/relu/tree/v1")
        self.assertEqual((got.status, json.loads(got.data)),
                         (200, [{"path": "../x"}]))
        self.hub.fault("body", path="refs", body=b"{\"branches\": [\xff")
        self.assertEqual(self.ask(self.REFS).data, b"{\"branches\": [\xff")
        self.hub.fault("headers", path="resolve",
                       headers={"x-repo-commit": None, "ETag": "W/\"a\""})
        got = self.ask(self.file())
        self.assertEqual((got.getheader("X-Repo-Commit"),
                          got.getheader("ETag")), (None, "W/\"a\""))

    def test_a_delay_applies_besides_another_fault(self):
        self.hub.fault("delay_ms", path="refs", delay_ms=50)
        self.hub.fault("status", path="refs", code=500)
        begin = time.monotonic()
        self.assertEqual(self.ask(self.REFS).status, 500)
        self.assertGreater(time.monotonic() - begin, 0.045)

    def test_matching_by_method_origin_path_skip_and_times(self):
        fault = self.hub.fault("status", code=500, method="GET|POST",
                               origin="hub", path="tree/v1/build/torch",
                               skip=1, times=1)
        url = "/api/kernels/acme/relu/tree/v1/build%2Ftorch-cpu"
        self.assertEqual(
            [self.ask(url, "HEAD").status, self.ask(self.REFS).status,
             self.ask(url).status, self.ask(url).status,
             self.ask(url).status], [200, 200, 200, 500, 200])
        self.assertEqual((fault.hits, fault.left), (1, 0))

    def test_the_control_interface_does_all_that_the_class_does(self):
        number = self.control("POST", "fault", {
            "kind": "status", "code": 502, "path": "refs"})["id"]
        self.assertEqual(self.ask(self.REFS).status, 502)
        told = self.control("GET", "fault")
        self.assertEqual([(f["id"], f["hits"]) for f in told], [(number, 1)])
        self.control("DELETE", "fault/%d" % number)
        self.assertEqual(self.ask(self.REFS).status, 200)
        counts = self.control("GET", "counts")
        self.assertEqual(counts["requests"], {"GET " + self.REFS: 2})
        self.control("POST", "reset")
        self.assertEqual(self.control("GET", "counts")["log"], [])
        self.control("POST", "set", {"page_size": 1})
        self.assertEqual(self.hub.settings.page_size, 1)
        for name, value in (("fault", {"kind": "nonsense"}),
                            ("fault", {"kind": "status"}),
                            ("fault", {"kind": "html", "after": 1}),
                            ("fault", {"kind": "html", "path": "("}),
                            ("set", {"nonsense": 1}),
                            ("set", {"page_size": "1"})):
            got = self.ask("/_control/" + name, method="POST",
                           body=json.dumps(value))
            self.assertEqual(got.status, 400, value)


class Programs(Case):
    """hub.py, make_repo.py and relay.py as programs, and the relay."""

    def start(self, *args, **more):
        process = subprocess.Popen([sys.executable] + list(args),
                                   stdout=subprocess.PIPE, **more)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, json.loads(process.stdout.readline())

    def test_hub_announces_itself_and_leaves_cleanly_under_load(self):
        read, write = os.pipe()
        ready = self.dir + "/ready"
        process, said = self.start(
            HERE + "/hub.py", "--root", self.root, "--ready-file", ready,
            "--ready-fd", str(write), "--cdn-public-url", "http://x.test:1/",
            "--token", "good", "--set", "{\"page_size\": 1}",
            pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as f:
            self.assertEqual(json.loads(f.read()), said)
        with open(ready, encoding="utf-8") as f:
            self.assertEqual(json.load(f), said)
        url = said["url"] + self.file("build/torch-cpu/data/table.so")
        self.assertTrue(self.ask(url).getheader("Location").startswith(
            "http://x.test:1/repos/"))
        tree = self.json(said["url"] + "/api/kernels/acme/relu/tree/v1/build")
        self.assertEqual(len(tree), 1)
        self.ask(said["url"] + "/_control/fault", method="POST",
                 body=json.dumps({"kind": "stall"}))
        conn = self.connect(said["url"])
        conn.request("GET", "/api/kernels")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_hub_refuses_a_root_that_is_not_there(self):
        done = subprocess.run(
            [sys.executable, HERE + "/hub.py", "--root", self.dir + "/no"],
            stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"not a directory", done.stderr)

    def test_make_repo_writes_from_folders(self):
        make_repo.write_files(self.dir + "/src", {"__init__.py": "A = 1\n"})
        subprocess.run([sys.executable, HERE + "/make_repo.py", self.root,
                        "b/c", "v2", "--trusted",
                        "torch-cuda=" + self.dir + "/src"], check=True)
        tree = self.json("/api/kernels/b/c/tree/v2?recursive=true")
        self.assertEqual([i["path"] for i in tree][-2:],
                         ["build/torch-cuda/__init__.py",
                          "build/torch-cuda/metadata.json"])
        with open(make_repo.branch_dir(self.root, "b/c", "v2") +
                  "/build/torch-cuda/metadata.json", "rb") as f:
            meta = json.load(f)
        self.assertEqual((meta["version"], meta["backend"]["type"]),
                         (2, "cuda"))
        self.assertTrue(self.json("/api/organizations/b/overview")
                        ["trustedKernelPublisher"])

    def test_the_relay_adds_its_round_trip_and_changes_nothing(self):
        port = int(self.hub.url.rpartition(":")[2])
        url = self.cached("build/torch-cpu/data/table.so")
        with Relay("127.0.0.1", port, rtt_ms=40) as relay, \
                Relay("localhost", int(self.hub.cdn_url.rpartition(":")[2]),
                      rtt_ms=40, mbit=400) as cdn:
            conn = self.connect(relay.url)
            for least in (0.075, 0.035):
                begin = time.monotonic()
                conn.request("GET", "/api/organizations/acme/overview")
                self.assertEqual(conn.getresponse().read()[:1], b"{")
                self.assertGreater(time.monotonic() - begin, least)
            self.hub.set_cdn_public_url(cdn.url)
            url = self.cached("build/torch-cpu/data/table.so")
            self.assertTrue(url.startswith(cdn.url))
            results = []
            threads = [threading.Thread(
                target=lambda: results.append(self.ask(url).data))
                for _ in range(20)]
            begin = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual([r == BIG for r in results], [True] * 20)
            # 14 MB at 400 Mbit/s, shared by all of them.
            self.assertGreater(time.monotonic() - begin, 0.27)
            fault = self.hub.fault("stall", path="refs")
            conn = self.connect(relay.url)
            conn.request("GET", "/api/kernels/acme/relu/refs")
            wait_for(lambda: fault.waiting == 1)
            conn.sock.shutdown(socket.SHUT_RDWR)
            wait_for(lambda: fault.waiting == 0)

    def test_the_relay_as_a_program(self):
        process, said = self.start(
            HERE + "/relay.py", "--to", self.hub.url[len("http://"):],
            "--rtt-ms", "1")
        self.assertEqual(
            self.ask(said["url"] + "/api/agent-harnesses").status, 200)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)


def main():
    for name in ("huggingface_hub", "kernels"):
        if importlib.util.find_spec(name) is None:
            print("SKIP: %s is not installed here" % name)
            return 77
    result = unittest.main(exit=False, verbosity=2).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
