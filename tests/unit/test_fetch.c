/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/fetch.h"

#include "fetching.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* ---- one download ---- */

static void brings_a_blob_and_knows_it_afterwards(void **state)
{
	struct waiting w;
	char got[256];

	(void)state;
	assert_int_equal(fetch_whole("100000 a"), 0);
	assert_content("100000 a");
	assert_int_equal(ask(&w, "100000 a"), 0);
	assert_int_equal(calls(), 1);
	assert_int_equal(w.called, 0);
	report(got);
	assert_string_equal(got, "{\"running\": 0, \"queued\": 0, \"done\": 1, "
				 "\"failed\": 0, \"bytes\": 100000}");
}

static void downloads_once_for_32_askers(void **state)
{
	static struct waiting w[32];

	(void)state;
	hold("a");
	for (int i = 0; i < 32; i++)
		assert_int_equal(ask(&w[i], "1000 a"), -EINPROGRESS);
	wait_inside(1);
	hold(NULL);
	for (int i = 0; i < 32; i++)
		assert_int_equal(result(&w[i]), 0);
	assert_int_equal(calls(), 1);
}

static void asks_nobody_for_an_empty_file(void **state)
{
	(void)state;
	assert_int_equal(fetch_whole("0 a"), 0);
	assert_content("0 a");
	assert_int_equal(calls(), 0);
}

/* ---- going away ---- */

static void stops_when_the_last_waiter_leaves(void **state)
{
	struct waiting w[2];

	(void)state;
	hold("a");
	assert_int_equal(ask(&w[0], "1000 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "1000 a"), -EINPROGRESS);
	wait_inside(1);
	assert_true(fetch_cancel(fetch, &w[0].waiter));
	assert_false(fetch_cancel(fetch, &w[0].waiter));
	assert_int_equal(fake.cancelled, 0);
	assert_true(fetch_cancel(fetch, &w[1].waiter));
	wait_inside(0);
	wait_report("\"running\": 0, \"queued\": 0");
	assert_int_equal(fake.cancelled, 1);
	assert_false(has("1000 a"));
	assert_false(was_called(&w[0]) || was_called(&w[1]));
	/* and who comes then gets it */
	hold(NULL);
	assert_int_equal(fetch_whole("1000 a"), 0);
}

static void who_comes_behind_a_stopped_download_gets_a_new_one(void **state)
{
	struct waiting w[2];

	(void)state;
	hold("a");
	assert_int_equal(ask(&w[0], "1000 a"), -EINPROGRESS);
	wait_inside(1);
	assert_true(fetch_cancel(fetch, &w[0].waiter));
	assert_int_equal(ask(&w[1], "1000 a"), -EINPROGRESS);
	hold(NULL);
	assert_int_equal(result(&w[1]), 0);
	assert_content("1000 a");
}

static void never_begins_what_was_cancelled_in_the_queue(void **state)
{
	static const char *const order[] = { "1 plug", "3 c", NULL };
	struct waiting w[3];

	(void)state;
	hold("plug");
	assert_int_equal(ask(&w[0], "1 plug"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w[1], "2 b"), -EINPROGRESS);
	assert_int_equal(ask(&w[2], "3 c"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w[1].waiter));
	hold(NULL);
	assert_int_equal(result(&w[0]), 0);
	assert_int_equal(result(&w[2]), 0);
	assert_false(was_called(&w[1]));
	assert_order(order);
}

static void says_no_to_who_was_called(void **state)
{
	struct waiting w;
	struct waiting never = { .waiter.done = was_done };

	(void)state;
	assert_int_equal(ask(&w, "1 a"), -EINPROGRESS);
	assert_int_equal(result(&w), 0);
	assert_false(fetch_cancel(fetch, &w.waiter));
	assert_false(fetch_cancel(fetch, &never.waiter));
}

static void the_end_answers_everybody_once(void **state)
{
	struct waiting w[4];

	(void)state;
	hold("a");
	assert_int_equal(ask(&w[0], "10 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "10 a"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w[2], "20 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[3], "30 a"), -EINPROGRESS);
	fetch_free(fetch);
	fetch = NULL;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(w[i].called, 1);
		assert_int_equal(w[i].r, -ECANCELED);
	}
	assert_int_equal(calls(), 1);
}

/* ---- deadlines ---- */

static void the_deadline_frees_those_behind_a_stuck_worker(void **state)
{
	struct waiting w[3];
	int64_t now;

	(void)state;
	hold("stuck");
	assert_int_equal(ask(&w[0], "10 stuck"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w[1], "20 a"), -EINPROGRESS);
	now = io_now_ms();
	fetch_expire(fetch, now);
	fetch_expire(fetch, now + DEADLINE_MS / 2);
	assert_false(was_called(&w[0]) || was_called(&w[1]));
	fetch_expire(fetch, now + DEADLINE_MS);
	assert_int_equal(w[0].r, -ETIMEDOUT);
	assert_int_equal(w[1].r, -ETIMEDOUT);
	assert_int_equal(w[0].called, 1);
	assert_int_equal(w[1].called, 1);
	assert_non_null(strstr(w[0].text, "no byte"));
	assert_non_null(strstr(w[1].text, "20 a"));
	hold(NULL);
	assert_int_equal(ask(&w[2], "10 stuck"), -EINPROGRESS);
	assert_int_equal(result(&w[2]), 0);
}

/* ---- other processes ---- */

static void waits_for_another_process_and_takes_what_it_brought(void **state)
{
	struct digest d = digest_of("4 a");
	struct ingest *in = NULL;
	struct waiting w[2];
	char bytes[4];
	int lock = -1;

	(void)state;
	assert_int_equal(store_lock(store, &d, &lock), 1);
	assert_int_equal(ask(&w[0], "4 a"), -EINPROGRESS);
	/* the only worker is free for others meanwhile */
	assert_int_equal(ask(&w[1], "9 b"), -EINPROGRESS);
	assert_int_equal(result(&w[1]), 0);
	assert_false(was_called(&w[0]));
	assert_int_equal(store_ingest(&in, store, &d, 4, NULL), 0);
	for (uint64_t i = 0; i < 4; i++)
		bytes[i] = byte_of("4 a", i);
	assert_int_equal(ingest_write(in, bytes, 4, NULL), 0);
	assert_int_equal(ingest_commit(in, NULL), 0);
	ingest_free(in);
	store_unlock(lock);
	assert_int_equal(result(&w[0]), 0);
	assert_int_equal(calls(), 1);
}

static void takes_over_from_a_process_that_gave_up(void **state)
{
	struct digest d = digest_of("4 a");
	struct waiting w[2];
	int lock = -1;

	(void)state;
	assert_int_equal(store_lock(store, &d, &lock), 1);
	assert_int_equal(ask(&w[0], "4 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "9 b"), -EINPROGRESS);
	assert_int_equal(result(&w[1]), 0);
	store_unlock(lock);
	assert_int_equal(result(&w[0]), 0);
	assert_int_equal(calls(), 2);
}

static void the_deadline_holds_for_other_processes_too(void **state)
{
	struct digest d = digest_of("4 a");
	struct waiting w[3];
	int lock = -1;

	(void)state;
	assert_int_equal(store_lock(store, &d, &lock), 1);
	assert_int_equal(ask(&w[0], "4 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "4 a"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w[1].waiter));
	fetch_expire(fetch, io_now_ms() + DEADLINE_MS);
	assert_int_equal(result(&w[0]), -ETIMEDOUT);
	assert_int_equal(ask(&w[2], "4 a"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w[2].waiter));
	store_unlock(lock);
	assert_int_equal(calls(), 0);
}

#define PROCESSES 4
#define BLOBS 12

/* No asserts in a child: they would jump into the parent's test. */
static int fetch_all_in_child(void)
{
	struct waiting w[BLOBS];
	char path[32];

	born(4);
	for (int i = 0; i < BLOBS; i++) {
		(void)snprintf(path, sizeof(path), "%d blob", 1000 * i + 5);
		if (ask(&w[i], path) == 0)
			w[i].called = 1;
	}
	(void)pthread_mutex_lock(&fake.mutex);
	for (int i = 0; i < BLOBS; i++) {
		struct timespec t = until();

		while (!w[i].called) {
			if (pthread_cond_timedwait(&fake.changed, &fake.mutex,
						   &t))
				return 1;
		}
		if (w[i].r < 0)
			return 2;
	}
	(void)pthread_mutex_unlock(&fake.mutex);
	gone();
	return 0;
}

static void processes_download_a_blob_once_between_them(void **state)
{
	pid_t pids[PROCESSES];
	unsigned *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(shared != MAP_FAILED);
	fake.shared_calls = shared;
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(fetch_all_in_child());
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(*shared, BLOBS);
	(void)munmap(shared, sizeof(*shared));
	born(1); /* for tear_down, which frees it */
}

/* ---- waiting here ---- */

static int fetch_here(const char *path, struct err *err)
{
	struct fetch_blob blob = {
		.repo = &repo,
		.commit = COMMIT,
		.path = path,
		.digest = digest_of(path),
		.size = size_of(path),
	};

	return fetch_now(fetch, &blob, err);
}

static void a_thread_that_waits_needs_no_worker(void **state)
{
	struct err err = ERR_INIT;
	struct waiting w;

	(void)state;
	hold("plug");
	assert_int_equal(ask(&w, "1 plug"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(fetch_here("10 a", NULL), 0);
	assert_content("10 a");
	assert_int_equal(fetch_here("10 a", NULL), 0);
	fake.fault = GONE;
	fake.marked = "miss";
	assert_int_equal(fetch_here("10 missing", &err), -ENOENT);
	assert_non_null(strstr(err.text, "10 missing"));
	hold(NULL);
	assert_int_equal(result(&w), 0);
}

static void *release_soon(void *arg)
{
	(void)arg;
	wait_inside(1);
	hold(NULL);
	return NULL;
}

static void a_thread_that_waits_joins_a_running_download(void **state)
{
	struct waiting w;
	pthread_t thread;

	(void)state;
	hold("a");
	assert_int_equal(ask(&w, "10 a"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(pthread_create(&thread, NULL, release_soon, NULL), 0);
	assert_int_equal(fetch_here("10 a", NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(result(&w), 0);
	assert_int_equal(calls(), 1);
}

/* ---- all at once ---- */

#define CROWD 6
#define TURNS 150

static void *crowd(void *arg)
{
	unsigned seed = *(const unsigned *)arg;
	unsigned wrong = 0;

	for (int i = 0; i < TURNS; i++) {
		struct waiting w;
		char path[32];
		int r;

		seed = seed * 1103515245 + 12345;
		(void)snprintf(path, sizeof(path), "%u crowd",
			       (seed >> 16) % 40 + 1);
		r = ask(&w, path);
		if (r == 0)
			continue;
		if (r != -EINPROGRESS) {
			wrong++;
			continue;
		}
		if ((seed >> 8) % 3 == 0 && fetch_cancel(fetch, &w.waiter)) {
			wrong += w.called != 0;
			continue;
		}
		(void)pthread_mutex_lock(&fake.mutex);
		while (!w.called)
			(void)pthread_cond_wait(&fake.changed, &fake.mutex);
		wrong += w.called != 1 || (w.r != 0 && w.r != -ENOENT);
		(void)pthread_mutex_unlock(&fake.mutex);
	}
	return wrong ? arg : NULL;
}

static void a_crowd_that_comes_and_goes_is_answered(void **state)
{
	pthread_t threads[CROWD];
	unsigned seeds[CROWD];

	(void)state;
	/* some of them fail each time, so that there is work to the end */
	fake.fault = GONE;
	fake.marked = "5 crowd";
	for (unsigned i = 0; i < CROWD; i++) {
		seeds[i] = i;
		assert_int_equal(
			pthread_create(&threads[i], NULL, crowd, &seeds[i]), 0);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	wait_report("\"running\": 0, \"queued\": 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: it forks, and no thread is there yet */
		cmocka_unit_test_setup_teardown(
			processes_download_a_blob_once_between_them, set_up,
			tear_down),
		FOUR(brings_a_blob_and_knows_it_afterwards),
		FOUR(downloads_once_for_32_askers),
		FOUR(asks_nobody_for_an_empty_file),
		FOUR(stops_when_the_last_waiter_leaves),
		FOUR(who_comes_behind_a_stopped_download_gets_a_new_one),
		ONE(never_begins_what_was_cancelled_in_the_queue),
		FOUR(says_no_to_who_was_called),
		ONE(the_end_answers_everybody_once),
		ONE(the_deadline_frees_those_behind_a_stuck_worker),
		ONE(waits_for_another_process_and_takes_what_it_brought),
		ONE(takes_over_from_a_process_that_gave_up),
		ONE(the_deadline_holds_for_other_processes_too),
		ONE(a_thread_that_waits_needs_no_worker),
		FOUR(a_thread_that_waits_joins_a_running_download),
		FOUR(a_crowd_that_comes_and_goes_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
