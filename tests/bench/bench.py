# SPDX-License-Identifier: Apache-2.0
"""Speed, memory and requests, each beside its alternative in the same run.

    build/venv/bin/python tests/bench/bench.py [--rounds N] [--only TEXT]
                                               [--json FILE]

Rounds are interleaved and figures are medians; on a busy machine ratios and
exact counts are what to look at. A row that misses its bar says so and fails
nothing: the exit status is 1 only if something could not be measured.
$KERNELFS names the program (default build/release/kernelfs).
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
import traceback

sys.dont_write_bytecode = True

import table  # noqa: E402  (nothing may be written beside the sources)
from bed import PROGRAM, Bed  # noqa: E402

GROUPS = ("requests", "stalled", "crowd", "path", "commands", "crowded",
          "places", "lock", "reference", "modules")
ROUNDS = 5


def facts():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.readline().split()[1]) / 1024 / 1024
    versions = []
    for name in ("torch", "kernels", "huggingface_hub"):
        try:
            versions.append("%s %s" % (
                name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            versions.append("no " + name)
    return {
        "system": "%s %s" % (platform.system(), platform.release()),
        "machine": "%d x %s, %.1f GiB" % (os.cpu_count(), model, memory),
        "python": platform.python_version(),
        "packages": ", ".join(versions),
        "load before": "%.1f %.1f %.1f" % os.getloadavg(),
    }


def measure(bed, groups):
    rows, failures = [], []
    for name in groups:
        print("bench: %s ..." % name, file=sys.stderr, flush=True)
        start = time.monotonic()
        try:
            for row in importlib.import_module("row_" + name).rows(bed):
                rows.append(row)
        except Exception:
            failures.append((name, traceback.format_exc()))
        print("bench: %s took %.0f s" % (name, time.monotonic() - start),
              file=sys.stderr, flush=True)
    return rows, failures


def options(argv):
    parser = argparse.ArgumentParser(
        description="speed, memory and requests beside the alternative",
        epilog="groups: " + ", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT",
                        help="only groups whose name contains it")
    parser.add_argument("--json", metavar="FILE",
                        help="write every figure there as well")
    opts = parser.parse_args(argv)
    opts.groups = [g for g in GROUPS if opts.only in g]
    if not opts.groups or not 1 <= opts.rounds <= 30:
        parser.error("no such group" if not opts.groups else
                     "--rounds must be 1 to 30")
    return opts


def main(argv):
    opts = options(argv)
    if not os.access(PROGRAM, os.X_OK):
        sys.exit("bench: '%s' is not there; run make first" % PROGRAM)
    about = facts()
    bed = Bed(opts.rounds)
    try:
        rows, failures = measure(bed, opts.groups)
    finally:
        bed.close()
    for key, value in about.items():
        print("  %-12s %s" % (key, value))
    print("  %-12s %d, interleaved; figures are medians\n" %
          ("rounds", opts.rounds))
    table.write(rows, sys.stdout)
    for name, why in failures:
        print("\nnot measured: %s\n%s" % (name, why))
    if opts.json:
        with open(opts.json, "w", encoding="utf-8") as f:
            json.dump({"machine": about, "rounds": opts.rounds,
                       "rows": [row.as_json() for row in rows],
                       "failures": dict(failures)}, f, indent=1)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
