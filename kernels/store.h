/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_STORE_H
#define KERNELS_STORE_H

/*
 * The cache on disk: content-addressed, one per host, shared by all mounts
 * and processes of a user.
 *
 *	<cache>/CACHEDIR.TAG
 *	<cache>/blobs/<2 hex>/<hex>		verified content, mode 0444
 *	<cache>/notes/<kind>/<2 hex>/<hex>	small facts by key
 *	<cache>/locks/<hex>			held while a blob is fetched
 *	<cache>/partial/			where O_TMPFILE cannot be had
 *
 * A blob gets its name only when its hash was checked and its bytes and name
 * are on disk; an unnamed file (O_TMPFILE) needs no cleaning after a crash.
 * Nothing here knows repositories. Any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"

struct err;
struct repo_id;
struct store;
struct text;

/* Opens the folder, making it (0700) when missing, and says with the path
 * when it cannot be used; `writable` false after success means read-only. */
int store_new(struct store **out, const char *dir, struct err *err);
void store_free(struct store *s);
const char *store_path(const struct store *s);

/*
 * A verified blob of `size` bytes, read-only: fd (caller closes), which holds
 * a shared lock for as long as it is open: such a blob is in use. -ENOENT; or
 * -EAGAIN: a tier has a file of that name and size that nobody has verified
 * yet, which fetching does. `repo` says where a Hub cache among the tiers
 * would have it; NULL: do not look there. No waiting.
 */
int store_open(struct store *s, const struct repo_id *repo,
	       const struct digest *d, uint64_t size);
/* Would store_open() give it? */
bool store_has(struct store *s, const struct repo_id *repo,
	       const struct digest *d, uint64_t size);

/* ---- taking a blob in ---- */

struct ingest;

/* Begin: an unnamed file that hashes what is written. `size` must be right.
 * -ENOSPC, -EROFS, … with a sentence that names the cache. */
int store_ingest(struct ingest **out, struct store *s, const struct digest *d,
		 uint64_t size, struct err *err);
int ingest_write(struct ingest *in, const void *p, size_t n, struct err *err);
uint64_t ingest_written(const struct ingest *in);
/* Start again from nothing (a source that ignored a range). */
int ingest_rewind(struct ingest *in, struct err *err);
/* Check, sync, name. -EBADMSG with both hashes; -EIO when it is short. */
int ingest_commit(struct ingest *in, struct err *err);
void ingest_free(struct ingest *in); /* drops what was not committed */

/*
 * One fetcher per blob and host: 1 with *lock set (>= 0, store_unlock gives
 * it back), 0 when another process holds it, -errno. Correctness does not
 * depend on it (some network filesystems grant it to all).
 */
int store_lock(struct store *s, const struct digest *d, int *lock);
void store_unlock(struct store *s, const struct digest *d, int lock);

/* ---- notes: small facts, found again by their key ---- */

/* Replace the note. `kind` is a plain word ("trees", "refs", "trust"). */
int store_note_write(struct store *s, const char *kind, const char *key,
		     const void *p, size_t n, struct err *err);
/* The note's file, read-only (caller closes), or -ENOENT. */
int store_note_open(struct store *s, const char *kind, const char *key);
/* Appended to `out`; *age_s (NULL allowed): seconds since it was written. */
int store_note_read(struct store *s, const char *kind, const char *key,
		    struct text *out, int64_t *age_s);

/* Bytes and blobs of this cache, counted by walking it. */
int store_usage(struct store *s, uint64_t *bytes, uint64_t *blobs);

#endif
