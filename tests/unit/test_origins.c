/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/origins.h"

#include "kernels/http/http_hop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1000000

static struct origins all;

static struct origin *get(const char *host, bool https)
{
	struct http_url url = { .https = https };

	(void)snprintf(url.host, sizeof(url.host), "%s", host);
	return origins_get(&all, &url, false);
}

static unsigned begin_all(struct origin *o, unsigned most)
{
	unsigned n = 0;

	while (n < most && origins_admits(o, NOW_MS)) {
		origins_begin(o, NOW_MS);
		n++;
	}
	return n;
}

static void in_plain_text_nobody_waits(void **state)
{
	struct origin *o = get("a:80", false);

	(void)state;
	assert_int_equal(begin_all(o, 1000), ORIGIN_CONNECTIONS_MAX);
	origins_end(o, false, ORIGIN_UNHEARD);
	assert_int_equal(begin_all(o, 1000), 1);
}

static void one_goes_ahead_until_its_connection_stands(void **state)
{
	struct origin *o = get("a:443", true);

	(void)state;
	assert_int_equal(begin_all(o, 1000), 1);
	assert_int_equal(origins_admits_ms(o), NOW_MS + ORIGIN_HOLD_MS);
	origins_connect(o);
	assert_true(origins_admits_ms(o) > NOW_MS + ORIGIN_HOLD_MS);
	assert_int_equal(begin_all(o, 1000), ORIGIN_CONNECTIONS_MAX - 1);
}

static void a_handshake_that_takes_long_is_not_waited_for(void **state)
{
	struct origin *o = get("a:443", true);

	(void)state;
	origins_begin(o, NOW_MS);
	assert_false(origins_admits(o, NOW_MS + ORIGIN_HOLD_MS - 1));
	assert_true(origins_admits(o, NOW_MS + ORIGIN_HOLD_MS));
}

/* Else each would wait for the failure of the one before it. */
static void after_a_failure_all_try_at_once(void **state)
{
	struct origin *o = get("a:443", true);

	(void)state;
	assert_int_equal(begin_all(o, 1000), 1);
	origins_end(o, false, ORIGIN_UNHEARD);
	assert_int_equal(begin_all(o, 1000), ORIGIN_CONNECTIONS_MAX);
	/* Until one gets through. */
	for (unsigned i = 0; i < ORIGIN_CONNECTIONS_MAX; i++) {
		origins_connect(o);
		origins_end(o, true, ORIGIN_UNHEARD);
	}
	assert_int_equal(begin_all(o, 1000), 1);
}

static void what_was_spoken_is_remembered(void **state)
{
	struct origin *o = get("a:443", true);

	(void)state;
	origins_begin(o, NOW_MS);
	origins_connect(o);
	origins_end(o, true, ORIGIN_SERIAL);
	assert_ptr_equal(get("a:443", true), o);
	assert_int_equal(begin_all(o, 1000), ORIGIN_CONNECTIONS_MAX);
	for (unsigned i = 0; i < ORIGIN_CONNECTIONS_MAX; i++) {
		origins_connect(o);
		origins_end(o, true, ORIGIN_MULTIPLEX);
	}
	assert_int_equal(begin_all(o, 1000), 1);
	origins_connect(o);
	assert_int_equal(begin_all(o, 1000), ORIGIN_STREAMS_MAX - 1);
}

static void who_is_asked_keeps_his_place(void **state)
{
	struct origin *busy[ORIGINS_MAX];
	char host[16];

	(void)state;
	for (unsigned i = 0; i < ORIGINS_MAX; i++) {
		(void)snprintf(host, sizeof(host), "h%u:80", i);
		busy[i] = get(host, false);
		origins_begin(busy[i], NOW_MS);
	}
	assert_null(get("more:80", false));
	origins_end(busy[3], false, ORIGIN_UNHEARD);
	origins_end(busy[5], false, ORIGIN_UNHEARD);
	(void)get("h3:80", false);
	assert_ptr_equal(get("more:80", false), busy[5]);
	assert_int_equal(busy[5]->asking, 0);
}

static void the_scheme_is_part_of_it(void **state)
{
	struct origin *o = get("a:80", false);

	(void)state;
	assert_ptr_not_equal(get("a:80", true), o);
	assert_ptr_equal(get("a:80", false), o);
}

static int setup(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_plain_text_nobody_waits),
		TEST(one_goes_ahead_until_its_connection_stands),
		TEST(a_handshake_that_takes_long_is_not_waited_for),
		TEST(after_a_failure_all_try_at_once),
		TEST(what_was_spoken_is_remembered),
		TEST(who_is_asked_keeps_his_place),
		TEST(the_scheme_is_part_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
