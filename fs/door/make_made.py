# SPDX-License-Identifier: Apache-2.0
"""Compiles what every process needs of the door, for one Python.

    python -I make_made.py FOLDER PIECE.py... stub.py

writes FOLDER/<cache tag>.made: four bytes of magic and, marshalled, a dict of
the name of each piece and its code; and FOLDER/__init__.<cache tag>.pyc, the
stub's own bytecode, which Python takes as it stands (PEP 552, unchecked). Run
when kernelfs is built, by each Python that is there; a process of another one
compiles them itself.
"""

import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER

LINES = 13  # of the stub before its text; as stub.py has it


def code_of(path):
    with open(path, "rb") as file:
        return compile(file.read(), os.path.basename(path), "exec",
                       dont_inherit=True, optimize=0)


def stub_of(path):
    """The stub's code, with the code of the text that it would compile."""

    def whole(code):
        consts = list(code.co_consts)
        for i, value in enumerate(consts):
            if isinstance(value, str) and value.startswith("\nimport sys\n"):
                text = "\n" * LINES + value
                consts[i] = compile(text, code.co_filename, "exec",
                                    dont_inherit=True, optimize=0)
            elif hasattr(value, "co_consts"):
                consts[i] = whole(value)
        return code.replace(co_consts=tuple(consts))

    return whole(code_of(path))


def main(folder, paths, stub):
    made = {os.path.basename(path)[: -len(".py")]: code_of(path)
            for path in paths}
    code = stub_of(stub)  # an old Python fails here, and leaves no half
    tag = sys.implementation.cache_tag
    with open(os.path.join(folder, tag + ".made"), "wb") as file:
        file.write(MAGIC_NUMBER + marshal.dumps(made))
    name = os.path.join(folder, "__init__.%s.pyc" % tag)
    with open(name, "wb") as file:
        file.write(MAGIC_NUMBER + bytes([1, 0, 0, 0]) + bytes(8))
        file.write(marshal.dumps(code))


main(sys.argv[1], sys.argv[2:-1], sys.argv[-1])
