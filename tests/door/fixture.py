# SPDX-License-Identifier: Apache-2.0
"""The kernels that the tests of the door import, and where they lie.

    fixture.py hub FOLDER     write them as the folders of a Hub:
                              <owner>/<repo>/branches/<name>/build/…

With KERNELFS_TEST_MOUNT set, the tests use that mount: of a Hub that holds
just these folders, made with import=kernels-community/door-named (named, so
it wins over an installed package) and import=kernels-community (the rest).
Without it they make a plain folder that looks like such a mount.
"""

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DOOR = os.path.join(os.path.dirname(os.path.dirname(HERE)), "fs", "door")
OWNER = "kernels-community"
REAL_MOUNT = os.environ.get("KERNELFS_TEST_MOUNT")
NAMED = "door-named"

PLAIN_INIT = '''"""A plain kernel."""
import door_plain.util
from . import sub
from .sub import double
from .deep.leaf import LEAF

VERSION = %d
names = sorted(n for n in globals() if not n.startswith("__"))


class Point:
    """A point."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is type(self) and other.x == self.x


def fail():
    raise LookupError("out of the kernel")


def torch_scale(x):
    return x * 2 + 1
'''
PLAIN = {
    "sub.py": "from .util import TWO\n\n\n"
    "def double(x):\n    return TWO * x\n",
    "util.py": "TWO = 2\n",
    "late.py": "from .sub import double\n\nFOUR = double(2)\n",
    "__main__.py": 'from . import VERSION\n\nprint("main", VERSION)\n',
    "tool.py": 'from . import double\n\nprint("tool", double(4))\n',
    "deep/__init__.py": "",
    "deep/leaf.py": "from ..util import TWO\n\nLEAF = TWO + 1\n",
    "loose/part.py": "PART = 5\n",
    "data.txt": "some data\n",
}
SLOW = {
    # Threads arrive while the package runs; the event is set by the test.
    "__init__.py": "import builtins\n\n"
    "builtins.door_started.set()\nbuiltins.door_go.wait(20)\n"
    "from .inner import INNER\n\nDONE = True\n",
    "inner.py": "INNER = 1\n",
    "other.py": "OTHER = 2\n",
}
RAISES = {
    "__init__.py": "from . import part\n\n\ndef burst():\n"
    '    raise ZeroDivisionError("from the kernel")\n\n\n'
    "import os\n\nif not os.environ.get('DOOR_CALM'):\n    burst()\n",
    "part.py": "PART = 1\n",
}
LAZY = {
    "__init__.py": "def __getattr__(name):\n"
    "    if name == 'answer':\n        return 42\n"
    "    raise AttributeError(name)\n",
}
UNIVERSAL = "torch-universal"

# Kernels that need kernels, three deep, and Python packages.
BASE_INIT = "VERSION = %d\nfrom .part import PART\n\n\nclass Point:\n    pass\n"
BASE = {"part.py": "PART = 'part'\n"}
MIDDLE_INIT = """import builtins
from kernels import get_kernel_dep

builtins.door_runs = getattr(builtins, "door_runs", []) + [__name__]
base = get_kernel_dep("kernels-community/door-base")
"""
TOP_INIT = """import kernels
from . import sub

middle = kernels.get_kernel_dep("kernels-community/door-middle")
base = kernels.get_kernel_dep("kernels-community/door-base")
try:
    kernels.get_kernel_dep("kernels-community/door-plain")
except RuntimeError as e:
    undeclared = str(e)


def later():
    return kernels.get_kernel_dep("kernels-community/door-base")
"""
TOP = {
    "sub.py": "from kernels import get_kernel_dep\n\n"
    "base = get_kernel_dep('kernels-community/door-base')\n",
    "late.py": "from . import base\n",
}
BAD_INIT = "from kernels import get_kernel_dep\n\n1 / 0\n"


def which(*variants):
    return {v: {"__init__.py": "VARIANT = %r\n" % v} for v in variants}


TORCHES = tuple(
    "torch%s-cxx11-%s-%s-linux" % (torch, backend, cpu)
    for torch in ("27", "212", "213")
    for backend in ("cpu", "cu126", "cu130", "rocm72")
    for cpu in ("x86_64", "aarch64")
)
# repository -> revision -> variant -> path in the variant -> text
KERNELS = {
    "door-plain": {
        "v%d" % n: {UNIVERSAL: dict(PLAIN, **{"__init__.py": PLAIN_INIT % n})}
        for n in (1, 2)
    },
    "door-nested": {
        "v1": {
            UNIVERSAL: {
                "door_nested/__init__.py": "from .sub import X\n",
                "door_nested/sub.py": "X = 7\n",
            }
        }
    },
    "door-slow": {"v1": {UNIVERSAL: SLOW}},
    "door-raises": {"v1": {UNIVERSAL: RAISES}},
    "door-lazy": {"v1": {UNIVERSAL: LAZY}},
    "door-which": {"v1": which(UNIVERSAL, *TORCHES)},
    "door-none": {"v1": which("torch19-cxx11-cu101-x86_64-linux")},
    "door-owned": {"v1": {UNIVERSAL: {"__init__.py": "FROM = 'hub'\n"}}},
    NAMED: {"v1": {UNIVERSAL: {"__init__.py": "FROM = 'hub'\n"}}},
    "door-base": {
        "v%d" % n: {UNIVERSAL: dict(BASE, **{"__init__.py": BASE_INIT % n})}
        for n in (1, 2)
    },
    "door-middle": {"v1": {UNIVERSAL: {"__init__.py": MIDDLE_INIT}}},
    "door-top": {"v1": {UNIVERSAL: dict(TOP, **{"__init__.py": TOP_INIT})}},
    "door-bad": {"v1": {UNIVERSAL: {"__init__.py": BAD_INIT}}},
    "door-over-bad": {"v1": {UNIVERSAL: {"__init__.py": ""}}},
    "door-python": {"v1": {UNIVERSAL: {"__init__.py": ""}}},
    "door-strange": {"v1": {UNIVERSAL: {"__init__.py": ""}}},
    "door-new": {"v1": {UNIVERSAL: {"__init__.py": ""}}},
    "door-over-new": {"v1": {UNIVERSAL: {"__init__.py": ""}}},
}
# repository -> (repository, version) of what it needs
DEPENDS = {
    "door-middle": [("door-base", 1)],
    "door-top": [("door-middle", 1), ("door-base", 1)],
    "door-bad": [("door-base", 1)],
    "door-over-bad": [("door-bad", 1)],
    "door-over-new": [("door-new", 1)],
}
PYTHON = {
    "door-middle": ["einops"],
    "door-top": ["einops"],
    "door-python": ["einops", "tvm-ffi"],
    "door-strange": ["leftpad"],
}
MINVER = {"door-base": "0.17.2", "door-new": "7.2.0"}


def package_of(repo):
    return repo.replace("-", "_")


def metadata(repo, name, variant):
    package = package_of(repo)
    kind = "cpu"
    for mark, backend in (("-cu", "cuda"), ("-rocm", "rocm")):
        kind = backend if mark in variant else kind
    return json.dumps(
        {
            "name": repo,
            "id": "_%s_0123abc" % package,
            "version": int(name[1:]),
            "license": "Apache-2.0",
            "kernels-minver": MINVER.get(repo),
            "python-depends": PYTHON.get(repo, []),
            "kernel-depends": [
                {"repo-id": OWNER + "/" + needed, "version": version}
                for needed, version in DEPENDS.get(repo, ())
            ],
            "backend": {"type": kind},
        }
    )


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def put_builds(top, repo, name, variants):
    for variant, files in variants.items():
        folder = os.path.join(top, "build", variant)
        put(os.path.join(folder, "metadata.json"),
            metadata(repo, name, variant))
        for path, text in files.items():
            put(os.path.join(folder, path), text)


def write_hub(root):
    """The kernels as folders of the stand-in Hub."""
    owner = {"trusted": True, "kind": "org"}
    put(os.path.join(root, OWNER, "owner.json"), json.dumps(owner))
    for repo, revisions in KERNELS.items():
        for name, variants in revisions.items():
            top = os.path.join(root, OWNER, repo, "branches", name)
            put_builds(top, repo, name, variants)


def door_files():
    """What .kernelfs/door/ holds, with the hash that make puts in."""
    texts, whole = {}, hashlib.sha256()
    for name in sorted(os.listdir(DOOR)):
        if name.endswith(".py") and name not in ("stub.py", "make_made.py"):
            with open(os.path.join(DOOR, name), encoding="utf-8") as file:
                texts[name] = file.read()
    for name in ["first.py", *texts]:
        whole.update(texts[name].encode())
    release = whole.hexdigest()[:16]
    texts["first.py"] = texts["first.py"].replace("@RELEASE@", release)
    return texts


class Mount:
    """A plain folder that looks like a mount to the door."""

    def __init__(self, kernels=KERNELS, made=False):
        self.path = os.path.realpath(tempfile.mkdtemp(prefix="door-mount-"))
        atexit.register(shutil.rmtree, self.path, True)
        self.kernels, self.specs = kernels, set()
        os.makedirs(self.at(".kernelfs/door"))
        for name, text in door_files().items():
            put(self.at(".kernelfs/door", name), text)
        if made:
            self.make()
        with open(os.path.join(DOOR, "stub.py"), encoding="utf-8") as file:
            self.stub = file.read()
        for repo, revisions in kernels.items():
            for name, variants in revisions.items():
                commit = self.commit(repo, name)
                put_builds(self.at(commit), repo, name, variants)
                put(self.at(commit, ".kernelfs/decision"), "")
                self.put_stub(commit + "/python", repo)
                link = "%s/%s@%s" % (OWNER, repo, name)
                os.symlink(os.path.basename(commit), self.at(link))
            self.put_stub("", repo)

    def make(self):
        """What make does when kernelfs is built, with this Python."""
        names = ("first.py", "core.py", "environment.py")
        subprocess.run(
            [sys.executable, "-I", os.path.join(DOOR, "make_made.py"),
             self.at(".kernelfs/door"),
             *(self.at(".kernelfs/door", name) for name in names),
             os.path.join(DOOR, "stub.py")],
            check=True, timeout=60)

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def put_stub(self, folder, repo):
        put(self.at(folder, package_of(repo), "__init__.py"), self.stub)

    def commit(self, repo, name):
        sha = hashlib.sha1(("%s %s" % (repo, name)).encode()).hexdigest()
        return "%s/%s@%s" % (OWNER, repo, sha)

    def default(self, repo):
        return max(self.kernels[repo])

    def serve(self, spec):
        """Answer for an environment, as the filesystem would."""
        if spec in self.specs:
            return
        self.specs.add(spec)
        base = spec.partition("+")[0]
        for repo, revisions in self.kernels.items():
            for name, variants in revisions.items():
                self.tell(spec, repo, name)
                for at in (name, self.commit(repo, name).partition("@")[2]):
                    own = "%s/%s@%s/python/" % (OWNER, repo, at)
                    self.answer(spec, base, own, repo, name, variants)
            name = self.default(repo)
            self.answer(spec, base, "", repo, name, revisions[name])
        put(self.at(".env", spec, package_of(NAMED) + ".pinned"), "")

    def needs(self, repo):
        return {
            "needs": {
                "%s/%s" % (OWNER, needed): "%s/%s@v%d" % (
                    OWNER, needed, version)
                for needed, version in DEPENDS.get(repo, ())
            },
            "python": PYTHON.get(repo, []),
            "minver": MINVER.get(repo),
        }

    def below(self, repo, told):
        """What the mount tells of the kernels below one, those first that
        others need."""
        for needed, version in DEPENDS.get(repo, ()):
            self.below(needed, told)
            name = "v%d" % version
            told["%s/%s@%s" % (OWNER, needed, name)] = dict(
                self.needs(needed),
                path="%s/build/%s" % (self.commit(needed, name), UNIVERSAL),
                id="_%s_0123abc" % package_of(needed),
                package=package_of(needed),
            )
        return told

    def tell(self, spec, repo, name):
        path = self.at(".env", spec, self.commit(repo, name), ".kernelfs")
        told = dict(self.needs(repo), kernels=self.below(repo, {}))
        put(os.path.join(path, "depends.json"), json.dumps(told))

    def answer(self, spec, base, own, repo, name, variants):
        package = package_of(repo)
        link = self.at(".env", spec, own + package)
        os.makedirs(os.path.dirname(link), exist_ok=True)
        fits = [v for v in (base, UNIVERSAL) if v in variants]
        if not fits:
            lines = ["%s: does not fit" % v for v in variants]
            first = "%s/%s (revision: %s) has no build for %s:"
            put(
                link + ".why",
                "\n".join([first % (OWNER, repo, name, spec), ""] + lines),
            )
            return
        place = self.at(self.commit(repo, name), "build", fits[0])
        nested = os.path.join(place, package)
        self.link(link, nested if os.path.isdir(nested) else place)

    def link(self, link, target):
        os.symlink(os.path.relpath(target, os.path.dirname(link)), link)


def clean_environment(**more):
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "KERNELS", "HF_"))
    }
    env.update(PYTHONDONTWRITEBYTECODE="1")
    env.update(more)
    return {key: value for key, value in env.items() if value is not None}


SPELL = (
    "import sys; g = {'__name__': 'spell'}; "
    "exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'), g); "
    "print(g['environment']())"
)
_spelled = {}


def spell(paths=(), before=""):
    """The spec that the door gives a Python that has PATHS in front."""
    key = (tuple(paths), before)
    if key not in _spelled:
        _spelled[key] = subprocess.run(
            [sys.executable, "-c", before + SPELL, DOOR + "/environment.py"],
            env=clean_environment(PYTHONPATH=os.pathsep.join(paths)),
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
            universal_newlines=True,
        ).stdout.strip()
    return _spelled[key]


FAKE_TORCH = '''
__version__ = {version!r}


class Space:
    def __init__(self, **more):
        self.__dict__.update(more)


version = Space(cuda={cuda!r}, hip={hip!r}, xpu={xpu!r})
backends = Space(mps=Space(is_available=lambda: {mps!r}))
_C = Space(_get_privateuse1_backend_name=lambda: {private!r})
devices = {devices!r}
cuda = Space(
    is_initialized=lambda: devices is not None,
    is_available=lambda: 1 / 0,
    device_count=lambda: exit("initialises CUDA")
    if devices is None
    else len(devices),
    get_device_capability=lambda i: devices[i],
    get_device_properties=lambda i: Space(gcnArchName=devices[i]),
)
ops = Space(loaded_libraries=set({libraries!r}))


def compiled_with_cxx11_abi():
    return {cxx11!r}


{more}
'''


def fake_torch(folder, version="2.12.0", more="", **facts):
    """A package `torch` that says of itself what the test wants."""
    values = dict(
        cuda=None,
        hip=None,
        xpu=None,
        mps=False,
        private="privateuseone",
        devices=None,
        libraries=(),
        cxx11=True,
    )
    values.update(facts)
    put(
        os.path.join(folder, "torch", "__init__.py"),
        FAKE_TORCH.format(version=version, more=more, **values),
    )
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "hub":
        sys.exit(__doc__)
    write_hub(sys.argv[2])
