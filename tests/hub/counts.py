# SPDX-License-Identifier: Apache-2.0
"""Who asked what, and how many bytes it cost.

Keys are "METHOD /path", the path as it was sent (still percent-encoded),
without its query; only tree requests keep the query, because their pages
differ in nothing else. Bytes are body bytes, those of redirects and errors
included. Requests of the control interface are not counted.
"""

import re
import threading

ENDPOINTS = [(name, re.compile(pattern + r"\Z")) for name, pattern in (
    ("overview", r"/api/organizations/[^/]*/overview"),
    ("list", r"/api/kernels"),
    ("harness", r"/api/agent-harnesses"),
    ("refs", r"/api/kernels/[^/]+/[^/]+/refs"),
    ("tree", r"/api/kernels/[^/]+/[^/]+/tree/.*"),
    ("paths-info", r"/api/kernels/[^/]+/[^/]+/paths-info/.*"),
    ("info", r"/api/kernels/[^/]+/[^/]+(/revision/.*)?"),
    ("resolve", r"/kernels/[^/]+/[^/]+/resolve/.*"),
    ("resolve-cache", r"/api/resolve-cache/.*"),
)]


def endpoint(request):
    if request.origin == "cdn":
        return "cdn"
    for name, pattern in ENDPOINTS:
        if pattern.match(request.path):
            return name
    return "other"


class Entry:
    """One request in the log."""

    def __init__(self, counts, request):
        self._counts = counts
        self.endpoint = endpoint(request)
        target = request.target if self.endpoint == "tree" else request.path
        self.key = "%s %s" % (request.method, target)
        self.line = {
            "method": request.method, "path": request.target,
            "endpoint": self.endpoint, "origin": request.origin,
            "host": request.host, "status": None, "bytes": 0,
            "authorization": "authorization" in request.headers,
            "range": request.headers.get("range"),
            "user_agent": request.headers.get("user-agent"),
        }

    def answered(self, status):
        self.line["status"] = status

    def sent(self, size):
        self._counts.add_bytes(self, size)


class NoEntry:
    """Where the requests of the control interface go."""

    def answered(self, status):
        pass

    def sent(self, size):
        pass


class Counts:
    def __init__(self):
        self._lock = threading.Lock()
        self.reset()

    def reset(self):
        """Forget everything; requests still running count no more."""
        with self._lock:
            self._requests = {}
            self._bytes = {}
            self._by_endpoint = {}
            self._bytes_by_endpoint = {}
            self._connections = {"hub": 0, "cdn": 0}
            self._log = []
            self._live = set()

    def start(self, request):
        entry = Entry(self, request)
        with self._lock:
            self._log.append(entry.line)
            self._live.add(entry)
            self._requests[entry.key] = self._requests.get(entry.key, 0) + 1
            self._by_endpoint[entry.endpoint] = \
                self._by_endpoint.get(entry.endpoint, 0) + 1
            self._bytes.setdefault(entry.key, 0)
            self._bytes_by_endpoint.setdefault(entry.endpoint, 0)
        return entry

    def finish(self, entry):
        with self._lock:
            self._live.discard(entry)

    def add_bytes(self, entry, size):
        with self._lock:
            if entry not in self._live:
                return
            entry.line["bytes"] += size
            self._bytes[entry.key] += size
            self._bytes_by_endpoint[entry.endpoint] += size

    def connected(self, origin):
        with self._lock:
            self._connections[origin] += 1

    def get(self):
        with self._lock:
            return {
                "requests": dict(self._requests),
                "bytes": dict(self._bytes),
                "by_endpoint": dict(self._by_endpoint),
                "bytes_by_endpoint": dict(self._bytes_by_endpoint),
                "connections": dict(self._connections),
                "running": len(self._live),
                "log": [dict(line) for line in self._log],
            }
