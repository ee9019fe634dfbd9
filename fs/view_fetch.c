/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an open makes come: the rest of its build, and the builds of the
 * kernels that it needs.
 */
#include "ahead.h"
#include "view_in.h"

#include "base/io.h"
#include "base/text.h"
#include "kernels/catalog.h"
#include "kernels/tree.h"
#include "resolver/pick.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int view_in_refused(const struct pick *p)
{
	return p->refused == EACCES || p->refused == EPERM ? p->refused
							   : ENOENT;
}

static bool is_library(const char *name)
{
	return text_ends(name, ".so") || strstr(name, ".so.") != NULL;
}

/* Reading these means that the build will be used: all of it is wanted. */
static bool wants_all(const char *path, const char *package)
{
	size_t len = strlen(package);

	if (is_library(path) || !strcmp(path, "__init__.py"))
		return true;
	return !strncmp(path, package, len) &&
	       !strcmp(path + len, "/__init__.py");
}

/* The build that a file is in, or NULL. */
static struct node *build_of(const struct node *file)
{
	struct node *n = file->parent;

	while (n && (n->kind != NODE_VARIANT || n->parent->kind != NODE_BUILDS))
		n = n->parent;
	return n;
}

void view_in_used(struct view *v, const struct node *n,
		  const struct repo_id *repo, const char *commit)
{
	uint32_t hour = (uint32_t)(io_wall_s() / 3600);
	struct node *build = build_of(n);

	if (!build ||
	    __atomic_exchange_n(&build->used_h, hour, __ATOMIC_RELAXED) == hour)
		return;
	catalog_used(v->world->catalog, repo, commit, build->name);
	/* with bytecode at hand its libraries are all that is read of it */
	ahead_build(v->world->ahead, repo, build->tree, AHEAD_LIBRARIES);
}

static void fetch_one(struct view *v, const struct repo_id *repo,
		      const char *commit, const char *variant,
		      struct tree *tree, const char *first)
{
	char dir[VIEW_TARGET_MAX];
	const struct fetch_files files = {
		.repo = repo,
		.commit = commit,
		.dir = dir,
		.tree = tree,
		.first = first,
	};

	(void)snprintf(dir, sizeof(dir), "build/%s", variant);
	/* What cannot be queued now is fetched when it is read. */
	(void)fetch_build(v->world->fetch, &files, FETCH_SOON);
}

static void fetch_needed(struct view *v, const struct pick *p)
{
	for (size_t i = 0; i < p->depend_count; i++) {
		const struct pick_depend *d = &p->depends[i];

		fetch_one(v, &d->repo, d->commit, d->variant, d->tree, NULL);
	}
}

void view_in_fetch_pick(struct view *v, const struct pick *p)
{
	fetch_one(v, &p->repo, p->commit, p->variant, p->tree, NULL);
	fetch_needed(v, p);
}

struct pick_search {
	struct view *v;
	const struct repo_id *repo;
	const char *commit;
	const char *variant;
};

/* Whoever opens this build, some environment chose it: one pick of it says
 * what it needs, since that stands in the build. */
static int fetch_if_same(void *arg, const struct pick *p)
{
	const struct pick_search *s = arg;

	if (!p->variant || strcmp(p->variant, s->variant) != 0 ||
	    strcmp(p->commit, s->commit) != 0 || !repo_equal(&p->repo, s->repo))
		return 0;
	fetch_needed(s->v, p);
	return 1;
}

void view_in_fetch_around(struct view *v, const struct node *n,
			  const struct repo_id *repo, const char *commit,
			  const char *path, bool here)
{
	struct node *build = build_of(n);
	struct resolve_answer a = { 0 };
	char package[REF_PART_MAX + 1];
	struct pick_search s;
	int found = 0;

	if (!build ||
	    (here && __atomic_load_n(&build->whole, __ATOMIC_RELAXED)))
		return;
	repo_package(repo, package);
	if (!wants_all(path, package))
		return;
	fetch_one(v, repo, commit, build->name, build->tree, path);
	if (__atomic_exchange_n(&build->whole, true, __ATOMIC_RELAXED))
		return;
	if (here && text_ends(path, ".py"))
		ahead_build(v->world->ahead, repo, build->tree,
			    AHEAD_SMALL_FILES);
	s = (struct pick_search){ v, repo, commit, build->name };
	if (resolve_pick(v->world->resolve, repo, commit, &v->world->env, NULL,
			 &a, NULL) == 0) {
		found = fetch_if_same(&s, resolve_value(&a));
		resolve_drop(&a);
	}
	if (!found)
		(void)resolve_each_pick(v->world->resolve, fetch_if_same, &s);
}
