/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_LOCKFILE_H
#define RESOLVER_LOCKFILE_H

/*
 * kernels.lock: which commit a kernel is pinned to. Both formats are read
 * (kernels-0.17.2.md 7.1, kernels-facts.md 7.1); the newer one is written,
 * byte for byte as the reference writes it.
 *
 * The older format says no version, so each of its entries has neither
 * version nor revision, but it holds a hash over the files of each build.
 *
 * Refused, with the file and the entry in the sentence: what breaks JSON, an
 * unknown, missing or doubled key, a name or a revision that breaks its
 * grammar, a commit that is not 40 hex digits, the same dependency twice,
 * more than LOCKFILE_ENTRIES_MAX entries, and a mix of the formats. A
 * lock file is immutable once it was parsed.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/ref.h"

struct err;
struct text;
struct tree;

#define LOCKFILE_NAME "kernels.lock"
#define LOCKFILE_BYTES_MAX (16u << 20)
#define LOCKFILE_ENTRIES_MAX 10000u

struct lock_hash {
	char variant[NAME_MAX + 1];
	char hex[65]; /* SHA-256, lower case */
};

struct lock_entry {
	struct repo_id repo;
	bool has_version;
	uint64_t version;
	char revision[REF_REV_MAX + 1]; /* "" unless it was given by one */
	char commit[REF_COMMIT_LEN + 1];
	struct lock_hash *hashes; /* owned; of the older format only */
	size_t hash_count;
};

/* Sorted by "owner/name", then versions ascending, then revisions. */
struct lockfile {
	char *path; /* owned; as it was given */
	struct lock_entry *entries;
	size_t count;
};

/* `path` is for sentences and is copied. -EINVAL, -ENOMEM. */
int lockfile_parse(struct lockfile *out, const char *path, const char *s,
		   size_t n, struct err *err);
/* From the file; -EINVAL when malformed, else what opening it gave. */
int lockfile_read(struct lockfile *out, const char *path, struct err *err);
void lockfile_done(struct lockfile *l); /* all zero is allowed */

/*
 * Sort what a caller has put together. -EINVAL names what is there twice.
 */
int lockfile_sort(struct lockfile *l, struct err *err);
/* The newer format; l is sorted. Hashes are not in it. */
void lockfile_print(const struct lockfile *l, struct text *out);

/* Each borrowed, or NULL. The first of a repository is its default. */
const struct lock_entry *lockfile_default(const struct lockfile *l,
					  const struct repo_id *repo);
const struct lock_entry *lockfile_version(const struct lockfile *l,
					  const struct repo_id *repo,
					  uint64_t version);
const struct lock_entry *lockfile_revision(const struct lockfile *l,
					   const struct repo_id *repo,
					   const char *revision);
bool lockfile_has_commit(const struct lockfile *l, const struct repo_id *repo,
			 const char *commit);
const struct lock_hash *lock_entry_hash(const struct lock_entry *e,
					const char *variant);

/*
 * The older format's hash (git_lfs_concat) of a build, from its recursive
 * listing: SHA-256 over each file's name and its digest's bytes, by name.
 * -EINVAL for a variant that the format never holds (those of tvm-ffi).
 */
int lock_hash_of(const char *variant, const struct tree *build, char hex[65]);

#endif
