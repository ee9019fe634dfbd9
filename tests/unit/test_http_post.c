/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/http.h"
#include "kernels/http/http_load.h"

#include "base/err.h"
#include "base/text.h"
#include "client.h"
#include "server.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

/* What a request may carry: a body, header lines, a user; how often it is
 * tried; and that none is made offline. */

#define OK "HTTP/1.1 200 OK\r\n"
#define END "Content-Length: 0\r\nConnection: close\r\n\r\n"
#define FOUND OK "Content-Length: 2\r\nConnection: close\r\n\r\nok"
#define BODY "{\"operation\": \"download\"}"

static const char *const lines[] = { "X-Secret: swordfish", NULL };

static struct http_request post(const char *url)
{
	return (struct http_request){
		.url = url,
		.endpoint = "lfs",
		.body = BODY,
		.body_len = strlen(BODY),
		.content_type = "application/vnd.git-lfs+json",
		.accept = "application/x-wanted",
		.headers = lines,
		.userpwd = "alice:swordfish",
	};
}

static int ask(struct client *c, struct http_request req)
{
	c->err = (struct err)ERR_INIT;
	return http_get_text(c->http, &req, &c->body, &c->answer, &c->err);
}

/* The first of all: nobody has loaded libcurl yet. */
static void offline_asks_nobody_and_loads_nothing(void **state)
{
	const struct http_options o = {
		.user_agent = "kernelfs/test",
		.connect_timeout_ms = 5000,
		.stall_timeout_ms = 5000,
		.deadline_ms = 5000,
		.offline = true,
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, NULL, 0);
	client_init(&c, 5000, 5000);
	http_free(c.http);
	assert_int_equal(http_new(&c.http, &o, NULL), 0);
	assert_int_equal(client_get_text(&c, server_url(&s, "/a?secret=1")),
			 -ENETUNREACH);
	client_says(&c, "offline: not in the cache");
	client_says(&c, "/a is not asked");
	assert_null(strstr(c.err.text, "secret"));
	assert_int_equal(client_get_text(&c, "https://u:secret@h.example/a"),
			 -ENETUNREACH);
	assert_null(strstr(c.err.text, "secret"));
	assert_null(dlopen("libcurl.so.4", RTLD_NOW | RTLD_NOLOAD));
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.connections, 0);
}

static void sends_the_body_with_its_type(void **state)
{
	struct server_row rows[] = { { "/", FOUND, 0, true, 0, 0 } };
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 10000);
	assert_int_equal(ask(&c, post(server_url(&s, "/objects/batch"))), 0);
	assert_string_equal(text_str(&c.body), "ok");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1);
	assert_true(server_was_asked(&s, 0, "POST /objects/batch HTTP/1.1"));
	assert_true(server_was_asked(
		&s, 0, "\r\nContent-Type: application/vnd.git-lfs+json\r\n"));
	assert_true(server_was_asked(&s, 0,
				     "\r\nAccept: application/x-wanted\r\n"));
	assert_true(server_was_asked(&s, 0, "\r\nX-Secret: swordfish\r\n"));
	/* alice:swordfish */
	assert_true(server_was_asked(
		&s, 0, "\r\nAuthorization: Basic YWxpY2U6c3dvcmRmaXNo\r\n"));
	assert_false(server_was_asked(&s, 0, "Expect:"));
	assert_string_equal(s.asked[0].body, BODY);
}

static void an_empty_body_is_a_post_too(void **state)
{
	struct server_row rows[] = { { "/", FOUND, 0, true, 0, 0 } };
	struct server s;
	struct client c;
	struct http_request req;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 10000);
	req = post(server_url(&s, "/"));
	req.body = "";
	req.body_len = 0;
	assert_int_equal(ask(&c, req), 0);
	client_done(&c);
	server_stop(&s);
	assert_true(server_was_asked(&s, 0, "POST / HTTP/1.1"));
	assert_true(server_was_asked(&s, 0, "\r\nContent-Length: 0\r\n"));
}

static void what_is_secret_goes_to_the_first_origin_only(void **state)
{
	char there[600];
	struct server_row away[] = { { "/", there, 0, true, 0, 0 } };
	struct server_row rows[] = { { "/", FOUND, 0, true, 0, 0 } };
	struct server first, second;
	struct client c;

	(void)state;
	server_start(&second, rows, N(rows));
	(void)snprintf(there, sizeof(there),
		       "HTTP/1.1 307 There\r\nLocation: %s\r\n" END,
		       server_url(&second, "/there"));
	server_start(&first, away, N(away));
	client_init(&c, 5000, 10000);
	assert_int_equal(ask(&c, post(server_url(&first, "/"))), 0);
	client_done(&c);
	server_stop(&first);
	server_stop(&second);
	assert_true(server_was_asked(&first, 0, "swordfish"));
	assert_true(server_was_asked(&first, 0, "Authorization"));
	assert_true(server_was_asked(&second, 0, "POST /there"));
	assert_string_equal(second.asked[0].body, BODY);
	assert_false(server_was_asked(&second, 0, "swordfish"));
	assert_false(server_was_asked(&second, 0, "Authorization"));
}

static void a_user_is_not_sent_in_clear_text(void **state)
{
	struct server_row rows[] = { { "http://", FOUND, 0, true, 0, 0 } };
	struct server way;
	struct client c;

	(void)state;
	server_start(&way, rows, N(rows));
	client_init(&c, 5000, 10000);
	(void)setenv("http_proxy", server_url(&way, ""), 1);
	assert_int_equal(ask(&c, post("http://git.example/")), 0);
	(void)unsetenv("http_proxy");
	assert_true(c.answer.token_kept);
	client_done(&c);
	server_stop(&way);
	assert_true(server_was_asked(&way, 0, "POST http://git.example/"));
	assert_false(server_was_asked(&way, 0, "Authorization"));
}

/* They may open a file to who has them, as a token does. */
static void headers_for_this_machine_meet_no_proxy(void **state)
{
	struct server_row rows[] = { { "/", FOUND, 0, true, 0, 0 } };
	struct server_row more[] = { { "http://", FOUND, 0, true, 0, 0 } };
	struct server way, s;
	struct client c;
	struct http_request req;

	(void)state;
	server_start(&way, more, N(more));
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 10000);
	(void)setenv("http_proxy", server_url(&way, ""), 1);
	req = post(server_url(&s, "/"));
	req.userpwd = NULL;
	req.authorize = false;
	assert_int_equal(ask(&c, req), 0);
	(void)unsetenv("http_proxy");
	client_done(&c);
	server_stop(&s);
	server_stop(&way);
	assert_true(server_was_asked(&s, 0, "\r\nX-Secret: swordfish\r\n"));
	assert_false(server_was_asked(&way, 0, "swordfish"));
}

static void a_redirect_that_drops_the_body_is_refused(void **state)
{
	struct server_row rows[] = {
		{ "/", "HTTP/1.1 302 There\r\nLocation: /there\r\n" END, 0,
		  true, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 10000);
	assert_int_equal(ask(&c, post(server_url(&s, "/"))), -EIO);
	client_says(&c, "answered a POST with the redirect 302");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1);
}

static void a_second_try_sends_the_body_again(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 10\r\n\r\nhalf", 0, 0, 0, 0 },
		{ "/", FOUND, 0, true, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 10000);
	assert_int_equal(ask(&c, post(server_url(&s, "/"))), 0);
	assert_string_equal(text_str(&c.body), "ok");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 2);
	assert_string_equal(s.asked[1].body, BODY);
	assert_false(server_was_asked(&s, 1, "Range:"));
}

static void a_line_with_a_line_in_it_is_not_sent(void **state)
{
	static const char *const evil[] = { "X: y\r\nX-More: z", NULL };
	struct server_row rows[] = { { "/", FOUND, 0, true, 0, 0 } };
	struct server s;
	struct client c;
	struct http_request req;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 10000);
	req = post(server_url(&s, "/"));
	req.headers = evil;
	assert_int_not_equal(ask(&c, req), 0);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 0);
}

static void is_tried_as_often_as_asked_for(void **state)
{
	struct server_row rows[] = {
		{ "/", "HTTP/1.1 502 Bad\r\n" END, 0, true, 0, 0 },
	};
	struct server s;
	struct client c;
	struct http_request req;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	req = post(server_url(&s, "/"));
	req.tries = 1;
	assert_int_equal(ask(&c, req), -EIO);
	client_says(&c, "answered 502");
	assert_null(strstr(c.err.text, "tries"));
	assert_int_equal(server_asked(&s), 1);
	req.tries = 2;
	assert_int_equal(ask(&c, req), -EIO);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 3);
}

static void who_is_in_haste_does_not_wait_for_a_pause(void **state)
{
	struct server_row rows[] = {
		{ "/", "HTTP/1.1 429 Slow\r\nRetry-After: 5\r\n" END, 0, true,
		  0, 0 },
	};
	struct server s;
	struct client c;
	struct http_request req;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 60000);
	req = post(server_url(&s, "/"));
	req.tries = 1;
	req.hasty = true;
	assert_int_equal(ask(&c, req), -EIO);
	assert_int_equal(ask(&c, req), -ETIMEDOUT);
	client_says(&c, "asks to wait");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1);
}

static int start(void **state)
{
	(void)state;
	(void)unsetenv("http_proxy");
	(void)unsetenv("all_proxy");
	(void)unsetenv("ALL_PROXY");
	(void)setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offline_asks_nobody_and_loads_nothing),
		cmocka_unit_test(sends_the_body_with_its_type),
		cmocka_unit_test(an_empty_body_is_a_post_too),
		cmocka_unit_test(what_is_secret_goes_to_the_first_origin_only),
		cmocka_unit_test(a_user_is_not_sent_in_clear_text),
		cmocka_unit_test(headers_for_this_machine_meet_no_proxy),
		cmocka_unit_test(a_redirect_that_drops_the_body_is_refused),
		cmocka_unit_test(a_second_try_sends_the_body_again),
		cmocka_unit_test(a_line_with_a_line_in_it_is_not_sent),
		cmocka_unit_test(is_tried_as_often_as_asked_for),
		cmocka_unit_test(who_is_in_haste_does_not_wait_for_a_pause),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
