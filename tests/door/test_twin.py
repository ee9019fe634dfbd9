# SPDX-License-Identifier: Apache-2.0
"""A kernel's library that this process has loaded from another file."""

import os
import shutil
import signal
import subprocess
import sysconfig

import fixture
from base import DoorTest, needs_folder, needs_torch
from test_installed import build_extension

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
STEM = "_door_ext_0123abc"
VARIANT = fixture.UNIVERSAL
KERNELS = {
    "door-ext": {
        "v1": {
            VARIANT: {
                "__init__.py": "from . import %s as lib\n" % STEM,
                "deep/__init__.py": "",
            }
        }
    },
    "door-loads": {
        "v1": {
            VARIANT: {
                "__init__.py": "import os, torch\n"
                "torch.ops.load_library(os.path.join(os.path.dirname("
                "__file__), 'libdoor_loads.so'))\nLOADED = True\n"
            }
        }
    },
    fixture.NAMED: fixture.KERNELS[fixture.NAMED],
}
FOREIGN = """
    import importlib.machinery, importlib.util, sys

    def load(path, name=%r):
        loader = importlib.machinery.ExtensionFileLoader(name, path)
        spec = importlib.util.spec_from_loader(name, loader)
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        sys.modules[name] = module
        return module
    """ % ("elsewhere." + STEM)


@needs_folder
class Twin(DoorTest):
    def setUp(self):
        super().setUp()
        self.own_mount(KERNELS)
        self.place = self.mount.at(
            self.mount.commit("door-ext", "v1"), "build", VARIANT
        )
        self.file = "%s/%s%s" % (self.place, STEM, SUFFIX)
        build_extension(self.file, STEM, "mount")

    def other(self, text=None, stem=STEM):
        path = "%s/%s%s" % (self.folder(), stem, SUFFIX)
        if text is None:
            shutil.copy(self.file, path)
        else:
            build_extension(path, stem, text)
        return path

    def test_alone_it_is_loaded_the_ordinary_way(self):
        out = self.python(
            """
            import door_ext
            lib = door_ext.lib
            print(lib.FROM, lib.count(), type(lib.__loader__).__name__,
                  lib.__file__)
            """
        )
        self.assertEqual(
            out, "mount 1 ExtensionFileLoader " + self.file
        )

    def test_a_copy_is_shared(self):
        out = self.python(
            FOREIGN
            + """
    other = load(sys.argv[1])
    import door_ext
    lib = door_ext.lib
    print(lib.count is other.count, lib.FROM, lib.__file__, lib.__name__,
          other.__name__)
            """,
            self.other(),
        )
        self.assertEqual(
            out,
            "True mount %s door_ext.%s elsewhere.%s" % (self.file, STEM, STEM),
        )

    def test_the_same_file_by_another_name_is_no_twin(self):
        link = "%s/%s%s" % (self.folder(), STEM, SUFFIX)
        os.symlink(self.file, link)
        out = self.python(
            FOREIGN
            + """
    load(sys.argv[1])
    import door_ext
    print(type(door_ext.lib.__loader__).__name__, door_ext.lib.FROM)
            """,
            link,
        )
        self.assertEqual(out, "ExtensionFileLoader mount")

    def test_another_build_of_it_is_refused(self):
        other = self.other("another build")
        text = self.fails(
            FOREIGN + "\n    load(sys.argv[1])\n    import door_ext\n", other
        )
        self.assertRegex(text, "ImportError: .*would abort it")
        self.assertIn(other, text)
        self.assertIn(self.file, text)

    def test_a_common_name_is_no_twin(self):
        """Many packages have a _C; they have nothing in common."""
        build_extension(self.place + "/_C" + SUFFIX, "_C", "kernel")
        out = self.python(
            FOREIGN
            + """
    other = load(sys.argv[1], "somebody._C")
    import door_ext._C
    print(door_ext._C.FROM, other.FROM)
            """,
            self.other("stranger", "_C"),
        )
        self.assertEqual(out, "kernel stranger")

    def test_in_a_subpackage_and_late(self):
        shutil.copy(self.file, self.place + "/deep")
        os.unlink(self.file)
        fixture.put(self.place + "/__init__.py", "")
        out = self.python(
            FOREIGN
            + """
    import door_ext
    other = load(sys.argv[1])
    from door_ext.deep import %s as lib
    print(lib.count is other.count)
            """
            % STEM,
            self.other("mount"),
        )
        self.assertEqual(out, "True")

    def test_lazy_modules_are_not_woken(self):
        out = self.python(
            """
            import sys, types

            class Lazy(types.ModuleType):
                def __getattr__(self, name):
                    print("woken by", name)
                    raise AttributeError(name)

            sys.modules["lazy.%s"] = Lazy("lazy")
            sys.modules["odd.%s"] = None
            import door_ext
            print(door_ext.lib.count())
            """
            % (STEM, STEM)
        )
        self.assertEqual(out, "1")

    def library(self, folder, text):
        path = folder + "/libdoor_loads.so"
        build_extension(path, "libdoor_loads", text)
        return path

    @needs_torch
    def test_a_library_that_torch_loaded(self):
        place = self.mount.at(
            self.mount.commit("door-loads", "v1"), "build", VARIANT
        )
        ours = self.library(place, "a")
        other = self.folder() + "/libdoor_loads.so"
        shutil.copy(ours, other)
        code = """
            import sys, torch
            torch.ops.load_library(sys.argv[1])
            import door_loads
            print(door_loads.LOADED)
            """
        text = self.fails(code, other)
        self.assertRegex(text, "ImportError: .*would abort it")
        self.assertEqual(self.python(code, ours), "True")


OPERATORS = """
#include <Python.h>
#include <torch/library.h>
TORCH_LIBRARY(%(stem)s, m) { m.def("f(Tensor x) -> Tensor"); }
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "%(stem)s", 0, 0, 0};
PyMODINIT_FUNC PyInit_%(stem)s(void) { return PyModule_Create(&def); }
"""


@needs_folder
class RegisteredTwin(DoorTest):
    """The real thing: a library that registers operators with torch."""

    def build(self, path):
        import torch

        compiler = shutil.which("c++") or shutil.which("g++")
        include = sysconfig.get_paths()["include"]
        if not compiler or not os.path.exists(include + "/Python.h"):
            self.skipTest("no C++ compiler or no Python.h")
        top = os.path.dirname(torch.__file__)
        headers = "/include", "/include/torch/csrc/api/include"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-std=c++20", "-I" + include]
            + ["-I" + top + h for h in headers]
            + ["-x", "c++", "-", "-o", path, "-L" + top + "/lib"]
            + ["-lc10", "-ltorch_cpu"],
            input=(OPERATORS % {"stem": STEM}).encode(),
            check=True,
            timeout=300,
        )

    @needs_torch
    def test_aborts_a_plain_import_but_not_ours(self):
        mount = self.own_mount(KERNELS)
        commit = mount.commit("door-ext", "v1")
        file = mount.at(commit, "build", VARIANT, STEM + SUFFIX)
        self.build(file)
        other = "%s/%s%s" % (self.folder(), STEM, SUFFIX)
        shutil.copy(file, other)
        code = "\n    import torch" + FOREIGN
        code += "\n    load(sys.argv[1])\n    %s\n    print(torch.ops.%s.f)"
        plain = self.start(
            code % ("load(sys.argv[2], 'second.%s')" % STEM, STEM), other, file
        )
        self.assertEqual(plain.returncode, -signal.SIGABRT, plain.stderr)
        out = self.python(code % ("import door_ext", STEM), other)
        self.assertEqual(out, STEM + ".f")


if __name__ == "__main__":
    import unittest

    unittest.main()
