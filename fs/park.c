/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may answer a parked call? Whoever holds its turn: at first the thread
 * that parks it; then exactly one of the callback of what it waits for, and
 * a canceller for whom view_cancel() said true. A call that was interrupted
 * before it began to wait is found by its flag: the flag is set before the
 * canceller looks for the waiter, and read after the waiter was hung up.
 */
#include "park.h"

#include "ctl.h"
#include "names.h"
#include "world.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "kernels/fetch.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How often waiting calls are looked at; nothing runs when none waits. */
#define TICK_MS 250
/* The same sentence is not said again within this time. */
#define SAID_MS 60000
#define SAID_MAX 64

struct parked {
	struct view_wait wait;
	struct park *park;
	struct parked *next, **link; /* lock */
	park_op *op;
	park_send *send;
	struct park_call call;
	char *name; /* owned */
	int64_t since_ms;
	unsigned refs; /* __atomic: list, runner, waiter */
	int ended; /* __atomic: -errno that an interrupt or deadline asks for */
};

#define REPLY_INIT \
	{ \
		.text = TEXT_INIT(PARK_TEXT_MAX), .fd = -1 \
	}

struct said {
	uint64_t hash;
	int64_t when_ms;
};

struct park {
	struct lock lock;
	pthread_cond_t changed;
	pthread_t timer;
	bool timer_runs;
	struct view *view; /* borrowed */
	int64_t deadline_ms;
	struct parked *first;	    /* lock */
	bool stopping;		    /* lock */
	park_tick *also;	    /* lock; NULL: nothing */
	void *also_ctx;		    /* lock */
	bool woken;		    /* lock */
	struct said said[SAID_MAX]; /* lock */
	unsigned said_next;	    /* lock */
};

/* ---- saying each failure once ---- */

static bool worth_saying(int code)
{
	switch (code) {
	case EACCES:
	case EPERM:
	case ENETUNREACH:
	case EIO:
	case ETIMEDOUT:
	case EBADMSG:
	case ENOSPC:
	case ENOMEM:
	case ENODEV:
	/* of the cache, which its owner can put right */
	case EMFILE:
	case ENFILE:
	case EDQUOT:
	case EROFS:
		return true;
	default:
		return false;
	}
}

static bool said_lately(struct park *p, const char *sentence)
{
	uint64_t hash = map_hash(sentence, strlen(sentence));
	int64_t now = io_now_ms();
	bool lately = false;

	lock_take(&p->lock);
	for (unsigned i = 0; i < SAID_MAX && !lately; i++)
		lately = p->said[i].hash == hash &&
			 now - p->said[i].when_ms < SAID_MS;
	if (!lately)
		p->said[p->said_next++ % SAID_MAX] = (struct said){ hash, now };
	lock_drop(&p->lock);
	return lately;
}

static void say(struct park *p, int code, const struct err *err, bool waited)
{
	if (!err || !err->text[0])
		return;
	if (worth_saying(code)) {
		if (!said_lately(p, err->text))
			log_error("mount", "%s", err->text);
	} else if (code == ENOENT && waited) {
		if (!said_lately(p, err->text))
			log_info("mount", "%s", err->text);
	}
}

/* Our named failures as the kernel is to see them. */
static int to_errno(int code)
{
	switch (code) {
	case ERR_NO_BUILD:
		return ENOENT;
	case ECANCELED:
		return EIO;
	case E2BIG:
	case EFBIG:
		return EIO;
	default:
		return code;
	}
}

/* ---- one parked call ---- */

static void parked_unref(struct parked *q)
{
	if (__atomic_sub_fetch(&q->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	free(q->name);
	free(q);
}

static void parked_ref(struct parked *q)
{
	(void)__atomic_add_fetch(&q->refs, 1, __ATOMIC_RELAXED);
}

static void unlist(struct parked *q)
{
	bool listed;

	lock_take(&q->park->lock);
	listed = q->link != NULL;
	if (listed) {
		*q->link = q->next;
		if (q->next)
			q->next->link = q->link;
		q->link = NULL;
		/* The last one that waited tells the timer to look once more:
		 * the downloader may have something to say after it. */
		q->park->woken = true;
	}
	(void)pthread_cond_broadcast(&q->park->changed);
	lock_drop(&q->park->lock);
	if (listed)
		parked_unref(q);
}

/* The turn ends here, without an answer: r is -errno. */
static void fail(struct parked *q, int r, const struct err *err)
{
	struct node *node = q->call.node;

	say(q->park, -r, err, true);
	(void)fuse_reply_err(q->call.req, to_errno(-r));
	inode_put(view_inodes(q->park->view), node);
	ctl_parked(-1);
	unlist(q);
}

/*
 * An interrupt runs under the request's lock: once that lock could be taken
 * to remove the function, none runs and none will, so the request may be
 * answered. (libfuse 3.14 calls the function of a request that is being
 * answered on another thread.)
 */
static void no_more_interrupts(struct parked *q)
{
	fuse_req_interrupt_func(q->call.req, NULL, NULL);
}

static void on_interrupt(fuse_req_t req, void *data);

/* Put the question; the caller holds the turn and a reference. */
static void step(struct parked *q)
{
	struct park_reply reply = REPLY_INIT;
	struct view *v = q->park->view;
	struct err err = ERR_INIT;
	int ended, r;

	ended = __atomic_load_n(&q->ended, __ATOMIC_ACQUIRE);
	if (ended) {
		no_more_interrupts(q);
		fail(q, ended, NULL);
		return;
	}
	parked_ref(q); /* the waiter's */
	r = q->op(v, &q->call, &q->wait, &reply, &err);
	if (r == -EINPROGRESS) {
		/* Pairs with the flag set before a canceller looked for us. */
		ended = __atomic_load_n(&q->ended, __ATOMIC_SEQ_CST);
		if (!ended || !view_cancel(v, &q->wait))
			return;
		r = ended;
	}
	no_more_interrupts(q);
	if (r < 0) {
		text_done(&reply.text);
		fail(q, r, &err);
	} else {
		q->send(v, &q->call, &reply);
		inode_put(view_inodes(v), q->call.node);
		ctl_parked(-1);
		unlist(q);
	}
	parked_unref(q); /* the waiter's */
}

static void on_done(struct view_wait *w, int r, const struct err *err)
{
	struct parked *q = map_item(w, struct parked, wait);

	if (r == 0) {
		step(q);
	} else {
		no_more_interrupts(q);
		fail(q, r, err);
	}
	parked_unref(q); /* the waiter's */
}

/* End a call with -errno if it waits; leave the flag if it does not yet.
 * true: the turn is ours. */
static bool end(struct parked *q, int r)
{
	int none = 0;

	(void)__atomic_compare_exchange_n(&q->ended, &none, r, false,
					  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return view_cancel(q->park->view, &q->wait);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct parked *q = data;

	(void)req;
	if (!end(q, -EINTR))
		return;
	fail(q, -EINTR, NULL);
	parked_unref(q); /* the waiter's */
}

static struct parked *parked_new(struct park *p, park_op *op, park_send *send,
				 const struct park_call *c)
{
	struct parked *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->park = p;
	q->op = op;
	q->send = send;
	q->call = *c;
	q->since_ms = io_now_ms();
	q->refs = 2; /* list and runner */
	view_wait_init(&q->wait, on_done);
	if (c->name) {
		q->name = strdup(c->name);
		q->call.name = q->name;
		if (!q->name) {
			free(q);
			return NULL;
		}
	}
	return q;
}

static bool enlist(struct park *p, struct parked *q)
{
	bool ok;

	lock_take(&p->lock);
	ok = !p->stopping;
	if (ok) {
		q->next = p->first;
		q->link = &p->first;
		if (q->next)
			q->next->link = &q->next;
		p->first = q;
		(void)pthread_cond_broadcast(&p->changed);
	}
	lock_drop(&p->lock);
	return ok;
}

static void refuse(struct park *p, const struct park_call *c, int r,
		   const struct err *err)
{
	say(p, -r, err, false);
	(void)fuse_reply_err(c->req, to_errno(-r));
	inode_put(view_inodes(p->view), c->node);
}

void park_run(struct park *p, park_op *op, park_send *send,
	      const struct park_call *c)
{
	struct park_reply reply = REPLY_INIT;
	struct err err = ERR_INIT;
	struct parked *q;
	int r = op(p->view, c, NULL, &reply, &err);

	if (r == 0) {
		send(p->view, c, &reply);
		inode_put(view_inodes(p->view), c->node);
		return;
	}
	if (r != -EINPROGRESS) {
		text_done(&reply.text);
		refuse(p, c, r, &err);
		return;
	}
	q = parked_new(p, op, send, c);
	if (!q) {
		refuse(p, c, -ENOMEM, NULL);
		return;
	}
	if (!enlist(p, q)) {
		refuse(p, c, -EIO, NULL);
		q->refs = 1;
		parked_unref(q);
		return;
	}
	ctl_parked(1);
	/* May call on_interrupt at once, which then only leaves its flag. */
	fuse_req_interrupt_func(c->req, on_interrupt, q);
	step(q);
	parked_unref(q); /* the runner's */
}

/* ---- time ---- */

/* One call whose time is up (r: what to end it with), with a reference. */
static struct parked *find_expired(struct park *p, int64_t now)
{
	struct parked *q;

	lock_take(&p->lock);
	for (q = p->first; q; q = q->next) {
		if (__atomic_load_n(&q->ended, __ATOMIC_RELAXED))
			continue;
		if (p->stopping)
			break;
		/* Who waits for bytes is timed by their progress (fetch). */
		if (!__atomic_load_n(&q->wait.for_bytes, __ATOMIC_RELAXED) &&
		    now - q->since_ms >= p->deadline_ms)
			break;
	}
	if (q)
		parked_ref(q);
	lock_drop(&p->lock);
	return q;
}

static void expire(struct park *p, int64_t now, int r)
{
	struct err err = ERR_INIT;
	struct parked *q;

	while ((q = find_expired(p, now))) {
		if (end(q, r)) {
			if (r == -ETIMEDOUT)
				(void)err_set(&err, ETIMEDOUT,
					      "'%.200s': the "
					      "source gave no answer within "
					      "%lld s (deadline)",
					      q->name ? q->name
						      : q->call.node->name,
					      (long long)p->deadline_ms / 1000);
			no_more_interrupts(q);
			fail(q, r, &err);
			parked_unref(q); /* the waiter's */
		}
		parked_unref(q);
	}
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* What is not about waiting calls; when it is due again. */
static int64_t do_others(struct park *p)
{
	int64_t at = names_tick(view_world(p->view)->names);
	park_tick *also;
	void *ctx;

	lock_take(&p->lock);
	also = p->also;
	ctx = p->also_ctx;
	lock_drop(&p->lock);
	return also ? sooner(at, also(ctx)) : at;
}

static void *timer_main(void *arg)
{
	struct park *p = arg;
	struct world *w = view_world(p->view);
	int64_t others_ms = do_others(p);
	bool again = false;

	lock_take(&p->lock);
	while (!p->stopping) {
		int64_t until =
			p->first || again ? io_now_ms() + TICK_MS : others_ms;

		if (!p->woken)
			(void)lock_wait(&p->lock, &p->changed, until);
		p->woken = false; /* before we look: what comes now counts */
		if (p->stopping)
			break;
		lock_drop(&p->lock);
		expire(p, io_now_ms(), -ETIMEDOUT);
		again = fetch_expire(w->fetch, io_now_ms());
		others_ms = do_others(p);
		lock_take(&p->lock);
	}
	lock_drop(&p->lock);
	return NULL;
}

/* ---- life ---- */

/* Without signals: the thread of the loop must get them, which they wake. */
static int start_timer(struct park *p)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&p->timer, NULL, timer_main, p);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int park_new(struct park **out, struct view *v, int64_t deadline_ms,
	     struct err *err)
{
	struct park *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_errno(err, ENOMEM, "waiting requests");
	lock_init(&p->lock, LOCK_PARK);
	lock_cond_init(&p->changed);
	p->view = v;
	p->deadline_ms = deadline_ms;
	r = start_timer(p);
	if (r) {
		park_free(p);
		return err_errno(err, r, "start the timer's thread");
	}
	p->timer_runs = true;
	*out = p;
	return 0;
}

void park_also(struct park *p, park_tick *tick, void *ctx)
{
	lock_take(&p->lock);
	p->also = tick;
	p->also_ctx = ctx;
	lock_drop(&p->lock);
}

void park_wake(void *park)
{
	struct park *p = park;

	lock_take(&p->lock);
	p->woken = true;
	(void)pthread_cond_broadcast(&p->changed);
	lock_drop(&p->lock);
}

void park_stop(struct park *p)
{
	lock_take(&p->lock);
	p->stopping = true;
	(void)pthread_cond_broadcast(&p->changed);
	lock_drop(&p->lock);
	if (p->timer_runs)
		(void)pthread_join(p->timer, NULL);
	p->timer_runs = false;
	expire(p, io_now_ms(), -EIO);
	/* Calls that had their turn just now are answering themselves. */
	lock_take(&p->lock);
	while (p->first)
		(void)lock_wait(&p->lock, &p->changed, -1);
	lock_drop(&p->lock);
}

void park_free(struct park *p)
{
	if (!p)
		return;
	(void)pthread_cond_destroy(&p->changed);
	lock_done(&p->lock);
	free(p);
}
