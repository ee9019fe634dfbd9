# SPDX-License-Identifier: Apache-2.0
"""TOML, read by this program and by Python's tomllib.

    python tests/oracle/test_toml.py [PROGRAM] [--seed N] [--documents N]

PROGRAM is built from toml_json.c (build/release/oracle/toml_json). Documents
are made up from a grammar that draws every form of TOML, then some are bent:
bytes changed, lines moved, doubled or cut. Whatever tomllib makes of one, this
program must make too: the same tree in the same order, or a refusal. The
hostile documents of tests/data/must-refuse/toml must be refused by both. Where
the two may differ, the difference has a name below, and is counted. Exits 77
with one line when it cannot run.
"""

import argparse
import collections
import datetime
import json
import math
import os
import random
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build", "release", "oracle", "toml_json")
HOSTILE = os.path.join(ROOT, "tests", "data", "must-refuse", "toml")

try:
    import tomllib
except ImportError:
    print("SKIP: this Python has no tomllib (3.11 has it)")
    sys.exit(77)

# ---- the differences that are meant ----

BIG = "integers beyond 64 bits, which TOML lets a reader refuse"
DEEP = "nested deeper, or names of more parts, than 64"
MANY = "more than 100000 values"
MARK = "a byte order mark, stepped over"
SAID = {"a number beyond 64 bits": BIG, "nested deeper than 64": DEEP,
        "a name of more than 64 parts": DEEP,
        "more than 100000 values": MANY}


# ---- what tomllib makes of it ----


def time_text(t):
    return t.strftime("%H:%M:%S") + ".%06d" % t.microsecond


def tree(v):
    """A value as toml_json prints it; times to the microsecond."""
    if isinstance(v, dict):
        return ["t", [[k, tree(m)] for k, m in v.items()]]
    if isinstance(v, list):
        return ["a", [tree(i) for i in v]]
    if isinstance(v, str):
        return ["s", v]
    if isinstance(v, bool):
        return ["b", "%d" % v]
    if isinstance(v, int):
        return ["i", str(v)]
    if isinstance(v, float):
        return ["f", "nan" if math.isnan(v) else v]
    if isinstance(v, datetime.time):
        return ["d", time_text(v)]
    text = "%04d-%02d-%02d" % (v.year, v.month, v.day)
    if isinstance(v, datetime.datetime):
        text += "T" + time_text(v)
        if v.tzinfo is not None:
            minutes = int(v.utcoffset().total_seconds()) // 60
            text += "%s%02d:%02d" % ("-" if minutes < 0 else "+",
                                     abs(minutes) // 60, abs(minutes) % 60)
    return ["d", text]


def theirs(document):
    try:
        return tree(tomllib.loads(document.decode("utf-8")))
    except (ValueError, RecursionError):  # a decoding error is one, too
        return None


def ours(value):
    """The program's JSON with numbers as numbers and times shortened."""
    kind, what = value
    if kind == "t":
        return [kind, [[k, ours(m)] for k, m in what]]
    if kind == "a":
        return [kind, [ours(i) for i in what]]
    if kind == "f":
        return [kind, "nan" if "nan" in what else float(what)]
    if kind == "d":
        return [kind, re.sub(r"(\.\d{6})\d{3}", r"\1", what)]
    return [kind, what]


def ask(program, documents):
    """One answer a document, all of them by one process."""
    given = b"".join(b"%d\n%s" % (len(d), d) for d in documents)
    done = subprocess.run([program], input=given, stdout=subprocess.PIPE,
                          timeout=600)
    if done.returncode != 0:
        sys.exit("toml_json: exit %d" % done.returncode)
    lines = done.stdout.split(b"\n")[:-1]
    if len(lines) != len(documents):
        sys.exit("toml_json: %d answers to %d documents"
                 % (len(lines), len(documents)))
    return [line.decode("utf-8", "surrogateescape") for line in lines]


# ---- made-up documents ----


class Maker:
    """Draws from few names, so that they meet, and every kind of value."""

    NAMES = ["a", "b", "c", "a-b", "_", "1", "é", "", "a.b", "x y", "\n",
             "\x00", "😀"]
    PIECES = ["x", "é", "😀", " ", "\t", "'", "''", '"', '""', "\\", "#", "[",
              "]", "=", "\n", "\r\n", "\\n", "\x7f", "\u0080", "", "\x00"]

    def __init__(self, seed):
        self.r = random.Random(seed)

    def chance(self, p):
        return self.r.random() < p

    def pick(self, of):
        return self.r.choice(of)

    def blank(self):
        return self.pick(["", "", " ", "\t", "  "])

    def escaped(self, c, lines):
        plain = c not in '"\\' and (c >= " " or c == "\t") and c != "\x7f"
        if (plain or (lines and c == "\n")) and not self.chance(0.1):
            return c
        short = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f",
                 "\r": "\\r", '"': '\\"', "\\": "\\\\"}
        if c in short and self.chance(0.7):
            return short[c]
        if ord(c) > 0xffff or self.chance(0.3):
            return "\\U%08x" % ord(c)
        return "\\u%04X" % ord(c)

    def text(self):
        return "".join(self.pick(self.PIECES)
                       for _ in range(self.r.randrange(5)))

    def basic(self, s):
        return '"' + "".join(self.escaped(c, False) for c in s) + '"'

    def string(self):
        s = self.text()
        kind = self.r.randrange(4)
        if kind == 0:
            return self.basic(s)
        if kind == 1:
            return "'" + re.sub(r"['\x00-\x08\x0a-\x1f\x7f]", "", s) + "'"
        newline = self.pick(["", "", "\n", "\r\n"])
        s = s.replace("\r\n", "\n")
        if kind == 2:
            body = "".join(self.escaped(c, True) for c in s)
            if self.chance(0.2):
                body += "\\" + self.pick(["\n", " \n", "\n\n  ", "\r\n\t"])
            if self.chance(0.2):
                body = self.pick(['"', '""']) + body
            return '"""' + newline + body + self.pick(["", '"', '""']) + '"""'
        body = re.sub(r"'{3,}|[\x00-\x08\x0b-\x1f\x7f]", "", s)
        return "'''" + newline + body + self.pick(["", "'", "''"]) + "'''"

    def digits(self, of="0123456789", most=6):
        n = self.r.randrange(1, most)
        s = "".join(self.pick(of) for _ in range(n))
        if self.chance(0.2):
            s = "_".join(s)
        return s

    def whole(self):
        first = self.pick("123456789")
        return self.pick(["0", first, first + self.digits()])

    def number(self):
        kind = self.r.randrange(8)
        sign = self.pick(["", "", "+", "-"])
        if kind == 0:
            return "0x" + self.digits("0123456789abcdefABCDEF", 16)
        if kind == 1:
            return self.pick(["0o" + self.digits("01234567"),
                              "0b" + self.digits("01")])
        if kind == 2:
            return sign + self.pick(["inf", "nan"])
        if kind == 3:
            return sign + self.pick(["9223372036854775807",
                                     "9223372036854775808",
                                     "92233720368547758079"])
        if kind < 6:
            return sign + self.whole()
        tail = "." + self.digits() if self.chance(0.6) else ""
        if not tail or self.chance(0.4):
            tail += (self.pick("eE") + self.pick(["", "+", "-"])
                     + self.digits(most=4))
        return sign + self.whole() + tail

    def moment(self):
        date = "%04d-%02d-%02d" % (self.r.randrange(1, 10000),
                                   self.r.randrange(1, 13),
                                   self.r.randrange(1, 32))
        time = "%02d:%02d:%02d" % (self.r.randrange(24), self.r.randrange(60),
                                   self.r.randrange(60))
        if self.chance(0.5):
            time += "." + "".join(self.pick("0123456789") for _ in
                                  range(self.r.randrange(1, 12)))
        kind = self.r.randrange(4)
        if kind == 0:
            return date
        if kind == 1:
            return time
        whole = date + self.pick("Tt ") + time
        if kind == 2:
            return whole
        return whole + self.pick(["Z", "z", "+00:00", "-00:00", "+23:59",
                                  "-07:30", "+02:00"])

    def value(self, depth=0):
        kind = self.r.randrange(8 if depth < 4 else 5)
        if kind < 2:
            return self.string()
        if kind == 2:
            return self.number()
        if kind == 3:
            return self.pick(["true", "false"])
        if kind == 4:
            return self.moment()
        if kind == 5:
            return self.table(depth)
        return self.array(depth)

    def gap(self):
        return "".join(self.pick(["", " ", "\n", "\r\n", "# c ] \"\n", "\t"])
                       for _ in range(self.r.randrange(3)))

    def array(self, depth):
        items = [self.gap() + self.value(depth + 1) + self.gap()
                 for _ in range(self.r.randrange(4))]
        s = ",".join(items)
        if items and self.chance(0.3):
            s += "," + self.gap()
        return "[" + s + self.gap() + "]"

    def table(self, depth):
        names = self.NAMES[:]
        self.r.shuffle(names)
        pairs = []
        for name in names[:self.r.randrange(4)]:
            key = self.part(name)
            if self.chance(0.3):
                key += self.blank() + "." + self.blank() + self.part()
            pairs.append(self.blank() + key + self.blank() + "="
                         + self.blank() + self.value(depth + 1)
                         + self.blank())
        return "{" + (",".join(pairs) or self.blank()) + "}"

    def part(self, name=None):
        name = self.pick(self.NAMES) if name is None else name
        if re.fullmatch(r"[A-Za-z0-9_-]+", name) and self.chance(0.8):
            return name
        if self.chance(0.3) and "'" not in name and name.isprintable():
            return "'" + name + "'"
        return self.basic(name)

    def key(self):
        parts = [self.part() for _ in range(self.pick([1, 1, 1, 2, 3]))]
        return (self.blank() + "." + self.blank()).join(parts)

    def end(self):
        return (self.blank() + self.pick(["", "", "# comment", "#"])
                + self.pick(["\n", "\n", "\r\n"]))

    def line(self):
        kind = self.r.randrange(10)
        if kind == 0:
            return self.blank() + self.end()
        if kind == 1:
            return "[" + self.blank() + self.key() + self.blank() + "]" \
                + self.end()
        if kind == 2:
            return "[[" + self.blank() + self.key() + self.blank() + "]]" \
                + self.end()
        return self.blank() + self.key() + self.blank() + "=" + self.blank() \
            + self.value() + self.end()

    def document(self):
        return "".join(self.line() for _ in range(self.r.randrange(9))).encode()

    def bent(self, document):
        """The same with something wrong, or not, in it."""
        b = bytearray(document)
        for _ in range(self.r.randrange(1, 4)):
            at = self.r.randrange(len(b) + 1)
            kind = self.r.randrange(4)
            if kind == 0:
                b[at:at] = self.pick([b"\"", b"'", b"[", b"]", b"{", b"}",
                                      b",", b"=", b".", b"\n", b"\r", b"_",
                                      b"0", b"#", b" ", b"\\", b"\xff",
                                      b"\x00", b"\xc2\xa0", b"+", b":"])
            elif kind == 1:
                del b[at:at + self.r.randrange(1, 4)]
            elif kind == 2:
                to = min(len(b), at + self.r.randrange(1, 12))
                b[at:at] = b[at:to]
            else:
                del b[at:]
        return bytes(b)


# ---- the comparison ----


def judge(document, line, counts):
    """None when both agree, else what differs."""
    want = theirs(document)
    if line.startswith("!"):
        sentence = line.split(": ", 1)[-1]
        if not re.match(r"!f(:\d+)?: .", line):
            return "names no line: %s" % line
        if want is None:
            counts["refused by both"] += 1
            return None
        if sentence in SAID:
            counts[SAID[sentence]] += 1
            return None
        return "refused here only: %s" % line
    got = ours(json.loads(line[1:]))
    if want is None and document.startswith(b"\xef\xbb\xbf"):
        want = theirs(document[3:])
        counts[MARK] += 1
    if want is None:
        return "taken here only: %s" % line[:300]
    if got != want:
        return "read as\n  %r\n  and there as\n  %r" % (got, want)
    counts["read alike"] += 1
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?", default=PROGRAM)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--documents", type=int, default=6000)
    args = parser.parse_args()
    if not os.access(args.program, os.X_OK):
        print("SKIP: %s is not built" % args.program)
        sys.exit(77)
    make = Maker(args.seed)
    documents = [make.document() for _ in range(args.documents // 2)]
    documents += [make.bent(make.document()) for _ in
                  range(args.documents - len(documents))]
    documents.append(b"\xef\xbb\xbfa = 1\n")
    hostile = sorted(os.listdir(HOSTILE))
    for name in hostile:
        with open(os.path.join(HOSTILE, name), "rb") as f:
            documents.append(f.read())
    lines = ask(args.program, documents)
    counts = collections.Counter()
    bad = 0
    for i, (document, line) in enumerate(zip(documents, lines)):
        wrong = judge(document, line, counts)
        which = i - (len(documents) - len(hostile))
        if wrong is None and which >= 0 and line.startswith("="):
            wrong = "hostile, and taken: %s" % hostile[which]
        if wrong is not None:
            bad += 1
            if bad <= 10:
                print("FAIL document %d: %r\n  %s" % (i, document[:400],
                                                     wrong))
    for what, n in sorted(counts.items()):
        print("%6d %s" % (n, what))
    if counts["read alike"] < args.documents // 6 or len(hostile) < 100:
        print("FAIL too few documents were read to say anything")
        bad += 1
    print("%d documents, %d of them hostile, %d differ"
          % (len(documents), len(hostile), bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
