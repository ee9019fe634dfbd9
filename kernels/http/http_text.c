/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "base/err.h"
#include "base/text.h"
#include "http_hop.h"

/* An answer into memory. */

struct text_sink {
	struct http_sink sink; /* first */
	struct text *out;
	size_t start; /* what was in it before */
};

static int text_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct text_sink *t = (struct text_sink *)s;

	(void)from;
	(void)err;
	t->out->len = t->start;
	if (t->out->s)
		t->out->s[t->start] = '\0';
	return 0;
}

static int text_write(struct http_sink *s, const void *p, size_t n,
		      struct err *err)
{
	struct text_sink *t = (struct text_sink *)s;

	text_add_bytes(t->out, p, n);
	if (text_failed(t->out))
		return err_errno(err, -text_failed(t->out), "an answer");
	return 0;
}

int http_get_text(struct http *h, struct http_request *req, struct text *out,
		  struct http_response *resp, struct err *err)
{
	struct text_sink t = {
		.sink = { .begin = text_begin, .write = text_write },
		.out = out,
		.start = out->len,
	};
	int r;

	req->sink = &t.sink;
	req->from = 0;
	req->until = 0;
	req->limit = out->limit - out->len;
	r = http_call(h, req, false, resp, err);
	req->sink = NULL;
	return r;
}
