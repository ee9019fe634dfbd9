# SPDX-License-Identifier: Apache-2.0
"""A front of the stand-in Hub that speaks TLS, and HTTP/2 where it is let.

    ca = Authority(folder)                     # ca.file is what to believe
    with Front(folder, ca, port) as front:     # of http://127.0.0.1:<port>
        front.url                              # https://127.0.0.1:<its own>
        front.lines()                          # [("h2", 51234, "GET /x …"), …]
        front.connections()                    # how many it was asked over

nghttpx does the work. `alpn` says what it offers; "http/1.1" alone is a server
that knows no HTTP/2.
"""

import os
import signal
import socket
import subprocess
import time

FORMAT = "$alpn $remote_port $request"
DEADLINE = 20


class Authority:
    """A private one, and the certificate of this machine in one file."""

    def __init__(self, folder):
        self.file = os.path.join(folder, "front.pem")
        self.key = os.path.join(folder, "front.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=The authority of a test", "-addext",
             "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-keyout", self.key, "-out", self.file],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Front:
    def __init__(self, folder, authority, port, alpn="h2,http/1.1",
                 host="127.0.0.1", options=()):
        self.port = free_port()
        self.url = "https://%s:%d" % (host, self.port)
        self.log = os.path.join(folder, "front-%d.log" % self.port)
        self.said = os.path.join(folder, "front-%d.err" % self.port)
        self._command = [
            "nghttpx", "--conf=/dev/null", "--workers=1",
            "--frontend=127.0.0.1,%d" % self.port,
            "--backend=127.0.0.1,%d" % port, "--npn-list=" + alpn,
            "--accesslog-file=" + self.log,
            "--accesslog-format=" + FORMAT, "--errorlog-file=" + self.said,
            "--log-level=ERROR", *options, authority.key, authority.file]
        self._process = None
        self._left = []
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def start(self):
        """Also once more, after it was ended."""
        end = time.monotonic() + DEADLINE
        while self._listens() and time.monotonic() < end:
            time.sleep(0.01)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("nghttpx does not serve")
            time.sleep(0.01)

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def leave(self):
        """With GOAWAY: what is under way is answered, nothing new is."""
        self._process.send_signal(signal.SIGQUIT)
        self._left.append(self._process)

    def kill(self):
        """All of it, in the middle of whatever it does."""
        for pid in self._workers():
            os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def _workers(self):
        path = "/proc/%d/task/%d/children" % ((self._process.pid,) * 2)
        with open(path, encoding="ascii") as f:
            return [int(pid) for pid in f.read().split()]

    def close(self):
        for process in [*self._left, self._process]:
            if process.poll() is None:
                process.terminate()
                process.wait()

    def lines(self):
        """(protocol, the client's port, request) of each that was answered."""
        out = []
        with open(self.log, encoding="utf-8") as f:
            for line in f.read().splitlines():
                alpn, port, request = line.split(" ", 2)
                out.append((alpn, int(port), request))
        return out

    def connections(self):
        return len({port for _, port, _ in self.lines()})
