# SPDX-License-Identifier: Apache-2.0
"""Kernels that need other kernels, Python packages, a release of `kernels`."""

import os
import unittest

import fixture
from base import DoorTest, needs_folder, real_torch

try:
    import kernels.deps  # noqa: F401

    HAS_KERNELS = True
except ImportError:
    HAS_KERNELS = False

# A package `kernels` from before kernels could depend on kernels, and the
# part of today's that the door uses.
OLD = "OLD = True\n\n\ndef get_kernel(name):\n    return name\n"
NEW = "from .deps import get_kernel_dep\n"
NEW_DEPS = """import contextlib, contextvars

_KERNEL_DEPS = contextvars.ContextVar("deps", default=None)
used = 0


@contextlib.contextmanager
def use_kernel_deps(deps):
    global used
    used += 1
    token = _KERNEL_DEPS.set(deps)
    try:
        yield
    finally:
        _KERNEL_DEPS.reset(token)


def get_kernel_dep(repo):
    deps = _KERNEL_DEPS.get()
    if deps is None:
        raise RuntimeError("`get_kernel_dep` only works during kernel loading.")
    if repo not in deps:
        raise RuntimeError("Dependency '%s' not found in kernel" % repo)
    return deps[repo]
"""


class Depends(DoorTest):
    def site(self, einops=True, **packages):
        """A folder of installed packages, made up."""
        top = self.folder()
        if einops:
            fixture.put("%s/einops.py" % top, "")
        for path, text in packages.items():
            path = path.replace("__", "/", 1)
            fixture.put("%s/%s.py" % (top, path), text)
        return top

    CODE = """
import door_top
assert door_top.middle.base is door_top.base is door_top.sub.base
assert door_top.base.VERSION == 1 and door_top.base.PART == "part"
assert "door-plain" in door_top.undeclared, door_top.undeclared
import builtins
assert builtins.door_runs == ["door_middle"], builtins.door_runs
assert sys.modules["_door_base_0123abc"] is door_top.base
assert "/door-middle@" in door_top.middle.__file__
import door_top.late
try:
    door_top.later()
except RuntimeError as e:
    assert "only works during" in str(e)
else:
    raise SystemExit("get_kernel_dep worked outside")
"""

    def stand_in(self):
        """What hides an installed `kernels`: one that cannot be imported."""
        return self.site(
            kernels____init__="raise ImportError('hidden by the test')\n"
        )

    def test_a_plain_import_finds_what_it_needs_without_kernels(self):
        out = self.python(
            "import sys\n"
            + self.CODE
            + "print('kernels' in sys.modules and sys.modules['kernels'])",
            first=[self.stand_in()],
        )
        self.assertEqual(out, "False")

    def test_and_with_a_kernels_that_knows_dependencies(self):
        site = self.site(kernels____init__=NEW, kernels__deps=NEW_DEPS)
        out = self.python(
            "import sys\n" + self.CODE + "import kernels.deps\n"
            "print(kernels.__file__, kernels.deps.used)",
            first=[site],
        )
        self.assertEqual(out, "%s/kernels/__init__.py 2" % site)

    def test_and_with_one_that_does_not(self):
        site = self.site(kernels____init__=OLD)
        out = self.python(
            "import sys, kernels\n" + self.CODE + "assert kernels.OLD\n"
            "print(sys.modules['kernels'] is kernels, door_top.kernels.OLD,\n"
            "      door_top.kernels.get_kernel('x'))",
            first=[site],
        )
        self.assertEqual(out, "True True x")

    @unittest.skipUnless(HAS_KERNELS, "this Python has no kernels package")
    @real_torch
    def test_and_with_the_real_one(self):
        out = self.python(
            "import sys\n" + self.CODE + "import kernels.deps\n"
            "print(kernels.deps._KERNEL_DEPS.get())",
            first=[self.site()],
        )
        self.assertEqual(out, "None")

    def test_a_needed_kernel_is_the_one_that_a_plain_import_gives(self):
        # v1 is not the default: two kernels. door-bad is the default: one.
        out = self.python(
            """
            import sys
            import door_base, door_middle
            print(door_base.VERSION, door_middle.base.VERSION)
            print(door_base is door_middle.base)
            try:
                import door_over_bad
            except ZeroDivisionError:
                print(sorted(m for m in sys.modules if "bad" in m))
            """,
            first=[self.stand_in()],
        )
        self.assertEqual(out.splitlines(), ["2 1", "False", "[]"])

    def test_one_already_imported_is_shared(self):
        out = self.python(
            """
            import door_middle
            import door_top
            print(door_top.middle is door_middle)
            print(door_top.middle.__name__)
            """,
            first=[self.stand_in()],
        )
        self.assertEqual(out.splitlines(), ["True", "door_middle"])

    def test_reload_keeps_what_it_needs(self):
        out = self.python(
            """
            import importlib
            import door_middle
            base = door_middle.base
            importlib.reload(door_middle)
            print(door_middle.base is base)
            """,
            first=[self.stand_in()],
        )
        self.assertEqual(out, "True")

    def test_pickles_load_in_another_process(self):
        out = self.python(
            """
            import multiprocessing, sys
            import door_middle

            def work(queue, x):
                queue.put(type(x).__name__)

            if __name__ == "__main__":
                context = multiprocessing.get_context("fork")
                queue = context.Queue()
                p = context.Process(
                    target=work, args=(queue, door_middle.base.Point())
                )
                p.start(); print(queue.get(timeout=60)); p.join()
            """,
            first=[self.stand_in()],
        )
        self.assertEqual(out, "Point")

    def test_threads_share_one_needed_kernel(self):
        out = self.python(
            """
            import threading
            names = ["door_top", "door_middle"] * 4
            start, found, failed = threading.Barrier(8), [], []

            def work(name):
                start.wait(20)
                try:
                    module = __import__(name)
                    found.append(id(getattr(module, "base")))
                except BaseException as e:
                    failed.append(e)

            threads = [threading.Thread(target=work, args=(n,)) for n in names]
            [t.start() for t in threads]
            [t.join(60) for t in threads]
            print(len(found), len(set(found)), failed)
            """,
            first=[self.stand_in()],
        )
        self.assertEqual(out, "8 1 []")

    def test_its_module_is_gone_when_it_raises(self):
        error = self.fails(
            "import door_bad", first=[self.stand_in()]
        )
        self.assertIn("ZeroDivisionError", error)
        self.assertIn("/door-bad@", error)

    def test_an_import_that_failed_can_be_tried_again(self):
        out = self.python(
            """
            import sys
            for i in range(2):
                try:
                    import door_over_bad
                except ZeroDivisionError:
                    print("kernels" in sys.modules,
                          "door_over_bad" in sys.modules)
            """,
            first=[self.site(kernels____init__="raise ImportError\n")],
        )
        self.assertEqual(out.splitlines(), ["False False"] * 2)


class Checks(DoorTest):
    def test_a_missing_python_package_is_named(self):
        top = self.folder()
        fixture.put(top + "/einops.py", "")
        blocked = "import sys; sys.modules['tvm_ffi'] = None\n"
        error = self.fails(
            blocked + "import door_python", first=[top]
        )
        self.assertIn(
            "ImportError: Kernel module `door_python` requires Python "
            "dependency `apache-tvm-ffi`. Please install with: pip install "
            "apache-tvm-ffi",
            error,
        )

    def test_an_unknown_python_package_too(self):
        error = self.fails("import door_strange")
        self.assertIn(
            "ImportError: Kernel module `door_strange` uses unsupported kernel "
            "dependency: leftpad",
            error,
        )

    def test_a_release_of_kernels_that_is_not_there(self):
        for name in ("door_new", "door_over_new"):
            error = self.fails("import " + name)
            self.assertIn(
                "ImportError: Kernel 'door_new' variant 'torch-universal' "
                "requires kernels>=7.2.0",
                error,
            )

    def test_an_old_release_says_how_to_upgrade(self):
        site = self.folder()
        fixture.put(
            site + "/kernels-0.9.1.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: kernels\nVersion: 0.9.1.dev0\n",
        )
        error = self.fails("import door_new", first=[site])
        self.assertIn(
            "but version 0.9.1.dev0 is installed. Upgrade with: pip install "
            "--upgrade kernels",
            error,
        )

    @needs_folder
    def test_a_mount_that_does_not_tell_is_named(self):
        mount = self.own_mount()
        spec = self.serve()
        path = mount.at(
            ".env", spec, mount.commit("door-middle", "v1"), ".kernelfs"
        )
        os.unlink(path + "/depends.json")
        error = self.fails("import door_middle", served=False)
        self.assertIn("ImportError: %s/depends.json" % path, error)
        fixture.put(path + "/depends.json", "{")
        error = self.fails("import door_middle", served=False)
        self.assertIn("cannot be read", error)

    @needs_folder
    def test_a_kernel_that_needs_nothing_reads_no_second_file(self):
        mount = self.own_mount()
        self.serve()
        os.unlink(mount.at(".kernelfs/door/depends.py"))
        self.assertEqual(
            self.python("import door_plain; print('good')", served=False),
            "good",
        )
        self.fails("import door_middle", served=False)


if __name__ == "__main__":
    unittest.main()
