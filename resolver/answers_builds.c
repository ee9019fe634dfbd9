/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include "lockfile.h"
#include "pick.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/metadata.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pick takes some 10 KB, what is known of a listing half of one. */
#define PICKS_MAX 1024
#define TREES_MAX 4096

/* ---- folders and builds of a commit ---- */

static void free_tree(void *value)
{
	tree_unref(value);
}

static bool folder_known(struct resolve *r, const struct ref *commit,
			 const char *dir)
{
	struct memo_ref ref = { 0 };
	struct answers_key k;

	if (answers_key_set(&k, &commit->repo, commit->rev, ':', dir) < 0 ||
	    memo_ask(r->memo[ANSWERS_FOLDER], k.s, k.len, NULL, &ref, NULL))
		return false;
	memo_drop(r->memo[ANSWERS_FOLDER], &ref);
	return true;
}

/* A branch, a tag, or a commit of which something was listed: a folder of
 * it is no guess, and others' guesses must not stand in its way. */
static bool commit_known(struct resolve *r, const struct ref *commit)
{
	return answers_is_head(r, &commit->repo, commit->rev) ||
	       folder_known(r, commit, "build") || folder_known(r, commit, "");
}

/* The older lock files say what a build must hold. */
static int check_hash(const struct resolve *r, const struct ref *ref,
		      const char *variant, const struct tree *build,
		      struct err *err)
{
	const struct lockfile *l = r->o.lock;
	const struct lock_entry *e = l ? lockfile_default(l, &ref->repo) : NULL;
	const struct lock_hash *wanted = NULL;
	char hex[65];
	int n;

	for (; e && e < l->entries + l->count && !wanted; e++) {
		if (!repo_equal(&e->repo, &ref->repo))
			break;
		if (!strcmp(e->commit, ref->rev))
			wanted = lock_entry_hash(e, variant);
	}
	if (!wanted)
		return 0;
	n = lock_hash_of(variant, build, hex);
	if (n == -EINVAL)
		return err_set(err, EBADMSG,
			       "build '%s' of %s/%s: %s has a hash of it, and "
			       "locks have none of such builds",
			       variant, ref->repo.owner, ref->repo.name,
			       l->path);
	if (n < 0)
		return err_errno(err, -n, "hash of build '%s'", variant);
	if (!strcmp(hex, wanted->hex))
		return 0;
	return err_set(err, EBADMSG,
		       "build '%s' of %s/%s is not the locked one: its hash "
		       "is sha256-%s, %s has sha256-%s",
		       variant, ref->repo.owner, ref->repo.name, hex, l->path,
		       wanted->hex);
}

/* The listing of a build, which is what the lock says it is. */
static int build_tree(struct resolve *r, const struct ref *ref,
		      const char *variant, enum memo_stage stage,
		      struct tree **out, struct err *err)
{
	char dir[sizeof("build/") + REF_TEXT_MAX];
	struct tree *tree = NULL;
	int n;

	(void)snprintf(dir, sizeof(dir), "build/%s", variant);
	n = catalog_tree(r->catalog, &ref->repo, ref->rev, dir, true,
			 answers_reach(stage), &tree, err);
	if (n < 0)
		return n;
	n = check_hash(r, ref, variant, tree, err);
	if (n < 0) {
		tree_unref(tree);
		return n;
	}
	*out = tree;
	return 0;
}

static int make_folder(void *ctx, const void *key, size_t len,
		       enum memo_stage stage, void **value, int64_t *keep_ms,
		       struct err *err)
{
	struct resolve *r = ctx;
	struct tree *tree = NULL;
	const char *dir;
	struct ref ref;
	struct answers_key k;
	int n;

	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "folder");
	n = answers_key_split(&k, ':', &ref, &dir, err);
	if (n == 0)
		n = answers_locked(r, &ref.repo, ref.rev, err);
	if (n < 0)
		return n;
	if (stage == MEMO_REMOTE && !commit_known(r, &ref)) {
		n = answers_absent_check(r, k.s, err);
		if (n < 0)
			return n;
	}
	n = catalog_tree(r->catalog, &ref.repo, ref.rev, dir, false,
			 answers_reach(stage), &tree, err);
	if (n < 0)
		return answers_absent_note(r, n, keep_ms);
	*value = tree;
	return 0;
}

static int make_build(void *ctx, const void *key, size_t len,
		      enum memo_stage stage, void **value, int64_t *keep_ms,
		      struct err *err)
{
	struct resolve *r = ctx;
	struct tree *tree = NULL;
	bool old = false;
	const char *variant;
	struct ref ref;
	struct answers_key k;
	int n;

	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "build");
	n = answers_key_split(&k, ':', &ref, &variant, err);
	if (n == 0)
		n = answers_locked(r, &ref.repo, ref.rev, err);
	if (n < 0)
		return n;
	n = answers_trusted(r, &ref.repo, stage, &old, err);
	if (n < 0)
		return n;
	if (n == 0)
		return err_set(err, EACCES,
			       "'%s': publisher '%s' is not "
			       "trusted; if you trust it, say --trust=%s",
			       k.s, ref.repo.owner, ref.repo.owner);
	n = build_tree(r, &ref, variant, stage, &tree, err);
	if (n < 0) {
		if (n == -ENOENT)
			*keep_ms = ANSWERS_ABSENT_MS;
		return n;
	}
	if (old && !catalog_has_all(r->catalog, &ref.repo, tree)) {
		tree_unref(tree);
		return -EAGAIN;
	}
	*value = tree;
	return 0;
}

/* ---- the choice ---- */

struct picking {
	struct resolve *r;
	enum memo_stage stage;
	bool old; /* some "yes" is too old to fetch anything under it */
	const struct repo_id *root; /* what is picked */
};

/* A listing from another table when asking, straight from disk when not. */
static int listed(const struct picking *w, enum answers_table t,
		  const struct pick *p, const char *rest, struct tree **out,
		  struct err *err)
{
	struct memo_ref ref = { 0 };
	struct answers_key k;
	int n;

	if (answers_key_set(&k, &p->repo, p->commit, ':', rest) < 0)
		return err_set(err, ENAMETOOLONG, "'%.80s'", rest);
	n = memo_ask_blocking(w->r->memo[t], k.s, k.len, &ref, err);
	if (n < 0)
		return n;
	*out = tree_ref(ref.value);
	memo_drop(w->r->memo[t], &ref);
	return 0;
}

static int world_builds(void *ctx, const struct pick *p, struct tree **out,
			struct err *err)
{
	const struct picking *w = ctx;
	struct tree *root = NULL;
	struct err why = ERR_INIT;
	int n;

	if (w->stage == MEMO_LOCAL)
		return catalog_tree(w->r->catalog, &p->repo, p->commit, "build",
				    false, CATALOG_DISK, out, err);
	/* The next question of every pick; neither hangs on the other. */
	answers_trust_begin(w->r, &p->repo);
	n = listed(w, ANSWERS_FOLDER, p, "build", out, &why);
	if (n != -ENOENT) {
		if (n < 0 && err)
			*err = why;
		return n;
	}
	/* No build/ is an answer only if the commit itself is there. */
	n = listed(w, ANSWERS_FOLDER, p, "", &root, err);
	if (n < 0)
		return n == -ENOENT ? err_set(err, EIO, "%s", err_text(&why))
				    : n;
	tree_unref(root);
	return err_set(err, ENOENT, "%s", err_text(&why));
}

static int world_trusted(void *ctx, const struct pick *p, struct err *err)
{
	struct picking *w = ctx;

	return answers_trusted(w->r, &p->repo, w->stage, &w->old, err);
}

static int world_listing(void *ctx, const struct pick *p, const char *variant,
			 struct tree **out, struct err *err)
{
	const struct picking *w = ctx;
	struct ref ref = { .repo = p->repo, .kind = REV_COMMIT };
	int n;

	if (w->stage == MEMO_REMOTE) {
		n = listed(w, ANSWERS_BUILD, p, variant, out, err);
		return n == -ENOENT ? err_set(err, EIO,
					      "build '%s' is named "
					      "but cannot be listed",
					      variant)
				    : n;
	}
	(void)text_copy(ref.rev, sizeof(ref.rev), p->commit);
	return build_tree(w->r, &ref, variant, MEMO_LOCAL, out, err);
}

static void tell(const struct picking *w,
		 void (*call)(void *ctx, const struct resolve_candidate *c),
		 const struct pick *p, const char *variant, struct tree *build)
{
	const struct resolve_candidate c = {
		.root = w->root,
		.spec = p->spec,
		.repo = &p->repo,
		.commit = p->commit,
		.variant = variant,
		.tree = build,
		.path = "metadata.json",
	};

	/* A look at the disk makes nothing come. */
	if (call && w->stage == MEMO_REMOTE)
		call(w->r->o.candidate_ctx, &c);
}

static void world_given_up(void *ctx, const struct pick *p, const char *variant,
			   struct tree *build)
{
	const struct picking *w = ctx;

	tell(w, w->r->o.on_given_up, p, variant, build);
}

static int world_metadata(void *ctx, const struct pick *p, const char *variant,
			  struct tree *build, struct text *out, struct err *err)
{
	const struct picking *w = ctx;
	char dir[sizeof("build/") + REF_TEXT_MAX];
	uint32_t i = tree_find(build, "metadata.json");
	struct tree_entry e = { .kind = TREE_FOLDER };

	if (i != TREE_NONE)
		tree_get(build, i, &e);
	if (e.kind != TREE_FILE)
		return -ENOENT;
	if (e.size > METADATA_BYTES_MAX)
		return err_set(err, EFBIG,
			       "metadata.json of build '%s' has "
			       "%llu bytes",
			       variant, (unsigned long long)e.size);
	tell(w, w->r->o.on_candidate, p, variant, build);
	(void)snprintf(dir, sizeof(dir), "build/%s", variant);
	return catalog_read(w->r->catalog, &p->repo, p->commit, dir, &e,
			    answers_reach(w->stage), out, err);
}

static int world_commit(void *ctx, const struct pick *root,
			const struct ref *ref, struct repo_id *repo,
			char commit[REF_COMMIT_LEN + 1], struct err *err)
{
	const struct picking *w = ctx;
	struct resolve_commit c;
	int n = answers_needed(w->r, w->stage, root, ref, &c, err);

	if (n < 0)
		return n;
	*repo = c.repo;
	(void)text_copy(commit, REF_COMMIT_LEN + 1, c.commit);
	return 0;
}

/* Is every byte there that this choice would have fetched? */
static bool is_whole(struct resolve *r, const struct pick *p)
{
	if (p->tree && !catalog_has_all(r->catalog, &p->repo, p->tree))
		return false;
	for (size_t i = 0; i < p->depend_count; i++)
		if (!catalog_has_all(r->catalog, &p->depends[i].repo,
				     p->depends[i].tree))
			return false;
	return true;
}

static void free_pick(void *value)
{
	pick_free(value);
}

static int make_pick(void *ctx, const void *key, size_t len,
		     enum memo_stage stage, void **value, int64_t *keep_ms,
		     struct err *err)
{
	struct resolve *r = ctx;
	struct picking w = { .r = r, .stage = stage };
	const struct pick_world world = {
		.ctx = &w,
		.builds = world_builds,
		.trusted = world_trusted,
		.listing = world_listing,
		.metadata = world_metadata,
		.given_up = world_given_up,
		.commit = world_commit,
	};
	struct pick *p = NULL;
	const char *spec;
	struct ref ref;
	struct env env;
	struct answers_key k;
	int n;

	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "environment");
	n = answers_key_split(&k, '|', &ref, &spec, err);
	if (n == 0)
		n = answers_locked(r, &ref.repo, ref.rev, err);
	if (n == 0)
		n = env_parse(&env, spec, err);
	if (n < 0)
		return n;
	w.root = &ref.repo;
	n = pick_make(&p, &ref.repo, ref.rev, &env, &world, err);
	/* A disk that lacks something is no answer, whatever it lacks. */
	if (n < 0)
		return stage == MEMO_LOCAL ? -EAGAIN : n;
	if (w.old && !is_whole(r, p)) {
		pick_free(p);
		return -EAGAIN;
	}
	/* Who is trusted may change, and that is no change of the build. */
	if (p->refused == ERR_REFUSED)
		*keep_ms = ANSWERS_FAILURE_MS;
	/* and a kernel that is needed may come */
	if (p->refused == ENOENT)
		*keep_ms = ANSWERS_ABSENT_MS;
	answers_keep_needed(r, p);
	*value = p;
	return 0;
}

const struct memo_class answers_folder = {
	.name = "folder",
	.make = make_folder,
	.free_value = free_tree,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = TREES_MAX,
};

const struct memo_class answers_build = {
	.name = "build",
	.make = make_build,
	.free_value = free_tree,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = TREES_MAX,
};

const struct memo_class answers_pick = {
	.name = "pick",
	.make = make_pick,
	.free_value = free_pick,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = PICKS_MAX,
};
