/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GIT_GITODB_H
#define GIT_GITODB_H

/*
 * A folder of git objects on this machine, through libgit2: what a commit
 * lists, what a file holds, and taking in a pack. Objects are checked against
 * their hash when read. One owner, one thread; opening costs little.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gitobj.h"
#include "lfs.h"

struct err;
struct gitodb;
struct gitpack;
struct source_refs;
struct text;
struct tree_builder;

/* A file of git is whole in memory while it is read; larger ones are for LFS
 * (hosts refuse to take them in git from a tenth of this on). */
#define GITODB_FILE_MAX (UINT64_C(1) << 30)

/* -ENOENT: there is no such folder. */
int gitodb_open(struct gitodb **out, const char *objects, struct err *err);
void gitodb_free(struct gitodb *o); /* NULL allowed */
bool gitodb_has(struct gitodb *o, const char *commit);
/* Asked now and then by who lists: true ends it with -ECANCELED. */
typedef bool gitodb_stopped(void *arg);
void gitodb_watch(struct gitodb *o, gitodb_stopped *stopped, void *arg);

/* As source_ops.tree. -ENOENT: no such folder; -ESTALE: an object is not
 * there; -EIO: an object is damaged or refused. */
int gitodb_list(struct gitodb *o, const char *commit, const char *dir,
		bool recursive, struct tree_builder *b, struct err *err);

struct gitodb_file {
	const char *bytes; /* borrowed until gitodb_close() */
	size_t size;
	bool large; /* it only stands for this one: */
	struct lfs_pointer lfs;
	void *object; /* internal */
};

/* A file by its path from the root; failures as above. */
int gitodb_read(struct gitodb *o, const char *commit, const char *path,
		struct gitodb_file *out, struct err *err);
void gitodb_close(struct gitodb *o, struct gitodb_file *f);

/* ---- taking in ---- */

/* A pack, piece by piece, into the folder `pack` of objects. It gets its name
 * only at the end; before, "pack_..." beside it. A small one may unfold to
 * much: `stopped` is asked between objects, as above. */
int gitpack_new(struct gitpack **out, const char *pack, gitodb_stopped *stopped,
		void *arg, struct err *err);
int gitpack_add(struct gitpack *p, const void *s, size_t n, struct err *err);
int gitpack_end(struct gitpack *p, struct err *err);
void gitpack_free(struct gitpack *p); /* NULL allowed */

/* ---- a whole repository of this machine ---- */

/* Its folder of git's own files ("<path>/.git", or itself), appended to
 * `dir`; its names, when `out` is given. -ENOENT: there is none. */
int gitodb_repository(const char *path, struct text *dir,
		      struct source_refs *out, struct err *err);

#endif
