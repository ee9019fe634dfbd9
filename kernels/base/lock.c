/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

/* Ranks this thread holds, rising; no path of the house takes more. */
#define HELD_MAX 8
static _Thread_local int held[HELD_MAX];
static _Thread_local unsigned held_count;

static void push(int rank)
{
	assert(held_count < HELD_MAX);
	assert(held_count == 0 || held[held_count - 1] < rank);
	held[held_count++] = rank;
}

static void pop(int rank)
{
	assert(held_count > 0 && held[held_count - 1] == rank);
	held_count--;
}

void lock_init(struct lock *l, enum lock_rank rank)
{
	int r = pthread_mutex_init(&l->mutex, NULL);

	assert(r == 0);
	(void)r;
	l->rank = rank;
}

void lock_done(struct lock *l)
{
	(void)pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l) LOCK_UNCHECKED
{
	int r;

	push((int)l->rank);
	r = pthread_mutex_lock(&l->mutex);
	assert(r == 0);
	(void)r;
}

void lock_drop(struct lock *l) LOCK_UNCHECKED
{
	int r;

	pop((int)l->rank);
	/* last: who takes it next may be the one that frees it */
	r = pthread_mutex_unlock(&l->mutex);
	assert(r == 0);
	(void)r;
}

void lock_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;
	int r;

	r = pthread_condattr_init(&a);
	assert(r == 0);
	r = pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	assert(r == 0);
	r = pthread_cond_init(c, &a);
	assert(r == 0);
	(void)r;
	(void)pthread_condattr_destroy(&a);
}

int lock_wait(struct lock *l, pthread_cond_t *c, int64_t until_ms)
{
	struct timespec ts;
	int r;

	/* The lock is this thread's last one: waiting gives only it away. */
	assert(held_count > 0 && held[held_count - 1] == (int)l->rank);
	if (until_ms < 0) {
		r = pthread_cond_wait(c, &l->mutex);
	} else {
		ts.tv_sec = (time_t)(until_ms / 1000);
		ts.tv_nsec = (long)(until_ms % 1000) * 1000000;
		r = pthread_cond_timedwait(c, &l->mutex, &ts);
	}
	assert(r == 0 || r == ETIMEDOUT);
	return r ? -ETIMEDOUT : 0;
}
