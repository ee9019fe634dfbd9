/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_room.h"

#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/http/http.h"
#include "source.h"
#include "store.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One download, on one thread, which may wait. What went wrong on the way is
 * mended here as far as that makes sense: a cut goes on where it ended, as
 * long as each attempt brings bytes; wrong bytes are asked for once more from
 * the start, because a proxy may have mixed them up. What is still wrong
 * then is an error and never gets a name.
 */

#define CUTS_MAX 5
/* Smaller ones share connections: their bytes are hashed and written on a
 * thread that others wait for. */
#define APART_MIN (UINT64_C(1) << 20)
/*
 * Those up to here are kept in memory until all of them have come. So they are
 * asked for before there is a file for them, which is made while the answer is
 * on its way (some disks take longer for that than the network does), and
 * nobody waits for their hashing and writing.
 */
#define SMALL_MAX (UINT64_C(128) << 10)

struct flight_sink {
	struct http_sink sink; /* first: the source knows this part */
	struct fetch *fetch;
	struct flight *flight;
	struct ingest *in; /* NULL: not begun */
	char *small;	   /* owned; NULL: what comes goes into `in` */
	uint64_t held;	   /* bytes in it */
	int r;		   /* why there is no `in` */
	struct err why;	   /* its sentence */
	uint64_t mark;	   /* how many bytes there were at the last progress */
};

static struct flight_sink *of_sink(struct http_sink *s)
{
	return map_item(s, struct flight_sink, sink);
}

static uint64_t come(const struct flight_sink *fs)
{
	return fs->small ? fs->held : ingest_written(fs->in);
}

static int start_again(struct flight_sink *fs, struct err *err)
{
	fs->held = 0;
	return fs->small ? 0 : ingest_rewind(fs->in, err);
}

static int sink_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct flight_sink *fs = of_sink(s);

	if (from == come(fs))
		return 0;
	if (from == 0)
		return start_again(fs, err);
	return err_set(err, EIO,
		       "asked for the bytes from %llu, got those "
		       "from %llu",
		       (unsigned long long)come(fs), (unsigned long long)from);
}

void fetch_progress(struct fetch *f, struct flight *fl)
{
	int64_t now = io_now_ms();

	__atomic_store_n(&fl->progress_ms, now, __ATOMIC_RELAXED);
	__atomic_store_n(&f->last_progress_ms, now, __ATOMIC_RELAXED);
}

static int hold(struct flight_sink *fs, const void *p, size_t n,
		struct err *err)
{
	if (n > fs->flight->size - fs->held)
		return err_set(err, EBADMSG,
			       "more bytes than the %llu that were announced",
			       (unsigned long long)fs->flight->size);
	memcpy(fs->small + fs->held, p, n);
	fs->held += n;
	return 0;
}

static int sink_write(struct http_sink *s, const void *p, size_t n,
		      struct err *err)
{
	struct flight_sink *fs = of_sink(s);
	int r;

	if (__atomic_load_n(&fs->flight->cancelled, __ATOMIC_RELAXED))
		return err_set(err, ECANCELED, "nobody wants it any more");
	__atomic_add_fetch(&fs->fetch->bytes, n, __ATOMIC_RELAXED);
	r = fs->small ? hold(fs, p, n, err) : ingest_write(fs->in, p, n, err);
	if (r < 0)
		return r;
	if (come(fs) >= fs->mark + HTTP_PROGRESS_BYTES) {
		fs->mark = come(fs);
		fetch_progress(fs->fetch, fs->flight);
	}
	return 0;
}

/* On our thread, once. */
static void begin_ingest(struct flight_sink *fs)
{
	const struct flight *fl = fs->flight;

	if (!fs->in && fs->r == 0)
		fs->r = store_ingest(&fs->in, fs->fetch->store, &fl->digest,
				     fl->size, &fs->why);
}

static void sink_asked(struct http_sink *s)
{
	begin_ingest(of_sink(s));
}

/* What was kept in memory goes where it belongs. */
static int put_down(struct flight_sink *fs, struct err *err)
{
	int r = 0;

	begin_ingest(fs);
	if (fs->r < 0)
		return err_set(err, -fs->r, "%s", err_text(&fs->why));
	if (!fs->small)
		return 0;
	if (ingest_written(fs->in) > 0)
		r = ingest_rewind(fs->in, err);
	return r < 0 ? r : ingest_write(fs->in, fs->small, fs->held, err);
}

/* One question to the source, and the check when all bytes are here. */
static int attempt(struct flight_sink *fs, struct err *err)
{
	struct flight *fl = fs->flight;
	struct source *source = fs->fetch->source;
	struct source_file file = {
		.repo = &fl->repo,
		.commit = fl->commit,
		.path = fl->path,
		.size = fl->size,
		.from = come(fs),
		.apart = fl->size >= APART_MIN,
		.cancelled = &fl->cancelled,
		.progress_ms = &fl->progress_ms,
	};
	int r;

	/* An empty file needs no asking, nor does one that was cut after
	 * its last byte. */
	if (file.from < fl->size) {
		r = source->ops->file(source, &file, &fs->sink, err);
		if (r < 0)
			return r;
	}
	r = put_down(fs, err);
	return r < 0 ? r : ingest_name(fs->in, err);
}

static int download(struct flight_sink *fs, struct err *err)
{
	bool again = false;
	int cuts = 0;

	for (;;) {
		uint64_t had = come(fs);
		int r = attempt(fs, err);

		if (r == -EBADMSG && !again) {
			again = true;
			r = start_again(fs, err);
			if (r < 0)
				return r;
		} else if (r != -EIO || come(fs) <= had || ++cuts > CUTS_MAX) {
			return r;
		}
		if (__atomic_load_n(&fs->flight->cancelled, __ATOMIC_RELAXED))
			return err_set(err, ECANCELED,
				       "nobody wants it any more");
	}
}

/* Sources begin with the file's name, others know nothing of it. */
static int named(const struct flight *fl, int r, struct err *err)
{
	char what[ERR_TEXT_MAX];

	(void)snprintf(what, sizeof(what), "'%s/%s@%s/%s'", fl->repo.owner,
		       fl->repo.name, fl->commit, fl->path);
	if (err && text_starts(err_text(err), what))
		return r;
	return err_wrap(err, r, "fetch %s", what);
}

static int bring_whole(struct fetch *f, struct flight *fl, struct err *err)
{
	struct flight_sink fs = {
		.sink = { .begin = sink_begin,
			  .write = sink_write,
			  .asked = sink_asked },
		.fetch = f,
		.flight = fl,
		.why = ERR_INIT,
	};
	int r = 0;

	if (fl->size && fl->size <= SMALL_MAX)
		fs.small = malloc(fl->size);
	if (!fs.small)
		r = put_down(&fs, err);
	if (r == 0)
		r = download(&fs, err);
	if (r == 0)
		fl->folder = ingest_take_folder(fs.in, &fl->folder_made);
	ingest_free(fs.in);
	free(fs.small);
	return r;
}

static int bring(struct fetch *f, struct flight *fl, struct err *err)
{
	int r = fetch_parts_bring(f, fl, err);

	if (r == -EOPNOTSUPP)
		r = bring_whole(f, fl, err);
	return r < 0 ? named(fl, r, err) : 0;
}

int fetch_download(struct fetch *f, struct flight *fl, struct err *err)
{
	int lock = -1;
	int r;

	if (__atomic_load_n(&fl->cancelled, __ATOMIC_RELAXED))
		return err_set(err, ECANCELED, "nobody wants it any more");
	if (store_has(f->store, &fl->repo, &fl->digest, fl->size))
		return 0;
	r = store_lock(f->store, &fl->digest, &lock);
	if (r == 0)
		return 1;
	/* No lock to be had is no reason to stop: two downloads of a blob
	 * end well. A cache that cannot be written says so in a moment. */
	if (r > 0 && store_has(f->store, &fl->repo, &fl->digest, fl->size)) {
		store_unlock(lock);
		return 0;
	}
	__atomic_store_n(&fl->progress_ms, io_now_ms(), __ATOMIC_RELAXED);
	r = store_verify_tiers(f->store, &fl->repo, &fl->digest, fl->size,
			       &fl->cancelled, &fl->progress_ms);
	if (r == -ECANCELED) {
		r = err_set(err, ECANCELED, "nobody wants it any more");
	} else if (r < 0) {
		fl->lock = lock;
		r = bring(f, fl, err);
		fl->lock = -1;
	}
	store_unlock(lock);
	return r;
}
