/* SPDX-License-Identifier: Apache-2.0 */
#include "pick.h"

#include "pick_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/metadata.h"
#include "kernels/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void own_done(struct pick_own *o)
{
	for (size_t i = 0; i < o->python_count; i++)
		free(o->python[i]);
	free(o->python);
	free(o->needs);
	free(o->id);
	memset(o, 0, sizeof(*o));
}

static void drop_choice(struct pick *p)
{
	for (size_t i = 0; i < p->depend_count; i++) {
		tree_unref(p->depends[i].tree);
		own_done(&p->depends[i].own);
	}
	free(p->depends);
	p->depends = NULL;
	p->depend_count = 0;
	own_done(&p->own);
	tree_unref(p->tree);
	p->tree = NULL;
	p->variant = NULL;
}

void pick_free(struct pick *p)
{
	if (!p)
		return;
	drop_choice(p);
	decisions_done(&p->decisions);
	decisions_done(&p->lacks);
	free(p);
}

void pick_refuse(struct pick *p, int code, const char *why)
{
	drop_choice(p);
	p->nested = false;
	p->refused = code;
	(void)snprintf(p->why, sizeof(p->why), "%s", why);
}

static void auto_pick(struct pick **p)
{
	pick_free(*p);
}

static void auto_tree(struct tree **t)
{
	tree_unref(*t);
}

/* The names of the folders in build/, borrowed from the listing. */
static int folder_names(const struct tree *builds, const char ***out,
			size_t *count, struct err *err)
{
	const char **names = calloc(tree_count(builds) + 1, sizeof(*names));
	size_t n = 0;

	if (!names)
		return err_errno(err, ENOMEM, "list the builds");
	for (uint32_t i = tree_first(builds, TREE_NONE); i != TREE_NONE;
	     i = tree_next(builds, i)) {
		struct tree_entry e;

		tree_get(builds, i, &e);
		if (e.kind == TREE_FOLDER)
			names[n++] = e.name;
	}
	*out = names;
	*count = n;
	return 0;
}

static bool has_file(const struct tree *t, const char *path)
{
	uint32_t i = tree_find(t, path);
	struct tree_entry e;

	if (i == TREE_NONE)
		return false;
	tree_get(t, i, &e);
	return e.kind == TREE_FILE;
}

static int judge_metadata(const struct text *json, const struct tree *tree,
			  struct metadata *meta, char reason[CHOOSE_REASON_MAX],
			  struct err *err)
{
	struct err why = ERR_INIT;
	int r = metadata_parse(meta, text_str(json), json->len, &why);

	if (r == 0) {
		r = metadata_complete(meta, tree, &why);
		if (r < 0)
			metadata_done(meta);
	}
	if (r == -ENOMEM)
		return err_errno(err, ENOMEM, "read the metadata");
	if (r < 0) {
		(void)snprintf(reason, CHOOSE_REASON_MAX, "%.*s",
			       CHOOSE_REASON_MAX - 1, err_text(&why));
		return 0;
	}
	return 1;
}

/* Move what a chosen build says of itself. */
static void take_own(struct pick_own *o, struct metadata *m)
{
	o->id = TAKE(m->id);
	o->python = TAKE(m->python_depends);
	o->python_count = m->python_count;
	m->python_count = 0;
	memcpy(o->minver, m->minver, sizeof(o->minver));
	o->dirty = m->dirty;
	o->builder_dirty = m->builder_dirty;
}

static void give_up(const struct pick *p, const struct pick_world *w,
		    const char *variant, struct tree *tree)
{
	if (w->given_up)
		w->given_up(w->ctx, p, variant, tree);
}

/*
 * Is this accepted build whole and importable? 1 with p's fields and *meta
 * set, 0 with the reason, -errno when the world could not answer.
 */
static int judge(struct pick *p, const char *variant,
		 const struct pick_world *w, struct metadata *meta,
		 char reason[CHOOSE_REASON_MAX], struct err *err)
{
	AUTO(auto_tree) struct tree *tree = NULL;
	AUTO(auto_text) struct text json = TEXT_INIT(METADATA_BYTES_MAX);
	char nested[REF_PART_MAX + 16];
	bool inside;
	int r;

	r = w->listing(w->ctx, p, variant, &tree, err);
	if (r < 0)
		return r;
	r = w->metadata(w->ctx, p, variant, tree, &json, err);
	if (r == -ENOENT) {
		(void)snprintf(reason, CHOOSE_REASON_MAX,
			       "incomplete upload: no metadata.json");
		return 0;
	}
	if (r == -EFBIG) { /* its fault, not that of the other builds */
		(void)snprintf(reason, CHOOSE_REASON_MAX,
			       "metadata: more than %u bytes",
			       METADATA_BYTES_MAX);
		return 0;
	}
	if (r < 0)
		return r;
	(void)snprintf(nested, sizeof(nested), "%s/__init__.py", p->package);
	inside = !has_file(tree, "__init__.py");
	r = judge_metadata(&json, tree, meta, reason, err);
	if (r == 0)
		give_up(p, w, variant, tree);
	if (r != 1)
		return r;
	if (inside && !has_file(tree, nested)) {
		metadata_done(meta);
		give_up(p, w, variant, tree);
		(void)snprintf(reason, CHOOSE_REASON_MAX,
			       "no __init__.py, neither in the build nor in "
			       "its folder '%.96s'",
			       p->package);
		return 0;
	}
	take_own(&p->own, meta);
	p->nested = inside;
	p->tree = TAKE(tree);
	return 1;
}

/* Take the first accepted build that stands up to a closer look. */
static int settle(struct pick *p, const struct pick_world *w,
		  struct metadata *meta, struct err *err)
{
	while (p->decisions.accepted > 0) {
		char reason[CHOOSE_REASON_MAX] = "";
		int r = judge(p, p->decisions.items[0].name, w, meta, reason,
			      err);

		if (r < 0)
			return r;
		if (r == 1) {
			p->variant = p->decisions.items[0].name;
			return 0;
		}
		decisions_refuse(&p->decisions, 0, reason);
	}
	pick_refuse(p, ERR_NO_BUILD,
		    p->decisions.count ? "no build fits this environment"
				       : "this revision has no builds");
	return 0;
}

static int choose_among(struct pick *p, const struct pick_world *w,
			struct err *err)
{
	AUTO(auto_tree) struct tree *builds = NULL;
	AUTO(auto_free) const char **names = NULL;
	size_t count = 0;
	int r;

	r = w->builds(w->ctx, p, &builds, err);
	if (r == -ENOENT)
		return 0; /* an existing commit without build/ */
	if (r < 0)
		return r;
	r = folder_names(builds, &names, &count, err);
	if (r < 0)
		return r;
	return choose(&p->decisions, names, count, &p->env, err);
}

struct pick *pick_new(const struct repo_id *repo, const char *commit,
		      const struct env *env)
{
	struct pick *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->repo = *repo;
	p->env = *env;
	(void)text_copy(p->commit, sizeof(p->commit), commit);
	env_print(env, p->spec);
	repo_package(repo, p->package);
	return p;
}

int pick_decide(struct pick *p, const struct pick_world *w,
		struct metadata *meta, struct err *err)
{
	char why[sizeof(p->why)];
	int r;

	memset(meta, 0, sizeof(*meta));
	r = choose_among(p, w, err);
	if (r < 0)
		return r;
	r = w->trusted(w->ctx, p, err);
	if (r < 0)
		return r;
	if (r > 0)
		return settle(p, w, meta, err);
	(void)snprintf(why, sizeof(why),
		       "publisher '%s' is not trusted: its source does not "
		       "mark it as a trusted kernel publisher; if you trust "
		       "it, say --trust=%s or --trust=%s/%s",
		       p->repo.owner, p->repo.owner, p->repo.owner,
		       p->repo.name);
	pick_refuse(p, ERR_REFUSED, why);
	return 0;
}

int pick_make(struct pick **out, const struct repo_id *repo, const char *commit,
	      const struct env *env, const struct pick_world *world,
	      struct err *err)
{
	AUTO(auto_pick) struct pick *p = pick_new(repo, commit, env);
	struct metadata meta;
	int r;

	if (!p)
		return err_errno(err, ENOMEM, "choose a build");
	r = pick_decide(p, world, &meta, err);
	if (r == 0 && p->variant)
		r = pick_decide_depends(p, &meta, world, err);
	metadata_done(&meta);
	if (r < 0)
		return r;
	*out = TAKE(p);
	return 0;
}
