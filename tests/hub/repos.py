# SPDX-License-Identifier: Apache-2.0
"""What is in the repositories: folders on disk become commits with git ids.

Layout below the root:

    <owner>/owner.json                 {"trusted": bool, "kind": "org"|"user"}
    <owner>/<repo>/repo.json           optional, keys below
    <owner>/<repo>/branches/<name>/... the files of a branch, "/" as %2F
    <owner>/<repo>/tags/<name>/...     a tag with its own files, or
    <owner>/<repo>/tags/<name>         a text file: a branch or a commit

repo.json: "private" (bool), "gated" (false, "auto", "manual"), "lfs" (glob
patterns against the path or its last part, default ["*.so"]), "lfs_over"
(bytes: larger files are LFS as well), "renamed_to" ("owner/name"), "xet"
(true is refused: there is no CAS server here).

Ids are git's own: blobs and trees are what `git hash-object` and
`git write-tree` give, an LFS file counts as its pointer. The commit is the
hash of a commit object without parents that names the repository, so equal
content gives an equal commit in every run. Symbolic links are read through;
empty folders do not exist, as in git.

A repository is read when it is first asked for, and again on reload() only:
what tests see never depends on the moment of a write. A commit once seen
stays servable, its bytes are copied (small ones in memory, the others in a
private folder). owner.json is read at every use.
"""

import fnmatch
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import urllib.parse

IN_MEMORY = 256 * 1024
POINTER = ("version https://git-lfs.github.com/spec/v1\n"
           "oid sha256:%s\nsize %d\n")
COMMIT_RE = re.compile(r"[0-9a-f]{40}\Z")
NAME_RE = re.compile(r"[\w][\w.-]{0,95}\Z", re.ASCII)


def git_hash(kind, data):
    head = b"%s %d\0" % (kind, len(data))
    return hashlib.sha1(head + data).hexdigest()


class Blob:
    """The bytes of one file, at most IN_MEMORY of them held in memory."""

    __slots__ = ("size", "sha1", "sha256", "data", "path")

    def __init__(self, size, sha1, sha256, data, path):
        self.size = size
        self.sha1 = sha1
        self.sha256 = sha256
        self.data = data
        self.path = path

    def read(self, offset, length):
        if self.data is not None:
            return self.data[offset:offset + length]
        with open(self.path, "rb") as f:
            f.seek(offset)
            return f.read(length)


class BlobStore:
    """Copies of all bytes ever served, so that folders may change."""

    def __init__(self):
        self._dir = tempfile.mkdtemp(prefix="hub-objects-")
        self._blobs = {}
        self._lock = threading.Lock()
        self._serial = 0

    def add(self, path):
        size = os.stat(path).st_size
        if size <= IN_MEMORY:
            with open(path, "rb") as f:
                data = f.read()
            sha256 = hashlib.sha256(data).hexdigest()
            sha1 = git_hash(b"blob", data)
            with self._lock:
                return self._blobs.setdefault(
                    sha256, Blob(len(data), sha1, sha256, data, None))
        return self._add_large(path)

    def _add_large(self, path):
        with self._lock:
            self._serial += 1
            copy = os.path.join(self._dir, "t%d" % self._serial)
        shutil.copyfile(path, copy)
        # The copy is hashed, not the original: nobody writes to it.
        size = os.stat(copy).st_size
        sha1 = hashlib.sha1(b"blob %d\0" % size)
        sha256 = hashlib.sha256()
        with open(copy, "rb") as f:
            while True:
                piece = f.read(1 << 20)
                if not piece:
                    break
                sha1.update(piece)
                sha256.update(piece)
        name = sha256.hexdigest()
        with self._lock:
            if name in self._blobs:
                os.unlink(copy)
                return self._blobs[name]
            final = os.path.join(self._dir, name)
            os.rename(copy, final)
            blob = Blob(size, sha1.hexdigest(), name, None, final)
            self._blobs[name] = blob
            return blob

    def get(self, sha256):
        return self._blobs.get(sha256)

    def close(self):
        shutil.rmtree(self._dir, ignore_errors=True)


class File:
    """One file of a commit."""

    __slots__ = ("path", "blob", "oid", "lfs", "mode", "pointer_size")
    is_dir = False

    def __init__(self, path, blob, lfs, mode):
        self.path = path
        self.blob = blob
        self.lfs = lfs
        self.mode = mode
        self.oid = blob.sha1
        self.pointer_size = 0
        if lfs:
            pointer = (POINTER % (blob.sha256, blob.size)).encode()
            self.oid = git_hash(b"blob", pointer)
            self.pointer_size = len(pointer)

    def item(self):
        out = {"type": "file", "oid": self.oid, "size": self.blob.size,
               "path": self.path}
        if self.lfs:
            out["lfs"] = {"oid": self.blob.sha256, "size": self.blob.size,
                          "pointerSize": self.pointer_size}
        return out


class Dir:
    """One directory of a commit; children in git's order."""

    __slots__ = ("path", "oid", "children")
    is_dir = True

    def __init__(self, path, children):
        self.path = path
        self.children = children
        tree = b""
        for name, node in children:
            mode = b"40000" if node.is_dir else node.mode
            tree += mode + b" " + name + b"\0" + bytes.fromhex(node.oid)
        self.oid = git_hash(b"tree", tree)

    def item(self):
        return {"type": "directory", "oid": self.oid, "size": 0,
                "path": self.path}

    def walk(self):
        for _, node in self.children:
            yield node
            if node.is_dir:
                yield from node.walk()


class Snapshot:
    """One commit: its tree, and a table from path to node."""

    def __init__(self, repo_id, root):
        text = ("tree %s\n"
                "author hub <hub@localhost> 0 +0000\n"
                "committer hub <hub@localhost> 0 +0000\n\n"
                "%s\n" % (root.oid, repo_id)).encode()
        self.commit = git_hash(b"commit", text)
        self.root = root
        self.nodes = {node.path: node for node in root.walk()}
        self.nodes[""] = root
        self._listings = {}

    def listing(self, path, recursive):
        """The items of a directory as JSON texts, made once."""
        key = (path, recursive)
        found = self._listings.get(key)
        if found is None:
            node = self.nodes[path]
            nodes = node.walk() if recursive else \
                (child for _, child in node.children)
            found = [json.dumps(n.item(), separators=(",", ":"))
                     for n in nodes]
            self._listings[key] = found
        return found


def read_json(path):
    try:
        with open(path, encoding="utf-8") as f:
            value = json.load(f)
    except FileNotFoundError:
        return {}
    if not isinstance(value, dict):
        raise ValueError("%s: not an object" % path)
    return value


class Repo:
    """One repository: its settings, branches, tags and all its commits."""

    def __init__(self, repo_id, folder, store):
        self.id = repo_id
        self.folder = folder
        self.store = store
        self.snapshots = {}
        self.load()

    def load(self):
        conf = read_json(os.path.join(self.folder, "repo.json"))
        if conf.get("xet"):
            raise ValueError("%s: xet needs a CAS server, which is not here"
                             % self.folder)
        self.private = bool(conf.get("private", False))
        self.gated = conf.get("gated", False)
        self.renamed_to = conf.get("renamed_to")
        self.lfs = list(conf.get("lfs", ["*.so"]))
        self.lfs_over = conf.get("lfs_over")
        branches = {}
        for name, path in self._entries("branches"):
            branches[name] = self._snapshot(path)
        tags = {}
        for name, path in self._entries("tags"):
            tags[name] = self._tag(path, branches)
        self.branches, self.tags = branches, tags

    def _entries(self, kind):
        folder = os.path.join(self.folder, kind)
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return
        for name in names:
            yield urllib.parse.unquote(name), os.path.join(folder, name)

    def _tag(self, path, branches):
        if os.path.isdir(path):
            return self._snapshot(path)
        with open(path, encoding="utf-8") as f:
            target = f.read().strip()
        if target in branches:
            return branches[target]
        if target in self.snapshots:
            return target
        raise ValueError("%s: no branch or commit '%s'" % (path, target))

    def _snapshot(self, folder):
        snap = Snapshot(self.id, self._dir(folder, ""))
        # The first one is kept: its listings may be made already.
        return self.snapshots.setdefault(snap.commit, snap).commit

    def _dir(self, folder, path):
        children = []
        with os.scandir(folder) as entries:
            for entry in entries:
                sub = path + "/" + entry.name if path else entry.name
                if entry.is_dir():
                    node = self._dir(entry.path, sub)
                    if node.children:
                        children.append((os.fsencode(entry.name), node))
                else:
                    children.append((os.fsencode(entry.name),
                                     self._file(entry, sub)))
        # git compares a directory as if its name ended in a slash.
        children.sort(key=lambda c: c[0] + b"/" if c[1].is_dir else c[0])
        return Dir(path, children)

    def _file(self, entry, path):
        blob = self.store.add(entry.path)
        mode = b"100755" if entry.stat().st_mode & 0o100 else b"100644"
        return File(path, blob, self._is_lfs(path, blob.size), mode)

    def _is_lfs(self, path, size):
        if self.lfs_over is not None and size > self.lfs_over:
            return True
        name = path.rsplit("/", 1)[-1]
        return any(fnmatch.fnmatchcase(path, glob) or
                   fnmatch.fnmatchcase(name, glob) for glob in self.lfs)

    def default_branch(self):
        if "main" in self.branches or not self.branches:
            return "main"
        return sorted(self.branches)[0]

    def find(self, revision):
        """The snapshot of a branch, tag, full ref or commit, or None."""
        for refs, prefix in ((self.branches, "refs/heads/"),
                             (self.tags, "refs/tags/")):
            if revision in refs:
                return self.snapshots[refs[revision]]
            if revision.startswith(prefix) and \
                    revision[len(prefix):] in refs:
                return self.snapshots[refs[revision[len(prefix):]]]
        if COMMIT_RE.match(revision):
            return self.snapshots.get(revision)
        return None


class Repos:
    """All repositories below the root."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.store = BlobStore()
        self._repos = {}
        self._lock = threading.Lock()

    def close(self):
        self.store.close()

    def owner(self, name):
        """owner.json with its defaults, or None for nobody of that name."""
        folder = os.path.join(self.root, name)
        if not NAME_RE.match(name) or not os.path.isdir(folder):
            return None
        conf = {"trusted": False, "kind": "org"}
        conf.update(read_json(os.path.join(folder, "owner.json")))
        return conf

    def get(self, repo_id):
        repo = self._repos.get(repo_id)
        if repo is not None:
            return repo
        owner, _, name = repo_id.partition("/")
        if not NAME_RE.match(owner) or not NAME_RE.match(name):
            return None
        folder = os.path.join(self.root, owner, name)
        if not os.path.isdir(folder):
            return None
        with self._lock:
            repo = self._repos.get(repo_id)
            if repo is None:
                repo = Repo(repo_id, folder, self.store)
                self._repos[repo_id] = repo
            return repo

    def ids(self, author=None):
        """All repository ids on disk, sorted, of one owner or of all."""
        try:
            owners = [author] if author else sorted(os.listdir(self.root))
        except FileNotFoundError:
            owners = []
        out = []
        for owner in owners:
            folder = os.path.join(self.root, owner)
            if not NAME_RE.match(owner) or not os.path.isdir(folder):
                continue
            out += [owner + "/" + name for name in sorted(os.listdir(folder))
                    if NAME_RE.match(name) and
                    os.path.isdir(os.path.join(folder, name))]
        return out

    def is_listed(self, repo_id, may_see_private):
        """Does the list of kernels show it? Reads repo.json, no content."""
        repo = self._repos.get(repo_id)
        if repo is not None:
            private, renamed = repo.private, repo.renamed_to
        else:
            conf = read_json(os.path.join(self.root, repo_id, "repo.json"))
            private, renamed = conf.get("private"), conf.get("renamed_to")
        return not renamed and (may_see_private or not private)

    def reload(self, repo_id=None):
        """Read the folders again; former commits stay."""
        with self._lock:
            for known, repo in list(self._repos.items()):
                if repo_id not in (None, known):
                    continue
                if os.path.isdir(repo.folder):
                    repo.load()
                else:
                    del self._repos[known]
