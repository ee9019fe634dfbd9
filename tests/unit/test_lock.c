/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include "base/io.h"
#include "latch.h"
#include "scratch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void set_up(struct lock *low, struct lock *high)
{
	lock_init(low, LOCK_FETCH);
	lock_init(high, LOCK_POOL);
}

static void takes_rising_ranks(void)
{
	struct lock low, high;

	set_up(&low, &high);
	lock_take(&low);
	lock_take(&high);
	lock_drop(&high);
	lock_take(&high);
	lock_drop(&high);
	lock_drop(&low);
	lock_take(&high);
	lock_drop(&high);
	lock_take(&low);
	lock_drop(&low);
	lock_done(&low);
	lock_done(&high);
}

static void takes_a_lower_rank(void) LOCK_UNCHECKED
{
	struct lock low, high;

	set_up(&low, &high);
	lock_take(&high);
	lock_take(&low);
}

static void takes_the_same_rank(void) LOCK_UNCHECKED
{
	struct lock one, other;

	lock_init(&one, LOCK_MEMO);
	lock_init(&other, LOCK_MEMO);
	lock_take(&one);
	lock_take(&other);
}

static void drops_what_it_does_not_hold(void) LOCK_UNCHECKED
{
	struct lock low, high;

	set_up(&low, &high);
	lock_take(&high);
	lock_drop(&low);
}

static void takes_a_lower_rank_after_waiting(void) LOCK_UNCHECKED
{
	struct lock low, high;
	pthread_cond_t c;

	set_up(&low, &high);
	lock_cond_init(&c);
	lock_take(&high);
	(void)lock_wait(&high, &c, io_now_ms());
	lock_take(&low);
}

static void takes_a_lower_rank_after_dropping_a_third(void) LOCK_UNCHECKED
{
	struct lock low, high, third;

	set_up(&low, &high);
	lock_init(&third, LOCK_LOG);
	lock_take(&high);
	lock_take(&third);
	lock_drop(&third);
	lock_take(&low);
}

static void waits_under_another_lock(void) LOCK_UNCHECKED
{
	struct lock low, high;
	pthread_cond_t c;

	set_up(&low, &high);
	lock_cond_init(&c);
	lock_take(&low);
	lock_take(&high);
	(void)lock_wait(&low, &c, io_now_ms());
}

/* The signal that ends a child which does this; 0: none. */
static int signal_of(void (*f)(void))
{
	const struct rlimit no_core = { 0, 0 };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "we", stderr))
			_exit(1);
		f();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

static void lets_ranks_rise(void **state)
{
	(void)state;
	assert_int_equal(signal_of(takes_rising_ranks), 0);
}

static void stops_whoever_takes_against_the_ranks(void **state)
{
	(void)state;
	assert_int_equal(signal_of(takes_a_lower_rank), SIGABRT);
	assert_int_equal(signal_of(takes_the_same_rank), SIGABRT);
	assert_int_equal(signal_of(drops_what_it_does_not_hold), SIGABRT);
	assert_int_equal(signal_of(takes_a_lower_rank_after_waiting), SIGABRT);
	assert_int_equal(signal_of(takes_a_lower_rank_after_dropping_a_third),
			 SIGABRT);
	assert_int_equal(signal_of(waits_under_another_lock), SIGABRT);
}

static void gives_up_waiting_at_its_time(void **state)
{
	const int64_t from = io_now_ms();
	struct lock l;
	pthread_cond_t c;

	(void)state;
	lock_init(&l, LOCK_MEMO);
	lock_cond_init(&c);
	lock_take(&l);
	/* a condition may also wake without a reason */
	while (lock_wait(&l, &c, from + 20) != -ETIMEDOUT)
		assert_true(io_now_ms() < from + 60000);
	assert_true(io_now_ms() >= from + 20);
	assert_int_equal(lock_wait(&l, &c, from - 1), -ETIMEDOUT);
	lock_drop(&l);
	(void)pthread_cond_destroy(&c);
	lock_done(&l);
}

struct pair {
	struct lock lock;
	pthread_cond_t changed;
	unsigned count; /* lock */
	unsigned turns; /* lock */
};

static void *answer(void *arg)
{
	struct pair *p = arg;

	lock_take(&p->lock);
	while (p->turns < 100) {
		while (p->count % 2 == 0)
			(void)lock_wait(&p->lock, &p->changed, -1);
		p->count++;
		p->turns++;
		(void)pthread_cond_broadcast(&p->changed);
	}
	lock_drop(&p->lock);
	return NULL;
}

static void wakes_who_waits_and_excludes_others(void **state)
{
	struct pair p = { .count = 0 };
	pthread_t thread;

	(void)state;
	lock_init(&p.lock, LOCK_MEMO);
	lock_cond_init(&p.changed);
	assert_int_equal(pthread_create(&thread, NULL, answer, &p), 0);
	lock_take(&p.lock);
	for (unsigned i = 0; i < 100; i++) {
		p.count++;
		(void)pthread_cond_broadcast(&p.changed);
		while (p.count % 2 == 1)
			assert_int_equal(lock_wait(&p.lock, &p.changed,
						   io_now_ms() + 60000),
					 0);
	}
	assert_int_equal(p.turns, 100);
	lock_drop(&p.lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(p.count, 200);
	(void)pthread_cond_destroy(&p.changed);
	lock_done(&p.lock);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_ranks_rise),
		cmocka_unit_test(stops_whoever_takes_against_the_ranks),
		cmocka_unit_test(gives_up_waiting_at_its_time),
		cmocka_unit_test(wakes_who_waits_and_excludes_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
