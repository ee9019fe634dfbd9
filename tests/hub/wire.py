# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on a socket: reading requests, writing responses.

By hand instead of http.server because tests and benchmarks wait for every
request of it. Bodies are never compressed. What is sent is counted before it
leaves, so that a client that has a byte finds it counted.
"""

import os
import select
import socket
import urllib.parse

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024
PIECE = 1 << 20

REASONS = {
    200: "OK", 206: "Partial Content", 301: "Moved Permanently",
    302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    409: "Conflict", 411: "Length Required", 413: "Content Too Large",
    416: "Range Not Satisfiable", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}


class ClientLeft(Exception):
    """The other side closed, or what it sends is not HTTP."""


class Request:
    """One request; headers with lower-case names."""

    def __init__(self, origin, method, target, headers, body):
        self.origin = origin
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.path, _, self.query = target.partition("?")

    @property
    def host(self):
        return self.headers.get("host", "")

    def args(self):
        return dict(urllib.parse.parse_qsl(self.query,
                                           keep_blank_values=True))

    def token(self):
        """The bearer token, "" for an unknown scheme, None for none."""
        value = self.headers.get("authorization")
        if value is None:
            return None
        scheme, _, token = value.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


class Slice:
    """A part of a blob as a body."""

    def __init__(self, blob, offset, size):
        self.blob = blob
        self.offset = offset
        self.size = size

    def read(self, offset, length):
        length = min(length, self.size - offset)
        return self.blob.read(self.offset + offset, length)


class Response:
    """Status, headers (a dict, names as sent) and body (bytes or Slice)."""

    def __init__(self, status, headers=None, body=b""):
        self.status = status
        self.headers = headers if headers is not None else {}
        self.body = body
        self.length = None

    def body_size(self):
        if isinstance(self.body, bytes):
            return len(self.body)
        return self.body.size

    def piece(self, offset, length):
        if isinstance(self.body, bytes):
            return self.body[offset:offset + length]
        return self.body.read(offset, length)

    def head(self):
        lines = ["HTTP/1.1 %d %s" % (self.status,
                                     REASONS.get(self.status, "Status"))]
        for name, value in self.headers.items():
            lines.append("%s: %s" % (name, value))
        if self.status not in (204, 304):
            length = self.length
            if length is None:
                length = self.body_size()
            lines.append("Content-Length: %d" % length)
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Connection:
    """One accepted socket."""

    def __init__(self, sock, origin):
        self.sock = sock
        self.origin = origin
        self._rest = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self, reset=False):
        if reset:
            # A linger time of zero makes close() send RST.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 b"\1\0\0\0\0\0\0\0")
        try:
            if not reset:
                self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise ClientLeft()
        self._rest += data

    def read_request(self):
        end = self._rest.find(b"\r\n\r\n")
        while end < 0:
            if len(self._rest) > MAX_HEAD:
                raise ClientLeft()
            self._more()
            end = self._rest.find(b"\r\n\r\n")
        head = self._rest[:end].decode("latin-1").split("\r\n")
        self._rest = self._rest[end + 4:]
        words = head[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise ClientLeft()
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if words[2] == "HTTP/1.0":
            headers.setdefault("connection", "close")
        return Request(self.origin, words[0], words[1], headers,
                       self._read_body(headers))

    def _read_body(self, headers):
        text = headers.get("content-length", "0")
        if not text.isdigit() or int(text) > MAX_BODY or \
                "transfer-encoding" in headers:
            raise ClientLeft()
        length = int(text)
        if length and headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        return body

    def wait(self, wake_fd, seconds=None):
        """Until wake_fd hangs up or the time is over; the client leaving
        ends it at once."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        poll.register(wake_fd, select.POLLIN)
        for fd, _ in poll.poll(None if seconds is None else seconds * 1000):
            if fd == self.sock.fileno():
                raise ClientLeft()

    def send(self, response, head_only, entry):
        """The whole response; entry counts the body's bytes."""
        entry.answered(response.status)
        head = response.head()
        size = 0 if head_only else response.body_size()
        entry.sent(size)
        if not size:
            self.sock.sendall(head)
        elif isinstance(response.body, bytes):
            self.sock.sendall(head + response.body)
        elif response.body.blob.data is not None:
            self.sock.sendall(head + response.piece(0, size))
        else:
            self._send_file(head, response.body, entry)

    def _send_file(self, head, body, entry):
        self.sock.sendall(head, socket.MSG_MORE)
        done = 0
        try:
            with open(body.blob.path, "rb") as f:
                while done < body.size:
                    done += os.sendfile(self.sock.fileno(), f.fileno(),
                                        body.offset + done,
                                        min(body.size - done, 8 * PIECE))
        finally:
            entry.sent(done - body.size)

    def send_part(self, response, offset, length, entry):
        """Body bytes from offset on, the head was sent before."""
        while length > 0:
            data = response.piece(offset, min(length, PIECE))
            entry.sent(len(data))
            self.sock.sendall(data)
            offset += len(data)
            length -= len(data)
