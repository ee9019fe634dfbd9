# SPDX-License-Identifier: Apache-2.0
"""metadata.json that is none, on a mount: its build is refused with the file
and the reason, and the other builds of the kernel do not suffer."""

import glob
import json
import os
import unittest

from mounted import ROOT, MountCase, make_kernel, make_metadata, make_owner

REFUSED = os.path.join(ROOT, "tests", "data", "must-refuse", "metadata")
GOOD, BAD = "torch-universal", "torch-cpu"  # the better one is the bad one


class TestMetadata(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        self.bad = {}
        for path in sorted(glob.glob(os.path.join(REFUSED, "*"))):
            with open(path, "rb") as f:
                self.bad[os.path.basename(path)] = f.read()
        assert len(self.bad) > 50
        self.bad["huge"] = b'{"name": "' + b"x" * (8 << 20) + b'"}'
        self.bad["another_file"] = self.with_digest({"__init__.py": "Y"})
        self.bad["out_of_its_folder"] = self.with_digest(
            {"__init__.py": "X = 1\n", "../../../etc/passwd": "x"})
        for name, content in self.bad.items():
            make_kernel(root, "acme/" + name.replace("_", "-"), "v1", {
                BAD: {"__init__.py": "X = 1\n", "metadata.json": content},
                GOOD: {"__init__.py": "X = 2\n"}})

    @staticmethod
    def with_digest(files):
        return json.dumps(make_metadata("bad", BAD, files)).encode()

    def test_each_is_refused_and_the_next_build_is_chosen(self):
        m = self.mount()
        for name in self.bad:
            with self.subTest(name):
                at = "acme/%s@v1" % name.replace("_", "-")
                decision = json.loads(m.text(at, ".kernelfs/decision.json"))
                said = {d["variant"]: d for d in decision["decisions"]}
                if name == "another_file":
                    # git's hash of a small file cannot be compared
                    self.assertEqual(decision["variant"], BAD)
                    continue
                self.assertEqual(decision["variant"], GOOD)
                self.assertFalse(said[BAD]["accepted"])
                self.assertRegex(said[BAD]["reason"],
                                 "metadata|incomplete upload")
                self.assertEqual(m.ls(at, "build"), [GOOD])
                self.assertEqual(m.text(at, "build", GOOD, "__init__.py"),
                                 "X = 2\n")
        self.assertNotIn("\x1b", m.log())
        self.assertFalse(any("etc/passwd" in r for r in m.requests()))


if __name__ == "__main__":
    unittest.main()
