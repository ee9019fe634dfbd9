# SPDX-License-Identifier: Apache-2.0
"""Rows of results, and the table that a person reads.

A row says what was measured, its figure, the alternative's figure in the same
rounds, and what was to be reached. Figures are medians. `reached` is None
where there is no bar. `notes` are exact things: requests, bytes, spread.

What makes rows is marked with @part and the names of all rows that it makes,
so that one row can be asked for: a row of another name is a defect.
"""

import statistics

COLUMNS = ("what", "here", "beside it", "so", "bar", "verdict")


def median(values):
    return statistics.median(values)


def middle_half(values):
    """The quartiles, as text in milliseconds: how noisy it was."""
    if len(values) < 4:
        return ms(min(values)) + " to " + ms(max(values))
    low, _, high = statistics.quantiles(values, n=4)
    return ms(low) + " to " + ms(high)


def ms(seconds):
    value = seconds * 1000
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return "%.*f ms" % (digits, value)


def times(ratio):
    return "%.*f x" % (1 if ratio >= 10 else 2, ratio)


def mb(size):
    return "%.2f MB" % (size / 1e6)


def added(group, what, here, beside, limit, notes=()):
    """A row of two lists of seconds, of which the difference counts."""
    more = median(here) - median(beside)
    return Row(group, what, ms(median(here)), ms(median(beside)),
               "%+.2f ms" % (more * 1000), "<= +%s" % ms(limit),
               more <= limit,
               ["half of the rounds: %s; beside it %s" %
                (middle_half(here), middle_half(beside)), *notes],
               {"here": here, "beside": beside, "more": more})


def per_endpoint(counts):
    return ", ".join("%s %d" % (key, value) for key, value in
                     sorted(counts.items()) if value) or "none"


def part(*names):
    """This function of a bed yields rows of these names."""
    def mark(function):
        function.names = names
        return function
    return mark


def parts_of(module, text=""):
    """The parts of a module that make a row with this text in its name; all
    of them where it is in the name of the group."""
    text = text.lower()
    everything = text in module.GROUP.lower()
    return [f for f in vars(module).values() if hasattr(f, "names") and
            f.__module__ == module.__name__ and
            (everything or any(text in n.lower() for n in f.names))]


def measured(function, bed):
    """The rows of one part, with the names that it declares."""
    for row in function(bed):
        if row.what not in function.names:
            raise ValueError("row '%s' is not declared" % row.what)
        yield row


class Row:
    def __init__(self, group, what, here, beside="", so="", bar="",
                 reached=None, notes=(), data=None):
        self.group = group
        self.what = what
        self.here = here
        self.beside = beside
        self.so = so
        self.bar = bar
        self.reached = reached
        self.notes = list(notes)
        self.data = data or {}

    def verdict(self):
        if self.reached is None:
            return "-"
        return "reached" if self.reached else "MISSED"

    def cells(self):
        return (self.what, self.here, self.beside, self.so, self.bar,
                self.verdict())

    def as_json(self):
        out = dict(zip(COLUMNS, self.cells()))
        out.update(group=self.group, reached=self.reached, notes=self.notes,
                   data=self.data)
        return out


def paired(group, what, here, beside, bar=None, notes=(), sooner=False):
    """A row of two lists of seconds. The ratio is that of the medians: how
    many times longer we take, or with `sooner` how many times less. bar: the
    largest ratio, or with `sooner` the smallest."""
    a, b = median(here), median(beside)
    ratio = b / a if sooner else a / b
    word = " sooner" if sooner else ""
    sign = ">=" if sooner else "<="
    reached = None
    if bar is not None:
        reached = ratio >= bar if sooner else ratio <= bar
    return Row(group, what, ms(a), ms(b), times(ratio) + word,
               "" if bar is None else "%s %s" % (sign, times(bar)), reached,
               ["half of the rounds: %s; beside it %s" %
                (middle_half(here), middle_half(beside)), *notes],
               {"here": here, "beside": beside, "ratio": ratio})


def limited(group, what, here, limit, beside=None, beside_name="", notes=()):
    """A row of seconds that must not be above a limit."""
    a = median(here)
    text = "" if beside is None else ms(median(beside)) + beside_name
    half = "half of the rounds: %s; the best: %s" % (middle_half(here),
                                                     ms(min(here)))
    return Row(group, what, ms(a), text, "", "<= " + ms(limit), a <= limit,
               [half, *notes],
               {"here": here, "beside": beside, "limit": limit})


def write(rows, out):
    widths = [max([len(head)] + [len(r.cells()[i]) for r in rows])
              for i, head in enumerate(COLUMNS)]

    def line(cells):
        out.write(("  " + "  ".join(
            cell.ljust(width) for cell, width in zip(cells, widths))
            ).rstrip() + "\n")

    line(COLUMNS)
    line(["-" * width for width in widths])
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            out.write("\n%s\n" % group)
        line(row.cells())
        for note in row.notes:
            out.write("      %s\n" % note)
    judged = [r for r in rows if r.reached is not None]
    missed = [r for r in judged if not r.reached]
    out.write("\n%d rows, %d with a bar: %d reached, %d missed%s\n" % (
        len(rows), len(judged), len(judged) - len(missed), len(missed),
        "".join("\n  missed: %s (%s; bar %s)" % (
            r.what, r.so or r.here, r.bar) for r in missed)))
