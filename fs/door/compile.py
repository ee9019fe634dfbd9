# SPDX-License-Identifier: Apache-2.0
"""Makes the bytecode of builds without a mount, for `kernelfs fetch --compile`.

    <python> -I [-O | -OO] -c <this text>        in the folder /

Standard input is one JSON object:

    {"door": {"first.py": "<text>", "core.py": "<text>", ...},
     "modules": [{"key": "<owner>/<repo>@<40 hex>/build/<variant>/x/y.py",
                  "path": "/absolute/path/of/the/cached/blob"}, ...]}

"door" has every file of door_file_at() as it is served; "modules" every .py of
the builds. What an import through a mount would keep then lies in the store of
the user who runs this, below XDG_CACHE_HOME or HOME/.cache, for this Python and
its -O, made by the same functions: the modules and the pieces of the door.
PYTHONDONTWRITEBYTECODE does not matter: bytecode is what was asked for.

Exit 0: standard output is one line of JSON,

    {"folder": "<the store>", "python": "3.11.7", "kept": 3, "known": 27,
     "failed": [{"key": "...", "reason": "invalid syntax (line 3)"}]}

where kept were compiled now, known had been kept before, and failed were not:
a source for another Python, which an import would not compile either, or a
blob that cannot be read. Exit 1: nothing can be kept; standard error is one
line that says why, and so it is when the disk is full after some.
"""

import io
import json
import os
import sys

DOOR = "/.kernelfs/door/"


def quit(why):
    sys.stderr.write("%s\n" % why)
    sys.exit(1)


def open_door(texts):
    """The door's module, with TEXTS where a mount would be."""
    door = type(sys)("_kernelfs_1")
    door.__file__ = DOOR + "first.py"
    door.open = lambda path, *how: io.BytesIO(
        texts[os.path.basename(path)].encode()
    )
    sys.modules["_kernelfs_1"] = door
    code = compile(texts["first.py"], door.__file__, "exec", dont_inherit=True)
    exec(code, door.__dict__)
    return door


def open_store(door, keep):
    keep.make_store()
    if not door.store:
        quit(
            "no folder for bytecode: neither XDG_CACHE_HOME nor HOME names one "
            "in which kernelfs/bytecode is yours, may be made, and is writable "
            "by nobody else"
        )


def keep_pieces(door, keep, texts):
    del door.fresh[:]
    for file in sorted(texts):
        name = file.rpartition(".")[0]
        if name not in ("first", "compile"):
            door.piece(name)
    keep.keep_pieces()


def reason_of(error):
    if isinstance(error, SyntaxError) and error.lineno:
        return "%s (line %d)" % (error.msg, error.lineno)
    return getattr(error, "strerror", None) or str(error)


def make(door, keep, module, folders):
    """Keep one module; give what became of it."""
    key, blob = module["key"], module["path"]

    class Loader(door.Loader):
        def get_data(self, path):
            with open(blob, "rb") as file:
                return file.read()

    folder, _, name = ("/" + key).rpartition("/")
    if folder not in folders:
        folders[folder] = door.kept_folder(folder, "")
    if not folders[folder]:
        raise OSError("'%s' is no path below a build" % key)
    loader = Loader(name, "/" + key, "%s/%sc" % (folders[folder], name))
    if door.recall(loader.kept, loader.path):
        return "known"
    keep.code_of(loader)
    return "kept"


def main():
    asked = json.load(sys.stdin)
    texts, said, folders = asked["door"], {"kept": 0, "known": 0}, {}
    door = open_door(texts)
    keep = door.load("keep")
    open_store(door, keep)
    keep_pieces(door, keep, texts)
    failed = []
    for module in asked["modules"]:
        try:
            said[make(door, keep, module, folders)] += 1
        except (OSError, SyntaxError, ValueError) as e:
            failed.append({"key": module["key"], "reason": reason_of(e)})
        if door.given_up:
            quit("'%s' cannot be written to, or its disk is full" % door.store)
    version = ".".join(map(str, sys.version_info[:3]))
    said.update(folder=door.store, python=version, failed=failed)
    print(json.dumps(said))


main()
