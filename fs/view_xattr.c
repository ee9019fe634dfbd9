/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user.kernelfs.*: what every node of a commit says of itself.
 */
#include "view_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/source.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "resolver/pick.h"

#include <errno.h>
#include <string.h>

#define PREFIX "user.kernelfs."
/* A folder's state is that of its files; more are not looked at. */
#define STATE_FILES_MAX 20000u

static const char *const names[] = {
	"repo", "commit", "revision", "variant",
	"hash", "source", "state",    "reason",
};

enum name {
	X_REPO,
	X_COMMIT,
	X_REVISION,
	X_VARIANT,
	X_HASH,
	X_SOURCE,
	X_STATE,
	X_REASON,
	X_COUNT,
};

static bool in_commit(const struct node *n)
{
	while (n && n->kind != NODE_COMMIT)
		n = n->parent;
	return n != NULL;
}

static bool applies(const struct node *n, enum name x)
{
	if (x == X_HASH)
		return n->kind == NODE_FILE;
	if (x == X_STATE)
		return n->kind == NODE_FILE || n->kind == NODE_VARIANT;
	if (x == X_VARIANT || x == X_REASON)
		return view_in_build(n) != NULL;
	return true;
}

static bool has_blob(struct view *v, const struct node *n, uint32_t i)
{
	char commit[REF_COMMIT_LEN + 1];
	struct tree_entry e;
	struct repo_id repo;

	tree_get(n->tree, i, &e);
	view_in_commit(n, &repo, commit);
	return e.kind != TREE_FILE ||
	       store_has(v->world->store, &repo, &e.digest, e.size);
}

/* The first entry that is no longer below a folder of a build: its next
 * sibling, or that of the nearest folder above it that has one. */
static uint32_t end_of(const struct node *n)
{
	for (; n->entry != TREE_NONE; n = n->parent) {
		uint32_t next = tree_next(n->tree, n->entry);

		if (next != TREE_NONE)
			return next;
	}
	return tree_count(n->tree);
}

/* The state of everything below a folder of a build; what was not looked at
 * counts as not there. */
static const char *folder_state(struct view *v, const struct node *n)
{
	uint32_t i = n->entry == TREE_NONE ? 0 : n->entry + 1;
	uint32_t end = end_of(n), files = 0, there = 0;

	for (; i < end; i++) {
		struct tree_entry e;

		tree_get(n->tree, i, &e);
		if (e.kind != TREE_FILE)
			continue;
		if (files++ < STATE_FILES_MAX)
			there += has_blob(v, n, i);
	}
	if (there == files)
		return "verified";
	return there ? "partial" : "remote";
}

/* Why the mount's environment takes or refuses this build. */
static int add_reason(struct view *v, const struct node *n, struct view_wait *w,
		      struct text *out, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	const char *variant = view_in_build(n)->name;
	char commit[REF_COMMIT_LEN + 1];
	const struct pick *p;
	struct repo_id repo;
	int r;

	view_in_commit(n, &repo, commit);
	r = resolve_pick(v->world->resolve, &repo, commit, view_in_env(v, n),
			 view_in_memo(w), &a, err);
	if (r < 0)
		return r;
	p = resolve_value(&a);
	if (p->variant && !strcmp(p->variant, variant)) {
		text_add(out, "chosen");
		return 0;
	}
	for (size_t i = 0; i < p->decisions.count; i++) {
		const struct decision *d = &p->decisions.items[i];

		if (strcmp(d->name, variant) != 0)
			continue;
		text_add(out, d->accepted ? "fits, another one is chosen"
					  : d->reason);
		return 0;
	}
	text_add(out, "not the name of a build");
	return 0;
}

static int value(struct view *v, struct node *n, enum name x,
		 struct view_wait *w, struct text *out, struct err *err)
{
	char revision[REF_REV_MAX + 1], hex[DIGEST_HEX_MAX];
	char commit[REF_COMMIT_LEN + 1];
	struct tree_entry e;
	struct repo_id repo;

	view_in_commit(n, &repo, commit);
	switch (x) {
	case X_REPO:
		text_printf(out, "%s/%s", repo.owner, repo.name);
		return 0;
	case X_COMMIT:
		text_add(out, commit);
		return 0;
	case X_REVISION:
		view_in_revision(v, &repo, commit, revision);
		text_add(out, revision);
		return 0;
	case X_VARIANT:
		text_add(out, view_in_build(n)->name);
		return 0;
	case X_HASH:
		tree_get(n->tree, n->entry, &e);
		digest_print(&e.digest, hex);
		text_add(out, hex);
		return 0;
	case X_SOURCE:
		text_add(out, v->world->source->url);
		return 0;
	case X_STATE:
		if (n->kind == NODE_VARIANT)
			text_add(out, folder_state(v, n));
		else
			text_add(out, has_blob(v, n, n->entry) ? "verified"
							       : "remote");
		return 0;
	case X_REASON:
		return add_reason(v, n, w, out, err);
	case X_COUNT:
		break;
	}
	return -ENODATA;
}

int view_xattr(struct view *v, struct node *n, const char *name,
	       struct view_wait *w, struct text *out, struct err *err)
{
	if (!text_starts(name, PREFIX) || !in_commit(n))
		return -ENODATA;
	for (enum name x = 0; x < X_COUNT; x++) {
		int r;

		if (strcmp(names[x], name + strlen(PREFIX)) != 0)
			continue;
		if (!applies(n, x))
			return -ENODATA;
		r = value(v, n, x, w, out, err);
		return r < 0 ? r : text_failed(out);
	}
	return -ENODATA;
}

void view_xattr_names(const struct node *n, struct text *out)
{
	if (!in_commit(n))
		return;
	for (enum name x = 0; x < X_COUNT; x++) {
		if (!applies(n, x))
			continue;
		text_add(out, PREFIX);
		text_add_bytes(out, names[x], strlen(names[x]) + 1);
	}
}
