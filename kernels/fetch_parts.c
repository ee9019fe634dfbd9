/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_room.h"

#include "base/err.h"
#include "base/io.h"
#include "kernels/http/http.h"
#include "source.h"
#include "store.h"

#include <errno.h>

/*
 * A large file comes in blocks, each a request of its own, which as many
 * threads bring as are free, up to HANDS_MAX. The thread that runs the flight
 * is one of them. Another joins for one block at a time, and then looks at
 * what has become more urgent; so a worker is never far from what somebody
 * waits for.
 *
 * The first block is asked for alone: with its answer it is known where the
 * bytes are (a signed link), and the others need not ask the Hub. It also says
 * whether the source gives parts. One that does not, or sends the whole, is
 * asked for it in one piece, as for small files.
 *
 * The hash follows on a thread that is called whenever enough has come in one
 * piece from the start, and never waits. The flight's own thread does what is
 * left of it when the last block is there.
 *
 * The first failure ends all hands. What has come stays in the cache for the
 * next try.
 */

#define PARTS_MIN (UINT64_C(16) << 20)
#define HANDS_MAX 8
#define CUTS_MAX 5
#define PLACE_MAX 16384

struct part_sink {
	struct http_sink sink; /* first: the source knows this part */
	struct fetch_parts *parts;
	struct ingest_part part;
	struct text place;
	uint64_t mark; /* where it was at the last progress */
};

static struct part_sink *of_sink(struct http_sink *s)
{
	return map_item(s, struct part_sink, sink);
}

/* The first one counts. */
static void fail_locked(struct fetch_parts *p, int r, const struct err *err)
{
	if (r == 0)
		return;
	if (!p->r) {
		p->r = r;
		p->err = *err;
	}
	__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
}

/* ---- the hash ---- */

static void hash_run(struct pool_job *job)
{
	struct fetch_parts *p = map_item(job, struct fetch_parts, hash);
	struct fetch *f = p->fetch;
	struct err err = ERR_INIT;
	bool more = true;

	while (more) {
		int r = ingest_hash(p->in, &p->stop, NULL, &err);

		lock_take(&f->lock);
		fail_locked(p, r, &err);
		/* Nobody called for what came just now: this was running. */
		more = !p->stop && ingest_hash_due(p->in);
		if (!more) {
			p->hashing = false;
			pthread_cond_broadcast(&f->changed);
		}
		lock_drop(&f->lock);
	}
}

static void hash_along(struct fetch_parts *p)
{
	struct fetch *f = p->fetch;

	if (!ingest_hash_due(p->in))
		return;
	lock_take(&f->lock);
	if (!p->hashing && !p->stop) {
		p->hashing = true;
		pool_submit(f->hash, &p->hash, POOL_NOW);
	}
	lock_drop(&f->lock);
}

/* ---- one block ---- */

static int not_in_parts(struct err *err)
{
	return err_set(err, EOPNOTSUPP, "the source gives no parts");
}

/* An answer has come: others may join, and know where to. */
static void open_up(struct part_sink *s)
{
	struct fetch_parts *p = s->parts;
	struct fetch *f = p->fetch;

	lock_take(&f->lock);
	if (s->place.len && !text_failed(&s->place)) {
		text_clear(&p->place);
		text_add(&p->place, text_str(&s->place));
	}
	if (!p->open) {
		p->open = true;
		fetch_work_schedule_locked(f);
	}
	lock_drop(&f->lock);
}

static int sink_begin(struct http_sink *hs, uint64_t from, struct err *err)
{
	struct part_sink *s = of_sink(hs);

	if (from != s->part.from)
		return not_in_parts(err);
	open_up(s);
	return 0;
}

static int sink_write(struct http_sink *hs, const void *b, size_t n,
		      struct err *err)
{
	struct part_sink *s = of_sink(hs);
	struct fetch_parts *p = s->parts;
	int r;

	if (__atomic_load_n(&p->stop, __ATOMIC_RELAXED))
		return err_set(err, ECANCELED, "nobody wants it any more");
	if (n > s->part.until - s->part.from) /* it sends the whole */
		return not_in_parts(err);
	__atomic_add_fetch(&p->fetch->bytes, n, __ATOMIC_RELAXED);
	r = ingest_fill(p->in, &s->part, b, n, err);
	if (r < 0)
		return r;
	if (s->part.from >= s->mark + HTTP_PROGRESS_BYTES) {
		s->mark = s->part.from;
		fetch_progress(p->fetch, p->flight);
		hash_along(p);
	}
	return 0;
}

static int ask(struct part_sink *s, struct err *err)
{
	struct fetch_parts *p = s->parts;
	struct flight *fl = p->flight;
	struct source *source = p->fetch->source;
	const struct source_file file = {
		.repo = &fl->repo,
		.commit = fl->commit,
		.path = fl->path,
		.size = fl->size,
		.from = s->part.from,
		.until = s->part.until,
		.place = &s->place,
		.apart = true,
		.cancelled = &p->stop,
		.progress_ms = &fl->progress_ms,
	};
	int r = source->ops->file(source, &file, &s->sink, err);

	/* all of it is here, however the connection ended */
	if (s->part.from == s->part.until && (r == -EIO || r == -ETIMEDOUT))
		r = 0;
	if (r == 0 && s->part.from < s->part.until)
		r = err_set(err, EIO, "a part of the file ended early");
	return r;
}

static int bring_block(struct part_sink *s, struct err *err)
{
	int cuts = 0;

	for (;;) {
		uint64_t had = s->part.from;
		int r = ask(s, err);

		if (r != -EIO || s->part.from <= had || ++cuts > CUTS_MAX)
			return r;
		if (__atomic_load_n(&s->parts->stop, __ATOMIC_RELAXED))
			return err_set(err, ECANCELED,
				       "nobody wants it any more");
	}
}

void fetch_parts_work(struct fetch_parts *p, const struct ingest_part *part)
{
	struct fetch *f = p->fetch;
	struct err err = ERR_INIT;
	struct part_sink s = {
		.sink = { .begin = sink_begin, .write = sink_write },
		.parts = p,
		.part = *part,
		.place = TEXT_INIT(PLACE_MAX),
		.mark = part->from,
	};
	int r;

	lock_take(&f->lock);
	text_add(&s.place, text_str(&p->place));
	lock_drop(&f->lock);
	r = bring_block(&s, &err);
	ingest_give(p->in, &s.part);
	text_done(&s.place);
	if (r == 0)
		hash_along(p);
	lock_take(&f->lock);
	fail_locked(p, r, &err);
	p->hands--;
	pthread_cond_broadcast(&f->changed);
	lock_drop(&f->lock);
}

/* ---- joining ---- */

static unsigned room_locked(const struct fetch_parts *p, enum pool_lane lane)
{
	unsigned room = p->hands < HANDS_MAX ? HANDS_MAX - p->hands : 0;

	if (!p->open || p->stop || p->flight->lane != lane)
		return 0;
	return ingest_free_blocks(p->in, room);
}

uint64_t fetch_parts_room_locked(const struct fetch *f, enum pool_lane lane)
{
	uint64_t n = 0;

	for (const struct fetch_parts *p = f->parts; p; p = p->next)
		n += room_locked(p, lane);
	return n;
}

struct fetch_parts *fetch_parts_join_locked(struct fetch *f,
					    enum pool_lane lane,
					    struct ingest_part *part)
{
	for (struct fetch_parts *p = f->parts; p; p = p->next) {
		if (room_locked(p, lane) && ingest_take(p->in, part)) {
			p->hands++;
			return p;
		}
	}
	return NULL;
}

/* ---- the flight ---- */

static void list(struct fetch_parts *p)
{
	struct fetch *f = p->fetch;

	lock_take(&f->lock);
	p->r = 0;
	p->open = false;
	p->stop = p->flight->cancelled;
	p->next = f->parts;
	f->parts = p;
	p->flight->parts = p;
	lock_drop(&f->lock);
}

static void unlist(struct fetch_parts *p)
{
	struct fetch *f = p->fetch;
	struct fetch_parts **pp = &f->parts;

	lock_take(&f->lock);
	while (*pp != p)
		pp = &(*pp)->next;
	*pp = p->next;
	while (p->hands > 0 || p->hashing)
		(void)lock_wait(&f->lock, &f->changed, -1);
	/* not before: who ends the flight tells the last hands through it */
	p->flight->parts = NULL;
	lock_drop(&f->lock);
}

/* All blocks, with whoever helps. */
static int bring_all(struct fetch_parts *p, struct err *err)
{
	struct fetch *f = p->fetch;
	struct ingest_part part;
	bool more = true;
	int r;

	list(p);
	while (more) {
		lock_take(&f->lock);
		fetch_yield_locked(f, p->flight->lane, p->flight);
		more = !p->stop && ingest_take(p->in, &part);
		p->hands += more;
		lock_drop(&f->lock);
		if (more)
			fetch_parts_work(p, &part);
	}
	unlist(p);
	if (p->r < 0) {
		if (err)
			*err = p->err;
		return p->r;
	}
	r = ingest_hash(p->in, &p->flight->cancelled, &p->flight->progress_ms,
			err);
	if (r == 0 && __atomic_load_n(&p->flight->cancelled, __ATOMIC_RELAXED))
		r = err_set(err, ECANCELED, "nobody wants it any more");
	return r < 0 ? r : ingest_name(p->in, err);
}

/* Wrong bytes are asked for once more. Those that an earlier process left,
 * which a dead machine may have cut, do not count as asked for. */
static int bring(struct fetch_parts *p, struct err *err)
{
	int tries = ingest_resumed(p->in) ? 3 : 2;

	for (;;) {
		int r = bring_all(p, err);

		if (r != -EBADMSG)
			return r;
		if (--tries == 0) {
			ingest_spoil(p->in);
			return r;
		}
		r = ingest_rewind(p->in, err);
		if (r < 0)
			return r;
		text_clear(&p->place); /* it may be where they came from */
	}
}

int fetch_parts_bring(struct fetch *f, struct flight *fl, struct err *err)
{
	struct fetch_parts p = {
		.fetch = f,
		.flight = fl,
		.place = TEXT_INIT(PLACE_MAX),
		.hash.run = hash_run,
	};
	int r;

	if (fl->size < PARTS_MIN || f->source->local)
		return -EOPNOTSUPP;
	r = store_ingest_parts(&p.in, f->store, &fl->digest, fl->size, err);
	if (r == -EBUSY)
		return -EOPNOTSUPP;
	if (r < 0)
		return r;
	r = bring(&p, err);
	if (r == -EOPNOTSUPP)
		ingest_spoil(p.in);
	if (r == 0)
		fl->folder = ingest_take_folder(p.in, &fl->folder_made);
	ingest_free(p.in);
	text_done(&p.place);
	return r;
}
