# SPDX-License-Identifier: Apache-2.0
"""The listeners and what one connection does: read, count, fault, answer.

One thread per connection. The control interface (both origins, paths below
/_control/, never counted, never faulted):

    GET    /_control/counts      what counts.py says
    POST   /_control/reset       counts and quotas start anew
    POST   /_control/reload      folders are read again; {"repo": "a/b"}
                                 for one of them
    POST   /_control/set         settings, see api.py
    POST   /_control/fault       set a fault, see faults.py -> {"id": n}
    GET    /_control/fault       the faults with "hits" and "waiting"
    DELETE /_control/fault       clear all, releasing who waits
    DELETE /_control/fault/ID    clear one
"""

import json
import re
import socket
import sys
import threading
import traceback

from api import json_response
from counts import NoEntry
from wire import ClientLeft, Connection, Response

CONTROL = "/_control/"


class Control:
    """The control interface of one hub."""

    def __init__(self, hub):
        self.hub = hub

    def answer(self, request):
        try:
            name = "%s %s" % (request.method, request.path[len(CONTROL):])
            return self._answer(name, request)
        except (ValueError, TypeError, re.error) as error:
            return json_response({"error": str(error)}, 400)

    def _answer(self, name, request):
        hub = self.hub
        if name == "GET counts":
            return json_response(hub.counts())
        if name == "GET fault":
            return json_response(hub.faults.describe())
        if name == "DELETE fault":
            return json_response({"cleared": hub.faults.clear()})
        if name.startswith("DELETE fault/"):
            number = int(name.rpartition("/")[2])
            return json_response({"cleared": hub.faults.clear(number)})
        value = json.loads(request.body or b"{}")
        if name == "POST reset":
            hub.reset()
        elif name == "POST reload":
            hub.reload(value.get("repo"))
        elif name == "POST set":
            hub.set(**value)
        elif name == "POST fault":
            return json_response({"id": hub.faults.add(value).id})
        else:
            return json_response({"error": "no '%s' here" % name}, 404)
        return json_response({"ok": True})


class Server:
    """One origin: a listening socket, or two for both families."""

    def __init__(self, hub, origin, port, both_families=False):
        self.hub = hub
        self.origin = origin
        self._control = Control(hub)
        self._open = set()
        self._lock = threading.Lock()
        self._closing = False
        self._listeners = [self._listen(socket.AF_INET, "127.0.0.1", port)]
        self.port = self._listeners[0].getsockname()[1]
        if both_families:
            # 'localhost' may mean ::1 first; without IPv6 nobody tries it.
            try:
                self._listeners.append(
                    self._listen(socket.AF_INET6, "::1", self.port))
            except OSError:
                pass
        for listener in self._listeners:
            threading.Thread(target=self._accept, args=(listener,),
                             daemon=True).start()

    def _listen(self, family, host, port):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(1024)
        except OSError:
            sock.close()
            raise
        return sock

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                if self._closing:
                    return
                continue
            try:
                threading.Thread(target=self._serve, args=(sock,),
                                 daemon=True).start()
            except RuntimeError:
                sock.close()

    def _serve(self, sock):
        conn = Connection(sock, self.origin)
        with self._lock:
            if self._closing:
                sock.close()
                return
            self._open.add(conn)
        alive = True
        counted = False
        reset = False
        try:
            while alive:
                request = conn.read_request()
                if request.path.startswith(CONTROL):
                    conn.send(self._control.answer(request), False,
                              NoEntry())
                else:
                    if not counted:
                        self.hub.counter.connected(self.origin)
                        counted = True
                    alive, reset = self._one(conn, request)
                if request.headers.get("connection", "").lower() == "close":
                    alive = False
        except (ClientLeft, OSError):
            pass
        except Exception:  # a defect of the hub: say so, and hang up
            if not self._closing:
                traceback.print_exc(file=sys.stderr)
        finally:
            with self._lock:
                self._open.discard(conn)
            conn.close(reset)

    def _one(self, conn, request):
        """One counted request; (does the connection live, reset it)."""
        entry = self.hub.counter.start(request)
        try:
            delays, fault = self.hub.faults.match(request)
            for delay in delays:
                delay.before(conn)
            if fault is None:
                conn.send(self._answer(request), request.method == "HEAD",
                          entry)
                return True, False
            return self._faulty(conn, request, fault, entry)
        finally:
            self.hub.counter.finish(entry)

    def _faulty(self, conn, request, fault, entry):
        reset = bool(fault.spec.get("reset"))
        if not fault.before(conn):
            return False, reset
        response = fault.answer(request)
        if response is None:
            response = self._answer(request)
            fault.alter(response)
        return fault.send(conn, response, request.method == "HEAD",
                          entry), reset

    def _answer(self, request):
        try:
            return self.hub.api.answer(request)
        except Exception:  # a defect of the hub: visible on both sides
            traceback.print_exc(file=sys.stderr)
            return Response(500, {"X-Error-Message": "stand-in hub failed"})

    def close(self):
        with self._lock:
            self._closing = True
            conns = list(self._open)
        for listener in self._listeners:
            # shutdown() wakes the thread in accept(), close() does not.
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        for conn in conns:
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
