/* SPDX-License-Identifier: Apache-2.0 */
#include "http_hop.h"

#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "http_curl.h"
#include "http_engine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A flag in the caller's memory wakes nobody: so often it is looked at. */
#define LOOK_MS 100

/* ---- time ---- */

int http_check_clock(struct exchange *x, int64_t now, int64_t *until_ms)
{
	const struct http_options *o = &x->h->options;
	const bool *cancelled = x->hop->cancelled;
	int64_t until = x->heard_ms + o->stall_timeout_ms;

	/* Connecting has its own limit, kept by curl. */
	if (!x->connected)
		until += o->connect_timeout_ms;
	/* Who is held back has been asked nothing yet. */
	if (!x->begun)
		until = INT64_MAX;
	if (cancelled && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE))
		return err_set(x->err, ECANCELED, "cancelled");
	if (now >= x->hop->deadline_ms)
		return err_set(x->err, ETIMEDOUT, "the deadline has passed");
	if (now >= until) {
		x->silent = x->connected;
		return err_set(x->err, EAGAIN, "no byte came for %lld s",
			       (long long)(o->stall_timeout_ms / 1000));
	}
	if (until > x->hop->deadline_ms)
		until = x->hop->deadline_ms;
	if (cancelled && until > now + LOOK_MS)
		until = now + LOOK_MS;
	if (until < *until_ms)
		*until_ms = until;
	return 0;
}

/* ---- what came of it ---- */

/* What of curl's failures may pass by itself. */
static int judge(const struct exchange *x)
{
	const char *text = *x->why ? x->why : x->curl->easy_strerror(x->code);

	switch ((int)x->code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_set(x->err, EHOSTUNREACH, "%s", text);
	case CURLE_PARTIAL_FILE:
		return err_set(x->err, EAGAIN, "the answer was cut short");
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	/* No HTTP at all: what an earlier answer on this connection had
	 * sent beyond its length. curl has closed it. */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return err_set(x->err, EAGAIN, "%s", text);
	case CURLE_OUT_OF_MEMORY:
		/* Also what curl says of a head line beyond its own limit. */
		return err_set(x->err, EIO,
			       "out of memory, or a head line that "
			       "is too long");
	default:
		return err_set(x->err, EIO, "%s", text);
	}
}

static int finish(struct exchange *x)
{
	struct http_hop *hop = x->hop;
	char *location = NULL;

	if (x->result < 0)
		return x->result;
	(void)x->curl->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE,
				    &hop->status);
	if (x->head_full)
		return err_set(x->err, EIO,
			       "the head of the answer is too long");
	if (x->stopped)
		return x->stopped;
	x->again = http_trust_more(x, x->code);
	if (x->code)
		return judge(x);
	(void)x->curl->easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &location);
	if (!location)
		return 0;
	hop->location = text_dup(location, strlen(location));
	return hop->location ? 0 : err_errno(x->err, ENOMEM, "http");
}

/* ---- on the caller's thread ---- */

/* Is curl through with it? */
static bool is_over(struct exchange *x, CURLM *multi)
{
	CURLMsg *m;
	int left;

	while ((m = x->curl->multi_info_read(multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		x->code = m->data.result;
		return true;
	}
	return false;
}

static int drive(struct exchange *x, CURLM *multi)
{
	for (;;) {
		int64_t now;
		int64_t until_ms;
		int running;
		int r;

		if (x->curl->multi_perform(multi, &running))
			return err_set(x->err, EIO, "libcurl gave up");
		if (is_over(x, multi))
			return 0;
		now = io_now_ms();
		until_ms = now + LOOK_MS;
		if (hosts_stopped(x->h->hosts))
			return err_set(x->err, ECANCELED, "cancelled");
		r = http_check_clock(x, now, &until_ms);
		if (r < 0)
			return r;
		(void)x->curl->multi_poll(multi, NULL, 0, (int)(until_ms - now),
					  NULL);
	}
}

/* OpenSSL writes with write(2), which raises SIGPIPE on a connection that
 * was closed, and curl leaves signals alone here. Taken off again, unless
 * one was pending before. */
static bool pipe_block(sigset_t *pipe, sigset_t *before)
{
	sigset_t pending;

	(void)sigemptyset(pipe);
	(void)sigaddset(pipe, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, pipe, before);
	return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void pipe_restore(const sigset_t *pipe, const sigset_t *before, bool had)
{
	static const struct timespec now = { .tv_sec = 0, .tv_nsec = 0 };

	if (!had)
		while (sigtimedwait(pipe, NULL, &now) < 0 && errno == EINTR)
			;
	(void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int run_apart(struct exchange *x, CURLM *multi)
{
	sigset_t pipe;
	sigset_t before;
	bool had = pipe_block(&pipe, &before);
	int r;

	x->begun = true;
	if (x->curl->multi_add_handle(multi, x->easy)) {
		r = err_set(x->err, EIO, "libcurl took no request");
	} else {
		r = drive(x, multi);
		x->result = r;
		r = finish(x);
		(void)x->curl->multi_remove_handle(multi, x->easy);
	}
	pipe_restore(&pipe, &before, had);
	return r;
}

/* ---- either way ---- */

static int run_together(struct exchange *x)
{
	int r = http_engine_ask(x->h, x);

	return r < 0 ? r : finish(x);
}

/* `multi` NULL: together with all others. */
static int talk(struct exchange *x, CURLM *multi)
{
	int r;

	head_reset(&x->hop->head);
	x->hop->status = 0;
	x->hop->length = -1;
	x->again = false;
	x->connected = false;
	x->silent = false;
	x->heard_ms = io_now_ms();
	r = http_ask(x, multi != NULL);
	if (r < 0)
		err_errno(x->err, -r, "libcurl refused an option");
	else
		r = multi ? run_apart(x, multi) : run_together(x);
	http_ask_done(x);
	return r;
}

static int talk_twice(struct exchange *x, CURLM *multi)
{
	int r = talk(x, multi);

	return x->again ? talk(x, multi) : r;
}

int http_hop(struct http *h, struct http_hop *hop, struct err *err)
{
	struct exchange x = { .h = h, .hop = hop, .err = err };
	struct handle *t;
	int r;

	x.curl = http_load(err);
	if (!x.curl)
		return -EIO;
	if (hop->apart) {
		t = http_borrow(h, err);
		if (!t)
			return -EIO;
		x.easy = t->easy;
		r = talk_twice(&x, t->multi);
		http_return(h, t);
		return r;
	}
	x.easy = http_have_share(h, x.curl) ? x.curl->easy_init() : NULL;
	if (!x.easy) {
		(void)err_errno(err, ENOMEM, "http");
		return -EIO;
	}
	r = talk_twice(&x, NULL);
	x.curl->easy_cleanup(x.easy);
	return r;
}

void http_hop_done(struct http_hop *hop)
{
	free(hop->location);
	hop->location = NULL;
}
