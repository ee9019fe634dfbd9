# SPDX-License-Identifier: Apache-2.0
"""metadata.json as we read it, against the reference's own parser.

    python tests/oracle/test_metadata.py [PROGRAM] [--seed N] [--cases N]

PROGRAM is built from metadata_json.c (build/release/oracle/metadata_json).
Documents are a good one with values, keys and bytes of it changed; each must
be taken by both, with the same values, or refused by both. Exits 77 with one
line when the reference is not there.
"""

import argparse
import json
import os
import random
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build", "release", "oracle", "metadata_json")

try:
    from kernels._rust import Metadata
except ImportError as e:
    print("SKIP: this Python has no kernels (%s)" % e)
    sys.exit(77)

HEX = "0123456789abcdefABCDEF" * 3
NULL, GONE = None, object()


class Raw:
    """Text that stands in the document as it is."""

    def __init__(self, text):
        self.text = text


def dump(value):
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    if isinstance(value, (dict, Pairs)):
        items = value.items if isinstance(value, Pairs) else value.items()
        return "{" + ", ".join("%s: %s" % (json.dumps(k), dump(v))
                               for k, v in items if v is not GONE) + "}"
    return json.dumps(value)


class Pairs:
    """An object whose keys may stand there twice."""

    def __init__(self, items):
        self.items = list(items)


ORDER = ("name", "id", "version", "kernels-minver", "license", "upstream",
         "source", "python-depends", "kernel-depends", "backend", "digest",
         "provenance")


def good():
    return {
        "name": "flash-attn3", "id": "_x_cuda_30dc0ae", "version": 2,
        "kernels-minver": "0.17.1", "license": "MIT",
        "upstream": "https://example.org/a/b",
        "source": "git@github.com:a/b",
        "python-depends": ["einops", "nvidia-cutlass-dsl"],
        "kernel-depends": [{"repo-id": "a/b", "version": 1},
                           {"repo-id": "c/d", "revision": "main"}],
        "backend": {"type": "cuda", "archs": ["9.0a"]},
        "digest": {"algorithm": "sha256", "files": {"x.py": "eA=="}},
        "provenance": {
            "kernel-builder": {"version": "1", "commit": HEX[:40],
                               "dirty": False},
            "kernel": {"commit": HEX[:64], "dirty": True}},
    }


NUMBERS = [Raw(t) for t in (
    "0", "1", "18446744073709551615", "18446744073709551616",
    "9007199254740993", "1.0", "1.5", "1e3", "1E0", "-0", "-1", "01", "+1",
    "1.", ".5", "1e", "0x1", "99999999999999999999999", "-", "1_0",
    "00", "1 2", "Infinity", "NaN")]
COMMITS = [HEX[:40], HEX[:64], HEX[:39], HEX[:41], "", "g" * 40, "A" * 40]
# what stands for one key, for all keys, and for what is in an array
WILD = [NULL, GONE, True, False, 0, 1, "", "x", [], {}, [1], ["x"],
        {"x": 1}, [None], Raw("tru"), Raw(""), Raw('"\\ud83d\\ude00"'),
        Raw('"\\x"'), Raw('"a\tb"'), Raw("'x'"), Raw("nul")]
SPECIAL = {
    "name": ["ab", "a", "a1", "1a", "a-", "-a", "a--b", "a_b", "A", "a b",
             "a" * 200, "\u00e4b", "ab\n"],
    "id": ["", " ", "a.b", "\u00e4"],
    "version": NUMBERS,
    "kernels-minver": [
        "1.2.3", " 1.2.3", "1.2.3 ", "+1.+2.3", "1. 2.3", "1.2.3\n", "1.2",
        "1.2.3.4", "1.2.", "1..3", "\u00a01.2.3", "01.2.3", "-1.2.3",
        "000000000000000000000000000001.2.3", "18446744073709551615.0.0",
        "18446744073709551616.0.0", "\u000b1.2.3", "1.2.3\u3000",
        "\u200b1.2.3", "1.2.3rc1", "0.17.0.dev0", "++1.2.3", "\u0661.2.3",
        "1.2.3\u0085", "\ufeff1.2.3", "\u001c1.2.3"],
    "upstream": [
        "https://x/y", "http://x", "git://x/y", "ssh://git@x/y", "HTTPS://x",
        "git+ssh://h/x", "git+https://h/x", "git+http://h/x", "ftp://x/y",
        "file:///x", "a:b", "x", "", "https://", "https:/x", "https:x",
        "/a:b", "C:x", "host:", "git@h:a/b", "git@h:", ":x", "git@h:22/x",
        "ssh://git@h:22/x", "ssh://git@h:a/b", "ssh://", "git:x",
        "https://h:99999/x", "https://u:p@h/x", "://x", "h/x:y"],
    "python-depends": [["x", 1], [None], ["", "x", "x"], [["x"]]],
    "kernel-depends": [[d] for d in (
        {"repo-id": "", "version": 1}, {"repo-id": "a/b/c", "revision": ""},
        {"repo-id": "a/b"}, {"version": 1},
        {"repo-id": "a/b", "version": 1, "revision": "x"},
        {"repo-id": "a/b", "version": None, "revision": "x"},
        {"repo-id": "a/b", "version": 1, "revision": None},
        {"repo-id": "a/b", "version": None, "revision": None},
        {"repo-id": None, "version": 1}, {"repo-id": "a/b", "revision": 1},
        {"repo-id": "a/b", "version": "1"}, {"repo-id": 1, "version": 1},
        {"repo-id": "a/b", "version": 1, "x": 1},
        Pairs([("repo-id", "a/b"), ("repo-id", "a/b"), ("version", 1)]),
        Pairs([("repo-id", "a/b"), ("version", 1), ("version", 1)]),
        Pairs([("repo-id", "a/b"), ("version", 1), ("revision", None),
               ("revision", None)]),
        ["a/b", 1], ["a/b", 1, None], ["a/b", None, "x"], ["a/b", 1, "x"],
        ["a/b", 1, None, None], [])] + [
        [{"repo-id": "a/b", "version": n}] for n in NUMBERS] + [
        [{"repo-id": "a/b", "version": i} for i in range(300)]],
    "backend": [{"type": t} for t in (
        "cann", "cpu", "cuda", "metal", "neuron", "rocm", "tpu", "xpu", "",
        "CUDA", "vulkan", None, 1)] + [
        {"type": "cpu", "archs": a} for a in (
            None, [], ["x", "x"], [1], "x", {}, [None])] + [
        ["cpu", None], ["cpu"], ["cpu", ["x"]], ["cpu", None, 1],
        {"type": "cpu", "x": 1},
        Pairs([("type", "cpu"), ("type", "cpu")]),
        Pairs([("type", "cpu"), ("x", 1), ("x", 1)]),
        Pairs([("type", "cpu"), ("archs", None), ("archs", None)])],
    "digest": [{"algorithm": a, "files": {}} for a in (
        "sha256", "sha512", "md5", "SHA256", None, 1, "")] + [
        {"algorithm": "sha256", "files": f} for f in (
            None, [], {"a": 1}, {"a": None}, {"a": "!!"}, {"": ""}, "x",
            Pairs([("a", "x"), ("a", "y")]))] + [
        {"algorithm": "sha256"}, {"files": {}},
        ["sha256", {"a": "x"}], ["sha256"], ["sha256", {}, 1],
        Pairs([("algorithm", "sha256"), ("algorithm", "sha256"),
               ("files", {})]),
        {"algorithm": "sha256", "files": {}, "x": 1}],
    "provenance": [
        {}, {"kernel-builder": {}}, {"kernel-builder": {"version": 1}},
        {"kernel-builder": {"version": "1", "x": 1}}, [], [{"version": "1"}],
        [{"version": "1"}, None], [["1"], None], [["1", HEX[:40], True], None],
        {"kernel-builder": ["1"]}, {"kernel-builder": ["1", None, None]},
        {"kernel-builder": {"version": "1"}, "x": 1},
        {"kernel-builder": {"version": "1"}, "kernel": []},
        {"kernel-builder": {"version": "1"}, "kernel": [HEX[:40], True]},
        {"kernel-builder": {"version": "1"}, "kernel": [HEX[:40], True, 1]},
        Pairs([("kernel-builder", {"version": "1"}),
               ("kernel-builder", {"version": "1"})])] + [
        {"kernel-builder": dict({"version": "1"}, **more)} for more in (
            {"commit": HEX[:40]}, {"dirty": True}, {"sha": HEX[:40]},
            {"commit": None, "dirty": None}, {"commit": HEX[:40],
                                              "dirty": None},
            {"commit": None, "dirty": True},
            {"sha": HEX[:40], "dirty": True},
            {"commit": HEX[:40], "dirty": "x"},
            {"commit": HEX[:40], "sha": HEX[:40], "dirty": True})] + [
        {"kernel-builder": {"version": "1"},
         "kernel": {"commit": c, "dirty": True}} for c in COMMITS] + [
        {"kernel-builder": {"version": "1"}, "kernel": k} for k in (
            None, {}, {"commit": HEX[:40]}, {"dirty": True}, "x",
            {"sha": HEX[:40], "dirty": False},
            {"commit": None, "sha": HEX[:40], "dirty": True},
            {"commit": HEX[:40], "dirty": None},
            {"commit": HEX[:40], "dirty": True, "x": 1})],
}
SPECIAL["source"] = SPECIAL["upstream"]


def fixed():
    """Each key with each value, in an object and in an array."""
    for key in ORDER:
        for value in WILD + SPECIAL.get(key, []):
            yield dump(dict(good(), **{key: value}))
            if value is not GONE:
                yield dump([value if k == key else v
                            for k, v in good().items()])
    for key in ORDER:
        yield dump(Pairs([*good().items(), (key, good()[key])]))
    text = dump(good())
    values = list(good().values())
    for more in ("", " ", "\n", "x", "\x00", "{}", "//", "\ufeff", "\x0b",
                 "\u00a0"):
        yield text + more
        yield more + text
    for n in range(14):
        yield dump((values + [None, None])[:n])
    for unknown in ('"q": 1, "q": 2', '"q": 01', '"q": [{"version": 1.0}]',
                    '"q": -1.5e+3', '"q": "a\x01b"', '"kernels_minver": 1'):
        yield text[:-1] + ", " + unknown + "}"
    yield dump(dict(good(), **{"version": Raw("2"), "q": [1, 2.5, -3]}))


def mutated(rng):
    """A good document with something random of it changed."""
    value = good()
    for _ in range(rng.randint(0, 2)):
        key = rng.choice(ORDER)
        value[key] = rng.choice(WILD + SPECIAL.get(key, []) + [value[key]])
    text = bytearray(dump(value).encode())
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        at = rng.randrange(len(text))
        what = rng.randrange(4)
        if what == 0:
            del text[at]
        elif what == 1:
            text[at] = rng.choice(b'{}[],:"\\ 0123456789-+.eE/nul\x01\xc3tf')
        elif what == 2:
            text.insert(at, rng.choice(b'{}[],:"\\ 09-.\t'))
        else:
            end = min(len(text), at + rng.randint(1, 20))
            text[at:at] = text[at:end]
    return bytes(text)


def depend(d):
    v = d.version
    number = getattr(v, "version", None)
    return [d.repo_id, v.revision if number is None else number]


def theirs(document):
    try:
        m = Metadata.from_bytes(document)
    except ValueError as e:
        return "no " + str(e)
    p = m.provenance
    dirty = [0, 0]
    if p:
        dirty = [int(bool(p.kernel and p.kernel.dirty)),
                 int(bool(p.kernel_builder.git and
                          p.kernel_builder.git.dirty))]
    return {"id": m.id, "name": str(m.name),
            "minver": str(m.kernels_minver) if m.kernels_minver else "",
            "backend": str(m.backend.backend_type).rpartition(".")[2].lower(), "dirty": dirty,
            "python": list(m.python_depends),
            "depends": [depend(d) for d in m.kernel_depends]}


def beyond(document):
    """Where the house is narrower by rule (base/json.h)."""
    return b"\\u0000" in document


def is_odd_url(have, want):
    """We have no whole parser of URLs; those of the table must be judged the
    same, those with bytes changed need not."""
    return any(isinstance(said, str) and "git URL" in said
               for said in (have, want))


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", default=PROGRAM)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=4000)
    opts = parser.parse_args(argv)
    rng = random.Random(opts.seed)
    documents = [d.encode() for d in fixed() if not beyond(d.encode())]
    by_hand = len(documents)
    documents += [d for d in (mutated(rng) for _ in range(opts.cases))
                  if not beyond(d)]
    done = subprocess.run(
        [opts.program], stdout=subprocess.PIPE, check=True,
        input=b"".join(b"%d\n%s" % (len(d), d) for d in documents))
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(documents), (len(lines), len(documents))
    taken = wrong = 0
    for i, (document, line) in enumerate(zip(documents, lines)):
        want = theirs(document)
        have = line if line.startswith("no ") else json.loads(line)
        same = (have == want if isinstance(want, dict)
                else isinstance(have, str))
        same = same or i >= by_hand and is_odd_url(have, want)
        taken += isinstance(want, dict)
        if not same:
            wrong += 1
            print("FAIL: %s\n  reference: %s\n  ours: %s" % (
                document.decode(errors="replace"), want, have))
    print("%d passed, %d failed, 0 skipped (%d documents taken, seed %d)" % (
        len(documents) - wrong, wrong, taken, opts.seed))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
