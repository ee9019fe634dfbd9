# SPDX-License-Identifier: Apache-2.0
"""Makes bytecode and keeps it in the user's store.

Part of the door, loaded when a module was not kept yet. Only one process
compiles it: who misses it takes the lock of its commit, looks again, compiles,
keeps, lets go. Nobody depends on that lock: who cannot have it goes on without
after some seconds, and a holder that dies frees it. What cannot be kept is
compiled by each process, silently, and after one failure none is tried again.
"""

import os
from importlib.util import source_hash
from marshal import dumps
from time import monotonic, sleep

import _kernelfs_1 as core

WAIT_S, WAIT_AGAIN_S = 5, 2
NAP_S, NAP_MAX_S = 0.0005, 0.01
patient = True  # until somebody has kept the lock for too long
NEW = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_WRONLY | os.O_NOFOLLOW
LOCK = os.O_CREAT | os.O_CLOEXEC | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK


# ---- the store -----------------------------------------------------------


def make_private(folder):
    """Make FOLDER for the user alone; whether it is. Not below a folder of
    somebody else: root with a user's HOME would lock that user out."""
    if os.stat(os.path.dirname(folder)).st_uid == os.geteuid():
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
    return core.private(folder)


def make_base():
    """$HOME/.cache, which a new user has not."""
    base = os.environ.get("XDG_CACHE_HOME")
    base = base or os.environ.get("HOME", "") + "/.cache"
    try:
        if base[0] == "/" and not os.path.isdir(base):
            make_private(base)
    except (OSError, ValueError):
        pass


def make_store():
    """Have the store, for this process too, where it may be made."""
    if os.geteuid() == os.getuid():
        make_base()
    if core.find_store(make_private):
        core.open_store()


def make_folder(folder):
    """Make FOLDER of the store and those above it."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if len(above) <= len(core.store):
            raise  # the store itself went away
        make_folder(above)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
    if not core.private(folder):
        raise PermissionError(folder)


# ---- keeping -------------------------------------------------------------


def write(fd, data):
    try:
        if os.write(fd, data) != len(data):
            raise OSError("the disk is full")
    finally:
        os.close(fd)


def keep(kept, code):
    """Put CODE into the file KEPT, whole or not at all; whether it is kept."""
    if core.given_up:
        return False
    folder, made = os.path.dirname(kept), None
    try:
        body = dumps(code)
        temporary = "%s/.%s" % (folder, os.urandom(8).hex())
        try:
            fd = os.open(temporary, NEW, 0o600)
        except FileNotFoundError:
            make_folder(folder)
            fd = os.open(temporary, NEW, 0o600)
        made = temporary
        write(fd, core.HEAD + source_hash(body) + body)
        os.replace(temporary, kept)
        made = None
        return True
    except (OSError, ValueError):
        core.given_up = True
    finally:  # of an interrupt, too
        try:
            if made:
                os.unlink(made)
        except OSError:
            pass
    return False


def keep_pieces():
    """Keep the pieces of the door that were compiled in this process."""
    while core.store:
        try:
            kept, code = core.fresh.pop()
        except IndexError:  # also when another thread took the last one
            return
        if core.usable(core.store + "/door"):
            keep(core.store + kept, code)


# ---- one process compiles ------------------------------------------------


def open_lock(kept):
    """The lock of the commit to which KEPT belongs, not held yet."""
    commit = kept[len(core.store) :].split("/")[1:3]
    folder = "/".join((core.store, *commit))
    try:
        return os.open(folder + "/.lock", LOCK, 0o600)
    except FileNotFoundError:
        make_folder(folder)
        return os.open(folder + "/.lock", LOCK, 0o600)


def wait(fd, kept, path, seconds):
    """Until the lock is ours or the code is kept: (whether ours, code)."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    nap, end = NAP_S, monotonic() + (seconds if patient else 0)
    while True:
        try:
            flock(fd, LOCK_EX | LOCK_NB)
            return True, core.recall(kept, path)
        except BlockingIOError:
            code = core.recall(kept, path)
        except OSError:  # a filesystem that has no locks
            return False, None
        if code is not None or monotonic() >= end:
            return False, code
        sleep(nap)
        nap = min(nap * 1.5, NAP_MAX_S)


def let_go(fd, held):
    """A child forked meanwhile may have the lock's file open: say it."""
    from fcntl import LOCK_UN, flock

    if held:
        flock(fd, LOCK_UN)
    os.close(fd)


def compile_once(loader, fd):
    global patient
    path, kept = loader.path, loader.kept
    held = False
    try:
        held, code = wait(fd, kept, path, WAIT_S)
        source = None
        if code is None and not held:
            # The holder may be waiting for the source to be downloaded; then
            # this waits as long, and finds the code kept.
            source = loader.get_data(path)
            held, code = wait(fd, kept, path, WAIT_AGAIN_S)
            patient = held or code is not None
        if code is None:
            source = loader.get_data(path) if source is None else source
            code = loader.source_to_code(source, path)
            keep(kept, code)
        return code
    finally:
        let_go(fd, held)


def code_of(loader):
    """The code of LOADER's module, kept by now if that is possible; None: the
    caller compiles."""
    if core.given_up:
        return None
    try:
        fd = open_lock(loader.kept)
    except OSError:
        core.given_up = True
        return None
    return compile_once(loader, fd)
