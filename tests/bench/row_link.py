# SPDX-License-Identifier: Apache-2.0
"""Is the link what it is said to be? Looked at before anything uses it."""

import socket
import threading
import time

from bed import LIMIT_S, MBIT, RTT_MS
from table import Row, median, ms, part

GROUP = "The link itself"
SIZE = 25 * 1000 * 1000
STREAMS = 8


def connect(link):
    s = socket.create_connection(("127.0.0.1", link.echo_port), LIMIT_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def trip(s):
    start = time.perf_counter()
    s.sendall(b"?")
    if s.recv(16) != b"?":
        raise OSError("the echo is not one")
    return time.perf_counter() - start


def stream(link, size, ends):
    """When the first byte came and when the last, in ends."""
    with connect(link) as s:
        trip(s)
        s.sendall(b"=%d" % size)
        first, left = 0, size
        while left:
            data = s.recv(1 << 20)
            if not data:
                raise OSError("the stream ends early")
            first = first or time.perf_counter()
            left -= len(data)
        ends.append((first, time.perf_counter()))


def rate(link, streams):
    """Bits a second that all streams together get."""
    ends, threads = [], []
    for _ in range(streams):
        threads.append(threading.Thread(
            target=stream, args=(link, SIZE // streams, ends)))
        threads[-1].start()
    for thread in threads:
        thread.join(LIMIT_S)
    if len(ends) != streams:
        raise OSError("not all streams have ended")
    return 8 * SIZE / (max(e for _, e in ends) - min(f for f, _ in ends))


def trips(link, rounds):
    firsts, laters = [], []
    for _ in range(rounds):
        with connect(link) as s:
            firsts.append(trip(s))
            laters += [trip(s) for _ in range(3)]
    return firsts, laters


def near(value, wanted, share):
    return abs(value / wanted - 1) <= share


def trip_row(what, link, rounds):
    firsts, laters = trips(link, rounds)
    first, later = median(firsts) * 1000, median(laters) * 1000
    return Row(GROUP, what, "%.1f ms" % later, "", "",
               "%d ms, +-5 %%" % RTT_MS,
               near(later, RTT_MS, .05) and near(first, 2 * RTT_MS, .05),
               ["the first of a connection, with its handshake: %s" %
                ms(first / 1000)], {"first": firsts, "later": laters})


@part("round trip", "round trip of the link with a rate",
      "rate, one connection", "rate, %d connections together" % STREAMS)
def rows(bed):
    yield trip_row("round trip", bed.far().link, bed.rounds)
    link = bed.far(MBIT).link
    yield trip_row("round trip of the link with a rate", link, bed.rounds)
    for what, streams in (("rate, one connection", 1),
                          ("rate, %d connections together" % STREAMS,
                           STREAMS)):
        found = [rate(link, streams) / 1e6 for _ in range(5)]
        yield Row(GROUP, what, "%.0f Mbit/s" % median(found), "", "",
                  "%d, +-5 %%" % MBIT, near(median(found), MBIT, .05),
                  ["%.0f to %.0f" % (min(found), max(found))],
                  {"mbit": found})
