/* SPDX-License-Identifier: Apache-2.0 */
#include "http_engine.h"

#include "base/err.h"
#include "base/io.h"
#include "http_curl.h"
#include "http_hop.h"
#include "sockets.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Without an exchange for so long, the thread ends, if nothing else is said.
 * Also the longest it sleeps. */
#define IDLE_MS 15000
/* Idle connections that are kept, of all hosts. */
#define CONNECTIONS_KEPT 64l
#define STACK_BYTES (1u << 20) /* as base/pool.c has it, for the same */

struct engine {
	struct http *http;
	struct lock mu;
	pthread_t thread;	/* mu */
	bool born;		/* mu; to be joined */
	bool running;		/* mu; takes what is put in */
	bool stopping;		/* mu */
	bool tended;		/* mu; it is not idle just yet */
	CURLM *multi;		/* mu; owned, while it runs */
	struct exchange *first; /* mu; put in, in their order */
	struct exchange **end;	/* mu */

	/* the thread's own; what was heard outlives it */
	const struct http_library *curl;
	struct exchange *all;	/* taken, in their order */
	struct exchange **last; /* where the next one goes */
	struct origins origins;
	struct sockets sockets;
	int64_t end_ms; /* when it ends, if nothing comes */
};

static int64_t idle_ms(const struct engine *e)
{
	return e->http->options.idle_ms ? e->http->options.idle_ms : IDLE_MS;
}

/* ---- the thread: one round ---- */

/* What was put in; false: the thread is to end, and is not running now. */
static bool take_in(struct engine *e)
{
	bool more;

	lock_take(&e->mu);
	if (e->first) {
		*e->last = e->first;
		e->last = e->end;
		e->first = NULL;
		e->end = &e->first;
	}
	if (e->all || e->tended)
		e->end_ms = io_now_ms() + idle_ms(e);
	e->tended = false;
	more = e->all || (!e->stopping && io_now_ms() < e->end_ms);
	e->running = more;
	if (!more)
		e->multi = NULL;
	lock_drop(&e->mu);
	return more;
}

static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct engine *e = arg;

	(void)purpose;
	sockets_add(&e->sockets, fd);
	return CURL_SOCKOPT_OK;
}

static int on_close(void *arg, curl_socket_t fd)
{
	struct engine *e = arg;

	sockets_drop(&e->sockets, fd);
	return close(fd);
}

/* Without it they are kept as well, and only the silent ones longer. */
static void watch_sockets(struct engine *e, CURL *easy)
{
	const struct http_library *curl = e->curl;

	if (curl->easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) ||
	    curl->easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, e) ||
	    curl->easy_setopt(easy, CURLOPT_SOCKOPTDATA, e))
		return;
	(void)curl->easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
}

static void begin(struct engine *e, CURLM *multi, struct exchange *x,
		  int64_t now)
{
	x->begun = true;
	x->heard_ms = now;
	if (x->hop->fresh && x->origin && x->origin->speech == ORIGIN_MULTIPLEX)
		(void)e->curl->easy_setopt(x->easy, CURLOPT_FRESH_CONNECT, 0L);
	if (x->origin)
		origins_begin(x->origin, now);
	watch_sockets(e, x->easy);
	if (!e->curl->multi_add_handle(multi, x->easy))
		return;
	x->over = true;
	x->result = err_set(x->err, EIO, "libcurl took no request");
}

/* Those that may; true: there were some. *until_ms: when others might. */
static bool admit(struct engine *e, CURLM *multi, int64_t *until_ms)
{
	int64_t now = io_now_ms();
	bool any = false;

	for (struct exchange *x = e->all; x; x = x->next) {
		struct origin *o;
		int64_t later;

		if (x->begun)
			continue;
		o = origins_get(&e->origins, x->hop->to, x->hop->direct);
		if (!o || origins_admits(o, now)) {
			x->origin = o;
			begin(e, multi, x, now);
			any = true;
			continue;
		}
		later = origins_admits_ms(o);
		if (later < *until_ms)
			*until_ms = later;
	}
	return any;
}

static enum origin_speech heard(const struct exchange *x)
{
	long version = CURL_HTTP_VERSION_NONE;

	(void)x->curl->easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
	if (version == CURL_HTTP_VERSION_NONE)
		return ORIGIN_UNHEARD;
	return version >= CURL_HTTP_VERSION_2_0 ? ORIGIN_MULTIPLEX
						: ORIGIN_SERIAL;
}

static void collect(struct engine *e, CURLM *multi)
{
	CURLMsg *m;
	int left;

	while ((m = e->curl->multi_info_read(multi, &left))) {
		char *arg = NULL;
		struct exchange *x;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)e->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE,
					    &arg);
		x = (struct exchange *)(void *)arg;
		x->code = m->data.result;
		x->over = true;
	}
}

/* From here on it is its caller's again. */
static void hand_back(struct engine *e, CURLM *multi, struct exchange *x)
{
	if (x->begun) {
		if (x->origin)
			origins_end(x->origin, x->connected, heard(x));
		/* Its next try would go there again where a connection carries
		 * several, and so would all others. */
		if (x->silent)
			sockets_end_silent(&e->sockets,
					   e->http->options.stall_timeout_ms);
		(void)e->curl->multi_remove_handle(multi, x->easy);
	}
	lock_take(&e->mu);
	x->done = true;
	(void)pthread_cond_signal(&x->ended);
	lock_drop(&e->mu);
}

/* Is it at its end, by itself or by the clock? */
static bool is_over(struct exchange *x, bool stopped, int64_t now,
		    int64_t *until_ms)
{
	if (x->over)
		return true;
	if (stopped)
		x->result = err_set(x->err, ECANCELED, "cancelled");
	else
		x->result = http_check_clock(x, now, until_ms);
	return x->result < 0;
}

/* true: there were some. */
static bool end_those_over(struct engine *e, CURLM *multi, int64_t *until_ms)
{
	struct exchange **at = &e->all;
	bool stopped = hosts_stopped(e->http->hosts);
	int64_t now = io_now_ms();
	bool any = false;

	while (*at) {
		struct exchange *x = *at;

		if (!is_over(x, stopped, now, until_ms)) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		hand_back(e, multi, x);
		any = true;
	}
	e->last = at;
	return any;
}

static void fail_all(struct engine *e)
{
	for (struct exchange *x = e->all; x; x = x->next) {
		if (x->over)
			continue;
		x->over = true;
		x->result = err_set(x->err, EIO, "libcurl gave up");
	}
}

/* One look at everything, then wait for the next reason to look. */
static void go_round(struct engine *e, CURLM *multi)
{
	int64_t until_ms = e->all ? io_now_ms() + IDLE_MS : e->end_ms;
	int64_t now;
	bool again;
	int running;

	(void)admit(e, multi, &until_ms);
	if (e->curl->multi_perform(multi, &running))
		fail_all(e);
	collect(e, multi);
	/* An end, and a connection that stands now, make room for others. */
	again = end_those_over(e, multi, &until_ms);
	again = admit(e, multi, &until_ms) || again;
	now = io_now_ms();
	if (!again && until_ms > now)
		(void)e->curl->multi_poll(multi, NULL, 0, (int)(until_ms - now),
					  NULL);
}

static void *run(void *arg)
{
	struct engine *e = arg;
	CURLM *multi;

	(void)pthread_setname_np(pthread_self(), "http");
	lock_take(&e->mu);
	multi = e->multi;
	e->end_ms = io_now_ms() + idle_ms(e);
	lock_drop(&e->mu);
	while (take_in(e))
		go_round(e, multi);
	(void)e->curl->multi_cleanup(multi);
	http_drop_handles(e->http);
	/* What a burst has taken is given back. */
	(void)malloc_trim(0);
	return NULL;
}

/* ---- its life ---- */

/* All signals blocked: SIGPIPE too, which OpenSSL's writing raises. */
static int bear_locked(struct engine *e) LOCK_REQUIRES(&e->mu)
{
	sigset_t all;
	sigset_t before;
	pthread_attr_t attr;
	int r;

	if (pthread_attr_init(&attr))
		return -ENOMEM;
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&e->thread, &attr, run, e);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

static CURLM *new_multi(const struct http_library *curl)
{
	CURLM *multi = curl->multi_init();

	if (!multi)
		return NULL;
	if (!curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS,
				CONNECTIONS_KEPT) &&
	    !curl->multi_setopt(multi, CURLMOPT_PIPELINING,
				(long)CURLPIPE_MULTIPLEX))
		return multi;
	(void)curl->multi_cleanup(multi);
	return NULL;
}

/* A thread that has ended is joined by the next one's beginning: it does
 * nothing any more but give back memory. */
static int start_locked(struct engine *e) LOCK_REQUIRES(&e->mu)
{
	int r = -ENOMEM;

	if (e->running)
		return 0;
	if (e->born)
		(void)pthread_join(e->thread, NULL);
	e->born = false;
	e->curl = http_load(NULL);
	e->multi = e->curl ? new_multi(e->curl) : NULL;
	if (e->multi)
		r = bear_locked(e);
	if (r < 0 && e->multi)
		(void)e->curl->multi_cleanup(e->multi);
	if (r < 0)
		e->multi = NULL;
	e->born = r == 0;
	e->running = r == 0;
	return r;
}

static void wake_locked(struct engine *e) LOCK_REQUIRES(&e->mu)
{
	if (e->multi)
		(void)e->curl->multi_wakeup(e->multi);
}

int http_engine_new(struct engine **out, struct http *h, struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return err_errno(err, ENOMEM, "http");
	e->http = h;
	lock_init(&e->mu, LOCK_HTTP);
	e->end = &e->first;
	e->last = &e->all;
	*out = e;
	return 0;
}

void http_engine_free(struct engine *e)
{
	if (!e)
		return;
	lock_take(&e->mu);
	e->stopping = true;
	wake_locked(e);
	lock_drop(&e->mu);
	if (e->born)
		(void)pthread_join(e->thread, NULL);
	lock_done(&e->mu);
	free(e);
}

void http_engine_wake(struct engine *e)
{
	lock_take(&e->mu);
	wake_locked(e);
	lock_drop(&e->mu);
}

void http_engine_tend(struct engine *e)
{
	lock_take(&e->mu);
	if (start_locked(e) == 0)
		e->tended = true;
	wake_locked(e);
	lock_drop(&e->mu);
}

/* ---- its callers ---- */

static void tell_asked(const struct exchange *x)
{
	struct http_sink *sink = x->hop->req->sink;

	if (sink && sink->asked)
		sink->asked(sink);
}

int http_engine_ask(struct http *h, struct exchange *x)
{
	struct engine *e = h->engine;
	int r;

	x->next = NULL;
	x->origin = NULL;
	x->begun = false;
	x->over = false;
	x->done = false;
	x->result = 0;
	lock_cond_init(&x->ended);
	lock_take(&e->mu);
	r = start_locked(e);
	if (r == 0) {
		*e->end = x;
		e->end = &x->next;
		wake_locked(e);
		lock_drop(&e->mu);
		tell_asked(x);
		lock_take(&e->mu);
		while (!x->done)
			(void)lock_wait(&e->mu, &x->ended, -1);
	}
	lock_drop(&e->mu);
	(void)pthread_cond_destroy(&x->ended);
	if (r < 0)
		return err_set(x->err, EAGAIN, "no thread for requests");
	return 0;
}
