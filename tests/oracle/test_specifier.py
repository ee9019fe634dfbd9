# SPDX-License-Identifier: Apache-2.0
"""Ranges of versions: this program against the packaging library.

    python tests/oracle/test_specifier.py [PROGRAM] [--seed N] [--cases N]

PROGRAM is built from specifiers.c (build/release/oracle/specifiers). Random
versions and sets of specifiers, sound ones and broken ones: whether each is
one, how two versions compare, and which of many is the highest that fits,
must be what the library says. Exits 77 with one line when it cannot run.
"""

import argparse
import os
import random
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build", "release", "oracle", "specifiers")
# The rules for pre-releases changed before it.
OLDEST = (26, 0)


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


try:
    import packaging
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version
except ImportError as e:
    skip("this Python has no packaging (%s)" % e)

NUMBERS = ("0", "0", "1", "1", "2", "3", "9", "10", "01", "00",
           "4294967296", "99999999999999999999999")
OPERATORS = ("==", "!=", "~=", "<=", ">=", "<", ">", "===")
NOISE = "0123456789.,<>=!~+-_*abcdevrpost v;)"


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def chance(self, p):
        return self.r.random() < p

    def number(self):
        return self.r.choice(NUMBERS)

    def tail(self, words):
        sep = ("", ".", "-", "_")
        return self.r.choice(sep) + self.r.choice(words) + (
            self.r.choice(sep) + self.number() if self.chance(.7) else
            self.r.choice(("", "", ".")))

    def release(self):
        return ".".join(self.number()
                        for _ in range(self.r.choice((1, 2, 2, 3, 3, 4))))

    def version(self, local=.15):
        out = self.r.choice(("", "", "", "", "v", "V"))
        if self.chance(.1):
            out += self.number() + "!"
        out += self.release()
        if self.chance(.25):
            out += self.tail(("a", "b", "c", "rc", "alpha", "Beta", "pre",
                              "preview", "RC"))
        if self.chance(.2):
            out += "-" + self.number() if self.chance(.3) else self.tail(
                ("post", "rev", "r", "POST"))
        if self.chance(.2):
            out += self.tail(("dev", "Dev"))
        if self.chance(local):
            out += "+" + self.r.choice(".-_").join(
                self.r.choice(("cu130", "1", "01", "a", "B", "cxx11", "10"))
                for _ in range(self.r.choice((1, 1, 2, 3))))
        return self.broken(out)

    def broken(self, text):
        if self.chance(.04):
            at = self.r.randrange(len(text) + 1)
            text = text[:at] + self.r.choice(NOISE) + text[at:]
        if self.chance(.03) and text:
            at = self.r.randrange(len(text))
            text = text[:at] + text[at + 1:]
        return text

    def specifier(self):
        op = self.r.choice(OPERATORS)
        blank = self.r.choice(("", "", "", " "))
        if op in ("==", "!=") and self.chance(.4):
            return op + blank + self.release() + ".*"
        return op + blank + self.version(
            .2 if op in ("==", "!=", "===") else .02)

    def set(self):
        comma = self.r.choice((",", ",", ", ", " ,", ",,"))
        return self.broken(comma.join(
            self.specifier() for _ in range(self.r.choice((1, 1, 2, 2, 3)))))


def version_or_none(text):
    try:
        return Version(text)
    except InvalidVersion:
        return None


def set_or_none(text):
    try:
        found = SpecifierSet(text)
    except InvalidSpecifier:
        return None
    return found if len(found) else None


# An === may stand before anything there; here before what can be a name.
def is_name(text):
    return not any(c in part for part in text.split(",")
                   if part.strip().startswith("===") for c in "/%")


def best(specifiers, versions):
    if specifiers is None:
        return -1
    known = [(i, v) for i, v in enumerate(versions) if version_or_none(v)]
    left = list(specifiers.filter(known, key=lambda item: item[1]))
    if not left:
        return -1
    top = max(Version(v) for _, v in left)
    return min((v, i) for i, v in left if Version(v) == top)[1]


def question(maker):
    """A line to ask, and what the library answers."""
    kind = maker.r.choice(("set", "version", "compare", "best", "best"))
    if kind == "set":
        text = maker.set()
        return [kind, text], int(set_or_none(text) is not None)
    if kind == "version":
        text = maker.version()
        return [kind, text], int(version_or_none(text) is not None)
    if kind == "compare":
        a, b = maker.version(), maker.version()
        x, y = version_or_none(a), version_or_none(b)
        if x is None or y is None:
            return [kind, a, b], 0
        return [kind, a, b], (x > y) - (x < y)
    text = maker.set()
    versions = [maker.version() for _ in range(maker.r.randrange(12))]
    return [kind, text] + versions, best(set_or_none(text), versions)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program", nargs="?", default=PROGRAM)
    arguments.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    arguments.add_argument("--cases", type=int, default=40000)
    asked = arguments.parse_args()
    release = Version(packaging.__version__).release
    if release < OLDEST:
        skip("packaging %s is older than %d.%d" % (
            (packaging.__version__,) + OLDEST))
    if not os.access(asked.program, os.X_OK):
        skip("there is no program %s" % asked.program)
    print("seed %d" % asked.seed)
    maker = Maker(asked.seed)
    cases = [question(maker) for _ in range(asked.cases)]
    cases = [case for case in cases
             if case[0][0] not in ("set", "best") or is_name(case[0][1])]
    done = subprocess.run(
        [asked.program], text=True, capture_output=True, check=True,
        input="".join("\t".join(line) + "\n" for line, _ in cases))
    answers = [int(line) for line in done.stdout.split()]
    if len(answers) != len(cases):
        sys.exit("FAIL: %d answers to %d cases" % (len(answers), len(cases)))
    failures, seen = 0, {}
    for (line, expected), got in zip(cases, answers):
        key = line[0], expected > 0 or (line[0] == "best" and expected == 0)
        seen[key] = seen.get(key, 0) + 1
        if got != expected:
            failures += 1
            if failures <= 5:
                print("FAIL: %r: %d, not %d" % (line, got, expected))
    for key in sorted(seen):
        print("%7d  %s %s" % (seen[key], key[0],
                              "yes" if key[1] else "no"))
    if asked.cases >= 1000 and len(seen) != 8:
        print("FAIL: not every kind was met")
        failures += 1
    print("%d cases, %d failed" % (len(cases), failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
