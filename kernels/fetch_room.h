/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_FETCH_ROOM_H
#define KERNELS_FETCH_ROOM_H

/*
 * What the files of the downloader share; nobody else's: fetch.c (asking,
 * deadlines, the end), fetch_flight.c (what is wanted), fetch_queue.c (in
 * which order), fetch_build.c (whole builds), fetch_work.c (the workers),
 * fetch_yield.c (whom they let go first), fetch_download.c (one download),
 * fetch_parts.c (one with many hands). A *flight* is a blob that is wanted,
 * from its first asker to its end.
 */

#include "fetch.h"

#include "base/err.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/text.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flight_state {
	FLIGHT_QUEUED,	/* in fetch.queue[lane] */
	FLIGHT_PARKED,	/* in fetch.parked: another process is at it */
	FLIGHT_RUNNING, /* some thread's, which also frees it */
};

/* lk: fetch.lock */
struct flight {
	struct map_link link; /* lk; in fetch.flights while `listed` */
	struct digest digest;
	uint64_t size;
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	char *path;		      /* owned */
	struct fetch_waiter *waiters; /* lk */
	struct fetch_parts *parts;    /* lk; while it comes in blocks */
	unsigned polls;		      /* lk; how often it was parked */
	struct build *build;	  /* lk; counted in build.users; may be NULL */
	enum flight_state state;  /* lk */
	enum pool_lane lane;	  /* lk */
	bool listed;		  /* lk; can be found and joined */
	bool kept;		  /* lk; a build wants it, waiters or not */
	enum pool_lane kept_lane; /* lk; how urgently the build does */
	bool cancelled;		  /* __atomic */
	int lock;   /* its thread's; the blob's in the store, or -1 */
	int folder; /* owned; its thread's; to be synced for its name, or -1 */
	bool folder_made;
	int64_t since_ms;    /* lk; first wanted, or its download began */
	int64_t progress_ms; /* __atomic; HTTP_PROGRESS_BYTES of it */
	int64_t again_ms;    /* lk; of a parked one: when to look again */
	uint64_t order;	     /* first come, first served among equal sizes */
	size_t at;	     /* lk; place in its queue */
	struct flight *next; /* lk; in fetch.parked */
};

/* A heap: the smallest first. Room is made when a flight is born, so that
 * moving it cannot fail. */
struct queue {
	struct flight **v; /* owned */
	size_t count;
	size_t room;
};

/* A listing whose files are wanted soon or later. Its flights are made when a
 * worker has time for them, not before. */
struct build_file {
	uint64_t size;
	uint32_t entry;
};

struct build {
	struct build *next; /* lk */
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	char *dir;		  /* owned */
	struct tree *tree;	  /* counted */
	struct build_file *files; /* owned; smallest first */
	size_t count;
	size_t at;	     /* lk; the next one */
	enum pool_lane lane; /* lk */
	unsigned failures;   /* lk; in a row */
	bool stopped;	     /* lk; not wanted after all */
	unsigned users;	     /* lk; flights that point here, and who looks */
};

/* A job of the pool that takes whatever is best when it runs. */
struct slot {
	struct pool_job job;
	struct fetch *fetch;
	enum pool_lane lane;
	bool busy; /* lk; submitted or running */
};

/* More than a pool has threads. */
#define FETCH_SLOTS 64
/* What another process is at is looked at so often, sooner at first. */
#define FETCH_POLL_MS 50

/* A running flight whose blocks several hands bring; on its thread's stack,
 * in fetch.parts while others may join. */
struct fetch_parts {
	struct fetch_parts *next; /* lk */
	struct fetch *fetch;
	struct flight *flight;
	struct ingest *in;    /* owned */
	struct text place;    /* lk; where the bytes are, if that is known */
	struct pool_job hash; /* while `hashing` */
	bool open;	      /* lk; an answer has come: others may join */
	bool hashing;	      /* lk */
	bool stop;	      /* lk to set, __atomic; no more bytes */
	unsigned hands;	      /* lk; threads that are at a block */
	int r;		      /* lk; the first failure */
	struct err err;	      /* lk */
};

struct fetch {
	struct source *source;
	struct store *store;
	struct pool *net;
	struct pool *hash; /* owned */
	int64_t deadline_ms;
	struct lock lock;
	pthread_cond_t changed; /* slots ended, flights ended, work came */
	struct map flights;	/* lk */
	struct queue queue[POOL_LANES];		    /* lk; by lane */
	struct flight *parked;			    /* lk */
	struct build *builds;			    /* lk; owned */
	struct fetch_parts *parts;		    /* lk */
	struct slot slots[POOL_LANES][FETCH_SLOTS]; /* lk; by lane */
	size_t pending[POOL_LANES]; /* lk; submitted and not begun */
	size_t busy;		    /* lk; slots */
	uint64_t orders;	    /* lk */
	bool polling;		    /* lk; a worker waits for parked ones */
	bool stopping;		    /* lk */
	uint64_t looking; /* lk; files of builds between list and flight */
	uint64_t running; /* lk */
	uint64_t done;	  /* lk */
	uint64_t failed;  /* lk */
	uint64_t bytes;	  /* __atomic */
	int64_t last_progress_ms; /* __atomic; of any flight, or its end */
	/* fetch_yield.c */
	bool background;   /* set before there are threads */
	int front;	   /* __atomic; owned; -1 not opened, -2 cannot be */
	uint64_t waited;   /* lk; flights with waiters */
	int64_t waited_ms; /* lk; when one had its first or lost its last */
	bool told;	   /* lk; other processes hear of it */
	int64_t wanted_ms; /* lk; when one waited for what comes here */
};

/* ---- fetch_queue.c; all with the lock held ---- */

int fetch_queue_reserve(struct queue *q, size_t count); /* 0, -ENOMEM */
void fetch_queue_push(struct queue *q, struct flight *fl);
void fetch_queue_remove(struct queue *q, struct flight *fl);
/* The smallest, or NULL; it stays. */
struct flight *fetch_queue_top(const struct queue *q);

/* ---- fetch_build.c ---- */

/* Give back a counted build; it goes when it has nothing left to do. */
void fetch_build_put_locked(struct fetch *f, struct build *b)
	LOCK_REQUIRES(&f->lock);
/* How a flight of it ended: a source that fails is not asked 100,000 times. */
void fetch_build_note_locked(struct build *b, int r);
/* How many files of builds in this lane are still to be looked at. */
uint64_t fetch_build_left_locked(const struct fetch *f, enum pool_lane lane)
	LOCK_REQUIRES(&f->lock);
/* The build in this lane whose next file is the smallest, or NULL. */
struct build *fetch_build_best_locked(struct fetch *f, enum pool_lane lane)
	LOCK_REQUIRES(&f->lock);
/*
 * Make a running flight of its next file: NULL when that one is in the
 * store, in flight, or memory is short. Lets the lock go and takes it again.
 */
struct flight *fetch_build_take_locked(struct fetch *f, struct build *b)
	LOCK_REQUIRES(&f->lock);
void fetch_build_drop_all_locked(struct fetch *f) LOCK_REQUIRES(&f->lock);

/* ---- fetch_flight.c ---- */

struct flight *fetch_flight_new(const struct fetch_blob *blob, struct err *err);
void fetch_flight_free(struct flight *fl); /* NULL allowed */
/* For the map: by digest and size, a struct fetch_flight_key. The size is
 * part of it so that a listing that lies about it fails alone. */
struct fetch_flight_key {
	const struct digest *digest;
	uint64_t size;
};
int fetch_flight_equal(const struct map_link *l, const void *key);
struct flight *fetch_flight_find_locked(const struct fetch *f,
					const struct digest *d, uint64_t size)
	LOCK_REQUIRES(&f->lock);
/* List a new flight, in the queue of its lane or running. */
int fetch_flight_list_locked(struct fetch *f, struct flight *fl,
			     enum flight_state state) LOCK_REQUIRES(&f->lock);
/* Out of the queue or the parking place; the state is the caller's to set. */
void fetch_flight_lift_locked(struct fetch *f, struct flight *fl)
	LOCK_REQUIRES(&f->lock);
/* The caller's thread runs it from here on. */
void fetch_flight_claim_locked(struct fetch *f, struct flight *fl)
	LOCK_REQUIRES(&f->lock);
/* Wanted now, or not so soon after all. */
void fetch_flight_lane_locked(struct fetch *f, struct flight *fl,
			      enum pool_lane lane) LOCK_REQUIRES(&f->lock);
/* A build wants it, so urgently. */
void fetch_flight_keep_locked(struct fetch *f, struct flight *fl,
			      enum pool_lane lane) LOCK_REQUIRES(&f->lock);
/*
 * Its end is decided: nobody finds it any more, its thread is told, and who
 * waited is handed out to be called. With *gone set it was nobody's, and the
 * caller frees it.
 */
struct fetch_waiter *fetch_flight_end_locked(struct fetch *f, struct flight *fl,
					     struct flight **gone)
	LOCK_REQUIRES(&f->lock);
/* No lock held. */
void fetch_flight_call(struct fetch_waiter *w, int r, const struct err *err);

/* ---- fetch_work.c ---- */

void fetch_work_init(struct fetch *f);
/* Submit as many jobs as there is work for. */
void fetch_work_schedule_locked(struct fetch *f) LOCK_REQUIRES(&f->lock);
void fetch_work_withdraw_locked(struct fetch *f) LOCK_REQUIRES(&f->lock);
/* The end of a running flight, by the thread that ran it, which loses it.
 * No lock held. */
void fetch_work_finish(struct fetch *f, struct flight *fl, int r,
		       const struct err *err);

/* ---- fetch_yield.c ---- */

/* Before somebody waits; no lock held. */
void fetch_front_open(struct fetch *f);
void fetch_front_close(struct fetch *f);
/* A flight has its first waiter, or has none any more. */
void fetch_waits_locked(struct fetch *f, bool more) LOCK_REQUIRES(&f->lock);
/* Nobody waits any more: say so, after a moment. */
void fetch_front_tick_locked(struct fetch *f, int64_t now_ms)
	LOCK_REQUIRES(&f->lock);
/* Before something of this lane begins; `fl` (NULL: none yet) is running.
 * Lets the lock go and takes it again. */
void fetch_yield_locked(struct fetch *f, enum pool_lane lane, struct flight *fl)
	LOCK_REQUIRES(&f->lock);

/* ---- fetch_parts.c ---- */

/* How many more hands there is work for in this lane. */
uint64_t fetch_parts_room_locked(const struct fetch *f, enum pool_lane lane)
	LOCK_REQUIRES(&f->lock);
/* Become a hand for one block, or NULL; then work, which ends it. */
struct fetch_parts *fetch_parts_join_locked(struct fetch *f,
					    enum pool_lane lane,
					    struct ingest_part *part)
	LOCK_REQUIRES(&f->lock);
void fetch_parts_work(struct fetch_parts *p, const struct ingest_part *part);
/* -EOPNOTSUPP: it is to come in one piece. */
int fetch_parts_bring(struct fetch *f, struct flight *fl, struct err *err);

/* ---- fetch_download.c; no lock held ---- */

/* Bytes have come for it. */
void fetch_progress(struct fetch *f, struct flight *fl);

/* 0: it is in the store. 1: another process is at it. -errno with err. */
int fetch_download(struct fetch *f, struct flight *fl, struct err *err);

#endif
