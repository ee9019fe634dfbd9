# SPDX-License-Identifier: Apache-2.0
"""A stand-in Hub with thousands of kernels that all have one content.

Used like tests/hub/hub.py, and it is that, but a folder that is reached
through a link is read once, however many links lead to it.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "hub"))

import hub  # noqa: E402
import repos  # noqa: E402

SEEN = {}


class Snapshot(repos.Snapshot):
    """A commit of its own, over nodes and listings that all share."""

    def __init__(self, repo_id, root):
        first = SEEN.get(root.oid)
        if first is None:
            super().__init__(repo_id, root)
            SEEN[root.oid] = self
            return
        text = "%s %s" % (repo_id, root.oid)
        self.commit = repos.git_hash(b"commit", text.encode())
        self.root, self.nodes = first.root, first.nodes
        self._listings = first._listings


class Repo(repos.Repo):
    roots = {}

    def _snapshot(self, folder):
        real = os.path.realpath(folder)
        if real not in self.roots:
            self.roots[real] = self._dir(folder, "")
        snap = Snapshot(self.id, self.roots[real])
        return self.snapshots.setdefault(snap.commit, snap).commit


repos.Repo = Repo

if __name__ == "__main__":
    sys.exit(hub.main(sys.argv[1:]))
