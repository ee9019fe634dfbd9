/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BUILDS_H
#define CLI_BUILDS_H

/*
 * The builds that `fetch` and `verify` are about: of the kernels that were
 * named, else of all that the lock file lists; for each the one that is chosen
 * for this environment with what it needs, or (--all-variants) all of them.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernels/ref.h"

struct cli;
struct err;
struct lock_entry;
struct tree;
struct world;

struct build {
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	char revision[REF_REV_MAX + 1]; /* as it was asked for, or a commit */
	char variant[NAME_MAX + 1];
	struct tree *tree;		/* owned */
	const struct lock_entry *entry; /* borrowed; NULL: not from a lock */
};

struct builds {
	struct build *items; /* owned; each build once */
	size_t count;
	bool here_only; /* what is not in the cache is missing, not asked for */
	int worst; /* 0, or the last -errno of a kernel that has none here */
};

/*
 * A kernel that cannot be had is said and remembered, the others are
 * gathered. -errno only when nothing can be done: no memory, interrupted.
 */
int builds_gather(struct builds *out, const struct cli *c, struct world *w,
		  struct err *err);
void builds_done(struct builds *b);

/* Are the words sound, and is there anything to do? Before the world. */
int builds_check(const struct cli *c, struct err *err);

#endif
