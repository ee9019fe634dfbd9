/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_SOURCE_H
#define KERNELS_SOURCE_H

/*
 * A place that kernels come from. One struct of functions per kind; today
 * the Hub (source_hub.c). Everything a supplier returns was checked by it:
 * names are valid refs, paths went through a tree_builder, sizes are bounded.
 *
 * All functions block and may be called from any thread. Failures: -ENOENT
 * no such owner, repository, revision, folder; -EACCES token refused, gated;
 * -EIO, -ETIMEDOUT the source does not answer; -ECANCELED at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ref.h"

struct err;
struct http;
struct http_sink;
struct source;
struct text;
struct tree_builder;

#define SOURCE_REFS_MAX 10000u
#define SOURCE_KERNELS_MAX 100000u

struct source_ref {
	char name[REF_REV_MAX + 1]; /* "v2", "main", "v0.1.0" */
	char commit[REF_COMMIT_LEN + 1];
};

struct source_refs {
	struct source_ref *branches; /* owned */
	size_t branch_count;
	struct source_ref *tags; /* owned */
	size_t tag_count;
	/* The repository's present name, when it was asked for by a former
	 * one or in another case; else its owner is "". Not kept on disk. */
	struct repo_id moved_to;
};

void source_refs_done(struct source_refs *r);
const struct source_ref *source_refs_branch(const struct source_refs *r,
					    const char *name);
const struct source_ref *source_refs_tag(const struct source_refs *r,
					 const char *name);

/* Repository names of an owner, sorted by bytes, unique. */
struct source_names {
	char **names; /* owned, each */
	size_t count;
};

void source_names_done(struct source_names *n);
/* From n bytes of names in any order, each with a NUL behind it. */
int source_names_from(struct source_names *out, const char *s, size_t n,
		      struct err *err);

struct source_file {
	const struct repo_id *repo;
	const char *commit;
	const char *path; /* from the repository's root */
	uint64_t size;
	uint64_t from; /* resume here */
	const bool *cancelled;
	int64_t *progress_ms;
};

struct source_ops {
	/* The owner's kernels. -ENOSYS: this source cannot list. */
	int (*kernels)(struct source *s, const char *owner,
		       struct source_names *out, struct err *err);
	/* Is the publisher trusted by the source itself? A user account is
	 * "no", not a failure. */
	int (*trusted)(struct source *s, const char *owner, bool *out,
		       struct err *err);
	int (*refs)(struct source *s, const struct repo_id *repo,
		    struct source_refs *out, struct err *err);
	/* One folder ("" is the root) alone, or all below it. Paths are
	 * added relative to the folder. */
	int (*tree)(struct source *s, const struct repo_id *repo,
		    const char *commit, const char *dir, bool recursive,
		    struct tree_builder *b, struct err *err);
	int (*file)(struct source *s, const struct source_file *f,
		    struct http_sink *sink, struct err *err);
	void (*free)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	char *url; /* owned; how it is named in messages */
};

/*
 * url: https://... or http://..., which whoever named it has chosen: hashes
 * come over the same wire then. With a path, without user, query, fragment;
 * '/' at its end does not matter. -EINVAL with a sentence for another.
 */
int source_new(struct source **out, const char *url, struct http *http,
	       struct err *err);
void source_free(struct source *s); /* NULL allowed */

/* The kinds; each in its own file. */
int source_hub_new(struct source **out, const char *url, struct http *http,
		   struct err *err);

#endif
