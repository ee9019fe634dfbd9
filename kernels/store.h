/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_STORE_H
#define KERNELS_STORE_H

/*
 * The cache on disk: content-addressed, one per host, shared by all mounts
 * and processes of a user or a group (its layout: store.c). Below it may lie
 * read-only tiers, which are looked at for what it has not.
 *
 * A blob gets its name only when its hash was checked and its bytes are on
 * disk; an unnamed file (O_TMPFILE) needs no cleaning after a crash.
 * Nothing here knows repositories, but for where another cache would keep a
 * file of one. Any thread, but for what is said to be set first.
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

/* ---- limits and tiers: set before there are threads ---- */

/* Bytes; 0: none. Blobs are removed, least recently used first and never one
 * in use, before a new one would pass them. */
void store_limit(struct store *s, uint64_t cache_size, uint64_t min_free);
uint64_t store_cache_size(const struct store *s);
/*
 * A read-only lower tier: a cache of kernelfs, or one of huggingface_hub.
 * -errno with a sentence; -EINVAL when it is the cache itself.
 */
int store_add_tier(struct store *s, const char *dir, struct err *err);
/*
 * Hash what the tiers have under this name, where nobody has yet, and keep the
 * verdict: 0 when store_open() gives it now, -ENOENT, -ECANCELED. Blocks;
 * *progress_ms (NULL allowed) follows io_now_ms().
 */
int store_verify_tiers(struct store *s, const struct repo_id *repo,
		       const struct digest *d, uint64_t size,
		       const bool *cancelled, int64_t *progress_ms);
/* When blobs were last used: calls `use` for each that it knows, in any order
 * and as often as it likes. The youngest counts. */
typedef void store_use(void *arg, const struct digest *d, int64_t used_s);
typedef int store_uses(void *ctx, store_use *use, void *arg);
void store_ask_uses(struct store *s, store_uses *uses, void *ctx);
/*
 * Who holds blobs open that nobody uses at the moment lets go of them: called
 * before blobs are removed for want of room, on the thread that removes them,
 * with no lock of the store held. ctx outlives the store.
 */
typedef void store_let_go(void *ctx);
void store_ask_idle(struct store *s, store_let_go *let_go, void *ctx);

/* A folder below the cache (several steps) for files that a supplier of
 * kernels names itself, made where it is missing: fd (caller closes). */
int store_folder(struct store *s, const char *name, struct err *err);
/* Is there room for so many bytes of theirs? Blobs go for it as for a new one;
 * they count for min_free only. -ENOSPC with a sentence. */
int store_spare(struct store *s, uint64_t bytes, struct err *err);

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
/* Check, sync, name, sync the name. -EBADMSG with both hashes; -EIO when it is
 * short. */
int ingest_commit(struct ingest *in, struct err *err);
/* The same but for the last: for who has somebody waiting, and syncs the
 * name in its folder (caller closes), which may be a new one, when they were
 * told. */
int ingest_name(struct ingest *in, struct err *err);
int ingest_take_folder(struct ingest *in, bool *made);
int store_sync_names(int folder, bool made); /* 0, -errno */
void ingest_free(struct ingest *in);	     /* drops what was not committed */

/*
 * Taking in a large one, in blocks that several threads bring in any order.
 * The file has a name, and holds how far each block has come: what a killed
 * process leaves is gone on with here. The same ingest_written (of all
 * blocks), ingest_rewind (nothing may be taken), ingest_commit; ingest_free
 * keeps what has come, unless ingest_spoil() was called. -EOPNOTSUPP, -EBUSY:
 * not here, or not now.
 */
struct ingest_part {
	unsigned block;
	uint64_t from;	/* where the next byte goes */
	uint64_t until; /* byte behind the block */
	uint64_t noted; /* ingest's */
};

int store_ingest_parts(struct ingest **out, struct store *s,
		       const struct digest *d, uint64_t size, struct err *err);
/* Had it come some way before? */
bool ingest_resumed(const struct ingest *in);
/* The first block that is nobody's and not whole: it is the caller's until it
 * gives it back. false: there is none. */
bool ingest_take(struct ingest *in, struct ingest_part *out);
/* How many could be taken, counted up to `most`. */
unsigned ingest_free_blocks(struct ingest *in, unsigned most);
/* At most until the end of the block. */
int ingest_fill(struct ingest *in, struct ingest_part *part, const void *p,
		size_t n, struct err *err);
/* Whole or not; it stays as far as it has come. */
void ingest_give(struct ingest *in, struct ingest_part *part);
/* Is enough there for a thread to hash? Then one may, until it has caught up
 * or *stop is set; *progress_ms (NULL allowed) follows io_now_ms(). */
bool ingest_hash_due(struct ingest *in);
int ingest_hash(struct ingest *in, const bool *stop, int64_t *progress_ms,
		struct err *err);
void ingest_spoil(struct ingest *in); /* leave nothing behind */

/*
 * One fetcher per blob and host: 1 with *lock set (>= 0, store_unlock gives
 * it back), 0 when another process holds it, -errno. Correctness does not
 * depend on it (some network filesystems grant it to all).
 */
int store_lock(struct store *s, const struct digest *d, int *lock);
void store_unlock(int lock);
/* Has another one been refused this lock since it was last asked? */
bool store_lock_wanted(int lock);

/*
 * Who waits goes first, in other processes too: a descriptor to say so with
 * (caller closes; then it is said no more), or -errno. store_front_taken():
 * somebody has said so with another descriptor. Neither waits.
 */
int store_front(struct store *s);
void store_front_take(int front, bool taken);
bool store_front_taken(int front);

/* ---- notes: small facts, found again by their key ---- */

/* Replace the note. `kind` is a plain word ("trees", "refs", "trust"). */
int store_note_write(struct store *s, const char *kind, const char *key,
		     const void *p, size_t n, struct err *err);
/* The same without waiting for the disk: a crash may lose it, or cut it. */
int store_note_hint(struct store *s, const char *kind, const char *key,
		    const void *p, size_t n);
/* Wait for the disk to have a note that was written as a hint. */
int store_note_settle(struct store *s, const char *kind, const char *key);
/* The note's file, read-only (caller closes), or -ENOENT. */
int store_note_open(struct store *s, const char *kind, const char *key);
/* Appended to `out`; *age_s (NULL allowed): seconds since it was written. */
int store_note_read(struct store *s, const char *kind, const char *key,
		    struct text *out, int64_t *age_s);

/* The file's time becomes now. -ENOENT, -EACCES (another's: write it). */
int store_note_touch(struct store *s, const char *kind, const char *key);
void store_note_remove(struct store *s, const char *kind, const char *key);
/* Every note of a kind in this cache, those over `max` bytes left out, with
 * the time when it was written; stops at the first that is not 0. */
typedef int store_note_each(void *arg, const struct text *note,
			    int64_t written_s);
int store_note_walk(struct store *s, const char *kind, size_t max,
		    store_note_each *each, void *arg);

/* ---- looking after it ---- */

/* Bytes and blobs of this cache, from a count that is kept. It is walked only
 * when nobody has counted yet. */
int store_usage(struct store *s, uint64_t *bytes, uint64_t *blobs);
/* The same by walking, which puts the count right. */
int store_recount(struct store *s, uint64_t *bytes, uint64_t *blobs);
/* Remove what the dead left, and blobs until the limits hold: bytes. */
uint64_t store_trim(struct store *s);
/*
 * Hash every blob again: what is wrong loses its name, and `wrong` is told.
 * *checked: blobs looked at. Who has a wrong one open keeps its bytes.
 */
typedef void store_wrong(void *arg, const struct digest *d);
int store_verify(struct store *s, store_wrong *wrong, void *arg,
		 const bool *cancelled, uint64_t *checked);
/* It was used now, though no build says so (a small file). */
void store_used(struct store *s, const struct digest *d);

#endif
