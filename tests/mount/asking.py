# SPDX-License-Identifier: Apache-2.0
"""Who asks the mount and has to wait: threads, processes, and what they got."""

import os
import re
import subprocess
import threading
import time

from mounted import DEADLINE, clean_environment, errno_of, read, wait_for


class Asked:
    """A call on a thread of its own; it may block on the mount."""

    def __init__(self, call, *args):
        self.value = self.error = None
        self.took = None
        self._begun = time.monotonic()
        self._thread = threading.Thread(
            target=self._run, args=(call, args), daemon=True)
        self._thread.start()

    def _run(self, call, args):
        def kept():
            self.value = call(*args)
        try:
            self.error = errno_of(kept)
        finally:
            self.took = time.monotonic() - self._begun

    def waits(self):
        return self._thread.is_alive()

    def end(self, deadline=3 * DEADLINE):
        """Itself, once the call has returned."""
        self._thread.join(deadline)
        if self._thread.is_alive():
            raise AssertionError("a call hangs for %d s" % deadline)
        return self


def ask_read(*parts):
    return Asked(read, *parts)


class Reader:
    """A process that reads a file to its end: cat."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            ["cat", path], env=clean_environment(LC_ALL="C"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)

    def said(self, deadline=DEADLINE):
        return self.process.communicate(timeout=deadline)[1].decode()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()


def state_of(pid):
    """R, S, D, Z, ... or None for one that is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def processes_naming(word):
    """Pids of living processes that have a word in their command line."""
    out = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/cmdline" % name, "rb") as f:
                line = f.read()
        except OSError:
            continue
        if word.encode() in line and state_of(int(name)) not in (None, "Z"):
            out.append(int(name))
    return out


def log_lines(mounted, pattern, levels=("error", "warning")):
    """The lines of these levels that match."""
    level = re.compile(r" kernelfs: (%s): " % "|".join(levels))
    return [line for line in mounted.log().splitlines()
            if level.search(line) and re.search(pattern, line)]


def wait_for_hub(fault, count=1):
    wait_for(lambda: fault.waiting >= count,
             "%d requests that wait at the Hub" % count)


def wait_for_waiting(mounted, count):
    """Until that many requests of programs wait in the daemon."""
    wait_for(lambda: mounted.json("status")["waiting"] >= count,
             "%d waiting programs" % count)


def measured(what, seconds):
    """For who reads the output: tests assert far more generously."""
    print("measured: %s: %.1f ms" % (what, seconds * 1000), flush=True)
