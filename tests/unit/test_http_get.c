/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/http.h"
#include "kernels/http/http_load.h"

#include "base/err.h"
#include "base/text.h"
#include "kernels/http/http_hop.h"
#include "server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Redirects, and who sees the token on the way. */

#define OK "HTTP/1.1 200 OK\r\n"
#define END "Content-Length: 0\r\nConnection: close\r\n\r\n"
#define FOUND OK "Content-Length: 2\r\nConnection: close\r\n\r\nok"
#define TOKEN "hf_secretsecret"
#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

struct client {
	struct http *http;
	struct text body;
	struct http_response answer;
	struct err err;
};

static void client_init(struct client *c)
{
	const struct http_options o = {
		.user_agent = "kernelfs/test",
		.connect_timeout_ms = 5000,
		.stall_timeout_ms = 5000,
		.deadline_ms = 20000,
	};

	memset(c, 0, sizeof(*c));
	c->body = (struct text)TEXT_INIT(1 << 20);
	assert_int_equal(http_new(&c->http, &o, NULL), 0);
}

static void client_done(struct client *c)
{
	http_free(c->http);
	text_done(&c->body);
}

static int get(struct client *c, const char *url, bool authorize)
{
	struct http_request req = {
		.url = url,
		.endpoint = "resolve",
		.authorize = authorize,
	};

	c->err = (struct err)ERR_INIT;
	return http_get_text(c->http, &req, &c->body, &c->answer, &c->err);
}

static void assert_says(const struct client *c, const char *text)
{
	if (!strstr(c->err.text, text))
		fail_msg("'%s' does not say '%s'", c->err.text, text);
}

static void redirect(char *answer, size_t room, const char *status,
		     const char *location)
{
	(void)snprintf(answer, room,
		       "HTTP/1.1 %s Moved\r\nLocation: %s\r\n" END, status,
		       location);
}

static void follows_a_relative_redirect_with_the_token(void **state)
{
	struct server_row rows[] = {
		{ "/kernels/o/r",
		  "HTTP/1.1 307 Moved\r\n"
		  "Location: /api/resolve-cache/x?y=1\r\n" END,
		  0, 0, 0, 0 },
		{ "/api/resolve-cache/x?y=1 ", FOUND, 0, 0, 0, 0 },
	};
	struct text report = TEXT_INIT(1000);
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c);
	assert_int_equal(get(&c, server_url(&s, "/kernels/o/r?q=0"), true), 0);
	assert_string_equal(text_str(&c.body), "ok");
	assert_true(c.answer.token_sent);
	for (size_t i = 0; i < 2; i++)
		assert_true(server_was_asked(
			&s, i, "Authorization: Bearer " TOKEN "\r\n"));
	http_report(c.http, &report);
	assert_string_equal(text_str(&report),
			    "{\"resolve\": 1, \"redirect\": 1, \"bytes\": 2}");
	text_done(&report);
	client_done(&c);
	server_stop(&s);
}

static void the_token_does_not_leave_and_does_not_come_back(void **state)
{
	char out[512];
	char back[512];
	struct server_row home_rows[] = {
		{ "/first", out, 0, 0, 0, 0 },
		{ "/last", FOUND, 0, 0, 0, 0 },
	};
	struct server_row cdn_rows[] = { { "/cdn", back, 0, 0, 0, 0 } };
	struct text report = TEXT_INIT(1000);
	struct server home;
	struct server cdn;
	struct client c;

	(void)state;
	server_start(&home, home_rows, N(home_rows));
	server_start(&cdn, cdn_rows, N(cdn_rows));
	redirect(out, sizeof(out), "302", server_url(&cdn, "/cdn?sig=1"));
	redirect(back, sizeof(back), "302", server_url(&home, "/last"));
	client_init(&c);
	assert_int_equal(get(&c, server_url(&home, "/first"), true), 0);
	assert_true(server_was_asked(&home, 0, "Authorization: Bearer"));
	assert_true(server_was_asked(&cdn, 0, "GET /cdn?sig=1 "));
	assert_false(server_was_asked(&cdn, 0, "Authorization"));
	assert_false(server_was_asked(&cdn, 0, TOKEN));
	assert_true(server_was_asked(&home, 1, "GET /last "));
	assert_false(server_was_asked(&home, 1, "Authorization"));
	http_report(c.http, &report);
	assert_string_equal(text_str(&report),
			    "{\"resolve\": 1, \"cdn\": 2, \"bytes\": 2}");
	text_done(&report);
	client_done(&c);
	server_stop(&cdn);
	server_stop(&home);
}

static void another_name_of_the_same_host_is_another_origin(void **state)
{
	char out[512];
	char there[128];
	struct server_row rows[] = {
		{ "/first", out, 0, 0, 0, 0 },
		{ "/there", FOUND, 0, 0, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	(void)snprintf(there, sizeof(there), "http://localhost:%u/there",
		       s.port);
	redirect(out, sizeof(out), "302", there);
	client_init(&c);
	assert_int_equal(get(&c, server_url(&s, "/first"), true), 0);
	assert_false(server_was_asked(&s, 1, "Authorization"));
	client_done(&c);
	server_stop(&s);
}

static void sends_no_token_unless_asked(void **state)
{
	struct server_row rows[] = { { "/", FOUND, 0, 0, 0, 0 } };
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c);
	assert_true(http_has_token(c.http));
	assert_int_equal(get(&c, server_url(&s, "/"), false), 0);
	assert_false(c.answer.token_sent);
	assert_false(server_was_asked(&s, 0, "Authorization"));
	client_done(&c);
	server_stop(&s);
}

/* The proxy stands for all that is on the way. */
static void sends_no_token_in_clear_text(void **state)
{
	struct server_row rows[] = { { "/", FOUND, 0, true, 0, 0 } };
	struct server_row way_rows[] = { { "http://", FOUND, 0, true, 0, 0 } };
	struct server s;
	struct server way;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	server_start(&way, way_rows, N(way_rows));
	(void)setenv("http_proxy", server_url(&way, ""), 1);
	client_init(&c);
	assert_int_equal(get(&c, "http://hub.example/x", true), 0);
	assert_int_equal(get(&c, "http://127.hub.example/x", true), 0);
	assert_false(c.answer.token_sent);
	assert_true(c.answer.token_kept);
	assert_true(server_was_asked(&way, 0, "GET http://hub.example/x "));
	for (size_t i = 0; i < 2; i++)
		assert_false(server_was_asked(&way, i, TOKEN));
	/* What stays on this machine meets no proxy with it. */
	assert_int_equal(get(&c, server_url(&s, "/"), true), 0);
	assert_true(c.answer.token_sent);
	assert_false(c.answer.token_kept);
	assert_true(server_was_asked(&s, 0, "Authorization: Bearer " TOKEN));
	assert_int_equal(server_asked(&way), 2);
	(void)unsetenv("http_proxy");
	client_done(&c);
	server_stop(&way);
	server_stop(&s);
}

static const struct {
	const char *url;
	bool loopback;
} machines[] = {
	{ "http://127.0.0.1:80/", true },
	{ "http://127.1/", true },
	{ "http://LocalHost:8080/", true },
	{ "http://[::1]/", true },
	{ "http://localhost.evil.example/", false },
	{ "http://128.0.0.1/", false },
	{ "http://127.evil.example/", false },
	{ "http://[::2]/", false },
	{ "http://0.0.0.0/", false },
	{ "http://hub.example/", false },
};

static void knows_this_machine(void **state)
{
	struct http_url u;

	(void)state;
	for (size_t i = 0; i < N(machines); i++) {
		assert_int_equal(http_url_parse(&u, machines[i].url, NULL), 0);
		assert_int_equal(u.loopback, machines[i].loopback);
	}
}

static void refuses_a_redirect_without_end(void **state)
{
	struct server_row rows[] = {
		{ "/", "HTTP/1.1 302 Moved\r\nLocation: /again\r\n" END, 0,
		  true, 0, 0 },
	};
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c);
	assert_int_equal(get(&c, server_url(&s, "/"), true), -EIO);
	assert_says(&c, "more than 10 redirects");
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, 1 + HTTP_HOPS);
}

static void refuses_bad_places(void **state)
{
	static const struct {
		const char *place;
		const char *says;
	} bad[] = {
		{ "file:///etc/passwd", "not an http or https URL" },
		{ "ftp://127.0.0.1/x", "not an http or https URL" },
		{ "http://u:" TOKEN "@127.0.0.1/", "not an http or https URL" },
		{ "http://:" TOKEN "@127.0.0.1/", "not an http or https URL" },
		{ "http://[::1", "not an http or https URL" },
		{ "", "no place" },
	};

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		char answer[512];
		struct server_row rows[] = { { "/", answer, 0, true, 0, 0 } };
		struct server s;
		struct client c;

		redirect(answer, sizeof(answer), "302", bad[i].place);
		server_start(&s, rows, N(rows));
		client_init(&c);
		assert_int_equal(get(&c, server_url(&s, "/"), true), -EIO);
		assert_says(&c, bad[i].says);
		assert_null(strstr(c.err.text, TOKEN));
		client_done(&c);
		server_stop(&s);
		assert_int_equal(s.asked_count, 1);
	}
}

static void never_goes_from_https_to_http(void **state)
{
	struct http_url from;
	struct http_url to;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(http_url_parse(&from, "https://h.example/x", NULL), 0);
	assert_int_equal(
		http_url_follow(&to, &from, "http://h.example/x", &err), -EIO);
	assert_non_null(strstr(err.text, "https://h.example/x: redirected from "
					 "https to http"));
	assert_int_equal(
		http_url_follow(&to, &from, "https://o.example/y", NULL), 0);
	assert_string_equal(to.shown, "https://o.example/y");
	assert_int_equal(http_url_parse(&from, "http://h.example/x", NULL), 0);
	assert_int_equal(
		http_url_follow(&to, &from, "https://h.example/x", NULL), 0);
}

static void an_old_link_to_the_cdn_is_fetched_anew(void **state)
{
	char out[512];
	struct server_row home_rows[] = { { "/", out, 0, true, 0, 0 } };
	struct server_row cdn_rows[] = {
		{ "/", "HTTP/1.1 403 Expired\r\n" END, 0, 0, 0, 0 },
		{ "/", FOUND, 0, 0, 0, 0 },
		{ "/", "HTTP/1.1 403 Expired\r\n" END, 0, true, 0, 0 },
	};
	struct server home;
	struct server cdn;
	struct client c;

	(void)state;
	server_start(&home, home_rows, N(home_rows));
	server_start(&cdn, cdn_rows, N(cdn_rows));
	redirect(out, sizeof(out), "302", server_url(&cdn, "/x"));
	client_init(&c);
	assert_int_equal(get(&c, server_url(&home, "/"), true), 0);
	assert_int_equal(server_asked(&home), 2);
	/* No refusal of the Hub's: nothing to say about rights. */
	assert_int_equal(get(&c, server_url(&home, "/"), true), -EIO);
	assert_int_equal(server_asked(&home), 4);
	client_done(&c);
	server_stop(&cdn);
	server_stop(&home);
}

static const struct {
	const char *a;
	const char *b;
	bool same;
} origins[] = {
	{ "https://h.example", "https://h.example:443/x?y", true },
	{ "http://h.example/", "http://H.EXAMPLE:80/", true },
	{ "https://h.example/", "http://h.example/", false },
	{ "https://h.example/", "https://h.example:444/", false },
	{ "https://h.example/", "https://h.example.org/", false },
	{ "https://h.example/", "https://h.example@evil.example/", false },
	{ "https://h.example/", "//h.example/", false },
	{ "file:///x", "file:///x", false },
	{ "", "", false },
};

static void knows_one_origin_from_another(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(origins); i++)
		assert_int_equal(http_same_origin(origins[i].a, origins[i].b),
				 origins[i].same);
}

static int start(void **state)
{
	(void)state;
	(void)unsetenv("http_proxy");
	(void)unsetenv("all_proxy");
	(void)unsetenv("ALL_PROXY");
	(void)unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
	(void)setenv("HF_TOKEN", TOKEN, 1);
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
		cmocka_unit_test(follows_a_relative_redirect_with_the_token),
		cmocka_unit_test(
			the_token_does_not_leave_and_does_not_come_back),
		cmocka_unit_test(
			another_name_of_the_same_host_is_another_origin),
		cmocka_unit_test(sends_no_token_unless_asked),
		cmocka_unit_test(sends_no_token_in_clear_text),
		cmocka_unit_test(knows_this_machine),
		cmocka_unit_test(refuses_a_redirect_without_end),
		cmocka_unit_test(refuses_bad_places),
		cmocka_unit_test(never_goes_from_https_to_http),
		cmocka_unit_test(an_old_link_to_the_cdn_is_fetched_anew),
		cmocka_unit_test(knows_one_origin_from_another),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
