# SPDX-License-Identifier: Apache-2.0
"""What the tests of the mount share: a stand-in Hub, and a mount of it.

    class TestX(MountCase):
        def kernels(self, root):             # folders of the Hub
            make_kernel(root, "acme/relu", "v1", {...})

        def test_y(self):
            m = self.mount("--import=acme")  # options; a Hub by itself
            os.listdir(m.path); m.counts(); m.python("import relu")

Each mount is unmounted when its test ends, and then its daemon must have
ended with 0, its cache must hold nothing temporary, and no sanitizer may
have said a word. $KERNELFS names the program (default build/kernelfs).

The Hub runs in this process. What blocks on the mount while it holds the
interpreter's lock would block the Hub as well: page faults of a mapped file,
and loading a library. Such things belong into a process of their own (see
Mounted.python). open, read, stat, listdir and the like are fine.
"""

import collections
import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "hub"))

from hub import Hub  # noqa: E402
from make_repo import (  # noqa: E402,F401
    lfs_bytes, make_branch, make_kernel, make_metadata, make_owner,
    make_repo, make_tag)

PROGRAM = os.path.abspath(os.environ.get("KERNELFS") or
                          os.path.join(ROOT, "build", "kernelfs"))
MODE = os.environ.get("KERNELFS_MODE", "release")
SLOW = MODE in ("asan", "tsan")
DEADLINE = 60 if SLOW else 20
F_OFD_GETLK = 36  # of Linux; the module has no name for it
# tests/run has some programs run a second time, another way.
MORE_OPTIONS = os.environ.get("KERNELFS_TEST_OPTIONS", "").split()
SPEC = "torch213-cxx11-cpu-x86_64-linux"
COMPLAINTS = ("ERROR: AddressSanitizer", "runtime error",
              "WARNING: ThreadSanitizer", "LeakSanitizer")
SANITIZERS = ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")


def wait_for(condition, what="a condition", deadline=DEADLINE):
    """Until it is true; gives what it gave."""
    end = time.monotonic() + deadline
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("waited %d s in vain for %s" %
                                 (deadline, what))
        time.sleep(0.005)


def spec(backend="cpu", torch="213", cpu="x86_64", *extras):
    """An environment's spec: torch None is an environment without."""
    head = "notorch" if torch is None else "torch%s-cxx11" % torch
    return "+".join(["%s-%s-%s-linux" % (head, backend, cpu), *extras])


def clean_environment(**more):
    """This process's, without what would decide for the program."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("PYTHON", "KERNELFS_", "KERNELS_", "HF_",
                                  "HUGGING", "XDG_"))
           and key not in ("VIRTUAL_ENV", "CONDA_PREFIX", "http_proxy",
                           "HTTP_PROXY", "all_proxy", "ALL_PROXY")}
    env.update(PYTHONDONTWRITEBYTECODE="1")
    env.update(more)
    return env


def is_mounted(path):
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return any(line.split(" ")[1] == path for line in f)


def has_ended(pid):
    """A zombie that nobody waits for has ended as well."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def errno_of(call, *args, **named):
    """The name of the error that a call gives, or None."""
    try:
        call(*args, **named)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def read(*parts):
    with open(os.path.join(*parts), "rb") as f:
        return f.read()


def text(*parts):
    return read(*parts).decode()


def leftovers(cache):
    """Files below the cache that are temporary, or hidden."""
    out = []
    for base, _, names in os.walk(cache):
        for name in names:
            part = os.path.relpath(os.path.join(base, name), cache)
            hidden = any(p.startswith(".") for p in part.split(os.sep))
            if hidden or "partial" in part.split(os.sep) or \
                    name.endswith((".tmp", ".part", ".new")):
                out.append(part)
    return out


def is_fetching(cache):
    """Does a process hold the lock of a blob on its way?"""
    ask = struct.Struct("hhqqi4x")
    with open(os.path.join(cache, "fetching"), "r+b") as f:
        answer = fcntl.fcntl(f, F_OFD_GETLK, ask.pack(
            fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return ask.unpack(answer)[0] != fcntl.F_UNLCK


class Mounted:
    """One mount. Options are the program's own, as on its command line."""

    def __init__(self, hub, *options, folder, cache=None, env=SPEC,
                 background=False, environment=None, imports=("acme",),
                 source=None, log_level="debug"):
        self.hub = hub
        self.folder = folder
        self.cache = cache or os.path.join(folder, "cache")
        self.path = os.path.join(folder, "mount")
        self.log_file = os.path.join(folder, "log")
        self.output = os.path.join(folder, "output")
        self.environment = clean_environment(
            HOME=folder, **(environment or {}))
        for name in SANITIZERS:
            own = os.environ.get(name, "")
            self.environment[name] = ":".join(filter(None, [
                own, "log_path=" + os.path.join(folder, "sanitizer")]))
        self.options = ["--source=" + (source or hub.url),
                        "--cache=" + self.cache, "--log=" + self.log_file,
                        "--log-level=" + log_level]
        self.options += ["--env=" + env] if env else []
        self.options += ["--import=" + i for i in imports or ()]
        self.options += [*MORE_OPTIONS, *options]
        self.process = None
        self.background = background
        self.pid = None
        self.status = None
        self.allowed = {0}  # what the daemon may end with
        os.makedirs(self.path)

    # Beginning and end

    def start(self):
        command = [PROGRAM, *self.options]
        if not self.background:
            command.append("-f")
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                [*command, self.path], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True)
        if self.background:
            self._started_in_background()
        else:
            self.pid = self.process.pid
            wait_for(self._serves, "the mount")
        # A test that hangs on the mount is freed, and fails.
        self.watchdog = threading.Timer(6 * DEADLINE, self.kill)
        self.watchdog.daemon = True
        self.watchdog.start()
        return self

    def _started_in_background(self):
        status = self.process.wait(DEADLINE)
        if status != 0 or not is_mounted(self.path):
            raise AssertionError("no mount, exit %d: %s" %
                                 (status, self.said()))
        self.pid = self.json("status")["pid"]

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError("the program ended with %d: %s" % (
                self.process.returncode, self.said()))
        return is_mounted(self.path)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def has_ended(self):
        if not self.background:
            self.status = self.process.poll()
            return self.status is not None
        return has_ended(self.pid)

    def unmount(self):
        """The way a person does it; gives that program's result."""
        return subprocess.run(
            [PROGRAM, "umount", self.path], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=6 * DEADLINE)

    def _unmount_patiently(self):
        """Other programs of the machine look into every mount at times."""
        end = time.monotonic() + DEADLINE / 4
        done = self.unmount()
        while b"is busy" in done.stderr and time.monotonic() < end:
            time.sleep(0.02)
            done = self.unmount()
        return done

    def end(self):
        """Unmount, and complain of what should not be so afterwards."""
        trouble = []
        if self.pid is None:
            self._give_up()
            return
        if is_mounted(self.path) and not self.has_ended():
            done = self._unmount_patiently()
            if done.returncode != 0:
                trouble.append("umount: " + done.stderr.decode())
        if is_mounted(self.path):
            subprocess.run(["umount", "-l", self.path], check=False)
        trouble += self._daemon_trouble()
        self.watchdog.cancel()
        trouble += ["left in the cache: " + p for p in leftovers(self.cache)]
        trouble += self.complaints()
        if trouble:
            raise AssertionError("\n".join(trouble + [self.said()[-4000:]]))

    def _give_up(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if is_mounted(self.path):
            subprocess.run(["umount", "-l", self.path], check=False)

    def _daemon_trouble(self):
        try:
            wait_for(self.has_ended, "the daemon's end")
        except AssertionError as error:
            self.kill()
            wait_for(self.has_ended, "the killed daemon's end")
            return [str(error)]
        if self.status is not None and self.status not in self.allowed:
            return ["the daemon ended with %d" % self.status]
        return []

    def said(self):
        """Everything that the program wrote: its output and its log."""
        out = []
        for path in (self.output, self.log_file):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    out.append(f.read())
        return "".join(out)

    def complaints(self):
        """What sanitizers said, with the words around it."""
        out = []
        for path in [self.output, *glob.glob(self.folder + "/sanitizer*")]:
            with open(path, encoding="utf-8", errors="replace") as f:
                said = f.read()
            if any(c in said for c in COMPLAINTS):
                out.append(said[:8000])
        return out

    # Using it

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def ls(self, *parts):
        return sorted(os.listdir(self.at(*parts)))

    def text(self, *parts):
        return text(self.at(*parts))

    def link(self, *parts):
        return os.readlink(self.at(*parts))

    def control(self, name):
        return text(self.at(".kernelfs", name))

    def json(self, name):
        return json.loads(self.control(name))

    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as f:
            return f.read()

    def xattr(self, name, *parts):
        return os.getxattr(self.at(*parts), "user.kernelfs." + name).decode()

    def python(self, code, *args, path=None, python=None, **how):
        """Run CODE with PATH (default the mount) as PYTHONPATH."""
        paths = [path or self.path, *how.pop("more_paths", ())]
        env = clean_environment(PYTHONPATH=os.pathsep.join(paths),
                                HOME=self.folder, **how.pop("env", {}))
        return subprocess.run(
            [python or "/usr/bin/python3", "-c", code, *args], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=3 * DEADLINE, cwd="/",
            universal_newlines=True, **how)

    # What it cost

    def counts(self):
        """Requests per endpoint, as a dict; those still running included."""
        return dict(self.hub.counts()["by_endpoint"])

    def requests(self):
        """Every request as "METHOD target", in the order they came."""
        return ["%(method)s %(path)s" % line
                for line in self.hub.counts()["log"]]


class MountCase(unittest.TestCase):
    """A folder, a Hub with kernels(), mounts; all gone when the test ends."""

    longMessage = True

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="test-mount-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.root = os.path.join(self.dir, "hub")
        os.makedirs(self.root)
        self.kernels(self.root)
        self.hub = Hub(self.root)
        self.addCleanup(self.hub.close)
        self._mounts = 0
        self._caches = collections.defaultdict(
            lambda: os.path.join(self.dir, "cache%d" % len(self._caches)))

    def kernels(self, root):
        """Write what the Hub has; here, nothing."""

    def mount(self, *options, cache=None, hub=None, **how):
        """A mount with these options. Mounts that name the same `cache`
        share it; without a name each has its own."""
        self._mounts += 1
        folder = os.path.join(self.dir, "m%d" % self._mounts)
        os.makedirs(folder)
        mounted = Mounted(
            hub or self.hub, *options, folder=folder,
            cache=self._caches[cache or object()], **how)
        self.addCleanup(mounted.end)
        return mounted.start()

    def commit(self, repo, revision="v1"):
        return self.hub.commit(repo, revision)

    def refuses(self, name, call, *args, **named):
        self.assertEqual(errno_of(call, *args, **named), name,
                         "%s%r" % (getattr(call, "__name__", call), args))

    def assert_requests(self, **expected):
        """Exactly these requests since the last reset, per endpoint."""
        counts = self.hub.counts()
        self.assertEqual(counts["by_endpoint"],
                         {k.replace("_", "-"): v
                          for k, v in expected.items() if v},
                         "\n".join("%(method)s %(path)s %(status)s" % line
                                   for line in counts["log"]))


if __name__ == "__main__":
    sys.exit("mounted.py is used by the tests beside it")
