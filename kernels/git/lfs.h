/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GIT_LFS_H
#define GIT_LFS_H

/*
 * Large files of git: the small file that stands for one ("pointer"), the
 * question that its server is asked ("batch"), the answer, and the file
 * `.lfsconfig` that names the server. Pure.
 *
 *	pointer = "version https://git-lfs.github.com/spec/v1" LF
 *		  "oid sha256:" 64hex LF "size " digits LF
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/digest.h"

struct err;
struct text;

#define LFS_POINTER_MAX 1024u
#define LFS_ANSWER_BYTES (1u << 20)
#define LFS_CONFIG_BYTES (64u << 10)
#define LFS_HEADERS_MAX 32u
#define LFS_MEDIA_TYPE "application/vnd.git-lfs+json"

struct lfs_pointer {
	struct digest digest;
	uint64_t size;
};

/* 1, or 0 when it is another kind of file. One that says that it is a pointer
 * and is none, or of a kind that we cannot follow: -EIO with a sentence. */
int lfs_pointer_parse(struct lfs_pointer *out, const char *s, size_t n,
		      struct err *err);

/* The body of POST <url>/objects/batch. */
void lfs_batch_ask(struct text *out, const struct lfs_pointer *what);

/* Where it can be had, and what must be said there. */
struct lfs_action {
	char *href;			    /* owned */
	char *headers[LFS_HEADERS_MAX + 1]; /* owned; "Name: value", NULL */
	bool authorizes;		    /* one of them is a credential */
};

void lfs_action_done(struct lfs_action *a);
/* -ENOENT, -EACCES: what the server says of this file; -EIO. */
int lfs_batch_read(const char *s, size_t n, const struct lfs_pointer *what,
		   struct lfs_action *out, struct err *err);

/* `lfs.url` of a `.lfsconfig` appended to `url`: 1; 0 when it says none;
 * -EIO with the line. */
int lfs_config_url(const char *s, size_t n, struct text *url, struct err *err);

#endif
