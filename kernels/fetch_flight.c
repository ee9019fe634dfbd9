/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fetch_flight_equal(const struct map_link *l, const void *key)
{
	const struct flight *fl = map_item_const(l, struct flight, link);
	const struct fetch_flight_key *k = key;

	return fl->size == k->size && digest_equal(&fl->digest, k->digest);
}

struct flight *fetch_flight_find_locked(const struct fetch *f,
					const struct digest *d, uint64_t size)
{
	struct fetch_flight_key key = { .digest = d, .size = size };
	struct map_link *l = map_find(&f->flights, digest_short(d), &key);

	return l ? map_item(l, struct flight, link) : NULL;
}

struct flight *fetch_flight_new(const struct fetch_blob *blob, struct err *err)
{
	struct flight *fl;

	if (blob->size > TREE_FILE_MAX ||
	    (blob->digest.kind != DIGEST_GIT &&
	     blob->digest.kind != DIGEST_SHA256)) {
		(void)err_set(err, EINVAL, "'%.300s' is no file to fetch",
			      blob->path);
		return NULL;
	}
	fl = calloc(1, sizeof(*fl));
	if (fl)
		fl->folder = fl->lock = -1;
	if (fl)
		fl->path = text_dup(blob->path, strlen(blob->path));
	if (!fl || !fl->path) {
		fetch_flight_free(fl);
		(void)err_errno(err, ENOMEM, "fetch '%.300s'", blob->path);
		return NULL;
	}
	if (text_copy(fl->commit, sizeof(fl->commit), blob->commit) < 0) {
		fetch_flight_free(fl);
		(void)err_set(err, EINVAL, "'%.300s' is no commit",
			      blob->commit);
		return NULL;
	}
	fl->digest = blob->digest;
	fl->size = blob->size;
	fl->repo = *blob->repo;
	return fl;
}

void fetch_flight_free(struct flight *fl)
{
	if (!fl)
		return;
	auto_close(&fl->folder);
	free(fl->path);
	free(fl);
}

int fetch_flight_list_locked(struct fetch *f, struct flight *fl,
			     enum flight_state state)
{
	size_t most = f->flights.count + 1;
	int r = 0;

	for (int i = 0; r == 0 && i < POOL_LANES; i++)
		r = fetch_queue_reserve(&f->queue[i], most);
	if (r == 0)
		r = map_add(&f->flights, &fl->link, digest_short(&fl->digest));
	if (r < 0)
		return r;
	fl->listed = true;
	fl->state = state;
	fl->since_ms = io_now_ms();
	fl->order = f->orders++;
	if (state == FLIGHT_QUEUED)
		fetch_queue_push(&f->queue[fl->lane], fl);
	return 0;
}

static void unpark_locked(struct fetch *f, struct flight *fl)
	LOCK_REQUIRES(&f->lock)
{
	struct flight **pp = &f->parked;

	while (*pp != fl)
		pp = &(*pp)->next;
	*pp = fl->next;
	fl->next = NULL;
}

void fetch_flight_lift_locked(struct fetch *f, struct flight *fl)
{
	if (fl->state == FLIGHT_QUEUED)
		fetch_queue_remove(&f->queue[fl->lane], fl);
	else if (fl->state == FLIGHT_PARKED)
		unpark_locked(f, fl);
}

void fetch_flight_lane_locked(struct fetch *f, struct flight *fl,
			      enum pool_lane lane)
{
	if (fl->lane == lane)
		return;
	if (fl->state == FLIGHT_QUEUED) {
		fetch_queue_remove(&f->queue[fl->lane], fl);
		fetch_queue_push(&f->queue[lane], fl);
	}
	fl->lane = lane;
}

void fetch_flight_keep_locked(struct fetch *f, struct flight *fl,
			      enum pool_lane lane)
{
	if (!fl->kept || lane < fl->kept_lane)
		fl->kept_lane = lane;
	fl->kept = true;
	if (lane < fl->lane)
		fetch_flight_lane_locked(f, fl, lane);
}

void fetch_flight_claim_locked(struct fetch *f, struct flight *fl)
{
	fetch_flight_lift_locked(f, fl);
	fl->state = FLIGHT_RUNNING;
	/* its deadline begins anew: what came before was others' time */
	__atomic_store_n(&fl->progress_ms, io_now_ms(), __ATOMIC_RELAXED);
}

struct fetch_waiter *fetch_flight_end_locked(struct fetch *f, struct flight *fl,
					     struct flight **gone)
{
	struct fetch_waiter *waiters = fl->waiters;

	for (struct fetch_waiter *w = waiters; w; w = w->next)
		w->digest = NULL;
	fl->waiters = NULL;
	if (waiters)
		fetch_waits_locked(f, false);
	if (fl->listed)
		map_remove(&f->flights, &fl->link);
	fl->listed = false;
	*gone = NULL;
	if (fl->state == FLIGHT_RUNNING) {
		__atomic_store_n(&fl->cancelled, true, __ATOMIC_RELAXED);
		if (fl->parts)
			__atomic_store_n(&fl->parts->stop, true,
					 __ATOMIC_RELAXED);
	} else {
		fetch_flight_lift_locked(f, fl);
		if (fl->build)
			fetch_build_put_locked(f, fl->build);
		fl->build = NULL;
		*gone = fl;
	}
	return waiters;
}

void fetch_flight_call(struct fetch_waiter *w, int r, const struct err *err)
{
	while (w) {
		struct fetch_waiter *next = w->next;

		w->done(w, r, err);
		w = next;
	}
}
