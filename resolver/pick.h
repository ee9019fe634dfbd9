/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PICK_H
#define RESOLVER_PICK_H

/*
 * A pick: which build of a commit an environment gets, why not the others,
 * and which builds of other kernels it needs. Immutable once made.
 *
 * What a kernel needs is decided with it: one decision, one commit and build
 * for each kernel below it. What one of them lacks refuses the whole.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "choose.h"
#include "env.h"
#include "kernels/metadata.h"
#include "kernels/ref.h"

struct err;
struct text;
struct tree;

/* Kernels below one, and how deep they may lie. */
#define PICK_DEPENDS_MAX 256u
#define PICK_DEPTH_MAX 32u

/* What a chosen build says of itself. */
struct pick_own {
	char *id; /* owned; the name of its module, "" too */
	/* owned; what it needs, as indexes into the pick's depends, in the
	 * order of its metadata (a repository may stand there twice: the
	 * later one counts) */
	uint32_t *needs;
	size_t need_count;
	char **python; /* owned; names of Python packages that it needs */
	size_t python_count;
	char minver[METADATA_MINVER_MAX]; /* of `kernels`, "" for any */
	bool dirty;	    /* built from uncommitted sources … */
	bool builder_dirty; /* … by a builder of uncommitted sources */
};

/* A kernel that is needed, and its build. */
struct pick_depend {
	struct ref asked; /* as the one that needs it says */
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	char variant[256];
	char package[REF_PART_MAX + 1];
	bool nested;	   /* the importable folder is <variant>/<package> */
	struct tree *tree; /* owned; listing of the build */
	struct pick_own own;
};

struct pick {
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	struct env env;
	char spec[ENV_SPEC_MAX]; /* env_print(env) */
	char package[REF_PART_MAX + 1];
	struct decisions decisions;
	const char *variant; /* the chosen one's name, or NULL */
	bool nested;	     /* the importable folder is <variant>/<package> */
	struct tree *tree;   /* owned; listing of the chosen build, or NULL */
	struct pick_own own;
	struct pick_depend *depends; /* owned; a kernel before who needs it,
				      * each asked name once */
	size_t depend_count;
	/* 0; EACCES (a publisher), ENODEV (nothing fits, a circle), ENOENT (a
	 * kernel that is needed is not there), EPERM (or not in the lock) */
	int refused;
	char why[1024]; /* a sentence when refused */
	/* the needed kernel that no build fits: its name and decisions */
	char lacking[REF_TEXT_MAX];
	struct decisions lacks;
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
			struct tree *build, struct text *out, struct err *err);
	/* metadata() has refused it: another build is looked for. NULL
	 * allowed. */
	void (*given_up)(void *ctx, const struct pick *p, const char *variant,
			 struct tree *build);
	/* The commit of a kernel that is needed, and its present name.
	 * -ENOENT, -EACCES and -EPERM refuse the pick. */
	int (*commit)(void *ctx, const struct pick *root, const struct ref *ref,
		      struct repo_id *repo, char commit[REF_COMMIT_LEN + 1],
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
/* The JSON document of DESIGN chapter 6. Paths below `mountpoint`, null
 * with NULL. */
void pick_json(const struct pick *p, const char *revision,
	       const char *mountpoint, struct text *out);
/* depends.json: what the door needs to supply what a kernel needs. Of a pick
 * that is not refused. */
void pick_depends_json(const struct pick *p, struct text *out);
/* What the door raises: a sentence, the environment, a line per build. */
void pick_why(const struct pick *p, const char *revision, struct text *out);

#endif
