# SPDX-License-Identifier: Apache-2.0
"""What a kernel needs beside torch: other kernels, Python packages, a release.

Part of the door, loaded by core.py for the first kernel whose metadata asks
for any of these. Which kernels are needed, and which build of each, the mount
has decided together with the kernel and tells in `.kernelfs/depends.json`. What
is installed in this interpreter only this interpreter knows. So: check all that
the kernel and the kernels below it need, load those in order, and have
`kernels.get_kernel_dep` give them while the kernel's own code runs.

The rules, texts and order are those of the package `kernels` 0.17.2.
"""

import json
import os
import sys
from contextvars import ContextVar
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from threading import RLock

import _kernelfs_1 as core

environment = core.load("environment")

TOLD_MAX = 16 << 20
WAIT_S = 60
RULES_OF = (0, 17, 2)  # the release of `kernels` that is followed here

# name in metadata -> (package on PyPI, module that must be there or None)
PYTHON = {
    "einops": ("einops", "einops"),
    "helion": ("helion", "helion"),
    "tvm-ffi": ("apache-tvm-ffi", "tvm_ffi"),
}
PYTHON_OF = {
    "cuda": {"nvidia-cutlass-dsl": ("nvidia-cutlass-dsl", "cutlass")},
    "neuron": {"nki": ("nki", "nki")},
    "xpu": {"onednn": ("onednn-devel", None)},
}

# For the life of the process. A kernel is one module per folder, however
# many need it.
modules = {}  # importable folder -> its module, also while it is being made
locks = {}  # importable folder -> held by the thread that makes the module


# ---- what the mount says -------------------------------------------------


def tell(name, mount, place, spec):
    """The mount's word on what the build at PLACE needs."""
    top = "/".join(place[len(mount) :].strip("/").split("/")[:2])
    path = "/".join((mount, ".env", spec, top, ".kernelfs/depends.json"))
    try:
        with open(path, "rb", 0) as file:
            return json.loads(file.read(TOLD_MAX))
    except (OSError, ValueError) as e:
        raise ImportError(
            "%s: the kernelfs mount should say here what %s needs, and it "
            "cannot be read: %s" % (path, name, getattr(e, "strerror", e)),
            name=name,
            path=path,
        ) from e


# ---- checks --------------------------------------------------------------


def backend_kind():
    """The backend of this interpreter, as metadata names it."""
    torch = import_module("torch") if environment.present("torch") else None
    kind = environment.backend(torch).rstrip("0123456789")
    return "cuda" if kind == "cu" else kind


def check_python(name, package, needed):
    for wanted in needed:
        pip, module = PYTHON.get(wanted, (None, None))
        if pip is None:
            known = PYTHON_OF.get(backend_kind(), {})
            pip, module = known.get(wanted, (None, None))
        if pip is None:
            raise ImportError(
                "Kernel module `%s` uses unsupported kernel dependency: %s"
                % (package, wanted),
                name=name,
            )
        if module is not None and not environment.present(module):
            raise ImportError(
                "Kernel module `%s` requires Python dependency `%s`. Please "
                "install with: pip install %s" % (package, pip, pip),
                name=name,
            )


def numbers(version):
    """The release of a version as numbers, or None."""
    found = []
    for part in version.split("+")[0].split("."):
        digits = len(part) - len(part.lstrip("0123456789"))
        if digits:
            found.append(int(part[:digits]))
        if digits < len(part) or not part:
            break
    return tuple(found + [0] * (3 - len(found)))[:3] if found else None


def installed_release():
    """The version of the installed package `kernels` as a text, or None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("kernels")
    except PackageNotFoundError:
        return None


def check_release(name, package, variant, wanted):
    least = wanted and numbers(wanted)
    if not least:
        return
    have = installed_release()
    if have is None:
        if least <= RULES_OF:
            return
        how = (
            "which is not installed, and this door follows %d.%d.%d. Install "
            "with: pip install --upgrade kernels" % RULES_OF
        )
    else:
        if numbers(have) is None or numbers(have) >= least:
            return
        how = (
            "but version %s is installed. Upgrade with: "
            "pip install --upgrade kernels" % have
        )
    raise ImportError(
        "Kernel '%s' variant '%s' requires kernels>=%s, %s"
        % (package, variant, wanted, how),
        name=name,
    )


def check(name, package, path, needs):
    """All checks of one kernel; PATH is its importable folder."""
    check_python(name, package, needs["python"])
    variant = path.partition("/build/")[2].partition("/")[0]
    check_release(name, package, variant, needs["minver"])


# ---- loading -------------------------------------------------------------


def lock_of(place):
    return locks.setdefault(place, RLock())


def shared(one, place, mount, spec):
    """A module of this process that is the kernel already, or None."""
    known = sys.modules.get(one["id"])
    if known is not None:
        return known
    package = one["package"]
    stub = "%s/%s/__init__.py" % (mount, package)
    known = sys.modules.get(package)
    if known is not None:
        path = list(getattr(known, "__path__", None) or ())
        # Another thread may be making it: importing it waits for that.
        return import_module(package) if path == [place] else None
    found = find_spec(package)
    if found is None or found.origin != stub:
        return None
    link = "/".join((mount, ".env", spec, package))
    if os.path.realpath(link) != place:
        return None
    if core.yields(package, os.path.dirname(stub), mount, lambda: spec):
        return None
    # What a plain import gives is imported by that name, so that what it
    # pickles can be loaded where nobody depends on it.
    return import_module(package)


def make(one, place, needed):
    """Run the kernel at PLACE under its own id, with what it needs."""
    name = one["id"] or "_kernelfs_" + one["package"]
    core.refuse_twins(name, place)
    spec = core.spec_of(name, place, core.mount_of(place))
    module = module_from_spec(spec)
    modules[place] = sys.modules[name] = module
    try:
        with use(needed):
            spec.loader.exec_module(module)
    except BaseException:
        del modules[place]
        sys.modules.pop(name, None)
        raise
    return module


def load(key, told, mount, spec):
    """The module of a needed kernel, made after all that it needs itself."""
    one = told["kernels"][key]
    place = mount + "/" + one["path"]
    lock = lock_of(place)
    # A thread that waits here waits for no other lock of ours but those of
    # kernels below; the limit is for code that imports in a circle.
    if not lock.acquire(timeout=WAIT_S):
        raise ImportError(
            "%s: another thread has been importing it for %d s" % (key, WAIT_S),
            name=one["id"],
            path=place,
        )
    try:
        if place not in modules:
            known = shared(one, place, mount, spec)
            if known is not None:
                modules[place] = known
            else:
                make(one, place, load_all(one["needs"], told, mount, spec))
        return modules[place]
    finally:
        lock.release()


def load_all(needs, told, mount, spec):
    return {
        repo: load(key, told, mount, spec) for repo, key in needs.items()
    }


# ---- get_kernel_dep ------------------------------------------------------


class Standin:
    """A module `kernels` with get_kernel_dep, there while a kernel runs.

    For interpreters that have no such package, or one from before kernels
    could depend on kernels; of that one, the rest shows through.
    """

    def __init__(self):
        self.lock, self.users, self.before = RLock(), 0, None
        self.given = ContextVar("kernel_deps", default=None)
        self.module = type(sys)("kernels")
        self.module.__spec__ = ModuleSpec("kernels", None, is_package=True)
        self.module.get_kernel_dep = self.get_kernel_dep
        self.module.__getattr__ = self.rest

    def get_kernel_dep(self, repo_id):
        given = self.given.get()
        if given is None:
            raise RuntimeError(
                "`get_kernel_dep` only works during kernel loading."
            )
        if repo_id not in given:
            raise RuntimeError(
                "Dependency '%s' not found in kernel dependencies. Ensure "
                "the dependency is added to `kernel-deps` in build.toml."
                % repo_id
            )
        return given[repo_id]

    def rest(self, name):
        if self.before is not None:
            return getattr(self.before, name)
        if name == "__path__":
            return []
        raise AttributeError("module 'kernels' has no attribute %r" % name)

    def enter(self, needed):
        with self.lock:
            if self.users == 0:
                self.before = sys.modules.get("kernels")
                sys.modules["kernels"] = self.module
            self.users += 1
        return self.given.set(needed)

    def leave(self, token):
        self.given.reset(token)
        with self.lock:
            self.users -= 1
            if self.users or sys.modules.get("kernels") is not self.module:
                return
            if self.before is None:
                del sys.modules["kernels"]
            else:
                sys.modules["kernels"] = self.before


class Use:
    """While it lasts, the stand-in gives NEEDED to this thread."""

    def __init__(self, needed):
        self.needed = needed

    def __enter__(self):
        self.token = standin.enter(self.needed)

    def __exit__(self, *error):
        standin.leave(self.token)


class Nothing:
    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


standin = Standin()


def use(needed):
    """Something to enter while a kernel runs that needs these kernels."""
    if not needed:
        return Nothing()
    try:
        from kernels.deps import use_kernel_deps
    except Exception:  # absent, too old, or too broken to be imported
        return Use(needed)
    return use_kernel_deps(needed)


def supply(name, mount, place, spec):
    """Check what the kernel at PLACE needs; return what makes the scope that
    its code is to run in, once its own package is in place."""
    mount = mount.rstrip("/")
    told = tell(name, mount, place, spec)
    repo = place[len(mount) :].strip("/").split("/")[1].partition("@")[0]
    check(name, repo.replace("-", "_"), place, told)
    # A kernel before what it needs, as the reference reports them.
    for one in reversed(list(told["kernels"].values())):
        check(name, one["package"], "/" + one["path"], one)
    return lambda: use(load_all(told["needs"], told, mount, spec))
