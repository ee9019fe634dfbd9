# SPDX-License-Identifier: Apache-2.0
"""Scripted faults: which request meets which misfortune.

A fault is an object (keywords of Hub.fault(), or JSON by POST /_control/fault)
with these keys to say whom it meets:

    method   regular expression for the whole method, default any
    path     regular expression, searched in the target as sent (path and
             query) and in its percent-decoded form, default any
    origin   "hub" or "cdn", default both
    skip     let the first n matching requests pass, default 0
    times    meet n requests, then no more; default forever

and "kind":

    status         "code", "headers", "body" instead of the answer
    html           a login page, 200 text/html, instead of the answer
    redirect_loop  "code" (302): to the same address, for ever
    redirect_to    "url", "code" (302); {target} in it is the target as sent
    body           "body" (or "body_base64") instead of the body; the status
                   and other headers stay, unless "code" says otherwise
    headers        "headers": set these, and drop those with the value null
    wrong_bytes    one byte flipped, at "at" (default the middle)
    wrong_length   Content-Length says "delta" more (default 1; may be
                   negative); the connection is closed behind the true body
    cut            "after" body bytes the connection is closed; without
                   "after" it is closed without an answer. "reset": by RST
    drip           body at "bps" bytes per second
    stall          before the headers, or after "after" body bytes, until
                   release or the client leaves; then it goes on as usual
    delay_ms       nothing but the delay

"delay_ms" on any kind waits that long first. Of the matching faults the first
one set that is not used up applies; faults of the kind delay_ms apply besides
it. Faults never meet the control interface.
"""

import base64
import json
import os
import re
import threading
import urllib.parse

from wire import Response

KINDS = {
    "status": {"code", "headers", "body", "body_base64"},
    "html": set(),
    "redirect_loop": {"code"},
    "redirect_to": {"url", "code"},
    "body": {"body", "body_base64", "code"},
    "headers": {"headers"},
    "wrong_bytes": {"at"},
    "wrong_length": {"delta"},
    "cut": {"after", "reset"},
    "drip": {"bps"},
    "stall": {"after"},
    "delay_ms": set(),
}
COMMON = {"kind", "method", "path", "origin", "skip", "times", "delay_ms"}
NEEDED = {"status": "code", "redirect_to": "url", "drip": "bps",
          "headers": "headers", "delay_ms": "delay_ms"}
LOGIN = (b"<!doctype html>\n<html><head><title>Log in</title></head>"
         b"<body><form action=\"/login\"><input name=\"user\">"
         b"</form></body></html>\n")
PULSE = 0.02


class Fault:
    """One fault; hits and waiting are for tests to look at."""

    def __init__(self, number, spec):
        self.id = number
        self.kind = spec.get("kind")
        if self.kind not in KINDS:
            raise ValueError("no fault of the kind %r" % (self.kind,))
        strange = set(spec) - COMMON - KINDS[self.kind]
        if strange:
            raise ValueError("%s: unknown %s" % (self.kind, sorted(strange)))
        needed = NEEDED.get(self.kind)
        if needed and spec.get(needed) is None:
            raise ValueError("%s: '%s' is missing" % (self.kind, needed))
        self.spec = spec
        self._method = re.compile(spec.get("method") or ".*")
        self._path = re.compile(spec.get("path") or "")
        self.left = spec.get("times")
        self.skip = spec.get("skip") or 0
        self.hits = 0
        self.waiting = 0
        self._wake = os.pipe()
        self._released = False
        self._lock = threading.Lock()

    def __del__(self):
        if hasattr(self, "_wake"):
            self.release()
            os.close(self._wake[0])

    def take(self, request):
        """Does it meet this request? Uses it up by one if so."""
        if self.spec.get("origin") not in (None, request.origin):
            return False
        if not self._method.fullmatch(request.method):
            return False
        if not self._path.search(request.target) and not \
                self._path.search(urllib.parse.unquote(request.target)):
            return False
        with self._lock:
            if self.left == 0:
                return False
            if self.skip > 0:
                self.skip -= 1
                return False
            if self.left is not None:
                self.left -= 1
            self.hits += 1
            return True

    def release(self):
        """Let go on whoever waits here, now and later."""
        with self._lock:
            if not self._released:
                self._released = True
                os.close(self._wake[1])

    def describe(self):
        return {"id": self.id, "kind": self.kind, "hits": self.hits,
                "waiting": self.waiting, "left": self.left}

    def _stall(self, conn):
        with self._lock:
            self.waiting += 1
        try:
            conn.wait(self._wake[0])
        finally:
            with self._lock:
                self.waiting -= 1

    def before(self, conn):
        """What happens before the answer is even made; false: hang up."""
        if self.spec.get("delay_ms"):
            conn.wait(self._wake[0], self.spec["delay_ms"] / 1000)
        if self.kind == "stall" and self.spec.get("after") is None:
            self._stall(conn)
        return self.kind != "cut" or self.spec.get("after") is not None

    def answer(self, request):
        """The response to give instead of the true one, or None."""
        if self.kind == "status":
            return Response(self.spec["code"],
                            dict(self.spec.get("headers") or {}),
                            self._body())
        if self.kind == "html":
            return Response(200, {"Content-Type": "text/html"}, LOGIN)
        if self.kind == "redirect_loop":
            return Response(self.spec.get("code", 302),
                            {"Location": request.target})
        if self.kind == "redirect_to":
            url = self.spec["url"].replace("{target}", request.target)
            return Response(self.spec.get("code", 302), {"Location": url})
        return None

    def _body(self):
        if self.spec.get("body_base64") is not None:
            return base64.b64decode(self.spec["body_base64"])
        body = self.spec.get("body", b"")
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        return body.encode() if isinstance(body, str) else bytes(body)

    def alter(self, response):
        """Change the true response."""
        if self.kind == "body":
            response.body = self._body()
            response.status = self.spec.get("code", response.status)
        elif self.kind == "headers":
            self._alter_headers(response.headers)
        elif self.kind == "wrong_length":
            response.length = max(
                0, response.body_size() + self.spec.get("delta", 1))
        elif self.kind == "wrong_bytes" and response.body_size():
            size = response.body_size()
            data = bytearray(response.piece(0, size))
            data[min(self.spec.get("at", size // 2), size - 1)] ^= 1
            response.body = bytes(data)

    def _alter_headers(self, headers):
        for name, value in self.spec["headers"].items():
            for known in list(headers):
                if known.lower() == name.lower():
                    del headers[known]
            if value is not None:
                headers[name] = value

    def send(self, conn, response, head_only, entry):
        """Send it in this fault's manner; true if the connection lives."""
        if self.kind not in ("cut", "drip", "stall", "wrong_length") or \
                (self.kind == "stall" and self.spec.get("after") is None):
            conn.send(response, head_only, entry)
            return True
        entry.answered(response.status)
        conn.sock.sendall(response.head())
        size = 0 if head_only else response.body_size()
        first = size
        if self.spec.get("after") is not None:
            first = min(size, self.spec["after"])
        if self.kind == "drip":
            self._drip(conn, response, size, entry)
            return True
        conn.send_part(response, 0, first, entry)
        if self.kind == "stall":
            self._stall(conn)
            conn.send_part(response, first, size - first, entry)
        return self.kind == "stall"

    def _drip(self, conn, response, size, entry):
        step = max(1, int(self.spec["bps"] * PULSE))
        for offset in range(0, size, step):
            length = min(step, size - offset)
            conn.send_part(response, offset, length, entry)
            if not self._released:
                conn.wait(self._wake[0], length / self.spec["bps"])


class Faults:
    """All faults set at the moment, in the order they were set."""

    def __init__(self):
        self._faults = []
        self._serial = 0
        self._lock = threading.Lock()

    def add(self, spec):
        with self._lock:
            self._serial += 1
            fault = Fault(self._serial, spec)
            self._faults.append(fault)
            return fault

    def clear(self, number=None):
        """Remove one or all, and release who waits."""
        with self._lock:
            gone = [f for f in self._faults if number in (None, f.id)]
            self._faults = [f for f in self._faults if f not in gone]
        for fault in gone:
            fault.release()
        return len(gone)

    def describe(self):
        with self._lock:
            return [fault.describe() for fault in self._faults]

    def match(self, request):
        """The delays and the fault (or None) that meet this request."""
        with self._lock:
            if not self._faults:
                return (), None
            faults = list(self._faults)
        delays = [f for f in faults
                  if f.kind == "delay_ms" and f.take(request)]
        for fault in faults:
            if fault.kind != "delay_ms" and fault.take(request):
                return delays, fault
        return delays, None
