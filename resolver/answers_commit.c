/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a revision is. In this order:
 *
 *	the lock	<repo> and its locked versions; with `locked`, nothing
 *			else
 *	the config	<repo>, when import= names a revision of it
 *	a commit	is itself
 *	the refs	as the source has them; where it does not answer, as
 *			it had them when it last did
 *
 * The first three ask nobody. What comes from the refs is decided for the
 * mount's life, or until it is too old (refresh=) or asked for again; what
 * was only known from before is no decision, and asked for again soon.
 */
#include "answers.h"

#include "decided.h"
#include "lockfile.h"
#include "version.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/source.h"
#include "kernels/specifier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Dropped ones are worked out anew from the refs, which stay longer. */
#define COMMITS_MAX 8192

/* ---- the lock ---- */

static const struct lock_entry *lock_entry(const struct lockfile *l,
					   const struct ref *ref)
{
	const struct lock_entry *e;

	switch (ref->kind) {
	case REV_DEFAULT:
		return lockfile_default(l, &ref->repo);
	case REV_VERSION:
		e = lockfile_version(l, &ref->repo, ref->version);
		if (e)
			return e;
		/* or a project has named the branch as such */
		return lockfile_revision(l, &ref->repo, ref->rev);
	case REV_NAME:
	case REV_RANGE:
		return lockfile_revision(l, &ref->repo, ref->rev);
	case REV_COMMIT: /* is itself */
	case REV_LATEST: /* goes round it */
		break;
	}
	return NULL;
}

int answers_locked(const struct resolve *r, const struct repo_id *repo,
		   const char *commit, struct err *err)
{
	if (!r->o.locked || lockfile_has_commit(r->o.lock, repo, commit))
		return 0;
	return err_set(err, EPERM,
		       "'%s/%s@%.40s' is not in %s: add it to "
		       "[tool.kernels.dependencies] and run `kernelfs lock`",
		       repo->owner, repo->name, commit, r->o.lock->path);
}

static void print_revision(const struct lock_entry *e,
			   char out[REF_REV_MAX + 1])
{
	if (e->has_version)
		(void)snprintf(out, REF_REV_MAX + 1, "v%llu",
			       (unsigned long long)e->version);
	else
		(void)text_copy(out, REF_REV_MAX + 1,
				e->revision[0] ? e->revision : e->commit);
}

/* 1 with *out, 0: it says nothing, -EPERM. */
static int from_lock(const struct resolve *r, const struct ref *ref,
		     const char *text, struct resolve_commit *out,
		     struct err *err)
{
	const struct lock_entry *e;

	if (!r->o.lock)
		return 0;
	e = lock_entry(r->o.lock, ref);
	if (e) {
		(void)text_copy(out->commit, sizeof(out->commit), e->commit);
		print_revision(e, out->revision);
		out->repo = ref->repo;
		out->pinned = true;
		return 1;
	}
	if (!r->o.locked ||
	    (ref->kind == REV_COMMIT &&
	     lockfile_has_commit(r->o.lock, &ref->repo, ref->rev)))
		return 0;
	return err_set(err, EPERM,
		       "'%s' is not in %s: add it to "
		       "[tool.kernels.dependencies] and run `kernelfs lock`",
		       text, r->o.lock->path);
}

/* ---- the config ---- */

/* What the config says of this repository's default, or the ref itself. */
static struct ref configured(const struct resolve *r, const struct ref *ref)
{
	const struct ref *named = NULL;

	if (ref->kind == REV_DEFAULT)
		named = answers_named(r, &ref->repo);
	return named && named->kind != REV_DEFAULT ? *named : *ref;
}

/* ---- the refs ---- */

/* The highest version branch, else the highest tag, else main. */
static const struct source_ref *default_ref(const struct source_refs *refs)
{
	const struct source_ref *best = NULL;
	struct version_tag top = { { 0 } };
	uint32_t highest = 0;

	for (size_t i = 0; i < refs->branch_count; i++) {
		uint32_t v;

		if (!version_branch_parse(&v, refs->branches[i].name))
			continue;
		if (!best || v > highest) {
			best = &refs->branches[i];
			highest = v;
		}
	}
	if (best)
		return best;
	for (size_t i = 0; i < refs->tag_count; i++) {
		struct version_tag t;

		if (!version_tag_parse(&t, refs->tags[i].name))
			continue;
		if (!best || version_tag_compare(&t, &top) > 0) {
			best = &refs->tags[i];
			top = t;
		}
	}
	return best ? best : source_refs_branch(refs, "main");
}

static const struct source_ref *version_ref(const struct source_refs *refs,
					    const struct ref *ref)
{
	const struct source_ref *found = source_refs_branch(refs, ref->rev);

	for (size_t i = 0; !found && i < refs->branch_count; i++) {
		uint32_t v;

		if (version_branch_parse(&v, refs->branches[i].name) &&
		    v == ref->version)
			found = &refs->branches[i];
	}
	return found ? found : source_refs_tag(refs, ref->rev);
}

/* The highest tag that fits: what PEP 440 reads behind a "v". */
static const struct source_ref *range_ref(const struct source_refs *refs,
					  const char *range)
{
	AUTO(auto_free)
	const char **tags = calloc(refs->tag_count + 1, sizeof(*tags));
	long best;

	for (size_t i = 0; tags && i < refs->tag_count; i++)
		if (refs->tags[i].name[0] == 'v')
			tags[i] = refs->tags[i].name + 1;
	best = tags ? specifier_best(range, tags, refs->tag_count) : -1;
	return best < 0 ? NULL : &refs->tags[best];
}

static const struct source_ref *find_ref(const struct source_refs *refs,
					 const struct ref *ref)
{
	const struct source_ref *found;

	switch (ref->kind) {
	case REV_DEFAULT:
	case REV_LATEST:
		return default_ref(refs);
	case REV_VERSION:
		return version_ref(refs, ref);
	case REV_RANGE:
		return range_ref(refs, ref->rev);
	case REV_NAME:
	case REV_COMMIT:
		break;
	}
	found = source_refs_branch(refs, ref->rev);
	return found ? found : source_refs_tag(refs, ref->rev);
}

static void take_commit(const struct ref *ref, struct resolve_commit *out)
{
	(void)text_copy(out->commit, sizeof(out->commit), ref->rev);
	(void)text_copy(out->revision, sizeof(out->revision), ref->rev);
	out->repo = ref->repo;
	out->pinned = true;
}

/*
 * A former name, or another case, is the repository's present one: what the
 * lock and the config say of that one holds by every name. 1 with *out, 0
 * with what to look for among the refs in *ref, -EPERM.
 */
static int at_present(const struct resolve *r, const struct source_refs *refs,
		      struct ref *ref, const char *text,
		      struct resolve_commit *out, struct err *err)
{
	int n;

	if (!refs->moved_to.owner[0] || repo_equal(&refs->moved_to, &ref->repo))
		return 0;
	ref->repo = refs->moved_to;
	n = from_lock(r, ref, text, out, err);
	if (n)
		return n;
	*ref = configured(r, ref);
	if (ref->kind != REV_COMMIT)
		return 0;
	take_commit(ref, out);
	return 1;
}

static int take_ref(const struct resolve *r, const struct source_refs *refs,
		    const struct ref *asked, const char *text,
		    struct resolve_commit *out, struct err *err)
{
	const struct source_ref *found;
	struct ref ref = *asked;
	int n = at_present(r, refs, &ref, text, out, err);

	if (n)
		return n < 0 ? n : 0;
	found = find_ref(refs, &ref);
	if (!found && ref.kind == REV_RANGE)
		return err_set(err, ENOENT,
			       "'%s': no tag vX.Y.Z of the repository is in "
			       "that range",
			       text);
	if (!found)
		return err_set(err, ENOENT,
			       "'%s': the repository has no such "
			       "branch or tag",
			       text);
	(void)text_copy(out->commit, sizeof(out->commit), found->commit);
	(void)text_copy(out->revision, sizeof(out->revision), found->name);
	out->repo = ref.repo;
	return 0;
}

/* As the source had it when it last answered: no decision, soon looked at
 * again. */
static int last_known(struct resolve *r, const struct ref *ref,
		      const char *text, struct resolve_commit *out,
		      int64_t *keep_ms)
{
	struct source_refs refs = { 0 };
	int64_t age_s = 0;
	int n;

	n = catalog_refs(r->catalog, &ref->repo, CATALOG_DISK, &refs, &age_s,
			 NULL);
	if (n < 0)
		return n;
	n = take_ref(r, &refs, ref, text, out, NULL);
	source_refs_done(&refs);
	if (n < 0)
		return n;
	out->last_known = true;
	*keep_ms = ANSWERS_FAILURE_MS;
	log_debug("resolve", "'%s': going on with %s, as it was %lld s ago",
		  text, out->commit, (long long)age_s);
	return 0;
}

/* A later question shall see what has come since, if that request is still
 * within what absent names may cost. */
static void ask_again_later(struct resolve *r, const char *repo,
			    const char *text, int64_t *keep_ms)
{
	if (answers_absent_check(r, text, NULL) < 0)
		return;
	(void)answers_absent_note(r, -ENOENT, keep_ms);
	if (answers_absent_check(r, text, NULL) == 0)
		memo_forget(r->memo[ANSWERS_REFS], repo, strlen(repo));
}

static int from_refs(struct resolve *r, const struct ref *ref, const char *text,
		     struct resolve_commit *out, int64_t *keep_ms,
		     struct err *err)
{
	char repo[2 * REF_PART_MAX + 2];
	const struct answers_refs *refs;
	struct memo_ref look = { 0 };
	struct err why = ERR_INIT;
	int n = 0;

	(void)snprintf(repo, sizeof(repo), "%s/%s", ref->repo.owner,
		       ref->repo.name);
	if (answers_is_paused(r, &ref->repo) &&
	    last_known(r, ref, text, out, keep_ms) == 0)
		return 0;
	n = memo_ask_blocking(r->memo[ANSWERS_REFS], repo, strlen(repo), &look,
			      &why);
	if (answers_is_silence(n) &&
	    last_known(r, ref, text, out, keep_ms) == 0)
		return 0;
	if (n < 0) {
		if (err)
			*err = why;
		return n;
	}
	refs = look.value;
	n = take_ref(r, &refs->refs, ref, text, out, err);
	if (n == 0 && refs->until_ms != INT64_MAX) {
		*keep_ms = refs->until_ms - io_now_ms();
		if (*keep_ms < ANSWERS_LIFE_MIN_MS)
			*keep_ms = ANSWERS_LIFE_MIN_MS;
	}
	memo_drop(r->memo[ANSWERS_REFS], &look);
	if (n == -ENOENT)
		ask_again_later(r, repo, text, keep_ms);
	return n;
}

/* ---- all of it ---- */

static int decide(struct resolve *r, const struct ref *asked, const char *text,
		  enum memo_stage stage, struct resolve_commit *out,
		  int64_t *keep_ms, struct err *err)
{
	struct ref ref;
	int n = from_lock(r, asked, text, out, err);

	if (n)
		return n < 0 ? n : 0;
	ref = configured(r, asked);
	if (ref.kind == REV_COMMIT) {
		take_commit(&ref, out);
		return 0;
	}
	if (stage == MEMO_LOCAL)
		return -EAGAIN;
	return from_refs(r, &ref, text, out, keep_ms, err);
}

static int make_commit(void *ctx, const void *key, size_t len,
		       enum memo_stage stage, void **value, int64_t *keep_ms,
		       struct err *err)
{
	struct resolve *r = ctx;
	struct resolve_commit *out;
	struct answers_key k;
	struct ref ref;
	int n;

	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "revision");
	n = ref_parse(&ref, k.s, err);
	if (n < 0)
		return n;
	out = calloc(1, sizeof(*out));
	if (!out)
		return err_errno(err, ENOMEM, "revision '%s'", k.s);
	n = decide(r, &ref, k.s, stage, out, keep_ms, err);
	if (n < 0) {
		free(out);
		if (n == -ENOENT)
			*keep_ms = ANSWERS_ABSENT_MS;
		return n;
	}
	if (ref.kind != REV_COMMIT)
		decided_add(r->decided, &out->repo, out->commit, out->revision);
	if (!out->pinned && !out->last_known)
		decided_add(r->moving, &out->repo, out->commit, out->revision);
	*value = out;
	return 0;
}

const struct memo_class answers_commit = {
	.name = "commit",
	.make = make_commit,
	.free_value = free,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = COMMITS_MAX,
};
