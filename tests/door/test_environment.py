# SPDX-License-Identifier: Apache-2.0
"""How the door spells the interpreter, worked out here a second time."""

import os
import platform
import sysconfig
import unittest

import fixture
from base import HAS_TORCH, DoorTest, needs_torch

CPU = platform.machine()
OS = platform.system().lower()
LINUX = unittest.skipUnless(OS == "linux", "texts of Linux")


def tail():
    """The extras that depend on this machine only."""
    thread = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    text = "+py%s%s" % (sysconfig.get_config_var("py_version_nodot"), thread)
    name, version = platform.libc_ver()
    return text + ("+glibc" + version if name == "glibc" else "")


@LINUX
class Spelling(DoorTest):
    def spelled(self, version="2.12.0", more="", **facts):
        return fixture.spell(
            [fixture.fake_torch(self.folder(), version, more, **facts)]
        )

    def check(self, expected, **facts):
        spec = self.spelled(**facts)
        self.assertEqual(spec, expected.replace("CPU", CPU) + tail(), facts)

    def test_versions_of_torch(self):
        for version, said in (
            ("2.13.0", "213"),
            ("2.13.0+cpu", "213"),
            ("2.10.1+cu130", "210"),
            ("2.9.0a0+50eac811a6.nv25.09", "29"),
            ("2.13.0.dev20260401+cu130", "213"),
            ("2.8.0a0+git1234abc", "28"),
            ("2.7.1rc2", "27"),
            ("2.6.0.post3", "26"),
            ("2", "20"),
            ("3.0", "30"),
        ):
            self.check("torch%s-cxx11-cpu-CPU-linux" % said, version=version)

    def test_abi(self):
        self.check("torch212-cxx98-cpu-CPU-linux", cxx11=False)

    def test_cuda(self):
        for version, said in (
            ("13.0", "130"),
            ("12.8", "128"),
            ("12.10", "1210"),
            ("11.8", "118"),
            ("13", "130"),
            ("12.4.1", "124"),
        ):
            name = "torch212-cxx11-cu%s-CPU-linux+gpus" % said
            self.check(name, cuda=version)

    def test_rocm(self):
        for version, said in (
            ("7.2.53211", "72"),
            ("7.1.25424-4179531dcd", "71"),
            ("6.0.32830-d62f6a171", "60"),
            ("7.10.1", "710"),
        ):
            name = "torch212-cxx11-rocm%s-CPU-linux+gpus" % said
            self.check(name, hip=version)

    def test_xpu(self):
        for version, said in (("20250303", "20253"), ("20260000", "20260"),
                              ("20251103", "20251")):
            self.check("torch212-cxx11-xpu%s-CPU-linux" % said, xpu=version)

    def test_the_others_and_their_order(self):
        rest = dict(cuda="13.0", hip="7.2.1", mps=True, xpu="20250303")
        tpu = "backends.tpu = 1\n"
        neuron = "neuron = 1\n"
        for name, more, facts in (
            ("tpu", tpu + neuron, rest),
            ("neuron", neuron, rest),
            ("cu130+gpus", "", rest),
            ("rocm72+gpus", "", dict(rest, cuda=None)),
            ("metal", "", dict(mps=True, xpu="20250303")),
            ("xpu20253", "", dict(xpu="20250303", private="npu")),
        ):
            name, plus, gpus = name.partition("+")
            self.check(
                "torch212-cxx11-%s-CPU-linux%s%s" % (name, plus, gpus),
                more=more,
                **facts
            )

    def test_cann(self):
        folder = fixture.fake_torch(self.folder(), private="npu")
        for version, said in (("8.3.RC1", "83"), ("8.5.0", "85")):
            fixture.put(
                folder + "/torch_npu/utils/collect_env.py",
                "def get_cann_version():\n    return %r\n" % version,
            )
            fixture._spelled.clear()
            self.assertEqual(
                fixture.spell([folder]),
                "torch212-cxx11-cann%s-%s-linux%s" % (said, CPU, tail()),
            )

    def test_gpus_are_named_only_when_cuda_is_initialised(self):
        for cuda, hip, devices, said in (
            ("13.0", None, [(9, 0), (8, 6), (9, 0)], "+sm86+sm90"),
            ("13.0", None, [(10, 0), (9, 0)], "+sm90+sm100"),
            (None, "7.2.1", ["gfx942:xnack-", "gfx90a"], "+gfx90a+gfx942"),
            ("13.0", None, [], "+gpus"),
            ("13.0", None, ["what"], "+gpus"),
            (None, "7.2.1", ["a+b"], "+gpus"),
            (None, None, [(9, 0)], ""),
        ):
            backend = "cu130" if cuda else "rocm72" if hip else "cpu"
            self.check(
                "torch212-cxx11-%s-CPU-linux%s" % (backend, said),
                cuda=cuda,
                hip=hip,
                devices=devices,
            )

    def test_tvm_ffi_between_gpus_and_python(self):
        folder = fixture.fake_torch(self.folder(), cuda="13.0")
        for text, said in (
            ("__version__ = '0.1.9'", "+ffi01"),
            ("__version__ = '0.1.0.dev3+g123'", "+ffi01"),
            ("__version__ = '0.12'", "+ffi012"),
            ("raise OSError('no libtvm')", ""),
            ("", ""),
        ):
            fixture.put(folder + "/tvm_ffi/__init__.py", text + "\n")
            fixture._spelled.clear()
            self.assertEqual(
                fixture.spell([folder]),
                "torch212-cxx11-cu130-%s-linux+gpus%s%s" % (CPU, said, tail()),
            )

    def test_no_torch(self):
        hide = (
            "import ctypes.util, sys; sys.modules['torch'] = None\n"
            "ctypes.util.find_library = lambda name: None\n"
        )
        self.assertEqual(
            fixture.spell(before=hide),
            "notorch-cpu-%s-linux%s" % (CPU, tail()),
        )

    def test_no_torch_but_a_cuda_runtime(self):
        before = (
            "import sys, ctypes, ctypes.util\n"
            "sys.modules['torch'] = None\n"
            "ctypes.util.find_library = lambda name: name\n"
            "class CDLL:\n"
            "    def __init__(self, name): assert name == 'cudart'\n"
            "    def cudaRuntimeGetVersion(self, ref):\n"
            "        ref._obj.value = %d\n"
            "        return %d\n"
            "ctypes.CDLL = CDLL\n"
        )
        for version, status, said in (
            (12080, 0, "cu128+gpus"),
            (13000, 0, "cu130+gpus"),
            (12100, 0, "cu1210+gpus"),
            (13000, 35, "cpu"),
        ):
            name, plus, gpus = said.partition("+")
            self.assertEqual(
                fixture.spell(before=before % (version, status)),
                "notorch-%s-%s-linux%s%s%s" % (name, CPU, plus, gpus, tail()),
            )

    def test_another_system(self):
        before = (
            "import os, sys\n"
            "uname = os.uname_result(('Darwin', 'n', '25', 'v', 'arm64'))\n"
            "os.uname = lambda: uname\n"
            "import platform\n"
            "platform.mac_ver = lambda: ('26.1.2', ('', '', ''), '')\n"
        )
        folder = fixture.fake_torch(self.folder(), mps=True)
        python = "".join(tail().partition("+glibc")[0])
        self.assertEqual(
            fixture.spell([folder], before),
            "torch212-metal-aarch64-darwin%s+macos26.1" % python,
        )

    def test_what_cannot_be_spelled_is_said(self):
        for facts, said in (
            (dict(version="unknown"), "torch.__version__ is 'unknown'"),
            (dict(version="2.9-own"), "torch.__version__ is '2.9-own'"),
            (dict(version=None), "torch.__version__ is None"),
            (dict(version="10.1"), "torch.__version__ is '10.1'"),
            (dict(cuda="twelve"), "torch.version.cuda is 'twelve'"),
            (dict(cuda=""), "torch.version.cuda is ''"),
            (dict(hip="git-1234"), "torch.version.hip is 'git-1234'"),
            (dict(xpu="2025"), "torch.version.xpu is '2025'"),
            (dict(xpu="oneapi"), "torch.version.xpu is 'oneapi'"),
        ):
            first = [fixture.fake_torch(self.folder(), **facts)]
            text = self.fails("import door_plain", first=first, served=False)
            self.assertIn(said, text.splitlines()[-1])
            self.assertIn("ImportError: ", text.splitlines()[-1])

    def test_a_folder_named_torch_is_no_torch_that_can_be_spelled(self):
        if HAS_TORCH:
            self.skipTest("the installed torch wins over a folder")
        folder = self.folder()
        os.mkdir(folder + "/torch")
        text = self.fails("import door_plain", first=[folder], served=False)
        self.assertIn("torch.__version__ is None", text)

    @needs_torch
    def test_the_real_torch(self):
        import torch

        major, minor = torch.__version__.split(".")[:2]
        self.assertRegex(
            fixture.spell(),
            r"^torch%s%s-cxx11-[a-z]+\d*-%s-linux\+" % (major, minor, CPU),
        )


class Choice(DoorTest):
    """One mount, interpreters with different torches."""

    def variant(self, first):
        return self.python(
            "import door_which; print(door_which.VARIANT)", first=first
        )

    def test_each_torch_gets_its_own_build(self):
        for version, facts, said in (
            ("2.12.1", {}, "torch212-cxx11-cpu"),
            ("2.13.0+cu130", dict(cuda="13.0"), "torch213-cxx11-cu130"),
            ("2.7.0", dict(hip="7.2.53211"), "torch27-cxx11-rocm72"),
        ):
            torch = fixture.fake_torch(self.folder(), version, **facts)
            self.assertEqual(
                self.variant([torch]), "%s-%s-%s" % (said, CPU, OS)
            )

    def test_a_torch_that_no_build_knows(self):
        torch = fixture.fake_torch(self.folder(), "2.99.0")
        self.assertEqual(self.variant([torch]), "torch-universal")

    def test_none_at_all(self):
        hide = "import sys; sys.modules['torch'] = None\n"
        self.serve(before=hide)
        use = "import door_which; print(door_which.VARIANT)"
        out = self.python(hide + use)
        self.assertEqual(out, "torch-universal")

    def test_the_environment_is_asked_once(self):
        out = self.python(
            """
            import sys, door_plain
            core = sys.modules["_kernelfs_1"]
            core.pieces["environment"] = None
            import door_nested
            print(core.pinned_spec)
            """
        )
        self.assertEqual(out, self.serve())


if __name__ == "__main__":
    unittest.main()
