# SPDX-License-Identifier: Apache-2.0
"""Libraries of a kernel of which this process has loaded another copy.

Part of the door, loaded for the first kernel that has a library. torch aborts
the process when a library that registers operators is loaded from a second
file. File names are unique per build, so a library of that name that came
from elsewhere is shared, or refused by an exception.
"""

import os
import sys
from importlib.machinery import ExtensionFileLoader

import _kernelfs_1 as core


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


def is_build_id(path):
    """Whether a library's name is the one its build gave its operators.

    Others, such as _C, are shared by libraries that have nothing in common.
    """
    stem = os.path.basename(path).partition(".")[0]
    return b'"%s"' % stem.encode() in core.metadata(os.path.dirname(path))


def loaded_twin(path):
    """A library of this name that came from elsewhere: (file, its module)."""
    base = os.path.basename(path)
    loaded = [(file, None) for file in core.torch_libraries()]
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


def refuse(name, folder):
    """For kernels that have torch load the library, which asks no finder."""
    loaded = core.torch_libraries()
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
