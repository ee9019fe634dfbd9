# SPDX-License-Identifier: Apache-2.0
"""Names that do not exist, and names that nobody should have to ask for."""

import os
import unittest

from mounted import SPEC, MountCase, errno_of, make_kernel, make_owner

BUILD = {SPEC: {"__init__.py": "X = 1\n", "sub/mod.py": ""}}
HOSTILE = [b"%2e%2e", b"..%2f..", b"%2E%2E%2Fetc", b"a%00b", b"a%2fb",
           b"new\nline", b"tab\there", b"cr\rlf\n", b"\x01\x02", b"\x7f",
           b"\xff\xfe", b"caf\xe9", b"caf\xc3\xa9", b"-", b"-rf", b"a b",
           b"a?b=c", b"a#b", b"a&limit=2", b"...", b".git",
           b".hidden", b"a..b/../..", b"x" * 97, b"x" * 255, b"x;y", b"'",
           b'"', b"\\", b"..\\..", b"{x}", b"$HOME", b"`x`", b"\xe2\x80\xae"]
LONG = [b"x" * 256, b"x" * 300, b"x" * 4000]


class NamesCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", BUILD,
                    files={"README.md": "# x\n"})
        make_kernel(root, "acme/gemm", "v1", BUILD)

    def at(self, m, *parts):
        return os.fsencode(m.at(*parts))


class TestHostileNames(NamesCase):
    def check(self, m, folder, template=b"%s", names=HOSTILE):
        """All are ENOENT (or too long), and no request is made."""
        self.hub.reset()
        for name in names:
            path = os.path.join(folder, template.replace(b"%s", name))
            error = errno_of(os.lstat, path)
            self.assertIn(error, ("ENOENT", "ENAMETOOLONG", "ENOTDIR"), path)
        self.assert_requests()

    def test_at_the_root(self):
        m = self.mount()
        self.check(m, self.at(m))

    def test_as_a_repository(self):
        m = self.mount()
        os.listdir(m.at("acme"))
        self.check(m, self.at(m, "acme"))

    def test_as_an_owner_of_a_repository(self):
        m = self.mount()
        self.check(m, self.at(m), b"%s/relu")

    def test_as_an_environment(self):
        m = self.mount()
        self.check(m, self.at(m, ".env"))
        self.check(m, self.at(m, ".env", SPEC))
        self.check(m, self.at(m, ".env", SPEC), b"%s.why")

    def test_in_the_control_folder(self):
        m = self.mount()
        self.check(m, self.at(m, ".kernelfs"))
        self.check(m, self.at(m, ".kernelfs", "owners"))
        self.check(m, self.at(m, "relu"))

    def test_in_a_commit_that_is_known(self):
        m = self.mount()
        commit = "acme/relu@" + self.commit("acme/relu")
        os.listdir(m.at(commit))
        os.listdir(m.at(commit, "build", SPEC))
        for part in ("", "build", "python", ".kernelfs", "build/" + SPEC,
                     ".kernelfs/variants", "build/%s/sub" % SPEC):
            self.check(m, self.at(m, commit, part))

    def test_a_revision_with_odd_bytes_never_becomes_a_path(self):
        m = self.mount()
        self.check(m, self.at(m, "acme"), b"relu@%s", [
            b"%2e%2e", b"..", b"..%2f..", b"new\nline", b"\x01", b"\x7f",
            b"a b", b"a..b", b"a%2f%2fb", b"%2fa", b"a%2f", b"a~1", b"a^",
            b"a:b", b"a?", b"a*", b"a[b", b"a\\b", b"a.lock", b"@{1}", b"",
            b"\xff", b"%00", b"%0a", b"-"])
        self.assertEqual([r for r in m.requests() if ".." in r], [])

    def test_names_that_are_too_long(self):
        m = self.mount()
        os.listdir(m.at("acme"))
        for folder in ((), ("acme",), (".env",), (".kernelfs",), ("relu",)):
            self.check(m, self.at(m, *folder), names=LONG)

    def test_a_path_out_of_the_mount_stays_the_kernel_s(self):
        m = self.mount()
        self.assertTrue(os.path.samefile(m.at("relu/../.."),
                                         os.path.dirname(m.path)))


class TestAbsentNames(NamesCase):
    def test_one_request_per_name(self):
        m = self.mount()
        self.hub.reset()
        names = ("nobody", "nobody/x", "acme/absent", "acme/absent@v1",
                 "acme/relu@v9", "acme/relu@absent")
        for path in names:
            self.refuses("ENOENT", os.stat, m.at(path))
        # A revision that is not there is looked for in refs that are new.
        self.assert_requests(list=1, refs=3)
        for path in names * 4:
            self.refuses("ENOENT", os.stat, m.at(path))
        self.assert_requests(list=1, refs=3)

    def test_sixty_in_a_minute(self):
        m = self.mount()
        self.hub.reset()
        errors = set()
        for n in range(150):
            errors.add(errno_of(os.stat, m.at("nobody-%d" % n)))
            errors.add(errno_of(os.stat, m.at("acme/absent-%d" % n)))
            errors.add(errno_of(os.stat, m.at("acme/relu@absent-%d" % n)))
        self.assertLessEqual(len(m.requests()), 62)
        self.assertLessEqual(errors, {"ENOENT", "EIO"})
        self.assertIn("ENOENT", errors)

    def test_what_exists_opens_beyond_the_sixty(self):
        m = self.mount()
        for n in range(100):
            errno_of(os.stat, m.at("nobody-%d" % n))
        self.assertEqual(m.ls("relu/build"), [SPEC])
        self.assertEqual(m.ls("acme/gemm@v1/build"), [SPEC])

    def test_in_a_listed_folder_nothing_is_asked(self):
        m = self.mount()
        commit = "acme/relu@" + self.commit("acme/relu")
        os.listdir(m.at(commit, "build", SPEC, "sub"))
        os.listdir(m.at(commit))
        self.hub.reset()
        for n in range(100):
            for part in ("", "build", "build/" + SPEC, "python"):
                self.refuses("ENOENT", os.stat,
                             m.at(commit, part, "absent-%d" % n))
        self.assert_requests()


if __name__ == "__main__":
    unittest.main()
