# SPDX-License-Identifier: Apache-2.0
"""A git server for the tests: git's own http-backend behind a small HTTP
server, and beside it a server for large files (LFS batch API).

    server = GitServer(root)             # <root>/<owner>/<repo>[.git]
    server.url, server.log, server.counts(), server.reset()
    server.large[oid] = content          # what the LFS server has

What it is asked is written down; `faults` change what it answers.
"""

import base64
import http.server
import json
import os
import re
import subprocess
import threading

BATCH = re.compile(r"^(.*)/info/lfs/objects/batch$|^/batch/objects/batch$")
KINDS = (("refs", re.compile(r"/info/refs$")),
         ("pack", re.compile(r"/git-upload-pack$")),
         ("lfs", re.compile(r"/objects/batch$")),
         ("file", re.compile(r"^/large/")))


def pkt(line):
    if isinstance(line, str):
        line = line.encode()
    return b"%04x%s" % (len(line) + 4, line)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            out = b""
            while True:
                size = int(self.rfile.readline().strip() or b"0", 16)
                out += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return out
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self._serve()

    def do_POST(self):
        self._serve()

    def _serve(self):
        server = self.server.owner
        path, _, query = self.path.partition("?")
        body = self._body()
        kind = server.note(self.command, path, dict(self.headers), body)
        fault = server.faults.get(kind)
        if fault is not None:
            made = fault(self, path, body)
            if made is not None:
                self._answer(*made[:2], **(made[2] if len(made) > 2 else {}))
                return
        if server.login and not self._knows(server.login):
            self._answer(401, b"who are you?",
                         WWW_Authenticate='Basic realm="git"')
        elif kind == "lfs":
            self._batch(server, body)
        elif kind == "file":
            self._large(server, path)
        elif kind in ("refs", "pack"):
            self._git(server, path, query, body)
        else:
            self._answer(404)

    def _knows(self, login):
        want = "Basic " + base64.b64encode(login.encode()).decode()
        return self.headers.get("Authorization") == want or \
            self.path.startswith("/large/")

    def _git(self, server, path, query, body):
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": server.root,
               "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "QUERY_STRING": query, "REQUEST_METHOD": self.command,
               "CONTENT_TYPE": self.headers.get("Content-Type") or "",
               "GIT_CONFIG_NOSYSTEM": "1", "HOME": server.root,
               "REMOTE_ADDR": "127.0.0.1", "GIT_CONFIG_COUNT": "1",
               "GIT_CONFIG_KEY_0": "safe.directory",
               "GIT_CONFIG_VALUE_0": "*"}
        done = subprocess.run(["git", "http-backend"], env=env, input=body,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        head, _, out = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200, {}
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            elif name:
                headers[name] = value
        self._answer(status, out, **headers)

    def _batch(self, server, body):
        out = []
        for o in json.loads(body)["objects"]:
            if o["oid"] in server.large:
                out.append(dict(o, authenticated=True, actions={"download": {
                    "href": server.href % o["oid"],
                    "header": {"X-Opens": "sesame"}}}))
            else:
                out.append(dict(o, error={"code": 404,
                                          "message": "no such object"}))
        self._answer(200, json.dumps(
            {"transfer": "basic", "objects": out}).encode(),
            Content_Type="application/vnd.git-lfs+json")

    def _large(self, server, path):
        content = server.large.get(path.rpartition("/")[2])
        if content is None or self.headers.get("X-Opens") != "sesame":
            self._answer(404 if content is None else 403)
            return
        self._answer(200, content)


class Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *args):
        pass  # who leaves in the middle is not our trouble


class GitServer:
    def __init__(self, root, login=None):
        self.root = root
        self.login = login
        self.large = {}
        self.faults = {}
        self.log = []
        self._lock = threading.Lock()
        self._http = Threads(("127.0.0.1", 0), Handler)
        self._http.owner = self
        self.url = "http://127.0.0.1:%d" % self._http.server_address[1]
        self.href = self.url + "/large/%s"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05},
            daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def note(self, method, path, headers, body):
        kind = next((k for k, at in KINDS if at.search(path)), "other")
        with self._lock:
            self.log.append({"method": method, "path": path, "kind": kind,
                             "headers": headers, "body": body})
        return kind

    def reset(self):
        with self._lock:
            self.log = []

    def counts(self):
        with self._lock:
            out = {}
            for line in self.log:
                out[line["kind"]] = out.get(line["kind"], 0) + 1
            return out

    def asked(self, kind):
        with self._lock:
            return [line for line in self.log if line["kind"] == kind]
