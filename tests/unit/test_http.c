/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/http.h"
#include "kernels/http/http_load.h"

#include "base/err.h"
#include "base/text.h"
#include "client.h"
#include "kernels/http/head.h"
#include "server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define OK "HTTP/1.1 200 OK\r\n"
#define CLOSE "Connection: close\r\n"

/* ---- the plain way ---- */

static void gets_a_body_and_counts_it(void **state)
{
	struct server_row rows[] = {
		{ "/a", OK "Content-Length: 5\r\n" CLOSE "\r\nhello", 0, 0, 0,
		  0 },
	};
	struct text report = TEXT_INIT(1000);
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get(&c, server_url(&s, "/a?x=1")), 0);
	assert_string_equal(text_str(&c.body), "hello");
	assert_int_equal(c.begins, 1);
	assert_int_equal(c.answer.status, 200);
	assert_true(server_was_asked(&s, 0, "GET /a?x=1 HTTP/1.1\r\n"));
	assert_true(server_was_asked(&s, 0, "Accept-Encoding: identity\r\n"));
	assert_true(server_was_asked(&s, 0, "User-Agent: kernelfs/test\r\n"));
	assert_false(server_was_asked(&s, 0, "Range:"));
	http_report(c.http, &report);
	assert_string_equal(text_str(&report),
			    "{\"resolve\": 1, \"bytes\": 5}");
	text_clear(&report);
	http_metrics(c.http, &report);
	assert_string_equal(
		text_str(&report),
		"kernelfs_source_requests_total{endpoint=\"resolve\"} 1\n"
		"kernelfs_source_bytes_total 5\n");
	text_done(&report);
	client_done(&c);
	server_stop(&s);
}

static void an_empty_body_begins_too(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 0\r\n" CLOSE "\r\n", 0, 0, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get(&c, server_url(&s, "/")), 0);
	assert_int_equal(c.begins, 1);
	client_done(&c);
	server_stop(&s);
}

static void keeps_the_connection(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 2\r\n\r\nok", SERVER_KEEP, true, 0,
		  false },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	for (int i = 0; i < 5; i++)
		assert_int_equal(client_get(&c, server_url(&s, "/")), 0);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 5);
	assert_int_equal(s.connections, 1);
}

/* ---- failures by status ---- */

static const struct {
	const char *answer;
	int result;
	const char *says;
} statuses[] = {
	{ "HTTP/1.1 404 No\r\nX-Error-Code: EntryNotFound\r\n"
	  "X-Error-Message: not \x07here\r\n",
	  -ENOENT, "answered 404 EntryNotFound: not ?here" },
	{ "HTTP/1.1 410 Gone\r\n", -ENOENT, "answered 410" },
	{ "HTTP/1.1 401 No\r\n", -EACCES, "answered 401" },
	{ "HTTP/1.1 403 No\r\nX-Error-Code: GatedRepo\r\n", -EACCES,
	  "answered 403 GatedRepo" },
	{ "HTTP/1.1 418 No\r\n", -EIO, "answered 418" },
	{ "HTTP/1.1 304 No\r\n", -EIO, "answered 304" },
};

static void a_refusal_is_not_tried_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(statuses); i++) {
		char answer[512];
		struct server_row rows[] = { { "/p", answer, 0, true, 0, 0 } };
		struct server s;
		struct client c;

		(void)snprintf(answer, sizeof(answer),
			       "%sContent-Length: 0\r\n" CLOSE "\r\n",
			       statuses[i].answer);
		server_start(&s, rows, N(rows));
		client_init(&c, 5000, 20000);
		assert_int_equal(client_get(&c, server_url(&s, "/p?secret=1")),
				 statuses[i].result);
		client_says(&c, statuses[i].says);
		client_says(&c, "/p: ");
		assert_null(strstr(c.err.text, "secret"));
		assert_int_equal(c.begins, 0);
		client_done(&c);
		server_stop(&s);
		assert_int_equal(s.asked_count, 1);
	}
}

static void tries_again_when_it_may_pass(void **state)
{
	static const char *const passing[] = {
		"HTTP/1.1 503 Later\r\n",
		"HTTP/1.1 429 Later\r\n",
		"HTTP/1.1 500 Oh\r\n",
		"HTTP/1.1 408 Oh\r\n",
	};

	(void)state;
	for (size_t i = 0; i < N(passing); i++) {
		char answer[512];
		struct server_row rows[] = {
			{ "/", answer, 0, 0, 0, 0 },
			{ "/", OK "Content-Length: 2\r\n" CLOSE "\r\nok", 0, 0,
			  0, 0 },
		};
		struct server s;
		struct client c;

		(void)snprintf(answer, sizeof(answer),
			       "%sRetry-After: 0\r\nContent-Length: 3\r\n" CLOSE
			       "\r\nbad",
			       passing[i]);
		server_start(&s, rows, N(rows));
		client_init(&c, 5000, 20000);
		assert_int_equal(client_get_text(&c, server_url(&s, "/")), 0);
		assert_string_equal(text_str(&c.body), "ok");
		client_done(&c);
		server_stop(&s);
		assert_int_equal(s.asked_count, 2);
	}
}

static void gives_up_after_some_tries(void **state)
{
	struct server_row rows[] = {
		{ "/",
		  "HTTP/1.1 503 Later\r\nRetry-After: 0\r\n"
		  "Content-Length: 0\r\n" CLOSE "\r\n",
		  0, true, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get(&c, server_url(&s, "/")), -EIO);
	client_says(&c, "answered 503 (5 tries)");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1 + HTTP_RETRIES);
}

static void a_closed_port_is_tried_until_the_deadline(void **state)
{
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, NULL, 0);
	server_stop(&s);
	client_init(&c, 5000, 1000);
	assert_int_equal(client_get(&c, server_url(&s, "/")), -ETIMEDOUT);
	client_says(&c, "deadline");
	client_says(&c, "connect");
	client_done(&c);
}

/* ---- lengths ---- */

static const struct {
	const char *answer;
	size_t more;
} large[] = {
	{ OK "Content-Length: 101\r\n" CLOSE "\r\n", 101 },
	{ OK CLOSE "\r\n", 101 },
	{ OK "Transfer-Encoding: chunked\r\n" CLOSE "\r\n"
	     "80\r\n",
	  128 },
};

static void refuses_more_than_the_limit(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(large); i++) {
		struct server_row rows[] = {
			{ "/", large[i].answer, 0, true, large[i].more, 0 },
		};
		struct server s;
		struct client c;

		server_start(&s, rows, N(rows));
		client_init(&c, 5000, 20000);
		assert_int_equal(
			client_get_from(&c, server_url(&s, "/"), 0, 100),
			-EFBIG);
		client_says(&c, "larger than 100 bytes");
		assert_true(c.body.len <= 100);
		client_done(&c);
		server_stop(&s);
		assert_int_equal(s.asked_count, 1);
	}
}

static void goes_on_where_a_body_was_cut(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 10\r\n" CLOSE "\r\n01234", 0, 0, 0,
		  0 },
		{ "/",
		  "HTTP/1.1 206 Part\r\nContent-Range: bytes 5-9/10\r\n"
		  "Content-Length: 5\r\n" CLOSE "\r\n56789",
		  0, 0, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get_from(&c, server_url(&s, "/"), 0, 10), 0);
	assert_string_equal(text_str(&c.body), "0123456789");
	assert_true(server_was_asked(&s, 1, "Range: bytes=5-\r\n"));
	assert_int_equal(c.begins, 2);
	assert_int_equal(c.begun[1], 5);
	client_done(&c);
	server_stop(&s);
}

static void starts_again_when_a_range_is_ignored(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 10\r\n" CLOSE "\r\n01234", 0, 0, 0,
		  0 },
		{ "/", OK "Content-Length: 10\r\n" CLOSE "\r\nabcdefghij", 0, 0,
		  0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get_from(&c, server_url(&s, "/"), 0, 10), 0);
	assert_string_equal(text_str(&c.body), "abcdefghij");
	assert_int_equal(c.begun[1], 0);
	client_done(&c);
	server_stop(&s);
}

static void refuses_another_range_than_asked(void **state)
{
	struct server_row rows[] = {
		{ "/",
		  "HTTP/1.1 206 Part\r\nContent-Range: bytes 4-9/10\r\n"
		  "Content-Length: 6\r\n" CLOSE "\r\n456789",
		  0, true, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	text_add(&c.body, "01234");
	assert_int_equal(client_get_from(&c, server_url(&s, "/"), 5, 10), -EIO);
	client_says(&c, "another part");
	assert_int_equal(c.begins, 0);
	client_done(&c);
	server_stop(&s);
}

static void text_is_never_pieced_together(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 10\r\n" CLOSE "\r\n01234", 0, 0, 0,
		  0 },
		{ "/", OK "Content-Length: 3\r\n" CLOSE "\r\nnew", 0, 0, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get_text(&c, server_url(&s, "/")), 0);
	assert_string_equal(text_str(&c.body), "new");
	assert_false(server_was_asked(&s, 1, "Range:"));
	client_done(&c);
	server_stop(&s);
}

static void returns_what_the_sink_says(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 2\r\n" CLOSE "\r\nok", 0, true, 0,
		  0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	c.refuse = -ENOSPC;
	assert_int_equal(client_get(&c, server_url(&s, "/")), -ENOSPC);
	assert_string_equal(c.err.text, "the sink refuses");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1);
}

/* ---- heads ---- */

static void tells_of_a_web_page_and_the_next_page(void **state)
{
	struct server_row rows[] = {
		{ "/dir/a",
		  OK "Content-Type: text/html; charset=utf-8\r\n"
		     "Link: </dir/b?cursor=x>; rel=\"next\"\r\n"
		     "Content-Length: 0\r\n" CLOSE "\r\n",
		  0, 0, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get_text(&c, server_url(&s, "/dir/a")), 0);
	assert_true(c.answer.html);
	assert_string_equal(c.answer.next, server_url(&s, "/dir/b?cursor=x"));
	client_done(&c);
	server_stop(&s);
}

static void refuses_a_head_without_end(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "X-Long: ", 0, true, HEAD_BYTES_MAX + 1, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get(&c, server_url(&s, "/")), -EIO);
	assert_int_equal(c.begins, 0);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1);
}

/* Behind the body they would be kept by curl without an end. */
static void refuses_trailers_without_end(void **state)
{
	static const char begin[] = OK "Transfer-Encoding: chunked\r\n" CLOSE
				       "\r\n2\r\nok\r\n0\r\n";
	static const char line[] = "X-More: 01234567890123456789\r\n";
	struct text answer = TEXT_INIT(HEAD_BYTES_MAX + 4096);
	struct server_row rows[] = { { "/", NULL, 0, true, 0, 0 } };
	struct server s;
	struct client c;

	(void)state;
	text_add(&answer, begin);
	while (answer.len < HEAD_BYTES_MAX + 1024)
		text_add(&answer, line);
	text_add(&answer, "\r\n");
	rows[0].answer = text_str(&answer);
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	assert_int_equal(client_get(&c, server_url(&s, "/")), -EIO);
	client_says(&c, "too long");
	client_done(&c);
	server_stop(&s);
	text_done(&answer);
}

static void refuses_what_is_no_http(void **state)
{
	static const char *const urls[] = {
		"file:///etc/passwd",
		"ftp://127.0.0.1/",
		"http://",
		"",
		"http://me:secret@127.0.0.1/",
		"gopher://127.0.0.1:1/",
	};
	struct client c;

	(void)state;
	client_init(&c, 5000, 20000);
	for (size_t i = 0; i < N(urls); i++) {
		assert_int_equal(client_get(&c, urls[i]), -EINVAL);
		assert_null(strstr(c.err.text, "secret"));
	}
	client_done(&c);
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
		cmocka_unit_test(gets_a_body_and_counts_it),
		cmocka_unit_test(an_empty_body_begins_too),
		cmocka_unit_test(keeps_the_connection),
		cmocka_unit_test(a_refusal_is_not_tried_again),
		cmocka_unit_test(tries_again_when_it_may_pass),
		cmocka_unit_test(gives_up_after_some_tries),
		cmocka_unit_test(a_closed_port_is_tried_until_the_deadline),
		cmocka_unit_test(refuses_more_than_the_limit),
		cmocka_unit_test(goes_on_where_a_body_was_cut),
		cmocka_unit_test(starts_again_when_a_range_is_ignored),
		cmocka_unit_test(refuses_another_range_than_asked),
		cmocka_unit_test(text_is_never_pieced_together),
		cmocka_unit_test(returns_what_the_sink_says),
		cmocka_unit_test(tells_of_a_web_page_and_the_next_page),
		cmocka_unit_test(refuses_a_head_without_end),
		cmocka_unit_test(refuses_trailers_without_end),
		cmocka_unit_test(refuses_what_is_no_http),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
