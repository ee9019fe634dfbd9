/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

/*
 * A mutex with a rank. A thread takes only a higher rank than the highest it
 * holds, which lock.c asserts in every build: all arrows of locking point
 * down the house, so no circle of waiting can form. Nothing that can block
 * (open, read, DNS, callbacks) happens under a lock.
 */

#include <pthread.h>
#include <stdint.h>

enum lock_rank {
	LOCK_INODE = 10,   /* fs/inode: number -> node, lookup counts */
	LOCK_BACKING = 12, /* fs/backing: is the connection there */
	LOCK_VIEW = 15,	   /* fs/view: names decided */
	LOCK_PARK = 18,	   /* fs/park: requests that wait */
	LOCK_MEMO = 20,	   /* base/memo: values known and being made */
	LOCK_FETCH = 30,   /* kernels/fetch: blobs in flight */
	LOCK_CATALOG = 33, /* kernels/catalog: publishers being asked for */
	LOCK_SOURCE = 34,  /* sources: homes, what was seen, is down */
	LOCK_HTTP = 35,	   /* kernels/http: hosts, pauses, counts, token */
	LOCK_INGEST = 38,  /* kernels/ingest_parts: which blocks are whose */
	LOCK_STORE = 40,   /* kernels/store: counts */
	LOCK_POOL = 50,	   /* base/pool: the queues */
	LOCK_LOG = 60,	   /* base/log: the sink */
};

/* gcc knows none of clang's thread-safety attributes. */
#if defined(__clang__)
#define LOCK_CAPABILITY __attribute__((capability("mutex")))
#define LOCK_ACQUIRES(l) __attribute__((acquire_capability(l)))
#define LOCK_RELEASES(l) __attribute__((release_capability(l)))
#define LOCK_REQUIRES(l) __attribute__((requires_capability(l)))
#define LOCK_UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define LOCK_CAPABILITY
#define LOCK_ACQUIRES(l)
#define LOCK_RELEASES(l)
#define LOCK_REQUIRES(l)
#define LOCK_UNCHECKED
#endif

struct LOCK_CAPABILITY lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_done(struct lock *l);
void lock_take(struct lock *l) LOCK_ACQUIRES(l);
void lock_drop(struct lock *l) LOCK_RELEASES(l);

/* A condition on monotonic time. */
void lock_cond_init(pthread_cond_t *c);
/* Wait with l held; wakes at CLOCK_MONOTONIC `until_ms` (-1: never).
 * 0 or -ETIMEDOUT. */
int lock_wait(struct lock *l, pthread_cond_t *c, int64_t until_ms)
	LOCK_REQUIRES(l);

#endif
