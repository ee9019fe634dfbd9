/* SPDX-License-Identifier: Apache-2.0 */
#include "view_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/tree.h"
#include "resolver/pick.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- waiting ---- */

/* More failures than one question can meet on its way. */
#define VIEW_AGAIN_MAX 8

static void memo_done(struct memo_waiter *m, int r, const struct err *err)
{
	struct view_wait *w = map_item(m, struct view_wait, memo);

	/*
	 * A failure is kept for a while, and is an answer then: a commit
	 * without build/ is still a commit, and a .why tells what failed. So
	 * the question is put again and finds it; not for ever, in case it
	 * is not kept.
	 */
	if (r < 0 && r != -ECANCELED && r != -ENOMEM &&
	    w->again++ < VIEW_AGAIN_MAX)
		w->done(w, 0, NULL);
	else
		w->done(w, r, err);
}

static void fetch_done(struct fetch_waiter *f, int r, const struct err *err)
{
	struct view_wait *w = map_item(f, struct view_wait, fetch);

	__atomic_store_n(&w->for_bytes, false, __ATOMIC_RELAXED);
	w->done(w, r, err);
}

void view_wait_init(struct view_wait *w,
		    void (*done)(struct view_wait *w, int r,
				 const struct err *err))
{
	memset(w, 0, sizeof(*w));
	w->done = done;
	w->memo.done = memo_done;
	w->fetch.done = fetch_done;
}

bool view_cancel(struct view *v, struct view_wait *w)
{
	return resolve_cancel(v->world->resolve, &w->memo) ||
	       fetch_cancel(v->world->fetch, &w->fetch);
}

struct memo_waiter *view_in_memo(struct view_wait *w)
{
	return w ? &w->memo : NULL;
}

/* ---- life ---- */

int view_new(struct view **out, struct world *world, const char *mountpoint,
	     struct err *err)
{
	struct view *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_errno(err, ENOMEM, "view");
	v->world = world;
	v->since_s = io_wall_s();
	v->mountpoint = strdup(mountpoint);
	r = v->mountpoint ? inode_table_new(&v->inodes, err)
			  : err_errno(err, ENOMEM, "view");
	if (r < 0) {
		view_free(v);
		return r;
	}
	*out = v;
	return 0;
}

void view_free(struct view *v)
{
	if (!v)
		return;
	inode_table_free(v->inodes);
	free(v->mountpoint);
	free(v);
}

void view_set_backing(struct view *v, struct backing *b)
{
	v->backing = b;
}

void view_set_control(struct view *v, const char *path)
{
	v->control = path;
}

struct inode_table *view_inodes(struct view *v)
{
	return v->inodes;
}

struct world *view_world(struct view *v)
{
	return v->world;
}

/* ---- where a node stands ---- */

const struct env *view_in_env(const struct view *v, const struct node *n)
{
	return n->spec ? &n->spec->env : &v->world->env;
}

void view_in_commit(const struct node *n, struct repo_id *repo,
		    char commit[REF_COMMIT_LEN + 1])
{
	const char *at;
	size_t len;

	while (n->kind != NODE_COMMIT)
		n = n->parent;
	at = strrchr(n->name, '@');
	len = (size_t)(at - n->name);
	(void)text_copy(repo->owner, sizeof(repo->owner), n->parent->name);
	memcpy(repo->name, n->name, len);
	repo->name[len] = '\0';
	(void)text_copy(commit, REF_COMMIT_LEN + 1, at + 1);
}

void view_in_path(const struct node *n, struct text *out)
{
	const struct node *chain[TREE_PATH_MAX / 2];
	size_t depth = 0;

	for (; n->kind != NODE_COMMIT; n = n->parent)
		if (depth < sizeof(chain) / sizeof(*chain))
			chain[depth++] = n;
	while (depth-- > 0) {
		text_add(out, chain[depth]->name);
		if (depth)
			text_add_char(out, '/');
	}
}

const struct node *view_in_build(const struct node *n)
{
	while (n && n->kind != NODE_COMMIT) {
		if (n->kind == NODE_VARIANT && n->parent->kind == NODE_BUILDS)
			return n;
		n = n->parent;
	}
	return NULL;
}

void view_in_revision(struct view *v, const struct repo_id *repo,
		      const char *commit, char out[REF_REV_MAX + 1])
{
	if (!resolve_commit_known(v->world->resolve, repo, commit, out))
		(void)text_copy(out, REF_REV_MAX + 1, commit);
}

void view_in_step(struct view *v, const struct ref *ref,
		  const struct resolve_commit *c, char out[VIEW_TARGET_MAX])
{
	bool elsewhere = strcmp(c->repo.owner, ref->repo.owner) != 0;
	struct ref to = { .repo = c->repo, .kind = REV_NAME };
	char step[REF_TEXT_MAX];

	/* whoever follows the link must not have to ask for its owner */
	if (elsewhere)
		names_owner_met(v->world->names, c->repo.owner);
	(void)text_copy(to.rev, sizeof(to.rev),
			ref->kind == REV_DEFAULT ? c->revision : c->commit);
	ref_print_step(&to, step);
	(void)snprintf(out, VIEW_TARGET_MAX, "%s%s%s%s", elsewhere ? "../" : "",
		       elsewhere ? c->repo.owner : "", elsewhere ? "/" : "",
		       step);
}

/* ---- what a node is ---- */

static const struct {
	enum view_type type;
	bool forever;
} kinds[] = {
	[NODE_ROOT] = { VIEW_DIR, false },
	[NODE_IMPORT] = { VIEW_DIR, false },
	[NODE_STUB] = { VIEW_FILE, true },
	[NODE_STUB_CACHE] = { VIEW_DIR, true },
	[NODE_OWNER] = { VIEW_DIR, false },
	[NODE_REPO] = { VIEW_LINK, false },
	[NODE_COMMIT] = { VIEW_DIR, true },
	[NODE_BUILDS] = { VIEW_DIR, true },
	[NODE_VARIANT] = { VIEW_DIR, true },
	[NODE_FOLDER] = { VIEW_DIR, true },
	[NODE_FILE] = { VIEW_FILE, true },
	[NODE_PYTHON] = { VIEW_DIR, true },
	[NODE_PACKAGE] = { VIEW_DIR, true },
	[NODE_COMMIT_CTL] = { VIEW_DIR, true },
	[NODE_DECISION] = { VIEW_FILE, true },
	[NODE_DECISION_JSON] = { VIEW_FILE, true },
	[NODE_DEPENDS_JSON] = { VIEW_FILE, true },
	[NODE_VARIANTS] = { VIEW_DIR, true },
	[NODE_BUILD_LINK] = { VIEW_LINK, false },
	[NODE_ENVS] = { VIEW_DIR, true },
	[NODE_SPEC] = { VIEW_DIR, false },
	[NODE_WHY] = { VIEW_FILE, false },
	[NODE_PINNED] = { VIEW_FILE, false },
	[NODE_LINK] = { VIEW_LINK, true },
	[NODE_CTL] = { VIEW_DIR, true },
	[NODE_CTL_FILE] = { VIEW_FILE, false },
	[NODE_OWNERS] = { VIEW_DIR, false },
	[NODE_DOOR_DIR] = { VIEW_DIR, true },
	[NODE_DOOR_FILE] = { VIEW_FILE, true },
	[NODE_HUB] = { VIEW_DIR, true },
	[NODE_HUB_REPO] = { VIEW_DIR, true },
	[NODE_HUB_REFS] = { VIEW_DIR, false },
	[NODE_HUB_REF] = { VIEW_FILE, false },
	[NODE_HUB_SNAPS] = { VIEW_DIR, false },
	[NODE_HUB_SNAP] = { VIEW_DIR, true },
	[NODE_HUB_BUILDS] = { VIEW_DIR, true },
};

static void file_attr(const struct node *n, struct view_attr *out)
{
	struct tree_entry e;

	tree_get(n->tree, n->entry, &e);
	out->size = e.size;
	out->ino = digest_short(&e.digest);
}

static void constant_attr(const struct node *n, struct view_attr *out)
{
	const struct door_file *f =
		n->kind == NODE_STUB ? door_stub() : door_file_at(n->entry);

	out->size = door_file_size(f);
	out->ino = map_hash(f->text, door_file_size(f));
}

static void ref_attr(const struct node *n, struct view_attr *out)
{
	out->size = strlen(n->text);
	out->ino = map_hash(n->text, out->size);
}

/* Links from a folder whose names may change are not for ever. */
static bool link_moves(const struct node *n)
{
	return n->parent->kind == NODE_SPEC || n->parent->kind == NODE_OWNERS;
}

bool view_is_timed(const struct node *n)
{
	return n->kind == NODE_ROOT || n->kind == NODE_SPEC;
}

void view_attr(struct view *v, const struct node *n, struct view_attr *out)
{
	memset(out, 0, sizeof(*out));
	out->type = kinds[n->kind].type;
	out->forever = kinds[n->kind].forever;
	out->ino = inode_number(n);
	out->mtime_s = VIEW_TIME_S;
	if (out->type == VIEW_LINK)
		out->size = n->text ? strlen(n->text) : 0;
	if (n->kind == NODE_FILE)
		file_attr(n, out);
	else if (n->kind == NODE_STUB || n->kind == NODE_DOOR_FILE)
		constant_attr(n, out);
	else if (n->kind == NODE_HUB_REF)
		ref_attr(n, out);
	else if (view_is_timed(n))
		out->mtime_s = names_changed_s(v->world->names);
	else if (n->kind == NODE_CTL_FILE)
		out->mtime_s = io_wall_s();
	else if (n->kind == NODE_LINK && link_moves(n))
		out->forever = false;
}

/* A listing in hand lacks the name. Where there is none, the source has
 * said that it knows no such folder: that may be a token it did not get, and
 * is kept for a minute like every absence, not for ever. */
static bool is_listed(struct view *v, const struct node *dir)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	AUTO(auto_text) struct text path = TEXT_INIT(TREE_PATH_MAX);
	char commit[REF_COMMIT_LEN + 1];
	struct repo_id repo;

	if (dir->kind == NODE_BUILDS || dir->kind == NODE_VARIANTS)
		text_add(&path, "build");
	else
		view_in_path(dir, &path);
	view_in_commit(dir, &repo, commit);
	return resolve_folder(v->world->resolve, &repo, commit, text_str(&path),
			      NULL, &a, NULL) == 0;
}

/* Is the choice at this folder made for good? A publisher may come to be
 * trusted, and a kernel that is needed may come. */
static bool is_chosen(struct view *v, const struct node *dir)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char commit[REF_COMMIT_LEN + 1];
	const struct pick *p;
	struct repo_id repo;

	view_in_commit(dir, &repo, commit);
	if (resolve_pick(v->world->resolve, &repo, commit, view_in_env(v, dir),
			 NULL, &a, NULL) != 0)
		return false;
	p = resolve_value(&a);
	return p->refused != ERR_REFUSED && p->refused != ENOENT;
}

bool view_list_forever(struct view *v, const struct node *dir)
{
	if (dir->kind == NODE_BUILDS)
		return is_chosen(v, dir);
	if (dir->kind == NODE_VARIANTS)
		return is_listed(v, dir);
	return dir->kind != NODE_HUB_BUILDS && kinds[dir->kind].forever;
}

bool view_absent_forever(struct view *v, const struct node *dir)
{
	switch ((enum node_kind)dir->kind) {
	case NODE_IMPORT:
	case NODE_VARIANT:
	case NODE_PACKAGE:
	case NODE_COMMIT_CTL:
	case NODE_CTL:
	case NODE_DOOR_DIR:
	case NODE_STUB_CACHE:
	case NODE_HUB_REPO:
		return true;
	case NODE_PYTHON:
		return !dir->spec || is_chosen(v, dir);
	case NODE_COMMIT:
	case NODE_BUILDS:
	case NODE_FOLDER:
	case NODE_VARIANTS:
		return is_listed(v, dir);
	case NODE_ROOT:
	case NODE_OWNER:
	case NODE_ENVS:
	case NODE_SPEC:
	case NODE_OWNERS:
	case NODE_STUB:
	case NODE_REPO:
	case NODE_FILE:
	case NODE_DECISION:
	case NODE_DECISION_JSON:
	case NODE_DEPENDS_JSON:
	case NODE_BUILD_LINK:
	case NODE_WHY:
	case NODE_PINNED:
	case NODE_LINK:
	case NODE_CTL_FILE:
	case NODE_DOOR_FILE:
	case NODE_HUB:
	case NODE_HUB_REFS:
	case NODE_HUB_REF:
	case NODE_HUB_SNAPS:
	case NODE_HUB_SNAP:
	case NODE_HUB_BUILDS:
		break;
	}
	return false;
}
