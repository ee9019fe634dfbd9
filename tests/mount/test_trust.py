# SPDX-License-Identifier: Apache-2.0
"""Publishers, tokens, and bytes that are not what they should be."""

import hashlib
import os
import unittest

from mounted import (
    SPEC, MountCase, errno_of, lfs_bytes, make_kernel, make_owner, make_repo,
    spec, wait_for)

TOKEN = "hf_goodgoodgoodgood"
BAD = "hf_badbadbadbadbad"
BUILD = {"torch-universal": {"__init__.py": "X = 1\n",
                             "lib.so": lfs_bytes(5000)}}


class TestPublishers(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_owner(root, "shady", trusted=False)
        make_owner(root, "person", trusted=False, kind="user")
        make_kernel(root, "acme/relu", "v1", BUILD)
        for name in ("shady/gemm", "shady/silu", "person/softmax"):
            make_kernel(root, name, "v1", BUILD,
                        files={"README.md": "# x\n"})

    def mount(self, *options, **how):
        how.setdefault("imports", ("acme", "shady", "person"))
        return super().mount(*options, **how)

    def no_build_bytes(self):
        log = self.hub.counts()["log"]
        self.assertEqual([line["path"] for line in log
                          if "/build/" in line["path"] and
                          line["endpoint"] != "tree"], [])
        self.assertNotIn("cdn", self.hub.counts()["by_endpoint"])

    def opens(self, m, repo):
        at = repo + "@v1/build/torch-universal"
        self.assertEqual(m.ls(repo + "@v1/build"), ["torch-universal"])
        self.assertEqual(m.text(at, "__init__.py"), "X = 1\n")
        package = repo.split("/")[1]
        done = m.python("import %s; print(%s.X)" % (package, package))
        self.assertEqual(done.stdout, "1\n", done.stderr)

    def is_refused(self, m, repo):
        at = repo + "@v1/build"
        self.refuses("EACCES", os.listdir, m.at(at))
        self.refuses("EACCES", os.listdir, m.at(at, "torch-universal"))
        self.refuses("EACCES", open, m.at(at, "torch-universal/__init__.py"))

    def test_an_untrusted_one_is_eacces_by_path(self):
        m = self.mount()
        for repo in ("shady/gemm", "person/softmax"):
            self.is_refused(m, repo)
        self.no_build_bytes()
        self.opens(m, "acme/relu")

    def test_trust_costs_one_request_per_owner(self):
        m = self.mount()
        for repo in ("shady/gemm", "shady/silu", "shady/gemm"):
            self.is_refused(m, repo)
        self.assertEqual(m.counts()["overview"], 1)

    def test_the_import_explains(self):
        m = self.mount()
        done = m.python("import gemm")
        self.assertEqual(done.returncode, 1)
        said = done.stderr
        self.assertIn("ImportError", said)
        for word in ("shady/gemm", "not trusted", "trust=shady"):
            self.assertIn(word, said)
        self.no_build_bytes()

    def test_the_log_says_it_once(self):
        m = self.mount()
        for _ in range(5):
            self.is_refused(m, "shady/gemm")
        lines = [line for line in m.control("log").splitlines()
                 if "shady" in line and "not trusted" in line]
        self.assertTrue(lines)
        self.assertLessEqual(len(lines), 3, lines)

    def test_the_other_environments_are_refused_too(self):
        m = self.mount()
        at = os.path.join(".env", spec("cu130"))
        self.refuses("EACCES", os.readlink, m.at(at, "gemm"))
        self.assertIn("not trusted", m.text(at, "gemm.why"))

    def test_an_owner_can_be_trusted(self):
        m = self.mount("--trust=shady")
        self.opens(m, "shady/gemm")
        self.opens(m, "shady/silu")
        self.is_refused(m, "person/softmax")

    def test_a_repository_can_be_trusted(self):
        m = self.mount("--trust=shady/gemm")
        self.opens(m, "shady/gemm")
        self.is_refused(m, "shady/silu")

    def test_everybody_can_be_trusted(self):
        m = self.mount("--trust=*")
        for repo in ("shady/gemm", "person/softmax"):
            self.opens(m, repo)
        self.assertNotIn("overview", m.counts())

    def test_several_in_one_list(self):
        m = self.mount("-o", "trust=person/softmax,trust=shady")
        self.opens(m, "shady/silu")
        self.opens(m, "person/softmax")

    def test_a_cache_does_not_make_anybody_trusted(self):
        self.opens(self.mount("--trust=shady", cache="one"), "shady/gemm")
        m = self.mount(cache="one")
        self.is_refused(m, "shady/gemm")
        done = m.python("import gemm")
        self.assertIn("not trusted", done.stderr)


class TestTokens(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", BUILD)
        make_kernel(root, "acme/secret", "v1", BUILD)
        make_repo(root, "acme/secret", private=True)
        make_kernel(root, "acme/gated", "v1", BUILD)
        make_repo(root, "acme/gated", gated="manual")

    def setUp(self):
        super().setUp()
        self.hub.set(tokens=[TOKEN])

    def token_file(self, token=TOKEN):
        path = os.path.join(self.dir, "token")
        with open(path, "w", encoding="utf-8") as f:
            f.write(token + "\n")
        return path

    def reads(self, m, repo):
        at = repo + "@v1/build/torch-universal"
        self.assertEqual(m.text(at, "__init__.py"), "X = 1\n")
        with open(m.at(at, "lib.so"), "rb") as f:
            self.assertEqual(f.read(), BUILD["torch-universal"]["lib.so"])

    def secrets(self, m, token=TOKEN):
        """The token is nowhere but in requests to the Hub itself."""
        for line in self.hub.counts()["log"]:
            if line["origin"] == "cdn":
                self.assertFalse(line["authorization"], line)
            self.assertNotIn(token, line["path"])
        said = [m.said()]
        for base, folders, files in os.walk(m.at(".kernelfs")):
            if "owners" in folders:
                folders.remove("owners")
            for name in files:
                with open(os.path.join(base, name), errors="replace",
                          encoding="utf-8") as f:
                    said.append(f.read())
        for base, _, files in os.walk(m.cache):
            for name in files:
                with open(os.path.join(base, name), errors="replace",
                          encoding="utf-8") as f:
                    said.append(f.read())
        self.assertGreater(len(said), 5)
        for one in said:
            self.assertNotIn(token, one)

    def test_a_private_one_without_a_token_is_not_there(self):
        m = self.mount()
        self.assertNotIn("secret", m.ls())
        self.refuses("ENOENT", os.listdir, m.at("acme/secret@v1"))
        self.reads(m, "acme/relu")
        self.assertFalse(any(line["authorization"]
                             for line in self.hub.counts()["log"]))

    def test_a_refused_token_is_eacces(self):
        m = self.mount(environment={"HF_TOKEN": BAD})
        self.refuses("EACCES", os.listdir, m.at("acme/secret@v1"))
        self.assertIn("token", m.control("log"))
        self.secrets(m, BAD)

    def test_a_good_token_opens_it(self):
        m = self.mount(environment={"HF_TOKEN": TOKEN})
        self.assertIn("secret", m.ls())
        self.reads(m, "acme/secret")
        self.reads(m, "acme/gated")
        done = m.python("import secret; print(secret.X)")
        self.assertEqual(done.stdout, "1\n", done.stderr)
        self.assertGreater(m.counts()["cdn"], 0)
        self.secrets(m)

    def test_the_token_may_be_in_a_file(self):
        m = self.mount("--token-file=" + self.token_file())
        self.reads(m, "acme/secret")
        self.secrets(m)

    def test_the_token_may_be_where_the_hub_s_tools_keep_it(self):
        for name in ("HF_TOKEN_PATH", "HF_HOME"):
            path = self.token_file()
            where = path if name == "HF_TOKEN_PATH" else self.dir
            m = self.mount(environment={name: where})
            self.reads(m, "acme/secret")

    def test_a_token_that_is_replaced_is_read_again(self):
        path = self.token_file(BAD)
        m = self.mount("--token-file=" + path)
        self.refuses("EACCES", os.listdir, m.at("acme/secret@v1"))
        self.token_file(TOKEN)
        # Another name: the refusal of the first is kept for a while.
        self.reads(m, "acme/gated")

    def test_a_gated_one_is_eacces_and_says_how(self):
        self.hub.set(outsiders=["hf_outsider"])
        m = self.mount(environment={"HF_TOKEN": "hf_outsider"})
        at = m.at("acme/gated@v1/build/torch-universal/__init__.py")
        self.refuses("EACCES", open, at)
        self.assertIn("terms", m.control("log"))

    def test_the_debug_log_is_silent_about_it(self):
        m = self.mount("--log-level=debug", environment={"HF_TOKEN": TOKEN})
        self.reads(m, "acme/secret")
        self.secrets(m)


class TestWrongBytes(MountCase):
    LIB = lfs_bytes(200000, seed=5)

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: {
            "__init__.py": "X = 1\n", "lib.so": self.LIB,
            "text.txt": "some text\n"}}, files={"README.md": "# x\n"})

    def at(self, m, *parts):
        return m.at("acme/relu@v1/build", SPEC, *parts)

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def test_a_library_that_does_not_match_is_never_served(self):
        self.hub.fault("wrong_bytes", origin="cdn")
        m = self.mount()
        self.assertEqual(errno_of(self.read, self.at(m, "lib.so")), "EBADMSG")
        log = m.control("log")
        self.assertIn("lib.so", log)
        self.assertIn(hashlib.sha256(self.LIB).hexdigest(), log)
        flipped = bytearray(self.LIB)
        self.assertEqual(self.cached(m, len(flipped)), [])

    def test_a_small_file_that_does_not_match_is_never_served(self):
        self.hub.fault("wrong_bytes", path="text.txt")
        m = self.mount()
        os.listdir(self.at(m))
        self.assertEqual(errno_of(self.read, self.at(m, "text.txt")),
                         "EBADMSG")
        self.assertEqual(self.cached(m, len("some text\n")), [])

    def test_a_longer_and_a_shorter_file(self):
        for body in ("some text\nand more\n", "some", ""):
            fault = self.hub.fault("body", path="text.txt", body=body)
            m = self.mount()
            os.listdir(self.at(m))
            self.assertIn(errno_of(self.read, self.at(m, "text.txt")),
                          ("EBADMSG", "EIO"), body)
            self.assertEqual(self.cached(m, len(body)) if body else [], [])
            self.assertGreater(fault.hits, 0)
            self.hub.clear_faults()

    def cached(self, m, size):
        out = []
        for base, _, files in os.walk(m.cache):
            for name in files:
                path = os.path.join(base, name)
                if "notes" not in base and os.path.getsize(path) == size:
                    out.append(path)
        return out

    def test_it_is_served_once_it_is_right(self):
        self.hub.fault("wrong_bytes", origin="cdn")
        m = self.mount(cache="one")
        errno_of(self.read, self.at(m, "lib.so"))
        self.hub.clear_faults()
        m = self.mount(cache="one")
        self.assertEqual(self.read(self.at(m, "lib.so")), self.LIB)

    def test_a_mirror_that_is_wrong_once_is_asked_again(self):
        self.hub.fault("wrong_bytes", origin="cdn", times=1)
        m = self.mount()
        wait_for(lambda: errno_of(self.read, self.at(m, "lib.so")) is None,
                 "another try")
        self.assertEqual(self.read(self.at(m, "lib.so")), self.LIB)

    def test_an_import_of_it_fails_with_an_error(self):
        make_kernel(self.root, "acme/gemm", "v1", {
            "torch-universal": {"__init__.py": "X = 1\n"}})
        self.hub.fault("wrong_bytes", path="__init__.py")
        m = self.mount()
        done = m.python("import gemm")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Error", done.stderr.splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
