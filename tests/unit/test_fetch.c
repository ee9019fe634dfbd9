/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/fetch.h"

#include "base/err.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/text.h"
#include "kernels/http.h"
#include "kernels/source.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

/*
 * The downloader over a source whose answers a test scripts. Paths of files
 * are "<size> <anything>"; their bytes follow from the path.
 */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define DEADLINE_MS INT64_C(1000000)
#define PATIENCE_S 30

enum fault {
	NONE,
	WRONG, /* other bytes, always */
	WRONG_ONCE,
	CUT_ONCE, /* -EIO in the middle */
	CUTS, /* -EIO after each byte */
	DEAD, /* -EIO before a byte */
	SHORT, /* good, with the half of what is left */
	EMPTY, /* good, with nothing */
	LONG, /* one byte more */
	CUT_THEN_WHOLE, /* a cut, then the range is ignored */
	SHIFTED, /* a cut, then bytes from elsewhere */
	GONE, /* -ENOENT */
};

#define CALLS_MAX 512

struct fake {
	struct source source;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum fault fault; /* of each path that has `marked` in it */
	const char *marked;
	const char *held; /* paths with it wait in the source */
	unsigned *shared_calls; /* counted by several processes */
	unsigned calls;
	unsigned inside; /* held at this moment */
	unsigned cancelled; /* left the source because they were told to */
	char log[CALLS_MAX][64]; /* the paths, in order */
	uint64_t from[CALLS_MAX];
};

static struct fake fake;
static char dir[SCRATCH_MAX];
static struct store *store;
static struct pool *pool;
static struct fetch *fetch;
static const struct repo_id repo = { .owner = "acme", .name = "relu" };

static uint64_t size_of(const char *path)
{
	unsigned long long n = 0;

	(void)sscanf(path, "%llu", &n);
	return n;
}

static char byte_of(const char *path, uint64_t at)
{
	return (char)('a' + (path[at % strlen(path)] + (int)(at % 7)) % 26);
}

static struct digest digest_of(const char *path)
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

static struct timespec until(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE_S;
	return t;
}

/* Begin a call; its number. Waits while the path is held. */
static unsigned enter(const struct source_file *f)
{
	unsigned n;

	(void)pthread_mutex_lock(&fake.mutex);
	n = fake.calls++;
	if (fake.shared_calls)
		__atomic_add_fetch(fake.shared_calls, 1, __ATOMIC_RELAXED);
	if (n < CALLS_MAX) {
		(void)snprintf(fake.log[n], sizeof(fake.log[n]), "%s",
			       f->path);
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

static int send_bytes(struct http_sink *sink, const char *path, uint64_t from,
		      uint64_t n, bool wrong, struct err *err)
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

static int faulty(const struct source_file *f, struct http_sink *sink,
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
		       fake.fault == WRONG || (fake.fault == WRONG_ONCE &&
					       !again), err);
	if (r == 0 && fake.fault == LONG)
		r = sink->write(sink, "x", 1, err);
	if (r == 0 && (fake.fault == CUTS || (left < f->size - f->from)))
		r = err_set(err, EIO, "cut");
	return r;
}

static int fake_file(struct source *s, const struct source_file *f,
		     struct http_sink *sink, struct err *err)
{
	unsigned n = enter(f);
	int r;

	(void)s;
	if (__atomic_load_n(f->cancelled, __ATOMIC_RELAXED))
		return err_set(err, ECANCELED, "told to stop");
	if (fake.fault != NONE && strstr(f->path, fake.marked))
		return faulty(f, sink, n > 0, err);
	r = sink->begin(sink, f->from, err);
	if (r == 0)
		r = send_bytes(sink, f->path, f->from, f->size - f->from, false,
			       err);
	return r;
}

static const struct source_ops fake_ops = { .file = fake_file };

static void hold(const char *paths)
{
	(void)pthread_mutex_lock(&fake.mutex);
	fake.held = paths;
	(void)pthread_cond_broadcast(&fake.changed);
	(void)pthread_mutex_unlock(&fake.mutex);
}

/* Wait until so many calls sit in the source. */
static void wait_inside(unsigned n)
{
	struct timespec t = until();
	int r = 0;

	(void)pthread_mutex_lock(&fake.mutex);
	while (fake.inside != n && r == 0)
		r = pthread_cond_timedwait(&fake.changed, &fake.mutex, &t);
	(void)pthread_mutex_unlock(&fake.mutex);
	assert_int_equal(r, 0);
}

static unsigned calls(void)
{
	unsigned n;

	(void)pthread_mutex_lock(&fake.mutex);
	n = fake.calls;
	(void)pthread_mutex_unlock(&fake.mutex);
	return n;
}

static void assert_order(const char *const *paths)
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

static void was_done(struct fetch_waiter *w, int r, const struct err *err)
{
	struct waiting *x = (struct waiting *)(void *)w;

	(void)pthread_mutex_lock(&fake.mutex);
	x->called++;
	x->r = r;
	(void)snprintf(x->text, sizeof(x->text), "%s", r ? err->text : "");
	(void)pthread_cond_broadcast(&fake.changed);
	(void)pthread_mutex_unlock(&fake.mutex);
}

static int ask(struct waiting *w, const char *path)
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

static int result(struct waiting *w)
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

static bool was_called(struct waiting *w)
{
	bool called;

	(void)pthread_mutex_lock(&fake.mutex);
	called = w->called > 0;
	(void)pthread_mutex_unlock(&fake.mutex);
	return called;
}

static int fetch_whole(const char *path)
{
	struct waiting w;
	int r = ask(&w, path);

	return r == -EINPROGRESS ? result(&w) : r;
}

static bool has(const char *path)
{
	struct digest d = digest_of(path);

	return store_has(store, &d);
}

static void assert_content(const char *path)
{
	struct digest d = digest_of(path);
	int fd = store_open(store, &d);
	char *got = calloc(1, size_of(path) + 2);

	assert_true(fd >= 0);
	assert_non_null(got);
	assert_int_equal(read(fd, got, size_of(path) + 1), size_of(path));
	for (uint64_t i = 0; i < size_of(path); i++)
		assert_int_equal(got[i], byte_of(path, i));
	free(got);
	(void)close(fd);
}

static void report(char out[256])
{
	struct text t = TEXT_INIT(256);

	fetch_report(fetch, &t);
	(void)snprintf(out, 256, "%s", text_str(&t));
	text_done(&t);
}

/* Until the report says so; it changes only by work that is under way. */
static void wait_report(const char *want)
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

static void born(unsigned threads)
{
	assert_int_equal(store_new(&store, dir, NULL), 0);
	assert_int_equal(pool_new(&pool, "net", threads, NULL), 0);
	assert_int_equal(fetch_new(&fetch, &fake.source, store, pool,
				   DEADLINE_MS, NULL), 0);
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
	fake.marked = "";
	(void)pthread_mutex_init(&fake.mutex, NULL);
	(void)pthread_cond_init(&fake.changed, NULL);
}

static int set_up(void **state)
{
	(void)state;
	clear_fake();
	scratch_make(dir);
	return 0;
}

static int set_up_one(void **state)
{
	(void)set_up(state);
	born(1);
	return 0;
}

static int set_up_four(void **state)
{
	(void)set_up(state);
	born(4);
	return 0;
}

static int tear_down(void **state)
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

/* ---- one download ---- */

static void brings_a_blob_and_knows_it_afterwards(void **state)
{
	struct waiting w;
	char got[256];

	(void)state;
	assert_int_equal(fetch_whole("100000 a"), 0);
	assert_content("100000 a");
	assert_int_equal(ask(&w, "100000 a"), 0);
	assert_int_equal(calls(), 1);
	assert_int_equal(w.called, 0);
	report(got);
	assert_string_equal(got, "{\"running\": 0, \"queued\": 0, \"done\": 1, "
				 "\"failed\": 0, \"bytes\": 100000}");
}

static void downloads_once_for_32_askers(void **state)
{
	static struct waiting w[32];

	(void)state;
	hold("a");
	for (int i = 0; i < 32; i++)
		assert_int_equal(ask(&w[i], "1000 a"), -EINPROGRESS);
	wait_inside(1);
	hold(NULL);
	for (int i = 0; i < 32; i++)
		assert_int_equal(result(&w[i]), 0);
	assert_int_equal(calls(), 1);
}

static void asks_nobody_for_an_empty_file(void **state)
{
	(void)state;
	assert_int_equal(fetch_whole("0 a"), 0);
	assert_content("0 a");
	assert_int_equal(calls(), 0);
}

/* A listing of these files; caller gives it back. */
static struct tree *tree_with(const char *const *paths)
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

/* Ask for a build, and give its listing back at once. */
static void build_of(const char *const *paths, const char *first)
{
	struct tree *t = tree_with(paths);

	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "", t, first), 0);
	tree_unref(t);
}

/* The only worker sits in the source until hold(NULL). */
static void plug(struct waiting *w)
{
	hold("plug");
	assert_int_equal(ask(w, "1 plug"), -EINPROGRESS);
	wait_inside(1);
}

static void takes_what_is_urgent_first_and_small_first(void **state)
{
	static const char *const files[] = { "40 b", "7 b", "2 b", NULL };
	static const char *const order[] = {
		"1 plug", "2 b", "20 a", "30 a", "7 b", "40 b", NULL,
	};
	struct waiting w[4];

	(void)state;
	plug(&w[0]);
	build_of(files, NULL);
	assert_int_equal(ask(&w[1], "30 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[2], "20 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[3], "2 b"), -EINPROGRESS);
	hold(NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(result(&w[i]), 0);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 6");
	assert_order(order);
}

static void takes_the_smallest_of_all_builds_first(void **state)
{
	static const char *const one[] = { "10 file", "30 file", NULL };
	static const char *const two[] = { "20 file", "40 file", NULL };
	static const char *const order[] = {
		"1 plug", "10 file", "20 file", "30 file", "40 file", NULL,
	};
	struct waiting w;

	(void)state;
	plug(&w);
	build_of(one, NULL);
	build_of(two, NULL);
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 5");
	assert_order(order);
}

static void what_was_put_off_is_urgent_when_asked_for_again(void **state)
{
	static const char *const files[] = { "9 file", "5 file", NULL };
	static const char *const put_off[] = {
		"1 plug", "5 file", "9 file", NULL,
	};
	static const char *const again[] = {
		"1 plug", "9 file", "5 file", NULL,
	};
	char path[2 * SCRATCH_MAX];

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct waiting w[3];

		plug(&w[0]);
		build_of(files, "9 file");
		assert_int_equal(ask(&w[1], "9 file"), -EINPROGRESS);
		assert_true(fetch_cancel(fetch, &w[1].waiter));
		if (turn)
			assert_int_equal(ask(&w[2], "9 file"), -EINPROGRESS);
		hold(NULL);
		wait_report("\"running\": 0, \"queued\": 0, \"done\": 3");
		assert_order(turn ? again : put_off);
		gone();
		(void)snprintf(path, sizeof(path), "%s/blobs", dir);
		scratch_remove(path);
		clear_fake();
		born(1);
	}
}

/* ---- what goes wrong on the way ---- */

static int with_fault(enum fault fault)
{
	fake.fault = fault;
	return fetch_whole("1000 a");
}

static void goes_on_where_it_was_cut(void **state)
{
	(void)state;
	assert_int_equal(with_fault(CUT_ONCE), 0);
	assert_content("1000 a");
	assert_int_equal(calls(), 2);
	assert_int_equal(fake.from[0], 0);
	assert_int_equal(fake.from[1], 500);
}

static void begins_again_when_the_range_is_ignored(void **state)
{
	(void)state;
	assert_int_equal(with_fault(CUT_THEN_WHOLE), 0);
	assert_content("1000 a");
	assert_int_equal(calls(), 2);
	assert_int_equal(fake.from[1], 500);
}

static void refuses_bytes_from_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(with_fault(SHIFTED), -EIO);
	assert_false(has("1000 a"));
}

static void gives_up_after_a_few_cuts(void **state)
{
	(void)state;
	assert_int_equal(with_fault(CUTS), -EIO);
	assert_false(has("1000 a"));
	assert_in_range(calls(), 3, 10);
}

static void does_not_ask_the_dead_again(void **state)
{
	(void)state;
	assert_int_equal(with_fault(DEAD), -EIO);
	assert_int_equal(calls(), 1);
}

static void goes_on_after_a_short_answer(void **state)
{
	(void)state;
	fake.fault = SHORT;
	assert_int_equal(fetch_whole("5 a"), 0);
	assert_content("5 a");
}

static void refuses_an_answer_without_bytes(void **state)
{
	struct waiting w;

	(void)state;
	fake.fault = EMPTY;
	assert_int_equal(ask(&w, "5 a"), -EINPROGRESS);
	assert_int_equal(result(&w), -EIO);
	assert_non_null(strstr(w.text, "0 of 5 bytes"));
	assert_non_null(strstr(w.text, "acme/relu@" COMMIT "/5 a"));
	assert_int_equal(calls(), 1);
}

static void asks_twice_for_wrong_bytes_and_says_both_hashes(void **state)
{
	struct digest d = digest_of("1000 a");
	char hex[DIGEST_HEX_MAX];
	struct waiting w;

	(void)state;
	fake.fault = WRONG;
	assert_int_equal(ask(&w, "1000 a"), -EINPROGRESS);
	assert_int_equal(result(&w), -EBADMSG);
	digest_print(&d, hex);
	assert_non_null(strstr(w.text, hex));
	assert_non_null(strstr(w.text, ", got "));
	assert_int_equal(calls(), 2);
	assert_int_equal(fake.from[1], 0);
	assert_false(has("1000 a"));
}

static void a_second_answer_may_be_right(void **state)
{
	(void)state;
	assert_int_equal(with_fault(WRONG_ONCE), 0);
	assert_content("1000 a");
	assert_int_equal(calls(), 2);
}

static void refuses_one_byte_too_many(void **state)
{
	(void)state;
	assert_int_equal(with_fault(LONG), -EBADMSG);
	assert_int_equal(calls(), 2);
	assert_false(has("1000 a"));
}

static void forgets_a_failure_and_asks_anew(void **state)
{
	(void)state;
	assert_int_equal(with_fault(GONE), -ENOENT);
	assert_int_equal(calls(), 1);
	assert_int_equal(with_fault(NONE), 0);
}

static void who_lies_about_the_size_fails_alone(void **state)
{
	struct digest d = digest_of("1000 a");
	struct fetch_blob lie = {
		.repo = &repo,
		.commit = COMMIT,
		.path = "10 lie",
		.digest = d,
		.size = 10,
	};
	struct waiting liar = { .waiter.done = was_done };
	struct waiting w;

	(void)state;
	hold("lie");
	assert_int_equal(fetch_ask(fetch, &lie, &liar.waiter, NULL),
			 -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w, "1000 a"), -EINPROGRESS);
	hold(NULL);
	assert_int_equal(result(&liar), -EBADMSG);
	assert_int_equal(result(&w), 0);
	assert_content("1000 a");
}

static void refuses_what_is_no_blob(void **state)
{
	struct fetch_blob blob = {
		.repo = &repo,
		.commit = COMMIT,
		.path = "x",
		.digest = digest_of("1 a"),
		.size = TREE_FILE_MAX + 1,
	};
	struct waiting w = { .waiter.done = was_done };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fetch_ask(fetch, &blob, &w.waiter, &err), -EINVAL);
	blob.size = 1;
	blob.digest.kind = DIGEST_NONE;
	assert_int_equal(fetch_ask(fetch, &blob, &w.waiter, &err), -EINVAL);
	blob.digest = digest_of("1 a");
	blob.commit = COMMIT "0";
	assert_int_equal(fetch_ask(fetch, &blob, &w.waiter, &err), -EINVAL);
	assert_int_equal(w.called, 0);
}

/* ---- going away ---- */

static void stops_when_the_last_waiter_leaves(void **state)
{
	struct waiting w[2];

	(void)state;
	hold("a");
	assert_int_equal(ask(&w[0], "1000 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "1000 a"), -EINPROGRESS);
	wait_inside(1);
	assert_true(fetch_cancel(fetch, &w[0].waiter));
	assert_false(fetch_cancel(fetch, &w[0].waiter));
	assert_int_equal(fake.cancelled, 0);
	assert_true(fetch_cancel(fetch, &w[1].waiter));
	wait_inside(0);
	wait_report("\"running\": 0, \"queued\": 0");
	assert_int_equal(fake.cancelled, 1);
	assert_false(has("1000 a"));
	assert_false(was_called(&w[0]) || was_called(&w[1]));
	/* and who comes then gets it */
	hold(NULL);
	assert_int_equal(fetch_whole("1000 a"), 0);
}

static void who_comes_behind_a_stopped_download_gets_a_new_one(void **state)
{
	struct waiting w[2];

	(void)state;
	hold("a");
	assert_int_equal(ask(&w[0], "1000 a"), -EINPROGRESS);
	wait_inside(1);
	assert_true(fetch_cancel(fetch, &w[0].waiter));
	assert_int_equal(ask(&w[1], "1000 a"), -EINPROGRESS);
	hold(NULL);
	assert_int_equal(result(&w[1]), 0);
	assert_content("1000 a");
}

static void never_begins_what_was_cancelled_in_the_queue(void **state)
{
	static const char *const order[] = { "1 plug", "3 c", NULL };
	struct waiting w[3];

	(void)state;
	hold("plug");
	assert_int_equal(ask(&w[0], "1 plug"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w[1], "2 b"), -EINPROGRESS);
	assert_int_equal(ask(&w[2], "3 c"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w[1].waiter));
	hold(NULL);
	assert_int_equal(result(&w[0]), 0);
	assert_int_equal(result(&w[2]), 0);
	assert_false(was_called(&w[1]));
	assert_order(order);
}

static void says_no_to_who_was_called(void **state)
{
	struct waiting w;
	struct waiting never = { .waiter.done = was_done };

	(void)state;
	assert_int_equal(ask(&w, "1 a"), -EINPROGRESS);
	assert_int_equal(result(&w), 0);
	assert_false(fetch_cancel(fetch, &w.waiter));
	assert_false(fetch_cancel(fetch, &never.waiter));
}

static void the_end_answers_everybody_once(void **state)
{
	struct waiting w[4];

	(void)state;
	hold("a");
	assert_int_equal(ask(&w[0], "10 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "10 a"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w[2], "20 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[3], "30 a"), -EINPROGRESS);
	fetch_free(fetch);
	fetch = NULL;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(w[i].called, 1);
		assert_int_equal(w[i].r, -ECANCELED);
	}
	assert_int_equal(calls(), 1);
}

/* ---- deadlines ---- */

static void the_deadline_frees_those_behind_a_stuck_worker(void **state)
{
	struct waiting w[3];
	int64_t now;

	(void)state;
	hold("stuck");
	assert_int_equal(ask(&w[0], "10 stuck"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w[1], "20 a"), -EINPROGRESS);
	now = io_now_ms();
	fetch_expire(fetch, now);
	fetch_expire(fetch, now + DEADLINE_MS / 2);
	assert_false(was_called(&w[0]) || was_called(&w[1]));
	fetch_expire(fetch, now + DEADLINE_MS);
	assert_int_equal(w[0].r, -ETIMEDOUT);
	assert_int_equal(w[1].r, -ETIMEDOUT);
	assert_int_equal(w[0].called, 1);
	assert_int_equal(w[1].called, 1);
	assert_non_null(strstr(w[0].text, "no byte"));
	assert_non_null(strstr(w[1].text, "20 a"));
	hold(NULL);
	assert_int_equal(ask(&w[2], "10 stuck"), -EINPROGRESS);
	assert_int_equal(result(&w[2]), 0);
}

/* ---- other processes ---- */

static void waits_for_another_process_and_takes_what_it_brought(void **state)
{
	struct digest d = digest_of("4 a");
	struct ingest *in = NULL;
	struct waiting w[2];
	char bytes[4];
	int lock = -1;

	(void)state;
	assert_int_equal(store_lock(store, &d, &lock), 1);
	assert_int_equal(ask(&w[0], "4 a"), -EINPROGRESS);
	/* the only worker is free for others meanwhile */
	assert_int_equal(ask(&w[1], "9 b"), -EINPROGRESS);
	assert_int_equal(result(&w[1]), 0);
	assert_false(was_called(&w[0]));
	assert_int_equal(store_ingest(&in, store, &d, 4, NULL), 0);
	for (uint64_t i = 0; i < 4; i++)
		bytes[i] = byte_of("4 a", i);
	assert_int_equal(ingest_write(in, bytes, 4, NULL), 0);
	assert_int_equal(ingest_commit(in, NULL), 0);
	ingest_free(in);
	store_unlock(store, &d, lock);
	assert_int_equal(result(&w[0]), 0);
	assert_int_equal(calls(), 1);
}

static void takes_over_from_a_process_that_gave_up(void **state)
{
	struct digest d = digest_of("4 a");
	struct waiting w[2];
	int lock = -1;

	(void)state;
	assert_int_equal(store_lock(store, &d, &lock), 1);
	assert_int_equal(ask(&w[0], "4 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "9 b"), -EINPROGRESS);
	assert_int_equal(result(&w[1]), 0);
	store_unlock(store, &d, lock);
	assert_int_equal(result(&w[0]), 0);
	assert_int_equal(calls(), 2);
}

static void the_deadline_holds_for_other_processes_too(void **state)
{
	struct digest d = digest_of("4 a");
	struct waiting w[3];
	int lock = -1;

	(void)state;
	assert_int_equal(store_lock(store, &d, &lock), 1);
	assert_int_equal(ask(&w[0], "4 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[1], "4 a"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w[1].waiter));
	fetch_expire(fetch, io_now_ms() + DEADLINE_MS);
	assert_int_equal(result(&w[0]), -ETIMEDOUT);
	assert_int_equal(ask(&w[2], "4 a"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w[2].waiter));
	store_unlock(store, &d, lock);
	assert_int_equal(calls(), 0);
}

#define PROCESSES 4
#define BLOBS 12

/* No asserts in a child: they would jump into the parent's test. */
static int fetch_all_in_child(void)
{
	struct waiting w[BLOBS];
	char path[32];

	born(4);
	for (int i = 0; i < BLOBS; i++) {
		(void)snprintf(path, sizeof(path), "%d blob", 1000 * i + 5);
		if (ask(&w[i], path) == 0)
			w[i].called = 1;
	}
	(void)pthread_mutex_lock(&fake.mutex);
	for (int i = 0; i < BLOBS; i++) {
		struct timespec t = until();

		while (!w[i].called) {
			if (pthread_cond_timedwait(&fake.changed, &fake.mutex,
						   &t))
				return 1;
		}
		if (w[i].r < 0)
			return 2;
	}
	(void)pthread_mutex_unlock(&fake.mutex);
	gone();
	return 0;
}

static void processes_download_a_blob_once_between_them(void **state)
{
	pid_t pids[PROCESSES];
	unsigned *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(shared != MAP_FAILED);
	fake.shared_calls = shared;
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(fetch_all_in_child());
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(*shared, BLOBS);
	(void)munmap(shared, sizeof(*shared));
	born(1); /* for tear_down, which frees it */
}

/* ---- whole builds ---- */

/* Files "<before><number><after>". */
static struct tree *tree_of(unsigned count, const char *before,
			    const char *after)
{
	struct tree_builder *b = NULL;
	struct tree *t = NULL;
	void *bytes = NULL;
	char path[64];
	size_t n;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	for (unsigned i = 0; i < count; i++) {
		struct digest d;

		(void)snprintf(path, sizeof(path), "%s%u%s", before, i, after);
		d = digest_of(path);
		assert_int_equal(tree_builder_add(b, path, TREE_FILE,
						  size_of(path), &d, NULL), 0);
	}
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	return t;
}

static void brings_a_build_that_nobody_waits_for(void **state)
{
	struct tree *t = tree_of(30, "", " file");
	char path[32];

	(void)state;
	assert_int_equal(fetch_whole("7 file"), 0);
	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "", t, "29 file"),
			 0);
	/* said again, it is the same build */
	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "", t, NULL), 0);
	tree_unref(t);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 30");
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(path, sizeof(path), "%u file", i);
		assert_content(path);
	}
	/* all but the empty one, each once */
	assert_int_equal(calls(), 29);
}

static void puts_the_first_file_in_front(void **state)
{
	static const char *const files[] = {
		"9 file", "8 file", "7 file", "6 file", "5 file", NULL,
	};
	static const char *const order[] = {
		"1 plug", "8 file", "5 file", "6 file", "7 file", "9 file",
		NULL,
	};
	struct waiting w;

	(void)state;
	plug(&w);
	build_of(files, "8 file");
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 6");
	assert_order(order);
}

static void a_build_keeps_what_was_asked_for_before_it(void **state)
{
	static const char *const files[] = { "5 file", NULL };
	struct waiting w;

	(void)state;
	hold("file");
	assert_int_equal(ask(&w, "5 file"), -EINPROGRESS);
	wait_inside(1);
	build_of(files, NULL);
	/* a worker has seen that it is on its way */
	wait_report("\"running\": 1, \"queued\": 0");
	assert_true(fetch_cancel(fetch, &w.waiter));
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 1");
	assert_content("5 file");
	assert_int_equal(calls(), 1);
}

static void a_build_keeps_what_a_waiter_leaves(void **state)
{
	struct tree *t = tree_of(1, "", "5 file");
	struct waiting w;

	(void)state;
	hold("file");
	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "", t, NULL), 0);
	wait_inside(1);
	assert_int_equal(ask(&w, "05 file"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w.waiter));
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 1");
	assert_int_equal(fake.cancelled, 0);
	assert_content("05 file");
	tree_unref(t);
}

static void names_files_from_the_repositorys_root(void **state)
{
	struct digest d = digest_of("5 a");
	struct tree_builder *b = NULL;
	struct tree *t = NULL;
	void *bytes = NULL;
	size_t n;

	(void)state;
	assert_int_equal(tree_builder_new(&b, NULL), 0);
	assert_int_equal(tree_builder_add(b, "pkg/x.py", TREE_FILE, 5, &d,
					  NULL), 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	fake.fault = GONE;
	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "build/v", t, NULL),
			 0);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 0, "
		    "\"failed\": 1");
	assert_string_equal(fake.log[0], "build/v/pkg/x.py");
	tree_unref(t);
}

static void leaves_a_build_whose_files_all_fail(void **state)
{
	struct tree *t = tree_of(100, "", "1 file");

	(void)state;
	fake.fault = GONE;
	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "", t, NULL), 0);
	wait_report("\"running\": 0, \"queued\": 0");
	assert_int_equal(calls(), 3);
	tree_unref(t);
}

static void steps_over_100000_files_that_are_there(void **state)
{
	struct tree *t = tree_of(100000, "0 ", "");

	(void)state;
	assert_int_equal(fetch_whole("0 x"), 0);
	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "", t, NULL), 0);
	tree_unref(t);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 1,");
	assert_int_equal(calls(), 0);
}

static void ends_in_the_middle_of_a_build(void **state)
{
	struct tree *t = tree_of(200, "", "5 file");

	(void)state;
	hold("file");
	assert_int_equal(fetch_build(fetch, &repo, COMMIT, "", t, "05 file"),
			 0);
	wait_inside(1);
	fetch_free(fetch);
	fetch = NULL;
	tree_unref(t);
}

/* ---- waiting here ---- */

static int fetch_here(const char *path, struct err *err)
{
	struct fetch_blob blob = {
		.repo = &repo,
		.commit = COMMIT,
		.path = path,
		.digest = digest_of(path),
		.size = size_of(path),
	};

	return fetch_now(fetch, &blob, err);
}

static void a_thread_that_waits_needs_no_worker(void **state)
{
	struct err err = ERR_INIT;
	struct waiting w;

	(void)state;
	hold("plug");
	assert_int_equal(ask(&w, "1 plug"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(fetch_here("10 a", NULL), 0);
	assert_content("10 a");
	assert_int_equal(fetch_here("10 a", NULL), 0);
	fake.fault = GONE;
	fake.marked = "miss";
	assert_int_equal(fetch_here("10 missing", &err), -ENOENT);
	assert_non_null(strstr(err.text, "10 missing"));
	hold(NULL);
	assert_int_equal(result(&w), 0);
}

static void *release_soon(void *arg)
{
	(void)arg;
	wait_inside(1);
	hold(NULL);
	return NULL;
}

static void a_thread_that_waits_joins_a_running_download(void **state)
{
	struct waiting w;
	pthread_t thread;

	(void)state;
	hold("a");
	assert_int_equal(ask(&w, "10 a"), -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(pthread_create(&thread, NULL, release_soon, NULL), 0);
	assert_int_equal(fetch_here("10 a", NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(result(&w), 0);
	assert_int_equal(calls(), 1);
}

/* ---- all at once ---- */

#define CROWD 6
#define TURNS 150

static void *crowd(void *arg)
{
	unsigned seed = *(const unsigned *)arg;
	unsigned wrong = 0;

	for (int i = 0; i < TURNS; i++) {
		struct waiting w;
		char path[32];
		int r;

		seed = seed * 1103515245 + 12345;
		(void)snprintf(path, sizeof(path), "%u crowd",
			       (seed >> 16) % 40 + 1);
		r = ask(&w, path);
		if (r == 0)
			continue;
		if (r != -EINPROGRESS) {
			wrong++;
			continue;
		}
		if ((seed >> 8) % 3 == 0 && fetch_cancel(fetch, &w.waiter)) {
			wrong += w.called != 0;
			continue;
		}
		(void)pthread_mutex_lock(&fake.mutex);
		while (!w.called)
			(void)pthread_cond_wait(&fake.changed, &fake.mutex);
		wrong += w.called != 1 || (w.r != 0 && w.r != -ENOENT);
		(void)pthread_mutex_unlock(&fake.mutex);
	}
	return wrong ? arg : NULL;
}

static void a_crowd_that_comes_and_goes_is_answered(void **state)
{
	pthread_t threads[CROWD];
	unsigned seeds[CROWD];

	(void)state;
	/* some of them fail each time, so that there is work to the end */
	fake.fault = GONE;
	fake.marked = "5 crowd";
	for (unsigned i = 0; i < CROWD; i++) {
		seeds[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, crowd,
						&seeds[i]), 0);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	wait_report("\"running\": 0, \"queued\": 0");
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up_one, tear_down)
#define FOUR(f) cmocka_unit_test_setup_teardown(f, set_up_four, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: it forks, and no thread is there yet */
		cmocka_unit_test_setup_teardown(
			processes_download_a_blob_once_between_them, set_up,
			tear_down),
		FOUR(brings_a_blob_and_knows_it_afterwards),
		FOUR(downloads_once_for_32_askers),
		FOUR(asks_nobody_for_an_empty_file),
		ONE(takes_what_is_urgent_first_and_small_first),
		ONE(takes_the_smallest_of_all_builds_first),
		ONE(what_was_put_off_is_urgent_when_asked_for_again),
		FOUR(goes_on_where_it_was_cut),
		FOUR(begins_again_when_the_range_is_ignored),
		FOUR(refuses_bytes_from_elsewhere),
		FOUR(gives_up_after_a_few_cuts),
		FOUR(does_not_ask_the_dead_again),
		FOUR(goes_on_after_a_short_answer),
		FOUR(refuses_an_answer_without_bytes),
		FOUR(asks_twice_for_wrong_bytes_and_says_both_hashes),
		FOUR(a_second_answer_may_be_right),
		FOUR(refuses_one_byte_too_many),
		FOUR(forgets_a_failure_and_asks_anew),
		FOUR(who_lies_about_the_size_fails_alone),
		FOUR(refuses_what_is_no_blob),
		FOUR(stops_when_the_last_waiter_leaves),
		FOUR(who_comes_behind_a_stopped_download_gets_a_new_one),
		ONE(never_begins_what_was_cancelled_in_the_queue),
		FOUR(says_no_to_who_was_called),
		ONE(the_end_answers_everybody_once),
		ONE(the_deadline_frees_those_behind_a_stuck_worker),
		ONE(waits_for_another_process_and_takes_what_it_brought),
		ONE(takes_over_from_a_process_that_gave_up),
		ONE(the_deadline_holds_for_other_processes_too),
		FOUR(brings_a_build_that_nobody_waits_for),
		ONE(puts_the_first_file_in_front),
		FOUR(a_build_keeps_what_was_asked_for_before_it),
		FOUR(a_build_keeps_what_a_waiter_leaves),
		FOUR(names_files_from_the_repositorys_root),
		ONE(leaves_a_build_whose_files_all_fail),
		FOUR(steps_over_100000_files_that_are_there),
		ONE(ends_in_the_middle_of_a_build),
		ONE(a_thread_that_waits_needs_no_worker),
		FOUR(a_thread_that_waits_joins_a_running_download),
		FOUR(a_crowd_that_comes_and_goes_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
