/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/http_hop.h"
#include "kernels/http/http_load.h"

#include "base/err.h"
#include "base/text.h"
#include "client.h"
#include "server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Time: stalls, deadlines, pauses, and who is cancelled. */

#define OK "HTTP/1.1 200 OK\r\n"
#define CLOSE "Connection: close\r\n"

static void a_stall_is_tried_again(void **state)
{
	struct server_row rows[] = {
		{ "/", "", SERVER_STALL, 0, 0, 0 }, /* before the head */
		{ "/", OK "Content-Length: 4\r\n\r\nha", SERVER_STALL, 0, 0,
		  0 },
		{ "/",
		  "HTTP/1.1 206 Part\r\nContent-Range: bytes 2-3/4\r\n"
		  "Content-Length: 2\r\n" CLOSE "\r\nlf",
		  0, 0, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 200, 20000);
	assert_int_equal(client_get(&c, server_url(&s, "/")), 0);
	assert_string_equal(text_str(&c.body), "half");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 3);
}

static void a_stall_ends_at_the_deadline(void **state)
{
	struct server_row rows[] = { { "/", "", SERVER_STALL, true, 0, 0 } };
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 300);
	assert_int_equal(client_get(&c, server_url(&s, "/")), -ETIMEDOUT);
	client_says(&c, "deadline has passed");
	client_done(&c);
	server_stop(&s);
}

/* A server that knows no ranges and never gets through. */
static void the_same_bytes_again_are_no_progress(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 200000\r\n" CLOSE "\r\n", 0, true,
		  HTTP_PROGRESS_BYTES + 4096, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 1500);
	assert_int_equal(client_get_from(&c, server_url(&s, "/"), 0, 200000),
			 -ETIMEDOUT);
	client_says(&c, "cut short");
	client_done(&c);
	server_stop(&s);
}

static int64_t progress_with(struct client *c, const char *url)
{
	int64_t progress_ms = 0;
	const struct http_request req = {
		.url = url,
		.endpoint = "resolve",
		.limit = 1 << 20,
		.sink = &c->sink,
		.progress_ms = &progress_ms,
	};

	text_clear(&c->body);
	assert_int_equal(http_get(c->http, &req, &c->answer, &c->err), 0);
	return progress_ms;
}

static void a_few_bytes_are_no_progress(void **state)
{
	struct server_row rows[] = {
		{ "/", OK CLOSE "\r\n", 0, 0, 4096, 0 },
		{ "/", OK CLOSE "\r\n", 0, 0, HTTP_PROGRESS_BYTES, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(progress_with(&c, server_url(&s, "/")), 0);
	assert_int_not_equal(progress_with(&c, server_url(&s, "/")), 0);
	client_done(&c);
	server_stop(&s);
}

static void a_pause_beyond_the_deadline_says_so(void **state)
{
	struct server_row rows[] = {
		{ "/",
		  "HTTP/1.1 429 Slow\r\nRateLimit: \"api\";r=0;t=120\r\n"
		  "Content-Length: 0\r\n" CLOSE "\r\n",
		  0, true, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 10000);
	assert_int_equal(client_get(&c, server_url(&s, "/")), -ETIMEDOUT);
	client_says(&c, "asks to wait 121 s");
	/* And the next one does not even ask. */
	assert_int_equal(client_get(&c, server_url(&s, "/")), -ETIMEDOUT);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1);
}

struct other {
	struct client *c;
	const char *url;
	int r;
};

static void *get_other(void *arg)
{
	struct other *o = arg;
	struct text body = TEXT_INIT(1000);
	struct http_response a;
	struct http_request req = { .url = o->url, .endpoint = "tree" };

	o->r = http_get_text(o->c->http, &req, &body, &a, NULL);
	text_done(&body);
	return NULL;
}

static void a_pause_holds_for_every_request_to_the_host(void **state)
{
	struct server_row rows[] = {
		{ "/a",
		  "HTTP/1.1 429 Slow\r\nRateLimit: \"api\";r=0;t=0\r\n"
		  "Content-Length: 0\r\n" CLOSE "\r\n",
		  0, 0, 0, 0 },
		{ "/", OK "Content-Length: 2\r\n" CLOSE "\r\nok", 0, true, 0,
		  0 },
	};
	struct server s;
	struct client c;
	struct other o = { .c = &c };
	pthread_t t;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	o.url = server_url(&s, "/a");
	assert_int_equal(pthread_create(&t, NULL, get_other, &o), 0);
	assert_true(server_await(&s, 1));
	/* The pause is known once the second try waits for it or later. */
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(o.r, 0);
	hosts_pause(c.http->hosts, server_url(&s, "") + strlen("http://"),
		    server_now_ms() + 300);
	assert_int_equal(client_get(&c, server_url(&s, "/b")), 0);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 3);
	assert_true(s.asked[1].ms - s.asked[0].ms >= 900);
	assert_true(s.asked[2].ms - s.asked[1].ms >= 250);
}

static void cancelling_all_ends_who_waits(void **state)
{
	struct server_row rows[] = { { "/", "", SERVER_STALL, true, 0, 0 } };
	struct server s;
	struct client c;
	struct other o = { .c = &c };
	pthread_t t;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 600000, 600000);
	o.url = server_url(&s, "/");
	assert_int_equal(pthread_create(&t, NULL, get_other, &o), 0);
	assert_true(server_await(&s, 1));
	http_cancel_all(c.http);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(o.r, -ECANCELED);
	assert_int_equal(client_get(&c, server_url(&s, "/")), -ECANCELED);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1);
}

static void *cancel_when_asked(void *arg)
{
	struct other *o = arg;

	(void)server_await((struct server *)(void *)(uintptr_t)o->url, 1);
	__atomic_store_n(&o->c->cancelled, true, __ATOMIC_RELEASE);
	return NULL;
}

static void a_flag_ends_its_own_call(void **state)
{
	struct server_row rows[] = {
		{ "/slow", "", SERVER_STALL, true, 0, 0 },
		{ "/", OK "Content-Length: 2\r\n" CLOSE "\r\nok", 0, true, 0,
		  0 },
	};
	struct server s;
	struct client c;
	struct other o = { .c = &c, .url = (const char *)&s };
	pthread_t t;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 600000, 600000);
	assert_int_equal(pthread_create(&t, NULL, cancel_when_asked, &o), 0);
	assert_int_equal(client_get(&c, server_url(&s, "/slow")), -ECANCELED);
	assert_int_equal(pthread_join(t, NULL), 0);
	c.cancelled = false;
	assert_int_equal(client_get(&c, server_url(&s, "/")), 0);
	client_done(&c);
	server_stop(&s);
}

static void *get_often(void *arg)
{
	struct other *o = arg;

	for (int i = 0; i < 20 && !o->r; i++)
		(void)get_other(o);
	return NULL;
}

static void many_threads_share_connections(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 2\r\n\r\nok", SERVER_KEEP, true, 0,
		  0 },
	};
	struct text report = TEXT_INIT(1000);
	struct other others[8];
	pthread_t threads[8];
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	for (size_t i = 0; i < N(threads); i++) {
		others[i] =
			(struct other){ .c = &c, .url = server_url(&s, "/") };
		assert_int_equal(pthread_create(&threads[i], NULL, get_often,
						&others[i]),
				 0);
	}
	for (size_t i = 0; i < N(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(others[i].r, 0);
	}
	http_report(c.http, &report);
	assert_string_equal(text_str(&report),
			    "{\"tree\": 160, \"bytes\": 320}");
	text_done(&report);
	client_done(&c);
	server_stop(&s);
	assert_true(s.connections <= N(threads));
}

static int start(void **state)
{
	(void)state;
	/* The machine's own settings are not part of the test. */
	(void)unsetenv("http_proxy");
	(void)unsetenv("all_proxy");
	(void)unsetenv("ALL_PROXY");
	(void)setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
	return http_load(NULL) ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stall_is_tried_again),
		cmocka_unit_test(a_stall_ends_at_the_deadline),
		cmocka_unit_test(the_same_bytes_again_are_no_progress),
		cmocka_unit_test(a_few_bytes_are_no_progress),
		cmocka_unit_test(a_pause_beyond_the_deadline_says_so),
		cmocka_unit_test(a_pause_holds_for_every_request_to_the_host),
		cmocka_unit_test(cancelling_all_ends_who_waits),
		cmocka_unit_test(a_flag_ends_its_own_call),
		cmocka_unit_test(many_threads_share_connections),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
