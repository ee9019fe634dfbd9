# SPDX-License-Identifier: Apache-2.0
"""What is told of a name that is not there, or could not be asked for."""

import os
import re
import unittest

from mounted import (
    SPEC, MountCase, errno_of, make_kernel, make_owner, wait_for)


def lookups(m):
    return int(re.search(r'op="lookup"} (\d+)', m.control("metrics"))[1])


class Absence(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: {"__init__.py": ""}},
                    files={"README.md": "# relu\n"})

    def test_a_refused_listing_is_not_believed_for_ever(self):
        m = self.mount()
        commit = m.at("acme", "relu@%s" % self.commit("acme/relu"))
        os.stat(commit)
        self.hub.fault("status", code=401, path=r"/tree/[0-9a-f]{40}(\?|$)")
        names = [commit + "/README.md%s" % ("x" * i) for i in range(20)]

        def asked():
            """Any of them? The control file's own name may be one."""
            before = lookups(m)
            for name in names:
                self.refuses("ENOENT", os.stat, name)
            return lookups(m) - before > 1
        # They are asked for until there is an answer, then for a second
        # no more, and then again.
        wait_for(lambda: not asked(), "an answer by the kernel")
        wait_for(asked, "a lookup of the names")

    def test_what_a_listing_lacks_is_asked_for_once(self):
        m = self.mount()
        commit = m.at("acme", "relu@%s" % self.commit("acme/relu"))
        self.assertEqual(os.listdir(commit + "/build"), [SPEC])
        names = [commit + "/none", commit + "/build/none",
                 commit + "/build/%s/none" % SPEC,
                 commit + "/.kernelfs/variants/none",
                 commit + "/python/none"]
        self.assertIn("README.md", os.listdir(commit))
        for name in names * 2:
            self.refuses("ENOENT", os.stat, name)
        before = lookups(m)
        for name in names * 5:
            self.refuses("ENOENT", os.stat, name)
        self.assertLess(lookups(m), before + len(names))

    def test_a_listed_kernel_that_failed_is_still_a_link(self):
        m = self.mount()
        self.hub.fault("status", code=503, path="/refs",
                       headers={"Retry-After": "0"})
        self.refuses("EIO", os.readlink, m.at("relu/build"))
        # What walks the owner's folder asks for nothing and meets no error.
        found = {e.name: e.stat(follow_symlinks=False)
                 for e in os.scandir(m.at("acme"))}
        self.assertEqual(found["relu"].st_size, 0)
        self.refuses("EIO", os.stat, m.at("acme/relu"))
        self.assertIsNone(errno_of(os.lstat, m.at("acme/relu")))


if __name__ == "__main__":
    unittest.main()
