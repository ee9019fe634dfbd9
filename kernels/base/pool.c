/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include "err.h"
#include "io.h"
#include "lock.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* TLS handshakes and name look-ups are the deepest that runs here. */
#define STACK_BYTES (1u << 20)

#define IDLE_MS 10000
/* Never held by what nobody waits for. */
#define SPARE 2

struct queue {
	struct pool_job *first;
	struct pool_job **end;
	unsigned count;
};

enum worker_state {
	UNBORN,
	ALIVE,
	ENDED, /* about to return; to be joined */
};

struct worker {
	struct pool *pool;
	pthread_t thread;
	enum worker_state state; /* lock */
};

struct pool {
	struct lock lock;
	pthread_cond_t work;
	char name[16];
	struct worker *workers; /* owned */
	unsigned limit;
	int64_t idle_ms;
	unsigned idle;			 /* lock: waiting for work */
	unsigned running[POOL_LANES];	 /* lock: jobs, by lane */
	struct queue queues[POOL_LANES]; /* lock, by lane */
	bool stopping;			 /* lock */
};

int pool_new(struct pool **out, const char *name, unsigned threads,
	     struct err *err)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return err_errno(err, ENOMEM, "pool '%s'", name);
	p->workers = calloc(threads, sizeof(*p->workers));
	if (!p->workers) {
		free(p);
		return err_errno(err, ENOMEM, "pool '%s'", name);
	}
	for (unsigned i = 0; i < threads; i++)
		p->workers[i].pool = p;
	p->limit = threads;
	p->idle_ms = IDLE_MS;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	lock_init(&p->lock, LOCK_POOL);
	lock_cond_init(&p->work);
	for (int i = 0; i < POOL_LANES; i++)
		p->queues[i].end = &p->queues[i].first;
	*out = p;
	return 0;
}

void pool_idle_ms(struct pool *p, int64_t ms)
{
	p->idle_ms = ms;
}

/* ---- who may run ---- */

static unsigned less(unsigned a, unsigned b)
{
	return a > b ? a - b : 0;
}

static unsigned min_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many more jobs of the lane may run; one always may, if no other of the
 * lanes that wait for nobody does. */
static unsigned room_locked(const struct pool *p, enum pool_lane lane)
	LOCK_REQUIRES(&p->lock)
{
	unsigned most = p->limit > SPARE + 1 ? p->limit - SPARE : 1;
	unsigned half = p->limit / 2 ? p->limit / 2 : 1;
	unsigned room;

	if (lane == POOL_NOW)
		return p->limit;
	room = less(most, p->running[POOL_SOON] + p->running[POOL_LATER]);
	if (lane == POOL_LATER)
		room = min_of(room, less(half, p->running[POOL_LATER]));
	return room;
}

/* Jobs in the queues that a further thread could take. */
static unsigned ready_locked(const struct pool *p) LOCK_REQUIRES(&p->lock)
{
	unsigned n = 0;

	for (int i = 0; i < POOL_LANES; i++)
		n += min_of(p->queues[i].count,
			    room_locked(p, (enum pool_lane)i));
	return n;
}

static struct pool_job *pop_locked(struct pool *p, enum pool_lane lane)
	LOCK_REQUIRES(&p->lock)
{
	struct queue *q = &p->queues[lane];
	struct pool_job *job = q->first;

	if (!job)
		return NULL;
	q->first = job->next;
	if (!q->first)
		q->end = &q->first;
	job->next = NULL;
	q->count--;
	return job;
}

static struct pool_job *next_locked(struct pool *p, enum pool_lane *lane)
	LOCK_REQUIRES(&p->lock)
{
	for (int i = 0; i < POOL_LANES; i++) {
		struct pool_job *job = NULL;

		*lane = (enum pool_lane)i;
		if (room_locked(p, *lane) > 0)
			job = pop_locked(p, *lane);
		if (job)
			return job;
	}
	return NULL;
}

/* ---- threads ---- */

/* false: it waited in vain. */
static bool rest_locked(struct pool *p) LOCK_REQUIRES(&p->lock)
{
	int r;

	p->idle++;
	r = lock_wait(&p->lock, &p->work, io_now_ms() + p->idle_ms);
	p->idle--;
	return r == 0;
}

static void *worker(void *arg)
{
	struct worker *me = arg;
	struct pool *p = me->pool;
	enum pool_lane lane;
	bool rested = true;

	(void)pthread_setname_np(pthread_self(), p->name);
	lock_take(&p->lock);
	while (!p->stopping) {
		struct pool_job *job = next_locked(p, &lane);

		if (!job && !rested)
			break;
		if (!job) {
			rested = rest_locked(p);
			continue;
		}
		p->running[lane]++;
		lock_drop(&p->lock);
		job->run(job);
		lock_take(&p->lock);
		p->running[lane]--;
		rested = true;
	}
	me->state = ENDED;
	lock_drop(&p->lock);
	return NULL;
}

/* One more thread, all signals blocked; without it the others do the work.
 * The thread that had the place before is past its last lock. */
static void bear_locked(struct pool *p) LOCK_REQUIRES(&p->lock)
{
	struct worker *w = p->workers;
	sigset_t all, before;
	pthread_attr_t attr;

	while (w < p->workers + p->limit && w->state == ALIVE)
		w++;
	if (w == p->workers + p->limit || pthread_attr_init(&attr))
		return;
	if (w->state == ENDED)
		(void)pthread_join(w->thread, NULL);
	w->state = UNBORN;
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&w->thread, &attr, worker, w) == 0)
		w->state = ALIVE;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
}

void pool_submit(struct pool *p, struct pool_job *job, enum pool_lane lane)
{
	struct queue *q = &p->queues[lane];

	lock_take(&p->lock);
	job->next = NULL;
	*q->end = job;
	q->end = &job->next;
	q->count++;
	/* An idle worker may have been called for the job before this one. */
	if (!p->stopping && ready_locked(p) > p->idle)
		bear_locked(p);
	(void)pthread_cond_signal(&p->work);
	lock_drop(&p->lock);
}

static bool remove_locked(struct queue *q, const struct pool_job *job)
{
	struct pool_job **at = &q->first;

	while (*at && *at != job)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = job->next;
	if (!*at)
		q->end = at;
	q->count--;
	return true;
}

int pool_withdraw(struct pool *p, struct pool_job *job)
{
	bool found = false;

	lock_take(&p->lock);
	for (int i = 0; i < POOL_LANES && !found; i++)
		found = remove_locked(&p->queues[i], job);
	lock_drop(&p->lock);
	if (found)
		job->next = NULL;
	return found;
}

void pool_stop(struct pool *p)
{
	if (!p)
		return;
	lock_take(&p->lock);
	p->stopping = true; /* from here on none is born */
	(void)pthread_cond_broadcast(&p->work);
	lock_drop(&p->lock);
	for (unsigned i = 0; i < p->limit; i++) {
		struct worker *w = &p->workers[i];
		bool born;

		lock_take(&p->lock);
		born = w->state != UNBORN;
		lock_drop(&p->lock);
		if (born)
			(void)pthread_join(w->thread, NULL);
		lock_take(&p->lock);
		w->state = UNBORN;
		lock_drop(&p->lock);
	}
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pool_stop(p);
	(void)pthread_cond_destroy(&p->work);
	lock_done(&p->lock);
	free(p->workers);
	free(p);
}
