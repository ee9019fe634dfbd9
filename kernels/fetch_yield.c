/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_room.h"

#include "base/io.h"
#include "store.h"

#include <unistd.h>

/*
 * Foreground before background. Somebody waits for a blob here: that is told
 * to other processes through the cache (store_front), and goes on being told
 * for a moment, because an import asks for one file after the other. What is
 * wanted later, and all that a background process fetches, looks at it before
 * each blob and each block, and lets the others go first for YIELD_MS at most:
 * a waiter that hangs on a dead source must not stop the rest for ever. Nobody
 * is let go first who waits for the very blob that is coming here.
 */

#define YIELD_MS 5000
#define LOOK_MS 20
#define LINGER_MS 500

void fetch_background(struct fetch *f)
{
	f->background = true;
}

/* ---- telling ---- */

/* No lock held: it opens a file. */
void fetch_front_open(struct fetch *f)
{
	int none = -1;
	int fd;

	if (__atomic_load_n(&f->front, __ATOMIC_ACQUIRE) != -1)
		return;
	fd = store_front(f->store);
	if (fd < 0)
		fd = -2; /* a cache that cannot be written: never again */
	if (!__atomic_compare_exchange_n(&f->front, &none, fd, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
	    fd >= 0)
		(void)close(fd);
}

static int front_of(const struct fetch *f)
{
	return __atomic_load_n(&f->front, __ATOMIC_ACQUIRE);
}

void fetch_waits_locked(struct fetch *f, bool more)
{
	f->waited += more ? 1 : 0;
	f->waited -= more ? 0 : 1;
	f->waited_ms = io_now_ms();
	if (f->waited && !f->background && !f->told && front_of(f) >= 0) {
		f->told = true;
		store_front_take(front_of(f), true);
	}
}

void fetch_front_tick_locked(struct fetch *f, int64_t now_ms)
{
	if (f->waited || !f->told || now_ms - f->waited_ms < LINGER_MS)
		return;
	f->told = false;
	store_front_take(front_of(f), false);
}

void fetch_front_close(struct fetch *f)
{
	if (f->front >= 0)
		(void)close(f->front);
}

/* ---- letting others go first ---- */

static bool others_wait_locked(const struct fetch *f) LOCK_REQUIRES(&f->lock)
{
	if (!f->background && f->waited)
		return true;
	return front_of(f) >= 0 && store_front_taken(front_of(f));
}

/* That is known for a while: who waits looks now and then. */
static bool wait_for_us_locked(struct fetch *f, const struct flight *fl,
			       int64_t now_ms) LOCK_REQUIRES(&f->lock)
{
	if (fl && store_lock_wanted(fl->lock))
		f->wanted_ms = now_ms;
	return f->wanted_ms && now_ms - f->wanted_ms < YIELD_MS;
}

void fetch_yield_locked(struct fetch *f, enum pool_lane lane, struct flight *fl)
{
	int64_t now = io_now_ms();
	int64_t end = now + YIELD_MS;

	if (lane != POOL_LATER && !f->background)
		return;
	while (!f->stopping && now < end && others_wait_locked(f)) {
		if (wait_for_us_locked(f, fl, now))
			break;
		/* the pool may have no other thread for what is urgent */
		if (!f->background && f->pending[POOL_NOW])
			break;
		if (fl && __atomic_load_n(&fl->cancelled, __ATOMIC_RELAXED))
			break;
		(void)lock_wait(&f->lock, &f->changed, now + LOOK_MS);
		now = io_now_ms();
		/* others' time */
		if (fl)
			__atomic_store_n(&fl->progress_ms, now,
					 __ATOMIC_RELAXED);
		__atomic_store_n(&f->last_progress_ms, now, __ATOMIC_RELAXED);
	}
}
