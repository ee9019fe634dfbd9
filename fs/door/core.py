# SPDX-License-Identifier: Apache-2.0
"""The door of kernelfs: turns a package of the mount into the right build.

Every package folder of a mount holds the same constant stub; the first one
that a process imports loads first.py as the module `_kernelfs_1`, and that
this file, into the same namespace. It runs in the importing interpreter, in a
program that belongs to somebody else. So: no import that a Python with torch
has not done already, no state outside this module but the finders of the
kernels' own folders, nothing left in the kernel's namespace.

Further pieces are loaded when they are needed: environment (once per process),
twins (a kernel has a library), depends (a kernel needs more than torch), keep
(a module was compiled).
"""

import os
import sys
import time
from errno import ECONNABORTED, ENOENT, ENOTCONN, ENOTDIR
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import module_from_spec, spec_from_file_location

WHY_MAX = 1 << 20
METADATA_SOON, METADATA_MAX = 1 << 16, 4 << 20
DAY_S = 86400

# For the life of the process, its forked children included.
places = {}  # path of a stub's folder -> importable directory of a commit
pinned_spec = None  # the environment under which the first one was found
pieces = {}  # name of a further piece of the door -> its module
mounts = {}  # path of a mount -> its real path
given_up = False  # keeping bytecode, once that has failed
sought = False  # a store, where there was none


def load(name):
    """The module of a further piece of the door."""
    if name not in pieces:
        module = type(sys)("_kernelfs_1." + name)
        try:
            code = piece(name)
        except OSError as e:
            raise ImportError(
                "the kernelfs mount at %s is gone or broken: %s"
                % (DOOR[: -len("/.kernelfs/door")], e),
                path=DOOR,
            ) from e
        module.__file__ = code.co_filename
        exec(code, module.__dict__)
        pieces.setdefault(name, module)
        if name != "keep":
            settle()
    return pieces[name]


# ---- bytecode ------------------------------------------------------------
#
# The store holds, for each source of a commit's builds, its code under the
# path that the source has below every mount.


def settle():
    """Have a store, and keep the pieces that had to be compiled."""
    global sought
    if not allowed or given_up or sys.dont_write_bytecode:
        return
    if not (store or sought):
        sought = True
        load("keep").make_store()
    if fresh and store:
        load("keep").keep_pieces()
    elif fresh:
        fresh.clear()


def usable(folder):
    """Whether kept code may lie in FOLDER: it is private, or not there yet."""
    try:
        return private(folder)
    except OSError as e:
        return e.errno == ENOENT


def is_build(parts):
    """Whether a path leads to a build, which never changes, or below."""
    commit = parts[1].rpartition("@")[2] if len(parts) > 3 else ""
    hexadecimal = len(commit) == 40 and not commit.strip("0123456789abcdef")
    return hexadecimal and parts[2] == "build"


def kept_folder(place, mount):
    """Where the code of a commit's directory PLACE is kept, or None."""
    parts = place[len(mount) :].strip("/").split("/")
    if not store or not is_build(parts) or ".." in parts:
        return None
    folder = store
    for part in parts:
        folder += "/" + part
        if not usable(folder):
            return None
    renew("/".join((store, *parts[:2])))
    return folder


def renew(folder):
    """`kernelfs cache gc` goes by the time of a commit's folder."""
    try:
        if os.stat(folder).st_mtime < time.time() - DAY_S:
            os.utime(folder)
    except OSError:
        pass


class Loader(SourceFileLoader):
    """Takes the code from KEPT, a file of the store, where that is sound."""

    def __init__(self, name, path, kept):
        super().__init__(name, path)
        self.kept = kept

    def get_code(self, fullname):
        code = recall(self.kept, self.path)
        if code is None and not sys.dont_write_bytecode:
            code = load("keep").code_of(self)
        return code or self.compiled()

    def compiled(self):
        return self.source_to_code(self.get_data(self.path), self.path)


def loader_of(name, path, kept):
    """The loader of a source whose folder keeps its code in KEPT, or None."""
    if kept is None:
        return SourceFileLoader(name, path)
    return Loader(name, path, kept + path[path.rindex("/") :] + "c")


# ---- the mount -----------------------------------------------------------


def mount_of(folder):
    """The nearest parent that is a kernelfs mount, or None."""
    for mount in tuple(mounts):  # another thread may add one
        if folder.startswith(mount.rstrip("/") + "/"):
            return mount
    own = folder
    while folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        if has_door(folder, own):
            add_mount(folder)
            return folder
    return None


def has_door(folder, own):
    """Whether FOLDER has the door of OWN, which is in it. Above a mount, as in
    /tmp, anybody may have made one."""
    try:
        door = os.stat(folder + "/.kernelfs/door")
        own = os.stat(own)
    except OSError:
        return False
    is_folder = door.st_mode & 0o170000 == 0o040000
    return is_folder and (door.st_dev, door.st_uid) == (own.st_dev, own.st_uid)


def add_mount(path):
    real = os.path.realpath(path)
    mounts[real] = mounts[path] = real


def follow(link, mount):
    """The real path of LINK. What the mount says at once needs no walk."""
    real = mounts[mount].rstrip("/")
    near = real + link[len(mount.rstrip("/")) :]
    place = os.path.normpath(
        os.path.join(os.path.dirname(near), os.readlink(link))
    )
    if near.count("/") == real.count("/") + 3:  # <real>/.env/<spec>/<package>
        if place.startswith(real + "/"):
            if is_build(place[len(real) + 1 :].split("/")):
                return place
    return os.path.realpath(link)


def is_gone(error):
    return error.errno in (ENOTCONN, ECONNABORTED)


def place_of(name, folder, mount, spec):
    """The importable directory of the build that fits, as the mount says."""
    own = folder[len(mount) :].strip("/")
    link = "/".join((mount.rstrip("/"), ".env", spec, own))
    os.path.lexists(link + ".import")  # the mount begins what can be begun
    try:
        real = follow(link, mount)
        os.stat(real + "/__init__.py")
        return real
    except OSError as e:
        failure = e
    if not is_gone(failure):
        try:
            with open(link + ".why", "rb", 0) as file:
                why = file.read(WHY_MAX).decode("utf-8", "replace").strip()
            if why:
                raise ImportError(why, name=name, path=link)
            reason = "is empty"
        except OSError as e:
            reason = "cannot be read: %s" % (e.strerror or e)
            failure = e if is_gone(e) else failure
    if is_gone(failure):
        raise ImportError(
            "the kernelfs mount at %s is gone (%s): mount it again to import "
            "%s" % (mount, failure.strerror, own),
            name=name,
            path=link,
        )
    raise ImportError(
        "%s: the kernelfs mount has no build of %s for this interpreter (%s), "
        "and %s.why, which should say why, %s"
        % (link, own, failure.strerror or failure, link, reason),
        name=name,
        path=link,
    )


# ---- a package that is installed as well ---------------------------------


def installed(name):
    """The spec of NAME outside of all mounts, or None.

    A folder without __init__.py (it has no origin) does not count: Python
    itself puts such behind every package.
    """
    finders = list(sys.meta_path)
    if PathFinder in finders:  # what stands before it was asked and declined
        finders = finders[finders.index(PathFinder) + 1 :]
    path = [p for p in sys.path if isinstance(p, str) and p not in mounts]
    try:  # as a rule there is none
        absent = PathFinder.find_spec(name, path) is None
    except Exception:
        absent = False
    asked = [] if absent else [(PathFinder, [p]) for p in path]
    for finder, path in asked + [(f, None) for f in finders]:
        try:
            found = finder.find_spec(name, path)
        except Exception:  # a stranger's finder: plain import asks it again
            continue
        if found is None or not found.origin:
            continue
        folder = os.path.dirname(os.path.realpath(found.origin))
        if mount_of(folder) is None:
            return found
    return None


def yields(name, folder, mount, spec):
    """The installed package that a name listed for its owner gives way to."""
    package = os.path.basename(folder)
    if os.path.dirname(folder) != mount or name != package:
        return None  # python/<package>, or loaded by path: that one is meant
    found = installed(name)
    if found is None:
        return None
    mark = "/".join((mount.rstrip("/"), ".env", spec(), package + ".pinned"))
    try:
        os.lstat(mark)
    except OSError as e:
        return found if e.errno in (ENOENT, ENOTDIR) else None
    return None


# ---- what lies in a build ------------------------------------------------


def metadata(folder):
    """metadata.json of the build whose importable folder this is, as bytes."""
    above = os.path.dirname(folder)
    nested = os.path.basename(above) != "build"
    for top in (above, folder) if nested else (folder, above):
        try:
            with open(top + "/metadata.json", "rb", 0) as file:
                text = file.read(METADATA_SOON)
                if len(text) == METADATA_SOON:
                    text += file.read(METADATA_MAX)
                return text
        except OSError:
            continue
    return b""


def torch_libraries():
    """What torch.ops.load_library has loaded; asking wakes nothing."""
    ops = getattr(sys.modules.get("torch"), "__dict__", {}).get("ops")
    return tuple(getattr(ops, "__dict__", {}).get("loaded_libraries", ()))



def refuse_twins(name, folder):
    if torch_libraries():
        load("twins").refuse(name, folder)


def library(name, path):
    return load("twins").library(name, path)


class Finder(FileFinder):
    """In sys.path_importer_cache for the folders of one build, where a plain
    FileFinder would stand else: it differs only in its loaders. KEPT is the
    folder of its bytecode, or None."""

    def __init__(self, path, kept):
        super().__init__(
            path,
            (library, EXTENSION_SUFFIXES),
            (self.source, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )
        self.kept = kept

    def below(self, folder):
        """Where the code of FOLDER is kept: this one's, or one in it."""
        if folder == self.path or not self.kept:
            return self.kept
        kept = self.kept + folder[len(self.path) :]
        return kept if usable(kept) else None

    def source(self, name, path):
        return loader_of(name, path, self.below(os.path.dirname(path)))

    def find_spec(self, fullname, target=None):
        found = super().find_spec(fullname, target)
        for path in (found and found.submodule_search_locations) or ():
            watch(path, self.below(path))
        return found


def watch(folder, kept):
    if folder not in sys.path_importer_cache:
        sys.path_importer_cache[folder] = Finder(folder, kept)


# ---- becoming the package ------------------------------------------------


def become(g, other):
    """Turn the module with the namespace G into the one that OTHER specifies.

    The stub has taken __path__ out, which single files have not. The spec is
    changed in place: on it importlib marks that the import is under way, and
    other threads look there for whether to wait.
    """
    new, spec = module_from_spec(other), g.get("__spec__")
    if spec is not None:
        for key, value in vars(other).items():
            # importlib's own notes on imports under way stay as they are
            if key not in ("_initializing", "_uninitialized_submodules"):
                vars(spec)[key] = value
    g.update(vars(new), __spec__=spec or other)
    return new


def run(g, loader):
    exec(loader.get_code(g["__name__"]), g)


def is_empty(text, key):
    """Whether metadata has nothing under KEY: no such key, null or [].

    Looking at the bytes costs less than to import json. What looks odd is not
    empty, and read properly then.
    """
    if text.count(key) > 1:
        return False
    _, found, value = text.partition(key)
    value = value.lstrip(b" \t\r\n:")
    if value[:1] == b"[":
        return value[1:].lstrip(b" \t\r\n")[:1] == b"]"
    return not found or value[:4] == b"null"


def needs_nothing(place):
    text = metadata(place)
    if text.lstrip()[:1] == b"[" or b"\\u" in text:
        return False  # values without keys, or keys spelled otherwise
    return (
        is_empty(text, b'"kernel-depends"')
        and is_empty(text, b'"python-depends"')
        and is_empty(text, b'"kernels-minver"')
    )


def give_way(g, found):
    """What runs the installed package FOUND in the namespace G."""
    new = become(g, found)
    loader = found.loader
    is_library = isinstance(loader, ExtensionFileLoader)
    if hasattr(loader, "get_code") and not is_library:
        return lambda: run(g, loader)

    def load():
        # A library fills the module that it made itself; importlib takes
        # from sys.modules what stands there at the end.
        sys.modules[g["__name__"]] = new
        loader.exec_module(new)
        g.update((k, v) for k, v in vars(new).items() if k != "__spec__")

    return load


def ask(name, stub):
    """Pin the place of the build that fits, or return the spec to yield to.

    Neither a failure nor the environment that led to it is remembered: the
    next attempt may come after an installation.
    """
    global pinned_spec
    known, folder = [], stub

    def spec():
        if not known:
            known.append(pinned_spec or load("environment").environment())
        return known[0]

    mount = mount_of(folder)
    if mount is None:  # reached by a link from outside
        folder = os.path.realpath(folder)
        mount = mount_of(folder)
    if mount is None:
        raise ImportError(
            "the kernelfs mount that held %s is gone" % stub,
            name=name,
            path=stub,
        )
    other = yields(name, folder, mount, spec)
    if other is None:
        places[stub] = place_of(name, folder, mount, spec())
        pinned_spec = spec()
    return other


def spec_of(name, place, mount):
    """The spec of the package at PLACE, with its folder's finder set up."""
    kept = kept_folder(place, mount)
    path = place + "/__init__.py"
    watch(place, kept)
    return spec_from_file_location(
        name,
        path,
        loader=loader_of(name, path, kept),
        submodule_search_locations=[place],
    )


def enter(g):
    """Turn the stub with the globals G into the package; return what runs."""
    name, stub = g["__name__"], os.path.dirname(os.path.abspath(g["__file__"]))
    settle()
    if stub not in places:
        other = ask(name, stub)
        if other is not None:
            return give_way(g, other)
    place = places[stub]
    refuse_twins(name, place)
    mount, within = mount_of(place), None
    if not needs_nothing(place):
        supply = load("depends").supply
        within = supply(name, mount, place, pinned_spec)
    other = spec_of(name, place, mount)
    become(g, other)
    if within is None:
        return lambda: run(g, other.loader)

    def run_within():
        with within():
            run(g, other.loader)

    return run_within


add_mount(DOOR[: -len("/.kernelfs/door")] or "/")
