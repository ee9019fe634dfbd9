/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_WORLD_H
#define FS_WORLD_H

/*
 * The lower floors, put together from options once per process: what the
 * mount and the verbs stand on.
 */

#include <stdbool.h>

#include "resolver/env.h"
#include "resolver/lockfile.h"

struct ahead;
struct catalog;
struct err;
struct fetch;
struct http;
struct importing;
struct names;
struct options;
struct pool;
struct resolve;
struct source;
struct store;

struct world {
	const struct options *options; /* borrowed */
	struct http *http;
	struct store *store;
	struct source *source;
	struct catalog *catalog;
	struct pool *disk; /* never waits for a source */
	struct pool *net;
	struct fetch *fetch;
	struct ahead *ahead;
	struct names *names;
	struct importing *importing;
	struct resolve *resolve;
	struct lockfile lock; /* path NULL: there is none */
	struct env env;	      /* of the tree at the root */
	char spec[ENV_SPEC_MAX];
};

/* The environment that the options ask for: env=, python=, backend=. */
int world_env(struct env *out, const struct options *o, struct err *err);

/* In order of birth; on failure what was born is freed. */
int world_new(struct world **out, const struct options *o, struct err *err);
/* The bytes alone, for who looks after the cache: no environment, no names, no
 * resolver. */
int world_new_bytes(struct world **out, const struct options *o,
		    struct err *err);
/* Everything that waits is answered with -ECANCELED, then all is freed. */
void world_stop(struct world *w);
void world_free(struct world *w); /* NULL allowed */

#endif
