/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PICK_H
#define RESOLVER_PICK_H

/*
 * A pick: which build of a commit an environment gets, and why not the
 * others. Immutable once made.
 */

#include <stdbool.h>

#include "choose.h"
#include "env.h"
#include "kernels/ref.h"

struct err;
struct text;
struct tree;

struct pick {
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	struct env env;
	char spec[ENV_SPEC_MAX]; /* env_print(env) */
	char package[REF_PART_MAX + 1];
	struct decisions decisions;
	const char *variant; /* the chosen one's name, or NULL */
	bool nested;	     /* the importable folder is <variant>/<package> */
	bool dirty; /* built from uncommitted sources, as its metadata says */
	struct tree *tree; /* owned; listing of the chosen build, or NULL */
	int refused;	   /* 0, EACCES (publisher), ENODEV (nothing fits) */
	char why[768];	   /* a sentence when refused */
};

/* What making one asks of the floor below; each blocks as it must. */
struct pick_world {
	void *ctx;
	/* names below build/: -ENOENT when the commit has none */
	int (*builds)(void *ctx, const struct pick *p, struct tree **out,
		      struct err *err);
	/* 1 trusted, 0 not, -errno */
	int (*trusted)(void *ctx, const struct pick *p, struct err *err);
	int (*listing)(void *ctx, const struct pick *p, const char *variant,
		       struct tree **out, struct err *err);
	/* metadata.json of a build, -ENOENT when the listing has none */
	int (*metadata)(void *ctx, const struct pick *p, const char *variant,
			const struct tree *build, struct text *out,
			struct err *err);
};

/* -errno only when the world could not answer (-EAGAIN included). */
int pick_make(struct pick **out, const struct repo_id *repo, const char *commit,
	      const struct env *env, const struct pick_world *world,
	      struct err *err);
void pick_free(struct pick *p); /* NULL allowed */

/* For a person: what was chosen and, line by line, why not the others.
 * `revision` is what the user asked for ("" : nothing). */
void pick_report(const struct pick *p, const char *revision, struct text *out);
/* The JSON document of DESIGN chapter 6; `path` of the importable folder,
 * NULL for null. */
void pick_json(const struct pick *p, const char *revision, const char *path,
	       struct text *out);
/* What the door raises: a sentence, the environment, a line per build. */
void pick_why(const struct pick *p, const char *revision, struct text *out);

#endif
