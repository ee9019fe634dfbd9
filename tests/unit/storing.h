/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_STORING_H
#define UNIT_STORING_H

/*
 * What the tests of the store share: a folder `dir` per test, blobs out of
 * strings, and children that come back with a number instead of asserting.
 */

#include "base/err.h"
#include "kernels/store.h"
#include "scratch.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

static char dir[SCRATCH_MAX];

static inline int storing_up(void **state)
{
	(void)state;
	scratch_make(dir);
	return 0;
}

static inline int storing_down(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, storing_up, storing_down)

static inline void path_in(char out[2 * SCRATCH_MAX], const char *name)
{
	(void)snprintf(out, 2 * SCRATCH_MAX, "%.500s/%.500s", dir, name);
}

static inline struct store *store_at(const char *where)
{
	struct store *s = NULL;
	struct err err = ERR_INIT;

	if (store_new(&s, where, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static inline struct digest digest_as(enum digest_kind kind, const char *s,
				      size_t n)
{
	struct hasher *h = NULL;
	struct digest d = { .kind = DIGEST_NONE };

	if (hasher_new(&h, kind, n, NULL) < 0 || hasher_add(h, s, n) < 0 ||
	    hasher_end(h, &d) < 0)
		abort();
	hasher_free(h);
	return d;
}

static inline struct digest digest_of(const char *s)
{
	return digest_as(DIGEST_SHA256, s, strlen(s));
}

static inline int take_bytes(struct store *s, const char *bytes, size_t n,
			     struct err *err)
{
	struct digest d = digest_as(DIGEST_SHA256, bytes, n);
	struct ingest *in = NULL;
	int r = store_ingest(&in, s, &d, n, err);

	if (r == 0)
		r = ingest_write(in, bytes, n, err);
	if (r == 0)
		r = ingest_commit(in, err);
	ingest_free(in);
	return r;
}

static inline int take_in(struct store *s, const char *bytes, struct err *err)
{
	return take_bytes(s, bytes, strlen(bytes), err);
}

static inline bool holds(struct store *s, const char *bytes)
{
	struct digest d = digest_of(bytes);

	return store_has(s, NULL, &d, strlen(bytes));
}

static inline int open_it(struct store *s, const char *bytes)
{
	struct digest d = digest_of(bytes);

	return store_open(s, NULL, &d, strlen(bytes));
}

static inline void blob_path(const char *where, const char *bytes,
			     char out[3 * SCRATCH_MAX])
{
	struct digest d = digest_of(bytes);
	char hex[DIGEST_HEX_MAX];

	digest_print(&d, hex);
	(void)snprintf(out, 3 * SCRATCH_MAX, "%.900s/blobs/%.2s/%s", where, hex,
		       hex);
}

/* As if it had come, or been used, so long ago. */
static inline void make_older(const char *bytes, long seconds)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	char path[3 * SCRATCH_MAX];

	(void)clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_sec -= seconds;
	blob_path(dir, bytes, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* What a child returns. No asserts in it: they would jump into the parent's
 * test. */
static inline int in_child(int (*body)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#endif
