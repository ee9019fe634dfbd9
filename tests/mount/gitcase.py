# SPDX-License-Identifier: Apache-2.0
"""What the tests of git sources share: a root of repositories written by
hand, a git server on it, and mounts of it."""

import hashlib
import json
import os
import sys

from mounted import ROOT, MountCase, lfs_bytes, make_metadata

sys.path.insert(0, os.path.join(ROOT, "tests", "git"))

from gitserver import GitServer  # noqa: E402
from repository import Repository, lfs_pointer  # noqa: E402

LIBRARY = lfs_bytes(300000, seed=7)
VARIANT = "torch-universal"


def build(mark, variant=VARIANT, large=None, **more):
    """The files of a revision with one build; `large` as files of LFS."""
    files = {"__init__.py": "MARK = %r\n" % mark, "sub/__init__.py": "",
             "sub/part.py": "PART = 1\n", **more}
    whole = {**files, **(large or {})}
    files.update({path: lfs_pointer(content)
                  for path, content in (large or {}).items()})
    files["metadata.json"] = json.dumps(
        make_metadata("relu", variant, whole, 1))
    return {"build/%s/%s" % (variant, path): content
            for path, content in files.items()}


def oid(content):
    return hashlib.sha256(content).hexdigest()


class GitCase(MountCase):
    """`self.relu`: acme/relu.git with v1, v2, and a large file in v2."""

    def setUp(self):
        super().setUp()
        self.repos = os.path.join(self.dir, "git")
        self.relu = self.repository("acme/relu.git")
        self.one = self.relu.commit(build("one"), branch="v1")
        self.two = self.relu.commit(
            {**build("two", large={"lib.so": LIBRARY}), "README.md": "# relu\n"},
            branch="v2", parent=self.one)
        self.server = GitServer(self.repos)
        self.addCleanup(self.server.close)
        self.server.large[oid(LIBRARY)] = LIBRARY

    def repository(self, name):
        return Repository(os.path.join(self.repos, name))

    def mount(self, *options, **how):
        how.setdefault("source", "git+" + self.server.url)
        how.setdefault("imports", ("acme/relu",))
        return super().mount("--trust=acme", *options, **how)

    def here(self, *options, **how):
        return self.mount(*options, source="git+file://" + self.repos, **how)

    def assert_asked(self, **expected):
        self.assertEqual(self.server.counts(), expected, "\n".join(
            "%(method)s %(path)s" % line for line in self.server.log))
