/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_STORE_ROOM_H
#define KERNELS_STORE_ROOM_H

/* What store.c, ingest.c and store_note.c share; nobody else's. */

#include "store.h"

#include <sys/types.h>

struct store {
	char *path;	    /* owned; as it was named, for messages */
	int dir;	    /* owned */
	mode_t folder_mode; /* of the folders made here: a cache that a
			     * group shares is written by the group */
};

/* "blobs/ab/ab12…": 72 bytes and their NUL. */
#define STORE_NAME_MAX 80

/* "<kind>/<2 hex>" and, when `file` is not NULL, the whole name. */
void store_blob_name(const struct digest *d, char folder[STORE_NAME_MAX],
		     char file[STORE_NAME_MAX]);
/*
 * Open the folder `name` (several steps) below the cache, making and syncing
 * what is missing. fd (caller closes) or -errno.
 */
int store_make_folder(struct store *s, const char *name);
/*
 * A new file in partial/, named after `stem`, for who cannot write unnamed.
 * It is locked, so that nobody cleans it away while we live, and cleaned away
 * by the next store_new() when we do not. fd (caller closes) with *folder
 * (caller closes) and `name` set, or -errno with name "".
 */
int store_open_partial(struct store *s, const char *stem, int *folder,
		       char name[STORE_NAME_MAX]);
/* A regular file below the cache, read-only: fd (caller closes) or -errno;
 * what is no regular file is -ENOENT. */
int store_open_file(struct store *s, const char *name);
/* "cache '…': what: errno's text"; returns -code. */
int store_fail(const struct store *s, int code, const char *what,
	       struct err *err);

int ingest_new(struct ingest **out, struct store *s, const struct digest *d,
	       uint64_t size, struct err *err);

#endif
