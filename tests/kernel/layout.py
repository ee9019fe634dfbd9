# SPDX-License-Identifier: Apache-2.0
"""What the repositories hold: for each a dict of path to bytes."""

import base64
import hashlib
import json
import platform

NOARCH_BACKENDS = "cpu", "cuda"


def read_sources(folder):
    """The Python files below folder, by their path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.py"))}


def ident(name, backend, version, sources):
    """The module's name: 7 digits of what it is built from make it unique."""
    h = hashlib.sha256(b"%s %d" % (backend.encode(), version))
    for path in sorted(sources):
        h.update(b"\0%s\0%d\0" % (path.encode(), len(sources[path])))
        h.update(sources[path])
    return "_%s_%s_%s" % (name, backend, h.hexdigest()[:7])


def metadata(name, ident, version, backend, files):
    digest = {path: base64.b64encode(hashlib.sha256(data).digest()).decode()
              for path, data in sorted(files.items())}
    return json.dumps({
        "name": name,
        "id": ident,
        "version": version,
        "license": "Apache-2.0",
        "python-depends": [],
        "kernel-depends": [],
        "backend": {"type": backend},
        "digest": {"algorithm": "sha256", "files": digest},
    }, indent=2).encode() + b"\n"


def sealed(name, ident, version, backend, files):
    """The files of a build, with the metadata that vouches for them."""
    data = metadata(name, ident, version, backend, files)
    return dict(files, **{"metadata.json": data})


def below(folder, files):
    return {"%s/%s" % (folder, path): data for path, data in files.items()}


def text(*lines):
    return "".join(line + "\n" for line in lines).encode()


# ---- builds that work ----------------------------------------------------

OPS = """\
# SPDX-License-Identifier: Apache-2.0
import torch

from . import {ident}

ops = torch.ops.{ident}


def add_op_namespace_prefix(op_name):
    return "{ident}::" + op_name
"""

# The variant's folder is no package of a known name, so that the nested name
# has to load it from its path.
SHIM = """\
# SPDX-License-Identifier: Apache-2.0
\"\"\"The package under its name of old; it has moved one folder up.\"\"\"

import importlib.util
import pathlib
import sys

_init = pathlib.Path(__file__).parent.parent / "__init__.py"
_spec = importlib.util.spec_from_file_location("{ident}", _init)
_kernel = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _kernel
_spec.loader.exec_module(_kernel)
globals().update((k, v) for k, v in vars(_kernel).items()
                 if not k.startswith("__"))
"""


def compiled(sources, native, version, backend, build, nested):
    """The build for this torch; build() makes the library of a name."""
    name = ident("relu", backend, version, dict(sources, **native))
    files = dict(sources)
    files["_ops.py"] = OPS.format(ident=name).encode()
    files[name + ".abi3.so"] = build(name)
    if nested:
        files = below("relu", files)
    else:
        files["relu/__init__.py"] = SHIM.format(ident=name).encode()
    return sealed("relu", name, version, backend, files)


# A CPU torch that is given torch-cuda was given the wrong one.
GUARD = b"""\
# SPDX-License-Identifier: Apache-2.0
try:
    import torch
except ImportError:
    torch = None
if torch is not None and torch.version.cuda is None:
    raise ImportError("torch-cuda was chosen for a torch without CUDA")
"""


def noarch(name, sources, version, nested=False):
    """torch-cpu and torch-cuda, which are all that fits without a torch."""
    tree = {}
    for backend in NOARCH_BACKENDS:
        files = dict(sources)
        if backend == "cuda":
            files["_guard.py"] = GUARD
            files["__init__.py"] = guarded(sources["__init__.py"])
        module = ident(name, backend, version, files)
        if nested:
            files = below(name, files)
        files = sealed(name, module, version, backend, files)
        tree.update(below("build/torch-" + backend, files))
    return tree


def guarded(source):
    """source with the guard's import before its first own one."""
    head, found, tail = source.partition(b"\nfrom . ")
    if not found:
        raise ValueError("__init__.py has no import of its own to guard")
    return head + b"\nfrom . import _guard" + found + tail


# ---- builds that must not be chosen --------------------------------------

def decoy_names(machine):
    other = "aarch64" if machine == "x86_64" else "x86_64"
    return [
        ("torch28-cxx11-cpu-%s-linux" % machine, "cpu"),
        ("torch212-cxx11-cpu-%s-linux" % machine, "cpu"),
        ("torch214-cxx11-cpu-%s-linux" % machine, "cpu"),
        ("torch213-cxx98-cpu-%s-linux" % machine, "cpu"),
        ("torch213-cxx11-cu126-%s-linux" % machine, "cuda"),
        ("torch213-cxx11-cu130-%s-linux" % machine, "cuda"),
        ("torch213-cxx11-rocm71-%s-linux" % machine, "rocm"),
        ("torch213-cxx11-cpu-%s-linux" % other, "cpu"),
        ("torch213-cpu-%s-windows" % machine, "cpu"),
        ("torch213-metal-aarch64-darwin", "metal"),
        ("torch-stable-abi99-cpu-%s-linux" % machine, "cpu"),
        ("torch-universal", "cpu"),
        # and names that are none
        ("__pycache__", "cpu"),
        ("jax09-cpu-%s-linux" % machine, "cpu"),
        ("torch28-cxx14-cpu-%s-linux" % machine, "cpu"),
        ("torch2-cpu-%s-linux" % machine, "cpu"),
        ("torch28", "cpu"),
    ]


def decoy(variant, backend, version, nested=False):
    """A build in order but for its import, which raises."""
    files = {
        "__init__.py": text(
            "# SPDX-License-Identifier: Apache-2.0",
            "raise ImportError('%s was chosen wrongly')" % variant),
    }
    name = ident("relu", backend, version,
                 dict(files, variant=variant.encode()))
    # as long as a real library, so that fetching it shows in the count
    files[name + ".abi3.so"] = (b"no library: %s\n" % variant.encode()) * 2048
    if nested:
        files = below("relu", files)
    return sealed("relu", name, version, backend, files)


def decoys(machine, version):
    tree = {}
    for variant, backend in decoy_names(machine):
        files = decoy(variant, backend, version)
        tree.update(below("build/" + variant, files))
    old = "torch25-cxx98-cpu-%s-linux" % machine
    tree.update(below("build/" + old, decoy(old, "cpu", version, nested=True)))
    tree["build/README.txt"] = b"A file in build/ is no build.\n"
    return tree


# ---- repositories --------------------------------------------------------

def readme(title, *lines):
    return {"README.md": text("---", "library_name: kernels",
                              "license: apache-2.0", "---", "",
                              "# " + title, "", *lines)}


def relu(here, variant, backend, build):
    """The branches of the kernel; variant is None where there is no torch."""
    python = read_sources(here / "compiled")
    plain = read_sources(here / "noarch")
    native = {path.name: path.read_bytes()
              for path in sorted((here / "src").iterdir())}
    machine = platform.machine()
    card = readme("relu", "relu and silu_and_mul.")

    branches = {"main": card}
    for version in 1, 2:
        nested = version == 1
        tree = dict(card)
        if nested:
            old = "torch28-cxx11-cpu-%s-linux" % machine
            files = decoy(old, "cpu", version, nested=True)
            tree.update(below("build/" + old, files))
        else:
            tree.update(decoys(machine, version))
        tree.update(noarch("relu", plain, version, nested))
        if variant is not None:
            files = compiled(python, native, version, backend, build, nested)
            # where a decoy has the very name, the real one takes its place
            tree = {path: data for path, data in tree.items()
                    if not path.startswith("build/%s/" % variant)}
            tree.update(below("build/" + variant, files))
        branches["v%d" % version] = tree
    return branches


def activation(here):
    card = readme("activation", "Activation functions in pure Python.")
    sources = read_sources(here / "activation")
    return {"main": card,
            "v1": dict(card, **noarch("activation", sources, 1))}


def bad():
    card = readme("bad", "Its publisher is not trusted.")
    body = text("# SPDX-License-Identifier: Apache-2.0",
                "raise SystemError('code of an untrusted publisher ran')")
    tree = dict(card)
    for backend in NOARCH_BACKENDS:
        files = {"__init__.py": body}
        name = ident("bad", backend, 1, files)
        files = sealed("bad", name, 1, backend, files)
        tree.update(below("build/torch-" + backend, files))
    return {"main": card, "v1": tree}
