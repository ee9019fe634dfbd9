/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_DIGEST_H
#define KERNELS_DIGEST_H

/*
 * The identity of a blob: its git object id (SHA-1 over "blob <size>\0" and
 * the content) for files kept in git, the SHA-256 of the content for large
 * ones (kernels-facts.md 6.3, 6.8). The only room that hashes with libcrypto.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum digest_kind {
	DIGEST_NONE = 0,
	DIGEST_GIT = 20, /* git blob, SHA-1; the value is the length */
	DIGEST_SHA256 = 32,
};

struct digest {
	uint8_t kind;	   /* enum digest_kind */
	uint8_t bytes[32]; /* the first `kind` count */
};

#define DIGEST_HEX_MAX 65

/* 40 or 64 lower-case hex digits; the length tells the kind. */
int digest_parse(struct digest *out, const char *hex);
void digest_print(const struct digest *d, char out[DIGEST_HEX_MAX]);
bool digest_equal(const struct digest *a, const struct digest *b);
/* 64 bits of it, never 0, for tables and inode numbers. */
uint64_t digest_short(const struct digest *d);

/* Hash while bytes arrive. One owner, one thread. */
struct hasher;
/* `size` is needed for DIGEST_GIT, whose header names it. */
int hasher_new(struct hasher **out, enum digest_kind kind, uint64_t size,
	       struct err *err);
int hasher_add(struct hasher *h, const void *p, size_t n);
int hasher_end(struct hasher *h, struct digest *out); /* once */
void hasher_free(struct hasher *h);		      /* NULL allowed */

#endif
