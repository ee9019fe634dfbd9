# SPDX-License-Identifier: Apache-2.0
"""Builds: which is listed, what explains it, which files it has."""

import json
import os
import stat
import unittest

from mounted import (
    SPEC, MountCase, lfs_bytes, make_kernel, make_metadata, make_owner, spec,
    wait_for)

INIT = {"__init__.py": "X = 1\n"}
CUDA = "torch213-cxx11-cu130-x86_64-linux"
OLD = "torch212-cxx11-cpu-x86_64-linux"
ARM = "torch213-cxx11-cpu-aarch64-linux"


class TestChoice(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {
            SPEC: dict(INIT, **{"_relu.so": lfs_bytes(5000)}),
            CUDA: INIT, OLD: INIT, ARM: INIT, "torch-cpu": INIT,
            "torch-universal": INIT, "not a variant": INIT})
        make_kernel(root, "acme/gpu-only", "v1", {
            CUDA: INIT, "torch213-cxx11-cu126-x86_64-linux": INIT})
        make_kernel(root, "acme/py-only", "v1", {"torch-cpu": INIT})

    def test_lists_the_chosen_build_and_nothing_else(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/relu@v1/build"), [SPEC])
        self.assertEqual(m.ls("acme/py-only@v1/build"), ["torch-cpu"])

    def test_the_environment_decides(self):
        for env, variant in ((spec("cu130"), CUDA), (spec(torch="212"), OLD),
                             (spec(cpu="aarch64"), ARM),
                             (spec(torch="29"), "torch-cpu"),
                             (spec("rocm71"), "torch-universal")):
            m = self.mount(env=env)
            self.assertEqual(m.ls("acme/relu@v1/build"), [variant], env)

    def test_every_build_opens_by_its_own_name(self):
        m = self.mount()
        for variant in (CUDA, OLD, ARM, "torch-cpu", "torch-universal"):
            at = "acme/relu@v1/build/" + variant
            self.assertEqual(m.ls(at), ["__init__.py", "metadata.json"])
            self.assertEqual(m.text(at, "__init__.py"), "X = 1\n")

    def test_a_build_that_does_not_exist(self):
        m = self.mount()
        for name in ("torch-cuda", "torch211-cxx11-cpu-x86_64-linux", "x"):
            self.refuses("ENOENT", os.listdir,
                         m.at("acme/relu@v1/build", name))

    def test_no_fitting_build_leaves_the_folder_empty(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/gpu-only@v1/build"), [])
        self.assertEqual(m.ls("gpu_only/build"), [])
        self.assertEqual(m.ls("acme/gpu-only@v1/build/" + CUDA),
                         ["__init__.py", "metadata.json"])

    def test_variants_lists_every_build(self):
        m = self.mount()
        at = "acme/relu@v1/.kernelfs/variants"
        names = m.ls(at)
        for variant in (SPEC, CUDA, OLD, ARM, "torch-cpu", "torch-universal"):
            self.assertIn(variant, names)
            self.assertTrue(os.path.samefile(
                m.at(at, variant), m.at("acme/relu@v1/build", variant)))

    def test_the_package_folder_of_a_revision_holds_the_door(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/py-only@v1/python"), ["py_only"])
        self.assertEqual(m.ls("acme/py-only@v1/python/py_only"),
                         ["__init__.py"])
        self.assertEqual(m.text("acme/py-only@v1/python/py_only/__init__.py"),
                         m.text("py_only/__init__.py"))

    def test_backend_cpu_shapes_the_root(self):
        m = self.mount("--backend=cpu", env=spec("cu130"))
        self.assertEqual(m.ls("acme/relu@v1/build"), [SPEC])


class TestDecision(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {
            SPEC: INIT, CUDA: INIT, OLD: INIT, "torch-cpu": INIT,
            "odd-name": INIT})
        make_kernel(root, "acme/gpu-only", "v2", {CUDA: INIT})

    def decision(self, m, repo):
        return json.loads(m.text("acme", repo, ".kernelfs/decision.json"))

    def test_says_the_same_to_programs(self):
        m = self.mount()
        d = self.decision(m, "relu")
        commit = self.commit("acme/relu")
        self.assertEqual(
            (d["repo"], d["revision"], d["commit"], d["package"],
             d["variant"]),
            ("acme/relu", "v1", commit, "relu", SPEC))
        self.assertEqual(d["path"], m.at("acme/relu@%s/build" % commit, SPEC))
        self.assertEqual(d["environment"]["torch"], "2.13")
        self.assertEqual(d["environment"]["backend"], "cpu")
        for entry in d["decisions"]:
            self.assertEqual(sorted(entry), ["accepted", "reason", "variant"])
        self.assertEqual([(e["variant"], e["accepted"])
                          for e in d["decisions"][:2]],
                         [(SPEC, True), ("torch-cpu", True)])
        self.assertEqual({e["variant"]: e["reason"]
                          for e in d["decisions"][2:]}, {
            CUDA: "backend (cu130) does not match selected backend (cpu)",
            OLD: "Torch version (2.12) does not match environment Torch "
                 "version (2.13)"})

    def test_names_that_do_not_parse_are_reported(self):
        m = self.mount()
        self.assertIn("odd-name", m.text("acme/relu/.kernelfs/decision"))
        self.assertIn("odd-name", json.dumps(
            self.decision(m, "relu")["skipped"]))

    def test_says_it_to_a_person(self):
        m = self.mount()
        said = m.text("acme/relu/.kernelfs/decision")
        for word in ("acme/relu", self.commit("acme/relu"), SPEC, CUDA,
                     "backend (cu130) does not match selected backend (cpu)"):
            self.assertIn(word, said)

    def test_none_fits(self):
        m = self.mount()
        d = self.decision(m, "gpu-only")
        self.assertIsNone(d["variant"])
        self.assertEqual([e["accepted"] for e in d["decisions"]], [False])
        said = m.text("acme/gpu-only/.kernelfs/decision")
        self.assertIn("backend (cu130) does not match", said)

    def test_a_decision_can_be_read_in_pieces(self):
        m = self.mount()
        for name in ("decision", "decision.json"):
            path = m.at("acme/relu/.kernelfs", name)
            with open(path, "rb", buffering=0) as f:
                parts = b"".join(iter(lambda: f.read(7), b""))
            self.assertEqual(parts.decode(),
                             m.text("acme/relu/.kernelfs", name))


class TestIncomplete(MountCase):
    """Uploads that lack something give way to the next candidate."""

    def kernels(self, root):
        make_owner(root, "acme")
        whole = {"__init__.py": "X = 1\n", "lib.so": lfs_bytes(100)}
        lists_more = json.dumps(make_metadata("lost", SPEC, whole))
        make_kernel(root, "acme/lost", "v1", {
            SPEC: {"__init__.py": "X = 1\n", "metadata.json": lists_more},
            "torch-cpu": INIT})
        make_kernel(root, "acme/bare", "v1", {
            SPEC: {"__init__.py": "X = 1\n", "metadata.json": None},
            "torch-cpu": INIT})
        make_kernel(root, "acme/broken", "v1", {
            SPEC: {"__init__.py": "X = 1\n", "metadata.json": "{\"name\": "},
            "torch-cpu": INIT})
        make_kernel(root, "acme/alone", "v1", {
            SPEC: {"__init__.py": "X = 1\n", "metadata.json": None}})
        make_kernel(root, "acme/extra", "v1", {
            SPEC: {"__init__.py": "X = 1\n", "more.txt": "",
                   "metadata.json": json.dumps(
                       make_metadata("extra", SPEC, INIT))}})

    def reason(self, m, repo):
        d = json.loads(m.text("acme", repo, ".kernelfs/decision.json"))
        first = [e for e in d["decisions"] if e["variant"] == SPEC][0]
        return d["variant"], first["accepted"], first["reason"]

    def test_a_build_without_a_listed_file_is_refused(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/lost@v1/build"), ["torch-cpu"])
        variant, accepted, reason = self.reason(m, "lost")
        self.assertEqual((variant, accepted), ("torch-cpu", False))
        self.assertIn("incomplete", reason)
        self.assertIn("lib.so", reason)

    def test_a_build_without_metadata_is_refused(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/bare@v1/build"), ["torch-cpu"])
        variant, accepted, reason = self.reason(m, "bare")
        self.assertEqual((variant, accepted), ("torch-cpu", False))
        self.assertIn("incomplete", reason)
        self.assertIn("metadata.json", reason)

    def test_metadata_that_is_no_json_is_refused(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/broken@v1/build"), ["torch-cpu"])
        variant, accepted, reason = self.reason(m, "broken")
        self.assertEqual((variant, accepted), ("torch-cpu", False))
        self.assertIn("metadata", reason)

    def test_without_another_candidate_none_fits(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/alone@v1/build"), [])
        self.assertIn("incomplete",
                      m.text("acme/alone/.kernelfs/decision"))
        self.assertEqual(m.text("acme/alone/build", SPEC, "__init__.py"),
                         "X = 1\n")

    def test_files_that_metadata_does_not_list_do_no_harm(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/extra@v1/build"), [SPEC])


class TestFiles(MountCase):
    BIG = lfs_bytes(3 << 20, seed=7)

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: {
            "__init__.py": "X = 1\n", "sub/deep/er/mod.py": "Y = 2\n",
            "big.so": self.BIG, "empty.py": "", "sub/odd \xfc name.txt": "z",
            "one.so": b"1"}})
        self.at = "acme/relu@v1/build/" + SPEC

    def test_every_byte_is_what_was_published(self):
        m = self.mount()
        for name, content in (("big.so", self.BIG), ("one.so", b"1"),
                              ("empty.py", b""), ("sub/odd \xfc name.txt",
                                                  b"z"),
                              ("sub/deep/er/mod.py", b"Y = 2\n")):
            with open(m.at(self.at, name), "rb") as f:
                self.assertEqual(f.read(), content)
                size = os.fstat(f.fileno()).st_size
            self.assertEqual(size, len(content))

    def test_a_part_in_the_middle(self):
        m = self.mount()
        fd = os.open(m.at(self.at, "big.so"), os.O_RDONLY)
        try:
            for offset, size in ((0, 10), (1 << 20, 4096), (12345, 70000),
                                 (len(self.BIG) - 5, 100),
                                 (len(self.BIG), 10), (1 << 40, 10)):
                self.assertEqual(os.pread(fd, size, offset),
                                 self.BIG[offset:offset + size])
        finally:
            os.close(fd)

    def test_it_can_be_mapped(self):
        m = self.mount()
        done = m.python(
            "import mmap, hashlib, sys\n"
            "f = open(sys.argv[1], 'rb')\n"
            "d = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n"
            "print(len(d), d[1 << 20:(1 << 20) + 8].hex())\n",
            m.at(self.at, "big.so"))
        self.assertEqual(done.stdout.split(), [
            str(len(self.BIG)), self.BIG[1 << 20:(1 << 20) + 8].hex()],
            done.stderr)

    def test_folders_of_a_build_are_folders(self):
        m = self.mount()
        self.assertEqual(m.ls(self.at, "sub"), ["deep", "odd \xfc name.txt"])
        self.assertTrue(stat.S_ISDIR(
            os.lstat(m.at(self.at, "sub/deep")).st_mode))
        self.refuses("ENOENT", os.stat, m.at(self.at, "sub/nothing"))
        self.refuses("ENOTDIR", os.stat, m.at(self.at, "one.so/x"))

    def test_a_later_mount_reads_from_the_cache(self):
        m = self.mount(cache="one")
        self.assertEqual(m.text(self.at, "__init__.py"), "X = 1\n")
        wait_for(lambda: m.xattr("state", self.at, "big.so") == "verified",
                 "the rest of the build")
        self.hub.close()
        commit = os.path.realpath(m.at("acme/relu@v1")).split("@")[1]
        m = self.mount(cache="one")
        with open(m.at("acme/relu@" + commit, "build", SPEC, "big.so"),
                  "rb") as f:
            self.assertEqual(f.read(), self.BIG)


if __name__ == "__main__":
    unittest.main()
