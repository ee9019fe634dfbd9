# SPDX-License-Identifier: Apache-2.0
"""The kernel that build.py makes is a real one, and its decoys are decoys."""

import base64
import hashlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
# the kernel is read from a folder here: nothing may ask a Hub
os.environ["HF_HUB_OFFLINE"] = "1"

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


try:
    import torch
    import torch.nn.functional as F
except ImportError:
    skip("no torch in %s" % sys.executable)
try:
    import kernels
    from kernels._rust import Digest
except ImportError:
    skip("no kernels package in %s" % sys.executable)

import build  # noqa: E402
import extension  # noqa: E402
import layout  # noqa: E402

DTYPES = torch.float32, torch.float64, torch.bfloat16, torch.float16
SHAPES = (2,), (4, 6), (3, 5, 8), (0, 4), (3, 0), (2, 3, 4, 10)


def setUpModule():
    global scratch, root, variant, v1, v2, kernel
    scratch = tempfile.TemporaryDirectory(prefix="kernel-")
    root = pathlib.Path(scratch.name)
    variant = build.build(root)
    branches = root / "kernels-community" / "relu" / "branches"
    v1, v2 = branches / "v1", branches / "v2"
    kernel = kernels.get_local_kernel(v2)


def tearDownModule():
    scratch.cleanup()


def builds():
    """Every variant folder of every repository."""
    return [path.parent for path in sorted(root.rglob("metadata.json"))]


def read_metadata(folder):
    return json.loads((folder / "metadata.json").read_bytes())


def run(code, *options, **env):
    """What the code prints in a Python of its own."""
    done = subprocess.run([sys.executable, *options, "-c", code], text=True,
                          env=dict(os.environ, **env), timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise AssertionError("exit status %d:\n%s"
                             % (done.returncode, done.stdout))
    return done.stdout.strip()


def inputs(shape, dtype):
    """A dense tensor, and two of the same shape that are not."""
    torch.manual_seed(len(shape))
    yield torch.randn(shape, dtype=dtype) * 4
    wide = torch.randn(shape[:-1] + (shape[-1] * 2,), dtype=dtype)
    yield wide[..., ::2]
    yield torch.randn(shape[::-1], dtype=dtype).permute(
        *reversed(range(len(shape))))


class Arithmetic(unittest.TestCase):
    def test_relu_is_that_of_torch(self):
        for dtype in DTYPES:
            for shape in SHAPES:
                for x in inputs(shape, dtype):
                    got = kernel.relu(x)
                    self.assertEqual(got.dtype, dtype)
                    self.assertTrue(torch.equal(got, torch.relu(x)),
                                    (dtype, shape, x.stride()))

    def test_silu_and_mul_is_that_of_torch(self):
        for dtype in DTYPES:
            for shape in SHAPES:
                for x in inputs(shape, dtype):
                    first, second = x.double().chunk(2, dim=-1)
                    want = (F.silu(first) * second).to(dtype)
                    torch.testing.assert_close(kernel.silu_and_mul(x), want)

    def test_ends_of_the_range(self):
        inf, nan = float("inf"), float("nan")
        x = torch.tensor([-inf, -1e30, -0.0, 0.0, 1e30, inf])
        self.assertTrue(torch.equal(kernel.relu(x), torch.relu(x)))
        self.assertTrue(kernel.relu(torch.tensor([nan])).isnan().all())
        x = torch.tensor([[-800.0, 3.0], [800.0, 3.0]])
        self.assertEqual(kernel.silu_and_mul(x).tolist(), [[0.0], [2400.0]])

    def test_writes_into_out(self):
        x = torch.randn(4, 6)
        dense, gaps = torch.empty(4, 6), torch.full((4, 12), 7.0)
        self.assertIs(kernel.relu(x, out=dense), dense)
        self.assertTrue(torch.equal(dense, torch.relu(x)))
        kernel.relu(x, out=gaps[:, ::2])
        self.assertTrue(torch.equal(gaps[:, ::2], torch.relu(x)))
        self.assertTrue((gaps[:, 1::2] == 7).all())
        kernel.relu(x, out=x)
        self.assertTrue(torch.equal(dense, x))
        kernel.silu_and_mul(x, out=gaps[:, 3:6])
        torch.testing.assert_close(gaps[:, 3:6],
                                   F.silu(x[:, :3]) * x[:, 3:])

    def test_refuses_what_does_not_match(self):
        ops, x = kernel.ops, torch.randn(4, 6)
        for op, out, given, words in (
                (ops.relu, torch.empty(4, 5), x, "sizes"),
                (ops.relu, torch.empty(4, 6).double(), x, "out is Double"),
                (ops.relu, torch.empty(2).int(), torch.ones(2).int(),
                 "floating point"),
                (ops.silu_and_mul, torch.empty(4, 6), x, "should have"),
                (ops.silu_and_mul, torch.empty(4, 2), torch.ones(4, 5),
                 "even"),
                (ops.silu_and_mul, torch.empty(()), torch.ones(()), "even")):
            with self.assertRaisesRegex(RuntimeError, words):
                op(out, given)

    def test_traces_without_bytes(self):
        x = torch.empty(4, 6, device="meta")
        self.assertEqual(kernel.relu(x).shape, (4, 6))
        self.assertEqual(kernel.silu_and_mul(x).shape, (4, 3))


class Loading(unittest.TestCase):
    def test_reference_chooses_the_compiled_build(self):
        file = pathlib.Path(kernel.__file__)
        self.assertEqual(file, v2 / "build" / variant / "__init__.py")

    def test_plain_import_from_a_directory(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder) / "relu"
            link.symlink_to(v2 / "build" / variant)
            said = run("import relu, torch; x = torch.randn(3, 4);"
                       "print(relu.__name__, torch.equal(relu.relu(x),"
                       " torch.relu(x)), relu.layers.__name__)",
                       PYTHONPATH=folder)
        self.assertEqual(said, "relu True relu.layers")

    def test_import_by_the_nested_name(self):
        for branch in v1, v2:
            said = run("import relu, torch;"
                       "print(relu.relu(torch.tensor([-1., 2.])).tolist())",
                       PYTHONPATH=str(branch / "build" / variant))
            self.assertEqual(said, "[0.0, 2.0]")

    def test_two_versions_in_one_process(self):
        said = run("import kernels, pathlib, torch\n"
                   "ks = [kernels.get_local_kernel(pathlib.Path(p))"
                   " for p in (%r, %r)]\n"
                   "for k in ks: print(k.__name__,"
                   " k.relu(torch.tensor([-1., 2.])).tolist())"
                   % (str(v1), str(v2)))
        ids = [read_metadata(b / "build" / variant)["id"] for b in (v1, v2)]
        self.assertNotEqual(*ids)
        self.assertEqual(said.splitlines(),
                         [name + " [0.0, 2.0]" for name in ids])

    def test_layers_pass_the_reference(self):
        x = torch.randn(3, 8)
        for name, want in (("ReLU", torch.relu(x)),
                           ("SiluAndMul", F.silu(x[:, :4]) * x[:, 4:])):
            layer = kernels.LocalLayerRepository(
                repo_path=v2, layer_name=name).load()
            torch.testing.assert_close(layer()(x), want)

            @kernels.use_kernel_forward_from_hub(name)
            class Plain(torch.nn.Module):
                def forward(self, x):
                    raise AssertionError("the kernel was not put in")

            mapping = {name: {"cpu": kernels.LocalLayerRepository(
                repo_path=v2, layer_name=name)}}
            with kernels.use_kernel_mapping(mapping, inherit_mapping=False):
                model = kernels.kernelize(
                    Plain(), mode=kernels.Mode.INFERENCE, device="cpu")
            torch.testing.assert_close(model(x), want)


class Files(unittest.TestCase):
    def test_digest_covers_every_file(self):
        for folder in builds():
            digest = read_metadata(folder)["digest"]
            self.assertEqual(digest["algorithm"], "sha256")
            on_disk = {}
            for path in folder.rglob("*"):
                name = path.relative_to(folder).as_posix()
                if path.is_file() and name != "metadata.json":
                    hashed = hashlib.sha256(path.read_bytes()).digest()
                    on_disk[name] = base64.b64encode(hashed).decode()
            self.assertEqual(digest["files"], on_disk, folder)

    def test_digest_satisfies_the_reference(self):
        folder = v2 / "build" / variant
        metadata = kernels.Metadata.read_from_file(folder / "metadata.json")
        metadata.digest.validate(
            Digest.hash_variant(metadata.digest.algorithm, folder))

    def test_ids_are_unique(self):
        ids = [read_metadata(folder)["id"] for folder in builds()]
        self.assertEqual(len(ids), len(set(ids)))

    def test_namespace_is_the_id(self):
        name = read_metadata(v2 / "build" / variant)["id"]
        self.assertRegex(name, r"^_relu_[a-z]+_[0-9a-f]{7}$")
        self.assertTrue(hasattr(getattr(torch.ops, name), "relu"))
        self.assertTrue(
            (v2 / "build" / variant / (name + ".abi3.so")).is_file())

    def test_library_is_clean(self):
        library, = (v2 / "build" / variant).glob("*.abi3.so")
        dynamic = subprocess.check_output(["readelf", "-dW", library],
                                          text=True)
        self.assertNotRegex(dynamic, "RPATH|RUNPATH|libpython|libtorch_python")
        self.assertIn("libtorch_cpu.so", dynamic)
        symbols = subprocess.check_output(["nm", "-D", "-u", library],
                                          text=True)
        python = {line.split()[-1] for line in symbols.splitlines()
                  if line.split()[-1].startswith(("Py", "_Py"))}
        self.assertEqual(python, {"PyModule_Create2"})
        for path in str(HERE), sys.prefix:
            self.assertNotIn(path.encode(), library.read_bytes())

    def test_second_run_compiles_and_changes_nothing(self):
        def state(folder):
            return {path: path.stat().st_mtime_ns
                    for path in folder.rglob("*")}

        kept, out = state(extension.CACHE), state(root)
        stray = v2 / "build" / "torch-cpu" / "stray.py"
        stray.touch()
        said = run("import build, sys; sys.exit(build.main(['', %r]))"
                   % str(root), PYTHONPATH=str(HERE))
        self.assertEqual(said, "compiled " + variant)
        self.assertEqual(kept, state(extension.CACHE))
        self.assertFalse(stray.exists())
        self.assertEqual({p: t for p, t in out.items() if p.is_file()},
                         {p: t for p, t in state(root).items()
                          if p.is_file()})


class Others(unittest.TestCase):
    def test_decoys_raise(self):
        seen = 0
        for folder in builds():
            if folder.name in (variant, "torch-cpu"):
                continue
            init = folder / "__init__.py"
            if not init.exists():
                init = folder / folder.parents[3].name / "__init__.py"
            name = "decoy_%d" % seen
            spec = importlib.util.spec_from_file_location(name, init)
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            if folder.name == "torch-cuda" and torch.version.cuda:
                continue
            with self.assertRaises((ImportError, SystemError)) as caught:
                spec.loader.exec_module(module)
            self.assertRegex(str(caught.exception), "chosen|untrusted")
            seen += 1
        self.assertGreaterEqual(seen, len(layout.decoy_names("x86_64")))

    def test_noarch_works_without_torch(self):
        with tempfile.TemporaryDirectory() as folder:
            for backend in layout.NOARCH_BACKENDS:
                link = pathlib.Path(folder) / ("relu_" + backend)
                link.symlink_to(v2 / "build" / ("torch-" + backend))
            # -I and -S: no site-packages, so no torch
            said = run("import sys; sys.path.insert(0, %r)\n"
                       "import relu_cpu, relu_cuda\n"
                       "for r in relu_cpu, relu_cuda: print("
                       "r.relu([-1.0, [2.0, -3.0]]),"
                       " r.silu_and_mul([[0.0, -800.0, 5.0, 1.0]]),"
                       " 'torch' in sys.modules)" % folder, "-I", "-S", "-B")
        self.assertEqual(said.splitlines(),
                         ["[0.0, [2.0, 0.0]] [[0.0, -0.0]] False"] * 2)

    def test_noarch_works_with_torch(self):
        folder = v2 / "build" / "torch-cpu"
        spec = importlib.util.spec_from_file_location(
            "noarch_relu", folder / "__init__.py")
        module = sys.modules["noarch_relu"] = importlib.util.module_from_spec(
            spec)
        spec.loader.exec_module(module)
        x = torch.randn(3, 8)
        self.assertTrue(torch.equal(module.relu(x), torch.relu(x)))
        torch.testing.assert_close(module.layers.SiluAndMul()(x),
                                   F.silu(x[:, :4]) * x[:, 4:])

    def test_activation_is_that_of_torch(self):
        if torch.version.cuda or torch.version.hip:
            self.skipTest("this torch has another backend than the CPU")
        act = kernels.get_local_kernel(
            root / "kernels-community" / "activation" / "branches" / "v1")
        x = torch.linspace(-7, 7, 29, dtype=torch.float64)
        plain = ("celu elu gelu hardshrink hardsigmoid hardswish hardtanh "
                 "leaky_relu logsigmoid mish relu relu6 selu sigmoid silu "
                 "softplus softshrink softsign tanh tanhshrink").split()
        for name in plain:
            torch.testing.assert_close(getattr(act, name)(x),
                                       getattr(F, name)(x), msg=name)
        torch.testing.assert_close(act.threshold(x, 1.0, 2.0),
                                   F.threshold(x, 1.0, 2.0))
        torch.testing.assert_close(act.gelu_tanh(x),
                                   F.gelu(x, approximate="tanh"))
        torch.testing.assert_close(act.relu_squared(x), F.relu(x) ** 2)
        torch.testing.assert_close(act.gelu_quick(x),
                                   x * torch.sigmoid(1.702 * x))
        y = x[:28].reshape(2, 14)
        torch.testing.assert_close(act.gated.gelu_and_mul(y),
                                   F.gelu(y[:, :7]) * y[:, 7:])
        self.assertEqual(act.layers.SiluAndMul()(y).shape, (2, 7))


if __name__ == "__main__":
    unittest.main()
