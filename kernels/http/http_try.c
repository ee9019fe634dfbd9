/* SPDX-License-Identifier: Apache-2.0 */
#include "http_call.h"

#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* One try: from the first URL through all redirects to an answer. */

#define BACKOFF_MS 500
#define BACKOFF_DOUBLINGS 3

int64_t http_call_backoff_ms(unsigned failures)
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

	c->hint_ms =
		wait_s < 0 ? http_call_backoff_ms(c->failures) : wait_s * 1000;
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

/* Does this hop lead to a large body at most? Who asks for the place expects
 * so of the first origin; that goes where a connection stands already. */
static bool leads_on(struct call *c)
{
	return c->req->place && !c->req->body && !c->foreign &&
	       !hosts_is_bulky(c->h->hosts, c->here.host);
}

static int ask_host(struct call *c, const char *label)
{
	int r;

	c->hop.apart = c->req->apart && !leads_on(c);
	http_count(c->h, label);
	r = http_hop(c->h, &c->hop, &c->why);
	if (r != -EXDEV || c->refused)
		return r;
	/* It was the body: others would wait for it there. */
	hosts_note_bulky(c->h->hosts, c->here.host);
	http_hop_done(&c->hop);
	c->hop.apart = true;
	http_count(c->h, label);
	return http_hop(c->h, &c->hop, &c->why);
}

/* One exchange, with its place in the call. */
static int exchange(struct call *c, const char *url, bool first)
{
	const char *label = c->foreign ? "cdn"
			    : first    ? c->req->endpoint
				       : "redirect";
	int r;

	c->begun = false;
	c->skipped = 0;
	c->hop.url = url;
	c->hop.to = &c->here;
	/* libcurl by itself tries again where a kept connection was closed,
	 * once for each of those. */
	c->hop.fresh = c->fresh;
	c->hop.req = c->req;
	c->hop.body = http_call_body;
	c->hop.cancelled = c->req->cancelled;
	c->hop.from = c->whole || c->req->body ? 0 : c->at;
	c->hop.until = c->whole || c->req->body ? 0 : c->until;
	set_secrets(c, first);
	r = ask_host(c, label);
	explicit_bzero(c->token, sizeof(c->token));
	if (c->refused)
		return c->refused;
	/* All of a part is here, however the connection ended then. */
	if (r == -EMSGSIZE || (r == -EAGAIN && is_whole_part(c)))
		r = 0;
	c->fresh = r == -EAGAIN;
	if (r < 0)
		(void)err_wrap(&c->why, r, "%s", c->here.shown);
	else
		http_call_tell_head(c);
	if (r == -EHOSTUNREACH)
		return again(c, 1);
	return r == -EAGAIN ? again(c, HTTP_RETRIES) : r;
}

int64_t http_call_patient_until_ms(const struct call *c)
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
	return hosts_wait(c->h->hosts, to.host, 0,
			  http_call_patient_until_ms(c), c->req->cancelled,
			  &c->why);
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
	if (!http_call_is_good(c))
		return judge_status(c);
	if (!c->begun) {
		c->refused = http_call_begin(c);
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
bool http_call_has_place(struct call *c)
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
				   http_call_patient_until_ms(c),
				   c->req->cancelled, &c->why);

		if (r < 0)
			return r;
	}
	c->here = c->first;
	c->foreign = false;
	return go(c, c->req->url);
}

/* From the first URL on, unless it is known where that leads: a signed link
 * may be old. */
int http_call_try(struct call *c)
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
