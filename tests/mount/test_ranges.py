# SPDX-License-Identifier: Apache-2.0
"""A range of versions as a name: the highest tag that fits, as a link."""

import os
import stat
import unittest

from mounted import MountCase, make_kernel, make_owner, make_repo, make_tag


def universal(mark):
    return {"torch-universal": {"__init__.py": "MARK = %r\n" % mark}}


class TestRanges(MountCase):
    TAGS = ("0.0.1", "0.0.2", "0.0.10", "0.1.0", "1.0.0", "2.0.0rc1")

    def kernels(self, root):
        make_owner(root, "acme")
        for n in self.TAGS:
            make_kernel(root, "acme/relu", "b" + n, universal(n))
            make_tag(root, "acme/relu", "v" + n, "b" + n)
        make_kernel(root, "acme/branches", "v1", universal("branch"))
        make_repo(root, "acme/former", renamed_to="acme/relu")

    def leads_to(self, m, name, tag):
        commit = self.commit("acme/relu", "v" + tag)
        self.assertEqual(m.link("acme", name), "relu@" + commit)
        self.assertEqual(
            m.text("acme", name, "build/torch-universal/__init__.py"),
            "MARK = %r\n" % tag)

    def test_is_a_link_to_the_highest_that_fits(self):
        m = self.mount()
        for name, tag in (("relu@>=0.0.2,<0.1", "0.0.10"),
                          ("relu@<0.0.10", "0.0.2"),
                          ("relu@~=0.0.1", "0.0.10"),
                          ("relu@==0.*", "0.1.0"),
                          ("relu@!=1.0.0", "0.1.0"),
                          ("relu@>=0", "1.0.0"),
                          ("relu@>1", "2.0.0rc1"),
                          ("relu@===0.0.2", "0.0.2"),
                          ("relu@>= 0.0.2, <0.1", "0.0.10")):
            with self.subTest(name):
                self.assertTrue(stat.S_ISLNK(
                    os.lstat(m.at("acme", name)).st_mode))
                self.leads_to(m, name, tag)

    def test_all_of_them_cost_one_request_for_the_refs(self):
        m = self.mount()
        for name in ("relu@>=0.0.2,<0.1", "relu@~=0.0.1", "relu@>1", "relu",
                     "relu@v0.1.0"):
            os.readlink(m.at("acme", name))
        self.assert_requests(list=1, refs=1)

    def test_none_that_fits_is_no_such_name(self):
        m = self.mount()
        for name in ("relu@>3", "relu@<0.0.1", "branches@>=1", "absent@>1"):
            self.refuses("ENOENT", os.listdir, m.at("acme", name))

    def test_what_breaks_the_grammar_costs_no_request(self):
        m = self.mount()
        self.hub.reset()
        for name in ("relu@>=", "relu@>=x", "relu@~=1", "relu@>=1,,2",
                     "relu@==1.*.1", "relu@<1+local", "relu@>=1,<..%2F2"):
            self.refuses("ENOENT", os.lstat, m.at("acme", name))
        self.assert_requests()

    def test_a_former_name_leads_to_the_present_one(self):
        m = self.mount()
        self.leads_to(m, "former@>=0.0.2,<0.1", "0.0.10")

    def test_an_import_name_can_have_one(self):
        m = self.mount(imports=("acme/relu@>=0.0.2,<0.1",))
        done = m.python("import relu; print(relu.MARK)")
        self.assertEqual(done.stdout, "0.0.10\n", done.stderr)
        self.assertEqual(m.link("acme/relu"), "relu@v0.0.10")


if __name__ == "__main__":
    unittest.main()
