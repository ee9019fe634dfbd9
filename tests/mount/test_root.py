# SPDX-License-Identifier: Apache-2.0
"""The root of a mount: import names, owners, what is never shadowed."""

import os
import stat
import unittest

from mounted import (
    MountCase, errno_of, make_branch, make_kernel, make_owner, make_repo,
    wait_for)

ONE = {"torch-universal": {"__init__.py": "X = 1\n"}}


class TestImportNames(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_owner(root, "my-team")
        for name in ("relu", "flash-attn3", "gemm", "json", "torch", "test",
                     "numpy", "sitecustomize", "tie-name", "tie_name",
                     "not.a-name", "3d"):
            make_kernel(root, "acme/" + name, "v1", ONE)
        for name in ("relu", "silu", "gemm", "zeta"):
            make_kernel(root, "my-team/" + name, "v1", ONE)

    def test_lists_the_kernels_of_an_owner_as_python_spells_them(self):
        m = self.mount()
        self.assertEqual(m.ls(), [".env", ".hub", ".kernelfs", "flash_attn3",
                                  "gemm", "relu", "tie_name"])

    def test_is_ready_once_the_first_list_has_come(self):
        self.hub.fault("delay_ms", path="/api/kernels", delay_ms=300)
        m = self.mount()
        self.assertIn("relu", m.ls())
        self.assert_requests(list=1)

    def test_a_listing_that_was_kept_is_old_once_a_name_has_come(self):
        fault = self.hub.fault("stall", path="/api/kernels")
        m = self.mount("--connect-timeout=500ms", "--stall-timeout=60s")
        self.assertTrue(fault.waiting)
        before = os.stat(m.at("")).st_mtime
        for _ in range(3):  # the kernel has it by now
            self.assertNotIn("relu", os.listdir(m.at("")))
        self.hub.faults.clear()
        wait_for(lambda: "relu" in os.listdir(m.at("")), "the late list")
        self.assertGreater(os.stat(m.at("")).st_mtime, before)

    def test_asks_nothing_more_for_looking_at_it(self):
        m = self.mount()
        for _ in range(3):
            for name in m.ls():
                os.lstat(m.at(name))
        self.assert_requests(list=1)

    def test_never_shadows_what_python_has(self):
        m = self.mount("--import=acme/json")
        for name in ("json", "torch", "test", "numpy", "sitecustomize",
                     "os", "triton", "conftest"):
            self.assertNotIn(name, m.ls())
            self.refuses("ENOENT", os.lstat, m.at(name))
        # An owner may have such a name: one question each, no more.
        for name in ("json", "os"):
            self.refuses("ENOENT", os.lstat, m.at(name))
        self.assert_requests(list=9)

    def test_an_import_name_holds_the_door_and_a_link_to_the_builds(self):
        m = self.mount()
        self.assertEqual(m.ls("relu"), ["__init__.py", "build"])
        self.assertTrue(stat.S_ISREG(os.lstat(m.at("relu/__init__.py"))
                                     .st_mode))
        self.assertEqual(m.link("relu/build"), "../acme/relu@%s/build" %
                         self.commit("acme/relu"))
        self.assertEqual(m.ls("relu/build"), ["torch-universal"])

    def test_the_door_is_the_same_for_every_kernel(self):
        m = self.mount()
        doors = {m.text(n, "__init__.py") for n in
                 ("relu", "gemm", "flash_attn3")}
        doors.add(m.text("acme/gemm@v1/python/gemm/__init__.py"))
        self.assertEqual(len(doors), 1)

    def test_named_kernels_come_first_in_the_order_of_the_options(self):
        m = self.mount("--import=my-team/zeta", "--import=acme",
                       "--import=my-team/silu", imports=())
        names = [n for n in os.listdir(m.path) if not n.startswith(".")]
        self.assertEqual(names[:2], ["zeta", "silu"])
        self.assertEqual(sorted(names), sorted([
            "zeta", "silu", "flash_attn3", "gemm", "relu", "tie_name",
            "my-team"]))

    def test_a_named_kernel_wins_over_one_of_an_import_owner(self):
        m = self.mount("--import=my-team/relu")
        self.assertIn("my-team/relu@", m.link("relu/build"))
        self.assertIn("acme/gemm@", m.link("gemm/build"))
        self.assertEqual(m.ls().count("relu"), 1)

    def test_of_two_named_kernels_the_first_option_wins(self):
        m = self.mount("--import=my-team/relu", "--import=acme/relu",
                       imports=())
        self.assertIn("my-team/relu@", m.link("relu/build"))
        m = self.mount("--import=acme/relu", "--import=my-team/relu",
                       imports=())
        self.assertIn("acme/relu@", m.link("relu/build"))

    def test_of_two_import_owners_the_first_option_wins(self):
        m = self.mount(imports=("my-team", "acme"))
        self.assertIn("my-team/gemm@", m.link("gemm/build"))
        m = self.mount(imports=("acme", "my-team"))
        self.assertIn("acme/gemm@", m.link("gemm/build"))

    def test_of_two_spellings_the_lower_bytes_win(self):
        m = self.mount()
        self.assertIn("/tie-name@", m.link("tie_name/build"))

    def test_nothing_but_repositories_lists_no_others(self):
        m = self.mount(imports=("acme/relu", "my-team/silu"))
        self.assertEqual(m.ls(), [".env", ".hub", ".kernelfs", "my-team",
                                  "relu", "silu"])
        self.refuses("ENOENT", os.lstat, m.at("gemm"))

    def test_a_hub_without_lists_serves_what_is_named(self):
        self.hub.set(list=False)
        m = self.mount(imports=("acme", "acme/relu"))
        self.assertEqual([n for n in m.ls() if n[0] != "."], ["relu"])
        self.assertEqual(m.ls("relu/build"), ["torch-universal"])
        self.assertEqual(m.ls("acme/gemm/build"), ["torch-universal"])

    def test_a_later_mount_lists_from_disk_without_waiting(self):
        first = self.mount(cache="one").ls()
        stall = self.hub.fault("stall", path="/api/kernels")
        m = self.mount("--connect-timeout=300s", cache="one")
        self.assertEqual(m.ls(), first)
        stall.release()

    def test_the_default_owner_is_kernels_community(self):
        make_owner(self.root, "kernels-community")
        make_kernel(self.root, "kernels-community/fast", "v1", ONE)
        m = self.mount(imports=())
        self.assertEqual(m.ls(), [".env", ".hub", ".kernelfs", "fast",
                                  "kernels-community"])


class TestPins(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for n in (1, 2):
            make_kernel(root, "acme/relu", "v%d" % n, {"torch-universal": {
                "__init__.py": "VERSION = %d\n" % n}})

    def test_a_revision_can_be_pinned(self):
        m = self.mount(imports=("acme/relu@v1",))
        self.assertEqual(m.link("relu/build"), "../acme/relu@%s/build" %
                         self.commit("acme/relu", "v1"))

    def test_the_pin_is_the_default_of_the_repository(self):
        m = self.mount(imports=("acme/relu@v1",))
        self.assertEqual(os.path.realpath(m.at("acme/relu")), m.at(
            "acme/relu@" + self.commit("acme/relu", "v1")))
        self.assertEqual(os.path.realpath(m.at("acme/relu@latest")), m.at(
            "acme/relu@" + self.commit("acme/relu", "v2")))

    def test_a_pinned_commit_costs_no_refs(self):
        commit = self.commit("acme/relu", "v1")
        m = self.mount(imports=("acme/relu@" + commit,))
        self.assertEqual(m.link("relu/build"),
                         "../acme/relu@%s/build" % commit)
        self.assertEqual(m.ls("relu/build"), ["torch-universal"])
        self.assertNotIn("refs", m.counts())
        self.assertNotIn("list", m.counts())

    def test_a_pin_to_nowhere_lists_but_does_not_open(self):
        m = self.mount(imports=("acme/relu@v9",))
        self.assertIn("relu", m.ls())
        self.refuses("ENOENT", os.readlink, m.at("relu/build"))
        done = m.python("import relu")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ImportError", done.stderr)
        self.assertIn("v9", done.stderr)


class TestOwners(MountCase):
    def kernels(self, root):
        for owner in ("acme", "my-team", "dot.team", "aside"):
            make_owner(root, owner)
            make_kernel(root, owner + "/relu", "v1", ONE)
        make_kernel(root, "aside/gemm-x", "v2", ONE)

    def test_the_root_lists_only_owners_that_no_import_can_spell(self):
        m = self.mount(imports=("acme", "my-team", "dot.team/relu"))
        self.assertEqual(m.ls(), [".env", ".hub", ".kernelfs", "dot.team",
                                  "my-team", "relu"])

    def test_every_known_owner_is_in_the_control_folder(self):
        m = self.mount(imports=("acme", "my-team", "dot.team/relu"))
        os.listdir(m.at("aside"))
        self.assertEqual(m.ls(".kernelfs/owners"),
                         ["acme", "aside", "dot.team", "my-team"])

    def test_any_owner_opens_by_name(self):
        m = self.mount()
        self.assertEqual(m.ls("aside"), ["gemm-x", "relu"])
        self.assertEqual(m.ls("aside"), ["gemm-x", "relu"])
        self.assertEqual(m.ls("aside/gemm-x/build"), ["torch-universal"])
        self.assertEqual([r for r in m.requests() if "author=aside" in r],
                         ["GET /api/kernels?author=aside&limit=1000"])

    def test_an_owner_lists_what_the_hub_lists_over_all_pages(self):
        for n in range(25):
            make_kernel(self.root, "aside/k%02d" % n, "v1", ONE)
        self.hub.set(list_page=10)
        m = self.mount()
        self.assertEqual(m.ls("aside"), sorted(
            ["gemm-x", "relu"] + ["k%02d" % n for n in range(25)]))

    def test_nobody_of_that_name_is_enoent(self):
        m = self.mount()
        self.hub.reset()
        self.refuses("ENOENT", os.listdir, m.at("nobody"))
        self.refuses("ENOENT", os.listdir, m.at("nobody/relu"))
        self.assertLessEqual(len(m.requests()), 1)

    def test_without_lists_an_owner_shows_what_is_known(self):
        self.hub.set(list=False)
        m = self.mount(imports=("acme/relu",))
        self.assertEqual(m.ls("acme"), ["relu"])
        self.assertEqual(m.ls("aside/gemm-x/build"), ["torch-universal"])
        self.assertEqual(m.ls("aside"), [
            "gemm-x", "gemm-x@" + self.commit("aside/gemm-x", "v2"),
            "gemm-x@v2"])

    def test_the_root_s_time_changes_with_its_names_only(self):
        m = self.mount(imports=("acme",))
        before = os.stat(m.path).st_mtime_ns
        os.listdir(m.at("aside"))
        self.assertEqual(os.stat(m.path).st_mtime_ns, before)

    def rename(self, old, new):
        make_repo(self.root, old, renamed_to=new)
        make_branch(self.root, old, "main", {})

    def test_a_renamed_repository_is_a_link_to_its_name(self):
        self.rename("acme/elu", "acme/relu")
        m = self.mount()
        self.assertEqual(m.link("acme/elu"), "relu@v1")
        self.assertEqual(m.link("acme/elu@v1"), m.link("acme/relu@v1"))
        self.assertEqual(os.path.realpath(m.at("acme/elu@v1/build")),
                         os.path.realpath(m.at("acme/relu@v1/build")))

    def test_a_repository_that_went_to_another_owner(self):
        self.rename("acme/moved", "aside/gemm-x")
        m = self.mount(imports=("acme/moved",))
        commit = self.commit("aside/gemm-x", "v2")
        self.assertEqual(m.link("acme/moved"), "../aside/gemm-x@v2")
        self.assertEqual(os.path.realpath(m.at("acme/moved@v2")),
                         m.at("aside/gemm-x@" + commit))
        self.assertEqual(m.link("moved/build"),
                         "../aside/gemm-x@%s/build" % commit)
        self.assertEqual(m.python("import moved; print(moved.X)").stdout,
                         "1\n")
        self.assertNotIn("moved@" + commit, m.ls("acme"))

    def test_its_new_owner_must_be_trusted(self):
        make_owner(self.root, "aside", trusted=False)
        self.rename("acme/moved", "aside/gemm-x")
        m = self.mount()
        self.refuses("EACCES", os.listdir, m.at("acme/moved/build"))


class TestDeadHub(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", ONE)

    def test_a_first_mount_without_an_answer_serves_after_the_timeout(self):
        stall = self.hub.fault("stall", path="/api/kernels")
        m = self.mount("--connect-timeout=1s")
        self.assertEqual(m.ls(), [".env", ".hub", ".kernelfs"])
        stall.release()
        wait_for(lambda: "relu" in m.ls(), "the list to come")

    def test_a_named_kernel_is_listed_though_nobody_answers(self):
        m = self.mount(imports=("acme/relu",), source="http://127.0.0.1:9")
        self.assertIn("relu", m.ls())
        self.assertEqual(errno_of(os.listdir, m.at("acme/relu/build")), "EIO")


if __name__ == "__main__":
    unittest.main()
