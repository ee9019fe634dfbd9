# SPDX-License-Identifier: Apache-2.0
"""The kernels that are measured.

    kernels-community/relu          the real one, compiled (tests/kernel)
    kernels-community/small-kernel  30 files, 2 MB
    kernels-community/modules       a package of 300 modules
    kernels-community/waiting       48 files, to be waited for
    many/k00 ... k59                60 import names

packages.py adds the large ones.
"""

import binascii
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "hub"))

from make_repo import lfs_bytes, make_kernel, make_owner  # noqa: E402

OWNER = "kernels-community"
MANY = ["k%02d" % i for i in range(60)]
WAITING = ["f%02d.py" % i for i in range(47)]
MODULES = 300
SMALL_BUILD = "torch-cpu"
LIMIT_S = 300


def base64(data):
    return binascii.b2a_base64(data, newline=False).decode()


def module(number, functions):
    """A module of some work for the compiler, as real ones are."""
    lines = ['"""Module %d."""' % number, "import math", ""]
    for i in range(functions):
        lines += ["", "def f%d(x, scale=%d.0):" % (i, i),
                  '    """One of many."""',
                  "    total = 0.0",
                  "    for value in x:",
                  "        total += math.sqrt(value * value + scale)",
                  "    return [value / (total or 1.0) for value in x]", ""]
    return "\n".join(lines)


def small_kernel():
    files = {"m%02d.py" % i: module(i, 12) for i in range(27)}
    files["table.bin"] = lfs_bytes(1950000, seed=7)
    files["__init__.py"] = "import os\n" + "".join(
        "from . import m%02d\n" % i for i in range(27)) + (
        "with open(os.path.join(os.path.dirname(__file__), 'table.bin'),"
        " 'rb') as f:\n    TABLE = f.read()\n")
    return files


def modules():
    files = {"m%03d.py" % i: module(i, 8) for i in range(MODULES - 1)}
    files["__init__.py"] = "".join(
        "from . import m%03d\n" % i for i in range(MODULES - 1))
    return files


def lay_out(root):
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    subprocess.run([sys.executable, os.path.join(TESTS, "kernel", "build.py"),
                    root], env=env, check=True, timeout=LIMIT_S,
                   stdout=subprocess.DEVNULL)

    def kernel(repo, files):
        make_kernel(root, repo, "v1", {"torch-cpu": files})

    kernel(OWNER + "/small-kernel", small_kernel())
    kernel(OWNER + "/modules", modules())
    kernel(OWNER + "/waiting", {name: "X = %r\n" % name for name in
                                ("__init__.py", *WAITING)})
    make_owner(root, "many")
    for name in MANY:
        kernel("many/" + name, {"__init__.py": "NAME = %r\n" % name})
    return root
