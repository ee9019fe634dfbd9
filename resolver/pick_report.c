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

static int longest_name(const struct pick *p)
{
	size_t longest = 0;

	for (size_t i = 0; i < p->decisions.count; i++) {
		size_t n = strlen(p->decisions.items[i].name);

		longest = n > longest ? n : longest;
	}
	return (int)(longest < 60 ? longest : 60);
}

static const char *verdict(const struct pick *p, size_t i)
{
	const struct decision *d = &p->decisions.items[i];

	if (!d->accepted)
		return d->reason;
	if (p->refused)
		return "fits, not used";
	return i == 0 ? "chosen" : "fits too";
}

static void add_lines(const struct pick *p, const char *indent,
		      struct text *out)
{
	int width = longest_name(p);

	for (size_t i = 0; i < p->decisions.count; i++) {
		const struct decision *d = &p->decisions.items[i];
		const char *mark = !d->accepted		  ? "✗"
				   : i == 0 && p->variant ? "→"
							  : "✓";

		text_printf(out, "%s%s %-*s  %s\n", indent, mark, width,
			    d->name, verdict(p, i));
	}
	for (size_t i = 0; i < p->decisions.skipped_count; i++)
		text_printf(out, "%s? %-*s  not the name of a build\n", indent,
			    width, p->decisions.skipped[i]);
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
	if (p->dirty)
		text_add(out, "  note         built from uncommitted "
			      "sources, says its metadata\n");
	if (p->decisions.count + p->decisions.skipped_count)
		text_add_char(out, '\n');
	add_lines(p, "  ", out);
}

void pick_why(const struct pick *p, const char *revision, struct text *out)
{
	add_name(p, revision, out);
	text_printf(out, ": %s\n  commit: %s\n  environment: %s\n", p->why,
		    p->commit, p->spec);
	add_lines(p, "  ", out);
}

static void add_member(struct text *out, const char *name, const char *value)
{
	text_printf(out, "\"%s\": ", name);
	if (value)
		text_add_json(out, value);
	else
		text_add(out, "null");
	text_add(out, ", ");
}

void pick_json(const struct pick *p, const char *revision, const char *path,
	       struct text *out)
{
	char repo[2 * REF_PART_MAX + 2];

	(void)snprintf(repo, sizeof(repo), "%s/%s", p->repo.owner,
		       p->repo.name);
	text_add_char(out, '{');
	add_member(out, "repo", repo);
	add_member(out, "revision", revision);
	add_member(out, "commit", p->commit);
	add_member(out, "package", p->package);
	add_member(out, "variant", p->variant);
	add_member(out, "path", p->variant ? path : NULL);
	if (p->refused)
		add_member(out, "refused", p->why);
	text_add(out, "\"environment\": ");
	env_json(&p->env, out);
	text_add(out, ", \"decisions\": [");
	for (size_t i = 0; i < p->decisions.count; i++) {
		const struct decision *d = &p->decisions.items[i];

		text_add(out, i ? ", {" : "{");
		add_member(out, "variant", d->name);
		text_printf(out, "\"accepted\": %s, \"reason\": ",
			    d->accepted ? "true" : "false");
		text_add_json(out, d->reason);
		text_add_char(out, '}');
	}
	text_add(out, "], \"skipped\": [");
	for (size_t i = 0; i < p->decisions.skipped_count; i++) {
		text_add(out, i ? ", " : "");
		text_add_json(out, p->decisions.skipped[i]);
	}
	text_add(out, "]}\n");
}
