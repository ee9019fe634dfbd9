/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/hosts.h"

#include "base/err.h"
#include "base/io.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS 3600000

static int make(void **state)
{
	struct hosts *h = NULL;
	int r = hosts_new(&h, NULL);

	*state = h;
	return r;
}

static int done(void **state)
{
	hosts_free(*state);
	return 0;
}

static void a_pause_is_for_one_host_and_ends(void **state)
{
	struct hosts *h = *state;
	int64_t now = io_now_ms();

	hosts_pause(h, "a:443", now + 150);
	assert_int_equal(hosts_wait(h, "b:443", 0, now, NULL, NULL), 0);
	assert_int_equal(hosts_wait(h, "a:443", 0, now + HOUR_MS, NULL, NULL),
			 0);
	assert_true(io_now_ms() >= now + 150);
}

static void a_shorter_pause_does_not_end_a_longer_one(void **state)
{
	struct hosts *h = *state;
	int64_t now = io_now_ms();
	struct err err = ERR_INIT;

	hosts_pause(h, "a:443", now + HOUR_MS);
	hosts_pause(h, "a:443", now + 1);
	assert_int_equal(hosts_wait(h, "a:443", 0, now + 1000, NULL, &err),
			 -ETIMEDOUT);
	assert_non_null(strstr(err.text, "a:443 asks to wait 3600 s"));
}

static void waits_for_its_own_time_too(void **state)
{
	struct hosts *h = *state;
	int64_t now = io_now_ms();
	struct err err = ERR_INIT;

	assert_int_equal(
		hosts_wait(h, "a:443", now + 60, now + HOUR_MS, NULL, NULL), 0);
	assert_true(io_now_ms() >= now + 60);
	assert_int_equal(
		hosts_wait(h, "a:443", now + HOUR_MS, now + 1000, NULL, &err),
		-ETIMEDOUT);
	assert_non_null(strstr(err.text, "no time for another try"));
}

static void many_hosts_push_out_the_pause_that_ends_first(void **state)
{
	struct hosts *h = *state;
	int64_t now = io_now_ms();
	char name[32];

	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "h%d:443", i);
		hosts_pause(h, name, now + HOUR_MS + i);
	}
	assert_int_equal(hosts_wait(h, "h0:443", 0, now + 10, NULL, NULL), 0);
	assert_int_equal(hosts_wait(h, "h39:443", 0, now + 10, NULL, NULL),
			 -ETIMEDOUT);
}

static void *stop(void *arg)
{
	hosts_stop(arg);
	return NULL;
}

static void stopping_wakes_who_waits(void **state)
{
	struct hosts *h = *state;
	int64_t now = io_now_ms();
	bool cancelled = true;
	pthread_t t;

	assert_int_equal(hosts_wait(h, "a:443", 0, now, &cancelled, NULL),
			 -ECANCELED);
	hosts_pause(h, "a:443", now + HOUR_MS);
	assert_int_equal(pthread_create(&t, NULL, stop, h), 0);
	assert_int_equal(
		hosts_wait(h, "a:443", 0, now + 2 * HOUR_MS, NULL, NULL),
		-ECANCELED);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(hosts_stopped(h));
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, make, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_pause_is_for_one_host_and_ends),
		WITH(a_shorter_pause_does_not_end_a_longer_one),
		WITH(waits_for_its_own_time_too),
		WITH(many_hosts_push_out_the_pause_that_ends_first),
		WITH(stopping_wakes_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
