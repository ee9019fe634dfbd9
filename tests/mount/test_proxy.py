# SPDX-License-Identifier: Apache-2.0
"""A proxy on the way, and certificates of a private authority."""

import os
import select
import socket
import ssl
import subprocess
import threading
import unittest

from mounted import MountCase, errno_of, lfs_bytes, make_kernel, make_owner

BUILD = {"torch-universal": {"__init__.py": "X = 1\n",
                             "lib.so": lfs_bytes(200000)}}
SMALL = "acme/small@v1/build/torch-universal"
AT = "acme/relu@v1/build/torch-universal"


# What the machine's own environment may name.
NONE = dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
                      "CURL_CA_BUNDLE", "https_proxy", "HTTPS_PROXY",
                      "no_proxy", "NO_PROXY"), "")


def pump(one, two):
    """Bytes both ways, until a side has ended."""
    while True:
        ready, _, _ = select.select([one, two], [], [], 60)
        if not ready:
            return
        for side in ready:
            data = side.recv(65536)
            if not data:
                return
            (two if side is one else one).sendall(data)


class Listener:
    """A thread per connection, which serve() has."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(peer,),
                             daemon=True).start()

    def _one(self, peer):
        try:
            with peer:
                self.serve(peer)
        except OSError:
            pass

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class Proxy(Listener):
    """Forwards http://... and tunnels CONNECT, all to one address."""

    def __init__(self, to):
        self.to = to
        self.asked = []
        super().__init__()
        self.url = "http://127.0.0.1:%d" % self.port

    def serve(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            data = peer.recv(4096)
            if not data:
                return
            head += data
        first = head.split(b"\r\n")[0].decode()
        self.asked.append((first, head.decode("latin-1")))
        with socket.create_connection(self.to) as far:
            if first.startswith("CONNECT "):
                peer.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                far.sendall(self.rewritten(head))
            pump(peer, far)

    @staticmethod
    def rewritten(head):
        """As the server wants it: a path, and one request a connection."""
        line, _, rest = head.partition(b"\r\n")
        method, url, version = line.split(b" ")
        path = b"/" + url.split(b"/", 3)[3]
        return b" ".join([method, path, version]) + \
            b"\r\nConnection: close\r\n" + rest


class TLS(Listener):
    """A Hub behind TLS."""

    def __init__(self, port, certificate, key):
        self.to = ("127.0.0.1", port)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        super().__init__()
        self.url = "https://127.0.0.1:%d" % self.port

    def serve(self, peer):
        # Unbuffered both ways: what TLS has read ahead would be missed.
        with self.context.wrap_socket(peer, server_side=True) as near, \
                socket.create_connection(self.to) as far:
            back = threading.Thread(target=self.copy, args=(far, near),
                                    daemon=True)
            back.start()
            self.copy(near, far)
            back.join(60)

    @staticmethod
    def copy(one, two):
        try:
            while True:
                data = one.recv(65536)
                if not data:
                    break
                two.sendall(data)
            two.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Case(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/relu", "v1", BUILD)
        # The Hub sends who asks for a large file to plain http.
        make_kernel(root, "acme/small", "v1",
                    {"torch-universal": {"__init__.py": "X = 1\n"}})

    def port(self):
        return int(self.hub.url.rpartition(":")[2])

    def works(self, m):
        self.assertEqual(m.text(AT, "__init__.py"), "X = 1\n")
        with open(m.at(AT, "lib.so"), "rb") as f:
            self.assertEqual(f.read(), BUILD["torch-universal"]["lib.so"])


class TestProxy(Case):
    def proxy(self):
        proxy = Proxy(("127.0.0.1", self.port()))
        self.addCleanup(proxy.close)
        return proxy

    def test_http_goes_through_http_proxy(self):
        for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
            proxy = self.proxy()
            m = self.mount(environment={**NONE, name: proxy.url})
            self.assertEqual(m.text(AT, "__init__.py"), "X = 1\n")
            self.assertTrue(proxy.asked)
            for first, _ in proxy.asked:
                self.assertTrue(first.startswith("GET http://"), first)
            m.end()

    def test_no_proxy_names_what_goes_past_it(self):
        proxy = self.proxy()
        m = self.mount(environment={**NONE, "http_proxy": proxy.url,
                                    "no_proxy": "127.0.0.1,localhost"})
        self.works(m)
        self.assertEqual(proxy.asked, [])

    def test_a_dead_proxy_is_no_way_around_it(self):
        m = self.mount("--deadline=1s", environment={
            **NONE, "http_proxy": "http://127.0.0.1:9"})
        self.assertIn(errno_of(os.listdir, m.at("acme/relu@v1")),
                      ("EIO", "ETIMEDOUT"))
        self.assertEqual(self.hub.counts()["by_endpoint"], {})


class TestCertificates(Case):
    def setUp(self):
        super().setUp()
        self.ca = os.path.join(self.dir, "ca.pem")
        key = os.path.join(self.dir, "ca.key")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", "/CN=A private authority", "-addext",
                     "subjectAltName=IP:127.0.0.1,DNS:localhost",
                     "-keyout", key, "-out", self.ca)
        self.tls = TLS(self.port(), self.ca, key)
        self.addCleanup(self.tls.close)

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def test_an_unknown_authority_is_refused(self):
        m = self.mount("--deadline=2s", source=self.tls.url, imports=(),
                       environment=NONE)
        self.refuses("EIO", os.listdir, m.at("acme/relu@v1"))
        self.assertEqual(self.hub.counts()["by_endpoint"], {})
        self.assertIn("certificate", m.log())

    def test_a_bundle_that_is_named_is_believed(self):
        folder = os.path.join(self.dir, "certs")
        os.makedirs(folder)
        name = subprocess.run(
            ["openssl", "x509", "-hash", "-noout", "-in", self.ca],
            check=True, stdout=subprocess.PIPE).stdout.decode().strip()
        os.symlink(self.ca, os.path.join(folder, name + ".0"))
        for name, value in (("SSL_CERT_FILE", self.ca),
                            ("SSL_CERT_DIR", folder),
                            ("REQUESTS_CA_BUNDLE", self.ca),
                            ("REQUESTS_CA_BUNDLE", folder),
                            ("CURL_CA_BUNDLE", self.ca)):
            with self.subTest(name=name):
                m = self.mount(source=self.tls.url,
                               environment={**NONE, name: value})
                self.assertEqual(m.text(SMALL, "__init__.py"), "X = 1\n")
                m.end()

    def test_it_is_not_led_to_a_file_nor_into_the_clear(self):
        for url, says in (("file:///etc/passwd", "not an http or https URL"),
                          (self.hub.url + "/x", "from https to http")):
            self.hub.fault("redirect_to", path="__init__.py", url=url)
            m = self.mount(source=self.tls.url, environment={
                **NONE, "SSL_CERT_FILE": self.ca})
            self.refuses("EIO", m.text, SMALL, "__init__.py")
            self.assertIn(says, m.log())
            self.assertIn("__init__.py", m.control("log"))
            self.assertNotIn("/x", [line["path"] for line in
                                    self.hub.counts()["log"]])
            self.hub.faults.clear()
            m.end()

    def test_https_is_tunnelled_and_the_proxy_sees_nothing(self):
        self.hub.set(tokens=["hf_secretsecret"])
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
            proxy = Proxy(("127.0.0.1", self.tls.port))
            self.addCleanup(proxy.close)
            m = self.mount(source=self.tls.url, environment={
                **NONE, name: proxy.url, "SSL_CERT_FILE": self.ca,
                "HF_TOKEN": "hf_secretsecret"})
            self.assertEqual(m.text(SMALL, "__init__.py"), "X = 1\n")
            self.assertTrue(proxy.asked)
            for first, head in proxy.asked:
                self.assertEqual(first, "CONNECT 127.0.0.1:%d HTTP/1.1" %
                                 self.tls.port)
                self.assertNotIn("hf_secret", head)
            m.end()
        self.assertTrue(all(line["authorization"] for line in
                            self.hub.counts()["log"]
                            if line["origin"] == "hub"))


if __name__ == "__main__":
    unittest.main()
