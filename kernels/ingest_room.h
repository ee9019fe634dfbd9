/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_INGEST_ROOM_H
#define KERNELS_INGEST_ROOM_H

/*
 * What the two ways of taking a blob in share, and nobody else's: ingest.c
 * (one piece after the other, and the end of both), ingest_parts.c (blocks in
 * any order).
 */

#include "digest.h"
#include "store_room.h"

#include <stdbool.h>
#include <stdint.h>

struct parts;

struct ingest {
	struct store *store;
	struct digest digest;
	uint64_t size;
	uint64_t written;	   /* __atomic when in parts */
	bool reserved;		   /* its bytes are set aside */
	struct hasher *hasher;	   /* owned */
	int folder;		   /* owned; where the name will be */
	bool made;		   /* it is new, and not synced */
	int fd;			   /* owned */
	int partial;		   /* owned; the folder of `name`, or -1 */
	char name[STORE_NAME_MAX]; /* in partial/, "" for an unnamed file */
	struct parts *parts;	   /* owned; NULL: in one piece */
};

/* Without bytes set aside, hasher and file; NULL with err. */
struct ingest *ingest_alloc(struct store *s, const struct digest *d,
			    uint64_t size, struct err *err);
/* Bytes set aside, of which `there` have their place on the disk, and the
 * hasher. */
int ingest_begin(struct ingest *in, uint64_t there, struct err *err);
/* Learn now, not at the end, that the disk is full. */
int ingest_allocate(struct ingest *in, uint64_t bytes);

/* ---- ingest_parts.c ---- */

/* All blocks are there and hashed: what is left in the file is the blob. */
int ingest_parts_end(struct ingest *in, struct err *err);
int ingest_parts_rewind(struct ingest *in);
void ingest_parts_free(struct ingest *in);

#endif
