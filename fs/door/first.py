# SPDX-License-Identifier: Apache-2.0
"""The door's first piece: recalls the others, and kernels, from bytecode.

The stub runs it as the module `_kernelfs_1`, where 1 is the number of their
agreement, and core.py goes on in the same namespace. Where it was not made for
this Python every process compiles it, so it holds what recalling needs and no
more.

Kept code is four bytes of magic, four of zero, eight of a hash over the rest,
and the code. What another user could have written, what lies behind a link or
was altered is not loaded: each folder on the way and the file are the user's
own and writable by nobody else. The hash is for damage: it would crash Python.
"""

import os
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from marshal import loads

# Of all pieces, put in when kernelfs is built: no release meets old code.
RELEASE = "@RELEASE@"
DOOR = os.path.dirname(__file__)
HEAD = MAGIC_NUMBER + bytes(4)
HOW = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
made = globals().get("made", {})  # code of pieces, from when it was built
fresh = []  # pieces that were compiled: (file to keep it in, code)


def private(folder):
    """Whether nobody but the user can have put there what is in it."""
    st = os.lstat(folder)
    return st.st_mode & 0o170022 == 0o040000 and st.st_uid == os.geteuid()


def trusted(base):
    """Whether nobody else can put one folder of the user in the place of
    another. A group that has the user's number is the user's alone."""
    st, me = os.stat(base), os.geteuid()
    others = st.st_mode & (0o002 if st.st_gid == st.st_uid == me else 0o022)
    return st.st_uid in (0, me) and (not others or st.st_mode & 0o1000)


def find_store(usable):
    """The folder of the user's bytecode for this Python, or None."""
    tag, get = sys.implementation.cache_tag, os.environ.get
    path = get("XDG_CACHE_HOME") or get("HOME") and get("HOME") + "/.cache"
    try:
        if not (tag and path and path[0] == "/"):
            return None
        if (os.geteuid(), os.getegid()) != (os.getuid(), os.getgid()):
            return None
        if not trusted(path):
            return None
        tag = "%s.%d" % (tag, sys.flags.optimize)
        for part in "kernelfs", "bytecode", tag:
            path += "/" + part
            if not usable(path):
                return None
        return path
    except (OSError, ValueError):
        return None


def placed(code, path):
    """CODE as that of the source PATH, which tracebacks name."""
    if code.co_filename != path:
        from _imp import _fix_co_filename

        _fix_co_filename(code, path)
    return code


def recall(kept, path):
    """The code of the source PATH as the file KEPT has it, or None."""
    try:
        fd = os.open(kept, HOW)
    except (OSError, ValueError):
        return None
    try:
        st = os.fstat(fd)
        if st.st_mode & 0o170022 != 0o100000 or st.st_uid != os.geteuid():
            return None
        data = os.read(fd, st.st_size + 1)
    except OSError:
        return None
    finally:
        os.close(fd)
    body = memoryview(data)[16:]
    if data[:8] != HEAD or data[8:16] != source_hash(body):
        return None
    return placed(loads(body), path)


def piece(name):
    """The code of a piece of the door."""
    path, code = "%s/%s.py" % (DOOR, name), made.get(name)
    if code is not None:
        return placed(code, path)
    kept = "/door/%s-%s.pyc" % (RELEASE, name)
    if store and pieces_private:
        code = recall(store + kept, path)
    if code is None:
        with open(path, "rb", 0) as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        fresh.append((kept, code))
    return code


def open_store():
    """Look for the store; whether a program may use it is core's to say."""
    global store, pieces_private
    store = find_store(private)
    try:
        pieces_private = store and private(store + "/door")
    except OSError:
        pieces_private = False


store, pieces_private = None, False
allowed = not (sys.flags.isolated or sys.pycache_prefix)
if allowed:
    open_store()
exec(piece("core"), globals())
