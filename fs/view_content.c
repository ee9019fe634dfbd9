/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a file: a verified blob of the cache, fetched first if need be,
 * or text that is made when it is read.
 */
#include "view_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "resolver/pick.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OPEN_TRIES 8

/* ---- links ---- */

static int readlink_build(struct view *v, struct node *n, struct view_wait *w,
			  struct text *out, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	const struct resolve_commit *c;
	struct names_entry e;
	int r;

	if (!names_find(v->world->names, n->parent->name, &e))
		return err_set(err, ENOENT, "'%s' is no import name any more",
			       n->parent->name);
	r = resolve_commit(v->world->resolve, &e.ref, view_in_memo(w), &a, err);
	if (r < 0)
		return r;
	c = resolve_value(&a);
	text_printf(out, "../%s/%s@%s/build", c->repo.owner, c->repo.name,
		    c->commit);
	return text_failed(out);
}

static int readlink_repo(struct view *v, struct node *n, struct view_wait *w,
			 struct text *out, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char target[VIEW_TARGET_MAX];
	struct ref ref;
	int r;

	r = ref_parse_step(&ref, n->parent->name, n->name, err);
	if (r == 0)
		r = resolve_commit(v->world->resolve, &ref, view_in_memo(w), &a,
				   err);
	if (r < 0)
		return r;
	view_in_step(v, &ref, resolve_value(&a), target);
	text_add(out, target);
	return text_failed(out);
}

int view_readlink(struct view *v, struct node *n, struct view_wait *w,
		  struct text *out, struct err *err)
{
	if (n->text) {
		text_add(out, n->text);
		return text_failed(out);
	}
	if (n->kind == NODE_BUILD_LINK)
		return readlink_build(v, n, w, out, err);
	if (n->kind == NODE_REPO)
		return readlink_repo(v, n, w, out, err);
	return err_set(err, EINVAL, "'%s' is no link", n->name);
}

/* ---- blobs ---- */

/* What is there may be gone a moment later, when a full cache makes room;
 * then it is asked for again. */
static int fetch_and_open(struct view *v, const struct fetch_blob *blob,
			  struct view_wait *w, int *fd, struct err *err)
{
	int r;

	for (int i = 0; i < OPEN_TRIES; i++) {
		__atomic_store_n(&w->for_bytes, true, __ATOMIC_RELAXED);
		r = fetch_ask(v->world->fetch, blob, &w->fetch, err);
		if (r != -EINPROGRESS)
			__atomic_store_n(&w->for_bytes, false,
					 __ATOMIC_RELAXED);
		if (r != 0)
			return r;
		r = store_open(v->world->store, blob->repo, &blob->digest,
			       blob->size);
		if (r >= 0) {
			*fd = r;
			return 0;
		}
		if (r != -ENOENT && r != -EAGAIN)
			return err_errno(err, -r, "open '%s' in the cache",
					 blob->path);
	}
	return err_set(err, EIO,
		       "'%s' is fetched and gone again: the cache is too "
		       "small for what is in use, see cache_size",
		       blob->path);
}

static void blob_used(struct view *v, struct node *n)
{
	char commit[REF_COMMIT_LEN + 1];
	struct tree_entry e;
	struct repo_id repo;

	tree_get(n->tree, n->entry, &e);
	view_in_commit(n, &repo, commit);
	view_in_used(v, n, &repo, commit);
	view_in_fetch_around(v, n, &repo, commit, e.path, true);
}

static int open_blob(struct view *v, struct node *n, struct view_wait *w,
		     int *fd, struct err *err)
{
	AUTO(auto_text) struct text path = TEXT_INIT(TREE_PATH_MAX * 2);
	char commit[REF_COMMIT_LEN + 1];
	struct fetch_blob blob;
	struct tree_entry e;
	struct repo_id repo;
	int r;

	tree_get(n->tree, n->entry, &e);
	view_in_commit(n, &repo, commit);
	r = store_open(v->world->store, &repo, &e.digest, e.size);
	if (r < 0 && r != -ENOENT && r != -EAGAIN)
		return err_errno(err, -r, "open '%s' in the cache", n->name);
	if (r >= 0) {
		blob_used(v, n);
		*fd = r;
		return 0;
	}
	if (!w)
		return -EINPROGRESS;
	view_in_path(n, &path);
	if (text_failed(&path))
		return err_errno(err, ENAMETOOLONG, "open '%s'", n->name);
	blob = (struct fetch_blob){ &repo, commit, text_str(&path), e.digest,
				    e.size };
	r = fetch_and_open(v, &blob, w, fd, err);
	if (r == -EINPROGRESS)
		view_in_fetch_around(v, n, &repo, commit, e.path, false);
	return r;
}

/* ---- text ---- */

static int commit_pick(struct view *v, struct node *n, struct view_wait *w,
		       struct resolve_answer *a, struct err *err)
{
	char commit[REF_COMMIT_LEN + 1];
	struct repo_id repo;

	view_in_commit(n, &repo, commit);
	return resolve_pick(v->world->resolve, &repo, commit, view_in_env(v, n),
			    view_in_memo(w), a, err);
}

static int report_decision(struct view *v, struct node *n, struct view_wait *w,
			   struct text *out, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char revision[REF_REV_MAX + 1];
	const struct pick *p;
	int r = commit_pick(v, n, w, &a, err);

	if (r < 0)
		return r;
	p = resolve_value(&a);
	view_in_revision(v, &p->repo, p->commit, revision);
	if (n->kind == NODE_DECISION) {
		pick_report(p, revision, out);
		return text_failed(out);
	}
	pick_json(p, revision, v->mountpoint, out);
	return text_failed(out);
}

static int report_depends(struct view *v, struct node *n, struct view_wait *w,
			  struct text *out, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	const struct pick *p;
	int r = commit_pick(v, n, w, &a, err);

	if (r < 0)
		return r;
	p = resolve_value(&a);
	if (p->refused)
		return err_set(err, view_in_refused(p), "%s/%s@%s: %s",
			       p->repo.owner, p->repo.name, p->commit, p->why);
	pick_depends_json(p, out);
	/* Below a spec only a door asks, for an import that needs them. */
	if (n->spec && !__atomic_exchange_n(&n->whole, true, __ATOMIC_RELAXED))
		view_in_fetch_pick(v, p);
	return text_failed(out);
}

/* A failure on the way is an answer here: it is what the reader wants. */
static int explain(const char *what, const char *spec, int r,
		   const struct err *why, struct text *out)
{
	if (r == -EINPROGRESS || r == -ENOMEM)
		return r;
	text_printf(out, "%s: %s\n  environment: %s\n", what, err_text(why),
		    spec);
	return text_failed(out);
}

static int report_why(struct view *v, struct node *n, struct view_wait *w,
		      struct text *out)
{
	AUTO(resolve_drop) struct resolve_answer c = { 0 };
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char commit[REF_COMMIT_LEN + 1], revision[REF_REV_MAX + 1];
	char what[REF_TEXT_MAX];
	struct err why = ERR_INIT;
	struct names_entry e = { .named = false };
	char *dot;
	int r;

	if (n->parent->kind == NODE_PYTHON) {
		view_in_commit(n, &e.ref.repo, commit);
		view_in_revision(v, &e.ref.repo, commit, revision);
	} else {
		(void)text_copy(what, sizeof(what), n->name);
		dot = strrchr(what, '.');
		*dot = '\0';
		if (!names_find(v->world->names, what, &e))
			return -ENOENT;
		ref_print(&e.ref, what);
		r = resolve_commit(v->world->resolve, &e.ref, view_in_memo(w),
				   &c, &why);
		if (r < 0)
			return explain(what, n->spec->text, r, &why, out);
		const struct resolve_commit *rc = resolve_value(&c);

		e.ref.repo = rc->repo;
		(void)text_copy(commit, sizeof(commit), rc->commit);
		(void)text_copy(revision, sizeof(revision), rc->revision);
	}
	(void)snprintf(what, sizeof(what), "%s/%s@%s", e.ref.repo.owner,
		       e.ref.repo.name, revision);
	r = resolve_pick(v->world->resolve, &e.ref.repo, commit, &n->spec->env,
			 view_in_memo(w), &a, &why);
	if (r < 0)
		return explain(what, n->spec->text, r, &why, out);
	pick_why(resolve_value(&a), revision, out);
	return text_failed(out);
}

static void add_file(const struct door_file *f, struct text *out)
{
	text_add_bytes(out, f->text, door_file_size(f));
}

int view_report(struct view *v, struct node *n, struct view_wait *w,
		struct text *out, struct err *err)
{
	switch ((enum node_kind)n->kind) {
	case NODE_STUB:
		add_file(door_stub(), out);
		return text_failed(out);
	case NODE_DOOR_FILE:
		add_file(door_file_at(n->entry), out);
		return text_failed(out);
	case NODE_DECISION:
	case NODE_DECISION_JSON:
		return report_decision(v, n, w, out, err);
	case NODE_DEPENDS_JSON:
		return report_depends(v, n, w, out, err);
	case NODE_WHY:
		return report_why(v, n, w, out);
	case NODE_CTL_FILE:
		ctl_report(v, n->entry, out);
		return text_failed(out);
	case NODE_PINNED:
		return 0;
	case NODE_HUB_REF:
		text_add(out, n->text);
		return text_failed(out);
	case NODE_ROOT:
	case NODE_IMPORT:
	case NODE_OWNER:
	case NODE_REPO:
	case NODE_COMMIT:
	case NODE_BUILDS:
	case NODE_VARIANT:
	case NODE_FOLDER:
	case NODE_FILE:
	case NODE_PYTHON:
	case NODE_PACKAGE:
	case NODE_COMMIT_CTL:
	case NODE_VARIANTS:
	case NODE_BUILD_LINK:
	case NODE_ENVS:
	case NODE_SPEC:
	case NODE_LINK:
	case NODE_CTL:
	case NODE_OWNERS:
	case NODE_DOOR_DIR:
	case NODE_STUB_CACHE:
	case NODE_HUB:
	case NODE_HUB_REPO:
	case NODE_HUB_REFS:
	case NODE_HUB_SNAPS:
	case NODE_HUB_SNAP:
	case NODE_HUB_BUILDS:
		break;
	}
	return err_set(err, EISDIR, "'%s' is no file", n->name);
}

bool view_is_constant(const struct node *n)
{
	return n->kind == NODE_FILE || n->kind == NODE_STUB ||
	       n->kind == NODE_DOOR_FILE || n->kind == NODE_HUB_REF;
}

void view_used(struct view *v, struct node *n)
{
	if (n->kind == NODE_FILE)
		blob_used(v, n);
}

int view_open(struct view *v, struct node *n, struct view_wait *w, int *fd,
	      struct err *err)
{
	AUTO(auto_text) struct text ready = TEXT_INIT(1 << 24);

	if (n->kind == NODE_FILE)
		return open_blob(v, n, w, fd, err);
	*fd = -1;
	/* Work out now what reading will need, so that open is what fails. */
	if (n->kind == NODE_DECISION || n->kind == NODE_DECISION_JSON ||
	    n->kind == NODE_DEPENDS_JSON || n->kind == NODE_WHY)
		return view_report(v, n, w, &ready, err);
	return 0;
}
