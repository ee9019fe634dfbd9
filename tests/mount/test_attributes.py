# SPDX-License-Identifier: Apache-2.0
"""Modes, numbers, times, extended attributes, and that nothing changes."""

import hashlib
import os
import stat
import unittest

from mounted import (
    SPEC, MountCase, errno_of, lfs_bytes, make_kernel, make_owner, spec,
    wait_for)

SO = lfs_bytes(70000, seed=3)


class AttributeCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        same = {"__init__.py": "X = 1\n", "same.so": SO, "sub/mod.py": "Y\n"}
        for n in (1, 2):
            make_kernel(root, "acme/relu", "v%d" % n, {
                SPEC: dict(same, **{"n.py": "N = %d\n" % n}),
                "torch-cpu": {"__init__.py": "X = 1\n", "copy.so": SO}},
                files={"README.md": "# relu\n", "twin.so": SO})
        make_kernel(root, "acme/gemm", "v1", {SPEC: same})

    def at(self, n=1, repo="acme/relu"):
        return "%s@%s" % (repo, self.commit(repo, "v%d" % n))


class TestAttributes(AttributeCase):
    def walk(self, m, top):
        """Every path below a commit, also of unlisted builds."""
        for base, folders, files in os.walk(m.at(top)):
            for name in [*folders, *files]:
                yield os.path.join(base, name)
        for base, folders, files in os.walk(m.at(top, "build/torch-cpu")):
            for name in [*folders, *files]:
                yield os.path.join(base, name)

    def test_modes_and_owner(self):
        m = self.mount()
        for path in [m.path, m.at("relu"), m.at("relu/__init__.py"),
                     m.at("acme"), m.at(".env"), m.at(".kernelfs"),
                     m.at(".kernelfs/status"), m.at(".kernelfs/owners"),
                     m.at(self.at()), *self.walk(m, self.at())]:
            info = os.lstat(path)
            if stat.S_ISDIR(info.st_mode):
                self.assertEqual(stat.S_IMODE(info.st_mode), 0o555, path)
            elif stat.S_ISREG(info.st_mode):
                self.assertEqual(stat.S_IMODE(info.st_mode), 0o444, path)
            else:
                self.assertTrue(stat.S_ISLNK(info.st_mode), path)
            self.assertEqual((info.st_uid, info.st_gid),
                             (os.getuid(), os.getgid()), path)

    @unittest.skipUnless(os.getuid() == 0, "only root gives mounts away")
    def test_uid_and_gid_options(self):
        m = self.mount("-o", "uid=12,gid=34")
        for path in (m.path, m.at("relu"), m.at(self.at(), "README.md"),
                     m.at("acme/relu")):
            info = os.lstat(path)
            self.assertEqual((info.st_uid, info.st_gid), (12, 34), path)

    def test_one_time_below_commits_on_every_mount(self):
        times = set()
        for _ in range(2):
            m = self.mount()
            for top in (self.at(1), self.at(2)):
                times.add(os.stat(m.at(top)).st_mtime_ns)
                for path in self.walk(m, top):
                    times.add(os.lstat(path).st_mtime_ns)
        self.assertEqual(len(times), 1)

    def test_a_file_s_number_comes_from_its_content(self):
        m = self.mount()
        places = [(self.at(1), "build", SPEC, "same.so"),
                  (self.at(2), "build", SPEC, "same.so"),
                  (self.at(1), "build/torch-cpu/copy.so"),
                  (self.at(1), "twin.so"),
                  (self.at(1, "acme/gemm"), "build", SPEC, "same.so"),
                  (".env", spec(torch="29"), "relu/copy.so")]
        numbers = {os.stat(m.at(*p)).st_ino for p in places}
        self.assertEqual(len(numbers), 1, places)
        self.assertEqual({os.stat(m.at(*p)).st_dev for p in places},
                         {os.stat(m.path).st_dev})
        other = os.stat(m.at(self.at(1), "build", SPEC, "n.py")).st_ino
        self.assertNotIn(other, numbers)
        self.assertNotEqual(other, os.stat(m.at(self.at(2), "build", SPEC,
                                                "n.py")).st_ino)

    def test_a_listing_says_the_same_numbers(self):
        m = self.mount()
        with os.scandir(m.at(self.at(), "build", SPEC)) as entries:
            numbers = {e.name: e.inode() for e in entries if e.is_file()}
        for name, number in numbers.items():
            self.assertEqual(os.stat(m.at(self.at(), "build", SPEC,
                                          name)).st_ino, number, name)

    def test_numbers_are_the_same_on_another_mount(self):
        numbers = []
        for _ in range(2):
            m = self.mount()
            numbers.append([os.lstat(m.at(self.at(), "build", SPEC, n)).st_ino
                            for n in ("same.so", "n.py", "__init__.py")])
        self.assertEqual(*numbers)

    def test_blocks_are_those_of_the_size(self):
        m = self.mount()
        path = m.at(self.at(), "build", SPEC, "same.so")
        for _ in range(2):
            info = os.stat(path)
            self.assertEqual(info.st_size, len(SO))
            self.assertEqual(info.st_blocks, (len(SO) + 511) // 512)
            with open(path, "rb") as f:
                f.read()

    def test_the_superblock_is_read_only(self):
        m = self.mount()
        self.assertTrue(os.statvfs(m.path).f_flag & os.ST_RDONLY)
        self.assertTrue(os.statvfs(m.path).f_flag & os.ST_NOSUID)
        self.assertTrue(os.statvfs(m.path).f_flag & os.ST_NODEV)


class TestNothingChanges(AttributeCase):
    def test_every_mutation_is_erofs(self):
        m = self.mount()
        build = m.at(self.at(), "build", SPEC)
        file, folder = os.path.join(build, "n.py"), os.path.join(build, "sub")
        for top in (m.path, m.at("relu"), m.at("acme"), m.at(self.at()),
                    build, m.at(".kernelfs"), m.at(".env"),
                    m.at(".env", SPEC)):
            new = os.path.join(top, "new-name")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            for call, *args in ((os.open, new, flags), (os.mkdir, new),
                                (os.mknod, new), (os.mkfifo, new),
                                (os.symlink, "x", new),
                                (os.link, file, new)):
                self.refuses("EROFS", call, *args)
        for path in (file, m.at("relu/__init__.py"), m.at(".kernelfs/log")):
            for call, *args in (
                    (os.open, path, os.O_WRONLY), (os.open, path, os.O_RDWR),
                    (os.open, path, os.O_RDONLY | os.O_TRUNC),
                    (os.truncate, path, 0), (os.unlink, path),
                    (os.rename, path, path + ".old"), (os.chmod, path, 0o644),
                    (os.chown, path, 1, 1), (os.utime, path),
                    (os.setxattr, path, "user.kernelfs.repo", b"x"),
                    (os.setxattr, path, "user.mine", b"x"),
                    (os.removexattr, path, "user.kernelfs.repo")):
                self.refuses("EROFS", call, *args)
        self.refuses("EROFS", os.rmdir, folder)
        self.refuses("EROFS", os.rename, folder, folder + "2")
        self.assertTrue(os.access(file, os.R_OK))
        self.assertFalse(os.access(file, os.W_OK))

    def test_an_open_file_cannot_be_written_to(self):
        m = self.mount()
        fd = os.open(m.at(self.at(), "build", SPEC, "n.py"), os.O_RDONLY)
        try:
            self.refuses("EBADF", os.write, fd, b"x")
            self.refuses("EINVAL", os.ftruncate, fd, 0)
            self.refuses("EROFS", os.fchmod, fd, 0o644)
        finally:
            os.close(fd)


class TestXattrs(AttributeCase):
    def values(self, path):
        return {name[len("user.kernelfs."):]: os.getxattr(path, name).decode()
                for name in os.listxattr(path)}

    def test_every_value_of_a_file(self):
        m = self.mount()
        values = self.values(m.at(self.at(), "build", SPEC, "same.so"))
        self.assertEqual(values, {
            "repo": "acme/relu", "commit": self.commit("acme/relu"),
            "revision": values["revision"], "variant": SPEC,
            "hash": hashlib.sha256(SO).hexdigest(), "source": self.hub.url,
            "state": "remote", "reason": values["reason"]})

    def test_the_revision_is_the_one_that_was_asked_for(self):
        m = self.mount()
        os.listdir(m.at("acme/relu@v2/"))
        self.assertEqual(m.xattr("revision", "acme/relu@v2/build"), "v2")

    def test_a_refused_build_says_the_reason(self):
        make_kernel(self.root, "acme/other", "v1", {
            SPEC: {"__init__.py": ""},
            spec(torch="212"): {"__init__.py": ""}})
        m = self.mount()
        at = "acme/other@v1/build"
        self.assertIn("Torch version (2.12)", m.xattr(
            "reason", at, spec(torch="212")))
        self.assertEqual(m.xattr("variant", at, spec(torch="212")),
                         spec(torch="212"))
        self.assertEqual(m.xattr("commit", at), self.commit("acme/other"))

    def test_a_file_without_lfs_has_git_s_hash(self):
        m = self.mount()
        values = self.values(m.at(self.at(), "build", SPEC, "n.py"))
        self.assertEqual(len(values["hash"]), 40)

    def test_a_state_goes_from_remote_to_verified(self):
        m = self.mount()
        path = m.at(self.at(), "build", SPEC, "same.so")
        self.assertEqual(self.values(path)["state"], "remote")
        with open(path, "rb") as f:
            f.read()
        self.assertEqual(self.values(path)["state"], "verified")

    def test_a_file_of_the_cache_is_cached_before_it_is_read(self):
        m = self.mount(cache="one")
        path = (self.at(), "build", SPEC, "same.so")
        with open(m.at(*path), "rb") as f:
            f.read()
        m = self.mount(cache="one")
        self.assertEqual(m.xattr("state", *path), "verified")

    def test_a_build_has_a_state_too(self):
        m = self.mount()
        build = m.at(self.at(), "build", SPEC)
        state = self.values(build).get("state")
        self.assertIn(state, ("remote", "partial"))
        with open(os.path.join(build, "same.so"), "rb") as f:
            f.read()
        wait_for(lambda: self.values(build)["state"] == "verified",
                 "the whole build")

    def test_unknown_ones_are_enodata_and_ask_nobody(self):
        m = self.mount()
        paths = [m.path, m.at("relu"), m.at("relu/__init__.py"), m.at("acme"),
                 m.at(self.at()), m.at(self.at(), "build", SPEC, "n.py")]
        for path in paths:
            os.stat(path)
        self.hub.reset()
        for path in paths:
            for name in ("security.capability", "security.selinux",
                         "system.posix_acl_access", "user.mine",
                         "user.kernelfs.", "user.kernelfs.nothing",
                         "user.kernelfs.repox", "trusted.overlay.opaque"):
                # POSIX ACLs the kernel itself refuses where there are none.
                self.assertIn(errno_of(os.getxattr, path, name),
                              ("ENODATA", "EOPNOTSUPP")
                              if "acl" in name else ("ENODATA",),
                              (path, name))
        self.assert_requests()

    def test_the_root_has_none(self):
        m = self.mount()
        self.assertEqual(os.listxattr(m.path), [])


if __name__ == "__main__":
    unittest.main()
