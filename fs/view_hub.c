/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .hub/: the mount as a read-only cache in the layout of huggingface_hub, so
 * that who reads such a cache (KERNELS_CACHE, HF_HUB_OFFLINE=1) finds our
 * builds.
 *
 *	kernels--<owner>--<repo>/refs/<branch or tag>	40 hex, no newline; one
 *		with '/' in its name lies in folders, as the client looks for it
 *	kernels--<owner>--<repo>/snapshots/<commit>/	links to that commit
 *		build/<variant>		a link to the chosen build, no other
 *
 * There is no trees/: a listing of the whole commit makes the client find the
 * snapshot incomplete. There is no blobs/: what is real has one place, and
 * the same inode by every path, or a process that takes a library by two
 * of them ends (TORCH_LIBRARY).
 */
#include "view_in.h"

#include "options.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/catalog.h"
#include "kernels/source.h"
#include "kernels/tree.h"
#include "resolver/lockfile.h"
#include "resolver/pick.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "kernels--"
#define BETWEEN "--"
/* From a snapshot, and from its build/, to the root. */
#define UP "../../../../"

/* No part of a valid name holds "--", so there is one way to read it. */
static bool read_repo(const char *folder, struct repo_id *out)
{
	const char *owner = folder + strlen(PREFIX);
	const char *between;
	size_t n;

	if (!text_starts(folder, PREFIX))
		return false;
	between = strstr(owner, BETWEEN);
	n = between ? (size_t)(between - owner) : 0;
	if (!between || n > REF_PART_MAX ||
	    text_copy(out->name, sizeof(out->name), between + strlen(BETWEEN)))
		return false;
	memcpy(out->owner, owner, n);
	out->owner[n] = '\0';
	return ref_owner_valid(out->owner) && ref_name_valid(out->name);
}

/* What a node below .hub/ stands for; `commit` is "" above a snapshot. */
static void place(const struct node *n, struct repo_id *repo,
		  char commit[REF_COMMIT_LEN + 1])
{
	commit[0] = '\0';
	for (; n->kind != NODE_HUB_REPO; n = n->parent)
		if (n->kind == NODE_HUB_SNAP)
			(void)text_copy(commit, REF_COMMIT_LEN + 1, n->name);
	(void)read_repo(n->name, repo);
}

/* A revision as it stands in refs/ and snapshots/: spelled in full. */
static bool read_revision(const struct repo_id *repo, const char *name,
			  struct ref *out)
{
	char step[REF_PART_MAX + NAME_MAX + 2];

	(void)snprintf(step, sizeof(step), "%s@%.255s", repo->name, name);
	return ref_parse_step(out, repo->owner, step, NULL) == 0 &&
	       !strcmp(out->rev, name);
}

/* What the folders from refs/ down to `dir` spell: "" or "feature/". */
static bool read_steps(const struct node *dir, char out[REF_REV_MAX + 1])
{
	char back[REF_REV_MAX + 1];
	size_t at = REF_REV_MAX;

	back[at] = '\0';
	for (; dir->parent->kind == NODE_HUB_REFS; dir = dir->parent) {
		size_t n = strlen(dir->name);

		if (n >= at)
			return false;
		back[--at] = '/';
		at -= n;
		memcpy(back + at, dir->name, n);
	}
	memcpy(out, back + at, REF_REV_MAX + 1 - at);
	return true;
}

/* A branch or tag by its whole name, '/' and all. */
static bool read_name(const struct repo_id *repo, const char *name,
		      struct ref *out)
{
	char whole[REF_TEXT_MAX];
	int n = snprintf(whole, sizeof(whole), "%s/%s@%s", repo->owner,
			 repo->name, name);

	return (size_t)n < sizeof(whole) && ref_parse(out, whole, NULL) == 0 &&
	       !strcmp(out->rev, name);
}

static bool is_name(const struct ref *ref)
{
	return ref->kind == REV_VERSION || ref->kind == REV_NAME;
}

/* ---- the names in refs/ ---- */

struct listing {
	struct view *v;
	struct view_wait *w;
	const struct repo_id *repo;
	const char *steps; /* of refs/: where it is listed; "" or "feature/" */
	view_add *add;
	void *arg;
	size_t count;
};

/* As it stands in this folder: itself, or the folder that it is in. */
static void offer(struct listing *l, const char *name)
{
	size_t n = strlen(l->steps);
	char step[REF_REV_MAX + 1];
	const char *slash;

	if (strncmp(name, l->steps, n) != 0 || strlen(name) > REF_REV_MAX)
		return;
	name += n;
	slash = strchr(name, '/');
	(void)snprintf(step, sizeof(step), "%.*s",
		       (int)(slash ? (size_t)(slash - name) : strlen(name)),
		       name);
	l->add(l->arg, step, slash ? VIEW_DIR : VIEW_FILE);
	l->count++;
}

/* A name that cannot be resolved (not in the lock, say) is left out: who
 * lists refs/ reads them all. */
static int list_some(struct listing *l, const struct source_ref *refs,
		     size_t count)
{
	for (size_t i = 0; i < count; i++) {
		AUTO(resolve_drop) struct resolve_answer a = { 0 };
		struct ref ref;
		int r;

		if (!read_name(l->repo, refs[i].name, &ref) || !is_name(&ref))
			continue;
		r = resolve_commit(l->v->world->resolve, &ref,
				   view_in_memo(l->w), &a, NULL);
		if (r == -EINPROGRESS || r == -ENOMEM)
			return r;
		if (r == 0)
			offer(l, refs[i].name);
	}
	return 0;
}

static int list_names(struct listing *l, const struct source_refs *refs)
{
	int r = list_some(l, refs->branches, refs->branch_count);

	return r ? r : list_some(l, refs->tags, refs->tag_count);
}

/* What the source said last, in this cache. */
static int list_last_known(struct listing *l)
{
	struct source_refs refs = { .branches = NULL };
	int r = catalog_refs(l->v->world->catalog, l->repo, CATALOG_DISK, &refs,
			     NULL, NULL);

	if (r < 0)
		return 0;
	r = list_names(l, &refs);
	source_refs_done(&refs);
	return r;
}

static int add_decided(void *arg, const struct ref *ref,
		       const struct resolve_commit *c)
{
	struct listing *l = arg;

	(void)c;
	if (repo_equal(&ref->repo, l->repo) && is_name(ref))
		offer(l, ref->rev);
	return 0;
}

/* What the lock names of it, which nobody need be asked for. */
static void list_locked(struct listing *l)
{
	const struct lockfile *lock = &l->v->world->lock;

	for (size_t i = 0; i < lock->count; i++) {
		const struct lock_entry *e = &lock->entries[i];
		char name[REF_REV_MAX + 1];

		if (!repo_equal(&e->repo, l->repo))
			continue;
		if (e->has_version)
			(void)snprintf(name, sizeof(name), "v%" PRIu64,
				       e->version);
		else
			(void)text_copy(name, sizeof(name), e->revision);
		if (*name && !text_is_hex(name, REF_COMMIT_LEN))
			offer(l, name);
	}
}

static int list_refs(struct listing *l, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	int more;
	int r;

	list_locked(l);
	if (l->v->world->options->locked)
		return 0;
	r = resolve_refs(l->v->world->resolve, l->repo, view_in_memo(l->w), &a,
			 err);

	if (r == -EINPROGRESS || r == -ENOMEM)
		return r;
	if (r < 0) {
		/* Nobody can be asked: what is known is there. */
		(void)resolve_each_commit(l->v->world->resolve, add_decided, l);
		more = r == -ENOENT ? 0 : list_last_known(l);
		if (more < 0)
			return more;
		return l->count || r == -ENOENT ? 0 : r;
	}
	return list_names(l, resolve_value(&a));
}

struct finding {
	const char *name;
	bool found;
};

static void find_folder(void *arg, const char *name, enum view_type type)
{
	struct finding *f = arg;

	f->found = f->found || (type == VIEW_DIR && !strcmp(name, f->name));
}

/* 1: the name of a branch or tag goes on below it. */
static int is_folder(const struct look *l, const struct repo_id *repo,
		     const char *steps)
{
	struct finding f = { l->name, false };
	struct listing refs = { .v = l->v,
				.w = l->w,
				.repo = repo,
				.steps = steps,
				.add = find_folder,
				.arg = &f };
	int r = list_refs(&refs, NULL);

	if (r == -EINPROGRESS || r == -ENOMEM)
		return r;
	return f.found;
}

static int look_ref(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char name[REF_REV_MAX + NAME_MAX + 1];
	char steps[REF_REV_MAX + 1];
	char none[REF_COMMIT_LEN + 1];
	const struct resolve_commit *c;
	struct repo_id repo;
	struct ref ref;
	int more;
	int r;

	place(l->dir, &repo, none);
	if (!read_steps(l->dir, steps))
		return view_look_absent(l);
	(void)snprintf(name, sizeof(name), "%s%.255s", steps, l->name);
	if (!read_name(&repo, name, &ref) || !is_name(&ref))
		return view_look_absent(l);
	r = resolve_commit(l->v->world->resolve, &ref, view_in_memo(l->w), &a,
			   l->err);
	if (r == -EINPROGRESS || r == -ENOMEM)
		return r;
	if (r < 0) {
		more = is_folder(l, &repo, steps);
		if (more <= 0)
			return more < 0 ? more : r;
		return view_look_make(
			l, (struct node_make){ .kind = NODE_HUB_REFS });
	}
	c = resolve_value(&a);
	return view_look_make(l, (struct node_make){ .kind = NODE_HUB_REF,
						     .text = c->commit });
}

/* ---- lookup ---- */

static int is_there(void *arg, const struct repo_id *repo, const char *commit)
{
	(void)commit;
	return repo_equal(repo, arg);
}

/* What is cached or locked is there, and nobody is asked. */
static int look_repo(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	struct world *world = l->v->world;
	struct ref ref = { .kind = REV_DEFAULT };
	struct repo_id repo;
	int r;

	if (!read_repo(l->name, &repo))
		return view_look_absent(l);
	ref.repo = repo;
	r = lockfile_default(&world->lock, &repo) ? 1 : 0;
	if (r == 0 && world->options->locked) /* which says so */
		r = resolve_commit(world->resolve, &ref, view_in_memo(l->w), &a,
				   l->err);
	else if (r == 0)
		r = catalog_cached(world->catalog, repo.owner, is_there, &repo);
	if (r <= 0 && !world->options->locked)
		r = resolve_refs(world->resolve, &repo, view_in_memo(l->w), &a,
				 l->err);
	if (r < 0)
		return r;
	return view_look_make(l, (struct node_make){ .kind = NODE_HUB_REPO });
}

static int look_in_repo(const struct look *l)
{
	enum node_kind kind = NODE_HUB_REFS;

	if (!strcmp(l->name, "snapshots"))
		kind = NODE_HUB_SNAPS;
	else if (strcmp(l->name, "refs") != 0)
		return view_look_absent(l);
	return view_look_make(l, (struct node_make){ .kind = kind });
}

static int look_snapshot(const struct look *l)
{
	char none[REF_COMMIT_LEN + 1];
	struct repo_id repo;
	struct ref ref;

	place(l->dir, &repo, none);
	if (!read_revision(&repo, l->name, &ref) || ref.kind != REV_COMMIT)
		return view_look_absent(l);
	return view_look_commit(l, &ref, NODE_HUB_SNAP);
}

/* A link to where it is real. */
static int make_link(const struct look *l, const char *up)
{
	char target[VIEW_TARGET_MAX];
	char commit[REF_COMMIT_LEN + 1];
	struct repo_id repo;

	place(l->dir, &repo, commit);
	(void)snprintf(target, sizeof(target), "%s%s/%s@%s/%s%s", up,
		       repo.owner, repo.name, commit,
		       l->dir->kind == NODE_HUB_BUILDS ? "build/" : "",
		       l->name);
	return view_look_make(
		l, (struct node_make){ .kind = NODE_LINK, .text = target });
}

/* What is ours in a commit's folder is nothing of the repository's. */
static bool is_ours(const char *name)
{
	return !strcmp(name, "python") || !strcmp(name, ".kernelfs") ||
	       !strcmp(name, "build");
}

static int root_of(struct view *v, const struct node *dir, struct view_wait *w,
		   struct resolve_answer *a, struct err *err)
{
	char commit[REF_COMMIT_LEN + 1];
	struct repo_id repo;

	place(dir, &repo, commit);
	return resolve_folder(v->world->resolve, &repo, commit, "",
			      view_in_memo(w), a, err);
}

static int look_in_snapshot(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	int r;

	if (!strcmp(l->name, "build"))
		return view_look_make(
			l, (struct node_make){ .kind = NODE_HUB_BUILDS });
	if (is_ours(l->name))
		return view_look_absent(l);
	r = root_of(l->v, l->dir, l->w, &a, l->err);
	if (r < 0)
		return r;
	if (tree_child(resolve_tree(&a), TREE_NONE, l->name) == TREE_NONE)
		return view_look_absent(l);
	return make_link(l, UP);
}

/* The build that was chosen for the mount; *out is NULL when none fits. */
static int chosen(struct view *v, const struct node *dir, struct view_wait *w,
		  struct resolve_answer *a, const char **out, struct err *err)
{
	char commit[REF_COMMIT_LEN + 1];
	const struct pick *p;
	struct repo_id repo;
	int r;

	place(dir, &repo, commit);
	r = resolve_pick(v->world->resolve, &repo, commit, view_in_env(v, dir),
			 view_in_memo(w), a, err);
	if (r < 0)
		return r;
	p = resolve_value(a);
	if (p->refused && view_in_refused(p) != ENOENT)
		return err_set(err, view_in_refused(p), "%s/%s: %s", repo.owner,
			       repo.name, p->why);
	*out = p->variant;
	return 0;
}

static int look_build(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	const char *variant = NULL;
	int r = chosen(l->v, l->dir, l->w, &a, &variant, l->err);

	if (r < 0)
		return r;
	if (!variant || strcmp(l->name, variant) != 0)
		return view_look_absent(l);
	return make_link(l, "../" UP);
}

int view_hub_look(const struct look *l)
{
	switch (l->dir->kind) {
	case NODE_HUB:
		return look_repo(l);
	case NODE_HUB_REPO:
		return look_in_repo(l);
	case NODE_HUB_REFS:
		return look_ref(l);
	case NODE_HUB_SNAPS:
		return look_snapshot(l);
	case NODE_HUB_SNAP:
		return look_in_snapshot(l);
	default:
		return look_build(l);
	}
}

/* ---- listing ---- */

static int add_commit(void *arg, const struct ref *ref,
		      const struct resolve_commit *c)
{
	struct listing *l = arg;

	(void)ref;
	if (repo_equal(&c->repo, l->repo))
		l->add(l->arg, c->commit, VIEW_DIR);
	return 0;
}

static int add_cached(void *arg, const struct repo_id *repo, const char *commit)
{
	struct listing *l = arg;

	if (repo_equal(repo, l->repo))
		l->add(l->arg, commit, VIEW_DIR);
	return 0;
}

static int list_commits(struct listing *l, struct err *err)
{
	int r = catalog_cached(l->v->world->catalog, l->repo->owner, add_cached,
			       l);

	(void)resolve_each_commit(l->v->world->resolve, add_commit, l);
	return r < 0 ? err_errno(err, -r, "list the cached commits") : 0;
}

static int list_snapshot(struct listing *l, const struct node *dir,
			 struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	int r = root_of(l->v, dir, l->w, &a, err);
	struct tree_entry e;

	if (r < 0)
		return r;
	for (uint32_t i = tree_first(resolve_tree(&a), TREE_NONE);
	     i != TREE_NONE; i = tree_next(resolve_tree(&a), i)) {
		tree_get(resolve_tree(&a), i, &e);
		if (!is_ours(e.name))
			l->add(l->arg, e.name, VIEW_LINK);
	}
	l->add(l->arg, "build", VIEW_DIR);
	return 0;
}

static int list_build(struct listing *l, const struct node *dir,
		      struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	const char *variant = NULL;
	int r = chosen(l->v, dir, l->w, &a, &variant, err);

	if (r == 0 && variant)
		l->add(l->arg, variant, VIEW_LINK);
	return r;
}

int view_hub_list(struct view *v, const struct node *dir, struct view_wait *w,
		  view_add *add, void *arg, struct err *err)
{
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	char steps[REF_REV_MAX + 1] = "";
	struct listing l = { v, w, &repo, steps, add, arg, 0 };

	place(dir, &repo, commit);
	switch (dir->kind) {
	case NODE_HUB_REPO:
		add(arg, "refs", VIEW_DIR);
		add(arg, "snapshots", VIEW_DIR);
		return 0;
	case NODE_HUB_REFS:
		return read_steps(dir, steps) ? list_refs(&l, err) : 0;
	case NODE_HUB_SNAPS:
		return list_commits(&l, err);
	case NODE_HUB_SNAP:
		return list_snapshot(&l, dir, err);
	default:
		return list_build(&l, dir, err);
	}
}
