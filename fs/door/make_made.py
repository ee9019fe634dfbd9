# SPDX-License-Identifier: Apache-2.0
"""Compiles the pieces of the door that every process needs, for one Python.

    python -I make_made.py FOLDER PIECE.py...

writes FOLDER/<cache tag>.made: four bytes of magic and, marshalled, a dict of
the name of each piece and its code. Run when kernelfs is built, by each Python
that is there; a process of another one compiles the pieces itself.
"""

import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER


def code_of(path):
    with open(path, "rb") as file:
        return compile(file.read(), os.path.basename(path), "exec",
                       dont_inherit=True, optimize=0)


def main(folder, paths):
    made = {os.path.basename(path)[: -len(".py")]: code_of(path)
            for path in paths}
    name = os.path.join(folder, sys.implementation.cache_tag + ".made")
    with open(name, "wb") as file:
        file.write(MAGIC_NUMBER + marshal.dumps(made))


main(sys.argv[1], sys.argv[2:])
