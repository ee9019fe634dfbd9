# SPDX-License-Identifier: Apache-2.0
"""Stand-in Hubs, near and far, in processes of their own.

A Link is the relay of relay.c: one link for all the ports that it is given,
and the port of an echo in this process, through which its own figures are
checked (row_link.py). A FarHub is a Hub behind one.
"""

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import urllib.request

from timing import LIMIT_S, BedError

HERE = os.path.dirname(os.path.abspath(__file__))
HUB = os.path.join(os.path.dirname(HERE), "hub")


class Server:
    """A program that prints one JSON line when it listens."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.said = json.loads(self.process.stdout.readline() or b"{}")
        if not self.said:
            raise BedError("%s does not start" % command[0])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()


class Hub(Server):
    """tests/hub/hub.py, or another program that is used like it."""

    def __init__(self, root, *args, program=os.path.join(HUB, "hub.py")):
        super().__init__([sys.executable, "-B", program, "--root", root,
                          *args])
        self.url = self.own_url = self.said["url"]

    def ask(self, method, name, value=None):
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self.own_url + name, body,
                                         method=method)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=LIMIT_S) as answer:
            return json.loads(answer.read())

    def counts(self):
        return self.ask("GET", "/_control/counts")

    def reset(self):
        self.ask("POST", "/_control/reset", {})

    def set(self, **values):
        self.ask("POST", "/_control/set", values)

    def fault(self, **spec):
        return self.ask("POST", "/_control/fault", spec)["id"]

    def clear(self):
        self.ask("DELETE", "/_control/fault")

    def commit(self, repo, branch="v1"):
        refs = self.ask("GET", "/api/kernels/%s/refs" % repo)
        return next(b["targetCommit"] for b in refs["branches"]
                    if b["name"] == branch)


class Echo:
    """Gives back what it is sent; to `=N` it gives N bytes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.server.taken += 1
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                data = self.request.recv(4096)
                if not data:
                    return
                if data.startswith(b"="):
                    self.request.sendall(bytes(int(data[1:])))
                else:
                    self.request.sendall(data)

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64
        taken = 0

    def __init__(self):
        self.server = self.Threads(("127.0.0.1", 0), self.Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Link(Server):
    """One link of so many milliseconds and megabits a second, to these ports
    and to an echo."""

    def __init__(self, program, rtt_ms, mbit, ports):
        self.echo = Echo()
        self.rtt_ms, self.mbit = rtt_ms, mbit
        super().__init__(
            [program, "--rtt-ms", str(rtt_ms),
             *(["--mbit", str(mbit)] if mbit else []),
             *("%d:0" % port for port in (*ports, self.echo.port))])
        *self.ports, self.echo_port = self.said["ports"]

    def close(self):
        super().close()
        self.echo.close()


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class FarHub(Hub):
    """The same folder behind a link, both origins of it."""

    def __init__(self, root, program, rtt_ms, mbit=None):
        own, cdn = free_ports(2)
        self.link = Link(program, rtt_ms, mbit, (own, cdn))
        here, there = self.link.ports
        super().__init__(root, "--port", str(own), "--cdn-port", str(cdn),
                         "--cdn-public-url", "http://localhost:%d" % there)
        self.url = "http://127.0.0.1:%d" % here

    def close(self):
        super().close()
        self.link.close()
