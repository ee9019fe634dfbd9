# SPDX-License-Identifier: Apache-2.0
"""New processes in which the costly imports are done already.

Forks is the near side: a Python that has imported what is named (torch takes
seconds) and forks a child for each statement to be timed, so that each starts
from the same state and nothing but the statement is in the figure. With `n`
children all are ready before any starts. Code that times parts of itself
leaves them in FIGURES; figures() gives those. This file, run as a program, is
the far side.
"""

import importlib
import json
import os
import select
import subprocess
import sys
import time
import traceback

LIMIT_S = 120


class ForkError(Exception):
    """A statement failed in its process."""


class Forks:
    def __init__(self, environment, *modules):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), *modules],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd="/")
        self.ready = False
        # Of the first process of the last answer, in seconds.
        self.cpu = None

    def run(self, code, path=(), before="", n=1):
        """How long each of n processes took for the code, and all of them
        from the first start to the last end: ([seconds], seconds)."""
        answer = self._ask(code, path, before, n)
        return answer["each"], answer["whole"]

    def figures(self, code, path=(), before=""):
        """The list FIGURES that the code has made in a new process."""
        return self._ask(code, path, before, 1)["figures"]

    def _ask(self, code, path, before, n):
        if not self.ready:
            self._line()
            self.ready = True
        job = {"code": code, "path": list(path), "before": before, "n": n}
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self._line())
        for error in answer["errors"]:
            raise ForkError(error)
        self.cpu = answer["cpu"]
        return answer

    def _line(self):
        if not select.select([self.process.stdout], [], [], LIMIT_S)[0]:
            self.process.kill()
            raise ForkError("no answer within %d s" % LIMIT_S)
        line = self.process.stdout.readline()
        if not line:
            raise ForkError("the process that forks has ended")
        return line

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def child(job, ready, go, result):
    """The timed process; never returns."""
    out = {"error": None, "start": 0, "end": 0}
    try:
        sys.path[:0] = job["path"]
        names = {}
        exec(job["before"], names)
        code = compile(job["code"], "<timed>", "exec")
        os.write(ready, b"r")
        os.read(go, 1)
        cpu = time.process_time()
        out["start"] = time.perf_counter()
        exec(code, names)
        out["end"] = time.perf_counter()
        out["cpu"] = time.process_time() - cpu
        out["figures"] = names.get("FIGURES", [])
    except BaseException:
        out["error"] = traceback.format_exc()
    os.write(result, json.dumps(out).encode())
    os._exit(0)


def start(job, ready, go):
    """One child; gives what its result can be read from."""
    from_child, result = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go[1])
        os.close(from_child)
        child(job, ready, go[0], result)
    os.close(result)
    return pid, from_child


def wait_ready(ready, children):
    """Until all are ready, or one has ended before."""
    count = 0
    results = [fd for _, fd in children]
    while count < len(children):
        found = select.select([ready, *results], [], [], LIMIT_S)[0]
        if ready not in found:
            return
        count += len(os.read(ready, 64))


def run(job):
    ready, go = os.pipe(), os.pipe()
    children = [start(job, ready[1], go) for _ in range(job["n"])]
    wait_ready(ready[0], children)
    began = time.perf_counter()
    os.close(go[1])
    results = []
    for pid, fd in children:
        with open(fd, "rb") as f:
            results.append(json.loads(f.read() or
                                      b'{"error": "ended by a signal"}'))
        os.waitpid(pid, 0)
    for fd in (*ready, go[0]):
        os.close(fd)
    errors = [r["error"] for r in results if r["error"]]
    if errors:
        return {"errors": errors[:1], "each": [], "whole": 0}
    return {"errors": [], "figures": results[0]["figures"],
            "cpu": results[0]["cpu"],
            "each": [r["end"] - r["start"] for r in results],
            "whole": max(r["end"] for r in results) - began}


def main(modules):
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in modules:
        importlib.import_module(name)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
