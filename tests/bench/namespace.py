# SPDX-License-Identifier: Apache-2.0
"""A mount namespace of the bench's own.

Nothing that is mounted here is seen by others, and all of it is gone when the
bench is, however it ends. In it, /dev/fuse is open to everybody, as udev makes
it, and fusermount3 lets everybody use allow_other: a daemon without any
privilege needs both.
"""

import os
import re
import shutil
import subprocess
import sys

from timing import Lacking

MARK = "KERNELFS_BENCH_NAMESPACE"
DEVICE = "/dev/fuse"
CONF = "/etc/fuse.conf"


def enter():
    """Start this program anew, inside; as another user than root and where
    that is refused it goes on outside."""
    if os.environ.get(MARK) or os.geteuid() or not shutil.which("unshare"):
        return
    private = ["unshare", "--mount", "--propagation", "slave"]
    if subprocess.run([*private, "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode == 0:
        os.environ[MARK] = "1"
        os.execvp("unshare", [*private, sys.executable, *sys.argv])


def _mount(*args):
    subprocess.run(["mount", *args], check=True, timeout=60)


class OpenToAll:
    """What a user without privilege needs to mount, in this namespace."""

    def __init__(self, folder):
        self.folder = folder
        self.mounted = []
        if os.geteuid() or not os.environ.get(MARK):
            raise Lacking("a daemon of another user needs root, and a mount "
                          "namespace of the bench's own")
        for tool in ("setpriv", "fusermount3"):
            if not shutil.which(tool):
                raise Lacking("'%s' is not installed" % tool)
        self._over(folder, "-t", "tmpfs", "tmpfs")
        device = os.path.join(folder, "fuse")
        os.mknod(device, 0o20666, os.stat(DEVICE).st_rdev)
        os.chmod(device, 0o666)
        self._over(DEVICE, "--bind", device)
        self._conf(os.path.join(folder, "fuse.conf"))

    def _over(self, at, *what):
        _mount(*what, at)
        self.mounted.append(at)

    def _conf(self, path):
        text = ""
        if os.path.exists(CONF):
            with open(CONF, encoding="utf-8") as f:
                text = f.read()
        if re.search(r"^user_allow_other", text, re.M):
            return
        if not os.path.exists(CONF):
            raise Lacking("'%s' is not there" % CONF)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text + "\nuser_allow_other\n")
        os.chmod(path, 0o644)
        self._over(CONF, "--bind", path)

    def close(self):
        for at in reversed(self.mounted):
            subprocess.run(["umount", "-l", at], check=False, timeout=60)
