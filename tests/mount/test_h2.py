# SPDX-License-Identifier: Apache-2.0
"""Many small files over one connection that carries many, or over many."""

import concurrent.futures
import socket
import threading
import unittest

from mounted import MountCase, lfs_bytes, make_kernel, make_owner, wait_for
from test_proxy import NONE

from front import Authority, Front

COUNT = 40
AT_ONCE = 30  # of them: as many as there are workers, about
VARIANT = "torch-universal"
AT = "acme/%s@v1/build/" + VARIANT


def text_of(i):
    return "NUMBER = %d\n" % i + "# %d\n" % i * 400


def bytes_of(i):
    return lfs_bytes(2000 + i)


class FrontCase(MountCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/small", "v1", {VARIANT: {
            "__init__.py": "", **{"m%02d.py" % i: text_of(i)
                                  for i in range(COUNT)}}})
        make_kernel(root, "acme/large", "v1", {VARIANT: {
            "__init__.py": "", **{"m%02d.so" % i: bytes_of(i)
                                  for i in range(COUNT)}}})

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.dir)

    def front(self, port, **how):
        front = Front(self.dir, self.authority, port, **how)
        self.addCleanup(front.close)
        return front

    def hub_front(self, **how):
        return self.front(int(self.hub.url.rpartition(":")[2]), **how)

    def cdn_front(self, **how):
        front = self.front(int(self.hub.cdn_url.rpartition(":")[2]),
                           host="localhost", **how)
        self.hub.set_cdn_public_url(front.url)
        return front

    def mount_of(self, front, *options):
        return self.mount(*options, source=front.url, environment={
            **NONE, "SSL_CERT_FILE": self.authority.file})

    def reads(self, m, kernel, name, expected):
        """A thread for each file; results that check themselves."""
        pool = concurrent.futures.ThreadPoolExecutor(COUNT)
        self.addCleanup(pool.shutdown)

        def read(i):
            with open(m.at(AT % kernel, name % i), "rb") as f:
                return f.read() == expected(i)
        return [pool.submit(read, i) for i in range(COUNT)]

    def small(self, m):
        return self.reads(m, "small", "m%02d.py",
                          lambda i: text_of(i).encode())

    def all_well(self, reads):
        for read in reads:
            self.assertTrue(read.result(60))


class TestMultiplexing(FrontCase):
    def test_many_files_share_one_connection(self):
        front = self.hub_front()
        gate = self.hub.fault("stall", path=r"/m\d\d\.py")
        m = self.mount_of(front)
        reads = self.small(m)
        # All of them under way, and none of them answered.
        wait_for(lambda: gate.waiting >= AT_ONCE, "requests at once")
        gate.release()
        self.all_well(reads)
        lines = front.lines()
        self.assertGreaterEqual(len(lines), COUNT)
        self.assertEqual({alpn for alpn, _, _ in lines}, {"h2"})
        self.assertEqual(front.connections(), 1)

    def test_at_another_origin_too(self):
        front = self.hub_front()
        cdn = self.cdn_front()
        gate = self.hub.fault("stall", origin="cdn")
        m = self.mount_of(front)
        reads = self.reads(m, "large", "m%02d.so", bytes_of)
        wait_for(lambda: gate.waiting >= AT_ONCE, "requests at once")
        gate.release()
        self.all_well(reads)
        self.assertEqual({alpn for alpn, _, _ in cdn.lines()}, {"h2"})
        self.assertEqual(len(cdn.lines()), COUNT)
        self.assertEqual(cdn.connections(), 1)

    def test_without_it_connections_are_parallel_and_kept(self):
        front = self.hub_front(alpn="http/1.1")
        gate = self.hub.fault("stall", path=r"/m\d\d\.py")
        m = self.mount_of(front)
        reads = self.small(m)
        wait_for(lambda: gate.waiting >= AT_ONCE, "requests at once")
        gate.release()
        self.all_well(reads)
        lines = front.lines()
        self.assertEqual({alpn for alpn, _, _ in lines}, {"http/1.1"})
        # Each file is two requests: a redirect, and what that leads to.
        self.assertGreaterEqual(len(lines), 2 * COUNT)
        self.assertGreaterEqual(front.connections(), AT_ONCE)
        self.assertLessEqual(front.connections(), 32)

    def test_few_streams_at_once_are_enough(self):
        front = self.hub_front(
            options=("--frontend-http2-max-concurrent-streams=4",))
        m = self.mount_of(front)
        self.all_well(self.small(m))


class Way:
    """Between the mount and PORT; it may lose what goes over it."""

    def __init__(self, port):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = "https://127.0.0.1:%d" % self._server.getsockname()[1]
        self._to, self._lost, self._ends = port, set(), []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other),
                                 daemon=True).start()

    def _carry(self, one, other):
        try:
            while True:
                data = one.recv(1 << 16)
                if data and one in self._lost:
                    continue
                if not data:
                    other.shutdown(socket.SHUT_WR)
                    return
                other.sendall(data)
        except OSError:
            pass

    def silence(self):
        """Of all connections that stand; new ones are carried."""
        self._lost.update(self._ends)

    def close(self):
        self._server.close()
        for end in self._ends:
            end.close()


class TestEnds(FrontCase):
    """What becomes of many streams when their connection ends."""

    def under_way(self, front):
        gate = self.hub.fault("stall", path=r"/m\d\d\.py", times=AT_ONCE)
        m = self.mount_of(front)
        reads = self.small(m)
        wait_for(lambda: gate.waiting >= AT_ONCE, "requests at once")
        return reads, gate

    def test_a_server_that_leaves_is_asked_again_elsewhere(self):
        front = self.hub_front()
        reads, gate = self.under_way(front)
        front.leave()
        front.start()
        gate.release()
        self.all_well(reads)

    def test_a_server_that_dies_is_asked_again(self):
        front = self.hub_front()
        reads, gate = self.under_way(front)
        front.kill()
        front.start()
        gate.release()
        self.all_well(reads)

    def test_a_connection_that_went_silent_is_not_asked_again(self):
        """As after a change of networks: it stands, and nothing comes."""
        front = self.hub_front()
        way = Way(front.port)
        self.addCleanup(way.close)
        m = self.mount_of(way, "-o", "stall_timeout=1s,deadline=20s")
        with open(m.at(AT % "small", "m00.py"), "rb") as f:
            f.read()
        way.silence()
        self.all_well(self.small(m))

    def test_streams_that_break_do_not_break_the_others(self):
        front = self.hub_front()
        self.hub.fault("cut", path=r"resolve-cache.*/m\d\d\.py", after=100,
                       reset=True, times=10)
        m = self.mount_of(front)
        self.all_well(self.small(m))


if __name__ == "__main__":
    unittest.main()
