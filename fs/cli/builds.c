/* SPDX-License-Identifier: Apache-2.0 */
#include "builds.h"

#include "cli.h"
#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/tree.h"
#include "resolver/lockfile.h"
#include "resolver/pick.h"
#include "resolver/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gather {
	const struct cli *c;
	struct world *w;
	struct builds *out;
	const struct lock_entry *entry; /* of the kernel at hand */
	struct err *err;
};

int builds_check(const struct cli *c, struct err *err)
{
	struct ref ref;

	if (c->count == 0 && !c->o->lock)
		return err_set(err, EINVAL,
			       "name kernels, or a lock file: --lock=FILE");
	for (size_t i = 0; i < c->count; i++) {
		int r = ref_parse(&ref, c->words[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

void builds_done(struct builds *b)
{
	for (size_t i = 0; i < b->count; i++)
		tree_unref(b->items[i].tree);
	free(b->items);
	*b = (struct builds){ .items = NULL };
}

static struct build *find(const struct builds *b, const struct repo_id *repo,
			  const char *commit, const char *variant)
{
	for (size_t i = 0; i < b->count; i++)
		if (repo_equal(&b->items[i].repo, repo) &&
		    !strcmp(b->items[i].commit, commit) &&
		    !strcmp(b->items[i].variant, variant))
			return &b->items[i];
	return NULL;
}

/* `commit` of a locked kernel is its entry's, whoever came to it first. */
static int add(struct gather *g, const struct build *build)
{
	struct build *more =
		find(g->out, &build->repo, build->commit, build->variant);

	if (more) {
		more->entry = more->entry ? more->entry : build->entry;
		return 0;
	}
	more = reallocarray(g->out->items, g->out->count + 1, sizeof(*more));
	if (!more)
		return err_errno(g->err, ENOMEM, "builds");
	g->out->items = more;
	more += g->out->count++;
	*more = *build;
	(void)tree_ref(more->tree);
	return 0;
}

static void start_build(struct build *b, const struct gather *g,
			const struct repo_id *repo, const char *commit,
			const char *revision)
{
	*b = (struct build){ .repo = *repo, .entry = g->entry };
	(void)text_copy(b->commit, sizeof(b->commit), commit);
	(void)text_copy(b->revision, sizeof(b->revision),
			*revision ? revision : commit);
}

/* ---- the chosen one, and what it needs ---- */

static int add_depend(struct gather *g, const struct pick_depend *d)
{
	struct build b;

	start_build(&b, g, &d->repo, d->commit, d->asked.rev);
	b.entry = NULL;
	b.tree = d->tree;
	if (!d->tree || text_copy(b.variant, sizeof(b.variant), d->variant) < 0)
		return 0;
	return add(g, &b);
}

static int add_pick(struct gather *g, const struct pick *p,
		    const char *revision)
{
	struct build b;
	int r;

	start_build(&b, g, &p->repo, p->commit, revision);
	b.tree = p->tree;
	if (text_copy(b.variant, sizeof(b.variant), p->variant) < 0)
		return err_set(g->err, ENAMETOOLONG, "'%.80s'", p->variant);
	r = add(g, &b);
	for (size_t i = 0; r == 0 && i < p->depend_count; i++)
		r = add_depend(g, &p->depends[i]);
	return r;
}

static int add_chosen(struct gather *g, const struct resolve_commit *rc,
		      const char *revision)
{
	AUTO(resolve_drop) struct resolve_answer a = { .memo = NULL };
	const struct pick *p;
	int r = resolve_pick_blocking(g->w->resolve, &rc->repo, rc->commit,
				      &g->w->env, &a, g->err);

	if (r < 0)
		return r;
	p = resolve_value(&a);
	if (p->refused || !p->variant || !p->tree)
		return err_set(g->err, p->refused ? p->refused : ERR_NO_BUILD,
			       "'%s/%s@%s': %s", rc->repo.owner, rc->repo.name,
			       revision, p->why);
	return add_pick(g, p, revision);
}

/* ---- all of them ---- */

static int add_variant(struct gather *g, const struct resolve_commit *rc,
		       const char *revision, const char *variant)
{
	AUTO(resolve_drop) struct resolve_answer a = { .memo = NULL };
	struct build b;
	int r = resolve_build_blocking(g->w->resolve, &rc->repo, rc->commit,
				       variant, &a, g->err);

	if (r < 0)
		return r;
	start_build(&b, g, &rc->repo, rc->commit, revision);
	b.tree = resolve_tree(&a);
	if (text_copy(b.variant, sizeof(b.variant), variant) < 0)
		return 0; /* no file system could show it */
	return add(g, &b);
}

static int add_all(struct gather *g, const struct resolve_commit *rc,
		   const char *revision)
{
	AUTO(resolve_drop) struct resolve_answer a = { .memo = NULL };
	struct tree *names;
	int r = resolve_folder_blocking(g->w->resolve, &rc->repo, rc->commit,
					"build", &a, g->err);

	if (r < 0)
		return r;
	names = resolve_tree(&a);
	for (uint32_t i = tree_first(names, TREE_NONE);
	     r == 0 && i != TREE_NONE; i = tree_next(names, i)) {
		struct tree_entry e;

		tree_get(names, i, &e);
		if (e.kind == TREE_FOLDER)
			r = add_variant(g, rc, revision, e.name);
	}
	return r;
}

/* ---- kernels ---- */

static int add_kernel(struct gather *g, const struct ref *ref,
		      const char *revision)
{
	AUTO(resolve_drop) struct resolve_answer a = { .memo = NULL };
	const struct resolve_commit *rc;
	int r = resolve_commit_blocking(g->w->resolve, ref, &a, g->err);

	if (r < 0)
		return r;
	rc = resolve_value(&a);
	if (!revision)
		revision = rc->revision;
	return g->c->o->all_variants ? add_all(g, rc, revision)
				     : add_chosen(g, rc, revision);
}

/* The same failure of each of many is one sentence each, and one result. */
static int note_failure(struct gather *g, const char *what, int r)
{
	if (r == 0 || r == -ENOMEM)
		return r;
	if (setup_interrupted())
		return r;
	/* Who asks only what is here did not choose to be offline. */
	if (r == -ENETUNREACH && g->out->here_only)
		(void)err_set(g->err, ENETUNREACH,
			      "'%.300s' is not in the cache; `kernelfs fetch` "
			      "brings it",
			      what);
	cli_say_failure(r, g->err);
	*g->err = (struct err)ERR_INIT;
	g->out->worst = r;
	return 0;
}

static int add_entry(struct gather *g, const struct lock_entry *e)
{
	struct ref ref = { .repo = e->repo, .kind = REV_COMMIT };
	char revision[REF_REV_MAX + 1] = "";

	(void)text_copy(ref.rev, sizeof(ref.rev), e->commit);
	if (e->has_version)
		(void)snprintf(revision, sizeof(revision), "v%llu",
			       (unsigned long long)e->version);
	else
		(void)text_copy(revision, sizeof(revision), e->revision);
	g->entry = e;
	return add_kernel(g, &ref, *revision ? revision : e->commit);
}

static int note_entry(struct gather *g, const struct lock_entry *e)
{
	char what[REF_TEXT_MAX];

	if (e->has_version)
		(void)snprintf(what, sizeof(what), "%s/%s@v%llu", e->repo.owner,
			       e->repo.name, (unsigned long long)e->version);
	else
		(void)snprintf(what, sizeof(what), "%s/%s@%s", e->repo.owner,
			       e->repo.name, e->commit);
	return note_failure(g, what, add_entry(g, e));
}

int builds_gather(struct builds *out, const struct cli *c, struct world *w,
		  struct err *err)
{
	struct gather g = { .c = c, .w = w, .out = out, .err = err };
	struct ref ref;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->count; i++) {
		r = ref_parse(&ref, c->words[i], err);
		if (r == 0)
			r = note_failure(&g, c->words[i],
					 add_kernel(&g, &ref, NULL));
	}
	for (size_t i = 0; r == 0 && c->count == 0 && i < w->lock.count; i++)
		r = note_entry(&g, &w->lock.entries[i]);
	return r;
}
