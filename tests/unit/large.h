/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_LARGE_H
#define UNIT_LARGE_H

/*
 * The downloader over a source of one large file, which can be held, cut and
 * wrong in a block, and counts how often it has sent each byte.
 */
#include "kernels/fetch.h"

#include "base/err.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/text.h"
#include "kernels/http/http.h"
#include "kernels/source.h"
#include "kernels/store.h"
#include "latch.h"
#include "scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>

/*
 * Large files over a source that counts how often it has sent each byte. The
 * block size is what ingest_parts.c says for this size.
 */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define BLOCK (UINT64_C(4) << 20)
#define SIZE (5 * BLOCK + 12345)
#define BLOCKS 6
#define PIECE ((size_t)16 << 10)
#define CALLS_MAX 64
#define PLACE "https://cdn.example/signed"

enum fault {
	NONE,
	CUT_ONCE,   /* -EIO, 300000 bytes into block 2 */
	DEAD,	    /* the same, each time before a byte, but for the first */
	WRONG_ONCE, /* a byte of block 2 */
	WRONG,
	NO_PARTS, /* as a folder */
	WHOLE,	  /* ranges are ignored */
	SHIFTED,  /* bytes from elsewhere for block 2 */
	SHORT,	  /* good, with half of block 2 */
	LONG,	  /* a byte more than block 2 */
};

struct fake {
	struct source source;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum fault fault;
	bool held;	    /* all calls wait before their first byte */
	unsigned hold_from; /* but the first so many */
	unsigned inside;    /* that wait */
	unsigned most;	    /* that ever waited at once */
	pid_t first;	    /* the thread of the first call */
	bool spared;	    /* that one does not wait */
	uint64_t waiting;   /* bytes of calls that were made to */
	unsigned calls;
	unsigned cuts, wrongs;
	unsigned placed; /* calls that knew the place */
	uint64_t from[CALLS_MAX], until[CALLS_MAX];
};

static struct fake fake;
static char *bytes;
static uint8_t *sent;
static struct digest digest;
static char dir[SCRATCH_MAX];
static char partial[SCRATCH_MAX + 128];
static struct store *store;
static struct pool *pool;
static struct fetch *fetch;
static const struct repo_id repo = { .owner = "acme", .name = "relu" };

/* ---- the source ---- */

static unsigned enter(const struct source_file *f)
{
	unsigned n;

	(void)pthread_mutex_lock(&fake.mutex);
	n = fake.calls++;
	assert_true(n < CALLS_MAX);
	if (n == 0)
		fake.first = gettid();
	if (fake.spared && gettid() != fake.first)
		fake.waiting += f->until - f->from;
	fake.from[n] = f->from;
	fake.until[n] = f->until;
	if (f->place && f->place->len) {
		fake.placed++;
		if (strcmp(text_str(f->place), PLACE) != 0)
			fake.placed = CALLS_MAX;
	}
	fake.inside++;
	if (fake.inside > fake.most)
		fake.most = fake.inside;
	(void)pthread_cond_broadcast(&fake.changed);
	while (fake.held && n >= fake.hold_from &&
	       !(fake.spared && gettid() == fake.first) &&
	       !__atomic_load_n(f->cancelled, __ATOMIC_RELAXED)) {
		struct timespec t;

		(void)clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 2000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&fake.changed, &fake.mutex, &t);
	}
	fake.inside--;
	(void)pthread_cond_broadcast(&fake.changed);
	(void)pthread_mutex_unlock(&fake.mutex);
	return n;
}

static int send_bytes(const struct source_file *f, struct http_sink *sink,
		      uint64_t from, uint64_t until, struct err *err)
{
	char piece[PIECE];
	int r = 0;

	while (from < until && r == 0) {
		size_t n = until - from < PIECE ? until - from : PIECE;
		uint64_t at = 2 * BLOCK + 4711;

		if (__atomic_load_n(f->cancelled, __ATOMIC_RELAXED))
			return err_set(err, ECANCELED, "told to stop");
		memcpy(piece, bytes + from, n);
		if ((fake.fault == WRONG || fake.fault == WRONG_ONCE) &&
		    from <= at && at < from + n &&
		    (fake.fault == WRONG ||
		     !__atomic_fetch_add(&fake.wrongs, 1, __ATOMIC_RELAXED)))
			piece[at - from]++;
		r = sink->write(sink, piece, n, err);
		for (size_t i = 0; r == 0 && i < n; i++)
			sent[from + i]++;
		from += n;
	}
	return r;
}

/* Something is wrong with this block; 1: not yet. */
static int faulty(const struct source_file *f, struct http_sink *sink,
		  struct err *err)
{
	bool first = __atomic_fetch_add(&fake.cuts, 1, __ATOMIC_RELAXED) == 0;
	int r = 0;

	switch (fake.fault) {
	case CUT_ONCE:
	case DEAD:
		if (fake.fault == CUT_ONCE && !first)
			return 1;
		if (first && sink->begin(sink, f->from, err) == 0)
			r = send_bytes(f, sink, f->from, f->from + 300000, err);
		return r < 0 ? r : err_set(err, EIO, "cut");
	case SHIFTED:
		return sink->begin(sink, f->from + 1, err);
	case SHORT:
		if (!first)
			return 1;
		r = sink->begin(sink, f->from, err);
		return r < 0 ? r
			     : send_bytes(f, sink, f->from,
					  f->from +
						  (f->until - f->from + 1) / 2,
					  err);
	case LONG:
		r = sink->begin(sink, f->from, err);
		return r < 0 ? r
			     : send_bytes(f, sink, f->from, f->until + 1, err);
	case NONE:
	case WRONG:
	case WRONG_ONCE:
	case NO_PARTS:
	case WHOLE:
		break;
	}
	return 1;
}

static int fake_file(struct source *s, const struct source_file *f,
		     struct http_sink *sink, struct err *err)
{
	uint64_t from = f->from;
	uint64_t until = f->until ? f->until : SIZE;
	int r;

	(void)s;
	(void)enter(f);
	if (__atomic_load_n(f->cancelled, __ATOMIC_RELAXED))
		return err_set(err, ECANCELED, "told to stop");
	if (fake.fault == NO_PARTS && f->until)
		return err_set(err, EOPNOTSUPP, "no parts");
	if (fake.fault == WHOLE) {
		from = 0;
		until = SIZE;
	}
	if (f->place && !f->place->len)
		text_add(f->place, PLACE);
	if (f->until && from / BLOCK == 2) {
		r = faulty(f, sink, err);
		if (r != 1)
			return r;
	}
	r = sink->begin(sink, from, err);
	return r < 0 ? r : send_bytes(f, sink, from, until, err);
}

static const struct source_ops fake_ops = { .file = fake_file };

static void hold(bool held, unsigned from)
{
	(void)pthread_mutex_lock(&fake.mutex);
	fake.held = held;
	fake.hold_from = from;
	(void)pthread_cond_broadcast(&fake.changed);
	(void)pthread_mutex_unlock(&fake.mutex);
}

static void wait_inside_from_to(unsigned least, unsigned most)
{
	struct timespec t;
	int r = 0;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += LATCH_DEADLINE_S;
	(void)pthread_mutex_lock(&fake.mutex);
	while ((fake.inside < least || fake.inside > most) && r == 0)
		r = pthread_cond_timedwait(&fake.changed, &fake.mutex, &t);
	(void)pthread_mutex_unlock(&fake.mutex);
	assert_int_equal(r, 0);
}

static void wait_inside(unsigned n)
{
	wait_inside_from_to(n, CALLS_MAX);
}

static uint64_t times_sent(uint8_t at_least);

/* Until all other bytes were sent, and the thread that began sleeps. */
static void wait_first_idle(void)
{
	int64_t end = io_now_ms() + LATCH_DEADLINE_S * 1000;
	char path[64];
	char stat[256];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
		       (int)fake.first);
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n;

		assert_true(fd >= 0);
		n = read(fd, stat, sizeof(stat) - 1);
		(void)close(fd);
		assert_true(n > 0);
		stat[n] = '\0';
		if (times_sent(1) == SIZE - fake.waiting &&
		    strstr(stat, ") S "))
			return;
		assert_true(io_now_ms() < end);
		(void)sched_yield();
	}
}

/* ---- who waits ---- */

struct waiting {
	struct fetch_waiter waiter;
	struct latch called;
	int r;
};

static void was_done(struct fetch_waiter *w, int r, const struct err *err)
{
	struct waiting *x = (struct waiting *)(void *)w;

	(void)err;
	x->r = r;
	latch_raise(&x->called);
}

static int ask_for(struct waiting *w, uint64_t size)
{
	const struct fetch_blob blob = {
		.repo = &repo,
		.commit = COMMIT,
		.path = "build/v/large.so",
		.digest = digest,
		.size = size,
	};

	*w = (struct waiting){ .waiter.done = was_done, .called = LATCH_INIT };
	return fetch_ask(fetch, &blob, &w->waiter, NULL);
}

static void ask(struct waiting *w)
{
	assert_int_equal(ask_for(w, SIZE), -EINPROGRESS);
}

static int result(struct waiting *w)
{
	assert_true(latch_wait(&w->called, 1));
	assert_int_equal(latch_count(&w->called), 1);
	return w->r;
}

static int fetch_it(void)
{
	struct waiting w;

	ask(&w);
	return result(&w);
}

static void assert_there(void)
{
	int fd = store_open(store, NULL, &digest, SIZE);
	char *got = malloc(SIZE + 1);

	assert_true(fd >= 0);
	assert_non_null(got);
	assert_int_equal(io_pread_all(fd, got, SIZE + 1, 0), SIZE);
	assert_int_equal(memcmp(got, bytes, SIZE), 0);
	free(got);
	(void)close(fd);
	assert_int_not_equal(access(partial, F_OK), 0);
}

static uint64_t times_sent(uint8_t at_least)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < SIZE; i++)
		n += sent[i] >= at_least;
	return n;
}

/* ---- life ---- */

static void born(unsigned threads)
{
	assert_int_equal(store_new(&store, dir, NULL), 0);
	assert_int_equal(pool_new(&pool, "net", threads, NULL), 0);
	assert_int_equal(
		fetch_new(&fetch, &fake.source, store, pool, 1000000, NULL), 0);
}

static void gone(void)
{
	fetch_free(fetch);
	pool_free(pool);
	store_free(store);
	fetch = NULL;
	pool = NULL;
	store = NULL;
}

static void clear_fake(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.source.ops = &fake_ops;
	(void)pthread_mutex_init(&fake.mutex, NULL);
	(void)pthread_cond_init(&fake.changed, NULL);
	memset(sent, 0, SIZE);
}

static int set_up(void **state)
{
	char hex[DIGEST_HEX_MAX];

	(void)state;
	clear_fake();
	scratch_make(dir);
	digest_print(&digest, hex);
	(void)snprintf(partial, sizeof(partial), "%s/partial/%s.parts", dir,
		       hex);
	born(4);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	hold(false, 0);
	gone();
	scratch_remove(dir);
	return 0;
}

static int make_bytes(void **state)
{
	struct hasher *h = NULL;
	uint32_t x = 12345;

	(void)state;
	bytes = malloc(SIZE);
	sent = malloc(SIZE);
	assert_non_null(bytes);
	assert_non_null(sent);
	for (uint64_t i = 0; i < SIZE; i++) {
		x = x * 1664525u + 1013904223u;
		bytes[i] = (char)(x >> 24);
	}
	assert_int_equal(hasher_new(&h, DIGEST_SHA256, SIZE, NULL), 0);
	assert_int_equal(hasher_add(h, bytes, SIZE), 0);
	assert_int_equal(hasher_end(h, &digest), 0);
	hasher_free(h);
	return 0;
}

static int free_bytes(void **state)
{
	(void)state;
	free(bytes);
	free(sent);
	return 0;
}

#endif
