/* SPDX-License-Identifier: Apache-2.0 */
#include "http_call.h"

#include "base/err.h"
#include "base/io.h"

#include <errno.h>
#include <string.h>

/* One call: all its tries. */

/* Wait for the time of the next try, if there is one. */
static int before_try(struct call *c, int64_t not_before_ms)
{
	const struct err last = c->why;
	struct err why = ERR_INIT;
	const struct http_url *to = c->placed ? &c->place : &c->first;
	int r = hosts_wait(c->h->hosts, to->host, not_before_ms,
			   c->failures ? c->hop.deadline_ms
				       : http_call_patient_until_ms(c),
			   c->req->cancelled, &why);

	if (r == -ETIMEDOUT && c->failures)
		return err_set(&c->why, ETIMEDOUT, "%s; the last try: %s",
			       err_text(&why), err_text(&last));
	if (r < 0)
		return err_set(&c->why, -r, "%s: %s", to->shown,
			       err_text(&why));
	return 0;
}

static int give_up(struct call *c)
{
	const struct err last = c->why;

	if (c->failures < 2)
		return err_set(&c->why, EIO, "%s", err_text(&last));
	return err_set(&c->why, EIO, "%s (%u tries)", err_text(&last),
		       c->failures);
}

/* That a range was not to be had is no failure of the host. */
static bool no_more_tries(const struct call *c)
{
	return c->req->tries && c->failures >= c->req->tries + c->whole;
}

static int try_all(struct call *c)
{
	int64_t not_before_ms = 0;

	for (;;) {
		int r;

		c->placed = http_call_has_place(c);
		r = before_try(c, not_before_ms);
		if (r < 0)
			return r;
		r = http_call_try(c);
		if (c->refused || r != -EAGAIN)
			return r;
		/* In memory, pieces of two answers do not make one. */
		if (!c->stream || c->req->body)
			c->at = c->req->from;
		if (++c->failures > c->patience || no_more_tries(c))
			return give_up(c);
		if (c->hint_ms < 0)
			c->hint_ms = http_call_backoff_ms(c->failures - 1);
		not_before_ms = io_now_ms() + c->hint_ms;
	}
}

int http_call(struct http *h, const struct http_request *req, bool stream,
	      struct http_response *resp, struct err *err)
{
	struct http_response unused;
	struct call c = { .hop = { .location = NULL },
			  .h = h,
			  .req = req,
			  .resp = resp ? resp : &unused,
			  .stream = stream,
			  .at = req->from,
			  .until = req->until,
			  .mark = req->from,
			  .why = ERR_INIT };
	int r;

	memset(c.resp, 0, sizeof(*c.resp));
	if (h->options.offline) {
		http_url_show(c.first.shown, req->url);
		return err_set(err, ENETUNREACH,
			       "offline: not in the cache, and %s is not "
			       "asked; without offline (HF_HUB_OFFLINE) it is",
			       c.first.shown);
	}
	r = http_url_parse(&c.first, req->url, &c.why);
	if (!r) {
		c.hop.deadline_ms = io_now_ms() + h->options.deadline_ms;
		r = try_all(&c);
	}
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&c.why));
	return 0;
}

int http_get(struct http *h, const struct http_request *req,
	     struct http_response *resp, struct err *err)
{
	return http_call(h, req, true, resp, err);
}
