/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include "version.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the owner's list, if it is known, name this repository? */
static bool is_listed(struct resolve *r, const struct repo_id *repo)
{
	struct memo_ref ref = { 0 };
	bool found = false;

	if (memo_ask(r->memo[ANSWERS_KERNELS], repo->owner, strlen(repo->owner),
		     NULL, &ref, NULL) != 0)
		return false;
	const struct source_names *names = ref.value;

	for (size_t i = 0; i < names->count && !found; i++)
		found = !strcmp(names->names[i], repo->name);
	memo_drop(r->memo[ANSWERS_KERNELS], &ref);
	return found;
}

static bool is_named(const struct resolve *r, const struct repo_id *repo)
{
	for (size_t i = 0; i < r->o.named_count; i++)
		if (repo_equal(&r->o.named[i].repo, repo))
			return true;
	return false;
}

/* Was it there when this machine last heard of it? */
static bool is_on_disk(struct resolve *r, const struct repo_id *repo)
{
	struct source_names names = { 0 };
	struct source_refs refs = { 0 };
	bool found = false;

	if (catalog_kernels(r->catalog, repo->owner, CATALOG_DISK, &names, NULL,
			    NULL) == 0) {
		for (size_t i = 0; i < names.count && !found; i++)
			found = !strcmp(names.names[i], repo->name);
		source_names_done(&names);
	}
	if (!found && catalog_refs(r->catalog, repo, CATALOG_DISK, &refs, NULL,
				   NULL) == 0) {
		found = true;
		source_refs_done(&refs);
	}
	return found;
}

/* Then a request for it is none for a name that does not exist. */
static bool is_known(struct resolve *r, const struct repo_id *repo)
{
	return is_named(r, repo) || is_listed(r, repo) || is_on_disk(r, repo);
}

/* ---- an owner's kernels ---- */

static void free_names(void *value)
{
	source_names_done(value);
	free(value);
}

static int add_cached(void *arg, const struct repo_id *repo, const char *commit)
{
	struct source_names *n = arg;
	char **more;

	(void)commit;
	for (size_t i = 0; i < n->count; i++)
		if (!strcmp(n->names[i], repo->name))
			return 0;
	more = reallocarray(n->names, n->count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	n->names = more;
	more[n->count] = strdup(repo->name);
	if (!more[n->count])
		return -ENOMEM;
	n->count++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int make_kernels(void *ctx, const void *key, size_t len,
			enum memo_stage stage, void **value, int64_t *keep_ms,
			struct err *err)
{
	struct resolve *r = ctx;
	struct source_names *names;
	struct err why = ERR_INIT;
	struct answers_key k;
	int n;

	if (stage == MEMO_LOCAL)
		return -EAGAIN;
	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "owner");
	n = answers_absent_check(r, k.s, err);
	if (n < 0)
		return n;
	names = calloc(1, sizeof(*names));
	if (!names)
		return err_errno(err, ENOMEM, "list owner '%s'", k.s);
	n = catalog_kernels(r->catalog, k.s, CATALOG_SOURCE, names, NULL, &why);
	if (n < 0 && n != -ENOENT && n != -ENOSYS &&
	    catalog_kernels(r->catalog, k.s, CATALOG_DISK, names, NULL, NULL) ==
		    0)
		n = 0;
	if (n == 0 || n == -ENOSYS || n == -ENOENT) {
		int more = catalog_cached(r->catalog, k.s, add_cached, names);

		if (more < 0)
			n = err_errno(&why, -more, "list owner '%s'", k.s);
		else if (n == -ENOSYS || names->count)
			n = 0;
		else
			n = err_set(&why, ENOENT, "owner '%s' has no kernels",
				    k.s);
	}
	if (n < 0) {
		free_names(names);
		if (err)
			*err = why;
		return answers_absent_note(r, n, keep_ms);
	}
	if (names->count)
		qsort(names->names, names->count, sizeof(*names->names),
		      by_name);
	*value = names;
	return 0;
}

/* ---- refs, and what a revision is ---- */

static void free_refs(void *value)
{
	source_refs_done(value);
	free(value);
}

static int make_refs(void *ctx, const void *key, size_t len,
		     enum memo_stage stage, void **value, int64_t *keep_ms,
		     struct err *err)
{
	struct resolve *r = ctx;
	struct source_refs *refs;
	struct repo_id repo;
	struct answers_key k;
	int n;

	if (stage == MEMO_LOCAL)
		return -EAGAIN;
	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "repository");
	n = ref_parse_repo(&repo, k.s, err);
	if (n < 0)
		return n;
	if (!is_known(r, &repo)) {
		n = answers_absent_check(r, k.s, err);
		if (n < 0)
			return n;
	}
	refs = calloc(1, sizeof(*refs));
	if (!refs)
		return err_errno(err, ENOMEM, "refs of '%s'", k.s);
	n = catalog_refs(r->catalog, &repo, CATALOG_SOURCE, refs, NULL, err);
	if (n < 0) {
		free_refs(refs);
		return answers_absent_note(r, n, keep_ms);
	}
	*value = refs;
	return 0;
}

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
	case REV_NAME:
	case REV_COMMIT:
		break;
	}
	found = source_refs_branch(refs, ref->rev);
	return found ? found : source_refs_tag(refs, ref->rev);
}

/* What the config says of this repository's default, or the ref itself. */
static struct ref configured(const struct resolve *r, const struct ref *ref)
{
	struct ref out = *ref;

	if (ref->kind != REV_DEFAULT)
		return out;
	for (size_t i = 0; i < r->o.named_count; i++)
		if (repo_equal(&r->o.named[i].repo, &ref->repo) &&
		    r->o.named[i].kind != REV_DEFAULT)
			return r->o.named[i];
	return out;
}

static int commit_from_refs(struct resolve *r, const struct ref *ref,
			    const char *text, struct resolve_commit *out,
			    int64_t *keep_ms, struct err *err)
{
	char repo[2 * REF_PART_MAX + 2];
	const struct source_ref *found;
	const struct repo_id *moved_to;
	struct memo_ref refs = { 0 };
	int n;

	(void)snprintf(repo, sizeof(repo), "%s/%s", ref->repo.owner,
		       ref->repo.name);
	n = memo_ask_blocking(r->memo[ANSWERS_REFS], repo, strlen(repo), &refs,
			      err);
	if (n < 0)
		return n;
	found = find_ref(refs.value, ref);
	moved_to = &((const struct source_refs *)refs.value)->moved_to;
	if (found) {
		(void)text_copy(out->commit, sizeof(out->commit),
				found->commit);
		(void)text_copy(out->revision, sizeof(out->revision),
				found->name);
		out->repo = moved_to->owner[0] ? *moved_to : ref->repo;
	} else {
		n = err_set(err, ENOENT,
			    "'%s': the repository has no such "
			    "branch or tag",
			    text);
	}
	memo_drop(r->memo[ANSWERS_REFS], &refs);
	/* A later question shall see what has come since, if that request is
	 * still within what absent names may cost. */
	if (!found && answers_absent_check(r, text, NULL) == 0) {
		(void)answers_absent_note(r, n, keep_ms);
		if (answers_absent_check(r, text, NULL) == 0)
			memo_forget(r->memo[ANSWERS_REFS], repo, strlen(repo));
	}
	return n;
}

static int make_commit(void *ctx, const void *key, size_t len,
		       enum memo_stage stage, void **value, int64_t *keep_ms,
		       struct err *err)
{
	struct resolve *r = ctx;
	struct resolve_commit *out;
	struct ref ref;
	struct answers_key k;
	int n;

	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "revision");
	n = ref_parse(&ref, k.s, err);
	if (n < 0)
		return n;
	ref = configured(r, &ref);
	if (ref.kind != REV_COMMIT && stage == MEMO_LOCAL)
		return -EAGAIN;
	out = calloc(1, sizeof(*out));
	if (!out)
		return err_errno(err, ENOMEM, "revision '%s'", k.s);
	if (ref.kind == REV_COMMIT) {
		(void)text_copy(out->commit, sizeof(out->commit), ref.rev);
		(void)text_copy(out->revision, sizeof(out->revision), ref.rev);
		out->repo = ref.repo;
	} else {
		n = commit_from_refs(r, &ref, k.s, out, keep_ms, err);
	}
	if (n < 0) {
		free(out);
		if (n == -ENOENT)
			*keep_ms = ANSWERS_ABSENT_MS;
		return n;
	}
	*value = out;
	return 0;
}

const struct memo_class answers_kernels = {
	.name = "kernels",
	.make = make_kernels,
	.free_value = free_names,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = 0,
};

const struct memo_class answers_refs = {
	.name = "refs",
	.make = make_refs,
	.free_value = free_refs,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = 0,
};

const struct memo_class answers_commit = {
	.name = "commit",
	.make = make_commit,
	.free_value = free,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = 0,
};
