# SPDX-License-Identifier: Apache-2.0
"""The proof of the stand-in Hub: the unmodified clients use it.

Run with the interpreter of an environment that has kernels 0.17.2 and
huggingface_hub 2.4.0; exits 77 with one SKIP line where they are missing.
The clients run in processes of their own (they read their settings at
import). The tests without clients are run here as well.
"""

import hashlib
import importlib.util
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import make_repo  # noqa: E402
from case import BIG, Case  # noqa: E402
from test_faults import Faults, Programs  # noqa: E402, F401
from test_server import Access, Http, Repositories  # noqa: E402, F401


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
        self.assertEqual(out, ["cpu", "torch-cpu"])
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


def main():
    for name in ("huggingface_hub", "kernels"):
        if importlib.util.find_spec(name) is None:
            print("SKIP: %s is not installed here" % name)
            return 77
    result = unittest.main(exit=False, verbosity=2).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
