/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include "lockfile.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What only a source can say again is dropped late: refs take a KB or so, an
 * owner's list more. */
#define OWNERS_MAX 1024
#define REFS_MAX 16384

/* Does the owner's list, if it is known, name this repository? */
static bool is_listed(struct resolve *r, const struct repo_id *repo)
{
	struct memo_ref ref = { 0 };
	bool found = false;

	if (memo_ask(r->memo[ANSWERS_KERNELS], repo->owner, strlen(repo->owner),
		     NULL, &ref, NULL) != 0)
		return false;
	const struct source_names *names = ref.value;

	found = source_names_has(names, repo->name);
	memo_drop(r->memo[ANSWERS_KERNELS], &ref);
	return found;
}

static bool is_named(const struct resolve *r, const struct repo_id *repo)
{
	return answers_named(r, repo) ||
	       (r->o.lock && lockfile_default(r->o.lock, repo));
}

/* Was it there when this machine last heard of it? */
static bool is_on_disk(struct resolve *r, const struct repo_id *repo)
{
	struct source_names names = { 0 };
	struct source_refs refs = { 0 };
	bool found = false;

	if (catalog_kernels(r->catalog, repo->owner, CATALOG_DISK, &names, NULL,
			    NULL) == 0) {
		found = source_names_has(&names, repo->name);
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
	bool silent;
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
	silent = answers_is_silence(n);
	if (silent && catalog_kernels(r->catalog, k.s, CATALOG_DISK, names,
				      NULL, NULL) == 0)
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
	*keep_ms = silent ? ANSWERS_FAILURE_MS : answers_moving_ms(r);
	*value = names;
	return 0;
}

/* ---- refs, and what a revision is ---- */

static void free_refs(void *value)
{
	struct answers_refs *refs = value;

	source_refs_done(&refs->refs);
	free(refs);
}

static int make_refs(void *ctx, const void *key, size_t len,
		     enum memo_stage stage, void **value, int64_t *keep_ms,
		     struct err *err)
{
	struct resolve *r = ctx;
	struct answers_refs *refs;
	struct repo_id repo;
	struct answers_key k;
	int64_t asked_ms;
	int n;

	if (stage == MEMO_LOCAL)
		return -EAGAIN;
	if (answers_key_read(&k, key, len) < 0)
		return err_set(err, EINVAL, "repository");
	n = ref_parse_repo(&repo, k.s, err);
	if (n < 0)
		return n;
	n = answers_absent_check(r, k.s, err);
	if (n < 0 && !is_known(r, &repo))
		return n;
	refs = calloc(1, sizeof(*refs));
	if (!refs)
		return err_errno(err, ENOMEM, "refs of '%s'", k.s);
	if (r->o.refresh_ms)
		catalog_refresh(r->catalog, &repo);
	if (answers_is_coming(r, &repo))
		answers_trust_begin(r, &repo);
	asked_ms = io_now_ms();
	n = catalog_refs(r->catalog, &repo, CATALOG_SOURCE, &refs->refs, NULL,
			 err);
	answers_pause(r, asked_ms, n);
	if (n < 0) {
		free(refs);
		return answers_absent_note(r, n, keep_ms);
	}
	*keep_ms = answers_moving_ms(r);
	refs->until_ms = *keep_ms < 0 ? INT64_MAX : io_now_ms() + *keep_ms;
	*value = refs;
	return 0;
}

const struct memo_class answers_kernels = {
	.name = "kernels",
	.make = make_kernels,
	.free_value = free_names,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = OWNERS_MAX,
};

const struct memo_class answers_refs = {
	.name = "refs",
	.make = make_refs,
	.free_value = free_refs,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = REFS_MAX,
};
