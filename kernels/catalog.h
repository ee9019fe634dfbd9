/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CATALOG_H
#define KERNELS_CATALOG_H

/*
 * What is known of repositories: asked of the source, kept in the store's
 * notes. Listings of a commit never change and are asked for once per host;
 * refs, owners and trust move, and their notes carry their age.
 *
 * Each call says whether it may wait for the source (CATALOG_SOURCE) or only
 * look at the disk (CATALOG_DISK, -EAGAIN when that is not enough). Any
 * thread; blocks.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "ref.h"
#include "source.h"

struct catalog;
struct err;
struct metadata;
struct pool;
struct store;
struct text;
struct tree;
struct tree_entry;

#define CATALOG_URL_MAX 2048

enum catalog_reach {
	CATALOG_DISK,
	CATALOG_SOURCE,
};

#define CATALOG_TRUST_S (24 * 3600) /* how long "trusted" is believed */
#define CATALOG_UNTRUSTED_S 600	    /* and "not trusted" */

int catalog_new(struct catalog **out, struct source *source,
		struct store *store, struct err *err); /* borrows both */
void catalog_free(struct catalog *c);
/* Where notes wait for the disk after they were written; borrowed, and stopped
 * before catalog_free(). Before anybody asks. */
void catalog_settle_on(struct catalog *c, struct pool *disk);
/* The end does not wait for a slow disk: what is not synced now stays so. */
void catalog_settle_stop(struct catalog *c);

/*
 * The listing of a folder of a commit, counted (tree_unref). -ENOENT: the
 * commit has no such folder, or there is no such commit or repository.
 */
int catalog_tree(struct catalog *c, const struct repo_id *repo,
		 const char *commit, const char *dir, bool recursive,
		 enum catalog_reach reach, struct tree **out, struct err *err);

/* Refs as the source has them now (CATALOG_SOURCE), or as last seen with
 * their age (CATALOG_DISK; *age_s may be NULL). */
int catalog_refs(struct catalog *c, const struct repo_id *repo,
		 enum catalog_reach reach, struct source_refs *out,
		 int64_t *age_s, struct err *err);

/* The owner's kernels; as catalog_refs. -ENOSYS: the source cannot list. */
int catalog_kernels(struct catalog *c, const char *owner,
		    enum catalog_reach reach, struct source_names *out,
		    int64_t *age_s, struct err *err);

/*
 * Does the repository's source trust its publisher? A "yes" not older than
 * CATALOG_TRUST_S is taken from disk; with `any_age` (for what is cached, or
 * where nobody can be asked) an older one too. A "no"
 * is taken for CATALOG_UNTRUSTED_S, or until catalog_refresh().
 */
int catalog_trusted(struct catalog *c, const struct repo_id *repo, bool any_age,
		    enum catalog_reach reach, bool *out, struct err *err);
/* Is every file of this listing in the cache (tiers count)? */
bool catalog_has_all(struct catalog *c, const struct repo_id *repo,
		     const struct tree *t);
/* Is there one source only? Then that answer is good for all the owner's. */
bool catalog_one_source(const struct catalog *c);

/* What can move is asked for anew, and so is every "not trusted"; NULL: all. */
void catalog_refresh(struct catalog *c, const struct repo_id *repo);
/* Did the repository's source, as far as it is known, not answer just now? */
bool catalog_is_down(struct catalog *c, const struct repo_id *repo);
/* One cheap try whether it does now: 0 or -errno. */
int catalog_alive(struct catalog *c, const struct repo_id *repo,
		  struct err *err);

/* The content of a small file of a commit, verified, through the store. */
int catalog_read(struct catalog *c, const struct repo_id *repo,
		 const char *commit, const char *dir,
		 const struct tree_entry *file, enum catalog_reach reach,
		 struct text *out, struct err *err);

/*
 * metadata.json of a build by its path alone: one request, no listing, and
 * kept for the next time. Its hash is known to nobody, so it is good for
 * saying what a kernel needs, and for no byte that runs. The caller calls
 * metadata_done(). -ENOENT: the build has none.
 */
int catalog_metadata(struct catalog *c, const struct repo_id *repo,
		     const char *commit, const char *variant,
		     enum catalog_reach reach, struct metadata *out,
		     struct err *err);

/* Repositories and commits of an owner with a listing in the cache, as
 * "repo" -> commits; called for each. `owner` NULL: all owners. */
int catalog_cached(struct catalog *c, const char *owner,
		   int (*each)(void *arg, const struct repo_id *repo,
			       const char *commit),
		   void *arg);

/* ---- builds in the cache, of this mount or another ---- */

struct catalog_build {
	char url[CATALOG_URL_MAX + 1]; /* of the source that listed it */
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	char variant[NAME_MAX + 1];
	struct tree *tree; /* borrowed */
	int64_t last_used_s;
};

/* A file of this build is opened. Waits for nothing but the disk; for callers
 * that do not call it with every open: once an hour is enough. */
void catalog_used(struct catalog *c, const struct repo_id *repo,
		  const char *commit, const char *variant);
/* Every build with a listing in the cache, in no order; stops at the first
 * that is not 0. */
typedef int catalog_build_each(void *arg, const struct catalog_build *b);
int catalog_each_build(struct catalog *c, catalog_build_each *each, void *arg);
/* How much of it is there (tiers count); *whole: all of it. */
uint64_t catalog_build_bytes(struct catalog *c, const struct catalog_build *b,
			     bool *whole);
/* Remove the notes of builds and commits of which nothing is left. */
int catalog_forget(struct catalog *c, size_t *forgotten);

#endif
