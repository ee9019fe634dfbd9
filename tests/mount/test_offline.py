# SPDX-License-Identifier: Apache-2.0
"""Offline: no request at all, and what is there works."""

import os
import unittest

from mounted import MountCase, errno_of, make_kernel, make_owner, wait_for

BUILD = {"torch-universal": {"__init__.py": "X = 1\n"}}
AT = "acme/relu@v1/build/torch-universal"


class TestOffline(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", BUILD)
        make_kernel(root, "acme/gelu", "v1", BUILD)

    def filled(self):
        """A cache that has relu."""
        m = self.mount(cache="c")
        self.assertEqual(m.text(AT, "__init__.py"), "X = 1\n")
        m.end()
        # Connections count too: none may be opened.
        self.hub.reset()

    def asks_nobody(self, m):
        self.assertEqual(self.hub.counts()["by_endpoint"], {})
        status = m.json("status")
        self.assertIs(status["offline"], True)
        self.assertEqual(status["sources"],
                         [dict(status["sources"][0], url=self.hub.url,
                               state="offline")])
        self.assertEqual({k: v for k, v in status["requests"].items() if v},
                         {})

    def missing(self, m):
        for path in ("acme/gelu@v1", "acme/gelu", "acme/none@v3",
                     "acme/gelu@%s/build" % ("0" * 40)):
            self.assertEqual(errno_of(os.listdir, m.at(path)),
                             "ENETUNREACH", path)

    def test_what_is_not_there_is_out_of_reach_at_once(self):
        m = self.mount("--offline")
        self.missing(m)
        self.asks_nobody(m)

    def test_a_pinned_and_cached_kernel_works(self):
        self.filled()
        m = self.mount("-o", "offline", cache="c")
        commit = self.commit("acme/relu")
        at = "acme/relu@%s/build/torch-universal" % commit
        self.assertEqual(m.text(at, "__init__.py"), "X = 1\n")
        self.missing(m)
        self.asks_nobody(m)

    def test_the_environment_says_it_too(self):
        for name, value in (("HF_HUB_OFFLINE", "1"),
                            ("HF_HUB_OFFLINE", "on"),
                            ("TRANSFORMERS_OFFLINE", "True"),
                            ("TRANSFORMERS_OFFLINE", "YES")):
            m = self.mount(environment={name: value})
            self.missing(m)
            self.asks_nobody(m)
            m.end()

    def test_other_values_do_not(self):
        m = self.mount(environment={"HF_HUB_OFFLINE": "0"})
        self.assertEqual(m.text(AT, "__init__.py"), "X = 1\n")
        self.assertIs(m.json("status")["offline"], False)

    def test_the_library_for_http_is_not_even_loaded(self):
        m = self.mount("--offline")
        self.missing(m)
        with open("/proc/%d/maps" % m.pid, encoding="utf-8") as f:
            self.assertFalse("libcurl" in f.read())

    def test_it_is_said_how_to_get_it(self):
        m = self.mount("--offline")
        self.missing(m)
        wait_for(lambda: "without offline" in m.log(), "the sentence")

    def test_a_folder_goes_on_working(self):
        for order in (0, 1):
            urls = [self.hub.url, "file://" + self.folder()]
            m = self.mount("--offline", "--source=" + urls[1 - order],
                           source=urls[order])
            self.assertEqual(
                m.text("acme/local/build/torch-universal/__init__.py"),
                "X = 2\n")
            self.assertEqual(self.hub.counts()["by_endpoint"], {})
            m.end()

    def folder(self):
        top = os.path.join(self.dir, "folder")
        build = os.path.join(top, "acme", "local", "build",
                             "torch-universal")
        if not os.path.isdir(build):
            os.makedirs(build)
            for name, text in (
                    ("__init__.py", "X = 2\n"),
                    ("metadata.json",
                     '{"name": "local", "id": "_local", "version": 1, '
                     '"license": "MIT", "python-depends": [], '
                     '"backend": {"type": "cpu"}}')):
                with open(os.path.join(build, name), "w",
                          encoding="utf-8") as f:
                    f.write(text)
        return top


if __name__ == "__main__":
    unittest.main()
