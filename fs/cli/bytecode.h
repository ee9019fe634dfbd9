/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BYTECODE_H
#define CLI_BYTECODE_H

/*
 * The folder where the door (fs/door/) keeps the bytecode of this user:
 *
 *   <base>/kernelfs/bytecode/<tag>.<level>/<owner>/<repo>@<commit>/build/...
 *   <base>/kernelfs/bytecode/<tag>.<level>/door/<hash>.pyc
 *
 * with $XDG_CACHE_HOME, else $HOME/.cache, as <base>. The door renews the time
 * of a commit's folder when it is used. Nothing here follows a link below
 * <base>, or touches what another user has made or may write to.
 */

#include <stddef.h>
#include <stdint.h>

struct err;
struct stat;
struct text;

/* A commit's bytecode that nobody has used for so long is dropped. */
#define BYTECODE_UNUSED_DAYS 90

struct bytecode_sum {
	uint64_t bytes; /* freed */
	size_t commits; /* dropped */
	size_t left;	/* names that are not ours alone, left alone */
};

/* <base>, as the door takes it. -ENOENT with a sentence: there is none. */
int bytecode_base(struct text *out, struct err *err);
/*
 * The folder as a descriptor (caller closes). -ENOENT: it is not there, which
 * is no failure; -EPERM and others with a sentence: it cannot be used.
 */
int bytecode_open(const char *base, struct err *err);
/* A folder in one that is open, never through a link. */
int bytecode_open_folder(int dir, const char *name, struct stat *st);
/* 0: it is there, or the door can make it. -errno with a sentence. */
int bytecode_usable(const char *base, struct err *err);
/* Drop what was long unused, and what writers that died have left. */
int bytecode_gc(int folder, int64_t now_s, struct bytecode_sum *sum);

#endif
