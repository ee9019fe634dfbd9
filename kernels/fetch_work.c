/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_room.h"

#include "base/err.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * The pool is given jobs that stand for no flight: each takes the best one
 * there is when it runs, so that what became urgent, or is smaller,
 * overtakes. A job of a lane may take what is wanted sooner; the other way
 * round it may not, or what nobody waits for would hold all workers.
 *
 * What another process is fetching is *parked* and looked at again after 2 ms,
 * 4 ms and so on, then every FETCH_POLL_MS. It is polled because there is
 * nothing to wait on: flock has no descriptor that becomes readable, and a
 * blocking one would hold a worker for each blob. One worker at most waits for
 * all of them, and gives its place in the pool up each time.
 */

void fetch_work_finish(struct fetch *f, struct flight *fl, int r,
		       const struct err *err)
{
	struct fetch_waiter *waiters;
	struct flight *gone;

	lock_take(&f->lock);
	waiters = fetch_flight_end_locked(f, fl, &gone);
	f->running--;
	if (r == 0) {
		f->done++;
		__atomic_store_n(&f->last_progress_ms, io_now_ms(),
				 __ATOMIC_RELAXED);
	} else if (r != -ECANCELED) {
		f->failed++;
	}
	if (fl->build) {
		fetch_build_note_locked(fl->build, r);
		fetch_build_put_locked(f, fl->build);
	}
	pthread_cond_broadcast(&f->changed);
	lock_drop(&f->lock);
	if (r < 0 && !waiters)
		log_debug("fetch", "%s", err_text(err));
	fetch_flight_call(waiters, r, err);
	/* A name that a crash may lose costs a download and no more: nobody
	 * waits for it. It is there when the last worker has ended. */
	r = fl->folder >= 0 ? store_sync_names(fl->folder, fl->folder_made) : 0;
	if (r < 0)
		log_warning("fetch", "cache '%s': %s", store_path(f->store),
			    strerrordesc_np(-r));
	fetch_flight_free(fl);
}

static bool submit_locked(struct fetch *f, enum pool_lane lane)
	LOCK_REQUIRES(&f->lock)
{
	for (size_t i = 0; i < FETCH_SLOTS; i++) {
		struct slot *slot = &f->slots[lane][i];

		if (slot->busy)
			continue;
		slot->busy = true;
		f->busy++;
		f->pending[lane]++;
		pool_submit(f->net, &slot->job, lane);
		return true;
	}
	return false;
}

static size_t pending_locked(const struct fetch *f) LOCK_REQUIRES(&f->lock)
{
	size_t n = 0;

	for (int i = 0; i < POOL_LANES; i++)
		n += f->pending[i];
	return n;
}

void fetch_work_schedule_locked(struct fetch *f)
{
	if (f->stopping)
		return;
	for (int i = 0; i < POOL_LANES; i++) {
		enum pool_lane lane = (enum pool_lane)i;
		uint64_t work = f->queue[lane].count +
				fetch_build_left_locked(f, lane) +
				fetch_parts_room_locked(f, lane);

		while (f->pending[lane] < work && submit_locked(f, lane))
			;
	}
	if (f->parked && !f->polling && pending_locked(f) == 0)
		(void)submit_locked(f, POOL_NOW);
	/* The one that polls must not sleep on when there is work, and the
	 * pool may have no other thread. */
	if (f->polling && pending_locked(f) > 0)
		pthread_cond_broadcast(&f->changed);
}

static void requeue_due_locked(struct fetch *f) LOCK_REQUIRES(&f->lock)
{
	int64_t now = io_now_ms();
	struct flight *next;

	for (struct flight *fl = f->parked; fl; fl = next) {
		next = fl->next;
		if (fl->again_ms > now)
			continue;
		fetch_flight_lift_locked(f, fl);
		fl->state = FLIGHT_QUEUED;
		fetch_queue_push(&f->queue[fl->lane], fl);
	}
}

/* What a job may do: a flight, or a block of one that others are at. */
struct task {
	struct flight *flight;
	struct fetch_parts *parts;
	struct ingest_part part;
};

/* The best flight of a lane, running now, or NULL. */
static struct flight *take_flight_locked(struct fetch *f, enum pool_lane lane)
	LOCK_REQUIRES(&f->lock)
{
	struct flight *fl = NULL;

	while (!fl && !f->stopping) {
		struct build *b = fetch_build_best_locked(f, lane);

		fl = fetch_queue_top(&f->queue[lane]);
		if (b && (!fl || b->files[b->at].size < fl->size))
			fl = fetch_build_take_locked(f, b);
		else if (!fl)
			break;
		else
			fetch_flight_claim_locked(f, fl);
	}
	return fl;
}

/* The best there is for a job of this lane; false: nothing. */
static bool take_locked(struct fetch *f, enum pool_lane lane, struct task *task)
	LOCK_REQUIRES(&f->lock)
{
	*task = (struct task){ .flight = NULL };
	requeue_due_locked(f);
	for (int i = 0; i <= (int)lane && !f->stopping; i++) {
		enum pool_lane from = (enum pool_lane)i;

		task->flight = take_flight_locked(f, from);
		if (!task->flight && !f->stopping)
			task->parts =
				fetch_parts_join_locked(f, from, &task->part);
		if (task->flight || task->parts)
			return true;
	}
	return false;
}

/* Wait until the first parked flight is due, or there is work. */
static void poll_locked(struct fetch *f) LOCK_REQUIRES(&f->lock)
{
	int64_t due = INT64_MAX;

	if (!f->parked || f->polling || f->stopping || pending_locked(f) > 0)
		return;
	for (const struct flight *fl = f->parked; fl; fl = fl->next)
		due = fl->again_ms < due ? fl->again_ms : due;
	f->polling = true;
	(void)lock_wait(&f->lock, &f->changed, due);
	f->polling = false;
}

/* Most of what another process is at is there in a moment. */
static int64_t wait_ms(unsigned polls)
{
	return polls < 5 ? 2 << polls : FETCH_POLL_MS;
}

/* false: it ended meanwhile. */
static bool park(struct fetch *f, struct flight *fl)
{
	bool parked;

	lock_take(&f->lock);
	parked = fl->listed;
	if (parked) {
		f->running--;
		fl->state = FLIGHT_PARKED;
		fl->again_ms = io_now_ms() + wait_ms(fl->polls++);
		fl->next = f->parked;
		f->parked = fl;
	}
	lock_drop(&f->lock);
	return parked;
}

static void fly(struct fetch *f, struct flight *fl)
{
	struct err err = ERR_INIT;
	int r = fetch_download(f, fl, &err);

	if (r == 1 && park(f, fl))
		return;
	if (r == 1)
		r = err_set(&err, ECANCELED, "nobody wants it any more");
	fetch_work_finish(f, fl, r, &err);
}

static void slot_run(struct pool_job *job)
{
	struct slot *slot = map_item(job, struct slot, job);
	struct fetch *f = slot->fetch;
	struct task task;

	lock_take(&f->lock);
	f->pending[slot->lane]--;
	fetch_yield_locked(f, slot->lane, NULL);
	if (take_locked(f, slot->lane, &task)) {
		f->running += task.flight != NULL;
		fetch_work_schedule_locked(f);
		lock_drop(&f->lock);
		if (task.flight)
			fly(f, task.flight);
		else
			fetch_parts_work(task.parts, &task.part);
		lock_take(&f->lock);
	} else {
		poll_locked(f);
	}
	slot->busy = false;
	f->busy--;
	fetch_work_schedule_locked(f);
	pthread_cond_broadcast(&f->changed);
	lock_drop(&f->lock);
}

void fetch_work_init(struct fetch *f)
{
	for (size_t i = 0; i < POOL_LANES * FETCH_SLOTS; i++) {
		struct slot *slot = &f->slots[i / FETCH_SLOTS][i % FETCH_SLOTS];

		slot->lane = (enum pool_lane)(i / FETCH_SLOTS);
		slot->job.run = slot_run;
		slot->fetch = f;
	}
}

void fetch_work_withdraw_locked(struct fetch *f)
{
	for (size_t i = 0; i < POOL_LANES * FETCH_SLOTS; i++) {
		struct slot *slot = &f->slots[i / FETCH_SLOTS][i % FETCH_SLOTS];

		if (slot->busy && pool_withdraw(f->net, &slot->job) == 1) {
			slot->busy = false;
			f->busy--;
			f->pending[slot->lane]--;
		}
	}
}
