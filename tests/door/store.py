# SPDX-License-Identifier: Apache-2.0
"""What the tests of the door's bytecode share: a store, and what was done."""

import json
import os
import shutil
import sys
import textwrap

import base
import fixture
from base import DoorTest

PLAIN = "import door_plain, door_plain.late"
# What a process compiles and opens, other programs' business left out.
WATCH = """
import atexit, json, os, sys
_root = %r
_did = {"compile": [], "open": []}

def _hook(event, args):
    path = args[1] if event == "compile" else event == "open" and args[0]
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if isinstance(path, str) and path.startswith(_root + "/"):
        _did[event].append(path[len(_root) + 1:])

sys.addaudithook(_hook)

def _tell(fd=os.dup(1)):
    _did["kept"] = {k: list(dict.fromkeys(v)) for k, v in _did.items()}
    sys.stdout.flush()
    os.write(fd, b"\\n" + json.dumps(_did["kept"]).encode() + b"\\n")

atexit.register(_tell)
"""


_shared = []


def no_pycache(mount):
    """As on a mount, nothing can be written beside the sources."""
    for top, folders, _ in os.walk(mount.path):
        shutil.rmtree(top + "/__pycache__", True)
        if "__pycache__" in folders:
            folders.remove("__pycache__")
        fixture.put(top + "/__pycache__", "")
    return mount


class StoreTest(DoorTest):
    """Each test has a user's cache of its own, empty at first."""

    def use(self, mount):
        if mount in base._mounts:  # which other tests need as it is
            if not _shared:
                _shared.append(no_pycache(fixture.Mount()))
            mount = _shared[0]
        super().use(no_pycache(mount) if mount not in _shared else mount)

    def setUp(self):
        super().setUp()
        self.cache = self.folder()
        self.bytecode = {
            "PYTHONDONTWRITEBYTECODE": None,
            "XDG_CACHE_HOME": self.cache,
        }
        self.tag = sys.implementation.cache_tag
        self.said = ""

    def made(self):
        """Was kernelfs built with bytecode of the door for this Python?"""
        return os.path.exists("%s/.kernelfs/door/%s.made" % (
            self.root, self.tag))

    def always(self):
        """The pieces of the door that every process compiles."""
        return [] if self.made() else ["first.py"]

    def store(self, optimize=0, cache=None):
        return "%s/kernelfs/bytecode/%s.%d" % (
            cache or self.cache, self.tag, optimize)

    def kept(self, cache=None):
        """Files of kernels below the bytecode folder, by their paths."""
        return [p for p in self.files(cache)
                if "/door/" not in p and not p.endswith("/.lock")]

    def files(self, cache=None):
        top, found = (cache or self.cache) + "/kernelfs/bytecode", []
        for at, _, names in os.walk(top):
            found += [os.path.join(at, n)[len(top) + 1:] for n in names]
        return sorted(found)

    def run_watched(self, code=PLAIN, before="", **how):
        """Run it: (modules that it compiled, files of builds it opened).
        What it printed is then in `said`; it must be silent else."""
        root = how.pop("root", self.root)
        text = "%s\n%s\n%s" % (
            WATCH % root, textwrap.dedent(before), textwrap.dedent(code))
        done = self.start(text, **how)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stderr)
        said, _, last = done.stdout.strip().rpartition("\n")
        self.said = said.strip()
        did = json.loads(last)
        builds = [
            [p.partition("/build/")[2].partition("/")[2]
             for p in did[event] if "/build/" in p]
            for event in ("compile", "open")
        ]
        self.pieces = [os.path.basename(p) for p in did["compile"]
                       if ".kernelfs/door/" in p]
        return builds

    def compiled(self, *args, **how):
        return self.run_watched(*args, **how)[0]

    def of_plain(self):
        """The folder in which the code of door_plain is kept."""
        sha = "%s/build/%s" % (self.commit(), fixture.UNIVERSAL)
        return "%s/%s" % (self.store(), sha)

    def commit(self):
        """That of door_plain, as the mount has it."""
        place = os.path.realpath("%s/%s/door-plain" % (self.root,
                                                       fixture.OWNER))
        if os.path.exists(place):
            return place[len(self.root) + 1:]
        return self.mount.commit("door-plain", "v2")


ALL_OF_PLAIN = [
    "__init__.py", "deep/__init__.py", "deep/leaf.py", "late.py", "sub.py",
    "util.py",
]
