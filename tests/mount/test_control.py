# SPDX-License-Identifier: Apache-2.0
"""What a mount says of itself: .kernelfs/."""

import json
import os
import re
import unittest

from mounted import (
    SPEC, MountCase, make_kernel, make_owner, wait_for)

NAMES = ["config", "door", "env", "log", "metrics", "owners", "status",
         "version"]


class TestControl(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", {SPEC: {
            "__init__.py": "X = 1\n"}})

    def test_what_there_is(self):
        m = self.mount()
        self.assertEqual(m.ls(".kernelfs"), NAMES)
        for name in NAMES:
            if name not in ("door", "owners"):
                self.assertEqual(m.control(name)[-1:], "\n", name)
        self.assertEqual(m.ls(".kernelfs/owners"), ["acme"])
        self.assertTrue(os.path.samefile(m.at(".kernelfs/owners/acme"),
                                         m.at("acme")))

    def test_status(self):
        m = self.mount()
        self.assertEqual(m.ls("acme/relu@v1/build"), [SPEC])
        self.assertEqual(m.json("status")["kernels"][0]["state"], "partial")
        self.assertEqual(m.text("acme/relu@v1/build", SPEC, "__init__.py"),
                         "X = 1\n")
        s = wait_for(lambda: [
            s for s in [m.json("status")]
            if s["kernels"][0]["state"] == "verified"],
            "the build")[0]
        for key in ("mountpoint", "pid", "version", "since", "sources",
                    "offline", "cache", "passthrough", "kernels", "requests",
                    "errors"):
            self.assertIn(key, s)
        self.assertEqual((s["mountpoint"], s["pid"]), (m.path, m.pid))
        (source,) = s["sources"]
        self.assertEqual(source["url"], self.hub.url)
        self.assertEqual(source["state"], "ok")
        self.assertIs(s["offline"], False)
        self.assertEqual(s["cache"]["path"], m.cache)
        self.assertGreater(s["cache"]["bytes"], 0)
        self.assertEqual([(k["repo"], k["revision"], k["commit"],
                           k["variant"]) for k in s["kernels"]],
                         [("acme/relu", "v1", self.commit("acme/relu"),
                           SPEC)])
        counts = self.hub.counts()["by_endpoint"]
        self.assertEqual(s["requests"]["refs"], counts["refs"])
        self.assertEqual(s["requests"]["trust"], counts["overview"])
        self.assertEqual(s["errors"], [])

    def test_status_of_a_hub_that_is_not_there(self):
        m = self.mount("--connect-timeout=1s", source="http://127.0.0.1:9")
        wait_for(lambda: m.json("status")["sources"][0]["state"] == "down",
                 "the first failure")

    def test_errors_are_told_in_the_status(self):
        m = self.mount()
        self.hub.fault("status", path="/refs", code=503,
                       headers={"Retry-After": "0"})
        self.refuses("EIO", os.listdir, m.at("acme/relu@v1"))
        errors = m.json("status")["errors"]
        self.assertTrue(errors)
        self.assertIn("acme/relu", json.dumps(errors))

    def test_env(self):
        m = self.mount()
        env = m.json("env")
        self.assertEqual(env["spec"], SPEC)
        for key in ("torch", "cxx11_abi", "backend", "backend_version", "cpu",
                    "os", "tvm_ffi", "python", "free_threaded", "glibc",
                    "gpus"):
            self.assertIn(key, env)
        self.assertEqual((env["torch"], env["cxx11_abi"], env["backend"],
                          env["cpu"], env["os"], env["gpus"]),
                         ("2.13", True, "cpu", "x86_64", "linux", []))

    def test_env_can_be_given_to_another_mount(self):
        m = self.mount()
        path = os.path.join(self.dir, "env.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(m.control("env"))
        again = self.mount(env=path)
        self.assertEqual(again.json("env"), m.json("env"))

    def test_metrics_are_lines_of_the_open_format(self):
        m = self.mount()
        os.listdir(m.at("acme/relu@v1/build"))
        text = m.control("metrics")
        names = set()
        for line in text.splitlines():
            if not line.startswith("#"):
                found = re.match(r"([a-z_]+)(\{[a-z]+=\"[^\"]*\"\})? \d+$",
                                 line)
                self.assertTrue(found, line)
                names.add(found.group(1))
        self.assertIn("kernelfs_requests_total", names)
        found = re.search(r'source_requests_total\{endpoint="refs"\} (\d+)',
                          text)
        self.assertEqual(int(found.group(1)), self.hub.counts()
                         ["by_endpoint"]["refs"])

    def test_the_log_is_in_the_mount_as_well(self):
        m = self.mount()
        self.hub.fault("status", path="/refs", code=503,
                       headers={"Retry-After": "0"})
        self.refuses("EIO", os.listdir, m.at("acme/relu@v1"))
        self.assertIn("acme/relu", m.control("log"))
        for line in m.control("log").splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:]{8}Z ")

    def test_the_config_can_be_used_again(self):
        m = self.mount("--trust=someone", "--connections=3")
        text = m.control("config")
        for line in ('env = "%s"' % SPEC, "connections = 3",
                     'trust = ["someone"]', 'import = ["acme"]'):
            self.assertIn(line + "\n", text)
        path = os.path.join(self.dir, "again.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        again = self.mount("--config=" + path, env=None, imports=(),
                           cache="other")
        same = [line for line in text.splitlines()
                if not line.startswith(("cache", "log"))]
        for line in same:
            self.assertIn(line, again.control("config").splitlines())
        self.assertEqual(again.ls(), m.ls())

    def test_version(self):
        m = self.mount()
        self.assertEqual(m.control("version").split()[0], "kernelfs")
        self.assertEqual(m.control("version").split()[1],
                         m.json("status")["version"])

    def test_reading_it_asks_nobody(self):
        m = self.mount()
        self.hub.reset()
        for name in NAMES:
            if name not in ("door", "owners"):
                m.control(name)
        self.assert_requests()

    def test_a_long_report_can_be_read_in_pieces(self):
        m = self.mount()
        for name in ("status", "config", "version", "env"):
            with open(m.at(".kernelfs", name), "rb", buffering=0) as f:
                parts = b"".join(iter(lambda: f.read(5), b""))
            if name == "status":
                json.loads(parts)
            else:
                self.assertEqual(parts.decode(), m.control(name))


if __name__ == "__main__":
    unittest.main()
