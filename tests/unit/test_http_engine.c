/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/http.h"
#include "kernels/http/http_load.h"
#include "kernels/http/origins.h"

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

/* Many calls at once, on one thread and its connections. */

#define OK "HTTP/1.1 200 OK\r\n"
#define KEPT OK "Content-Length: 2\r\n\r\nok"

struct caller {
	struct client *c;
	const char *url;
	const char *stall;
	bool cancelled; /* __atomic */
	bool sure;	/* and does not look at that */
	int r;
	unsigned good;
	pthread_t thread;
};

static int ask(struct caller *k, const char *url)
{
	struct text body = TEXT_INIT(1000);
	struct http_response a;
	struct http_request req = { .url = url,
				    .endpoint = "tree",
				    .cancelled =
					    k->sure ? NULL : &k->cancelled };
	int r = http_get_text(k->c->http, &req, &body, &a, NULL);

	if (!r && strcmp(text_str(&body), "ok") != 0)
		r = -EBADMSG;
	text_done(&body);
	return r;
}

static void *ask_once(void *arg)
{
	struct caller *k = arg;

	k->r = ask(k, k->url);
	return NULL;
}

static void start_all(struct caller *k, size_t n, struct client *c,
		      const char *url)
{
	for (size_t i = 0; i < n; i++) {
		k[i] = (struct caller){ .c = c, .url = url };
		assert_int_equal(
			pthread_create(&k[i].thread, NULL, ask_once, &k[i]), 0);
	}
}

static void cancel(struct caller *k)
{
	__atomic_store_n(&k->cancelled, true, __ATOMIC_RELEASE);
}

static void join(struct caller *k)
{
	assert_int_equal(pthread_join(k->thread, NULL), 0);
}

static void init(struct client *c, int64_t idle_ms)
{
	const struct http_options o = {
		.user_agent = "kernelfs/test",
		.connect_timeout_ms = 20000,
		.stall_timeout_ms = 60000,
		.deadline_ms = 60000,
		.idle_ms = idle_ms,
	};

	client_init(c, 1, 1);
	http_free(c->http);
	assert_int_equal(http_new(&c->http, &o, NULL), 0);
}

#define MANY (ORIGIN_CONNECTIONS_MAX + 8)

/* All of them have asked before any has an answer. */
static void asks_in_parallel_and_no_more_than_connections(void **state)
{
	struct server_row rows[] = { { "/", "", SERVER_STALL, true, 0, 0 } };
	static struct caller k[MANY];
	size_t ended = 0;
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	init(&c, 0);
	start_all(k, MANY, &c, server_url(&s, "/"));
	assert_true(server_await(&s, ORIGIN_CONNECTIONS_MAX));
	assert_int_equal(server_asked(&s), ORIGIN_CONNECTIONS_MAX);
	/* Who asks or waits to ask: each end lets one more ask. */
	for (size_t i = 0; i < 8; i++)
		cancel(&k[i]);
	for (size_t i = 0; i < 8; i++)
		join(&k[i]);
	for (size_t i = 8; i < MANY; i++)
		cancel(&k[i]);
	for (size_t i = 8; i < MANY; i++)
		join(&k[i]);
	for (size_t i = 0; i < MANY; i++)
		ended += k[i].r == -ECANCELED;
	assert_int_equal(ended, MANY);
	client_done(&c);
	server_stop(&s);
	assert_true(s.asked_count <= MANY);
}

static void an_end_lets_the_next_one_ask(void **state)
{
	struct server_row rows[] = {
		{ "/stall", "", SERVER_STALL, true, 0, 0 },
		{ "/", KEPT, SERVER_KEEP, true, 0, 0 },
	};
	static struct caller k[ORIGIN_CONNECTIONS_MAX];
	struct caller next;
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	init(&c, 0);
	start_all(k, N(k), &c, server_url(&s, "/stall"));
	assert_true(server_await(&s, N(k)));
	start_all(&next, 1, &c, server_url(&s, "/"));
	cancel(&k[0]);
	join(&next);
	assert_int_equal(next.r, 0);
	http_cancel_all(c.http);
	for (size_t i = 0; i < N(k); i++)
		join(&k[i]);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.asked_count, N(k) + 1);
}

#define THREADS 64
#define CALLS 30

static void *ask_often(void *arg)
{
	struct caller *k = arg;

	for (int i = 0; i < CALLS && !k->r; i++) {
		bool stalls = i % 10 == 9;
		int r;

		k->sure = i % 2 == 0;
		__atomic_store_n(&k->cancelled, false, __ATOMIC_RELEASE);
		r = ask(k, stalls ? k->stall : k->url);
		if (r != -ECANCELED)
			k->r = stalls && !r ? -EBADMSG : r;
		k->good += r == 0;
	}
	return NULL;
}

struct canceller {
	struct caller *callers;
	bool stop; /* __atomic */
};

/* Whoever asks at that moment. */
static void *cancel_often(void *arg)
{
	struct canceller *x = arg;

	for (size_t i = 0; !__atomic_load_n(&x->stop, __ATOMIC_ACQUIRE); i++) {
		cancel(&x->callers[i % THREADS]);
		(void)usleep(100);
	}
	return NULL;
}

static void many_threads_with_cancellations_end_well(void **state)
{
	struct server_row rows[] = {
		{ "/stall", "", SERVER_STALL, true, 0, 0 },
		{ "/", KEPT, SERVER_KEEP, true, 0, 0 },
	};
	static struct caller k[THREADS];
	struct canceller x = { .callers = k };
	const char *url;
	const char *stall;
	unsigned good = 0;
	struct server s;
	struct client c;
	pthread_t t;

	(void)state;
	server_start(&s, rows, N(rows));
	init(&c, 0);
	url = server_url(&s, "/");
	stall = server_url(&s, "/stall");
	for (size_t i = 0; i < THREADS; i++) {
		k[i] = (struct caller){ .c = &c, .url = url, .stall = stall };
		assert_int_equal(
			pthread_create(&k[i].thread, NULL, ask_often, &k[i]),
			0);
	}
	assert_int_equal(pthread_create(&t, NULL, cancel_often, &x), 0);
	for (size_t i = 0; i < THREADS; i++) {
		join(&k[i]);
		assert_int_equal(k[i].r, 0);
		good += k[i].good;
	}
	__atomic_store_n(&x.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(good >= THREADS * CALLS / 2);
	client_done(&c);
	server_stop(&s);
}

static bool all_left(struct server *s)
{
	long long until = server_now_ms() + SERVER_WAIT_MS;
	size_t running = 1;

	while (running && server_now_ms() < until) {
		(void)pthread_mutex_lock(&s->mu);
		running = s->running;
		(void)pthread_mutex_unlock(&s->mu);
		(void)usleep(1000);
	}
	return !running;
}

static void without_work_all_connections_are_closed(void **state)
{
	struct server_row rows[] = { { "/", KEPT, SERVER_KEEP, true, 0, 0 } };
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	init(&c, 50);
	assert_int_equal(client_get(&c, server_url(&s, "/")), 0);
	assert_true(all_left(&s));
	assert_int_equal(client_get(&c, server_url(&s, "/")), 0);
	client_done(&c);
	server_stop(&s);
	assert_int_equal(s.connections, 2);
}

/* Its end and the next beginning, over and over. */
static void a_thread_that_ends_is_followed_by_another(void **state)
{
	struct server_row rows[] = { { "/", KEPT, SERVER_KEEP, true, 0, 0 } };
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	init(&c, 1);
	for (unsigned i = 0; i < 100; i++) {
		c.begins = 0;
		assert_int_equal(client_get(&c, server_url(&s, "/")), 0);
		(void)usleep(i * 37);
	}
	client_done(&c);
	server_stop(&s);
}

/* ---- apart ---- */

struct where {
	struct http_sink sink; /* first */
	bool here;
	pthread_t self;
	size_t bytes;
	unsigned asked; /* of those, on our thread */
};

static int where_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct where *w = (struct where *)s;

	(void)from;
	(void)err;
	w->here = pthread_equal(w->self, pthread_self());
	w->bytes = 0;
	return 0;
}

static int where_write(struct http_sink *s, const void *p, size_t n,
		       struct err *err)
{
	(void)p;
	(void)err;
	((struct where *)s)->bytes += n;
	return 0;
}

static void where_asked(struct http_sink *s)
{
	struct where *w = (struct where *)s;

	w->asked += pthread_equal(w->self, pthread_self()) ? 1 : 0;
}

static bool comes_here(struct client *c, const char *url, bool apart)
{
	struct text place = TEXT_INIT(1000);
	struct where w = {
		.sink = { .begin = where_begin,
			  .write = where_write,
			  .asked = where_asked },
		.self = pthread_self(),
	};
	const struct http_request req = {
		.url = url,
		.endpoint = "resolve",
		.limit = 1 << 20,
		.sink = &w.sink,
		.place = &place,
		.apart = apart,
	};

	assert_int_equal(http_get(c->http, &req, NULL, NULL), 0);
	text_done(&place);
	assert_int_equal(w.bytes, 2);
	/* Our thread had nothing to do while it was on its way. */
	if (!w.here)
		assert_int_equal(w.asked, 1);
	return w.here;
}

static void a_body_apart_comes_on_the_caller_s_thread(void **state)
{
	struct server_row rows[] = { { "/", KEPT, SERVER_KEEP, true, 0, 0 } };
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, rows, N(rows));
	init(&c, 50);
	assert_false(comes_here(&c, server_url(&s, "/"), false));
	assert_int_equal(server_asked(&s), 1);
	/* Who would have known? */
	assert_true(comes_here(&c, server_url(&s, "/"), true));
	assert_int_equal(server_asked(&s), 3);
	assert_true(comes_here(&c, server_url(&s, "/"), true));
	assert_int_equal(server_asked(&s), 4);
	assert_false(comes_here(&c, server_url(&s, "/"), false));
	/* Its connection, too, is not kept for ever. */
	assert_true(all_left(&s));
	client_done(&c);
	server_stop(&s);
}

/* What leads to it goes where a connection stands already. */
static void only_the_body_is_apart(void **state)
{
	char found[512];
	struct server_row home_rows[] = {
		{ "/f", found, SERVER_KEEP, true, 0, 0 },
		{ "/", KEPT, SERVER_KEEP, true, 0, 0 },
	};
	struct server_row cdn_rows[] = {
		{ "/", KEPT, SERVER_KEEP, true, 0, 0 },
	};
	struct server home;
	struct server cdn;
	struct client c;

	(void)state;
	server_start(&home, home_rows, N(home_rows));
	server_start(&cdn, cdn_rows, N(cdn_rows));
	(void)snprintf(found, sizeof(found),
		       "HTTP/1.1 302 Found\r\nLocation: %s\r\n"
		       "Content-Length: 0\r\n\r\n",
		       server_url(&cdn, "/f"));
	init(&c, 0);
	assert_false(comes_here(&c, server_url(&home, "/"), false));
	assert_true(comes_here(&c, server_url(&home, "/f"), true));
	client_done(&c);
	server_stop(&cdn);
	server_stop(&home);
	assert_int_equal(home.connections, 1);
	assert_int_equal(home.asked_count, 2);
	assert_int_equal(cdn.asked_count, 1);
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
		cmocka_unit_test(asks_in_parallel_and_no_more_than_connections),
		cmocka_unit_test(an_end_lets_the_next_one_ask),
		cmocka_unit_test(many_threads_with_cancellations_end_well),
		cmocka_unit_test(without_work_all_connections_are_closed),
		cmocka_unit_test(a_thread_that_ends_is_followed_by_another),
		cmocka_unit_test(a_body_apart_comes_on_the_caller_s_thread),
		cmocka_unit_test(only_the_body_is_apart),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
