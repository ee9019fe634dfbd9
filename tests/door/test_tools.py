# SPDX-License-Identifier: Apache-2.0
"""What looks at packages from outside sees the real one."""

import unittest

from base import DoorTest, needs_torch


class Tools(DoorTest):
    def test_pickles_load_in_another_process(self):
        data = self.python(
            """
            import door_plain, pickle
            things = [door_plain.Point(3), door_plain.double, door_plain.Point]
            assert pickle.loads(pickle.dumps(things))[0] == things[0]
            print(pickle.dumps(things).hex())
            """
        )
        out = self.python(
            "import pickle, sys; p, f, c = pickle.loads(bytes.fromhex("
            "sys.argv[1])); print(p.x, f(2), c.__module__)",
            data,
        )
        self.assertEqual(out, "3 4 door_plain")

    def test_inspect(self):
        out = self.python(
            """
            import door_plain, inspect
            assert inspect.getsourcefile(door_plain) == door_plain.__file__
            assert inspect.getmodule(door_plain.double) is door_plain.sub
            assert "A point" in inspect.getsource(door_plain.Point)
            assert inspect.getsource(door_plain).startswith('\"\"\"A plain')
            print(inspect.getsource(door_plain.double), end="")
            """
        )
        self.assertEqual(out, "def double(x):\n    return TWO * x")

    def test_tracebacks_name_the_real_file_and_line(self):
        text = self.fails("import door_plain; door_plain.fail()")
        line = r"@[0-9a-f]{40}/build/.*/__init__.py\", line 22, in fail"
        self.assertRegex(text, line)
        self.assertIn('raise LookupError("out of the kernel")', text)

    def test_importlib_resources(self):
        out = self.python(
            """
            from importlib.resources import files, as_file
            text = files("door_plain").joinpath("data.txt").read_text()
            with as_file(files("door_plain") / "data.txt") as path:
                assert path.read_text() == text
            print(text, sorted(p.name for p in files("door_plain").iterdir()))
            """
        )
        self.assertTrue(out.startswith("some data\n"), out)
        self.assertIn("'late.py', 'loose', 'metadata.json', 'sub.py'", out)

    def test_pkgutil(self):
        out = self.python(
            """
            import door_plain, pkgutil
            print([m.name for m in pkgutil.walk_packages(
                door_plain.__path__, "door_plain.") if m.name[-4:] != "tool"])
            print(pkgutil.get_data("door_plain", "data.txt"))
            """
        ).replace("main 2\n", "")
        self.assertEqual(
            out.splitlines(),
            [
                "['door_plain.__main__', 'door_plain.deep', "
                "'door_plain.deep.leaf', 'door_plain.late', "
                "'door_plain.sub', 'door_plain.util']",
                "b'some data\\n'",
            ],
        )

    def test_the_root_lists_its_packages(self):
        out = self.python(
            """
            import pkgutil, sys
            root = sys.argv[1]
            print([m.name for m in pkgutil.iter_modules([root])
                   if m.name[:5] == "door_"])
            """,
            self.root,
        )
        self.assertIn("'door_nested'", out)
        self.assertIn("'door_plain'", out)

    def test_run_as_a_module(self):
        self.serve()
        out = self.python(None, "-m", "door_plain")
        self.assertEqual(out, "main 2")
        self.assertEqual(self.python(None, "-m", "door_plain.tool"), "tool 8")

    def test_unittest_mock_and_warnings_name_the_module(self):
        out = self.python(
            """
            import door_plain, unittest.mock, warnings
            with unittest.mock.patch("door_plain.sub.TWO", 5):
                print(door_plain.double(2), door_plain.double.__module__)
            """
        )
        self.assertEqual(out, "10 door_plain.sub")

    @needs_torch
    def test_torch_compile(self):
        out = self.python(
            """
            import torch, door_plain
            f = torch.compile(door_plain.torch_scale, fullgraph=True,
                              backend="aot_eager")
            x = torch.arange(4.0)
            assert torch.equal(f(x), x * 2 + 1)

            @torch.compile(fullgraph=True, backend="aot_eager")
            def g(x):
                import door_plain
                return door_plain.torch_scale(door_plain.double(x))

            assert torch.equal(g(x), x * 4 + 1)
            print("same")
            """
        )
        self.assertEqual(out, "same")


if __name__ == "__main__":
    unittest.main()
