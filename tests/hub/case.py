# SPDX-License-Identifier: Apache-2.0
"""What the tests of the stand-in Hub share: a root, a hub, a client."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import make_repo  # noqa: E402
from hub import Hub  # noqa: E402

BIG = make_repo.lfs_bytes(700000, seed=1)
DEADLINE = 20


def wait_for(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.005)


class Case(unittest.TestCase):
    """A root folder with one owner and one kernel, and a hub on it."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="test-hub-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.root = os.path.join(self.dir, "root")
        make_repo.make_owner(self.root, "acme")
        make_repo.make_kernel(self.root, "acme/relu", "v1", {
            "torch-cpu": {"__init__.py": "from .layers import NAME\n",
                          "layers/__init__.py": "NAME = 'cpu'\n",
                          "data/table.so": BIG},
            "torch-cuda": {"__init__.py": "NAME = 'cuda'\n"},
        })
        self.hub = Hub(self.root)
        self.addCleanup(self.hub.close)
        self.commit = self.hub.commit("acme/relu", "v1")
        self.hub.reset()

    def client(self, code, **env):
        """The JSON that a client process prints."""
        base = {k: v for k, v in os.environ.items()
                if not k.startswith(("HF_", "KERNELS_", "HUGGING"))}
        base.update({"HF_ENDPOINT": self.hub.url, "HF_HUB_DISABLE_XET": "1",
                     "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                     "HF_HOME": os.path.join(self.dir, "home")}, **env)
        done = subprocess.run([sys.executable, "-c", code], env=base,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return json.loads(done.stdout.decode().splitlines()[-1])

    def connect(self, url=None):
        parts = urllib.parse.urlsplit(url or self.hub.url)
        conn = http.client.HTTPConnection(parts.hostname, parts.port,
                                          timeout=DEADLINE)
        self.addCleanup(conn.close)
        return conn

    def ask(self, target, method="GET", headers=None, body=None):
        """One request on a new connection; the response, body in .data."""
        url = target if "://" in target else self.hub.url + target
        parts = urllib.parse.urlsplit(url)
        conn = self.connect(url)
        conn.request(method, parts.path + ("?" + parts.query if parts.query
                                           else ""), body, headers or {})
        response = conn.getresponse()
        response.data = response.read()
        conn.close()
        return response

    def json(self, target, **more):
        return json.loads(self.ask(target, **more).data)

    def control(self, method, name, value=None):
        body = None if value is None else json.dumps(value)
        return self.json("/_control/" + name, method=method, body=body)

    def file(self, path="build/torch-cpu/__init__.py"):
        return "/kernels/acme/relu/resolve/%s/%s" % (self.commit, path)

    def cached(self, path="build/torch-cpu/__init__.py"):
        return self.ask(self.file(path)).getheader("Location")
