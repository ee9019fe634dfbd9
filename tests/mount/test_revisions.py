# SPDX-License-Identifier: Apache-2.0
"""Owners and revisions: which names there are, and where they lead."""

import json
import os
import stat
import unittest

from mounted import MountCase, make_branch, make_kernel, make_owner, make_tag


def universal(mark):
    return {"torch-universal": {"__init__.py": "MARK = %r\n" % mark}}


class TestDefault(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for n in (1, 2, 9, 10):
            make_kernel(root, "acme/branches", "v%d" % n, universal(n))
        make_kernel(root, "acme/branches", "v11-beta", universal("beta"))
        make_kernel(root, "acme/branches", "vx", universal("vx"))
        make_tag(root, "acme/branches", "v99.0.0", "v1")
        for n in ("0.9.0", "0.10.0", "0.10"):
            make_kernel(root, "acme/tags", "b" + n, universal(n))
            make_tag(root, "acme/tags", "v" + n, "b" + n)
        make_kernel(root, "acme/plain", "main", universal("main"))
        make_kernel(root, "acme/plain", "other", universal("other"))

    def default(self, m, name):
        return m.link("acme", name)

    def test_is_the_highest_version_by_number(self):
        m = self.mount()
        self.assertEqual(self.default(m, "branches"), "branches@v10")
        self.assertEqual(os.path.realpath(m.at("acme/branches")), m.at(
            "acme/branches@" + self.commit("acme/branches", "v10")))

    def test_else_the_highest_version_tag_by_number(self):
        m = self.mount()
        self.assertEqual(self.default(m, "tags"), "tags@v0.10.0")
        self.assertEqual(os.path.realpath(m.at("acme/tags")), m.at(
            "acme/tags@" + self.commit("acme/tags", "v0.10.0")))

    def test_else_main(self):
        m = self.mount()
        self.assertEqual(self.default(m, "plain"), "plain@main")
        self.assertEqual(os.path.realpath(m.at("acme/plain")), m.at(
            "acme/plain@" + self.commit("acme/plain", "main")))

    def test_latest_is_the_default(self):
        m = self.mount()
        for name, revision in (("branches", "v10"), ("tags", "v0.10.0"),
                               ("plain", "main")):
            self.assertEqual(
                os.path.realpath(m.at("acme/%s@latest" % name)),
                m.at("acme/%s@%s" % (name, self.commit(
                    "acme/" + name, revision))))


class TestNames(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        for n in (1, 2):
            make_kernel(root, "acme/relu", "v%d" % n, universal(n))
        make_kernel(root, "acme/relu", "fix/odd-name", universal("odd"))
        make_tag(root, "acme/relu", "v1.2.3", "v1")
        make_tag(root, "acme/relu", "stable", "v2")

    def leads_to(self, m, name, revision):
        commit = self.commit("acme/relu", revision)
        self.assertEqual(m.link("acme", name), "relu@" + commit)
        self.assertEqual(m.ls("acme", name, "build"), ["torch-universal"])

    def test_a_version_is_a_link_to_a_commit(self):
        m = self.mount()
        self.leads_to(m, "relu@v1", "v1")
        self.leads_to(m, "relu@v2", "v2")

    def test_a_bare_number_is_a_version(self):
        m = self.mount()
        self.assertEqual(os.path.realpath(m.at("acme/relu@1")),
                         os.path.realpath(m.at("acme/relu@v1")))

    def test_tags_and_branches(self):
        m = self.mount()
        self.leads_to(m, "relu@v1.2.3", "v1")
        self.leads_to(m, "relu@stable", "v2")
        self.leads_to(m, "relu@fix%2Fodd-name", "fix/odd-name")

    def test_one_request_for_the_refs_serves_all_revisions(self):
        m = self.mount()
        for name in ("relu", "relu@v1", "relu@v2", "relu@stable",
                     "relu@v1.2.3", "relu@latest", "relu@nothing"):
            try:
                os.readlink(m.at("acme", name))
            except FileNotFoundError:
                self.assertEqual(name, "relu@nothing")
        self.assert_requests(list=1, refs=1)

    def test_a_commit_is_a_directory_and_needs_no_refs(self):
        commit = self.commit("acme/relu", "v1")
        m = self.mount()
        mode = os.lstat(m.at("acme/relu@" + commit)).st_mode
        self.assertTrue(stat.S_ISDIR(mode))
        self.assertEqual(m.ls("acme", "relu@" + commit, "build"),
                         ["torch-universal"])
        self.assertNotIn("refs", m.counts())

    def test_no_such_revision_or_repository(self):
        m = self.mount()
        for name in ("relu@v3", "relu@nothing", "relu@v1.2.4", "absent",
                     "absent@v1", "relu@" + "0" * 40):
            self.refuses("ENOENT", os.listdir, m.at("acme", name))

    def test_an_owner_lists_repositories_and_known_commits(self):
        m = self.mount()
        self.assertEqual(m.ls("acme"), ["relu"])
        os.stat(m.at("acme/relu"))
        names = m.ls("acme")
        self.assertIn("relu", names)
        self.assertIn("relu@" + m.link("acme/relu").partition("@")[2], names)
        for name in names:
            self.assertTrue(name.startswith("relu"), names)

    def test_an_undecided_link_has_no_size_and_costs_nothing(self):
        m = self.mount()
        os.listdir(m.at("acme"))
        self.hub.reset()
        for name in ("acme/relu", "relu/build"):
            info = os.lstat(m.at(name))
            self.assertTrue(stat.S_ISLNK(info.st_mode), name)
            self.assertEqual(info.st_size, 0, name)
        self.assert_requests()

    def test_a_decided_link_has_the_size_of_its_target(self):
        m = self.mount()
        target = m.link("acme/relu@v1")
        os.listdir(m.at("acme/relu@v1/"))
        self.assertIn(os.lstat(m.at("acme/relu@v1")).st_size,
                      (0, len(target)))


class TestMoving(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", universal("before"))

    def move(self):
        old = self.commit("acme/relu")
        make_kernel(self.root, "acme/relu", "v1", universal("after"))
        make_kernel(self.root, "acme/relu", "v2", universal("two"))
        self.hub.reload()
        self.assertNotEqual(self.commit("acme/relu"), old)
        return old

    def test_a_mount_keeps_what_it_decided(self):
        m = self.mount()
        before = [m.link("acme/relu"), m.link("acme/relu@v1"),
                  m.link("relu/build")]
        old = self.move()
        self.assertEqual(before, [m.link("acme/relu"), m.link("acme/relu@v1"),
                                  m.link("relu/build")])
        self.assertEqual(m.text("acme/relu/build/torch-universal/__init__.py"),
                         "MARK = 'before'\n")
        self.assertIn(old, os.path.realpath(m.at("acme/relu")))

    def test_a_new_mount_sees_what_moved(self):
        m = self.mount(cache="one")
        os.listdir(m.at("acme/relu/build"))
        self.move()
        m = self.mount(cache="one")
        self.assertEqual(m.link("acme/relu"), "relu@v2")
        self.assertEqual(
            m.text("acme/relu@v1/build/torch-universal/__init__.py"),
            "MARK = 'after'\n")

    def test_a_commit_stays_what_it_was(self):
        old = self.move()
        m = self.mount()
        self.assertEqual(m.text(
            "acme/relu@%s/build/torch-universal/__init__.py" % old),
            "MARK = 'before'\n")


class TestCommit(MountCase):
    SPECIAL = b"\x00\xff\n binary"

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", universal("x"), files={
            "README.md": "# relu\n", "src/deep/a.cu": "int a;\n",
            "src/b.cpp": "int b;\n", "odd name \xe9.bin": self.SPECIAL,
            "build.toml": "[general]\n", "empty": ""})

    def setUp(self):
        super().setUp()
        self.m = self.mount()
        self.at = "acme/relu@" + self.commit("acme/relu")

    def test_holds_the_other_files_of_the_revision(self):
        self.assertEqual(self.m.ls(self.at), [
            ".kernelfs", "README.md", "build", "build.toml", "empty",
            "odd name \xe9.bin", "python", "src"])
        self.assertEqual(self.m.text(self.at, "README.md"), "# relu\n")
        self.assertEqual(self.m.text(self.at, "empty"), "")
        self.assertEqual(self.m.text(self.at, "src/deep/a.cu"), "int a;\n")
        self.assertEqual(self.m.ls(self.at, "src"), ["b.cpp", "deep"])
        with open(self.m.at(self.at, "odd name \xe9.bin"), "rb") as f:
            self.assertEqual(f.read(), self.SPECIAL)

    def test_a_folder_costs_one_request_when_listed(self):
        os.listdir(self.m.at(self.at))
        self.hub.reset()
        for _ in range(3):
            os.listdir(self.m.at(self.at, "src"))
        self.assert_requests(tree=1)

    def test_a_file_costs_itself(self):
        self.hub.reset()
        self.m.text(self.at, "README.md")
        self.assertEqual(self.m.counts().get("resolve"), 1)
        files = [r for r in self.m.requests() if "resolve" in r]
        self.assertTrue(all("README.md" in r for r in files), files)

    def test_no_such_file(self):
        for name in ("absent", "src/absent", "README.md/x", "src/b.cpp/x"):
            self.assertIn(
                self.errno(self.m.at(self.at, name)), ("ENOENT", "ENOTDIR"))
        self.refuses("ENOENT", os.lstat, self.m.at(self.at, "absent"))

    def errno(self, path):
        try:
            os.lstat(path)
        except OSError as error:
            return {2: "ENOENT", 20: "ENOTDIR"}.get(error.errno, error.errno)
        return None

    def test_the_default_leads_to_the_same_files(self):
        self.assertEqual(self.m.text("acme/relu/README.md"), "# relu\n")
        self.assertTrue(os.path.samefile(
            self.m.at("acme/relu/README.md"), self.m.at(self.at, "README.md")))


class TestOwnPlaces(MountCase):
    """A revision whose files have the names of what the mount adds."""

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", universal("x"), files={
            "python/mine.py": "1\n", ".kernelfs/decision": "mine\n"})
        make_branch(root, "acme/bare", "v1", {"README.md": "# bare\n"})

    def test_what_the_mount_adds_stays_its_own(self):
        m = self.mount()
        names = os.listdir(m.at("acme/relu@v1/"))
        self.assertEqual(sorted(names), [".kernelfs", "build", "python"])
        self.assertIn("relu", m.ls("acme/relu@v1/python"))
        decision = json.loads(m.text("acme/relu@v1/.kernelfs/decision.json"))
        self.assertEqual(decision["variant"], "torch-universal")

    def test_a_revision_without_builds_has_an_empty_build_folder(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/bare@v1/"), [
            ".kernelfs", "README.md", "build", "python"])
        self.assertEqual(m.ls("acme/bare@v1/build"), [])
        self.assertEqual(m.ls("acme/bare@v1/.kernelfs/variants"), [])
        self.assertEqual(m.text("acme/bare/README.md"), "# bare\n")
        self.assertIn("bare", m.text("acme/bare/.kernelfs/decision"))


if __name__ == "__main__":
    unittest.main()
