# SPDX-License-Identifier: Apache-2.0
"""Git repositories written by hand: objects as they are on disk, so that
hostile ones, which git itself would not write, are as easy as good ones.

    r = Repository(folder)
    commit = r.commit({"build/x/__init__.py": "X = 1\n"}, branch="v1")
    r.tag("v0.1.0", commit)
"""

import hashlib
import os
import struct
import zlib

FILE, PROGRAM, FOLDER, LINK, MODULE = (
    "100644", "100755", "40000", "120000", "160000")


def lfs_pointer(content):
    """The small file that stands for a large one."""
    return ("version https://git-lfs.github.com/spec/v1\n"
            "oid sha256:%s\nsize %d\n" %
            (hashlib.sha256(content).hexdigest(), len(content))).encode()


class Link(str):
    """A symbolic link's target."""


class Module(str):
    """A submodule's commit."""


class Raw(bytes):
    """A tree object as it is, for what no dict can say."""


class Repository:
    def __init__(self, folder):
        self.folder = folder
        self.names = {}
        for name in ("objects/pack", "refs/heads", "refs/tags"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        self.put("HEAD", "ref: refs/heads/main\n")
        self.put("config", "[core]\n\trepositoryformatversion = 0\n"
                 "\tbare = true\n")

    def put(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(content)

    def object(self, kind, body):
        """Write a loose object; its name."""
        whole = b"%s %d\0%s" % (kind.encode(), len(body), body)
        name = hashlib.sha1(whole).hexdigest()
        path = os.path.join(self.folder, "objects", name[:2], name[2:])
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(zlib.compress(whole, 1))
        return name

    def blob(self, content):
        if isinstance(content, str):
            content = content.encode()
        return self.object("blob", content)

    @staticmethod
    def entry(mode, name, oid):
        if isinstance(name, str):
            name = name.encode()
        return mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid)

    def _entry_of(self, name, value):
        if isinstance(value, dict):
            return self.entry(FOLDER, name, self.tree(value))
        if isinstance(value, Raw):
            return self.entry(FOLDER, name, self.object("tree", value))
        if isinstance(value, Link):
            return self.entry(LINK, name, self.blob(str(value)))
        if isinstance(value, Module):
            return self.entry(MODULE, name, str(value))
        return self.entry(FILE, name, self.blob(value))

    def tree(self, files):
        """A nested dict of what is in it; git's own order of names."""
        def order(item):
            name, value = item
            folder = isinstance(value, (dict, Raw))
            return (name + "/" if folder else name).encode()
        return self.object("tree", b"".join(
            self._entry_of(n, v) for n, v in sorted(files.items(), key=order)))

    def commit(self, files, branch=None, parent=None, tree=None):
        """Of files by path, or of a tree that is there already."""
        if tree is None:
            tree = self.tree(nest(files))
        lines = ["tree " + tree]
        lines += ["parent " + parent] if parent else []
        lines += ["author A <a@b> 1700000000 +0000",
                  "committer A <a@b> 1700000000 +0000", "", "message", ""]
        name = self.object("commit", "\n".join(lines).encode())
        if branch:
            self.put("refs/heads/" + branch, name + "\n")
        return name

    def tag(self, name, commit, annotated=False):
        if annotated:
            commit = self.object("tag", (
                "object %s\ntype commit\ntag %s\n"
                "tagger A <a@b> 1700000000 +0000\n\nmessage\n" %
                (commit, name)).encode())
        self.put("refs/tags/" + name, commit + "\n")

    def drop(self, ref):
        os.unlink(os.path.join(self.folder, "refs", ref))


def nest(files):
    """{"a/b": x} as {"a": {"b": x}}."""
    out = {}
    for path, value in files.items():
        at = out
        *steps, last = path.split("/")
        for step in steps:
            at = at.setdefault(step, {})
        at[last] = value
    return out


def pack_of_nothing(count):
    """The head of a pack that promises so many objects, and its hash."""
    head = b"PACK" + struct.pack(">II", 2, count)
    return head + hashlib.sha1(head).digest()


def _varint(n):
    out = b""
    while n > 0x7f:
        out += bytes((n & 0x7f | 0x80,))
        n >>= 7
    return out + bytes((n,))


def _head(kind, size):
    first = kind << 4 | size & 15
    size >>= 4
    return bytes((first | 0x80,)) + _varint(size) if size else bytes((first,))


def _back(n):
    out = bytes((n & 0x7f,))
    while n > 0x7f:
        n = (n >> 7) - 1
        out = bytes((n & 0x7f | 0x80,)) + out
    return out


def pack_that_unfolds(count, size):
    """A small pack of one file of `size` zeros and `count` others, each that
    one with a few bytes more: nobody ever comes to their end."""
    body = b"PACK" + struct.pack(">II", 2, count + 1)
    base = len(body)
    body += _head(3, size) + zlib.compress(bytes(size), 9)
    parts = [body]
    at = len(body)
    for i in range(count):
        delta = _varint(size) + _varint(size + 4)
        for begin in range(0, size, 0xffffff):
            delta += b"\xff" + struct.pack("<I", begin) + struct.pack(
                "<I", min(size - begin, 0xffffff))[:3]
        delta += b"\4" + struct.pack("<I", i)
        one = _head(6, len(delta)) + _back(at - base) + zlib.compress(delta)
        parts.append(one)
        at += len(one)
    whole = b"".join(parts)
    return whole + hashlib.sha1(whole).digest()
