# SPDX-License-Identifier: Apache-2.0
"""The door against the `kernels` package, in one process."""

import contextlib
import importlib.util
import os
import random
import sys
import types
import unittest
from unittest import mock

import fixture

HAVE = all(importlib.util.find_spec(n) for n in ("torch", "kernels"))
core = {"__name__": "door_core"}
with open(os.path.join(fixture.DOOR, "environment.py"), encoding="utf-8") as _file:
    exec(compile(_file.read(), _file.name, "exec"), core)
if HAVE:
    import kernels.backends
    import kernels.variants
    import torch
    from packaging.version import InvalidVersion, Version


def reference():
    """What the reference hands to its resolver: the environment it sees."""
    seen = {}

    def take(**values):
        seen.update(values)
        return [], []

    with mock.patch("kernels.variants._resolve_variant_for_system", take):
        kernels.variants.resolve_variants([])
    return seen


def as_spec(seen):
    """That, as the names of builds spell it."""
    if seen["torch_version"] is None:
        parts = ["notorch"]
    else:
        version = seen["torch_version"]
        parts = ["torch%d%d" % (version.major, version.minor)]
        if seen["torch_cxx11_abi"] is not None:
            parts.append("cxx11" if seen["torch_cxx11_abi"] else "cxx98")
    parts += [seen["selected_backend"].variant_str, seen["cpu"], seen["os"]]
    ffi = seen["tvm_ffi_version"]
    return "-".join(parts), "ffi%d%d" % (ffi.major, ffi.minor) if ffi else None


def door():
    base, *extras = core["environment"]().split("+")
    ffi = [e for e in extras if e.startswith("ffi")]
    return base, ffi[0] if ffi else None


def npu(version):
    name = "torch_npu.utils.collect_env"
    module = types.ModuleType(name)
    module.get_cann_version = lambda: version
    names = "torch_npu", "torch_npu.utils"
    packages = {n: types.ModuleType(n) for n in names}
    return mock.patch.dict(sys.modules, {**packages, name: module})


@unittest.skipUnless(HAVE, "this Python has not both torch and kernels")
class Reference(unittest.TestCase):
    def same(self, *patches):
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            expected = as_spec(reference())
            self.assertEqual(door(), expected)
        return expected[0]

    def version(self, **values):
        return mock.patch.multiple("torch.version", create=True, **values)

    def test_as_it_is(self):
        self.assertIn("torch", self.same())

    def test_every_backend(self):
        tpu = mock.patch("torch.backends.tpu", object(), create=True)
        neuron = mock.patch("torch.neuron", object(), create=True)
        mps = mock.patch("torch.backends.mps.is_available", lambda: True)
        name = "torch._C._get_privateuse1_backend_name"
        private = mock.patch(name, lambda: "npu")
        nothing = dict(cuda=None, hip=None, xpu=None)
        cuda = self.version(**dict(nothing, cuda="13.0"))
        everything = self.version(cuda="12.8", hip="7.2.53211", xpu="20250303")
        xpu = self.version(**dict(nothing, xpu="20250303"))
        newer = self.version(**dict(nothing, xpu="20260000"))
        hip = "7.1.25424-4179531dcd"
        for name, patches in (
            ("tpu", [tpu, neuron, everything, mps, private]),
            ("neuron", [neuron, everything, mps, private]),
            ("cu128", [everything, mps, private]),
            ("cu130", [cuda]),
            ("rocm71", [self.version(**dict(nothing, hip=hip)), mps]),
            ("metal", [xpu, mps]),
            ("xpu20253", [xpu]),
            ("xpu20260", [newer, private]),
            ("cann83", [self.version(**nothing), private, npu("8.3.RC1")]),
            ("cann85", [self.version(**nothing), private, npu("8.5.0")]),
            ("cpu", [self.version(**nothing)]),
        ):
            self.assertIn("-%s-" % name, self.same(*patches))

    def test_many_versions_of_each(self):
        pick = random.Random(3)
        for i in range(300):
            major, minor = pick.randrange(1, 20), pick.randrange(0, 30)
            text = "%d.%d%s" % (
                major,
                minor,
                pick.choice(["", ".1", ".53211", ".1-4179531dcd", ".0.dev3"]),
            )
            self.same(self.version(cuda=None, hip=text))
            self.same(self.version(cuda=text.split("-")[0]))
            xpu = "%d%02d%02d" % (pick.randrange(2024, 2031), major, minor)
            self.same(self.version(cuda=None, hip=None, xpu=xpu))

    def test_versions_of_torch(self):
        for text in (
            "2.13.0",
            "2.9.0a0+50eac811a6.nv25.09",
            "2.13.0.dev20260401+cu130",
            "2.10",
            "3",
            "v2.8.0rc1",
        ):
            for abi in (True, False):
                self.same(
                    mock.patch("torch.__version__", text),
                    mock.patch("torch.compiled_with_cxx11_abi", lambda: abi),
                )

    def test_versions_as_packaging_reads_them(self):
        """Random texts: the same numbers, or refused by both."""
        pick = random.Random(5)
        pieces = ["1", "2", "13", "0", ".", ".", ".", "-", "_", "+", "a", "rc"]
        pieces += ["dev", "post", "git", "c", "!", "v", " ", "alpha", "r"]
        accepted = 0
        for i in range(30000):
            text = "".join(pick.choices(pieces, k=pick.randrange(1, 9)))
            try:
                version = Version(text)
                expected = str(version.major), str(version.minor)
                accepted += 1
            except InvalidVersion:
                expected = None
            try:
                got = core["release"]("test", text)
            except ImportError:
                got = None
            self.assertEqual(got, expected, text)
        self.assertGreater(accepted, 1000)

    def test_tvm_ffi(self):
        self.assertIs(kernels.variants.has_tvm_ffi, False)
        for text in ("0.1.9", "0.1.10.post2", "0.12.0rc1", "1.0"):
            module = types.ModuleType("tvm_ffi")
            module.__version__ = text
            expected = self.same(
                mock.patch.dict(sys.modules, tvm_ffi=module),
                mock.patch("kernels.variants.has_tvm_ffi", True),
            )
            self.assertTrue(expected)

    def test_without_torch(self):
        hidden = [
            mock.patch.dict(sys.modules, torch=None),
            mock.patch("kernels.backends.has_torch", False),
            mock.patch("kernels.variants.has_torch", False),
        ]
        self.assertTrue(self.same(*hidden).startswith("notorch-"))

        class Runtime:
            def __init__(self, name):
                if name == "missing":
                    raise OSError(name)

            def cudaRuntimeGetVersion(self, ref):
                ref._obj.value = value
                return status

        for name, value, status in (
            (None, 0, 0),
            ("missing", 0, 0),
            ("cudart", 12080, 0),
            ("cudart", 13000, 0),
            ("cudart", 11080, 0),
            ("cudart", 13000, 35),
        ):
            self.same(
                *hidden,
                mock.patch("ctypes.util.find_library", lambda lib: name),
                mock.patch("ctypes.CDLL", Runtime)
            )

    def test_other_systems(self):
        for system, machine in (
            ("Darwin", "arm64"),
            ("Darwin", "x86_64"),
            ("Linux", "aarch64"),
            ("Linux", "arm64"),
            ("FreeBSD", "amd64"),
        ):
            uname = os.uname_result((system, "n", "r", "v", machine))
            self.same(
                mock.patch("os.uname", lambda: uname),
                mock.patch("platform.system", lambda: system),
                mock.patch("platform.machine", lambda: machine),
                mock.patch("platform.mac_ver", lambda: ("26.0", "", "")),
            )


if __name__ == "__main__":
    unittest.main()
