/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_AHEAD_H
#define FS_AHEAD_H

/*
 * A build that begins to be used has its pages read ahead of its user: of
 * libraries what the loader will touch, of small files all. They go into the
 * page cache by way of the blobs, which with passthrough are the very pages
 * that the program reads. Only what is in the cache is read, nothing is
 * fetched, and nobody waits for it: it is a hint, dropped where it would
 * queue. Any thread.
 */

#include <stdbool.h>

struct ahead;
struct err;
struct pool;
struct repo_id;
struct store;
struct tree;

enum ahead_what {
	AHEAD_LIBRARIES,
	AHEAD_SMALL_FILES, /* sources too: they will be compiled */
};

/* Borrows both; the pool is stopped before ahead_free(). */
int ahead_new(struct ahead **out, struct store *store, struct pool *pool,
	      struct err *err);
/* What is being read goes on to its end, which is near; no more begins. */
void ahead_stop(struct ahead *a);
void ahead_free(struct ahead *a); /* NULL allowed */

/* Begin. Once is enough: callers see to it that it is once per build and
 * use, not once per open. */
void ahead_build(struct ahead *a, const struct repo_id *repo, struct tree *tree,
		 enum ahead_what what);

#endif
