/* SPDX-License-Identifier: Apache-2.0 */
#include "pick.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* "owner/repo", and "@rev" when one was asked for. */
static void add_name(const struct pick *p, const char *revision,
		     struct text *out)
{
	text_printf(out, "%s/%s", p->repo.owner, p->repo.name);
	if (*revision)
		text_printf(out, "@%s", revision);
}

static int longest_name(const struct decisions *ds)
{
	size_t longest = 0;

	for (size_t i = 0; i < ds->count; i++) {
		size_t n = strlen(ds->items[i].name);

		longest = n > longest ? n : longest;
	}
	return (int)(longest < 60 ? longest : 60);
}

/* `refused`: nothing is used, whatever fits. */
static const char *verdict(const struct decisions *ds, size_t i, bool refused)
{
	const struct decision *d = &ds->items[i];

	if (!d->accepted)
		return d->reason;
	if (refused)
		return "fits, not used";
	return i == 0 ? "chosen" : "fits too";
}

static void add_lines(const struct decisions *ds, bool refused,
		      struct text *out)
{
	int width = longest_name(ds);

	for (size_t i = 0; i < ds->count; i++) {
		const struct decision *d = &ds->items[i];
		const char *mark = !d->accepted		? "✗"
				   : i == 0 && !refused ? "→"
							: "✓";

		text_printf(out, "  %s %-*s  %s\n", mark, width, d->name,
			    verdict(ds, i, refused));
	}
	for (size_t i = 0; i < ds->skipped_count; i++)
		text_printf(out, "  ? %-*s  not the name of a build\n", width,
			    ds->skipped[i]);
}

/* The builds of the needed kernel that has none for us. */
static void add_lacks(const struct pick *p, struct text *out)
{
	if (p->lacks.count + p->lacks.skipped_count == 0)
		return;
	text_printf(out, "\n%s:\n", p->lacking);
	add_lines(&p->lacks, true, out);
}

static const char *dirty_parts(const struct pick_own *o)
{
	if (o->dirty && o->builder_dirty)
		return "kernel source, kernel-builder";
	return o->dirty ? "kernel source" : "kernel-builder";
}

static void add_dirty(const struct pick_own *o, const char *label,
		      struct text *out)
{
	if (o->dirty || o->builder_dirty)
		text_printf(out,
			    "%sbuilt from a dirty git tree (%s had "
			    "uncommitted changes), says its metadata\n",
			    label, dirty_parts(o));
}

static void add_needs(const struct pick *p, struct text *out)
{
	const char *label = "needs        ";
	char name[REF_TEXT_MAX];

	/* the nearest first, as a person asks */
	for (size_t i = p->depend_count; i-- > 0;) {
		const struct pick_depend *d = &p->depends[i];

		ref_print(&d->asked, name);
		text_printf(out, "  %s%s -> %s/%s@%s, %s\n", label, name,
			    d->repo.owner, d->repo.name, d->commit, d->variant);
		add_dirty(&d->own, "               ", out);
		label = "             ";
	}
	for (size_t i = 0; i < p->own.python_count; i++)
		text_printf(out, "  %s%s\n",
			    i ? "             " : "python needs ",
			    p->own.python[i]);
	if (p->own.minver[0])
		text_printf(out, "  kernels      %s or later\n", p->own.minver);
}

void pick_report(const struct pick *p, const char *revision, struct text *out)
{
	add_name(p, revision, out);
	text_printf(out, "\n  commit       %s\n  environment  %s\n", p->commit,
		    p->spec);
	text_printf(
		out, "  build        %s%s\n",
		p->variant ? p->variant : "none: ", p->variant ? "" : p->why);
	if (p->nested && p->variant)
		text_printf(out, "  package      %s/%s\n", p->variant,
			    p->package);
	add_dirty(&p->own, "  note         ", out);
	add_needs(p, out);
	if (p->decisions.count + p->decisions.skipped_count)
		text_add_char(out, '\n');
	add_lines(&p->decisions, !p->variant, out);
	add_lacks(p, out);
}

void pick_why(const struct pick *p, const char *revision, struct text *out)
{
	add_name(p, revision, out);
	text_printf(out, ": %s\n  commit: %s\n  environment: %s\n", p->why,
		    p->commit, p->spec);
	add_lines(&p->decisions, !p->variant, out);
	add_lacks(p, out);
}
