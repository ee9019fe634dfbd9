# SPDX-License-Identifier: Apache-2.0
"""A TCP relay that makes a near server far: latency and bandwidth.

    python3 tests/hub/relay.py --to HOST:PORT --rtt-ms 20 [--mbit 1000]

prints one JSON line {"port": P, "url": "http://127.0.0.1:P"} once it listens,
and relays until SIGTERM. Data takes half the round-trip time in each
direction. A connection costs one round trip more before its first byte, as
the handshake would. Bandwidth is that of one link: shared by all connections,
one budget per direction. Slow start and loss are not imitated.

In a program: `with Relay("127.0.0.1", port, rtt_ms=20) as relay: relay.url`
(it runs in a thread of its own).
"""

import argparse
import asyncio
import json
import signal
import socket
import sys
import threading

PIECE = 64 * 1024
# What may be under way in one direction of one connection.
WINDOW = 16 * 1024 * 1024


class Link:
    """One direction: when does what is sent now arrive?"""

    def __init__(self, delay, mbit):
        self.delay = delay
        self.rate = mbit * 1e6 / 8 if mbit else None
        self.free = 0.0

    def arrival(self, now, size):
        if self.rate is None:
            return now + self.delay
        self.free = max(now, self.free) + size / self.rate
        return self.free + self.delay


class Pipe:
    """One direction of one connection, in order, with its delay."""

    def __init__(self, link, reader, writer, not_before):
        self.link = link
        self.reader = reader
        self.writer = writer
        self.not_before = not_before
        self.queue = asyncio.Queue()
        self.under_way = 0
        self.room = asyncio.Event()

    async def read(self):
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            try:
                data = await self.reader.read(PIECE)
            except OSError:
                data = b""
            now = max(loop.time(), self.not_before)
            self.queue.put_nowait((self.link.arrival(now, len(data)), data))
            self.under_way += len(data)
            while self.under_way > WINDOW:
                self.room.clear()
                await self.room.wait()

    async def write(self):
        loop = asyncio.get_running_loop()
        while True:
            when, data = await self.queue.get()
            if when > loop.time():
                await asyncio.sleep(when - loop.time())
            self.under_way -= len(data)
            self.room.set()
            if not data:
                self.writer.write_eof()
                return
            self.writer.write(data)
            await self.writer.drain()


class Forwarder:
    """All connections of one relay, in one event loop."""

    def __init__(self, host, port, rtt_ms, mbit):
        self.target = (host, port)
        self.rtt = rtt_ms / 1000
        self.up = Link(self.rtt / 2, mbit)
        self.down = Link(self.rtt / 2, mbit)
        self._tasks = set()

    async def start(self, port):
        server = await asyncio.start_server(
            self.accepted, "127.0.0.1", port, backlog=512)
        return server, server.sockets[0].getsockname()[1]

    def accepted(self, reader, writer):
        task = asyncio.ensure_future(self.relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def relay(self, reader, writer):
        born = asyncio.get_running_loop().time()
        try:
            far_reader, far_writer = await asyncio.open_connection(
                *self.target)
        except OSError:
            writer.transport.abort()
            return
        for w in (writer, far_writer):
            w.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = Pipe(self.up, reader, far_writer, born + self.rtt)
        down = Pipe(self.down, far_reader, writer, born)
        tasks = [asyncio.ensure_future(work) for work in (
            up.read(), up.write(), down.read(), down.write())]
        clean = False
        try:
            # A side that cannot be written to any more ends both.
            done, pending = await asyncio.wait(
                tasks, return_when=asyncio.FIRST_EXCEPTION)
            clean = not pending and all(t.exception() is None for t in done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for w in (writer, far_writer):
                if clean:
                    w.close()
                else:
                    w.transport.abort()

    async def stop(self):
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Relay:
    """A relay in a thread of this process."""

    def __init__(self, host, port, rtt_ms=0, mbit=None, listen_port=0):
        self._forwarder = Forwarder(host, port, rtt_ms, mbit)
        self._ready = threading.Event()
        self._error = None
        self._loop = asyncio.new_event_loop()
        self._stop = None
        self.port = listen_port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        self.url = "http://127.0.0.1:%d" % self.port

    def _run(self):
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self):
        self._stop = asyncio.Event()
        server, self.port = await self._forwarder.start(self.port)
        self._ready.set()
        await self._stop.wait()
        server.close()
        await self._forwarder.stop()

    def close(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def main(argv):
    parser = argparse.ArgumentParser(description="relay TCP with latency")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--rtt-ms", type=float, default=0)
    parser.add_argument("--mbit", type=float)
    parser.add_argument("--port", type=int, default=0)
    opts = parser.parse_args(argv)
    host, colon, port = opts.to.rpartition(":")
    if not colon or not port.isdigit():
        parser.error("--to: '%s' is not HOST:PORT" % opts.to)
    # Blocked before the first thread starts, so that all threads inherit it.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with Relay(host, int(port), opts.rtt_ms, opts.mbit, opts.port) as relay:
        print(json.dumps({"port": relay.port, "url": relay.url}), flush=True)
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
