/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_DECIDED_H
#define RESOLVER_DECIDED_H

/*
 * Which commits a name has led to in this mount, and by which revision
 * first: so that a path to one of them asks nobody whether it exists, at the
 * same price whether ten are known or ten thousand. Any thread.
 */

#include <stdbool.h>

#include "kernels/ref.h"

struct decided;
struct err;

/* Past these a commit is forgotten at once, and asked for like any other. */
#define DECIDED_MAX 262144

int decided_new(struct decided **out, struct err *err);
void decided_free(struct decided *d); /* NULL allowed */

void decided_add(struct decided *d, const struct repo_id *repo,
		 const char *commit, const char *revision);
/* `revision`, when not NULL, becomes the one that led there first. */
bool decided_find(struct decided *d, const struct repo_id *repo,
		  const char *commit, char revision[REF_REV_MAX + 1]);

#endif
