/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMPILE_H
#define CLI_COMPILE_H

/*
 * `fetch --compile`: the bytecode that imports through a mount would make, made
 * now, by the interpreter that will import. It runs the door's own pieces
 * (fs/door/compile.py), which compile what is in the cache and run none of it.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct build;
struct err;
struct options;
struct progress;
struct world;

struct compile {
	char python[PATH_MAX]; /* the interpreter */
	const struct world *w; /* borrowed */
	struct progress *bar;  /* borrowed */
	uint64_t bytes;	       /* of sources, done so far */
	size_t files;
};

struct compiled {
	char python[32]; /* its version; "" when the build has no source */
	size_t kept, known, failed;
};

/* The interpreter of the options: -ENOENT and the like with a sentence. */
int compile_find(struct compile *k, const struct options *o, struct err *err);
/* What there is to do, added to both. */
void compile_count(const struct build *b, uint64_t *bytes, size_t *files);
/*
 * One build: each of its sources that is in the cache. What does not compile is
 * said and counted. -errno: nothing can be kept, or its time is up; -ECANCELED.
 */
int compile_build(struct compile *k, const struct build *b,
		  struct compiled *out, struct err *err);

#endif
