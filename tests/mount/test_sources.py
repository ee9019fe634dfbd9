# SPDX-License-Identifier: Apache-2.0
"""Several sources: the first that has the repository wins, and none is passed
over because it is silent."""

import os
import subprocess
import unittest

from mounted import (
    PROGRAM, Hub, MountCase, clean_environment, errno_of, make_kernel,
    make_owner, wait_for)


def build(text):
    return {"torch-universal": {"__init__.py": text}}


class TestSources(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/both", "v1", build("X = 'first'\n"))
        make_kernel(root, "acme/one", "v1", build("X = 'first'\n"))
        self.other = os.path.join(self.dir, "other")
        make_owner(self.other, "acme", trusted=False)
        make_kernel(self.other, "acme/both", "v1", build("X = 'second'\n"))
        make_kernel(self.other, "acme/two", "v1", build("X = 'second'\n"))

    def setUp(self):
        super().setUp()
        self.second = Hub(self.other)
        self.addCleanup(self.second.close)

    def mount(self, *options, **how):
        return super().mount("--source=" + self.second.url, *options, **how)

    def says(self, m, name):
        return m.text("acme/%s@v1/build/torch-universal/__init__.py" % name)

    def test_the_first_that_has_it_wins(self):
        m = self.mount("--trust=acme/two")
        self.assertEqual(self.says(m, "both"), "X = 'first'\n")
        self.assertEqual(self.says(m, "one"), "X = 'first'\n")
        self.assertEqual(self.says(m, "two"), "X = 'second'\n")
        both = [line["path"] for line in self.second.counts()["log"]
                if "/acme/both" in line["path"]]
        self.assertEqual(both, [])
        self.refuses("ENOENT", os.listdir, m.at("acme/none@v1"))

    def test_each_source_vouches_for_its_own(self):
        """The first trusts acme; that says nothing of the second's acme."""
        m = self.mount()
        self.assertEqual(self.says(m, "one"), "X = 'first'\n")
        self.refuses("EACCES", os.listdir,
                     m.at("acme/two@v1/build/torch-universal"))

    def test_an_owner_lists_the_kernels_of_all(self):
        m = self.mount()
        self.assertEqual([n for n in m.ls("acme") if "@" not in n],
                         ["both", "one", "two"])

    def test_a_silent_one_ends_the_search(self):
        self.hub.fault("status", path="/refs", code=500)
        m = self.mount("--trust=*", "--deadline=2s")
        for name in ("both", "two"):
            self.assertIn(
                self.error(m, name), ("EIO", "ETIMEDOUT"), name)
        self.assertNotIn("refs", self.second.counts()["by_endpoint"])

    def error(self, m, name):
        return errno_of(os.listdir, m.at("acme/%s@v1" % name))

    def test_a_home_is_remembered(self):
        m = self.mount("--trust=*", cache="c")
        self.assertEqual(self.says(m, "two"), "X = 'second'\n")
        commit = self.second.commit("acme/two", "v1")
        m.end()
        for hub in (self.hub, self.second):
            hub.reset()
        m = self.mount("--trust=*", cache="c", imports=("acme/two",))
        self.assertEqual(m.text("acme/two@%s/build/torch-universal" % commit,
                                "__init__.py"), "X = 'second'\n")
        self.assertEqual(self.hub.counts()["by_endpoint"], {})
        self.assertEqual(self.second.counts()["by_endpoint"], {})

    def test_a_home_that_is_noted_leads_past_a_silent_source(self):
        m = self.mount("--trust=*", cache="c")
        self.assertEqual(self.says(m, "two"), "X = 'second'\n")
        m.end()
        self.second.reset()
        self.hub.fault("cut", reset=True)
        m = self.mount("--trust=*", cache="c", imports=("acme/two",))
        self.assertEqual(self.says(m, "two"), "X = 'second'\n")
        self.assertEqual(self.second.counts()["by_endpoint"], {"refs": 1})

    def test_status_names_each(self):
        m = self.mount("--trust=*")
        self.assertEqual(self.says(m, "two"), "X = 'second'\n")
        self.assertEqual([(s["url"], s["state"])
                          for s in m.json("status")["sources"]],
                         [(self.hub.url, "ok"), (self.second.url, "ok")])

    def test_it_is_said_when_one_is_silent_and_when_it_is_back(self):
        m = self.mount("--trust=*", "--deadline=1s", imports=())
        self.hub.fault("cut", reset=True)
        self.assertIn(self.error(m, "one"), ("EIO", "ETIMEDOUT"))
        self.assertEqual(m.json("status")["sources"][0]["state"], "down")
        self.hub.faults.clear()
        wait_for(lambda: self.error(m, "both") is None, "the first source")
        self.assertEqual(m.json("status")["sources"][0]["state"], "ok")
        self.assertEqual(m.log().count("does not answer"), 1)
        self.assertEqual(m.log().count("answers again"), 1)

    def test_refuses_sources_that_are_none(self):
        os.makedirs(self.dir + "/empty")
        os.makedirs(self.dir + "/one/.git")
        for options, says in (
                (["--source=git+file://%s/one" % self.dir], "two above it"),
                (["--source=git+file://%s/none" % self.dir], "No such file"),
                (["--source=http://hub.example"], "https"),
                (["--source=ftp://hub.example"], "https://"),
                (["--source=https://h.example", "--mirror=git+https://h"],
                 "mirror"),
                (["--source=https://h.example", "--source=https://h.example"],
                 "named twice")):
            done = subprocess.run(
                [PROGRAM, *options, "-f", "--cache=" + self.dir + "/x",
                 self.dir + "/empty"], env=clean_environment(HOME=self.dir),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(says, done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
