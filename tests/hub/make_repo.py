# SPDX-License-Identifier: Apache-2.0
"""Writes fixture repositories in the layout that repos.py reads.

    make_owner(root, "acme", trusted=True)
    make_kernel(root, "acme/relu", "v1",
                {"torch-cpu": {"__init__.py": b"X = 1\\n"}},
                main_files={"README.md": b"# relu\\n"})

fills in metadata.json with a correct sha256 digest for every build that has
none of its own. lfs_bytes() makes deterministic content that does not
compress. On the command line, from folders:

    make_repo.py ROOT acme/relu v1 [--trusted] [--main DIR] VARIANT=DIR...
"""

import argparse
import base64
import hashlib
import json
import os
import random
import shutil
import sys
import urllib.parse

BACKENDS = (("cuda", "cuda"), ("cu", "cuda"), ("rocm", "rocm"),
            ("xpu", "xpu"), ("cann", "cann"), ("metal", "metal"),
            ("neuron", "neuron"), ("tpu", "tpu"), ("cpu", "cpu"))


def to_bytes(content):
    return content.encode() if isinstance(content, str) else bytes(content)


def lfs_bytes(size, seed=0):
    return random.Random(seed).getrandbits(8 * size).to_bytes(
        size, "little") if size else b""


def backend_of(variant):
    """The backend type that metadata of a variant must name."""
    for part in variant.split("-")[1:]:
        for prefix, backend in BACKENDS:
            rest = part[len(prefix):]
            if part.startswith(prefix) and (not rest or rest.isdigit()):
                return backend
    return "cpu"


def digest(files):
    """The digest object over a build's files, as the reference computes it."""
    return {"algorithm": "sha256", "files": {
        path: base64.b64encode(
            hashlib.sha256(to_bytes(content)).digest()).decode()
        for path, content in sorted(files.items())
        if path not in ("metadata.json", "metadata.json.sigstore") and
        "__pycache__" not in path.split("/") and not path.endswith(".pyc")}}


def version_of(branch):
    text = branch[1:]
    return int(text) if branch.startswith("v") and text.isdigit() else 1


def make_metadata(name, variant, files, version=1, **more):
    """metadata.json as an object; keywords replace or add keys (with "_"
    for "-"), None leaves a key out."""
    backend = backend_of(variant)
    name = name.lower().replace("_", "-").replace(".", "-")
    if len(name) < 2:
        name += "-kernel"
    mark = hashlib.sha1(json.dumps(digest(files)).encode()).hexdigest()[:7]
    out = {
        "name": name,
        "id": "_%s_%s_%s" % (name.replace("-", "_"), backend, mark),
        "version": version, "license": "Apache-2.0", "python-depends": [],
        "backend": {"type": backend}, "digest": digest(files),
    }
    out.update((key.replace("_", "-"), value) for key, value in more.items())
    return {key: value for key, value in out.items() if value is not None}


def write_files(folder, files):
    for path, content in files.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(to_bytes(content))


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2)


def branch_dir(root, repo, branch):
    return os.path.join(root, repo, "branches",
                        urllib.parse.quote(branch, safe=""))


def make_owner(root, owner, trusted=True, kind="org"):
    write_json(os.path.join(root, owner, "owner.json"),
               {"trusted": trusted, "kind": kind})


def make_repo(root, repo, **settings):
    """repo.json, see repos.py."""
    write_json(os.path.join(root, repo, "repo.json"), settings)


def make_tag(root, repo, tag, target):
    """A tag that points at a branch or a commit."""
    folder = os.path.join(root, repo, "tags")
    os.makedirs(folder, exist_ok=True)
    name = urllib.parse.quote(tag, safe="")
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(target + "\n")


def make_branch(root, repo, branch, files):
    """A branch with exactly these files."""
    folder = branch_dir(root, repo, branch)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_files(folder, files)
    return folder


def make_kernel(root, repo, branch, builds, main_files=None, files=None,
                metadata=None):
    """A branch of builds, and the branch main.

    builds: variant -> path -> bytes or text. A build without metadata.json
    gets one, its keys changed by `metadata` (see make_metadata); the content
    None for metadata.json leaves it out. files: more files of the branch.
    main_files: the files of main (default a README; not touched if there).
    """
    every = dict(files or {})
    for variant, content in builds.items():
        content = dict(content)
        if "metadata.json" not in content:
            content["metadata.json"] = json.dumps(make_metadata(
                repo.split("/")[1], variant, content, version_of(branch),
                **(metadata or {})), indent=2) + "\n"
        for path, data in content.items():
            if data is not None:
                every["build/%s/%s" % (variant, path)] = data
    folder = make_branch(root, repo, branch, every)
    if branch != "main" and (main_files is not None or not
                             os.path.isdir(branch_dir(root, repo, "main"))):
        if main_files is None:
            main_files = {"README.md": "# %s\n" % repo}
        make_branch(root, repo, "main", main_files)
    return folder


def read_folder(folder):
    out = {}
    for base, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(base, name)
            with open(full, "rb") as f:
                out[os.path.relpath(full, folder)] = f.read()
    return out


def main(argv):
    parser = argparse.ArgumentParser(
        description="write a kernel repository from folders")
    parser.add_argument("root")
    parser.add_argument("repo", metavar="OWNER/NAME")
    parser.add_argument("branch")
    parser.add_argument("builds", nargs="*", metavar="VARIANT=DIR")
    parser.add_argument("--main", metavar="DIR")
    parser.add_argument("--trusted", action="store_true")
    opts = parser.parse_intermixed_args(argv)
    builds = {}
    for text in opts.builds:
        variant, equals, folder = text.partition("=")
        if not equals or not os.path.isdir(folder):
            parser.error("'%s' is not VARIANT=DIR" % text)
        builds[variant] = read_folder(folder)
    make_kernel(opts.root, opts.repo, opts.branch, builds,
                read_folder(opts.main) if opts.main else None)
    if opts.trusted:
        make_owner(opts.root, opts.repo.split("/")[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
