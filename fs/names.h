/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_NAMES_H
#define FS_NAMES_H

/*
 * Import names: which package at the root is which repository.
 *
 * Named repositories (import=owner/repo[@rev]) first, then the kernels of
 * the import owners, in the order of the options; on a tie the first option
 * wins, then the lower byte order. Never a name that would shadow the
 * standard library, torch and its like (names_reserved()).
 *
 * The table is replaced whole when a list arrives; lookups see old or new.
 * Any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/ref.h"

struct catalog;
struct err;
struct names;
struct pool;

struct names_entry {
	char package[REF_PART_MAX + 1];
	struct ref ref; /* with the revision of a named one */
	bool named;
	uint32_t order; /* among all, before ties were settled */
};

/* `imports`: texts "owner" or "owner/repo[@rev]", at least their grammar is
 * checked here (-EINVAL). Borrows catalog and pool, which outlive it. */
int names_new(struct names **out, const char *const *imports, size_t count,
	      struct catalog *catalog, struct pool *net, struct err *err);
void names_free(struct names *n);

/* The refs of named repositories, for the resolver's defaults. Borrowed. */
const struct ref *names_named(const struct names *n, size_t *count);

/*
 * Load the owners' lists from disk and start to ask the source for them.
 * Waits at most `wait_ms` for owners that have no list on disk.
 */
void names_start(struct names *n, int64_t wait_ms);
/* Ask for all lists again, now. */
void names_refresh(struct names *n);
/* And whenever they are `ms` old (0: never); before names_start(). */
void names_refresh_every(struct names *n, int64_t ms);
/* Ask again for lists that have not come or are too old, if it is time. Called
 * now and then; returns when to call next (io_now_ms), or -1: not needed. */
int64_t names_tick(struct names *n);
/* Stop waiting for lists (at the end). */
void names_stop(struct names *n);

bool names_find(struct names *n, const char *package, struct names_entry *out);
/* Entry i in byte order of the package; false at the end. */
bool names_at(struct names *n, size_t i, struct names_entry *out);
/* Seconds since 1970 of the last change. */
int64_t names_changed_s(struct names *n);
/* Owner i of all owners that are known; false at the end. */
bool names_owner_at(struct names *n, size_t i, char out[REF_PART_MAX + 1]);
bool names_owner_known(struct names *n, const char *owner);
/* The source knows this one, too; so many are remembered. */
#define NAMES_OWNERS_MAX 4096
void names_owner_met(struct names *n, const char *owner);
/* Call `each` for every repository in the list of an import owner; false
 * when there is no list of it (yet). */
bool names_add_list(struct names *n, const char *owner, void *arg,
		    int (*each)(void *arg, const struct repo_id *repo));
/* Is this repository in an owner's list? */
bool names_listed(struct names *n, const struct repo_id *repo);

/* Would this name shadow a module that programs expect elsewhere? */
bool names_reserved(const char *package);

#endif
