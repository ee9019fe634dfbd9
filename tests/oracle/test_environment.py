# SPDX-License-Identifier: Apache-2.0
"""What is read from files, against what Python, torch and kernels say.

Run with a Python that has torch and kernels:

    python tests/oracle/test_environment.py [ENV_OF]

ENV_OF is the program built from env_of.c (build/release/oracle/env_of).
Exits 77 with one line when it cannot run.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
ENV_OF = os.path.join(ROOT, "build", "release", "oracle", "env_of")

# Variables that would make two Pythons see different packages.
PYTHON_VARIABLES = (
    "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME",
    "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYENV_VERSION")


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


try:
    import torch
    from kernels import backends, compat, variants
except ImportError as e:
    skip("this Python has no torch and kernels (%s)" % e)


def environment(**more):
    env = {k: v for k, v in os.environ.items() if k not in PYTHON_VARIABLES}
    env.update(more)
    return env


def env_of(*args, env=None, cwd=None):
    done = subprocess.run([ENV_OF, *args], env=env or environment(), cwd=cwd,
                          capture_output=True, text=True)
    if done.returncode:
        raise AssertionError("env_of %s: %s" % (args, done.stderr))
    return done.stdout


def facts(prefix, env=None):
    """(spec, JSON document, notes) of a prefix."""
    spec, document, *notes = env_of("env", prefix, env=env).split("\n", 2)
    return spec, json.loads(document), "".join(notes)


def set_version(**texts):
    """The reference's backend when torch.version says this."""
    names = ("cuda", "hip", "xpu")
    before = {n: getattr(torch.version, n, None) for n in names}
    try:
        for name in names:
            setattr(torch.version, name, texts.get(name))
        return backends._backend().variant_str
    finally:
        for name, value in before.items():
            setattr(torch.version, name, value)


class ThisPython(unittest.TestCase):
    """The Python that runs this test."""

    @classmethod
    def setUpClass(cls):
        cls.spec, cls.json, cls.notes = facts(sys.prefix)

    def test_torch_is_the_one_that_is_imported(self):
        self.assertEqual(self.json["torch"], torch.__version__)
        self.assertIn(os.path.realpath(torch.__file__).rsplit("/", 1)[0],
                      os.path.realpath(self.notes.split("torch: from ")[1]
                                       .split("\n")[0]))

    def test_cxx_abi_is_that_of_the_compiled_extension(self):
        self.assertEqual(self.json["cxx11_abi"],
                         torch.compiled_with_cxx11_abi())

    def test_backend_is_the_references(self):
        backend = backends._backend()
        self.assertEqual(self.json["backend"], backend.name)
        self.assertIn("-%s-" % backend.variant_str, self.spec)

    def test_cuda_is_what_torch_was_built_with(self):
        if torch.version.cuda is None:
            self.assertNotEqual(self.json["backend"], "cuda")
        else:
            self.assertEqual(self.json["backend_version"],
                             torch.version.cuda)

    def test_cpu_and_os_are_platforms(self):
        self.assertEqual(self.json["cpu"], platform.machine())
        self.assertEqual(self.json["os"], platform.system().lower())

    def test_python_is_the_running_one(self):
        self.assertEqual(self.json["python"], "%d.%d" % sys.version_info[:2])
        self.assertEqual(self.json["free_threaded"],
                         bool(sysconfig.get_config_var("Py_GIL_DISABLED")))

    def test_glibc_is_platforms(self):
        name, version = platform.libc_ver()
        if name != "glibc":
            self.skipTest("no glibc here")
        self.assertEqual(self.json["glibc"], version)

    def test_tvm_ffi_is_what_the_reference_sees(self):
        if not compat.has_tvm_ffi:
            self.assertIsNone(self.json["tvm_ffi"])
            return
        import tvm_ffi
        self.assertEqual(self.json["tvm_ffi"].split(".")[:2],
                         tvm_ffi.__version__.split(".")[:2])

    def test_the_reference_accepts_a_build_for_this_spec(self):
        name = self.spec.split("+")[0]
        self.assertTrue(name.startswith("torch"), name)
        build = variants.parse_variant(name)
        self.assertEqual(build.variant_str, name)
        accepted, _ = variants.resolve_variants([build])
        self.assertEqual(accepted, [build])

    def test_each_way_of_asking_finds_this_prefix(self):
        real = os.path.realpath(sys.prefix)
        python = os.path.join(sys.prefix, "bin", "python3")
        ways = [
            env_of("find", sys.prefix),
            env_of("find", python),
            env_of("find", "bin/python3", cwd=sys.prefix),
            env_of("find", env=environment(VIRTUAL_ENV=sys.prefix)),
            env_of("find", env=environment(CONDA_PREFIX=sys.prefix)),
            env_of("find", env=environment(
                PATH=os.path.join(sys.prefix, "bin") + ":/usr/bin:/bin")),
        ]
        for found in ways:
            self.assertEqual(found, real + "\n")


class Backends(unittest.TestCase):
    """Torches that are not installed here, against the reference's code."""

    TEXTS = [
        {"cuda": "11.8"}, {"cuda": "12.6"}, {"cuda": "13.0"},
        {"cuda": "13.0", "hip": "7.0"},
        {"hip": "7.1.25424-4179531dcd"}, {"hip": "6.0.32830-d62f6a171"},
        {"hip": "7.2.26015"}, {"xpu": "20250303"}, {"xpu": "20260000"},
        {"xpu": "20251102"}, {},
    ]

    def made_up(self, folder, texts):
        package = os.path.join(folder, "lib", "python3.11", "site-packages",
                               "torch")
        os.makedirs(package)
        open(os.path.join(package, "__init__.py"), "w").close()
        with open(os.path.join(package, "version.py"), "w") as f:
            f.write("from typing import Optional\n"
                    "__version__ = '2.13.0'\n")
            for name in ("cuda", "hip", "xpu"):
                f.write("%s: Optional[str] = %r\n" % (name, texts.get(name)))

    def test_backend_texts_read_as_the_reference_reads_them(self):
        for texts in self.TEXTS:
            with self.subTest(texts), tempfile.TemporaryDirectory() as folder:
                self.made_up(folder, texts)
                spec, document, _ = facts(
                    folder, environment(PYTHONNOUSERSITE="1"))
                # Without libc10.so the ABI is unknown, and not in the spec.
                self.assertIn("-%s-" % set_version(**texts),
                              spec.split("+")[0])
                self.assertIsNone(document["cxx11_abi"])

    def test_without_torch_as_the_reference(self):
        expected = backends._get_cuda() or backends.CPU()
        spec, document = env_of("none").split("\n")[:2]
        document = json.loads(document)
        self.assertEqual(document["backend"], expected.name)
        self.assertIn("-%s-" % expected.variant_str, spec)
        self.assertIsNone(document["torch"])


class SearchPath(unittest.TestCase):
    """Folders with packages, in Python's own order."""

    SCRIPT = ("import sys, os, sysconfig\n"
              "std = {os.path.realpath(sysconfig.get_path(n))"
              " for n in ('stdlib', 'platstdlib')}\n"
              "for p in sys.path:\n"
              "    r = os.path.realpath(p)\n"
              "    if p and os.path.isdir(p) and r not in std"
              " and os.path.basename(r) != 'lib-dynload':\n"
              "        print(r)\n")

    def compare(self, python, prefix, env):
        said = subprocess.run([python, "-c", self.SCRIPT], env=env,
                              capture_output=True, text=True, check=True)
        ours = env_of("path", prefix, env=env).splitlines()
        self.assertEqual([os.path.realpath(p) for p in ours],
                         said.stdout.splitlines())

    def pythons(self):
        yield os.path.join(sys.prefix, "bin", "python3"), sys.prefix
        if os.path.exists(os.path.join(sys.base_prefix, "bin", "python3")):
            yield (os.path.join(sys.base_prefix, "bin", "python3"),
                   sys.base_prefix)
        if os.access("/usr/bin/python3", os.X_OK):
            yield "/usr/bin/python3", "/usr"

    def test_the_pythons_of_this_machine(self):
        for python, prefix in self.pythons():
            with self.subTest(python):
                self.compare(python, prefix, environment())

    def test_with_a_users_folder_and_pythonpath(self):
        with tempfile.TemporaryDirectory() as folder:
            version = "python%d.%d" % sys.version_info[:2]
            user = os.path.join(folder, "user")
            site = os.path.join(user, "lib", version, "site-packages")
            for name in (site, os.path.join(folder, "mine"),
                         os.path.join(folder, "more"),
                         os.path.join(site, "below")):
                os.makedirs(name)
            with open(os.path.join(site, "b.pth"), "w") as f:
                f.write("# comment\nbelow\n%s/more  \nnot-there\n" % folder)
            with open(os.path.join(site, "a.pth"), "w") as f:
                f.write("import sys\n%s/mine\n" % folder)
            env = environment(
                PYTHONUSERBASE=user,
                PYTHONPATH="%s/more:%s/gone" % (folder, folder))
            for python, prefix in self.pythons():
                with self.subTest(python):
                    self.compare(python, prefix, env)

    def test_a_venv_with_the_systems_packages(self):
        with tempfile.TemporaryDirectory() as folder:
            venv = os.path.join(folder, "venv")
            subprocess.run([sys.executable, "-m", "venv", "--without-pip",
                            "--system-site-packages", venv], check=True)
            python = os.path.join(venv, "bin", "python3")
            self.compare(python, venv, environment())
            self.assertEqual(env_of("find", python),
                             os.path.realpath(venv) + "\n")


class Launchers(unittest.TestCase):
    """Where the python3 of this machine's PATH leads."""

    def test_path_leads_where_the_program_itself_is(self):
        python = shutil.which("python3", path=environment().get("PATH"))
        if not python:
            self.skipTest("no python3 on PATH")
        said = subprocess.run(
            [python, "-c", "import sys; print(sys.prefix)"],
            env=environment(), capture_output=True, text=True)
        if said.returncode:
            self.skipTest("the python3 on PATH does not run")
        found = env_of("find").strip()
        if os.path.isfile(found):
            found = os.path.dirname(os.path.dirname(found))
        self.assertEqual(found, os.path.realpath(said.stdout.strip()))


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.exists(sys.argv[1]):
        ENV_OF = os.path.abspath(sys.argv.pop(1))
    if not os.access(ENV_OF, os.X_OK):
        skip("%s is not built" % ENV_OF)
    unittest.main()
