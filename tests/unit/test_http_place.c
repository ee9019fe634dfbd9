/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/http.h"
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

/* Parts of a file, and the place that a redirect led to. */

#define OK "HTTP/1.1 200 OK\r\n"
#define PART "HTTP/1.1 206 Part\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define GONE "HTTP/1.1 403 Expired\r\nContent-Length: 0\r\n" CLOSE
#define TOKEN "hf_secretsecret"

struct part {
	const char *url;
	uint64_t from;
	uint64_t until;
	struct text *place;
};

static int get_part(struct client *c, const struct part *p)
{
	const struct http_request req = {
		.url = p->url,
		.endpoint = "resolve",
		.authorize = true,
		.from = p->from,
		.until = p->until,
		.limit = 1 << 20,
		.sink = &c->sink,
		.place = p->place,
	};

	c->err = (struct err)ERR_INIT;
	return http_get(c->http, &req, &c->answer, &c->err);
}

/* What comes before the part. */
static void fill(struct client *c, size_t n)
{
	text_clear(&c->body);
	for (size_t i = 0; i < n; i++)
		text_add_char(&c->body, '-');
	c->begins = 0;
}

static const struct {
	const char *answer;
	uint64_t from;
	uint64_t until;
	int result;
	const char *range; /* asked for */
	const char *body;
	const char *says;
} parts[] = {
	{ PART "Content-Range: bytes 2-4/9\r\n" CLOSE "cde", 2, 5, 0,
	  "\r\nRange: bytes=2-4\r\n", "--cde", "" },
	{ PART "Content-Range: bytes 0-0/9\r\n" CLOSE "a", 0, 1, 0,
	  "\r\nRange: bytes=0-0\r\n", "a", "" },
	/* The file ends there. */
	{ PART "Content-Range: bytes 2-3/4\r\n" CLOSE "cd", 2, 5, 0,
	  "\r\nRange: bytes=2-4\r\n", "--cd", "" },
	{ PART "Content-Range: bytes 1-4/9\r\n" CLOSE "bcde", 2, 5, -EIO, "",
	  "--", "another part" },
	{ PART "Content-Range: bytes 2-5/9\r\n" CLOSE "cdef", 2, 5, -EIO, "",
	  "--", "another part" },
	{ PART "Content-Range: bytes 2-/9\r\n" CLOSE "cde", 2, 5, -EIO, "",
	  "--", "another part" },
	{ PART CLOSE "cde", 2, 5, -EIO, "", "--", "another part" },
	{ PART "Content-Range: bytes 2-4/9\r\n" CLOSE "cdef", 2, 5, -EFBIG, "",
	  "--", "larger" },
	/* The whole: who wants none of it refuses in begin(). */
	{ OK CLOSE "abcdefghi", 2, 5, 0, "\r\nRange: bytes=2-4\r\n",
	  "abcdefghi", "" },
};

static void asks_for_a_part_and_takes_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(parts); i++) {
		struct server_row rows[] = {
			{ "/", parts[i].answer, 0, 0, 0, 0 },
		};
		struct server s;
		struct client c;
		struct part p = { .from = parts[i].from,
				  .until = parts[i].until };
		int r;

		server_start(&s, rows, N(rows));
		client_init(&c, 5000, 20000);
		fill(&c, parts[i].from);
		p.url = server_url(&s, "/");
		r = get_part(&c, &p);
		if (r != parts[i].result)
			fail_msg("%zu: %d, %s", i, r, c.err.text);
		client_says(&c, parts[i].says);
		assert_true(server_was_asked(&s, 0, parts[i].range));
		assert_string_equal(text_str(&c.body), parts[i].body);
		client_done(&c);
		server_stop(&s);
	}
}

static void a_cut_part_goes_on_to_its_end(void **state)
{
	struct server_row rows[] = {
		{ "/",
		  PART "Content-Range: bytes 2-6/9\r\nContent-Length: 5\r\n"
		       "\r\ncde",
		  0, 0, 0, 0 },
		{ "/", PART "Content-Range: bytes 5-6/9\r\n" CLOSE "fg", 0, 0,
		  0, 0 },
	};
	struct server s;
	struct client c;
	struct part p = { .from = 2, .until = 7 };

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	fill(&c, 2);
	p.url = server_url(&s, "/");
	assert_int_equal(get_part(&c, &p), 0);
	assert_true(server_was_asked(&s, 1, "\r\nRange: bytes=5-6\r\n"));
	assert_string_equal(text_str(&c.body), "--cdefg");
	client_done(&c);
	server_stop(&s);
}

/* It was taken from its first byte, and the part is of no interest then. */
static void a_cut_whole_goes_on_to_the_end_of_all(void **state)
{
	struct server_row rows[] = {
		{ "/", OK "Content-Length: 9\r\n\r\nabcd", 0, 0, 0, 0 },
		{ "/", PART "Content-Range: bytes 4-8/9\r\n" CLOSE "efghi", 0,
		  0, 0, 0 },
	};
	struct server s;
	struct client c;
	struct part p = { .from = 2, .until = 7 };

	(void)state;
	server_start(&s, rows, N(rows));
	client_init(&c, 5000, 20000);
	fill(&c, 2);
	p.url = server_url(&s, "/");
	assert_int_equal(get_part(&c, &p), 0);
	assert_true(server_was_asked(&s, 1, "\r\nRange: bytes=4-\r\n"));
	assert_string_equal(text_str(&c.body), "abcdefghi");
	client_done(&c);
	server_stop(&s);
}

/* ---- the place ---- */

struct world {
	struct server home;
	struct server cdn;
	struct client c;
	struct text place;
	char found[600]; /* home's answer: a redirect to the CDN */
};

static void world_init(struct world *w, struct server_row *home, size_t homes,
		       struct server_row *cdn, size_t cdns)
{
	server_start(&w->home, home, homes);
	server_start(&w->cdn, cdn, cdns);
	(void)snprintf(w->found, sizeof(w->found),
		       "HTTP/1.1 302 Found\r\nLocation: %s\r\n"
		       "Content-Length: 0\r\n" CLOSE,
		       server_url(&w->cdn, "/signed?new=1"));
	client_init(&w->c, 5000, 20000);
	w->place = (struct text)TEXT_INIT(4000);
}

static void world_done(struct world *w)
{
	text_done(&w->place);
	client_done(&w->c);
	server_stop(&w->cdn);
	server_stop(&w->home);
}

static int get(struct world *w, uint64_t from, uint64_t until)
{
	const struct part p = { .url = server_url(&w->home, "/f"),
				.from = from,
				.until = until,
				.place = &w->place };

	fill(&w->c, from);
	return get_part(&w->c, &p);
}

static void the_place_is_found_once_and_asked_from_then_on(void **state)
{
	static struct world w;
	struct server_row home[] = { { "/f", w.found, 0, true, 0, 0 } };
	struct server_row cdn[] = {
		{ "/signed?new=1",
		  PART "Content-Range: bytes 0-1/4\r\n" CLOSE "ab", 0, 0, 0,
		  0 },
		{ "/signed?new=1",
		  PART "Content-Range: bytes 2-3/4\r\n" CLOSE "cd", 0, 0, 0,
		  0 },
	};
	struct text report = TEXT_INIT(1000);

	(void)state;
	world_init(&w, home, N(home), cdn, N(cdn));
	assert_int_equal(get(&w, 0, 2), 0);
	assert_string_equal(text_str(&w.place),
			    server_url(&w.cdn, "/signed?new=1"));
	assert_true(w.c.answer.token_sent);
	assert_int_equal(get(&w, 2, 4), 0);
	assert_string_equal(text_str(&w.c.body), "--cd");
	assert_false(w.c.answer.token_sent);
	assert_int_equal(server_asked(&w.home), 1);
	for (size_t i = 0; i < 2; i++)
		assert_false(server_was_asked(&w.cdn, i, TOKEN));
	http_report(w.c.http, &report);
	assert_string_equal(text_str(&report),
			    "{\"resolve\": 1, \"cdn\": 2, \"bytes\": 4}");
	text_done(&report);
	world_done(&w);
}

static void a_place_on_the_first_origin_is_none(void **state)
{
	static struct world w;
	struct server_row home[] = {
		{ "/f",
		  "HTTP/1.1 302 Found\r\nLocation: /g\r\n"
		  "Content-Length: 0\r\n" CLOSE,
		  0, 0, 0, 0 },
		{ "/g", OK CLOSE "abcd", 0, 0, 0, 0 },
	};

	(void)state;
	world_init(&w, home, N(home), NULL, 0);
	assert_int_equal(get(&w, 0, 0), 0);
	assert_int_equal(w.place.len, 0);
	world_done(&w);
}

static const char *const refusals[] = {
	GONE,
	"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n" CLOSE,
	"HTTP/1.1 302 Found\r\nLocation: /else\r\n"
	"Content-Length: 0\r\n" CLOSE,
};

static void a_place_that_has_expired_is_found_anew(void **state)
{
	static struct world w;

	(void)state;
	for (size_t i = 0; i < N(refusals); i++) {
		struct server_row home[] = { { "/f", w.found, 0, true, 0, 0 } };
		struct server_row cdn[] = {
			{ "/signed?old=1", refusals[i], 0, 0, 0, 0 },
			{ "/signed?new=1", OK CLOSE "abcd", 0, 0, 0, 0 },
		};
		long long asked_ms;

		world_init(&w, home, N(home), cdn, N(cdn));
		text_add(&w.place, server_url(&w.cdn, "/signed?old=1"));
		asked_ms = server_now_ms();
		assert_int_equal(get(&w, 0, 0), 0);
		/* At once: a failure is waited for. */
		assert_true(w.cdn.asked[1].ms - asked_ms < 5000);
		assert_string_equal(text_str(&w.c.body), "abcd");
		assert_true(text_ends(text_str(&w.place), "/signed?new=1"));
		assert_int_equal(server_asked(&w.home), 1);
		assert_true(server_was_asked(&w.home, 0, TOKEN));
		assert_int_equal(server_asked(&w.cdn), 2);
		world_done(&w);
	}
}

static void a_url_whose_places_all_refuse_is_given_up(void **state)
{
	static struct world w;
	struct server_row home[] = { { "/f", w.found, 0, true, 0, 0 } };
	struct server_row cdn[] = { { "/signed", GONE, 0, true, 0, 0 } };

	(void)state;
	world_init(&w, home, N(home), cdn, N(cdn));
	text_add(&w.place, server_url(&w.cdn, "/signed?old=1"));
	assert_int_equal(get(&w, 0, 0), -EIO);
	client_says(&w.c, "answered 403");
	assert_int_equal(w.place.len, 0);
	/* the place, then twice as without one */
	assert_int_equal(server_asked(&w.home), 2);
	assert_int_equal(server_asked(&w.cdn), 3);
	world_done(&w);
}

/* A machine that is gone has no status to refuse with. */
static void a_place_without_an_answer_is_left(void **state)
{
	static struct world w;
	struct server_row home[] = { { "/f", w.found, 0, true, 0, 0 } };
	struct server_row cdn[] = {
		{ "/signed?new=1", OK CLOSE "abcd", 0, 0, 0, 0 },
	};
	struct server gone;

	(void)state;
	world_init(&w, home, N(home), cdn, N(cdn));
	server_start(&gone, NULL, 0);
	server_stop(&gone);
	text_add(&w.place, server_url(&gone, "/signed"));
	assert_int_equal(get(&w, 0, 0), 0);
	assert_string_equal(text_str(&w.c.body), "abcd");
	assert_true(text_ends(text_str(&w.place), "/signed?new=1"));
	world_done(&w);
}

static void a_place_that_is_no_url_is_not_asked(void **state)
{
	static struct world w;
	struct server_row home[] = { { "/f", OK CLOSE "abcd", 0, 0, 0, 0 } };

	(void)state;
	world_init(&w, home, N(home), NULL, 0);
	text_add(&w.place, "file:///etc/passwd");
	assert_int_equal(get(&w, 0, 0), 0);
	assert_string_equal(text_str(&w.c.body), "abcd");
	assert_int_equal(w.place.len, 0);
	world_done(&w);
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
		cmocka_unit_test(asks_for_a_part_and_takes_no_other),
		cmocka_unit_test(a_cut_part_goes_on_to_its_end),
		cmocka_unit_test(a_cut_whole_goes_on_to_the_end_of_all),
		cmocka_unit_test(
			the_place_is_found_once_and_asked_from_then_on),
		cmocka_unit_test(a_place_on_the_first_origin_is_none),
		cmocka_unit_test(a_place_that_has_expired_is_found_anew),
		cmocka_unit_test(a_url_whose_places_all_refuse_is_given_up),
		cmocka_unit_test(a_place_without_an_answer_is_left),
		cmocka_unit_test(a_place_that_is_no_url_is_not_asked),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
