# SPDX-License-Identifier: Apache-2.0
"""What an import asks of the Hub: bytes, and requests per endpoint."""

import os

from fixture import OWNER
from table import Row, part, per_endpoint

GROUP = "What an import asks of the Hub"
GET = "kernels.get_kernel(%r, version=1)"


def build_size(bed, commit_path):
    build = os.path.join(commit_path, "build")
    build = os.path.join(build, *os.listdir(build))
    files = [os.path.join(base, name) for base, _, names in os.walk(build)
             for name in names]
    return len(files), sum(os.stat(f).st_size for f in files)


def file_bytes(counts):
    return sum(line["bytes"] for line in counts["log"] if
               line["status"] == 200 and
               line["endpoint"] in ("resolve", "resolve-cache", "cdn"))


def by_method(counts):
    out = {}
    for line in counts["log"]:
        key = "%s %s" % (line["method"], line["endpoint"])
        out[key] = out.get(key, 0) + 1
    return out


def from_nothing(bed, name):
    hub = bed.near()
    forks = bed.forks(hub)
    package = name.replace("-", "_")
    hub.reset()
    with bed.mount(hub) as mount:
        at_mount = hub.counts()["by_endpoint"]
        hub.reset()
        before = mount.metrics()
        forks.run("import " + package, [mount.path])
        asked = mount.asked(before)
        counts = hub.counts()
        files, size = build_size(bed, mount.at(OWNER, name))
    hub.reset()
    forks.run(GET % (OWNER + "/" + name), before="import kernels")
    theirs = hub.counts()
    return files, size, at_mount, counts, asked, theirs


def nothing_rows(bed, name):
    files, size, at_mount, counts, asked, theirs = from_nothing(bed, name)
    got = counts["by_endpoint"]
    hops = got.get("resolve-cache", 0) + got.get("cdn", 0)
    expected = {"overview": 1, "refs": 1, "tree": 2, "resolve": files}
    rest = {k: v for k, v in got.items() if k not in ("resolve-cache", "cdn")}
    share = file_bytes(counts) / size
    repo = OWNER + "/" + name
    yield Row(GROUP, "file bytes / bytes of the build, %s" % name,
              "%.3f" % share, "%.3f" % (file_bytes(theirs) / size), "",
              "<= 1.02", share <= 1.02,
              ["the build has %d bytes in %d files; beside it get_kernel" %
               (size, files)], {"bytes": file_bytes(counts), "size": size})
    yield Row(GROUP, "requests from nothing, %s" % name,
              str(sum(got.values())), str(sum(theirs["by_endpoint"].values())),
              "", "%d" % (sum(expected.values()) + files),
              rest == expected and hops == files,
              ["Hub: %s" % per_endpoint(got),
               "to be, by design: %s, and a hop for each file" %
               per_endpoint(expected),
               "before, when mounting: %s" % per_endpoint(at_mount),
               "get_kernel: %s" % per_endpoint(by_method(theirs)),
               "daemon: %s" % per_endpoint(asked)],
              {"repo": repo, "requests": got, "theirs": by_method(theirs),
               "daemon": asked})


@part("requests, pinned and cached, new mount")
def pinned_row(bed):
    hub = bed.near()
    forks = bed.forks(hub)
    commit = hub.commit(OWNER + "/relu")
    cache = bed.new_folder("cache")
    pin = (OWNER, "relu@" + commit, "python")
    with bed.mount(hub, cache=cache) as mount:
        forks.run("import relu", [mount.at(*pin)])
    hub.reset()
    with bed.mount(hub, cache=cache) as mount:
        at_mount = hub.counts()["by_endpoint"]
        hub.reset()
        before = mount.metrics()
        forks.run("import relu", [mount.at(*pin)])
        asked = mount.asked(before)
        got = hub.counts()["by_endpoint"]
    hub.reset()
    forks.run(GET % (OWNER + "/relu"), before="import kernels")
    theirs = hub.counts()
    yield Row(GROUP, "requests, pinned and cached, new mount",
               str(sum(got.values())),
               str(sum(theirs["by_endpoint"].values())), "", "0",
               not got,
               ["Hub: %s; when mounting: %s" %
                (per_endpoint(got), per_endpoint(at_mount)),
                "get_kernel, cached: %s" % per_endpoint(by_method(theirs)),
                "daemon: %s" % per_endpoint(asked)],
               {"requests": got, "daemon": asked})


@part("the same, of an owner without import names")
def stranger_row(bed):
    """Pinned and cached, of an owner that gives no import names."""
    hub = bed.near()
    path = ("many", "k00@" + hub.commit("many/k00"), "build", "torch-cpu",
            "__init__.py")
    cache = bed.new_folder("cache")
    with bed.mount(hub, cache=cache) as mount:
        mount.text(*path)
    with bed.mount(hub, cache=cache) as mount:
        hub.reset()
        mount.text(*path)
        got = hub.counts()["by_endpoint"]
    yield Row(GROUP, "the same, of an owner without import names",
               str(sum(got.values())), "", "", "0", not got,
               ["Hub: %s" % per_endpoint(got)], {"requests": got})


def named(name):
    return ("file bytes / bytes of the build, " + name,
            "requests from nothing, " + name)


@part(*named("relu"), *named("small-kernel"))
def rows(bed):
    yield from nothing_rows(bed, "relu")
    yield from nothing_rows(bed, "small-kernel")
