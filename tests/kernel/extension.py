# SPDX-License-Identifier: Apache-2.0
"""Compiles the kernel against the torch of this interpreter.

relu.cpp is what takes long, and knows nothing of the build that it ends in:
its object is kept in build/kernel/ by the hash of all that went into it. A
build adds binding.c with the build's own name, and a link, kept likewise.
"""

import hashlib
import os
import pathlib
import platform
import subprocess
import sysconfig
import tempfile

try:
    import torch
except ImportError:
    torch = None

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parents[1] / "build" / "kernel"
CFLAGS = ["-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra",
          "-ffile-prefix-map=%s=." % HERE]
# No run path: torch has loaded its libraries before a kernel is imported.
LDFLAGS = ["-shared", "-s", "-Wl,--build-id=none"]


class BuildError(Exception):
    pass


def backend():
    """(name, tag in a variant's name) of what torch was built for."""
    version = torch.version
    if version.cuda is not None:
        return "cuda", "cu" + version.cuda.replace(".", "")
    if version.hip is not None:
        major, minor = version.hip.split("-")[0].split(".")[:2]
        return "rocm", "rocm%s%s" % (major, minor)
    xpu = getattr(version, "xpu", None)
    if xpu is not None:
        return "xpu", "xpu%s%s" % (xpu[:4], xpu[5])
    return "cpu", "cpu"


def variant():
    """The name of the build that fits this interpreter's torch."""
    major, minor = torch.__version__.split(".")[:2]
    abi = "cxx11" if torch.compiled_with_cxx11_abi() else "cxx98"
    return "torch%s%s-%s-%s-%s-linux" % (major, minor, abi, backend()[1],
                                         platform.machine())


def compile_library(ident):
    """The bytes of the shared library whose operators are in `ident`."""
    from torch.utils.cpp_extension import include_paths, library_paths

    abi = "-D_GLIBCXX_USE_CXX11_ABI=%d" % torch.compiled_with_cxx11_abi()
    flags = CFLAGS + ["-std=c++20", abi]
    for path in include_paths():
        flags += ["-isystem" + path, "-ffile-prefix-map=%s=torch" % path]
    libraries = ["-L" + p for p in library_paths()]
    libraries += ["-ltorch_cpu", "-lc10"]
    python = sysconfig.get_path("include")
    if not os.path.exists(os.path.join(python, "Python.h")):
        raise BuildError("no Python.h in '%s': install python3-dev" % python)

    relu = cached("relu.o", ["g++", "-c"] + flags, HERE / "src" / "relu.cpp")
    cflags = CFLAGS + ["-isystem" + python, "-DKERNEL_ID=" + ident]
    binding = cached("binding.o", ["gcc", "-c"] + cflags,
                     HERE / "src" / "binding.c")
    library = cached("kernel.so", ["g++"] + LDFLAGS, relu, binding,
                     after=libraries)
    return library.read_bytes()


def cached(name, command, *inputs, after=()):
    """Runs command on inputs, unless its result is there; the result's path.

    The key has the inputs' bytes; headers count through torch's version.
    """
    key = hashlib.sha256()
    key.update(repr((torch.__version__, torch.version.git_version,
                     platform.python_version(), compiler(command[0]),
                     command, list(after))).encode())
    for path in inputs:
        key.update(hashlib.sha256(path.read_bytes()).digest())
    result = CACHE / key.hexdigest()[:16] / name
    if result.exists():
        return result

    result.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=result.parent) as scratch:
        made = os.path.join(scratch, name)
        command = command + [str(p) for p in inputs] + ["-o", made]
        done = subprocess.run(command + list(after), text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise BuildError("cannot compile %s:\n%s"
                             % (inputs[0].name, done.stdout))
        os.rename(made, result)
    return result


_compilers = {}


def compiler(name):
    if name not in _compilers:
        try:
            _compilers[name] = subprocess.check_output(
                [name, "-dumpfullversion", "-dumpmachine"], text=True)
        except OSError:
            raise BuildError("no compiler '%s': install g++" % name) from None
    return _compilers[name]
