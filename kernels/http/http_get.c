/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "http_hop.h"
#include "token.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The body of an error page is read to keep the connection, up to here. */
#define SKIP_MAX (1u << 20)
#define BACKOFF_MS 500
#define BACKOFF_DOUBLINGS 3

/* One call of http_get, through all its hops and tries. */
struct call {
	struct http_hop hop; /* first: body() gets it */
	struct http *h;
	const struct http_request *req;
	struct http_response *resp;
	struct err why;
	struct http_url first; /* of the request */
	struct http_url here;  /* of this hop */
	struct http_url place; /* what is asked in place of the first one */
	bool placed;	       /* this try has begun there */
	bool renewed;	       /* it was no good, and is asked no more */
	bool stream;  /* may go on in the middle; progress moves the deadline */
	bool foreign; /* this try has left the first origin */
	bool begun;   /* in this hop, the sink's begin() was called */
	bool whole;   /* ask for no range any more */
	int refused;  /* 0, or the -errno that ends the call */
	unsigned failures;
	unsigned patience; /* how many failures of this kind are too few */
	uint64_t at;	   /* where the sink stands */
	uint64_t until;	   /* byte behind the part; 0: to the end */
	uint64_t got;	   /* bytes of good body in this try */
	uint64_t mark;	   /* where the sink stood at the last progress */
	uint64_t skipped;  /* bytes of bad body in this hop */
	int64_t hint_ms;   /* the host's wish; -1 */
	char token[TOKEN_MAX + 1];
};

/* ---- the body ---- */

static bool is_good(long status)
{
	return status >= 200 && status < 300;
}

static void tell_head(struct call *c)
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

/* The sink hears where the bytes start. */
static int begin(struct call *c)
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
	tell_head(c);
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
		r = begin(c);
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

static int on_body(struct http_hop *hop, const void *p, size_t n)
{
	struct call *c = (struct call *)hop;

	if (is_good(hop->status)) {
		c->refused = take(c, p, n);
		return c->refused;
	}
	c->skipped += n;
	return c->skipped > SKIP_MAX ? -EMSGSIZE : 0;
}

/* ---- one try ---- */

static int64_t backoff_ms(unsigned failures)
{
	int64_t base = BACKOFF_MS;
	uint16_t random = 0;

	/* Without randomness: the middle. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = UINT16_MAX / 2;
	base <<= failures < BACKOFF_DOUBLINGS ? failures : BACKOFF_DOUBLINGS;
	return base * 3 / 4 + base * random / (2 * UINT16_MAX);
}

static bool may_pass(long status)
{
	return status == 408 || status == 429 || status == 500 ||
	       status == 502 || status == 503 || status == 504;
}

/* Try again, at most `patience` times. */
static int again(struct call *c, unsigned patience)
{
	c->patience = patience;
	return -EAGAIN;
}

static void pause_host(struct call *c)
{
	int64_t wait_s = head_wait_s(&c->hop.head);

	c->hint_ms = wait_s < 0 ? backoff_ms(c->failures) : wait_s * 1000;
	hosts_pause(c->h->hosts, c->here.host, io_now_ms() + c->hint_ms);
}

/* The final hop's status is no 2xx. */
static int judge_status(struct call *c)
{
	const struct head *head = &c->hop.head;
	long status = c->hop.status;
	int code = EIO;

	if (status == 404 || status == 410)
		code = ENOENT;
	else if (status == 401 || status == 403)
		code = EACCES;
	/* What a CDN refuses is there all the same: the link was too old. */
	if (c->foreign)
		code = EIO;
	(void)err_set(&c->why, code, "%s: the server answered %ld%s%s%s%s",
		      c->here.shown, status, *head->error_code ? " " : "",
		      head->error_code, *head->error_message ? ": " : "",
		      head->error_message);
	if (status == 429 || status == 503)
		pause_host(c);
	if (status == 416 && c->hop.from) {
		c->whole = true;
		return again(c, 1);
	}
	if (may_pass(status))
		return again(c, HTTP_RETRIES);
	return c->foreign ? again(c, 1) : -code;
}

/* In clear text it would be anybody's on the way. On the way to loopback is
 * nobody, unless a proxy is put there. */
static void use_secrets(struct call *c, bool token, bool first)
{
	if (c->here.https || c->here.loopback) {
		c->hop.token = token ? c->token : NULL;
		c->hop.userpwd = c->req->userpwd;
		c->hop.direct = !c->here.https;
		return;
	}
	if (first)
		c->resp->token_kept = true;
	if (!__atomic_exchange_n(&c->h->warned, true, __ATOMIC_RELAXED))
		log_warning("http",
			    "no token is sent to http://%s, because anybody "
			    "on the way could read it: name the source with "
			    "https://",
			    c->here.host);
}

/* What only the first origin gets. */
static void set_secrets(struct call *c, bool first)
{
	bool token;

	c->hop.token = NULL;
	c->hop.userpwd = NULL;
	c->hop.headers = NULL;
	c->hop.direct = false;
	if (c->foreign)
		return;
	c->hop.headers = c->req->headers;
	/* A proxy is not who they are for. */
	c->hop.direct = c->hop.headers && c->here.loopback && !c->here.https;
	token = c->req->authorize && token_get(c->h->token, c->token);
	if (token || c->req->userpwd)
		use_secrets(c, token, first);
	if (first)
		c->resp->token_sent = c->hop.token || c->hop.userpwd;
}

static bool is_whole_part(const struct call *c)
{
	return c->begun && c->until && c->at == c->until;
}

/* One exchange, with its place in the call. */
static int exchange(struct call *c, const char *url, bool first)
{
	int r;

	c->begun = false;
	c->skipped = 0;
	c->hop.url = url;
	c->hop.to = &c->here;
	c->hop.apart = c->req->apart;
	c->hop.req = c->req;
	c->hop.body = on_body;
	c->hop.cancelled = c->req->cancelled;
	c->hop.from = c->whole || c->req->body ? 0 : c->at;
	c->hop.until = c->whole || c->req->body ? 0 : c->until;
	set_secrets(c, first);
	http_count(c->h, c->foreign ? "cdn"
			 : first    ? c->req->endpoint
				    : "redirect");
	r = http_hop(c->h, &c->hop, &c->why);
	explicit_bzero(c->token, sizeof(c->token));
	if (c->refused)
		return c->refused;
	/* All of a part is here, however the connection ended then. */
	if (r == -EMSGSIZE || (r == -EAGAIN && is_whole_part(c)))
		r = 0;
	if (r < 0)
		(void)err_wrap(&c->why, r, "%s", c->here.shown);
	else
		tell_head(c);
	if (r == -EHOSTUNREACH)
		return again(c, 1);
	return r == -EAGAIN ? again(c, HTTP_RETRIES) : r;
}

/* Until when it is worth waiting for a host that said "later". */
static int64_t patient_until_ms(const struct call *c)
{
	return c->req->hasty ? io_now_ms() : c->hop.deadline_ms;
}

static int follow(struct call *c)
{
	struct http_url to;
	int r = http_url_follow(&to, &c->here, c->hop.location, &c->why);

	if (r < 0)
		return r;
	/* The others make a GET of it, which asks for something else. */
	if (c->req->body && c->hop.status != 307 && c->hop.status != 308)
		return err_set(&c->why, EIO,
			       "%s: the server answered a POST with the "
			       "redirect %ld",
			       c->here.shown, c->hop.status);
	/* Dropped for good: a later hop back home is not asked for by us. */
	if (!http_url_same_origin(&to, &c->first))
		c->foreign = true;
	c->here = to;
	return hosts_wait(c->h->hosts, to.host, 0, patient_until_ms(c),
			  c->req->cancelled, &c->why);
}

/* The link to the next page, seen from where it was found. */
static int find_next(struct call *c, const char *url)
{
	char *next;
	int r;

	if (!c->hop.head.next[0])
		return 0;
	next = http_url_join(url, c->hop.head.next);
	r = next ? text_copy(c->resp->next, sizeof(c->resp->next), next)
		 : -EINVAL;
	free(next);
	if (r < 0)
		return err_set(&c->why, EIO,
			       "%s: the link to the next page is no URL",
			       c->here.shown);
	return 0;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 ||
	       status == 307 || status == 308;
}

static int end_try(struct call *c, const char *url)
{
	if (!is_good(c->hop.status))
		return judge_status(c);
	if (!c->begun) {
		c->refused = begin(c);
		if (c->refused)
			return c->refused;
	}
	/* Too long for us is none: who asks goes by what was asked for. */
	if (!c->foreign &&
	    text_copy(c->resp->last, sizeof(c->resp->last), url) < 0)
		c->resp->last[0] = '\0';
	c->refused = find_next(c, url);
	return c->refused;
}

/* From here on, along its redirects. */
static int go(struct call *c, const char *from)
{
	char *url = NULL; /* owned */
	int r = 0;

	for (unsigned hop = 0; !r; hop++) {
		const char *at = url ? url : from;

		r = exchange(c, at, hop == 0);
		if (r < 0 || !is_redirect(c->hop.status)) {
			r = r < 0 ? r : end_try(c, at);
			break;
		}
		if (hop == HTTP_HOPS)
			r = err_set(&c->why, EIO, "%s: more than %d redirects",
				    c->here.shown, HTTP_HOPS);
		else
			r = follow(c);
		free(url);
		url = c->hop.location;
		c->hop.location = NULL;
	}
	free(url);
	return r;
}

/* ---- the place ---- */

/* Is it known where the bytes are? It leads where a redirect could. */
static bool has_place(struct call *c)
{
	struct text *place = c->req->place;
	struct err bad = ERR_INIT;

	if (!place || !place->len)
		return false;
	if (!text_failed(place) &&
	    http_url_follow(&c->place, &c->first, text_str(place), &bad) == 0)
		return true;
	text_clear(place);
	return false;
}

/* Not where they are any more? The first time in a while that is no failure,
 * and the URL is asked at once. */
static bool is_moved(struct call *c, int r)
{
	long status = c->hop.status;
	bool moved =
		!r && (is_redirect(status) ||
		       (status >= 400 && status < 500 && !may_pass(status)));

	if (moved || (r == -EAGAIN && !c->got && !c->refused))
		text_clear(c->req->place);
	if (!moved || c->renewed)
		return false;
	c->renewed = true;
	return true;
}

/* The bytes come from where they were found before. 1: they do not. */
static int go_to_place(struct call *c)
{
	int r;

	c->here = c->place;
	c->foreign = true;
	r = exchange(c, text_str(c->req->place), false);
	http_hop_done(&c->hop);
	if (is_moved(c, r))
		return 1;
	if (r < 0)
		return r;
	if (!is_redirect(c->hop.status))
		return end_try(c, c->hop.url);
	(void)err_set(&c->why, EIO, "%s: a signed link led to another place",
		      c->here.shown);
	return again(c, 1);
}

static int go_home(struct call *c)
{
	if (c->placed) {
		int r = hosts_wait(c->h->hosts, c->first.host, 0,
				   patient_until_ms(c), c->req->cancelled,
				   &c->why);

		if (r < 0)
			return r;
	}
	c->here = c->first;
	c->foreign = false;
	return go(c, c->req->url);
}

/* From the first URL on, unless it is known where that leads: a signed link
 * may be old. */
static int try_once(struct call *c)
{
	int r = 1;

	c->got = 0;
	c->hint_ms = -1;
	if (c->placed)
		r = go_to_place(c);
	if (r > 0)
		r = go_home(c);
	http_hop_done(&c->hop);
	lock_take(&c->h->mu);
	c->h->bytes += c->got;
	lock_drop(&c->h->mu);
	return r;
}

/* ---- all tries ---- */

/* Wait for the time of the next try, if there is one. */
static int before_try(struct call *c, int64_t not_before_ms)
{
	const struct err last = c->why;
	struct err why = ERR_INIT;
	const struct http_url *to = c->placed ? &c->place : &c->first;
	int r = hosts_wait(c->h->hosts, to->host, not_before_ms,
			   c->failures ? c->hop.deadline_ms
				       : patient_until_ms(c),
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

		c->placed = has_place(c);
		r = before_try(c, not_before_ms);
		if (r < 0)
			return r;
		r = try_once(c);
		if (c->refused || r != -EAGAIN)
			return r;
		/* In memory, pieces of two answers do not make one. */
		if (!c->stream || c->req->body)
			c->at = c->req->from;
		if (++c->failures > c->patience || no_more_tries(c))
			return give_up(c);
		if (c->hint_ms < 0)
			c->hint_ms = backoff_ms(c->failures - 1);
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
