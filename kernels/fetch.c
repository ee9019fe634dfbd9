/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "fetch_room.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Flights and who works on them.
 *
 * A flight is *listed* (in the map) from its first asker until its end is
 * decided; whoever asks meanwhile joins. To decide the end is to unlist it
 * and take its waiters off in one step under the lock, and to call them
 * after the lock was let go; so each is called once, whoever comes first: the
 * worker, the timer, the end of the program. A running flight belongs to its
 * thread, which frees it, also when it was unlisted meanwhile.
 */

#define TICK_MS 200
/* A link is slower than one of them. */
#define HASH_THREADS 2

/* ---- asking ---- */

/* Takes fl: *out is the flight that w hangs on now, it or another one. */
static int join_locked(struct fetch *f, struct flight *fl,
		       struct fetch_waiter *w, struct flight **out)
	LOCK_REQUIRES(&f->lock)
{
	struct flight *other =
		fetch_flight_find_locked(f, &fl->digest, fl->size);
	int r = 0;

	fl->lane = POOL_NOW;
	if (f->stopping)
		r = -ECANCELED;
	else if (!other)
		r = fetch_flight_list_locked(f, fl, FLIGHT_QUEUED);
	if (r < 0 || other)
		fetch_flight_free(fl);
	if (r < 0)
		return r;
	if (other)
		fl = other;
	if (!fl->waiters)
		fetch_waits_locked(f, true);
	w->next = fl->waiters;
	w->digest = &fl->digest;
	fl->waiters = w;
	fetch_flight_lane_locked(f, fl, POOL_NOW);
	*out = fl;
	return 0;
}

int fetch_ask(struct fetch *f, const struct fetch_blob *blob,
	      struct fetch_waiter *w, struct err *err)
{
	struct flight *fl;
	int r;

	if (store_has(f->store, blob->repo, &blob->digest, blob->size))
		return 0;
	fl = fetch_flight_new(blob, err);
	if (!fl)
		return err ? -err->code : -EINVAL;
	fetch_front_open(f);
	lock_take(&f->lock);
	r = join_locked(f, fl, w, &fl);
	if (r == 0)
		fetch_work_schedule_locked(f);
	lock_drop(&f->lock);
	if (r < 0)
		return err_errno(err, -r, "fetch '%.300s'", blob->path);
	return -EINPROGRESS;
}

bool fetch_cancel(struct fetch *f, struct fetch_waiter *w)
{
	const struct flight *at;
	struct fetch_waiter **pp;
	struct flight *gone = NULL;
	struct flight *fl;

	lock_take(&f->lock);
	if (!w->digest) {
		lock_drop(&f->lock);
		return false;
	}
	at = map_item_const(w->digest, struct flight, digest);
	fl = fetch_flight_find_locked(f, &at->digest, at->size);
	for (pp = &fl->waiters; *pp != w;)
		pp = &(*pp)->next;
	*pp = w->next;
	w->digest = NULL;
	if (!fl->waiters)
		fetch_waits_locked(f, false);
	if (!fl->waiters && fl->kept)
		fetch_flight_lane_locked(f, fl, fl->kept_lane);
	else if (!fl->waiters)
		(void)fetch_flight_end_locked(f, fl, &gone);
	fetch_work_schedule_locked(f);
	lock_drop(&f->lock);
	fetch_flight_free(gone);
	return true;
}

/* ---- deadlines ---- */

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static bool is_late_locked(const struct fetch *f, const struct flight *fl,
			   int64_t now_ms) LOCK_REQUIRES(&f->lock)
{
	int64_t last =
		fl->state == FLIGHT_RUNNING
			? __atomic_load_n(&fl->progress_ms, __ATOMIC_RELAXED)
			: __atomic_load_n(&f->last_progress_ms,
					  __ATOMIC_RELAXED);

	/* what only a build wants may stay in the queue */
	if (fl->state != FLIGHT_RUNNING && !fl->waiters)
		return false;
	return now_ms - later_of(last, fl->since_ms) >= f->deadline_ms;
}

static struct flight *find_late_locked(const struct fetch *f, int64_t now_ms)
	LOCK_REQUIRES(&f->lock)
{
	struct map_link *l = NULL;

	while ((l = map_next(&f->flights, l))) {
		struct flight *fl = map_item(l, struct flight, link);

		if (is_late_locked(f, fl, now_ms))
			return fl;
	}
	return NULL;
}

bool fetch_expire(struct fetch *f, int64_t now_ms)
{
	bool told;

	for (;;) {
		struct err err = ERR_INIT;
		struct fetch_waiter *waiters;
		struct flight *gone;
		struct flight *fl;

		lock_take(&f->lock);
		fl = find_late_locked(f, now_ms);
		if (!fl) {
			fetch_front_tick_locked(f, now_ms);
			told = f->told;
			lock_drop(&f->lock);
			return told;
		}
		(void)err_set(
			&err, ETIMEDOUT, "fetch '%s/%s@%s/%s': %s for %lld ms",
			fl->repo.owner, fl->repo.name, fl->commit, fl->path,
			fl->state == FLIGHT_PARKED
				? "another process has been at it"
				: "no byte has come",
			(long long)f->deadline_ms);
		waiters = fetch_flight_end_locked(f, fl, &gone);
		if (gone)
			f->failed++;
		pthread_cond_broadcast(&f->changed);
		lock_drop(&f->lock);
		fetch_flight_call(waiters, -ETIMEDOUT, &err);
		fetch_flight_free(gone);
	}
}

/* ---- waiting for one ---- */

struct now_waiter {
	struct fetch_waiter waiter;
	struct fetch *fetch;
	bool called; /* fetch.lock */
	int r;
	struct err err;
};

static void now_done(struct fetch_waiter *w, int r, const struct err *err)
{
	struct now_waiter *n = map_item(w, struct now_waiter, waiter);
	struct fetch *f = n->fetch;

	lock_take(&f->lock);
	n->r = r;
	if (err)
		n->err = *err;
	n->called = true;
	pthread_cond_broadcast(&f->changed);
	lock_drop(&f->lock);
}

/* The waiting of a thread that has a flight to itself. */
static void fly_here(struct fetch *f, struct flight *fl,
		     const struct now_waiter *n)
{
	struct err err = ERR_INIT;
	int r;

	for (;;) {
		bool called;

		r = fetch_download(f, fl, &err);
		if (r != 1)
			break;
		lock_take(&f->lock);
		if (!n->called)
			(void)lock_wait(&f->lock, &f->changed,
					io_now_ms() + FETCH_POLL_MS);
		called = n->called;
		lock_drop(&f->lock);
		if (!called)
			(void)fetch_expire(f, io_now_ms());
	}
	fetch_work_finish(f, fl, r, &err);
}

int fetch_now(struct fetch *f, const struct fetch_blob *blob, struct err *err)
{
	struct now_waiter n = { .waiter.done = now_done, .fetch = f };
	struct flight *fl;
	bool mine;
	int r;

	if (store_has(f->store, blob->repo, &blob->digest, blob->size))
		return 0;
	fl = fetch_flight_new(blob, err);
	if (!fl)
		return err ? -err->code : -EINVAL;
	fetch_front_open(f);
	lock_take(&f->lock);
	r = join_locked(f, fl, &n.waiter, &fl);
	mine = r == 0 && fl->state != FLIGHT_RUNNING;
	if (mine) {
		fetch_flight_claim_locked(f, fl);
		f->running++;
	}
	lock_drop(&f->lock);
	if (r < 0)
		return err_errno(err, -r, "fetch '%.300s'", blob->path);
	if (mine)
		fly_here(f, fl, &n);
	lock_take(&f->lock);
	while (!n.called) {
		(void)lock_wait(&f->lock, &f->changed, io_now_ms() + TICK_MS);
		lock_drop(&f->lock);
		(void)fetch_expire(f, io_now_ms());
		lock_take(&f->lock);
	}
	lock_drop(&f->lock);
	if (n.r < 0 && err)
		*err = n.err;
	return n.r;
}

/* ---- birth and end ---- */

int fetch_new(struct fetch **out, struct source *source, struct store *store,
	      struct pool *net, int64_t deadline_ms, struct err *err)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return err_errno(err, ENOMEM, "fetch");
	r = pool_new(&f->hash, "hash", HASH_THREADS, err);
	if (r < 0) {
		free(f);
		return r;
	}
	f->front = -1;
	f->source = source;
	f->store = store;
	f->net = net;
	f->deadline_ms = deadline_ms;
	lock_init(&f->lock, LOCK_FETCH);
	lock_cond_init(&f->changed);
	map_init(&f->flights, fetch_flight_equal);
	fetch_work_init(f);
	*out = f;
	return 0;
}

/* Every flight ends here and now; threads that run one still hold it. */
static void end_all(struct fetch *f)
{
	struct err err = ERR_INIT;
	struct map_link *l;

	(void)err_set(&err, ECANCELED, "fetch: the end has come");
	for (;;) {
		struct fetch_waiter *waiters;
		struct flight *gone;
		struct flight *fl;

		lock_take(&f->lock);
		l = map_next(&f->flights, NULL);
		if (!l) {
			lock_drop(&f->lock);
			return;
		}
		fl = map_item(l, struct flight, link);
		waiters = fetch_flight_end_locked(f, fl, &gone);
		lock_drop(&f->lock);
		fetch_flight_call(waiters, -ECANCELED, &err);
		fetch_flight_free(gone);
	}
}

void fetch_stop(struct fetch *f)
{
	if (!f)
		return;
	lock_take(&f->lock);
	f->stopping = true;
	fetch_build_drop_all_locked(f);
	fetch_work_withdraw_locked(f);
	pthread_cond_broadcast(&f->changed);
	lock_drop(&f->lock);
	end_all(f);
	lock_take(&f->lock);
	while (f->busy > 0 || f->running > 0)
		(void)lock_wait(&f->lock, &f->changed, -1);
	lock_drop(&f->lock);
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	fetch_stop(f);
	pool_free(f->hash);
	fetch_front_close(f);
	map_done(&f->flights);
	for (int i = 0; i < POOL_LANES; i++)
		free(f->queue[i].v);
	(void)pthread_cond_destroy(&f->changed);
	lock_done(&f->lock);
	free(f);
}

void fetch_report(struct fetch *f, struct text *out)
{
	uint64_t running;
	uint64_t queued;
	uint64_t done;
	uint64_t failed;

	lock_take(&f->lock);
	running = f->running;
	queued = f->flights.count + f->looking;
	for (int i = 0; i < POOL_LANES; i++)
		queued += fetch_build_left_locked(f, (enum pool_lane)i);
	queued = queued > running ? queued - running : 0;
	done = f->done;
	failed = f->failed;
	lock_drop(&f->lock);
	text_printf(out,
		    "{\"running\": %llu, \"queued\": %llu, \"done\": %llu, "
		    "\"failed\": %llu, \"bytes\": %llu}",
		    (unsigned long long)running, (unsigned long long)queued,
		    (unsigned long long)done, (unsigned long long)failed,
		    (unsigned long long)__atomic_load_n(&f->bytes,
							__ATOMIC_RELAXED));
}
