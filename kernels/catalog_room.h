/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CATALOG_ROOM_H
#define KERNELS_CATALOG_ROOM_H

/*
 * Inside of the catalog: what catalog.c (notes and their keys),
 * catalog_index.c (what is cached), catalog_uses.c (builds, and their use),
 * catalog_read.c (small files), catalog_metadata.c and catalog_settle.c (notes
 * and the disk) share.
 */

#include <pthread.h>
#include <stdbool.h>

#include "base/lock.h"
#include "base/pool.h"
#include "catalog.h"
#include "store.h"

struct text;

#define CATALOG_KEY_MAX 4096

struct unsettled;

struct catalog {
	struct source *source;
	struct store *store;
	struct lock mu;
	pthread_cond_t indexed;
	bool indexing;	     /* mu; somebody reads and rewrites an index */
	int64_t refreshed_s; /* __atomic; a "not trusted" from before is old */
	struct pool *disk;   /* borrowed; NULL: notes are not settled */
	struct pool_job settle;
	struct unsettled *unsettled; /* mu; owned */
	bool settling;		     /* mu; the job is queued, or runs */
	bool leaving;		     /* __atomic; what is left is left */
};

/* ---- catalog_settle.c ---- */

void catalog_settle(struct catalog *c, const char *kind, const char *key);
void catalog_settle_done(struct catalog *c);

/* "<url> <owner>" */
void catalog_owner_key(struct text *key, const struct source *home,
		       const char *owner);
/*
 * Write a note, and settle it later: who asked does not wait for the disk.
 * What a power cut leaves of a note it says itself (fact.h, tree.h), and such
 * a one counts as absent.
 */
int catalog_keep(struct catalog *c, const char *kind, const char *key,
		 const void *p, size_t n);
/* The same; that it could not be is a line at debug level. */
void catalog_note(struct catalog *c, const char *kind, const char *key,
		  const struct text *note);
/* This commit has a listing in the cache, which `home` has given. */
void catalog_index(struct catalog *c, const struct source *home,
		   const struct repo_id *repo, const char *commit);

/* The key of the listing of a build. */
void catalog_build_key(struct text *key, const char *url,
		       const struct repo_id *repo, const char *commit,
		       const char *variant);
/* The listing under a key, counted. -ENOENT, -EBADMSG. */
int catalog_note_tree(struct catalog *c, const char *key, struct tree **out);
/* Nothing of this commit is left: its other listings, and its line. */
void catalog_forget_commit(struct catalog *c, const char *url,
			   const struct repo_id *repo, const char *commit);
void catalog_index_remove(struct catalog *c, const char *url,
			  const struct repo_id *repo, const char *commit);
/* A listing was kept under this key: if `dir` is a build, it begins to be
 * used. */
void catalog_uses_begin(struct catalog *c, const struct source *home,
			const struct repo_id *repo, const char *commit,
			const char *dir, const char *key);
int catalog_uses_tell(void *ctx, store_use *use, void *arg);
/* Appended to `out` as it comes, checked by nobody. */
int catalog_fetch(struct catalog *c, const struct source_file *f,
		  struct text *out, struct err *err);

#endif
