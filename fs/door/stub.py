# SPDX-License-Identifier: Apache-2.0
"""A kernel of the Hub: importing it puts the build that fits here."""


def _kernelfs_door(g):
    import sys

    del g["_kernelfs_door"]
    door = sys.modules.get("_kernelfs_1")
    if door is not None:
        return door.door(g)
    # Where this file is compiled, every kernel does it, so what only the first
    # one of a process needs is a text; in bytecode it is code already.
    first = """
import sys
from _thread import RLock


def door(g):
    def wait(name):
        # Who imports a submodule meanwhile is not held by the lock of the
        # package: it asks for __path__, and gets it once it is known.
        if name == "__path__" and known.acquire(timeout=60):
            known.release()
            if failed:
                raise ImportError(str(failed), name=g["__name__"]) from failed
        if name in g:
            return g[name]
        raise AttributeError(name)

    known, failed, before = RLock(), None, g.get("__getattr__")
    known.acquire()
    g["__getattr__"] = wait
    g.pop("__path__", None)
    try:
        run = (sys.modules.get("_kernelfs_1") or load(g)).enter(g)
        del g["__getattr__"]
        if before:  # of the kernel itself, when reloaded
            g["__getattr__"] = before
    except BaseException as e:
        failed = e  # told to whoever waits or comes too late
        raise
    finally:
        known.release()
    run()


def start(folder, own):
    from importlib.util import MAGIC_NUMBER
    from marshal import loads
    from os import fstat

    def read(path):
        with open(path, "rb", 0) as f:
            st = fstat(f.fileno())
            # Above the mount, as in /tmp, anybody may have put one.
            if (st.st_dev, st.st_uid) != own:
                raise FileNotFoundError(2, "not the mount's", path)
            return f.read()

    core = type(sys)("_kernelfs_1")
    core.__file__, core.door, core.made = folder + "first.py", door, {}
    try:  # made when kernelfs was built, if it was for this Python
        made = folder + sys.implementation.cache_tag + ".made"
        data = read(made)
        if data[:4] == MAGIC_NUMBER:
            core.made = loads(data[4:])
    except (FileNotFoundError, TypeError):
        pass
    code = core.made.get("first")
    if code is None:
        code = compile(read(core.__file__), core.__file__, "exec")
    exec(code, core.__dict__)
    return sys.modules.setdefault("_kernelfs_1", core)


def load(g):
    from os import stat
    from os.path import abspath, dirname, realpath

    file, why = g["__file__"], None
    for way in abspath, realpath:
        top = dirname(way(file))
        while "/" in top:
            top = top[: top.rindex("/")]
            try:
                own = stat(file)
                own = own.st_dev, own.st_uid
                return start(top + "/.kernelfs/door/", own)
            except OSError as e:
                why = why or (e.errno != 2 and e)
    why = "gone or broken: %s" % why if why else "not where it was"
    why = "the kernelfs mount of %s is %s" % (file, why)
    raise ImportError(why, name=g["__name__"], path=file)
"""
    room = {}
    if isinstance(first, str):  # put on the lines where it stands
        first = compile("\n" * 13 + first, g["__file__"], "exec")
    exec(first, room)
    room["door"](g)


_kernelfs_door(globals())
