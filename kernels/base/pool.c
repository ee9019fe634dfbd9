/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include "err.h"
#include "lock.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* TLS handshakes and name look-ups are the deepest that runs here. */
#define STACK_BYTES (1u << 20)

struct queue {
	struct pool_job *first;
	struct pool_job **end;
};

struct pool {
	struct lock lock;
	pthread_cond_t work;
	char name[16];
	pthread_t *threads; /* owned */
	unsigned limit;
	unsigned born;		/* lock */
	unsigned idle;		/* lock: waiting for work */
	unsigned queued;	/* lock: jobs in both queues */
	unsigned later_running; /* lock */
	struct queue queues[2]; /* lock, by enum pool_lane */
	bool stopping;		/* lock */
};

int pool_new(struct pool **out, const char *name, unsigned threads,
	     struct err *err)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return err_errno(err, ENOMEM, "pool '%s'", name);
	p->threads = calloc(threads, sizeof(*p->threads));
	if (!p->threads) {
		free(p);
		return err_errno(err, ENOMEM, "pool '%s'", name);
	}
	p->limit = threads;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	lock_init(&p->lock, LOCK_POOL);
	lock_cond_init(&p->work);
	for (int i = 0; i < 2; i++)
		p->queues[i].end = &p->queues[i].first;
	*out = p;
	return 0;
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
	p->queued--;
	return job;
}

/* What is wanted later may hold half of the workers, but always one. */
static bool later_may_run_locked(const struct pool *p)
{
	unsigned half = p->limit / 2 ? p->limit / 2 : 1;

	return p->later_running < half;
}

static struct pool_job *next_locked(struct pool *p, bool *later)
	LOCK_REQUIRES(&p->lock)
{
	struct pool_job *job = pop_locked(p, POOL_NOW);

	*later = false;
	if (!job && later_may_run_locked(p)) {
		job = pop_locked(p, POOL_LATER);
		*later = job != NULL;
	}
	return job;
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	bool later;

	(void)pthread_setname_np(pthread_self(), p->name);
	lock_take(&p->lock);
	while (!p->stopping) {
		struct pool_job *job = next_locked(p, &later);

		if (!job) {
			p->idle++;
			(void)lock_wait(&p->lock, &p->work, -1);
			p->idle--;
			continue;
		}
		p->later_running += later;
		lock_drop(&p->lock);
		job->run(job);
		lock_take(&p->lock);
		p->later_running -= later;
	}
	lock_drop(&p->lock);
	return NULL;
}

/* One more thread, all signals blocked; without it the others do the work. */
static void bear_locked(struct pool *p) LOCK_REQUIRES(&p->lock)
{
	sigset_t all, before;
	pthread_attr_t attr;

	if (pthread_attr_init(&attr))
		return;
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&p->threads[p->born], &attr, worker, p) == 0)
		p->born++;
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
	p->queued++;
	/* An idle worker may have been called for the job before this one. */
	if (p->queued > p->idle && p->born < p->limit && !p->stopping)
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
	return true;
}

int pool_withdraw(struct pool *p, struct pool_job *job)
{
	bool found;

	lock_take(&p->lock);
	found = remove_locked(&p->queues[POOL_NOW], job) ||
		remove_locked(&p->queues[POOL_LATER], job);
	p->queued -= found;
	lock_drop(&p->lock);
	if (found)
		job->next = NULL;
	return found;
}

void pool_stop(struct pool *p)
{
	unsigned born;

	if (!p)
		return;
	lock_take(&p->lock);
	p->stopping = true;
	born = p->born; /* from here on none is born */
	p->born = 0;
	(void)pthread_cond_broadcast(&p->work);
	lock_drop(&p->lock);
	for (unsigned i = 0; i < born; i++)
		(void)pthread_join(p->threads[i], NULL);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pool_stop(p);
	(void)pthread_cond_destroy(&p->work);
	lock_done(&p->lock);
	free(p->threads);
	free(p);
}
