/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_LATCH_H
#define UNIT_LATCH_H

/*
 * A number that rises, and threads that wait until it is high enough. Every
 * wait has a deadline, long enough for a sanitizer on a busy machine.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define LATCH_DEADLINE_S 60

struct latch {
	pthread_mutex_t mutex;
	pthread_cond_t risen;
	unsigned count;
};

#define LATCH_INIT \
	{ \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 \
	}

static inline void latch_raise(struct latch *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	l->count++;
	(void)pthread_cond_broadcast(&l->risen);
	(void)pthread_mutex_unlock(&l->mutex);
}

static inline unsigned latch_count(struct latch *l)
{
	unsigned n;

	(void)pthread_mutex_lock(&l->mutex);
	n = l->count;
	(void)pthread_mutex_unlock(&l->mutex);
	return n;
}

/* Has it come to n in time? */
static inline bool latch_wait(struct latch *l, unsigned n)
{
	struct timespec until;
	int r = 0;
	bool there;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LATCH_DEADLINE_S;
	(void)pthread_mutex_lock(&l->mutex);
	while (l->count < n && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&l->risen, &l->mutex, &until);
	there = l->count >= n;
	(void)pthread_mutex_unlock(&l->mutex);
	return there;
}

/* Wait until a thread of this process has nothing to do but wait itself. */
static inline bool latch_sleeps(pid_t thread)
{
	time_t until = time(NULL) + LATCH_DEADLINE_S;
	char path[64], state = '?';

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
		       (int)thread);
	while (state != 'S' && time(NULL) < until) {
		FILE *f = fopen(path, "re");

		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = '?';
		if (f)
			(void)fclose(f);
		if (state != 'S')
			(void)sched_yield();
	}
	return state == 'S';
}

#endif
