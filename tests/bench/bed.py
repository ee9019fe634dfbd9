# SPDX-License-Identifier: Apache-2.0
"""What the rows are measured on: a folder of kernels, stand-in Hubs near and
far in processes of their own, mounts, and processes that are timed.

$KERNELFS names the program (default build/release/kernelfs). Nothing waits
without a limit, and everything is ended and unmounted by close().
"""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import fixture
from forks import Forks

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HUB = os.path.join(ROOT, "tests", "hub")
PROGRAM = os.path.abspath(os.environ.get("KERNELFS") or os.path.join(
    ROOT, "build", "release", "kernelfs"))
PREFIX = sys.prefix
LIMIT_S = 60
RTT_MS = 20


class BedError(Exception):
    """What is measured does not work."""


def clean_environment(home, **more):
    """This process's, without what would decide for the programs."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("PYTHON", "KERNELFS", "KERNELS_", "HF_",
                                  "HUGGING", "XDG_"))
           and key.lower() not in ("virtual_env", "conda_prefix",
                                   "http_proxy", "https_proxy", "all_proxy")}
    env.update(HOME=home, **more)
    return env


def wait_for(condition, what, limit=LIMIT_S):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise BedError("waited %d s in vain for %s" % (limit, what))
        time.sleep(0.002)


def spawned(command, env, cpu=None):
    """Seconds from the start of a program to its end. Its processor time,
    which a busy machine changes less, is appended to the list `cpu`."""
    with open(os.devnull, "r+b") as null:
        start = time.perf_counter()
        # No timeout of subprocess here: it polls, and that would be timed.
        # What hangs is ended from outside the timed stretch.
        pid = os.posix_spawn(command[0], command, env, file_actions=[
            (os.POSIX_SPAWN_DUP2, null.fileno(), fd) for fd in (0, 1, 2)])
        fd = os.pidfd_open(pid)
        done = select.select([fd], [], [], LIMIT_S)[0]
        took = time.perf_counter() - start
    if not done:
        os.kill(pid, 9)
    os.close(fd)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if cpu is not None:
        cpu.append(usage.ru_utime + usage.ru_stime)
    if not done or code != 0:
        raise BedError("%s: exit %d" % (" ".join(command), code))
    return took


class Server:
    """A Python program that prints one JSON line when it listens."""

    def __init__(self, script, *args):
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HUB, script), *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.said = json.loads(self.process.stdout.readline() or b"{}")
        if not self.said:
            raise BedError("%s does not start" % script)
        self.url = self.said["url"]

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
    def __init__(self, root, *args):
        super().__init__("hub.py", "--root", root, *args)
        self.own_url = self.url

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

    def fault(self, **spec):
        return self.ask("POST", "/_control/fault", spec)["id"]

    def clear(self):
        self.ask("DELETE", "/_control/fault")

    def commit(self, repo, branch="v1"):
        refs = self.ask("GET", "/api/kernels/%s/refs" % repo)
        return next(b["targetCommit"] for b in refs["branches"]
                    if b["name"] == branch)


class FarHub(Hub):
    """The same folder behind relays: each round trip takes RTT_MS."""

    def __init__(self, root):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            cdn_port = s.getsockname()[1]
        self.relays = [self._relay(cdn_port)]
        super().__init__(root, "--cdn-port", str(cdn_port),
                         "--cdn-public-url",
                         "http://localhost:%d" % self.relays[0].said["port"])
        self.relays.append(self._relay(self.url.rpartition(":")[2]))
        self.url = self.relays[1].url

    @staticmethod
    def _relay(port):
        return Server("relay.py", "--to", "127.0.0.1:%s" % port,
                      "--rtt-ms", str(RTT_MS))

    def close(self):
        super().close()
        for relay in self.relays:
            relay.close()


class Mount:
    """One mount, in the background as a person starts it."""

    def __init__(self, bed, hub, cache, *options, env=None):
        self.bed = bed
        self.folder = bed.new_folder("mount")
        self.path = os.path.join(self.folder, "m")
        self.log = os.path.join(self.folder, "log")
        os.mkdir(self.path)
        which = "--env=" + env if env else "--python=" + PREFIX
        self.command = [PROGRAM, "--source=" + hub.url, "--cache=" + cache,
                        "--log=" + self.log, which, *options, self.path]
        self.pid = None

    def start(self):
        self.ready_s = spawned(self.command, self.bed.environment)
        self.pid = self.status()["pid"]
        return self

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def text(self, *parts):
        with open(self.at(*parts), encoding="utf-8") as f:
            return f.read()

    def control(self, name):
        """In one read, so that it is of one moment."""
        fd = os.open(self.at(".kernelfs", name), os.O_RDONLY)
        try:
            return os.read(fd, 1 << 20).decode()
        finally:
            os.close(fd)

    def status(self):
        return json.loads(self.control("status"))

    def metrics(self):
        """Requests of the kernel per operation, and what waits."""
        found = re.findall(
            r'^kernelfs_(?:requests_total\{op="(\w+)"\}|(waiting)) (\d+)$',
            self.control("metrics"), re.M)
        return {op or waiting: int(n) for op, waiting, n in found}

    def asked(self, before):
        """Requests since `before`, without those of the second look."""
        after = self.metrics()
        again = self.metrics()
        return {op: 2 * after[op] - again[op] - before[op] for op in after
                if op != "waiting"}

    def rss_anon(self):
        with open("/proc/%d/status" % self.pid, encoding="utf-8") as f:
            return int(re.search(r"RssAnon:\s+(\d+) kB", f.read())[1]) * 1024

    def close(self):
        if not os.path.ismount(self.path):
            return
        try:
            spawned([PROGRAM, "umount", self.path], self.bed.environment)
        except BedError:
            subprocess.run(["umount", "-l", self.path], check=False,
                           timeout=LIMIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        self.bed.forget(self)


class Bed:
    def __init__(self, rounds):
        self.rounds = rounds
        self.folder = tempfile.mkdtemp(prefix="kernelfs-bench-")
        self._folders = 0
        self._open = []
        self._known = {}
        self.root = os.path.join(self.folder, "hub")
        self.home = self.new_folder("home")
        self.environment = clean_environment(self.home)

    def new_folder(self, name):
        self._folders += 1
        path = os.path.join(self.folder, "%s%d" % (name, self._folders))
        os.makedirs(path)
        return path

    def once(self, key, make):
        """Made at first use; closed at the end if it can be."""
        if key not in self._known:
            self._known[key] = made = make()
            if hasattr(made, "close"):
                self._open.append(made)
        return self._known[key]

    def kernels(self):
        return self.once("kernels", lambda: fixture.lay_out(self.root))

    def near(self):
        self.kernels()
        return self.once("near", lambda: Hub(self.root))

    def far(self):
        self.kernels()
        return self.once("far", lambda: FarHub(self.root))

    def other_hub(self, *args):
        """A Hub of one row's own, which may be killed."""
        self.kernels()
        return self.keep(Hub(self.root, *args))

    def keep(self, thing):
        self._open.append(thing)
        return thing

    def forget(self, thing):
        if thing in self._open:
            self._open.remove(thing)

    def mount(self, hub, *options, cache=None, **how):
        cache = cache or self.new_folder("cache")
        return self.keep(Mount(self, hub, cache, *options, **how)).start()

    def hf_home(self, hub):
        return os.path.join(self.folder, "hf-" + hub.url.rpartition(":")[2])

    def forks(self, hub):
        """New processes with torch and kernels imported, for this Hub."""
        def make():
            return Forks(clean_environment(
                self.home, HF_ENDPOINT=hub.url, HF_HOME=self.hf_home(hub),
                HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1",
                XDG_CACHE_HOME=os.path.join(self.home, "cache")),
                "torch", "kernels")
        return self.once(("forks", hub.url), make)

    def close(self):
        for thing in reversed(self._open):
            try:
                thing.close()
            except Exception as error:
                print("bench: %s" % error, file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)
