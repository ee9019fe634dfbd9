/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_STORE_ROOM_H
#define KERNELS_STORE_ROOM_H

/*
 * What the files of the store share; nobody else's: store.c (blobs),
 * store_lock.c (what processes tell each other),
 * store_layout.c (whose folder, which layout), store_usage.c (how much),
 * store_evict.c (making room), store_tier.c (what is read from elsewhere),
 * store_note.c, store_partial.c (files on their way), ingest.c and
 * ingest_parts.c.
 */

#include "store.h"

#include "base/lock.h"
#include "base/map.h"

#include <sys/stat.h>
#include <sys/types.h>

#define STORE_TIERS_MAX 16

struct tier {
	char *path; /* owned; as it was named */
	int dir;    /* owned */
	bool lends; /* its notes too: nobody else could have written them */
};

struct store {
	char *path;	    /* owned; as it was named, for messages */
	int dir;	    /* owned */
	mode_t folder_mode; /* of the folders made here: a cache that a
			     * group shares is written by the group */
	mode_t file_mode;   /* of locks and the like, which are written */
	/* Set before there are threads: */
	uint64_t cache_size; /* 0: no limit */
	uint64_t min_free;
	struct tier tiers[STORE_TIERS_MAX];
	size_t tier_count;
	store_uses *uses; /* NULL: nobody knows uses */
	void *uses_ctx;
	store_let_go *let_go; /* NULL: nobody holds any */
	void *let_go_ctx;

	struct lock mu;
	uint64_t reserved;     /* mu; bytes of blobs being taken in */
	int64_t pending_bytes; /* mu; not yet in the file of the count */
	int64_t pending_blobs; /* mu */
	struct map verdicts;   /* mu; on files of tiers, where no note of it
				* could be written */
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
/* The same without waiting for the disk: a crash may lose what was *made. */
int store_make_folder_hint(struct store *s, const char *name, bool *made);
/* A regular file below `dir`, read-only: fd (caller closes) or -errno; what
 * is no regular file is -ENOENT. Never through a link in the last step. */
int store_open_below(int dir, const char *name);
/* A file that is written and locked, made when missing: fd or -errno. */
int store_open_shared(struct store *s, int folder, const char *name);
/* Is what has this name the file that is open? */
bool store_is_named(int folder, const char *name, int fd);
/* "cache '…': what: errno's text"; returns -code. */
int store_fail(const struct store *s, int code, const char *what,
	       struct err *err);

/* ---- store_partial.c ---- */

/*
 * A new file in partial/, named after `stem`, for who cannot write unnamed.
 * It is locked, so that nobody cleans it away while we live, and cleaned away
 * by the next store_new() when we do not. fd (caller closes) with *folder
 * (caller closes) and `name` set, or -errno with name "".
 */
int store_open_partial(struct store *s, const char *stem, int *folder,
		       char name[STORE_NAME_MAX]);
/*
 * The file in partial/ of a large blob, as it was left or empty, locked as
 * well. -EBUSY: somebody is at it; -EOPNOTSUPP: there are no locks here.
 */
int store_open_parts(struct store *s, const char *hex, int *folder,
		     char name[STORE_NAME_MAX]);
enum store_keep {
	STORE_KEEP_YOUNG, /* what may still be gone on with */
	STORE_KEEP_NONE,
};
/* Remove what nobody holds; bytes. */
uint64_t store_clean_partial(struct store *s, enum store_keep keep);
/* How many bytes of the disk those have. */
uint64_t store_dead_bytes(struct store *s);

/* ---- store_layout.c ---- */

/* Open the folder, judge whose it is and its layout, and mark it. */
int store_open_folder(struct store *s, struct err *err);
/* May only we, root, or a group of ours write it? */
bool store_folder_is_ours(const struct stat *st);
/* The number in the folder's layout file, 1 when there is none; -EBADMSG. */
int store_layout_of(int dir, uint64_t *out);

/* ---- store_usage.c ---- */

/* A blob came or went. */
void store_count(struct store *s, int64_t bytes, int64_t blobs);
/* Try to bring what is pending into the file of the count. */
void store_count_flush(struct store *s);
/* What the count says, before it is found by walking; and keep what was found,
 * with what others have added and removed meanwhile. */
struct store_sum {
	uint64_t bytes;
	uint64_t blobs;
	bool known;
};
void store_count_before(struct store *s, struct store_sum *before);
void store_count_set(struct store *s, const struct store_sum *before,
		     uint64_t bytes, uint64_t blobs);
/* Every regular file below blobs/, `folder` open: stops at what is not 0. */
typedef int store_walk_each(void *arg, int folder, const char *name,
			    const struct stat *st);
int store_walk(struct store *s, store_walk_each *each, void *arg);

/* ---- store_evict.c ---- */

/* Set `size` bytes aside, of which `there` are on the disk already, removing
 * old blobs if need be. -ENOSPC with a sentence. May wait a little for another
 * cleaner. */
int store_reserve(struct store *s, uint64_t size, uint64_t there,
		  struct err *err);
void store_unreserve(struct store *s, uint64_t size);
/* The disk itself is full: at least `bytes` are wanted. true: some went. */
bool store_evict_bytes(struct store *s, uint64_t bytes);
/* What came while others were coming may have been too much. */
void store_settle(struct store *s);

/* ---- store_tier.c ---- */

void store_tiers_done(struct store *s);
/* As store_open(), in the tiers alone. */
int store_tier_open(struct store *s, const struct repo_id *repo,
		    const struct digest *d, uint64_t size);
/* The note of this file name in a tier that lends it: fd or -ENOENT. */
int store_tier_note(struct store *s, const char *kind, const char *name);

/* ---- store_verify.c ---- */

/* The digest of an open file. -ECANCELED. */
int store_hash_file(int fd, enum digest_kind kind, uint64_t size,
		    struct digest *out, const bool *cancelled,
		    int64_t *progress_ms);

/* ---- ingest.c ---- */

int ingest_new(struct ingest **out, struct store *s, const struct digest *d,
	       uint64_t size, struct err *err);

#endif
