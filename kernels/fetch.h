/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_FETCH_H
#define KERNELS_FETCH_H

/*
 * The downloader: one download per blob, however many ask, here and (through
 * the store's locks) on this host. Waiters hang on the blob and hold no
 * thread. What has a waiter goes before what is wanted *soon*, and that before
 * what is wanted *later*; smaller before larger within each. Several workers
 * bring a large one, in blocks. When the last waiter of a blob that nobody
 * else wanted leaves, its download stops.
 */

#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "ref.h"

struct err;
struct fetch;
struct pool;
struct source;
struct store;
struct text;
struct tree;

struct fetch_blob {
	const struct repo_id *repo; /* copied by the call */
	const char *commit;
	const char *path; /* from the repository's root */
	struct digest digest;
	uint64_t size;
};

struct fetch_waiter {
	/* r: 0 (it is in the store) or -errno with err set; on a worker or
	 * inside fetch_expire, fetch_now or fetch_free, no lock held, exactly
	 * once. w is the caller's again when it is called. */
	void (*done)(struct fetch_waiter *w, int r, const struct err *err);
	struct fetch_waiter *next;   /* fetch's */
	const struct digest *digest; /* fetch's: NULL once it was taken off */
};

/* Borrows all three; they outlive it. `deadline_ms`: a blob that makes no
 * progress for so long fails with -ETIMEDOUT. */
int fetch_new(struct fetch **out, struct source *source, struct store *store,
	      struct pool *net, int64_t deadline_ms, struct err *err);
/* Cancels: waiters are called with -ECANCELED, downloads are told to stop and
 * waited for. Who may hang in the source was stopped. Who asks now or later
 * is told -ECANCELED. */
void fetch_stop(struct fetch *f); /* NULL allowed */
/* Nobody asks any more. Stops it first. */
void fetch_free(struct fetch *f); /* NULL allowed */

/* 0 when the blob is in the store already, -EINPROGRESS when w will be
 * called, -errno. */
int fetch_ask(struct fetch *f, const struct fetch_blob *blob,
	      struct fetch_waiter *w, struct err *err);
/* true: w will not be called. false: it was, is about to be, or was never
 * asked with (all zero but `done`). */
bool fetch_cancel(struct fetch *f, struct fetch_waiter *w);
/*
 * Fail with -ETIMEDOUT what has been still for the deadline at `now_ms`
 * (io_now_ms): a running download since its last byte, a waiting one since
 * anybody's. For a timer, at least once a second while somebody waits: all
 * workers may hang. true: once more even if nobody does, to tell other
 * processes that it is so.
 */
bool fetch_expire(struct fetch *f, int64_t now_ms);
/*
 * Set before there are threads: who waits here is in no hurry (a verb that
 * fetches hundreds). Between blobs, and between blocks of large ones, it lets
 * those go first who wait in other processes on this cache, and so does what
 * is wanted later anywhere; for a bounded time each.
 */
void fetch_background(struct fetch *f);
enum fetch_want {
	FETCH_SOON,  /* somebody is importing it: all workers but two */
	FETCH_LATER, /* nobody waits: at most half of them */
};

/* A build's files: `dir` is the listing's folder from the repository's root,
 * `first` (NULL: none) a path in the listing that goes in front. */
struct fetch_files {
	const struct repo_id *repo;
	const char *commit;
	const char *dir;
	struct tree *tree;
	const char *first;
};

/*
 * Fetch every file of them that is not there. Returns at once; what was wanted
 * later and is wanted soon now moves up. Failures are logged by who waits;
 * nobody does: at debug level here.
 */
int fetch_build(struct fetch *f, const struct fetch_files *files,
		enum fetch_want want);
/* These are not wanted after all: what nobody waits for stops. What another
 * build has of the same bytes stops too, and is fetched when it is read. */
void fetch_build_stop(struct fetch *f, const struct fetch_files *files);
/* fetch_ask, waiting; for verbs. Downloads on this thread unless a worker is
 * at it already, so that a worker of the pool may call it too. */
int fetch_now(struct fetch *f, const struct fetch_blob *blob, struct err *err);

/* {"running": n, "queued": n, "done": n, "failed": n, "bytes": n} */
void fetch_report(struct fetch *f, struct text *out);

#endif
