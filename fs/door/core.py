# SPDX-License-Identifier: Apache-2.0
"""The door of kernelfs: turns a package of the mount into the right build.

Every package folder of a mount holds the same constant stub; the first one
that a process imports loads this file as the module `_kernelfs_1`, where 1 is
the number of the agreement between stub and core. It runs in the importing
interpreter, in a program that belongs to somebody else. So: no import that a
Python with torch has not done already, no state outside this module but the
finders of the kernels' own folders, nothing left in the kernel's namespace.

What few kernels need, other kernels and Python packages, is in depends.py:
every process compiles this file, and only some that one. Bytecode kept outside
the mount will stand in Finder beside the sources.
"""

import os
import sys
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
from importlib.util import find_spec, module_from_spec, spec_from_file_location

WHY_MAX = 1 << 20
METADATA_MAX = 4 << 20

# For the life of the process, its forked children included.
places = {}  # path of a stub's folder -> importable directory of a commit
pinned_spec = None  # the environment under which the first one was found
depends = None  # the module of depends.py, once a kernel has needed it


# ---- the environment of this interpreter ---------------------------------


def present(name):
    """Whether the module can be found, which is all the reference asks."""
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None


def unspeakable(what, value):
    return ImportError(
        "kernelfs cannot tell which build fits this interpreter: %s is %r, "
        "and no name of a build can say that" % (what, value)
    )


def release(what, value):
    """Major and minor of a version as PEP 440 reads it, as two texts."""
    text = str(value).strip()
    public, plus, local = text.partition("+")
    numbers = public.split(".")
    if not (
        text.isascii()
        and all(n.isdigit() for n in numbers)
        and (not plus or local.isalnum())
    ):
        numbers = unusual_release(text)
        if numbers is None:
            raise unspeakable(what, value)
    numbers = numbers + ["0"]
    return str(int(numbers[0])), str(int(numbers[1]))


def unusual_release(text):
    """The numbers of nightlies, vendor builds and the like, or None."""
    import re

    match = re.fullmatch(
        r"v?(?:\d+!)?(\d+(?:\.\d+)*)"
        r"(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?\d*)?"
        r"(?:-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?"
        r"(?:[-_.]?dev[-_.]?\d*)?"
        r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
        text,
        re.ASCII | re.IGNORECASE,
    )
    return match and match[1].split(".")


def joined(what, value, report=None):
    """'12.8' as the '128' of a build's name."""
    try:
        return "".join(release(what, value))
    except ImportError:
        raise unspeakable(what, value if report is None else report) from None


def one_digit(what, value):
    """As joined(), where names of builds give the major one digit."""
    major, minor = release(what, value)
    if len(major) != 1:
        raise unspeakable(what, value)
    return major + minor


def cuda_runtime():
    """CUDA where there is no torch to ask, as the reference finds it."""
    from ctypes import CDLL, byref, c_int, util

    try:
        name, version = util.find_library("cudart"), c_int()
        if not name or CDLL(name).cudaRuntimeGetVersion(byref(version)):
            return "cpu"
    except (OSError, AttributeError):
        return "cpu"
    return "cu%d%d" % (version.value // 1000, version.value % 1000 // 10)


def backend(torch):
    """The name of torch's backend: the reference's questions, in its order."""
    if torch is None:
        return cuda_runtime()
    version, backends = getattr(torch, "version", None), torch.backends
    if hasattr(backends, "tpu"):
        return "tpu"
    if hasattr(torch, "neuron"):
        return "neuron"
    if getattr(version, "cuda", None) is not None:
        return "cu" + joined("torch.version.cuda", version.cuda)
    hip = getattr(version, "hip", None)
    if hip is not None:
        return "rocm" + joined("torch.version.hip", hip.split("-")[0], hip)
    if hasattr(backends, "mps") and backends.mps.is_available():
        return "metal"
    xpu = getattr(version, "xpu", None)
    if xpu is not None:
        short = xpu[0:4] + "." + xpu[5:6]
        return "xpu" + joined("torch.version.xpu", short, xpu)
    private = getattr(torch._C, "_get_privateuse1_backend_name", None)
    if private is not None and private() == "npu":
        from torch_npu.utils.collect_env import get_cann_version

        cann = str(get_cann_version())
        short = cann[0:1] + "." + cann[2:3]
        return "cann" + joined("the CANN version of torch_npu", short, cann)
    return "cpu"


def gpus(torch, name):
    """The GPUs as extras. Never initialises CUDA: a fork would suffer."""
    if not name.startswith(("cu", "rocm")):
        return ""
    archs = set()
    try:
        if torch is not None and torch.cuda.is_initialized():
            for i in range(torch.cuda.device_count()):
                if name.startswith("cu"):
                    arch = "sm%d%d" % torch.cuda.get_device_capability(i)
                else:
                    gcn = torch.cuda.get_device_properties(i).gcnArchName
                    arch = gcn.split(":")[0]
                archs.add(arch)
    except Exception:  # a driver may raise anything; then the mount knows
        archs.clear()
    if not all(a.startswith(("sm", "gfx")) and a.isalnum() for a in archs):
        archs.clear()
    ordered = sorted(archs, key=lambda a: (len(a), a))
    return "".join("+" + a for a in ordered) or "+gpus"


def ffi():
    """tvm-ffi as an extra, when it can be imported."""
    try:
        if not present("tvm_ffi"):
            return ""
        import tvm_ffi

        version = tvm_ffi.__version__
    except Exception:  # installed but broken: no build for it can run
        return ""
    return "+ffi" + one_digit("tvm_ffi.__version__", version)


def libc(system):
    """The C library, or the system that has one of its own, as an extra."""
    if system == "darwin":
        from platform import mac_ver

        return number_extra("+macos", mac_ver()[0])
    try:
        name, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
    except (AttributeError, OSError, ValueError):
        return ""
    return number_extra("+glibc", version) if name == "glibc" else ""


def number_extra(name, version):
    numbers = (version + ".0").split(".")[:2]
    if all(n.isascii() and n.isdigit() for n in numbers):
        return name + ".".join(numbers)
    return ""


def environment():
    """This interpreter as a spec: torch213-cxx11-cpu-x86_64-linux+py311…"""
    uname, torch, parts = os.uname(), None, ["notorch"]
    system, machine = uname.sysname.lower(), uname.machine
    if system == "darwin" and machine == "arm64":
        machine = "aarch64"
    if present("torch"):
        import torch

        text = getattr(torch, "__version__", None)
        parts = ["torch" + one_digit("torch.__version__", text)]
        if system == "linux":
            new = torch.compiled_with_cxx11_abi()
            parts.append("cxx11" if new else "cxx98")
    name = backend(torch)
    return "".join(
        (
            "-".join((*parts, name, machine, system)),
            gpus(torch, name),
            ffi(),
            "+py%d%d" % sys.version_info[:2],
            "t" if "t" in getattr(sys, "abiflags", "") else "",
            libc(system),
        )
    )


# ---- the mount -----------------------------------------------------------


def mount_of(folder):
    """The nearest parent that is a kernelfs mount, or None."""
    while folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        if os.path.isdir(folder + "/.kernelfs/door"):
            return folder
    return None


def is_gone(error):
    return error.errno in (ENOTCONN, ECONNABORTED)


def place_of(name, folder, mount, spec):
    """The importable directory of the build that fits, as the mount says."""
    own = folder[len(mount) :].strip("/")
    link = "/".join((mount.rstrip("/"), ".env", spec, own))
    real = os.path.realpath(link)
    try:
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
    asked = [(PathFinder, [p]) for p in sys.path if isinstance(p, str)]
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


# ---- libraries -----------------------------------------------------------
#
# torch aborts the process when a library that registers operators is loaded
# from a second file. File names are unique per build, so a library of that
# name that came from elsewhere is shared, or refused by an exception.


def same_file(one, other):
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def same_bytes(one, other):
    try:
        with open(one, "rb") as a, open(other, "rb") as b:
            if os.fstat(a.fileno()).st_size != os.fstat(b.fileno()).st_size:
                return False
            while True:
                chunk = a.read(1 << 20)
                if chunk != b.read(1 << 20):
                    return False
                if not chunk:
                    return True
    except OSError:
        return False


def metadata(folder):
    """metadata.json of the build whose importable folder this is, as bytes."""
    for top in (folder, os.path.dirname(folder)):
        try:
            with open(top + "/metadata.json", "rb", 0) as file:
                return file.read(METADATA_MAX)
        except OSError:
            continue
    return b""


def is_build_id(path):
    """Whether a library's name is the one its build gave its operators.

    Others, such as _C, are shared by libraries that have nothing in common.
    """
    stem = os.path.basename(path).partition(".")[0]
    return b'"%s"' % stem.encode() in metadata(os.path.dirname(path))


def torch_libraries():
    """What torch.ops.load_library has loaded; asking wakes nothing."""
    ops = getattr(sys.modules.get("torch"), "__dict__", {}).get("ops")
    return tuple(getattr(ops, "__dict__", {}).get("loaded_libraries", ()))


def loaded_twin(path):
    """A library of this name that came from elsewhere: (file, its module)."""
    base = os.path.basename(path)
    loaded = [(file, None) for file in torch_libraries()]
    stem = base.partition(".")[0]
    for key, module in sys.modules.copy().items():
        if key.endswith(stem):  # reading a lazy module's attribute wakes it
            file = getattr(module, "__dict__", {}).get("__file__")
            loaded.append((file, module))
    for file, module in loaded:
        if isinstance(file, str) and os.path.basename(file) == base:
            if not same_file(file, path):
                return file, module
    return None


def twin_error(name, path, file):
    return ImportError(
        "%s: this process has loaded %s, another copy or build of the same "
        "library, and loading both would abort it; import the kernel from one "
        "place only" % (path, file),
        name=name,
        path=path,
    )


class TwinLoader(ExtensionFileLoader):
    """Stands for a library of which this process has loaded a twin."""

    def __init__(self, name, path, file, module):
        super().__init__(name, path)
        self.file, self.module = file, module

    def create_module(self, spec):
        if self.module is None or not same_bytes(self.file, self.path):
            raise twin_error(self.name, self.path, self.file)
        return None

    def exec_module(self, module):
        for key, value in vars(self.module).items():
            if not key.startswith("__"):
                setattr(module, key, value)


def library(name, path):
    twin = loaded_twin(path)
    if twin and (same_bytes(twin[0], path) or is_build_id(path)):
        return TwinLoader(name, path, *twin)
    return ExtensionFileLoader(name, path)


def refuse_twins(name, folder):
    """For kernels that have torch load the library, which asks no finder."""
    loaded = torch_libraries()
    try:
        names = os.listdir(folder) if loaded else ()
    except OSError:
        return
    for base in names:
        path = folder + "/" + base
        for file in loaded:
            if os.path.basename(file) != base or same_file(file, path):
                continue
            if same_bytes(file, path) or is_build_id(path):
                raise twin_error(name, path, file)


class Finder(FileFinder):
    """In sys.path_importer_cache for the folders of one build, where a plain
    FileFinder would stand else: it differs only in how it loads libraries."""

    def __init__(self, path):
        super().__init__(
            path,
            (library, EXTENSION_SUFFIXES),
            (SourceFileLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )

    def find_spec(self, fullname, target=None):
        found = super().find_spec(fullname, target)
        for path in (found and found.submodule_search_locations) or ():
            watch(path)
        return found


def watch(folder):
    if folder not in sys.path_importer_cache:
        sys.path_importer_cache[folder] = Finder(folder)


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


def load_depends(mount):
    global depends
    if depends is None:
        path = mount.rstrip("/") + "/.kernelfs/door/depends.py"
        with open(path, "rb", 0) as file:
            module = type(sys)("_kernelfs_1.depends")
            module.__file__ = path
            exec(compile(file.read(), path, "exec"), module.__dict__)
        depends = depends or module
    return depends


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
            known.append(pinned_spec or environment())
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


def enter(g):
    """Turn the stub with the globals G into the package; return what runs."""
    name, stub = g["__name__"], os.path.dirname(os.path.abspath(g["__file__"]))
    if stub not in places:
        other = ask(name, stub)
        if other is not None:
            return give_way(g, other)
    place = places[stub]
    refuse_twins(name, place)
    other = spec_from_file_location(
        name, place + "/__init__.py", submodule_search_locations=[place]
    )
    within = None
    if not needs_nothing(place):
        mount = mount_of(place)
        within = load_depends(mount).supply(name, mount, place, pinned_spec)
    become(g, other)
    watch(place)
    if within is None:
        return lambda: run(g, other.loader)

    def run_within():
        with within():
            run(g, other.loader)

    return run_within
