# SPDX-License-Identifier: Apache-2.0
""".env/<spec>: the mount as another environment would see it."""

import json
import os
import stat
import unittest

from mounted import SPEC, MountCase, make_kernel, make_owner, spec

INIT = {"__init__.py": "X = 1\n"}
CUDA = spec("cu130")
OLD = spec(torch="212")
NOTORCH = spec(torch=None)


class TestEnv(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_owner(root, "my-team")
        for n in (1, 2):
            make_kernel(root, "acme/relu", "v%d" % n, {
                v: {"__init__.py": "MARK = '%s %d'\n" % (v, n)}
                for v in (SPEC, CUDA, "torch-cpu")})
        make_kernel(root, "acme/nested", "v1", {
            SPEC: {"nested/__init__.py": "X = 2\n",
                   "nested/sub.py": "", "other.txt": "o"}})
        make_kernel(root, "acme/both", "v1", {
            SPEC: {"both/__init__.py": "X = 2\n", "__init__.py": "X = 1\n"}})
        make_kernel(root, "my-team/gemm", "v1", {SPEC: INIT}, files={
            "README.md": "# gemm\n"})

    def mount(self, *options, **how):
        how.setdefault("imports", ("my-team/gemm", "acme"))
        return super().mount(*options, **how)

    def importable(self, m, *parts):
        path = os.path.realpath(m.at(".env", *parts))
        self.assertTrue(path.startswith(m.path + "/"), path)
        return path[len(m.path) + 1:]

    def test_lists_nothing_but_answers_every_spec(self):
        m = self.mount()
        self.assertEqual(m.ls(".env"), [])
        for env in (SPEC, CUDA, OLD, NOTORCH, spec("rocm71"),
                    spec("cu130", "213", "aarch64", "sm90", "py311")):
            self.assertTrue(os.path.isdir(m.at(".env", env)), env)
        self.assertEqual(m.ls(".env"), [])
        self.assert_requests(list=1)

    def test_lists_the_import_names_as_links(self):
        m = self.mount()
        self.assertEqual(m.ls(".env", SPEC),
                         ["both", "gemm", "nested", "relu"])
        for name in m.ls(".env", SPEC):
            self.assertTrue(stat.S_ISLNK(
                os.lstat(m.at(".env", SPEC, name)).st_mode))

    def test_a_link_leads_to_the_importable_folder(self):
        m = self.mount()
        at = "acme/relu@%s/build/" % self.commit("acme/relu", "v2")
        self.assertEqual(self.importable(m, SPEC, "relu"), at + SPEC)
        self.assertEqual(self.importable(m, CUDA, "relu"), at + CUDA)
        self.assertEqual(self.importable(m, OLD, "relu"), at + "torch-cpu")

    def test_the_old_nested_layout(self):
        m = self.mount()
        self.assertEqual(
            self.importable(m, SPEC, "nested"),
            "acme/nested@%s/build/%s/nested"
            % (self.commit("acme/nested"), SPEC))
        self.assertEqual(
            self.importable(m, SPEC, "both"), "acme/both@%s/build/%s"
            % (self.commit("acme/both"), SPEC))

    def test_what_does_not_fit_is_absent_and_explained(self):
        m = self.mount()
        self.refuses("ENOENT", os.readlink, m.at(".env", OLD, "gemm"))
        self.refuses("ENOENT", os.stat, m.at(".env", OLD, "gemm"))
        why = m.text(".env", OLD, "gemm.why")
        for word in ("my-team/gemm", "v1", OLD, SPEC,
                     "Torch version (2.13) does not match environment Torch "
                     "version (2.12)"):
            self.assertIn(word, why)

    def test_there_is_no_why_for_what_is_no_name(self):
        m = self.mount()
        self.refuses("ENOENT", os.lstat, m.at(".env", SPEC, "absent.why"))
        self.refuses("ENOENT", os.lstat, m.at(".env", SPEC, "absent.pinned"))

    def test_named_kernels_are_marked(self):
        m = self.mount()
        self.assertTrue(os.path.lexists(m.at(".env", SPEC, "gemm.pinned")))
        self.assertFalse(os.path.lexists(m.at(".env", SPEC, "relu.pinned")))

    def test_another_spelling_is_a_link_to_the_first(self):
        m = self.mount()
        other = SPEC + "+sm90+py311"
        one = SPEC + "+py311+sm90"
        kinds = {name: stat.S_IFMT(os.lstat(m.at(".env", name)).st_mode)
                 for name in (one, other)}
        self.assertEqual(sorted(kinds.values()),
                         [stat.S_IFDIR, stat.S_IFLNK])
        self.assertTrue(os.path.samefile(m.at(".env", one),
                                         m.at(".env", other)))

    def test_nonsense_is_enoent_and_asks_nobody(self):
        m = self.mount()
        self.hub.reset()
        for name in ("nonsense", "torch213", SPEC + "+", SPEC + "+what",
                     "torch-cpu", "torch213-cxx11-cpu-x86_64", "." * 200,
                     "torch213-cxx11-cpu-x86_64-linux\n", "a" * 255,
                     "torch213-cxx11-cpu-x86_64-linux+sm", "%2e%2e"):
            self.refuses("ENOENT", os.lstat, m.at(".env", name))
            self.refuses("ENOENT", os.lstat, m.at(".env", name, "relu"))
        self.assert_requests()

    def test_owners_and_revisions_below_a_spec(self):
        m = self.mount()
        at = os.path.join(".env", CUDA, "acme")
        self.assertIn("relu", m.ls(at))
        for name, revision in (("relu", "v2"), ("relu@v1", "v1"),
                               ("relu@1", "v1"), ("relu@latest", "v2")):
            self.assertEqual(
                self.importable(m, CUDA, "acme", name, "python/relu"),
                "acme/relu@%s/build/%s" % (
                    self.commit("acme/relu", revision), CUDA))
            self.assertEqual(m.ls(at, name, "build"), [CUDA])
        self.assertEqual(m.text(".env", CUDA, "my-team/gemm/README.md"),
                         "# gemm\n")

    def test_a_file_has_one_place_only(self):
        m = self.mount()
        real = "acme/relu@%s/build/%s/__init__.py" % (
            self.commit("acme/relu", "v1"), CUDA)
        self.assertEqual(self.importable(
            m, CUDA, "acme/relu@v1/build", CUDA, "__init__.py"), real)
        self.assertEqual(self.importable(
            m, SPEC, "acme/relu@v1/build", CUDA, "__init__.py"), real)

    def test_every_environment_has_its_own_decision(self):
        m = self.mount()
        for env, variant in ((CUDA, CUDA), (SPEC, SPEC), (OLD, "torch-cpu"),
                             (spec("rocm71"), None)):
            d = json.loads(m.text(".env", env,
                                  "acme/relu@v1/.kernelfs/decision.json"))
            self.assertEqual(d["variant"], variant, env)
            self.assertEqual(d["environment"]["spec"], env)
        self.assertEqual(json.loads(m.text(
            "acme/relu@v1/.kernelfs/decision.json"))["variant"], SPEC)

    def test_why_of_a_revision(self):
        m = self.mount()
        at = os.path.join(".env", OLD, "my-team/gemm@v1/python")
        self.refuses("ENOENT", os.stat, m.at(at, "gemm"))
        self.assertIn("Torch version (2.13) does not match",
                      m.text(at, "gemm.why"))

    def test_why_tells_of_a_hub_that_fails(self):
        m = self.mount()
        self.hub.fault("status", path="/refs", code=503,
                       headers={"Retry-After": "0"})
        why = m.text(".env", SPEC, "relu.why")
        for word in ("acme/relu", "503", SPEC):
            self.assertIn(word, why)

    def test_it_is_a_path_for_python_that_needs_no_door(self):
        m = self.mount()
        done = m.python("import relu, nested; "
                        "print(relu.MARK, nested.X, relu.__file__)",
                        path=m.at(".env", SPEC))
        self.assertEqual(done.stdout.split()[:3], [SPEC, "2", "2"],
                         done.stderr)

    def test_it_can_be_copied_out(self):
        m = self.mount()
        target = os.path.join(self.dir, "copy")
        done = m.python(
            "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])",
            m.at(".env", SPEC), target)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(target)),
                         ["both", "gemm", "nested", "relu"])
        done = m.python("import relu; print(relu.MARK)", path=target)
        self.assertEqual(done.stdout, SPEC + " 2\n", done.stderr)

    def test_it_costs_what_another_build_costs(self):
        m = self.mount(cache="one")
        self.importable(m, SPEC, "acme/relu@v1/python/relu")
        self.hub.reset()
        self.importable(m, CUDA, "acme/relu@v1/python/relu")
        self.assert_requests(tree=1, resolve=1, resolve_cache=1)
        self.hub.reset()
        self.importable(m, CUDA, "acme/relu@v1/python/relu")
        self.importable(m, SPEC, "acme/relu@v1/python/relu")
        self.assert_requests()
        # Another mount asks where the name leads now, and for no listing.
        m.end()
        self.hub.reset()
        m = self.mount(cache="one")
        self.importable(m, CUDA, "acme/relu@v1/python/relu")
        self.importable(m, SPEC, "acme/relu@v1/python/relu")
        counts = m.counts()
        counts.pop("list", None)  # of its import owners
        self.assertEqual(counts, {"refs": 1})


if __name__ == "__main__":
    unittest.main()
