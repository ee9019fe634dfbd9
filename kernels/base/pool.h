/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

/*
 * Worker threads over three queues: *wanted now*, *wanted soon* and *wanted
 * later*. Jobs of the second hold all workers but two, those of the third at
 * most half, and those two together all but two, so that what somebody waits
 * for never queues behind what might be useful. Threads are born when there
 * is work and none is idle, up to the limit, and end when they have been idle
 * for a while; all signals are blocked in them.
 */

#include <stdint.h>

struct err;
struct pool;

struct pool_job {
	void (*run)(struct pool_job *job); /* on a worker, no lock held */
	struct pool_job *next;		   /* the pool's while queued */
};

enum pool_lane {
	POOL_NOW,
	POOL_SOON,
	POOL_LATER,
	POOL_LANES,
};

/* `name` (at most 15 bytes) is the threads' name. */
int pool_new(struct pool **out, const char *name, unsigned threads,
	     struct err *err);
/* How long an idle thread stays; said before the first job. Threads that
 * were many for a moment must not cost memory for ever. */
void pool_idle_ms(struct pool *pool, int64_t ms);
/*
 * Runs what is queued no more (their `run` is called never: the caller has
 * already cancelled what waits on them) and joins all workers. Jobs may still
 * be given and taken back: two pools whose jobs use each other are stopped
 * both before either is freed.
 */
void pool_stop(struct pool *pool); /* NULL allowed */
void pool_free(struct pool *pool); /* stops it first; NULL allowed */

/* Queue a job; the caller keeps its memory alive until run() is called. */
void pool_submit(struct pool *pool, struct pool_job *job, enum pool_lane lane);
/* Take a job back: 1 when it will not run, 0 when it runs, ran or is absent. */
int pool_withdraw(struct pool *pool, struct pool_job *job);

#endif
