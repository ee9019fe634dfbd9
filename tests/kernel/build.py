# SPDX-License-Identifier: Apache-2.0
"""build.py OUT_ROOT

Lays out the repositories of the stand-in Hub below OUT_ROOT: the kernel,
compiled for the torch of the interpreter that runs this, beside builds that do
not fit it. Without torch there are the builds in pure Python alone.
"""

import json
import pathlib
import sys

sys.dont_write_bytecode = True

import extension  # noqa: E402  (nothing may be written beside the sources)
import layout  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def put(path, data):
    """Writes the file, unless it holds the very bytes."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def lay_out(repo, branches):
    """Makes the repository's folder hold these branches, and no more."""
    wanted = {repo / "branches" / branch / path: data
              for branch, tree in branches.items()
              for path, data in tree.items()}
    for path in sorted(repo.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink()
    for path, data in wanted.items():
        put(path, data)


def build(root):
    variant = backend = None
    if extension.torch is not None:
        variant, backend = extension.variant(), extension.backend()[0]
    kernel = layout.relu(HERE, variant, backend, extension.compile_library)

    community = root / "kernels-community"
    lay_out(community / "relu", kernel)
    lay_out(community / "activation", layout.activation(HERE))
    put(community / "owner.json",
        json.dumps({"trusted": True, "kind": "org"}).encode())
    stranger = root / "untrusted-owner"
    lay_out(stranger / "bad", layout.bad())
    put(stranger / "owner.json",
        json.dumps({"trusted": False, "kind": "user"}).encode())
    return variant


def main(argv):
    if len(argv) != 2:
        print("usage: build.py OUT_ROOT", file=sys.stderr)
        return 2
    try:
        variant = build(pathlib.Path(argv[1]))
    except extension.BuildError as e:
        print("build.py: %s" % e, file=sys.stderr)
        return 1
    if variant is None:
        print("no torch in this Python: nothing compiled, torch-cpu fits")
    else:
        print("compiled %s" % variant)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
