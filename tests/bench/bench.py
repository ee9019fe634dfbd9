# SPDX-License-Identifier: Apache-2.0
"""Speed, memory and requests, each beside its alternative in the same run.

    build/venv/bin/python tests/bench/bench.py [--rounds N] [--row TEXT]
                                               [--json FILE]

Rounds are interleaved and figures are medians; on a busy machine ratios and
exact counts are what to look at. A row that misses its bar says so and fails
nothing: the exit status is 1 only if something could not be measured. What
cannot be measured on this machine (no root, a tool that is not there) is
listed with the reason. contrib/PERFORMANCE.md explains each row.
$KERNELFS names the program (default build/release/kernelfs).
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True

import namespace  # noqa: E402  (nothing may be written beside the sources)
import table  # noqa: E402
from bed import PROGRAM, Bed, Lacking  # noqa: E402

GROUPS = ("link", "import", "added", "path", "large", "reference", "build",
          "requests", "crowd", "commands", "many", "crowded", "term",
          "stalled", "places", "lock")
ROUNDS = 10


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
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


class Run:
    """What has been measured, and what has not."""

    def __init__(self, bed, text):
        self.bed, self.text = bed, text
        self.rows, self.failures, self.lacking = [], [], []

    def part(self, group, function):
        name = "%s: %s" % (group, ", ".join(function.names))
        try:
            for row in table.measured(function, self.bed):
                self.rows.append(row)
        except Lacking as why:
            self.lacking.append((name, str(why)))
        except Exception:
            self.failures.append((name, traceback.format_exc()))

    def group(self, group, module):
        found = table.parts_of(module, self.text)
        if not found:
            return
        print("bench: %s ..." % group, file=sys.stderr, flush=True)
        start = time.monotonic()
        for function in found:
            self.part(group, function)
        print("bench: %s took %.0f s" % (group, time.monotonic() - start),
              file=sys.stderr, flush=True)

    def asked_for(self):
        """Rows of the parts that ran; those of one name, if one was asked."""
        text = self.text.lower()
        return [r for r in self.rows if text in r.what.lower() or
                text in r.group.lower()]


def options(argv):
    parser = argparse.ArgumentParser(
        description="speed, memory and requests beside the alternative")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--row", default="", metavar="TEXT",
                        help="only rows, or groups, whose name contains it")
    parser.add_argument("--list", action="store_true",
                        help="only the names of the rows")
    parser.add_argument("--json", metavar="FILE",
                        help="write every figure there as well")
    opts = parser.parse_args(argv)
    modules = {g: importlib.import_module("row_" + g) for g in GROUPS}
    opts.groups = {g: m for g, m in modules.items()
                   if table.parts_of(m, opts.row)}
    if not opts.groups:
        parser.error("no row has '%s' in its name" % opts.row)
    if not 1 <= opts.rounds <= 30:
        parser.error("--rounds must be 1 to 30")
    return opts


def write(run, about, opts):
    for key, value in about.items():
        print("  %-12s %s" % (key, value))
    print("  %-12s %d, interleaved; figures are medians\n" %
          ("rounds", opts.rounds))
    table.write(run.asked_for(), sys.stdout)
    for name, why in run.lacking:
        print("\nnot measured on this machine: %s\n  %s" % (name, why))
    for name, why in run.failures:
        print("\nFAILED: %s\n%s" % (name, why))
    if opts.json:
        with open(opts.json, "w", encoding="utf-8") as f:
            json.dump({"machine": about, "rounds": opts.rounds,
                       "rows": [row.as_json() for row in run.asked_for()],
                       "lacking": run.lacking,
                       "failures": run.failures}, f, indent=1)


def main(argv):
    opts = options(argv)
    if opts.list:
        for module in opts.groups.values():
            print(module.GROUP)
            for function in table.parts_of(module, opts.row):
                print("\n".join("  " + name for name in function.names))
        return 0
    if not os.access(PROGRAM, os.X_OK):
        sys.exit("bench: '%s' is not there; run make first" % PROGRAM)
    namespace.enter()
    # Ended from outside, it still unmounts.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    about = facts()
    start = time.monotonic()
    bed = Bed(opts.rounds)
    run = Run(bed, opts.row)
    try:
        for group, module in opts.groups.items():
            run.group(group, module)
    finally:
        bed.close()
    about["took"] = "%.0f s" % (time.monotonic() - start)
    write(run, about, opts)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
