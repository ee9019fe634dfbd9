/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include "base/io.h"
#include "base/map.h"
#include "latch.h"
#include "scratch.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>

/* A job that says when it began, waits for its gate, and says when it went. */
struct work {
	struct pool_job job;
	struct latch *began, *gate, *ended; /* gate may be NULL */
	bool passed;			    /* the gate, in time */
	bool ran;
	unsigned turn; /* how many had ended before it */
};

static void work_run(struct pool_job *job)
{
	struct work *w = map_item(job, struct work, job);

	latch_raise(w->began);
	w->passed = !w->gate || latch_wait(w->gate, 1);
	w->ran = true;
	w->turn = latch_count(w->ended);
	latch_raise(w->ended);
}

struct latches {
	struct latch began, gate, ended;
};

#define LATCHES_INIT \
	{ \
		LATCH_INIT, LATCH_INIT, LATCH_INIT \
	}

static void submit(struct pool *p, struct work *w, struct latches *l, bool held,
		   enum pool_lane lane)
{
	*w = (struct work){ .job.run = work_run,
			    .began = &l->began,
			    .gate = held ? &l->gate : NULL,
			    .ended = &l->ended };
	pool_submit(p, &w->job, lane);
}

static void runs_what_it_is_given(void **state)
{
	struct latches l = LATCHES_INIT;
	struct work w[200];
	struct pool *p;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 4, NULL), 0);
	for (int i = 0; i < 200; i++)
		submit(p, &w[i], &l, false, i % 2 ? POOL_NOW : POOL_LATER);
	assert_true(latch_wait(&l.ended, 200));
	pool_free(p);
	for (int i = 0; i < 200; i++)
		assert_true(w[i].ran);
}

static void runs_in_the_order_of_asking(void **state)
{
	struct latches first = LATCHES_INIT, l = LATCHES_INIT;
	struct work hold, w[10];
	struct pool *p;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 1, NULL), 0);
	submit(p, &hold, &first, true, POOL_NOW);
	assert_true(latch_wait(&first.began, 1));
	for (int i = 0; i < 10; i++)
		submit(p, &w[i], &l, false, i < 5 ? POOL_LATER : POOL_NOW);
	latch_raise(&first.gate);
	assert_true(latch_wait(&l.ended, 10));
	pool_free(p);
	/* what is wanted now goes first */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(w[i].turn, i < 5 ? i + 5 : i - 5);
}

static void holds_half_of_the_workers_for_now(void **state)
{
	struct latches later = LATCHES_INIT, now = LATCHES_INIT;
	struct latches quick = LATCHES_INIT;
	struct work l[4], n[2], q;
	struct pool *p;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 4, NULL), 0);
	for (int i = 0; i < 4; i++)
		submit(p, &l[i], &later, true, POOL_LATER);
	assert_true(latch_wait(&later.began, 2));
	/* whoever has run one of these looks at both queues again */
	for (unsigned i = 1; i <= 200; i++) {
		submit(p, &q, &quick, false, POOL_NOW);
		assert_true(latch_wait(&quick.ended, i));
	}
	for (int i = 0; i < 2; i++)
		submit(p, &n[i], &now, true, POOL_NOW);
	/* that both began is what others left to them */
	assert_true(latch_wait(&now.began, 2));
	assert_int_equal(latch_count(&later.began), 2);
	latch_raise(&later.gate);
	assert_true(latch_wait(&later.ended, 4));
	latch_raise(&now.gate);
	assert_true(latch_wait(&now.ended, 2));
	pool_free(p);
}

static void keeps_two_workers_from_what_is_wanted_soon(void **state)
{
	struct latches soon = LATCHES_INIT, now = LATCHES_INIT;
	struct latches later = LATCHES_INIT, quick = LATCHES_INIT;
	struct work s[8], n[2], l, q;
	struct pool *p;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 8, NULL), 0);
	for (int i = 0; i < 8; i++)
		submit(p, &s[i], &soon, true, POOL_SOON);
	assert_true(latch_wait(&soon.began, 6));
	submit(p, &l, &later, false, POOL_LATER);
	/* whoever has run one of these looks at all queues again */
	for (unsigned i = 1; i <= 200; i++) {
		submit(p, &q, &quick, false, POOL_NOW);
		assert_true(latch_wait(&quick.ended, i));
	}
	for (int i = 0; i < 2; i++)
		submit(p, &n[i], &now, true, POOL_NOW);
	assert_true(latch_wait(&now.began, 2));
	assert_int_equal(latch_count(&soon.began), 6);
	assert_int_equal(latch_count(&later.began), 0);
	latch_raise(&soon.gate);
	assert_true(latch_wait(&soon.ended, 8));
	assert_true(latch_wait(&later.ended, 1));
	latch_raise(&now.gate);
	assert_true(latch_wait(&now.ended, 2));
	pool_free(p);
}

static void lets_one_work_for_later_in_the_smallest_pool(void **state)
{
	struct latches l = LATCHES_INIT;
	struct pool *p;
	struct work w;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 1, NULL), 0);
	submit(p, &w, &l, false, POOL_LATER);
	assert_true(latch_wait(&l.ended, 1));
	pool_free(p);
}

static size_t count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

static void has_no_more_threads_than_work(void **state)
{
	struct latches l = LATCHES_INIT;
	struct work w[20];
	struct pool *p;
	size_t before;

	(void)state;
	/* a sanitizer's own thread comes with the first of ours */
	assert_int_equal(pool_new(&p, "test", 1, NULL), 0);
	submit(p, &w[0], &l, false, POOL_NOW);
	assert_true(latch_wait(&l.ended, 1));
	pool_free(p);
	before = count_threads();
	l = (struct latches)LATCHES_INIT;
	assert_int_equal(pool_new(&p, "test", 8, NULL), 0);
	assert_int_equal(count_threads(), before);
	submit(p, &w[0], &l, true, POOL_NOW);
	assert_true(latch_wait(&l.began, 1));
	assert_int_equal(count_threads(), before + 1);
	for (int i = 1; i < 20; i++)
		submit(p, &w[i], &l, true, POOL_NOW);
	assert_true(latch_wait(&l.began, 8));
	assert_int_equal(count_threads(), before + 8);
	latch_raise(&l.gate);
	assert_true(latch_wait(&l.ended, 20));
	pool_free(p);
}

static void threads_without_work_end_and_are_born_again(void **state)
{
	struct latches l = LATCHES_INIT;
	int64_t end = io_now_ms() + 30000;
	struct work w[8];
	struct pool *p;
	size_t before;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 1, NULL), 0);
	submit(p, &w[0], &l, false, POOL_NOW);
	assert_true(latch_wait(&l.ended, 1));
	pool_free(p);
	before = count_threads();
	assert_int_equal(pool_new(&p, "test", 8, NULL), 0);
	pool_idle_ms(p, 1);
	for (int turn = 0; turn < 3; turn++) {
		l = (struct latches)LATCHES_INIT;
		for (int i = 0; i < 8; i++)
			submit(p, &w[i], &l, true, POOL_NOW);
		assert_true(latch_wait(&l.began, 8));
		latch_raise(&l.gate);
		assert_true(latch_wait(&l.ended, 8));
		while (count_threads() > before && io_now_ms() < end)
			(void)sched_yield();
		assert_int_equal(count_threads(), before);
	}
	pool_free(p);
}

struct look {
	struct pool_job job;
	struct latch ended;
	char name[16];
	bool blocked[3];
	size_t stack;
};

static void look_run(struct pool_job *job)
{
	struct look *l = map_item(job, struct look, job);
	pthread_attr_t attr;
	sigset_t set;

	(void)pthread_getname_np(pthread_self(), l->name, sizeof(l->name));
	(void)pthread_sigmask(SIG_BLOCK, NULL, &set);
	l->blocked[0] = sigismember(&set, SIGTERM) == 1;
	l->blocked[1] = sigismember(&set, SIGINT) == 1;
	l->blocked[2] = sigismember(&set, SIGPIPE) == 1;
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		(void)pthread_attr_getstacksize(&attr, &l->stack);
		(void)pthread_attr_destroy(&attr);
	}
	latch_raise(&l->ended);
}

static void bears_named_threads_without_signals(void **state)
{
	struct look l = { .job.run = look_run, .ended = LATCH_INIT };
	sigset_t term, after;
	struct pool *p;

	(void)state;
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	assert_int_equal(pool_new(&p, "kfs-net", 1, NULL), 0);
	pool_submit(p, &l.job, POOL_NOW);
	assert_true(latch_wait(&l.ended, 1));
	(void)pthread_sigmask(SIG_BLOCK, NULL, &after);
	pool_free(p);
	assert_string_equal(l.name, "kfs-net");
	for (int i = 0; i < 3; i++)
		assert_true(l.blocked[i]);
	assert_true(l.stack >= 1 << 20);
	/* and the mask of who submits is as it was */
	assert_int_equal(sigismember(&after, SIGTERM), 0);
}

static void gives_back_what_does_not_run_yet(void **state)
{
	struct latches first = LATCHES_INIT, l = LATCHES_INIT;
	struct work hold, w[5];
	struct pool *p;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 1, NULL), 0);
	submit(p, &hold, &first, true, POOL_NOW);
	assert_true(latch_wait(&first.began, 1));
	for (int i = 0; i < 3; i++)
		submit(p, &w[i], &l, false, POOL_NOW);
	submit(p, &w[3], &l, false, POOL_LATER);
	assert_int_equal(pool_withdraw(p, &hold.job), 0);
	assert_int_equal(pool_withdraw(p, &w[1].job), 1);
	assert_int_equal(pool_withdraw(p, &w[1].job), 0);
	assert_int_equal(pool_withdraw(p, &w[2].job), 1); /* the last */
	assert_int_equal(pool_withdraw(p, &w[3].job), 1); /* the only one */
	submit(p, &w[2], &l, false, POOL_NOW);
	submit(p, &w[4], &l, false, POOL_LATER);
	latch_raise(&first.gate);
	assert_true(latch_wait(&l.ended, 3));
	assert_int_equal(pool_withdraw(p, &w[0].job), 0);
	pool_free(p);
	assert_true(w[0].ran && w[2].ran && w[4].ran);
	assert_false(w[1].ran || w[3].ran);
}

struct releasing {
	struct latch *gate;
	struct latch freeing;
	pid_t who;
	bool slept;
};

static void *release(void *arg)
{
	struct releasing *r = arg;

	r->slept = latch_wait(&r->freeing, 1) && latch_sleeps(r->who);
	latch_raise(r->gate);
	return NULL;
}

static void runs_nothing_more_when_it_is_freed(void **state)
{
	struct latches l = LATCHES_INIT, never = LATCHES_INIT;
	struct releasing r = { .gate = &l.gate,
			       .freeing = LATCH_INIT,
			       .who = gettid() };
	struct work hold, queued;
	pthread_t thread;
	struct pool *p;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 1, NULL), 0);
	submit(p, &hold, &l, true, POOL_NOW);
	assert_true(latch_wait(&l.began, 1));
	submit(p, &queued, &never, false, POOL_NOW);
	assert_int_equal(pthread_create(&thread, NULL, release, &r), 0);
	latch_raise(&r.freeing);
	pool_free(p); /* waits for the job that runs */
	assert_true(hold.ran && hold.passed);
	assert_false(queued.ran);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(r.slept);
	pool_free(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_what_it_is_given),
		cmocka_unit_test(runs_in_the_order_of_asking),
		cmocka_unit_test(holds_half_of_the_workers_for_now),
		cmocka_unit_test(keeps_two_workers_from_what_is_wanted_soon),
		cmocka_unit_test(threads_without_work_end_and_are_born_again),
		cmocka_unit_test(lets_one_work_for_later_in_the_smallest_pool),
		cmocka_unit_test(has_no_more_threads_than_work),
		cmocka_unit_test(bears_named_threads_without_signals),
		cmocka_unit_test(gives_back_what_does_not_run_yet),
		cmocka_unit_test(runs_nothing_more_when_it_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
