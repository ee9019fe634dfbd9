# SPDX-License-Identifier: Apache-2.0
"""The large packages, generated: seeded, in the shape of builds of the Hub.

    mid_kernel      30 modules, and a library of 40 MB
    big_kernel      300 modules (5.6 MB), and a library of 747 MB
    chosen_kernel   200 MB in a few files; one of 30 builds

A library is an extension module with very many relocations, whose start
touches 2 % of its pages at random, as CUDA's lazy loading does; what it found
there is its SUM, so that a wrong byte or another file does not go unnoticed.
They are kept in a folder named by this file's hash, and made again when it
changes: make(folder) gives that folder.
"""

import compileall
import hashlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import sysconfig

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "hub"))

import fixture  # noqa: E402
from make_repo import make_branch, make_metadata  # noqa: E402

SEED = 20261
MB = 1000 * 1000
PAGE = 4096
TOUCHED = 0.02
LIMIT_S = 300
PACKAGES = ("mid_kernel", "big_kernel", "chosen_kernel")
SUFFIX = ".abi3.so"

SOURCE = """
#include <Python.h>
#include <stdint.h>

extern const unsigned char data_%(name)s[];
extern const void *const table_%(name)s[];

static struct PyModuleDef def = {
	PyModuleDef_HEAD_INIT, "%(name)s", NULL, -1, NULL };

PyMODINIT_FUNC PyInit_%(name)s(void)
{
	PyObject *module = PyModule_Create(&def);
	uint64_t at = %(seed)du, sum = 0;
	const unsigned char *first = table_%(name)s[0];

	for (int i = 0; i < %(touches)d; i++) {
		at = at * 6364136223846793005u + 1442695040888963407u;
		sum += first[(at >> 33) %% %(pages)du * %(page)du];
	}
	if (module && PyModule_AddObject(module, "SUM",
			PyLong_FromUnsignedLongLong(sum)) < 0)
		return NULL;
	return module;
}
"""
ASSEMBLER = """
	.section .rodata
	.balign %(page)d
	.globl data_%(name)s
	.hidden data_%(name)s
data_%(name)s:
	.incbin "%(random)s", %(skip)d, %(size)d
	.section .data.rel.ro, "aw"
	.balign 8
	.globl table_%(name)s
	.hidden table_%(name)s
table_%(name)s:
	.set at, 0
	.rept %(relocations)d
	.quad data_%(name)s + at
	.set at, at + %(step)d
	.endr
	.section .note.GNU-stack, "", @progbits
"""


def variant(torch="213", backend="cpu"):
    return "torch%s-cxx11-%s-%s-linux" % (torch, backend, platform.machine())


class Maker:
    """Writes into one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.random = os.path.join(folder, "random")

    def bytes_of(self, size):
        """Bytes that do not compress, from which the libraries are cut."""
        source = random.Random(SEED)
        with open(self.random, "wb") as f:
            while size > 0:
                f.write(source.randbytes(min(size, 16 * MB)))
                size -= 16 * MB

    def library(self, package, name, size, relocations, skip=0):
        """An extension module of about `size`; gives its SUM."""
        # A relocation has 24 bytes in its table and 8 of its own.
        data = size - 32 * relocations - 16384
        pages = data // PAGE
        values = {"name": name, "seed": SEED + skip, "page": PAGE,
                  "pages": pages, "touches": int(pages * TOUCHED),
                  "random": self.random, "skip": skip, "size": data,
                  "relocations": relocations, "step": data // relocations}
        base = os.path.join(self.folder, name)
        with open(base + ".c", "w", encoding="utf-8") as f:
            f.write(SOURCE % values)
        with open(base + ".s", "w", encoding="utf-8") as f:
            f.write(ASSEMBLER % values)
        subprocess.run(
            ["gcc", "-O2", "-shared", "-fPIC", "-DPy_LIMITED_API=0x03090000",
             "-I" + sysconfig.get_paths()["include"], base + ".c", base + ".s",
             "-o", os.path.join(package, name + SUFFIX)],
            check=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
        for ext in (".c", ".s"):
            os.unlink(base + ext)
        return self._sum(values)

    def _sum(self, values):
        at, total = values["seed"], 0
        with open(self.random, "rb") as f:
            for _ in range(values["touches"]):
                at = (at * 6364136223846793005 + 1442695040888963407) % 2**64
                f.seek(values["skip"] + (at >> 33) % values["pages"] * PAGE)
                total += f.read(1)[0]
        return total

    def package(self, name, modules, functions, libraries):
        """libraries: name -> (size, relocations)."""
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        lines = ['"""%s."""' % name]
        for i in range(modules):
            self._write(folder, "m%03d.py" % i,
                        fixture.module(i, functions))
            lines.append("from . import m%03d" % i)
        skip = 0
        for library, (size, relocations) in libraries.items():
            found = self.library(folder, library, size, relocations, skip)
            skip += size // PAGE * PAGE
            lines += ["from . import %s" % library,
                      "if %s.SUM != %d:" % (library, found),
                      "    raise ImportError('wrong bytes in %s')" % library]
        self._write(folder, "__init__.py", "\n".join(lines) + "\n")
        self._metadata(folder, name)

    @staticmethod
    def _write(folder, name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def _metadata(self, folder, name):
        sums = {}
        for file in sorted(os.listdir(folder)):
            with open(os.path.join(folder, file), "rb") as f:
                sums[file] = hashlib.file_digest(f, "sha256").digest()
        value = make_metadata(name, variant(), {}, digest={
            "algorithm": "sha256", "files": {
                file: fixture.base64(data) for file, data in sums.items()}})
        value["id"] = "_%s_cpu_%s" % (name, list(sums.values())[0].hex()[:7])
        self._write(folder, "metadata.json", json.dumps(value, indent=2))


def make(top):
    with open(__file__, "rb") as f:
        text = f.read()
    with open(fixture.__file__, "rb") as f:
        text += f.read()
    text += ("%s %s" % (sys.version, platform.machine())).encode()
    folder = os.path.join(top, hashlib.sha256(text).hexdigest()[:16])
    if os.path.isdir(folder):
        say("the packages made before are used: %s" %
            os.path.relpath(folder, os.path.dirname(os.path.dirname(top))))
        return folder
    say("generating the packages (1 GB) ...")
    shutil.rmtree(top, ignore_errors=True)
    part = folder + ".part"
    os.makedirs(part)
    maker = Maker(part)
    maker.bytes_of(750 * MB)
    maker.package("mid_kernel", 30, 12, {"_mid": (40 * MB, 20000)})
    maker.package("big_kernel", 300, 100, {"_big": (747 * MB, 400000)})
    maker.package("chosen_kernel", 6, 12, {
        "_chosen": (150 * MB, 80000), "_second": (40 * MB, 20000),
        "_third": (10 * MB, 5000)})
    os.unlink(maker.random)
    os.rename(part, folder)
    return folder


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def library(folder, package, name):
    return os.path.join(folder, package, name + SUFFIX)


def plain(made, package, folder):
    """The package as a folder on the disk of the caches, with its .pyc."""
    shutil.copytree(os.path.join(made, package),
                    os.path.join(folder, package))
    if not compileall.compile_dir(folder, quiet=1):
        raise RuntimeError("'%s' does not compile" % package)
    return folder


def lay_out(made, root, owner):
    """As repositories, read through links: nothing is copied."""
    for package in PACKAGES:
        repo = "%s/%s" % (owner, package.replace("_", "-"))
        others = [variant(torch, backend)
                  for torch in ("28", "29", "210", "211", "212", "213")
                  for backend in ("cpu", "cu126", "cu128", "cu130", "rocm63")
                  ] if package == "chosen_kernel" else []
        files = {"build/%s/%s" % (other, name): "NAME = %r\n" % other
                 for other in others if other != variant()
                 for name in ("__init__.py", "_ops.py")}
        branch = make_branch(root, repo, "v1", dict(
            files, **{"README.md": "# %s\n" % package}))
        make_branch(root, repo, "main", {"README.md": "# %s\n" % package})
        os.makedirs(os.path.join(branch, "build"), exist_ok=True)
        os.symlink(os.path.join(made, package),
                   os.path.join(branch, "build", variant()))
