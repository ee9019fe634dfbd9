# SPDX-License-Identifier: Apache-2.0
"""What everything here waits, starts and fails with."""

import os
import select
import subprocess
import time

LIMIT_S = 60


class BedError(Exception):
    """What is measured does not work."""


class Lacking(Exception):
    """It cannot be measured on this machine, and why."""


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


def done(command, **how):
    """Run a tool that is not measured; what it printed."""
    try:
        return subprocess.run(command, check=True, timeout=5 * LIMIT_S,
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **how).stdout
    except FileNotFoundError:
        raise Lacking("'%s' is not installed" % command[0])
    except subprocess.CalledProcessError as error:
        raise BedError("%s: exit %d: %s" % (
            " ".join(command), error.returncode, error.stderr.strip()))


def drop_caches():
    """What is on the disk is read from the disk again: pages, names and
    inodes of every filesystem are forgotten."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
            f.write("3\n")
    except OSError as error:
        raise Lacking("the page cache cannot be dropped: %s" % error)
