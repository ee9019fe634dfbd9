# SPDX-License-Identifier: Apache-2.0
"""A name that the mount lists and that is installed as well."""

import os
import shutil
import subprocess
import sysconfig
import unittest

import fixture
from base import DoorTest, needs_folder

MODULE = (
    '"""The installed one."""\nimport sys\n'
    "FROM = 'site'\nassert sys.modules[__name__].__dict__ is globals()\n"
)


class Installed(DoorTest):
    def site(self, package="door_owned", layout="package"):
        top = self.folder()
        if layout == "package":
            fixture.put("%s/%s/__init__.py" % (top, package), MODULE)
            fixture.put("%s/%s/part.py" % (top, package), "PART = 9\n")
        elif layout == "module":
            fixture.put("%s/%s.py" % (top, package), MODULE)
        else:
            fixture.put("%s/%s/part.py" % (top, package), "PART = 9\n")
        return top

    def test_a_name_listed_for_its_owner_yields(self):
        site = self.site()
        out = self.python(
            """
            import importlib, sys
            import door_owned as d
            import door_owned.part
            assert d is sys.modules["door_owned"]
            assert not d.__spec__._initializing
            assert d.__spec__.origin == d.__file__
            assert d.__spec__.submodule_search_locations is d.__path__
            assert importlib.reload(d) is d and d.FROM == "site"
            print(d.FROM, d.part.PART, d.__file__, d.__doc__)
            print(sorted(vars(d)))
            """,
            last=[site],
        )
        first, second = out.splitlines()
        self.assertEqual(
            first,
            "site 9 %s/door_owned/__init__.py The installed one." % site,
        )
        plain = self.python(
            "import door_owned as d, door_owned.part, importlib, sys\n"
            "print(sorted(vars(d)))",
            first=[site],
        )
        self.assertEqual(second, plain)

    def test_to_a_single_file_too(self):
        site = self.site(layout="module")
        out = self.python(
            "import door_owned as d;"
            "print(d.FROM, d.__file__, hasattr(d, '__path__'),"
            "repr(d.__package__), d.__spec__.submodule_search_locations)",
            last=[site],
        )
        self.assertEqual(
            out, "site %s/door_owned.py False '' None" % site
        )

    def test_a_named_kernel_does_not_yield(self):
        out = self.python(
            "import door_named as d; print(d.FROM)",
            last=[self.site("door_named")],
        )
        self.assertEqual(out, "hub")

    def test_what_stands_before_the_mount_wins_anyway(self):
        out = self.python(
            "import door_named as d; print(d.FROM)",
            first=[self.site("door_named")],
        )
        self.assertEqual(out, "site")

    def test_the_path_of_a_version_does_not_yield(self):
        top = "%s/%s/door-owned@v1/python" % (self.root, fixture.OWNER)
        out = self.python(
            "import door_owned as d; print(d.FROM)",
            first=[top],
            last=[self.site()],
        )
        self.assertEqual(out, "hub")

    def test_a_folder_without_init_is_no_package(self):
        out = self.python(
            "import door_owned as d; print(d.FROM)",
            last=[self.site(layout="namespace")],
        )
        self.assertEqual(out, "hub")

    @needs_folder
    def test_two_mounts_do_not_send_each_other_on(self):
        other = fixture.Mount()
        other.serve(self.serve())
        for last in ([other.path], [other.path, self.site()]):
            code = "import door_owned as d; print(d.FROM)"
            out = self.python(code, last=last)
            self.assertEqual(out, "site" if len(last) > 1 else "hub")
        environment = "%s/.env/%s" % (self.root, self.serve())
        out = self.python(
            "import door_owned as d; print(d.FROM)", last=[environment]
        )
        self.assertEqual(out, "hub")

    def test_an_editable_installation_counts(self):
        site = self.site()
        out = self.python(
            """
            import importlib.util, sys

            class Editable:
                @classmethod
                def find_spec(cls, name, path=None, target=None):
                    if name == "door_owned":
                        return importlib.util.spec_from_file_location(
                            name, sys.argv[1] + "/door_owned/__init__.py")

            class Broken:
                @classmethod
                def find_spec(cls, name, path=None, target=None):
                    if name == "door_owned":
                        raise RuntimeError("of no use")

            sys.meta_path += [Broken, Editable]
            import door_owned
            print(door_owned.FROM)
            """,
            site,
        )
        self.assertEqual(out, "site")

    def test_an_installed_one_that_raises_passes_unchanged(self):
        site = self.site()
        fixture.put(site + "/door_owned/__init__.py", "1 / 0\n")
        text = self.fails("import door_owned", last=[site])
        self.assertTrue(
            text.rstrip().endswith("ZeroDivisionError: division by zero"), text
        )

    @needs_folder
    def test_the_commit_stays_when_one_is_installed_later(self):
        site = self.site()
        out = self.python(
            """
            import importlib, sys, door_owned
            sys.path.append(sys.argv[1])
            print(door_owned.FROM, importlib.reload(door_owned).FROM)
            """,
            site,
        )
        self.assertEqual(out, "hub hub")


EXTENSION = """
#include <Python.h>
static int loads;
static PyObject *count(PyObject *self, PyObject *none)
{
	return PyLong_FromLong(loads);
}
static PyMethodDef methods[] = {{"count", count, METH_NOARGS, ""}, {0}};
static int run(PyObject *module)
{
	loads++;
	return PyModule_AddStringConstant(module, "FROM", FROM_TEXT);
}
static PyModuleDef_Slot slots[] = {{Py_mod_exec, run}, {0}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, NAME_TEXT, 0, 0,
				 methods, slots};
PyMODINIT_FUNC INIT(void)
{
	return PyModuleDef_Init(&def);
}
"""


def build_extension(path, name, text):
    """Compile a small extension module, or skip the test by name."""
    include = sysconfig.get_paths()["include"]
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler or not os.path.exists(include + "/Python.h"):
        raise unittest.SkipTest("no compiler or no Python.h")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    defines = [
        '-DFROM_TEXT="%s"' % text,
        '-DNAME_TEXT="%s"' % name,
        "-DINIT=PyInit_" + name,
    ]
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-I" + include, *defines]
        + ["-x", "c", "-", "-o", path],
        input=EXTENSION.encode(),
        check=True,
        timeout=300,
    )


class InstalledLibrary(DoorTest):
    def test_yields_to_a_library_too(self):
        site = self.folder()
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        build_extension(site + "/door_owned" + suffix, "door_owned", "library")
        out = self.python(
            """
            import sys, door_owned as d
            assert d is sys.modules["door_owned"]
            print(d.FROM, d.count(), d.__file__)
            """,
            last=[site],
        )
        self.assertEqual(out, "library 1 %s/door_owned%s" % (site, suffix))


if __name__ == "__main__":
    unittest.main()
