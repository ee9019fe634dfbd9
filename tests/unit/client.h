/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_CLIENT_H
#define UNIT_CLIENT_H

/*
 * One that asks over HTTP, and keeps what it got.
 */

#include "base/err.h"
#include "base/text.h"
#include "kernels/http/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

struct client {
	struct http *http;
	struct text body;
	struct http_response answer;
	struct err err;
	struct http_sink sink;
	uint64_t begun[8];
	size_t begins;
	int refuse; /* what the sink says */
	bool cancelled;
};

static inline int client_begin(struct http_sink *s, uint64_t from,
			       struct err *err)
{
	struct client *c =
		(struct client *)(void *)((char *)s -
					  offsetof(struct client, sink));

	if (c->refuse)
		return err_set(err, -c->refuse, "the sink refuses");
	assert_true(c->begins < N(c->begun));
	c->begun[c->begins++] = from;
	assert_true(from <= c->body.len);
	c->body.len = from;
	return 0;
}

static inline int client_write(struct http_sink *s, const void *p, size_t n,
			       struct err *err)
{
	struct client *c =
		(struct client *)(void *)((char *)s -
					  offsetof(struct client, sink));

	(void)err;
	text_add_bytes(&c->body, p, n);
	return text_failed(&c->body);
}

static inline void client_init(struct client *c, int64_t stall_ms,
			       int64_t deadline_ms)
{
	const struct http_options o = {
		.user_agent = "kernelfs/test",
		.connect_timeout_ms = 5000,
		.stall_timeout_ms = stall_ms,
		.deadline_ms = deadline_ms,
	};

	memset(c, 0, sizeof(*c));
	c->body = (struct text)TEXT_INIT(1 << 20);
	c->sink.begin = client_begin;
	c->sink.write = client_write;
	assert_int_equal(http_new(&c->http, &o, NULL), 0);
}

static inline void client_done(struct client *c)
{
	http_free(c->http);
	text_done(&c->body);
}

static inline int client_get_from(struct client *c, const char *url,
				  uint64_t from, uint64_t limit)
{
	const struct http_request req = {
		.url = url,
		.endpoint = "resolve",
		.authorize = true,
		.from = from,
		.limit = limit,
		.sink = &c->sink,
		.cancelled = &c->cancelled,
	};

	c->err = (struct err)ERR_INIT;
	return http_get(c->http, &req, &c->answer, &c->err);
}

static inline int client_get(struct client *c, const char *url)
{
	return client_get_from(c, url, 0, 1 << 20);
}

static inline int client_get_text(struct client *c, const char *url)
{
	struct http_request req = {
		.url = url,
		.endpoint = "refs",
		.authorize = true,
		.cancelled = &c->cancelled,
	};

	c->err = (struct err)ERR_INIT;
	return http_get_text(c->http, &req, &c->body, &c->answer, &c->err);
}

static inline void client_says(const struct client *c, const char *text)
{
	if (!strstr(c->err.text, text))
		fail_msg("'%s' does not say '%s'", c->err.text, text);
}

#endif
