/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pick for programs. Fields are added, never renamed.
 */
#include "pick.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static void add_member(struct text *out, const char *name, const char *value)
{
	text_printf(out, "\"%s\": ", name);
	if (value)
		text_add_json(out, value);
	else
		text_add(out, "null");
	text_add(out, ", ");
}

/* "a/b@<commit>/build/<variant>", and "/<package>" when nested. */
static void add_place(const struct repo_id *repo, const char *commit,
		      const char *variant, const char *nested, struct text *out)
{
	text_printf(out, "%s/%s@%s/build/%s%s%s", repo->owner, repo->name,
		    commit, variant, nested ? "/" : "", nested ? nested : "");
}

static void add_path(const char *mountpoint, const struct repo_id *repo,
		     const char *commit, const char *variant,
		     const char *nested, struct text *out)
{
	struct text path = TEXT_INIT(1 << 15);

	if (mountpoint && variant) {
		text_printf(&path, "%s/", mountpoint);
		add_place(repo, commit, variant, nested, &path);
		text_add_json(out, text_str(&path));
	} else {
		text_add(out, "null");
	}
	text_done(&path);
}

static void add_repo(const struct repo_id *repo, struct text *out)
{
	char name[2 * REF_PART_MAX + 2];

	(void)snprintf(name, sizeof(name), "%s/%s", repo->owner, repo->name);
	add_member(out, "repo", name);
}

static bool is_dirty(const struct pick_own *o)
{
	return o->dirty || o->builder_dirty;
}

static void add_decisions(const struct decisions *ds, struct text *out)
{
	text_add(out, "[");
	for (size_t i = 0; i < ds->count; i++) {
		const struct decision *d = &ds->items[i];

		text_add(out, i ? ", {" : "{");
		add_member(out, "variant", d->name);
		text_printf(out, "\"accepted\": %s, \"reason\": ",
			    d->accepted ? "true" : "false");
		text_add_json(out, d->reason);
		text_add_char(out, '}');
	}
	text_add(out, "]");
}

static void add_depends(const struct pick *p, const char *mountpoint,
			struct text *out)
{
	text_add(out, "[");
	for (size_t i = 0; i < p->depend_count; i++) {
		const struct pick_depend *d = &p->depends[i];

		text_add(out, i ? ", {" : "{");
		add_repo(&d->repo, out);
		add_member(out, "revision", d->asked.rev);
		add_member(out, "commit", d->commit);
		add_member(out, "variant", d->variant);
		text_printf(out, "\"dirty\": %s, \"path\": ",
			    is_dirty(&d->own) ? "true" : "false");
		add_path(mountpoint, &d->repo, d->commit, d->variant,
			 d->nested ? d->package : NULL, out);
		text_add_char(out, '}');
	}
	text_add(out, "]");
}

static void add_strings(char *const *items, size_t count, struct text *out)
{
	text_add_char(out, '[');
	for (size_t i = 0; i < count; i++) {
		text_add(out, i ? ", " : "");
		text_add_json(out, items[i]);
	}
	text_add_char(out, ']');
}

static void add_minver(const struct pick_own *o, struct text *out)
{
	text_add(out, "\"minver\": ");
	if (o->minver[0])
		text_add_json(out, o->minver);
	else
		text_add(out, "null");
}

void pick_json(const struct pick *p, const char *revision,
	       const char *mountpoint, struct text *out)
{
	text_add_char(out, '{');
	add_repo(&p->repo, out);
	add_member(out, "revision", revision);
	add_member(out, "commit", p->commit);
	add_member(out, "package", p->package);
	add_member(out, "variant", p->variant);
	text_add(out, "\"path\": ");
	add_path(mountpoint, &p->repo, p->commit, p->variant,
		 p->nested ? p->package : NULL, out);
	text_add(out, ", ");
	if (p->refused)
		add_member(out, "refused", p->why);
	text_add(out, "\"environment\": ");
	env_json(&p->env, out);
	text_add(out, ", \"decisions\": ");
	add_decisions(&p->decisions, out);
	text_add(out, ", \"skipped\": ");
	add_strings(p->decisions.skipped, p->decisions.skipped_count, out);
	text_printf(out, ", \"dirty\": %s, \"depends\": ",
		    is_dirty(&p->own) ? "true" : "false");
	add_depends(p, mountpoint, out);
	text_add(out, ", \"python\": ");
	add_strings(p->own.python, p->own.python_count, out);
	text_add(out, ", ");
	add_minver(&p->own, out);
	if (p->lacks.count) {
		text_add(out, ", \"lacking\": {");
		add_member(out, "revision", p->lacking);
		text_add(out, "\"decisions\": ");
		add_decisions(&p->lacks, out);
		text_add_char(out, '}');
	}
	text_add(out, "}\n");
}

/* ---- for the door ---- */

static bool comes_again(const struct pick *p, const struct pick_own *o,
			size_t i)
{
	const struct repo_id *repo = &p->depends[o->needs[i]].asked.repo;

	for (size_t k = i + 1; k < o->need_count; k++) {
		if (repo_equal(&p->depends[o->needs[k]].asked.repo, repo))
			return true;
	}
	return false;
}

/* What the code may ask for, and under which name it stands in `kernels`.
 * Of a repository that is named twice it gets the later one. */
static void add_own(const struct pick *p, const struct pick_own *o,
		    struct text *out)
{
	const char *between = "";

	text_add(out, "\"needs\": {");
	for (size_t i = 0; i < o->need_count; i++) {
		const struct ref *asked = &p->depends[o->needs[i]].asked;
		char repo[2 * REF_PART_MAX + 2], name[REF_TEXT_MAX];

		if (comes_again(p, o, i))
			continue;
		(void)snprintf(repo, sizeof(repo), "%s/%s", asked->repo.owner,
			       asked->repo.name);
		ref_print(asked, name);
		text_add(out, between);
		text_add_json(out, repo);
		text_add(out, ": ");
		text_add_json(out, name);
		between = ", ";
	}
	text_add(out, "}, \"python\": ");
	add_strings(o->python, o->python_count, out);
	text_add(out, ", ");
	add_minver(o, out);
}

void pick_depends_json(const struct pick *p, struct text *out)
{
	text_add_char(out, '{');
	add_own(p, &p->own, out);
	text_printf(out, ", \"backend\": \"%s\", \"kernels\": {",
		    env_backend_name(p->env.backend));
	for (size_t i = 0; i < p->depend_count; i++) {
		const struct pick_depend *d = &p->depends[i];
		struct text path = TEXT_INIT(1 << 12);
		char name[REF_TEXT_MAX];

		ref_print(&d->asked, name);
		text_add(out, i ? ", " : "");
		text_add_json(out, name);
		text_add(out, ": {\"path\": ");
		add_place(&d->repo, d->commit, d->variant,
			  d->nested ? d->package : NULL, &path);
		text_add_json(out, text_str(&path));
		text_add(out, ", ");
		add_member(out, "id", d->own.id);
		add_member(out, "package", d->package);
		add_own(p, &d->own, out);
		text_add_char(out, '}');
		text_done(&path);
	}
	text_add(out, "}}\n");
}
