# SPDX-License-Identifier: Apache-2.0
"""A kernel imported through the door is the package it stands for."""

import os
import re
import unittest

import fixture
from base import DoorTest, needs_folder, real_torch

PLACE = r"/kernels-community/door-plain@[0-9a-f]{40}/build/torch-universal"


class Import(DoorTest):
    @real_torch
    def test_the_package_is_the_one_of_the_commit(self):
        out = self.python(
            """
            import door_plain, sys
            s = door_plain.__spec__
            print(door_plain.__file__)
            assert door_plain.VERSION == 2
            assert door_plain.__doc__ == "A plain kernel."
            assert door_plain.__name__ == "door_plain"
            assert door_plain.__package__ == "door_plain"
            assert s.name == "door_plain" and s.origin == door_plain.__file__
            assert s.loader is door_plain.__loader__
            assert s.submodule_search_locations is door_plain.__path__
            assert not s._initializing
            assert sys.modules["door_plain"] is door_plain
            """
        )
        self.assertRegex(out, "^" + re.escape(self.root) + PLACE)
        self.assertTrue(out.endswith("/__init__.py"))

    def test_attributes_are_those_of_a_plain_import(self):
        """Also __cached__, __doc__ and what else this Python sets."""
        code = """
            import sys
            import %s as m
            skip = "__builtins__", "__spec__", "__loader__"
            print(sorted((k, str(v)) for k, v in vars(m).items()
                         if k not in skip and " at 0x" not in str(v)))
            print(sorted(vars(m)))
            print(sorted((k, str(v)) for k, v in vars(m.__spec__).items()
                         if k not in ("loader", "_initializing")))
            source = "importlib.machinery", "SourceFileLoader"
            kind = getattr(__import__(source[0]).machinery, source[1])
            print(m.__spec__.cached, isinstance(m.__loader__, kind))
            """
        for package in ("door_plain", "door_lazy"):
            door = self.python(code % package)
            links = os.path.join(self.root, ".env", self.serve())
            ask = "import %s as m; print(m.__path__[0])"
            real = self.python(ask % package)
            parent = self.folder()
            os.symlink(os.path.realpath(real), os.path.join(parent, package))
            self.assertTrue(os.path.isdir(os.path.join(links, package)))
            plain = self.python(code % package, first=[parent], served=False)
            plain = plain.replace(os.path.join(parent, package), real)
            self.assertEqual(door, plain)

    def test_no_name_of_the_door_stays(self):
        out = self.python(
            "import door_plain as d; print(d.names, hasattr(d, '__getattr__'))"
        )
        self.assertEqual(
            out,
            "['LEAF', 'VERSION', 'deep', 'door_plain', 'double', 'sub', "
            "'util'] False",
        )

    def test_submodules_relative_absolute_late_and_deep(self):
        out = self.python(
            """
            import door_plain.late, door_plain.deep.leaf, door_plain.loose.part
            from door_plain.util import TWO
            from door_plain import sub
            print(door_plain.late.FOUR, door_plain.deep.leaf.LEAF,
                  door_plain.loose.part.PART, TWO, sub.double(3))
            """
        )
        self.assertEqual(out, "4 3 5 2 6")

    def test_a_submodule_can_be_the_first_import(self):
        out = self.python("from door_plain.late import FOUR; print(FOUR)")
        self.assertEqual(out, "4")

    def test_nested_layout(self):
        out = self.python(
            "import door_nested as d; from door_nested import sub;"
            "print(d.X, sub.X, d.__path__[0].rsplit('/', 2)[1:])"
        )
        self.assertEqual(out, "7 7 ['torch-universal', 'door_nested']")

    def test_find_spec_imports_nothing(self):
        out = self.python(
            """
            import importlib.util, sys
            print(importlib.util.find_spec("door_plain") is not None,
                  "door_plain" in sys.modules, "_kernelfs_1" in sys.modules)
            print(importlib.util.find_spec("door_plain.sub").origin)
            """
        )
        first, second = out.splitlines()
        self.assertEqual(first, "True False False")
        self.assertRegex(second, PLACE + "/sub.py$")

    def test_path_of_a_version_pins_it(self):
        for rev, version in (("v1", "1"), ("v2", "2")):
            top = "%s/door-plain@%s/python" % (fixture.OWNER, rev)
            top = os.path.join(self.root, top)
            out = self.python(
                "import door_plain as d, door_plain.late;"
                "print(d.VERSION, d.late.FOUR, d.__file__)",
                first=[top],
            )
            self.assertRegex(out, "^%s 4 %s%s" % (version, self.root, PLACE))

    def test_reached_through_a_link_from_elsewhere(self):
        parent = self.folder()
        os.symlink(self.root, os.path.join(parent, "all"))
        os.symlink(
            os.path.join(self.root, "door_plain"),
            os.path.join(parent, "door_plain"),
        )
        for first in (parent, os.path.join(parent, "all")):
            out = self.python(
                "import door_plain as d; print(d.VERSION, d.__file__)",
                first=[first],
            )
            self.assertRegex(out, "^2 %s%s" % (self.root, PLACE))

    def test_relative_entry_of_the_path(self):
        out = self.python(
            """
            import os, sys
            root = sys.argv[1]
            os.chdir(root + "/..")
            sys.path[:] = [p for p in sys.path if p != root]
            sys.path.insert(0, os.path.relpath(root))
            import door_plain
            print(door_plain.__file__)
            """,
            self.root,
        )
        self.assertRegex(out, "^" + self.root + PLACE)

    @real_torch
    def test_isolated_and_optimised(self):
        self.serve()
        for options in (["-I"], ["-OO"], ["-X", "importtime"]):
            out = self.python(
                "import sys; sys.path.insert(0, %r);"
                "import door_plain.late as d; print(d.FOUR)" % self.root,
                options=options,
            )
            self.assertEqual(out, "4")

    def test_reload_of_package_and_submodule(self):
        out = self.python(
            """
            import importlib, door_plain, door_plain.sub, door_lazy
            file, cls = door_plain.__file__, door_plain.Point
            door_plain.mark = 1
            assert importlib.reload(door_plain) is door_plain
            assert door_plain.__file__ == file and door_plain.mark == 1
            assert door_plain.Point is not cls
            assert door_plain.__path__ == [file.rsplit("/", 1)[0]]
            sub = door_plain.sub
            assert importlib.reload(sub) is sub
            assert importlib.reload(door_lazy).answer == 42
            import door_plain.late
            print(door_plain.late.FOUR)
            """
        )
        self.assertEqual(out, "4")

    @needs_folder
    def test_reload_keeps_the_commit(self):
        mount = self.own_mount()
        spec = self.serve()
        commit = mount.commit("door-plain", "v1")
        old = mount.at(commit, "build/torch-universal")
        out = self.python(
            """
            import door_plain, importlib, os, sys
            link, old = sys.argv[1:]
            os.unlink(link)
            os.symlink(old, link)
            importlib.reload(door_plain)
            print(door_plain.VERSION)
            del sys.modules["door_plain"]
            import door_plain
            print(door_plain.VERSION)
            pid = os.fork()
            if pid == 0:
                del sys.modules["door_plain"]
                import door_plain
                print(door_plain.VERSION, flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
            """,
            mount.at(".env", spec, "door_plain"),
            old,
            options=["-u"],
        )
        self.assertEqual(out.split(), ["2", "2", "2"])
        out = self.python("import door_plain as d; print(d.VERSION)")
        self.assertEqual(out, "1")

    def test_clearing_the_import_caches(self):
        out = self.python(
            """
            import importlib, sys, door_plain
            importlib.invalidate_caches()
            import door_plain.late
            sys.path_importer_cache.clear()
            importlib.invalidate_caches()
            import door_plain.tool
            import door_nested
            """
        )
        self.assertEqual(out, "tool 8")

    def test_global_state_is_left_alone(self):
        out = self.python(
            """
            import os, sys, threading
            before = (list(sys.meta_path), list(sys.path_hooks),
                      list(sys.path), dict(sys.flags.__class__.__dict__))
            known = set(sys.path_importer_cache)
            import door_plain, door_plain.deep.leaf
            after = (list(sys.meta_path), list(sys.path_hooks),
                     list(sys.path), dict(sys.flags.__class__.__dict__))
            assert before == after
            assert threading.active_count() == 1
            new = set(sys.path_importer_cache) - known
            old = *sys.path, os.getcwd()
            print(sorted(p for p in new if "@" not in p and p not in old
                         and not p.startswith(sys.base_prefix)))
            print([m for m in sys.modules if "kernelfs" in m])
            """
        )
        self.assertEqual(out.splitlines(), ["[]", "['_kernelfs_1']"])

    def test_heavy_modules_are_not_imported(self):
        first = [fixture.fake_torch(self.folder())]
        out = self.python(
            """
            import sys, door_owned
            print([m for m in ("json", "platform", "subprocess", "inspect",
                               "sysconfig", "ctypes") if m in sys.modules])
            """,
            first=first,
            options=["-S"],
        )
        self.assertEqual(out, "[]")


if __name__ == "__main__":
    unittest.main()
