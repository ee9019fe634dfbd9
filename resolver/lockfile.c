/* SPDX-License-Identifier: Apache-2.0 */
#include "lockfile.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Builds of one kernel in the older format; published ones have about 60. */
#define HASHES_MAX 1000u

/* What is being read, for the sentences. */
struct reading {
	const char *path;
	size_t entry; /* from 1 */
	struct err *err;
};

static int bad(const struct reading *in, const char *what)
{
	return err_set(in->err, EINVAL, "%s: entry %zu: %s", in->path,
		       in->entry, what);
}

/*
 * The members of an object by a list of names; each may stand once, and
 * nothing else may. What is null is absent.
 */
static int members(const struct reading *in, const struct json *j,
		   const char *const *names, const struct json **out, size_t n)
{
	if (!json_is_object(j))
		return bad(in, "no object where one is expected");
	for (const struct json *m = json_first(j); m; m = json_next(m)) {
		size_t i = 0;

		while (i < n && strcmp(json_name(m), names[i]) != 0)
			i++;
		if (i == n)
			return err_set(in->err, EINVAL,
				       "%s: entry %zu: unknown key '%.100s'",
				       in->path, in->entry, json_name(m));
		if (out[i])
			return err_set(in->err, EINVAL,
				       "%s: entry %zu: '%s' is there twice",
				       in->path, in->entry, names[i]);
		out[i] = m;
	}
	for (size_t i = 0; i < n; i++) {
		if (out[i] && json_is_null(out[i]))
			out[i] = NULL;
	}
	return 0;
}

static int take_repo(const struct reading *in, const struct json *j,
		     struct lock_entry *e)
{
	struct err why = ERR_INIT;

	if (!json_is_string(j))
		return bad(in, "no repository");
	if (ref_parse_repo(&e->repo, json_string(j), &why) < 0)
		return bad(in, err_text(&why));
	return 0;
}

static int take_commit(const struct reading *in, const struct json *j,
		       struct lock_entry *e)
{
	const char *s = json_string(j);

	if (!s || strlen(s) != REF_COMMIT_LEN ||
	    strspn(s, "0123456789abcdefABCDEF") != REF_COMMIT_LEN)
		return bad(in, "no commit of 40 hex digits");
	for (size_t i = 0; i < REF_COMMIT_LEN; i++)
		e->commit[i] =
			(char)(s[i] >= 'A' && s[i] <= 'F' ? s[i] + 32 : s[i]);
	e->commit[REF_COMMIT_LEN] = '\0';
	return 0;
}

static int take_revision(const struct reading *in, const struct json *j,
			 struct lock_entry *e)
{
	const char *s = json_string(j);
	char whole[REF_TEXT_MAX];
	struct ref ref;

	if (!s || strlen(s) > REF_REV_MAX)
		return bad(in, "no revision");
	(void)snprintf(whole, sizeof(whole), "%s/%s@%s", e->repo.owner,
		       e->repo.name, s);
	if (ref_parse(&ref, whole, NULL) < 0)
		return bad(in, "a revision that git does not know as a name");
	return text_copy(e->revision, sizeof(e->revision), s);
}

/* ---- the newer format ---- */

static int take_dependency(const struct reading *in, const struct json *j,
			   struct lock_entry *e)
{
	static const char *const names[] = { "repo-id", "version", "revision" };
	const struct json *m[3] = { NULL };
	int r = members(in, j, names, m, 3);

	if (r == 0)
		r = take_repo(in, m[0], e);
	if (r < 0)
		return r;
	if (!m[1] == !m[2])
		return bad(in, "not exactly one of 'version' and 'revision'");
	if (m[2])
		return take_revision(in, m[2], e);
	if (!json_u64(m[1], &e->version))
		return bad(in, "a version that is no whole number");
	e->has_version = true;
	return 0;
}

static int take_entry(const struct reading *in, const struct json *j,
		      struct lock_entry *e)
{
	static const char *const names[] = { "dependency", "lock" };
	static const char *const lock_names[] = { "commit" };
	const struct json *m[2] = { NULL };
	const struct json *commit = NULL;
	int r = members(in, j, names, m, 2);

	if (r < 0)
		return r;
	if (!m[0] || !m[1])
		return bad(in, m[0] ? "no 'lock'" : "no 'dependency'");
	r = take_dependency(in, m[0], e);
	if (r == 0)
		r = members(in, m[1], lock_names, &commit, 1);
	return r < 0 ? r : take_commit(in, commit, e);
}

/* ---- the older format ---- */

static int take_hash(const struct reading *in, const struct json *j,
		     struct lock_entry *e)
{
	static const char *const names[] = { "hash", "hash_type" };
	static const char prefix[] = "sha256-";
	struct lock_hash *h = &e->hashes[e->hash_count];
	const struct json *m[2] = { NULL };
	const char *s;
	int r = members(in, j, names, m, 2);

	if (r < 0)
		return r;
	if (!json_is_string(m[1]) ||
	    strcmp(json_string(m[1]), "git_lfs_concat") != 0)
		return bad(in, "a hash that is not of the type "
			       "'git_lfs_concat'");
	s = json_string(m[0]);
	if (!s || !text_starts(s, prefix) ||
	    !text_is_hex(s + sizeof(prefix) - 1, 64))
		return bad(in, "a hash that is not 'sha256-' and 64 hex "
			       "digits");
	s += sizeof(prefix) - 1;
	if (!json_name(j)[0] || strchr(json_name(j), '/') ||
	    text_copy(h->variant, sizeof(h->variant), json_name(j)) < 0)
		return bad(in, "a build's name that is no name of a folder");
	if (lock_entry_hash(e, h->variant))
		return bad(in, "a build that is there twice");
	(void)text_copy(h->hex, sizeof(h->hex), s);
	e->hash_count++;
	return 0;
}

static int take_old_entry(const struct reading *in, const struct json *j,
			  struct lock_entry *e)
{
	static const char *const names[] = { "repo_id", "sha", "variants" };
	const struct json *m[3] = { NULL };
	size_t count;
	int r = members(in, j, names, m, 3);

	if (r == 0)
		r = take_repo(in, m[0], e);
	if (r == 0)
		r = take_commit(in, m[1], e);
	if (r < 0)
		return r;
	if (!json_is_object(m[2]))
		return bad(in, "no 'variants'");
	count = json_count(m[2]);
	if (count > HASHES_MAX)
		return bad(in, "more builds than a kernel can have");
	e->hashes = calloc(count ? count : 1, sizeof(*e->hashes));
	if (!e->hashes)
		return err_errno(in->err, ENOMEM, "%s", in->path);
	for (const struct json *v = json_first(m[2]); v; v = json_next(v)) {
		r = take_hash(in, v, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the file ---- */

static int take_entries(struct lockfile *l, const struct json *root,
			struct err *err)
{
	struct reading in = { .path = l->path, .err = err };
	const struct json *first = json_first(root);
	bool old = first && json_get(first, "repo_id");
	size_t count = json_count(root);

	if (!json_is_array(root))
		return err_set(err, EINVAL, "%s: no list of kernels", l->path);
	if (count > LOCKFILE_ENTRIES_MAX)
		return err_set(err, EINVAL, "%s: more than %u entries", l->path,
			       LOCKFILE_ENTRIES_MAX);
	l->entries = calloc(count ? count : 1, sizeof(*l->entries));
	if (!l->entries)
		return err_errno(err, ENOMEM, "%s", l->path);
	for (const struct json *j = first; j; j = json_next(j)) {
		/* counted before it is read, so that what it owns is freed */
		struct lock_entry *e = &l->entries[l->count++];
		int r;

		in.entry = l->count;
		r = old ? take_old_entry(&in, j, e) : take_entry(&in, j, e);
		if (r < 0)
			return r;
	}
	return lockfile_sort(l, err);
}

int lockfile_parse(struct lockfile *out, const char *path, const char *s,
		   size_t n, struct err *err)
{
	AUTO(auto_json) struct json *root = NULL;
	struct lockfile l = { .path = text_dup(path, strlen(path)) };
	int r = 0;

	if (!l.path)
		return err_errno(err, ENOMEM, "%s", path);
	if (n > LOCKFILE_BYTES_MAX)
		r = err_set(err, EINVAL, "%s: more than %u bytes", path,
			    LOCKFILE_BYTES_MAX);
	/* the house's JSON steps over a byte order mark, the reference not */
	else if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		r = err_set(err, EINVAL, "%s: begins with a byte order mark",
			    path);
	if (r == 0) {
		r = json_parse(&root, s, n, err);
		if (r < 0)
			(void)err_wrap(err, r, "%s", path);
		r = r == 0 || r == -ENOMEM ? r : -EINVAL;
	}
	if (r == 0)
		r = take_entries(&l, root, err);
	if (r < 0) {
		lockfile_done(&l);
		return r;
	}
	*out = l;
	return 0;
}

int lockfile_read(struct lockfile *out, const char *path, struct err *err)
{
	AUTO(auto_text) struct text s = TEXT_INIT(LOCKFILE_BYTES_MAX);
	int r = io_read_file(AT_FDCWD, path, &s);

	if (r == -E2BIG)
		return err_set(err, EINVAL, "%s: more than %u bytes", path,
			       LOCKFILE_BYTES_MAX);
	if (r == -EINVAL)
		return err_set(err, EINVAL, "lock file '%s' is no regular file",
			       path);
	if (r < 0)
		return err_errno(err, -r, "lock file '%s'", path);
	return lockfile_parse(out, path, text_str(&s), s.len, err);
}

void lockfile_done(struct lockfile *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->entries[i].hashes);
	free(l->entries);
	free(l->path);
	memset(l, 0, sizeof(*l));
}

/* ---- order and print ---- */

/* As "owner/name": '-' and '.' come before '/'. */
static int compare_repo(const struct repo_id *a, const struct repo_id *b)
{
	char one[2 * REF_PART_MAX + 2];
	char two[2 * REF_PART_MAX + 2];

	(void)snprintf(one, sizeof(one), "%s/%s", a->owner, a->name);
	(void)snprintf(two, sizeof(two), "%s/%s", b->owner, b->name);
	return strcmp(one, two);
}

static int compare_entry(const void *pa, const void *pb)
{
	const struct lock_entry *a = pa;
	const struct lock_entry *b = pb;
	int r = compare_repo(&a->repo, &b->repo);

	if (r != 0)
		return r;
	if (a->has_version != b->has_version)
		return a->has_version ? -1 : 1;
	if (a->has_version)
		return (a->version > b->version) - (a->version < b->version);
	return strcmp(a->revision, b->revision);
}

int lockfile_sort(struct lockfile *l, struct err *err)
{
	if (l->count)
		qsort(l->entries, l->count, sizeof(*l->entries), compare_entry);
	for (size_t i = 1; i < l->count; i++) {
		const struct lock_entry *e = &l->entries[i];

		if (compare_entry(e - 1, e) != 0)
			continue;
		return err_set(err, EINVAL, "%s: '%s/%s' is there twice",
			       l->path, e->repo.owner, e->repo.name);
	}
	return 0;
}

void lockfile_print(const struct lockfile *l, struct text *out)
{
	text_add(out, "[");
	for (size_t i = 0; i < l->count; i++) {
		const struct lock_entry *e = &l->entries[i];

		text_printf(out,
			    "%s\n  {\n    \"dependency\": {\n"
			    "      \"repo-id\": \"%s/%s\",\n",
			    i ? "," : "", e->repo.owner, e->repo.name);
		if (e->has_version) {
			text_printf(out, "      \"version\": %llu\n",
				    (unsigned long long)e->version);
		} else {
			text_add(out, "      \"revision\": ");
			text_add_json(out, e->revision);
			text_add(out, "\n");
		}
		text_printf(out,
			    "    },\n    \"lock\": {\n"
			    "      \"commit\": \"%s\"\n    }\n  }",
			    e->commit);
	}
	text_add(out, l->count ? "\n]" : "]");
}

/* ---- questions ---- */

const struct lock_entry *lockfile_default(const struct lockfile *l,
					  const struct repo_id *repo)
{
	size_t low = 0;
	size_t high = l->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_repo(&l->entries[mid].repo, repo) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == l->count || !repo_equal(&l->entries[low].repo, repo))
		return NULL;
	return &l->entries[low];
}

/* The next entry of the same repository, or NULL. */
static const struct lock_entry *next_of(const struct lockfile *l,
					const struct lock_entry *e)
{
	const struct lock_entry *next = e + 1;

	if (next == l->entries + l->count || !repo_equal(&next->repo, &e->repo))
		return NULL;
	return next;
}

const struct lock_entry *lockfile_version(const struct lockfile *l,
					  const struct repo_id *repo,
					  uint64_t version)
{
	const struct lock_entry *e = lockfile_default(l, repo);

	while (e && !(e->has_version && e->version == version))
		e = next_of(l, e);
	return e;
}

const struct lock_entry *lockfile_revision(const struct lockfile *l,
					   const struct repo_id *repo,
					   const char *revision)
{
	const struct lock_entry *e = lockfile_default(l, repo);

	while (e && (e->has_version || !e->revision[0] ||
		     strcmp(e->revision, revision) != 0))
		e = next_of(l, e);
	return e;
}

bool lockfile_has_commit(const struct lockfile *l, const struct repo_id *repo,
			 const char *commit)
{
	const struct lock_entry *e = lockfile_default(l, repo);

	while (e && strcmp(e->commit, commit) != 0)
		e = next_of(l, e);
	return e != NULL;
}

const struct lock_hash *lock_entry_hash(const struct lock_entry *e,
					const char *variant)
{
	for (size_t i = 0; i < e->hash_count; i++) {
		if (strcmp(e->hashes[i].variant, variant) == 0)
			return &e->hashes[i];
	}
	return NULL;
}
