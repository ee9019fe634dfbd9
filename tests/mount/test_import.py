# SPDX-License-Identifier: Apache-2.0
"""An unmodified `import` through a mount, with the Python of the system."""

import os
import subprocess
import unittest

from mounted import (
    SPEC, MountCase, clean_environment, make_kernel, make_owner, spec)

PY = {"__init__.py": "from .ops import double\nVERSION = %d\n",
      "ops.py": "from . import low\n\ndef double(x):\n"
                "    return low.TWO * x\n\n\ndef fail():\n"
                "    raise LookupError('from within')\n",
      "low/__init__.py": "TWO = 2\n", "data.txt": "data\n"}
OTHERS = ["torch%s-cxx11-cpu-x86_64-linux" % t for t in ("212", "213")]


def python_kernel(version):
    return {"torch-universal": dict(PY, **{
        "__init__.py": PY["__init__.py"] % version})}


class TestImport(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for n in (1, 2):
            make_kernel(root, "acme/my-kernel", "v%d" % n, python_kernel(n))
        make_kernel(root, "acme/metal", "v1", {
            "torch213-metal-aarch64-darwin": {"__init__.py": ""}})
        make_kernel(root, "acme/nested", "v1", {"torch-universal": {
            "nested/__init__.py": "from .sub import X\n",
            "nested/sub.py": "X = 5\n"}})
        make_kernel(root, "acme/which", "v1", dict(
            {v: {"__init__.py": "WHICH = %r\n" % v} for v in OTHERS},
            **{"torch-universal": {"__init__.py": "WHICH = 'universal'\n"}}))
        make_kernel(root, "acme/whole", "v1", {"torch-universal": {
            "__init__.py": "X = 1\n", "metadata.json": None}})

    def prints(self, m, code, **how):
        done = m.python(code, **how)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.rstrip("\n")

    def fails(self, m, code, **how):
        done = m.python(code, **how)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("ImportError", done.stderr)
        return done.stderr

    def at(self, revision="v2", variant="torch-universal"):
        return "acme/my-kernel@%s/build/%s" % (
            self.commit("acme/my-kernel", revision), variant)

    def test_imports_the_build_that_fits(self):
        m = self.mount()
        self.assertEqual(
            self.prints(m, "import my_kernel as k; "
                        "print(k.double(21), k.VERSION, k.__file__)"),
            "42 2 " + m.at(self.at(), "__init__.py"))

    def test_the_package_is_the_real_one(self):
        m = self.mount()
        real = m.at(self.at())
        self.assertEqual(self.prints(m, """if 1:
            import my_kernel, my_kernel.low, inspect, importlib.resources
            from my_kernel.ops import double
            print(list(my_kernel.__path__), my_kernel.__spec__.origin)
            print(my_kernel.low.__file__, inspect.getsourcefile(double))
            print((importlib.resources.files(my_kernel) / "data.txt")
                  .read_text(), end="")
            """).split("\n"), [
                "%r %s/__init__.py" % ([real], real),
                "%s/low/__init__.py %s/ops.py" % (real, real), "data"])

    def test_a_traceback_names_the_real_file(self):
        m = self.mount()
        done = m.python("import my_kernel.ops; my_kernel.ops.fail()")
        self.assertIn('"%s/ops.py", line 8' % m.at(self.at()), done.stderr)
        self.assertIn("raise LookupError('from within')", done.stderr)

    def test_a_revision_pins(self):
        m = self.mount()
        self.assertEqual(
            self.prints(m, "import my_kernel; print(my_kernel.VERSION)",
                        path=m.at("acme/my-kernel@v1/python")), "1")
        commit = self.commit("acme/my-kernel", "v1")
        self.assertEqual(
            self.prints(m, "import my_kernel; print(my_kernel.VERSION)",
                        path=m.at("acme/my-kernel@%s/python" % commit)), "1")

    def test_two_interpreters_share_one_mount(self):
        m = self.mount()
        self.assertEqual(
            self.prints(m, "import which; print(which.WHICH)"), "universal")
        for version, wanted in (("2.12.1", OTHERS[0]), ("2.13.0", OTHERS[1]),
                                ("2.4.0", "universal")):
            self.assertEqual(
                self.prints(m, "import which; print(which.WHICH)",
                            more_paths=[self.torch(version)]), wanted)

    def torch(self, version):
        """A folder with a torch that says what it has to."""
        door = os.path.join(os.path.dirname(os.path.dirname(
            os.path.abspath(__file__))), "door")
        folder = os.path.join(self.dir, "torch-" + version)
        subprocess.run(
            ["/usr/bin/python3", "-c",
             "import sys; sys.path.insert(0, sys.argv[1]); import fixture; "
             "fixture.fake_torch(sys.argv[2], sys.argv[3])",
             door, folder, version], check=True, timeout=60)
        return folder

    def test_what_does_not_fit_raises_with_every_reason(self):
        m = self.mount()
        said = self.fails(m, "import metal")
        for word in ("acme/metal", "v1", self.commit("acme/metal"),
                     "torch213-metal-aarch64-darwin", "notorch-", "darwin"):
            self.assertIn(word, said)

    def test_an_incomplete_upload_raises_with_the_reason(self):
        m = self.mount()
        self.assertIn("metadata.json", self.fails(m, "import whole"))

    def test_a_hub_that_fails_raises_with_the_reason(self):
        m = self.mount()
        self.hub.fault("status", path="/refs", code=503,
                       headers={"Retry-After": "0"})
        said = self.fails(m, "import my_kernel")
        for word in ("acme/my-kernel", self.hub.url, "503"):
            self.assertIn(word, said)

    def test_a_hub_that_is_gone_raises_with_the_reason(self):
        m = self.mount()
        self.hub.fault("cut", path="")
        said = self.fails(m, "import my_kernel")
        self.assertIn("acme/my-kernel", said)

    def test_the_old_nested_layout(self):
        m = self.mount()
        self.assertEqual(self.prints(m, "import nested; print(nested.X)"),
                         "5")

    def test_a_name_that_is_no_kernel_is_python_s_own_error(self):
        m = self.mount()
        done = m.python("import absent_kernel")
        self.assertIn("ModuleNotFoundError: No module named 'absent_kernel'",
                      done.stderr)

    def test_a_process_keeps_its_commit(self):
        m = self.mount()
        self.assertEqual(self.prints(m, """if 1:
            import os, my_kernel, importlib
            first = my_kernel.__file__
            importlib.reload(my_kernel)
            print(my_kernel.__file__ == first, flush=True)
            if os.fork() == 0:
                import my_kernel.ops
                print(my_kernel.ops.__file__.startswith(
                    os.path.dirname(first)), flush=True)
                os._exit(0)
            os.wait()
            """), "True\nTrue")

    def test_nothing_is_written_beside_the_sources(self):
        m = self.mount()
        env = clean_environment(PYTHONPATH=m.path, HOME=self.dir)
        del env["PYTHONDONTWRITEBYTECODE"]
        for _ in range(2):
            done = subprocess.run(
                ["/usr/bin/python3", "-W", "error", "-c",
                 "import my_kernel.low"], env=env, cwd="/",
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(done.stderr, b"")
        self.assertNotIn("__pycache__", m.ls(self.at()))

    def test_python_m(self):
        make_kernel(self.root, "acme/tool", "v1", {"torch-universal": {
            "__init__.py": "NAME = 'tool'\n",
            "__main__.py": "from . import NAME\nprint('ran', NAME)\n"}})
        m = self.mount()
        done = subprocess.run(
            ["/usr/bin/python3", "-m", "tool"], cwd="/",
            env=clean_environment(PYTHONPATH=m.path), timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.stdout, b"ran tool\n", done.stderr)

    def test_the_mount_s_own_environment_is_not_the_importer_s(self):
        m = self.mount(env=spec("rocm71"))
        self.assertEqual(self.prints(m, "import my_kernel; "
                                     "print(my_kernel.VERSION)"), "2")
        m = self.mount(env=SPEC)
        self.assertEqual(m.ls("which/build"), [OTHERS[1]])
        self.assertEqual(
            self.prints(m, "import which; print(which.WHICH)"), "universal")


if __name__ == "__main__":
    unittest.main()
