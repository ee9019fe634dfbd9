/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_RESOLVE_H
#define RESOLVER_RESOLVE_H

/*
 * The answers of the house's second floor, each worked out once per mount:
 * which commit a revision is, what is in a folder of a commit, and which
 * build of a commit fits an environment.
 *
 * All questions have one shape (base/memo.h): 0 with a counted look at an
 * immutable answer, -errno with a sentence, or -EINPROGRESS when `w` will be
 * called; with w NULL they answer what is known and start nothing. The
 * _blocking forms are for verbs and workers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memo.h"
#include "env.h"
#include "kernels/ref.h"

struct catalog;
struct err;
struct lockfile;
struct pool;
struct resolve;
struct text;
struct tree;

/*
 * The best build of a commit for an environment, as far as names tell: whether
 * it is whole its metadata says, which is still to be read.
 */
struct resolve_candidate {
	/* what was asked for: itself, or a kernel that needs it */
	const struct repo_id *root;
	const char *spec;
	const struct repo_id *repo;
	const char *commit;
	const char *variant;
	struct tree *tree; /* borrowed */
	const char *path;  /* of its metadata, in the listing */
};

struct resolve_options {
	const char *const *trust; /* "owner", "owner/repo", "*"; borrowed */
	size_t trust_count;
	/* "owner/repo@rev" of import=: the config's default revisions */
	const struct ref *named;
	size_t named_count;
	/* What it lists leads to its commits; borrowed, NULL: none. */
	const struct lockfile *lock;
	bool locked; /* and all else is refused (-EPERM) */
	/* How long a name that can move is believed; 0: for the mount's
	 * life. */
	int64_t refresh_ms;
	/*
	 * Called on a thread that may wait, before the metadata is read, of
	 * publishers that are trusted; what it makes come is not asked for
	 * again. NULL allowed, as the next: the metadata has refused it.
	 */
	void (*on_candidate)(void *ctx, const struct resolve_candidate *c);
	void (*on_given_up)(void *ctx, const struct resolve_candidate *c);
	void *candidate_ctx;
};

/* The pools outlive it; the options' arrays too. */
int resolve_new(struct resolve **out, struct catalog *catalog,
		const struct resolve_options *o, struct pool *disk,
		struct pool *net, struct err *err);
void resolve_free(struct resolve *r);

/*
 * What can move is asked for again at the next question: refs, revisions,
 * owners' lists, and every failure. `repo` NULL: all. What was handed out
 * stays as it is, and so does all that hangs on a commit.
 */
void resolve_refresh(struct resolve *r, const struct repo_id *repo);

/* A kernel of this repository is about to be used. When its publisher was never
 * heard of, nothing of it is here, and whether it is trusted is asked beside
 * what the revision is, not behind it. */
void resolve_begin(struct resolve *r, const struct repo_id *repo);

/* Take a waiter back, whatever it waits for: true, it will not be called. */
bool resolve_cancel(struct resolve *r, struct memo_waiter *w);

/* A counted look at an answer; give it back with resolve_drop(). */
struct resolve_answer {
	struct memo *memo;
	struct memo_ref ref;
};
const void *resolve_value(const struct resolve_answer *a);
/* The answer of resolve_folder and resolve_build; borrowed from it. */
struct tree *resolve_tree(const struct resolve_answer *a);
/* Is a repository named in an answer of resolve_kernels? */
bool resolve_kernels_has(const struct resolve_answer *a, const char *name);
void resolve_drop(struct resolve_answer *a); /* empty allowed */

/* ---- questions ---- */

/* What a revision is, until it is asked for again (refresh). */
struct resolve_commit {
	char commit[REF_COMMIT_LEN + 1];
	/* the revision that was taken: "v2" for the default, the rev itself
	 * else; as it stands behind '@' in a path when that is a name */
	char revision[REF_REV_MAX + 1];
	struct repo_id repo; /* its present name, where the commit is */
	bool pinned;	     /* by a lock, or as a commit: nobody was asked */
	bool last_known;     /* the source did not answer, and said so once */
};
int resolve_commit(struct resolve *r, const struct ref *ref,
		   struct memo_waiter *w, struct resolve_answer *out,
		   struct err *err);

/* Branches and tags: value is a struct source_refs. */
int resolve_refs(struct resolve *r, const struct repo_id *repo,
		 struct memo_waiter *w, struct resolve_answer *out,
		 struct err *err);

/* A folder of a commit, alone: value is a struct tree. dir "build" lists
 * the names of builds; absent folders are -ENOENT. */
int resolve_folder(struct resolve *r, const struct repo_id *repo,
		   const char *commit, const char *dir, struct memo_waiter *w,
		   struct resolve_answer *out, struct err *err);
/* All below build/<variant>: value is a struct tree. -EACCES when the
 * publisher is not trusted. */
int resolve_build(struct resolve *r, const struct repo_id *repo,
		  const char *commit, const char *variant,
		  struct memo_waiter *w, struct resolve_answer *out,
		  struct err *err);

/* The choice: value is a struct pick, also when nothing fits or may be used. */
int resolve_pick(struct resolve *r, const struct repo_id *repo,
		 const char *commit, const struct env *env,
		 struct memo_waiter *w, struct resolve_answer *out,
		 struct err *err);

/* An owner's kernels: value is a struct source_names. -ENOENT: none such. */
int resolve_kernels(struct resolve *r, const char *owner, struct memo_waiter *w,
		    struct resolve_answer *out, struct err *err);

/* The same for who may wait (verbs, workers). */
int resolve_commit_blocking(struct resolve *r, const struct ref *ref,
			    struct resolve_answer *out, struct err *err);
int resolve_pick_blocking(struct resolve *r, const struct repo_id *repo,
			  const char *commit, const struct env *env,
			  struct resolve_answer *out, struct err *err);
int resolve_folder_blocking(struct resolve *r, const struct repo_id *repo,
			    const char *commit, const char *dir,
			    struct resolve_answer *out, struct err *err);
int resolve_build_blocking(struct resolve *r, const struct repo_id *repo,
			   const char *commit, const char *variant,
			   struct resolve_answer *out, struct err *err);
int resolve_kernels_blocking(struct resolve *r, const char *owner,
			     struct resolve_answer *out, struct err *err);

/* Has a name led to this commit in this mount? `revision`, when not NULL,
 * becomes the one that did first. As fast for ten as for ten thousand. */
bool resolve_commit_known(struct resolve *r, const struct repo_id *repo,
			  const char *commit, char revision[REF_REV_MAX + 1]);

/* Every pick and every decided revision known, for reports. */
struct pick;
int resolve_each_pick(struct resolve *r,
		      int (*each)(void *arg, const struct pick *p), void *arg);
int resolve_each_commit(struct resolve *r,
			int (*each)(void *arg, const struct ref *ref,
				    const struct resolve_commit *c),
			void *arg);

#endif
