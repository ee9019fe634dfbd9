/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_FETCHING_H
#define UNIT_FETCHING_H

/*
 * The downloader over a source whose answers a test scripts. Paths of files
 * are "<size> <anything>"; their bytes follow from the path.
 */
#include "base/err.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/text.h"
#include "kernels/fetch.h"
#include "kernels/http/http.h"
#include "kernels/source.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define DEADLINE_MS INT64_C(1000000)
#define PATIENCE_S 30

enum fault {
	NONE,
	WRONG, /* other bytes, always */
	WRONG_ONCE,
	CUT_ONCE,	/* -EIO in the middle */
	CUTS,		/* -EIO after each byte */
	DEAD,		/* -EIO before a byte */
	SHORT,		/* good, with the half of what is left */
	EMPTY,		/* good, with nothing */
	LONG,		/* one byte more */
	CUT_THEN_WHOLE, /* a cut, then the range is ignored */
	SHIFTED,	/* a cut, then bytes from elsewhere */
	GONE,		/* -ENOENT */
};

#define CALLS_MAX 512

struct fake {
	struct source source;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum fault fault; /* of each path that has `marked` in it */
	const char *marked;
	const char *held;	/* paths with it wait in the source */
	unsigned *shared_calls; /* counted by several processes */
	/* In the cache when a call begins, and when it is on its way. */
	size_t folders_before;
	size_t folders_asked;
	unsigned calls;
	unsigned inside;	 /* held at this moment */
	unsigned cancelled;	 /* left the source because they were told to */
	char log[CALLS_MAX][64]; /* the paths, in order */
	uint64_t from[CALLS_MAX];
};

static struct fake fake;
static char dir[SCRATCH_MAX];
static struct store *store;
static struct pool *pool;
static struct fetch *fetch;
static const struct repo_id repo = { .owner = "acme", .name = "relu" };

static inline uint64_t size_of(const char *path)
{
	unsigned long long n = 0;

	(void)sscanf(path, "%llu", &n);
	return n;
}

static inline char byte_of(const char *path, uint64_t at)
{
	return (char)('a' + (path[at % strlen(path)] + (int)(at % 7)) % 26);
}

static inline struct digest digest_of(const char *path)
{
	struct hasher *h = NULL;
	uint64_t n = size_of(path);
	struct digest d;

	assert_int_equal(hasher_new(&h, DIGEST_GIT, n, NULL), 0);
	for (uint64_t i = 0; i < n; i++) {
		char c = byte_of(path, i);

		assert_int_equal(hasher_add(h, &c, 1), 0);
	}
	assert_int_equal(hasher_end(h, &d), 0);
	hasher_free(h);
	return d;
}

/* ---- the source ---- */

static inline struct timespec until(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE_S;
	return t;
}

/* Begin a call; its number. Waits while the path is held. */
static inline unsigned enter(const struct source_file *f)
{
	unsigned n;

	(void)pthread_mutex_lock(&fake.mutex);
	n = fake.calls++;
	if (fake.shared_calls)
		__atomic_add_fetch(fake.shared_calls, 1, __ATOMIC_RELAXED);
	if (n < CALLS_MAX) {
		(void)snprintf(fake.log[n], sizeof(fake.log[n]), "%s", f->path);
		fake.from[n] = f->from;
	}
	fake.inside++;
	(void)pthread_cond_broadcast(&fake.changed);
	while (fake.held && strstr(f->path, fake.held) &&
	       !__atomic_load_n(f->cancelled, __ATOMIC_RELAXED)) {
		struct timespec t;

		/* nobody wakes us when `cancelled` is set: curl looks now
		 * and then, too */
		(void)clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 2000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_sec++;
			t.tv_nsec -= 1000000000;
		}
		(void)pthread_cond_timedwait(&fake.changed, &fake.mutex, &t);
	}
	fake.inside--;
	if (__atomic_load_n(f->cancelled, __ATOMIC_RELAXED))
		fake.cancelled++;
	(void)pthread_cond_broadcast(&fake.changed);
	(void)pthread_mutex_unlock(&fake.mutex);
	return n;
}

static inline int send_bytes(struct http_sink *sink, const char *path,
			     uint64_t from, uint64_t n, bool wrong,
			     struct err *err)
{
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++) {
		char c = byte_of(path, from + i);

		if (wrong && i == 0)
			c = '!';
		r = sink->write(sink, &c, 1, err);
	}
	return r;
}

static inline int faulty(const struct source_file *f, struct http_sink *sink,
			 bool again, struct err *err)
{
	uint64_t left = f->size - f->from;
	int r;

	switch (fake.fault) {
	case GONE:
		return err_set(err, ENOENT, "gone");
	case DEAD:
		return err_set(err, EIO, "dead");
	case CUT_THEN_WHOLE:
		if (again && sink->begin(sink, 0, err) == 0)
			return send_bytes(sink, f->path, 0, f->size, false,
					  err);
		break;
	case SHIFTED:
		if (again)
			return sink->begin(sink, f->from + 1, err);
		break;
	case NONE:
	case WRONG:
	case WRONG_ONCE:
	case CUT_ONCE:
	case CUTS:
	case SHORT:
	case EMPTY:
	case LONG:
		break;
	}
	r = sink->begin(sink, f->from, err);
	if (r < 0)
		return r;
	if (fake.fault == EMPTY)
		return 0;
	if (fake.fault == SHORT)
		return send_bytes(sink, f->path, f->from, (left + 1) / 2, false,
				  err);
	if (fake.fault == CUTS)
		left = 1;
	else if (!again && fake.fault != WRONG && fake.fault != WRONG_ONCE &&
		 fake.fault != LONG)
		left = left / 2;
	r = send_bytes(sink, f->path, f->from, left,
		       fake.fault == WRONG ||
			       (fake.fault == WRONG_ONCE && !again),
		       err);
	if (r == 0 && fake.fault == LONG)
		r = sink->write(sink, "x", 1, err);
	if (r == 0 && (fake.fault == CUTS || (left < f->size - f->from)))
		r = err_set(err, EIO, "cut");
	return r;
}

static inline void tell_asked(struct http_sink *sink)
{
	char blobs[SCRATCH_MAX + 8];

	(void)snprintf(blobs, sizeof(blobs), "%s/blobs", dir);
	fake.folders_before = scratch_count(blobs);
	if (sink->asked)
		sink->asked(sink);
	fake.folders_asked = scratch_count(blobs);
}

static inline int fake_file(struct source *s, const struct source_file *f,
			    struct http_sink *sink, struct err *err)
{
	unsigned n = enter(f);
	int r;

	(void)s;
	if (__atomic_load_n(f->cancelled, __ATOMIC_RELAXED))
		return err_set(err, ECANCELED, "told to stop");
	if (fake.fault != NONE && strstr(f->path, fake.marked))
		return faulty(f, sink, n > 0, err);
	if (strstr(f->path, "told"))
		tell_asked(sink);
	r = sink->begin(sink, f->from, err);
	if (r == 0)
		r = send_bytes(sink, f->path, f->from, f->size - f->from, false,
			       err);
	return r;
}

static const struct source_ops fake_ops = { .file = fake_file };

static inline void hold(const char *paths)
{
	(void)pthread_mutex_lock(&fake.mutex);
	fake.held = paths;
	(void)pthread_cond_broadcast(&fake.changed);
	(void)pthread_mutex_unlock(&fake.mutex);
}

/* Wait until so many calls sit in the source. */
static inline void wait_inside(unsigned n)
{
	struct timespec t = until();
	int r = 0;

	(void)pthread_mutex_lock(&fake.mutex);
	while (fake.inside != n && r == 0)
		r = pthread_cond_timedwait(&fake.changed, &fake.mutex, &t);
	(void)pthread_mutex_unlock(&fake.mutex);
	assert_int_equal(r, 0);
}

static inline unsigned calls(void)
{
	unsigned n;

	(void)pthread_mutex_lock(&fake.mutex);
	n = fake.calls;
	(void)pthread_mutex_unlock(&fake.mutex);
	return n;
}

static inline void assert_order(const char *const *paths)
{
	unsigned n = 0;

	for (; paths[n]; n++)
		assert_string_equal(fake.log[n], paths[n]);
	assert_int_equal(calls(), n);
}

/* ---- those who wait ---- */

struct waiting {
	struct fetch_waiter waiter;
	unsigned called; /* fake.mutex */
	int r;
	char text[ERR_TEXT_MAX];
};

static inline void was_done(struct fetch_waiter *w, int r,
			    const struct err *err)
{
	struct waiting *x = (struct waiting *)(void *)w;

	(void)pthread_mutex_lock(&fake.mutex);
	x->called++;
	x->r = r;
	(void)snprintf(x->text, sizeof(x->text), "%s", r ? err->text : "");
	(void)pthread_cond_broadcast(&fake.changed);
	(void)pthread_mutex_unlock(&fake.mutex);
}

static inline int ask(struct waiting *w, const char *path)
{
	struct fetch_blob blob = {
		.repo = &repo,
		.commit = COMMIT,
		.path = path,
		.digest = digest_of(path),
		.size = size_of(path),
	};

	memset(w, 0, sizeof(*w));
	w->waiter.done = was_done;
	return fetch_ask(fetch, &blob, &w->waiter, NULL);
}

static inline int result(struct waiting *w)
{
	struct timespec t = until();
	int r = 0;

	(void)pthread_mutex_lock(&fake.mutex);
	while (!w->called && r == 0)
		r = pthread_cond_timedwait(&fake.changed, &fake.mutex, &t);
	(void)pthread_mutex_unlock(&fake.mutex);
	assert_int_equal(r, 0);
	assert_int_equal(w->called, 1);
	return w->r;
}

static inline bool was_called(struct waiting *w)
{
	bool called;

	(void)pthread_mutex_lock(&fake.mutex);
	called = w->called > 0;
	(void)pthread_mutex_unlock(&fake.mutex);
	return called;
}

static inline int fetch_whole(const char *path)
{
	struct waiting w;
	int r = ask(&w, path);

	return r == -EINPROGRESS ? result(&w) : r;
}

static inline bool has(const char *path)
{
	struct digest d = digest_of(path);

	return store_has(store, NULL, &d, size_of(path));
}

static inline void assert_content(const char *path)
{
	struct digest d = digest_of(path);
	int fd = store_open(store, NULL, &d, size_of(path));
	char *got = calloc(1, size_of(path) + 2);

	assert_true(fd >= 0);
	assert_non_null(got);
	assert_int_equal(read(fd, got, size_of(path) + 1), size_of(path));
	for (uint64_t i = 0; i < size_of(path); i++)
		assert_int_equal(got[i], byte_of(path, i));
	free(got);
	(void)close(fd);
}

static inline void report(char out[256])
{
	struct text t = TEXT_INIT(256);

	fetch_report(fetch, &t);
	(void)snprintf(out, 256, "%s", text_str(&t));
	text_done(&t);
}

/* Until the report says so; it changes only by work that is under way. */
static inline void wait_report(const char *want)
{
	int64_t end = io_now_ms() + PATIENCE_S * 1000;
	char got[256];

	do {
		report(got);
		if (strstr(got, want))
			return;
		(void)sched_yield();
	} while (io_now_ms() < end);
	fail_msg("'%s' has no '%s'", got, want);
}

/* ---- life ---- */

static inline void born(unsigned threads)
{
	assert_int_equal(store_new(&store, dir, NULL), 0);
	assert_int_equal(pool_new(&pool, "net", threads, NULL), 0);
	assert_int_equal(
		fetch_new(&fetch, &fake.source, store, pool, DEADLINE_MS, NULL),
		0);
}

static inline void gone(void)
{
	fetch_free(fetch);
	pool_free(pool);
	store_free(store);
	fetch = NULL;
	pool = NULL;
	store = NULL;
}

static inline void clear_fake(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.source.ops = &fake_ops;
	fake.marked = "";
	(void)pthread_mutex_init(&fake.mutex, NULL);
	(void)pthread_cond_init(&fake.changed, NULL);
}

static inline int set_up(void **state)
{
	(void)state;
	clear_fake();
	scratch_make(dir);
	return 0;
}

static inline int set_up_one(void **state)
{
	(void)set_up(state);
	born(1);
	return 0;
}

static inline int set_up_four(void **state)
{
	(void)set_up(state);
	born(4);
	return 0;
}

static inline int tear_down(void **state)
{
	char path[2 * SCRATCH_MAX];

	(void)state;
	hold(NULL);
	gone();
	/* whatever happened: no half file, no lock left behind */
	(void)snprintf(path, sizeof(path), "%s/partial", dir);
	assert_int_equal(scratch_count(path), 0);
	(void)snprintf(path, sizeof(path), "%s/locks", dir);
	assert_int_equal(scratch_count(path), 0);
	scratch_remove(dir);
	return 0;
}

/* A listing of these files; caller gives it back. */
static inline struct tree *tree_with(const char *const *paths)
{
	struct tree_builder *b = NULL;
	struct tree *t = NULL;
	void *bytes = NULL;
	size_t n;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	for (; *paths; paths++) {
		struct digest d = digest_of(*paths);

		assert_int_equal(tree_builder_add(b, *paths, TREE_FILE,
						  size_of(*paths), &d, NULL),
				 0);
	}
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	return t;
}

static inline int want_as(const char *in, struct tree *t, const char *first,
			  enum fetch_want want)
{
	const struct fetch_files files = {
		.repo = &repo,
		.commit = COMMIT,
		.dir = in,
		.tree = t,
		.first = first,
	};

	return fetch_build(fetch, &files, want);
}

static inline int want_build(const char *in, struct tree *t, const char *first)
{
	return want_as(in, t, first, FETCH_LATER);
}

/* Ask for a build, and give its listing back at once. */
static inline void build_of(const char *const *paths, const char *first)
{
	struct tree *t = tree_with(paths);

	assert_int_equal(want_build("", t, first), 0);
	tree_unref(t);
}

/* The only worker sits in the source until hold(NULL). */
static inline void plug(struct waiting *w)
{
	hold("plug");
	assert_int_equal(ask(w, "1 plug"), -EINPROGRESS);
	wait_inside(1);
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up_one, tear_down)
#define FOUR(f) cmocka_unit_test_setup_teardown(f, set_up_four, tear_down)

#endif
