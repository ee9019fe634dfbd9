/* SPDX-License-Identifier: Apache-2.0 */
#include "http_call.h"

#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* From the wire to the sink. */

/* The body of an error page is read to keep the connection, up to here. */
#define SKIP_MAX (1u << 20)

void http_call_tell_head(struct call *c)
{
	struct http_response *resp = c->resp;
	const struct head *head = &c->hop.head;

	resp->status = c->hop.status;
	resp->html = head->html;
	memcpy(resp->error_code, head->error_code, sizeof(resp->error_code));
	memcpy(resp->error_message, head->error_message,
	       sizeof(resp->error_message));
}

static int too_large(struct call *c)
{
	return err_set(&c->why, EFBIG,
		       "%s: the answer is larger than %" PRIu64 " bytes",
		       c->here.shown, c->req->limit);
}

/* Where the bytes are, for who asks for more of them. */
static void keep_place(struct call *c)
{
	struct text *place = c->req->place;

	/* Or it is the very one that was given. */
	if (!place || !c->foreign || c->hop.url == text_str(place))
		return;
	text_clear(place);
	if (strlen(c->hop.url) <= place->limit)
		text_add(place, c->hop.url);
}

static bool is_asked_part(const struct call *c)
{
	const struct head *head = &c->hop.head;
	uint64_t until = c->hop.until;

	if ((!c->hop.from && !until) || !head->ranged ||
	    head->range_start != c->hop.from)
		return false;
	return !until || (head->range_end && head->range_end <= until);
}

int http_call_begin(struct call *c)
{
	uint64_t from = 0;

	if (c->hop.status == 206) {
		from = c->hop.from;
		if (!is_asked_part(c))
			return err_set(&c->why, EIO,
				       "%s: the server answered with another "
				       "part than was asked for",
				       c->here.shown);
	} else {
		c->until = 0;
	}
	if (from > c->req->limit ||
	    (c->hop.length > 0 &&
	     (uint64_t)c->hop.length > c->req->limit - from))
		return too_large(c);
	http_call_tell_head(c);
	keep_place(c);
	c->at = from;
	c->begun = true;
	return c->req->sink->begin(c->req->sink, from, &c->why);
}

/* A new beginning, for the deadline and the count of failures. */
static void note_progress(struct call *c)
{
	int64_t now = io_now_ms();

	c->mark = c->at;
	c->renewed = false;
	if (c->stream) {
		c->failures = 0;
		c->hop.deadline_ms = now + c->h->options.deadline_ms;
	}
	if (c->req->progress_ms)
		__atomic_store_n(c->req->progress_ms, now, __ATOMIC_RELEASE);
}

static int take(struct call *c, const void *p, size_t n)
{
	int r;

	if (!c->begun) {
		r = http_call_begin(c);
		if (r < 0)
			return r;
	}
	if (n > c->req->limit - c->at || (c->until && n > c->until - c->at))
		return too_large(c);
	r = c->req->sink->write(c->req->sink, p, n, &c->why);
	if (r < 0)
		return r;
	c->at += n;
	c->got += n;
	if (c->at > c->mark && c->at - c->mark >= HTTP_PROGRESS_BYTES)
		note_progress(c);
	return 0;
}

int http_call_body(struct http_hop *hop, const void *p, size_t n)
{
	struct call *c = (struct call *)hop;

	if (http_call_is_good(c)) {
		/* Not here, where others would wait for it. */
		if (c->req->apart && !hop->apart)
			return -EXDEV;
		c->refused = take(c, p, n);
		return c->refused;
	}
	c->skipped += n;
	return c->skipped > SKIP_MAX ? -EMSGSIZE : 0;
}
