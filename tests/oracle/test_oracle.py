# SPDX-License-Identifier: Apache-2.0
"""Which build, and why: this program against the kernels package.

Run with a Python that has kernels:

    python tests/oracle/test_oracle.py [PROGRAM] [--seed N] [--cases N]

PROGRAM is built from choose_cases.c (build/release/oracle/choose_cases).
Random environments meet random lists of names. Acceptance, reasons, order
and the names printed again must be the package's; where they may differ, the
difference has a name below, is proved to be that one, and is counted. The
worked cases of tests/data/choose, which the unit test runs against this
program, are run against the package. Exits 77 with one line when it cannot
run.
"""

import argparse
import collections
import inspect
import json
import logging
import os
import random
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build", "release", "oracle", "choose_cases")
WORKED = os.path.join(ROOT, "tests", "data", "choose", "cases")
RELEASE = "0.17.2"

# ---- the differences that are meant ----

TIE_FFI = "tie of tvm-ffi and noarch, which the package leaves to a hash set"
TIE = "tie of other builds, which the package leaves to a hash set"
UNPRINTED = "names used as they stand, which the package prints otherwise"
FREE_THREADED = "free-threaded listing: arch builds listed as refused"
HUGE = "numbers beyond 32 bits: not parsed"
MEANT = (TIE_FFI, TIE, UNPRINTED, FREE_THREADED, HUGE)

SENTENCE = "arch kernel not supported on free-threaded Python <3.15"


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


try:
    from importlib.metadata import version as installed

    from kernels import backends, variants
    from packaging.version import Version
except ImportError as e:
    skip("this Python has no kernels (%s)" % e)

logging.getLogger("kernels").setLevel(logging.CRITICAL)

VERSIONED = {"cuda": backends.CUDA, "rocm": backends.ROCm,
             "xpu": backends.XPU, "cann": backends.CANN}
PLAIN = {"cpu": backends.CPU, "metal": backends.Metal,
         "neuron": backends.Neuron, "tpu": backends.TPU}
PREFIX = {"cuda": "cu", "rocm": "rocm", "xpu": "xpu", "cann": "cann"}


# ---- made-up environments and names ----


class Maker:
    """Draws from few values, so that things meet, and from odd ones."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def chance(self, p):
        return self.r.random() < p

    def backend_version(self, name):
        r = self.r
        if self.chance(0.1):
            return "%d.%d" % (r.choice([0, 1, 7, 12, 71, 121, 2025, 99999]),
                              r.choice([0, 1, 9, 10, 11, 100]))
        return r.choice({
            "cuda": ["11.8", "12.4", "12.6", "12.8", "12.9", "12.10", "13.0",
                     "13.1", "13.2"],
            "rocm": ["6.3", "7.0", "7.1", "7.2", "7.10", "10.0"],
            "xpu": ["2025.2", "2025.3", "2026.0"],
            "cann": ["8.2", "8.3", "8.10", "9.0"],
        }[name])

    def framework(self):
        if self.chance(0.05):
            return self.r.choice(["0.1", "1.0", "3.0", "9.99", "10.0", "12.3"])
        return "2.%d" % self.r.choice([5, 8, 9, 10, 12, 13, 14])

    def environment(self):
        r = self.r
        name = r.choice(list(VERSIONED) * 2 + list(PLAIN) + ["cuda"] * 4)
        cpu = r.choice(["x86_64"] * 3 + ["aarch64", "riscv64"])
        system = r.choice(["linux"] * 4 + ["darwin", "windows"])
        if name == "metal" and self.chance(0.8):
            cpu, system = "aarch64", "darwin"
        torch = None if self.chance(0.12) else self.framework()
        abi = None
        if torch and not self.chance(0.15):
            abi = self.chance(0.8)
        return {
            "torch": torch,
            "cxx11_abi": abi,
            "backend": name,
            "backend_version":
                self.backend_version(name) if name in VERSIONED else None,
            "cpu": cpu,
            "os": system,
            "tvm_ffi": r.choice([None, "0.1", "0.1", "0.2", "1.0"]),
            "python": r.choice([None, "3.9", "3.13", "3.14", "3.15", "4.0"]),
            "free_threaded": self.chance(0.12),
            "glibc": r.choice([None, "2.28", "2.39"]),
            "gpus": [],
            "macos": r.choice([None, "15.7", "25.9", "26.0", "26.1", "27.0"]),
            "future_member": [1, {"a": None}],
        }

    def near(self, env):
        """Head and arch of a build that has much of what env has."""
        r = self.r
        name = env["backend"]
        if self.chance(0.25):
            name = r.choice(list(VERSIONED) + list(PLAIN))
        version = env["backend_version"]
        if name in VERSIONED and (name != env["backend"] or self.chance(0.6)):
            version = self.backend_version(name)
        backend = name
        if name in VERSIONED:
            backend = PREFIX[name] + version.replace(".", "")
        cpu = env["cpu"] if self.chance(0.85) else r.choice(
            ["x86_64", "aarch64", "", "X86"])
        system = env["os"] if self.chance(0.85) else r.choice(
            ["linux", "windows", "", "Linux"])
        return "-".join((backend, cpu, system))

    def torch(self, env):
        version = env["torch"]
        if not version or self.chance(0.4):
            version = self.framework()
        return version.replace(".", "")

    def name(self, env):
        r = self.r
        kind = r.randrange(20)
        if kind < 5:
            tag = r.choice(["", "", "-cxx11", "-cxx11", "-cxx98", "-cxx14"])
            return "torch" + self.torch(env) + tag + "-" + self.near(env)
        if kind < 9:
            return "torch-stable-abi" + self.torch(env) + "-" + self.near(env)
        if kind < 12:
            ffi = (env["tvm_ffi"] or "0.1").replace(".", "")
            if self.chance(0.2):
                ffi = r.choice(["02", "1", "010", ""])
            return "tvm-ffi" + ffi + "-" + self.near(env)
        if kind < 17:
            return "torch-" + r.choice(
                [env["backend"]] * 3 + list(VERSIONED) + list(PLAIN)
                + ["universal"] * 2 + ["npu", "", "cu128", "-", "npu-x"])
        return self.odd(env)

    def odd(self, env):
        """A name that somebody mistyped, or was out to be odd."""
        r = self.r
        name = r.choice([
            "torch", "torch-", "torch2", "torch28", "torch28-cxx11", "tvm",
            "tvm-ffi", "tvm-ffi01", "tvm-", "", "-", "--", "jax09-cpu-a-b",
            "__pycache__", "torch-stable-abi", "torch-stable-abi2-cpu-a-b",
            "torch-stable-abix-cpu-x86_64-linux",
            "torch-stable-abi210-cxx11-" + self.near(env),
            "Torch28-" + self.near(env), "torch2.8-" + self.near(env),
            "torch208-" + self.near(env), "torch028-" + self.near(env),
            "torch٢٨-cpu-x86_64-linux", "torch28-cu１２８-x86_64-linux",
            "torch2%d-cpu-x86_64-linux" % (1 << r.choice([31, 32, 64, 200])),
            "torch28-cu%d-x86_64-linux" % (1 << r.choice([34, 36, 64])),
            "torch28-cu0128-x86_64-linux", "torch28-cuda128-x86_64-linux",
            "torch28-cu9-x86_64-linux", "torch28-cu-x86_64-linux",
            "torch28-cpu0-x86_64-linux", "torch28-metal26-aarch64-darwin",
            "torch-é", "torch28-cpu-é-linux", "torch28-cpu-x86_64-li\tnux",
        ])
        if self.chance(0.5):
            name = self.name(env) if self.chance(0.9) else name
            at = r.randrange(len(name) + 1)
            piece = r.choice(["-", "0", "9", "a", "cxx11", " ", "\n", "é", ""])
            name = name[:at] + piece + name[at + r.randrange(3):]
        return name

    def case(self):
        env = self.environment()
        names = {self.name(env) for _ in range(self.r.randrange(1, 25))}
        names = sorted(n for n in names if len(n.encode()) <= 255)
        self.r.shuffle(names)
        return env, names


# ---- the package's answer ----


def selected(env):
    name = env["backend"]
    if name in PLAIN:
        return PLAIN[name]()
    return VERSIONED[name](version=Version(env["backend_version"]))


def version(text):
    return None if text is None else Version(text)


def is_below_315(env):
    if not env["free_threaded"]:
        return False
    return env["python"] is None or Version(env["python"]) < Version("3.15")


def reference(env, parsed):
    """Decisions on (name, variant) pairs, in the package's order."""
    name_of = {id(v): n for n, v in parsed}
    variants._is_unsupported_free_threaded_build = lambda: is_below_315(env)
    _, trace = variants._resolve_variant_for_system(
        variants=[v for _, v in parsed],
        selected_backend=selected(env),
        cpu=env["cpu"],
        os=env["os"],
        torch_version=version(env["torch"]),
        torch_cxx11_abi=env["cxx11_abi"],
        tvm_ffi_version=version(env["tvm_ffi"]),
        macos_version=version(env["macos"]),
    )
    return trace, name_of


def rows(trace, name_of):
    return [[name_of[id(d.variant)], d.variant.variant_str,
             isinstance(d, variants.VariantAccepted),
             getattr(d, "reason", "")] for d in trace]


def is_noarch(v):
    return isinstance(v, variants.NoarchVariant)


def in_our_order(parsed):
    """The order of input that makes the package break ties as meant."""
    return sorted(parsed, key=lambda p: (is_noarch(p[1]), p[0].encode()))


def with_refused_archs(env, parsed, trace):
    """What the package's own rules give when arch builds stay listed."""
    kept = {id(d.variant): d for d in trace}
    return variants._sort_variants([
        kept.get(id(v)) or variants.VariantRejected(variant=v, reason=SENTENCE)
        for _, v in parsed])


# ---- comparing ----


def parse(name, found):
    """The package's reading of a name, or None; (its, whether ours too)."""
    try:
        v = variants.parse_variant(name)
    except ValueError:
        return None, False
    numbers = [n for part in (getattr(v.framework, "version", None),
                              getattr(getattr(v.arch, "backend", None),
                                      "version", None)) if part
               for n in (part.major, part.minor)]
    if any(n >= 1 << 32 for n in numbers):
        found[HUGE] += 1
        return v, False
    return v, True


def is_ffi(v):
    return isinstance(getattr(v, "framework", None), variants.TvmFfi)


def tie_kind(before, after, kinds):
    """TIE_FFI when a tvm-ffi and a noarch build have changed places."""
    before, after = ([row[0] for row in rows] for rows in (before, after))
    noarchs = [n for n in before if is_noarch(kinds[n])]
    for ffi in (n for n in before if is_ffi(kinds[n])):
        for n in noarchs:
            if (before.index(ffi) < before.index(n)) != (
                    after.index(ffi) < after.index(n)):
                return TIE_FFI
    return TIE


def compare(env, names, said, found):
    """None, or what is wrong. Counts the differences that are meant."""
    parsed, skipped = [], []
    for n in names:
        v, ours = parse(n, found)
        if v is not None and ours:
            parsed.append((n, v))
        else:
            skipped.append(n)
    if said["skipped"] != sorted(skipped, key=str.encode):
        return "skips %r" % said["skipped"]
    trace, name_of = reference(env, parsed)
    theirs = rows(trace, name_of)
    ordered = in_our_order(parsed)
    trace, name_of = reference(env, ordered)
    meant = rows(trace, name_of)
    if theirs != meant:
        found[tie_kind(theirs, meant, dict(parsed))] += 1
    if is_below_315(env) and len(meant) != len(parsed):
        meant = rows(with_refused_archs(env, ordered, trace), name_of)
        found[FREE_THREADED] += 1
    if said["decisions"] != meant:
        return "decides\n  %s\nand not\n  %s" % (
            "\n  ".join(map(str, said["decisions"])),
            "\n  ".join(map(str, meant)))
    found[UNPRINTED] += sum(row[0] != row[1] for row in meant)
    found["accepted"] += sum(row[2] for row in meant)
    found["refused"] += sum(not row[2] for row in meant)
    found["skipped"] += len(skipped)
    if not said["same_by_spec"]:
        return "decides otherwise by its spec %r" % said["spec"]
    return None


def answers(program, cases):
    text = "".join("%s\n%s\n" % (json.dumps(env), json.dumps(names))
                   for env, names in cases)
    done = subprocess.run([program], input=text, capture_output=True,
                          encoding="utf-8")
    if done.returncode:
        sys.exit("FAIL: the program ended with %d: %s"
                 % (done.returncode, done.stderr.strip()))
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- the worked cases ----


def dotted(digits, major):
    return digits[:major] + "." + digits[major:]


def environment_of(spec):
    """A spec of the worked cases as a document."""
    head, *extras = spec.split("+")
    torch, *fields = head.split("-")
    env = {"cxx11_abi": None, "tvm_ffi": None, "python": None,
           "free_threaded": False, "macos": None}
    env["torch"] = None if torch == "notorch" else dotted(torch[5:], 1)
    if fields[0] in ("cxx11", "cxx98"):
        env["cxx11_abi"] = fields.pop(0) == "cxx11"
    text, env["cpu"], env["os"] = fields
    word = text.rstrip("0123456789")
    names = {prefix: name for name, prefix in PREFIX.items()}
    env["backend"] = names.get(word, word)
    digits = text[len(word):]
    major = {"cuda": 2, "xpu": 4}.get(env["backend"], 1)
    env["backend_version"] = dotted(digits, major) if digits else None
    for extra in extras:
        word, value = re.fullmatch(r"([a-z]+)(\d.*)", extra).groups()
        if word == "macos":
            env["macos"] = value
        elif word == "ffi":
            env["tvm_ffi"] = dotted(value, 1)
        elif word == "py":
            env["free_threaded"] = value.endswith("t")
            env["python"] = dotted(value.rstrip("t"), 1)
        else:
            sys.exit("FAIL: a worked case with '+%s'" % extra)
    return env


def worked_cases():
    """(title, environment, names, rows) of each."""
    lists, cases, at = {}, [], None
    with open(WORKED, encoding="utf-8") as f:
        lines = [line.rstrip("\n") for line in f]
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if not word or line.startswith("#"):
            continue
        if line.startswith("list "):
            at = lists.setdefault(rest, [])
        elif line.startswith("case "):
            at = {"title": rest, "rows": []}
            cases.append(at)
        elif isinstance(at, list):
            at.append(word)
        elif word == "env":
            at["env"] = environment_of(rest)
        elif word == "list":
            names, _, backwards = rest.partition(" ")
            at["names"] = lists[names][::-1 if backwards else 1]
        else:
            name, _, reason = rest.partition(": ")
            at["rows"].append([name, name, word == "+", reason])
    return cases


def failed_worked_cases(found):
    cases = worked_cases()
    failures = 0
    for case in cases:
        said = {"decisions": case["rows"], "skipped": [],
                "same_by_spec": True}
        wrong = compare(case["env"], case["names"], said, found)
        if wrong:
            failures += 1
            print("FAIL: worked case %s: the file %s" % (case["title"], wrong))
    print("%d worked cases: %d failed" % (len(cases), failures))
    return failures if len(cases) >= 36 else failures + 1


# ---- all of it ----


def reasons_seen(said):
    """Each sentence once, without what stands in its brackets."""
    return {re.sub(r"(?s)\(.*?\)|is [0-9N].*", "…", row[3])
            for row in said["decisions"]}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program", nargs="?", default=PROGRAM)
    arguments.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    arguments.add_argument("--cases", type=int, default=12000)
    asked = arguments.parse_args()
    if installed("kernels") != RELEASE:
        skip("kernels %s is installed, not %s" % (installed("kernels"),
                                                  RELEASE))
    if not os.access(asked.program, os.X_OK):
        skip("there is no program %s" % asked.program)
    print("seed %d" % asked.seed)
    if SENTENCE not in inspect.getsource(variants._check_variants):
        sys.exit("FAIL: the package lacks the sentence: " + SENTENCE)
    maker = Maker(asked.seed)
    cases = [maker.case() for _ in range(asked.cases)]
    said = answers(asked.program, cases)
    failures = failed_worked_cases(collections.Counter())
    found, sentences = collections.Counter(), set()
    if len(said) != len(cases):
        sys.exit("FAIL: %d answers to %d cases" % (len(said), len(cases)))
    for (env, names), answer in zip(cases, said):
        wrong = compare(env, names, answer, found)
        sentences |= reasons_seen(answer)
        if wrong:
            failures += 1
            if failures <= 3:
                print("FAIL: %s\n%s\n%s" % (json.dumps(env),
                                            json.dumps(names), wrong))
    for what in MEANT:
        print("%7d  %s" % (found[what], what))
    # the package's 11, and "" for what it accepts
    if len(sentences) != 12 and asked.cases >= 1000:
        print("FAIL: these sentences were met: %s" % sorted(sentences))
        failures += 1
    print("%d cases: %d builds accepted, %d refused, %d names skipped, "
          "%d unexplained differences" % (
              len(cases), found["accepted"], found["refused"],
              found["skipped"], failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
