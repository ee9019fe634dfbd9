/* SPDX-License-Identifier: Apache-2.0 */
#include "ahead.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/text.h"
#include "kernels/elf.h"
#include "kernels/ref.h"
#include "kernels/store.h"
#include "kernels/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* Builds that are read, or wait for it; more are not read ahead. */
#define JOBS_MAX 8u
/* Of one build, and of one library, at most. */
#define BUILD_MAX (UINT64_C(256) << 20)
#define LIBRARY_MAX (UINT64_C(96) << 20)
#define SMALL_MAX (UINT64_C(256) << 10)

struct job {
	struct pool_job pool;
	struct ahead *ahead;
	struct job *next;  /* lock */
	struct tree *tree; /* held */
	struct repo_id repo;
	enum ahead_what what;
	uint64_t left; /* bytes that may be read yet */
};

struct ahead {
	struct store *store;
	struct pool *pool;
	struct lock lock;
	struct job *first; /* lock; owned */
	unsigned count;	   /* lock */
	bool stopped;	   /* __atomic */
};

int ahead_new(struct ahead **out, struct store *store, struct pool *pool,
	      struct err *err)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return err_errno(err, ENOMEM, "read-ahead");
	lock_init(&a->lock, LOCK_VIEW);
	a->store = store;
	a->pool = pool;
	*out = a;
	return 0;
}

static void job_free(struct job *j)
{
	tree_unref(j->tree);
	free(j);
}

void ahead_stop(struct ahead *a)
{
	__atomic_store_n(&a->stopped, true, __ATOMIC_RELAXED);
}

void ahead_free(struct ahead *a)
{
	struct job *j, *next;

	if (!a)
		return;
	for (j = a->first; j; j = next) {
		next = j->next;
		job_free(j);
	}
	lock_done(&a->lock);
	free(a);
}

/* ---- on a worker ---- */

static bool has_page(int fd, uint64_t at)
{
	char byte;
	struct iovec v = { &byte, 1 };

	return preadv2(fd, &v, 1, (off_t)at, RWF_NOWAIT) == 1;
}

/* By three of its pages: walking over all that are there is what would cost
 * (60 ms for a large library), and who uses a build again has them. */
static bool is_in_memory(int fd, uint64_t at, uint64_t n)
{
	return has_page(fd, at) && has_page(fd, at + n / 2) &&
	       has_page(fd, at + n - 1);
}

/* Into the page cache; the disk is asked, and not waited for. */
static void want(struct job *j, int fd, uint64_t at, uint64_t size)
{
	uint64_t n = size < j->left ? size : j->left;

	if (n && !is_in_memory(fd, at, n) &&
	    posix_fadvise(fd, (off_t)at, (off_t)n, POSIX_FADV_WILLNEED) == 0)
		j->left -= n;
}

static void read_library(struct job *j, int fd)
{
	struct elf_range ranges[ELF_RANGES_MAX];
	uint64_t left = LIBRARY_MAX;
	int n = elf_loader_ranges(fd, ranges);

	for (int i = 0; i < n; i++) {
		uint64_t size = ranges[i].size < left ? ranges[i].size : left;

		want(j, fd, ranges[i].at, size);
		left -= size;
	}
}

static bool is_library(const char *name)
{
	return text_ends(name, ".so") || strstr(name, ".so.") != NULL;
}

static bool is_wanted(const struct job *j, const struct tree_entry *e)
{
	if (e->kind != TREE_FILE || !e->size)
		return false;
	return j->what == AHEAD_LIBRARIES ? is_library(e->name)
					  : e->size <= SMALL_MAX;
}

static void read_file(struct job *j, const struct tree_entry *e)
{
	AUTO(auto_close)
	int fd = store_open(j->ahead->store, &j->repo, &e->digest, e->size);

	if (fd < 0)
		return;
	if (j->what == AHEAD_LIBRARIES)
		read_library(j, fd);
	else
		want(j, fd, 0, e->size);
}

static void unlist(struct job *j)
{
	struct ahead *a = j->ahead;
	struct job **at;

	lock_take(&a->lock);
	for (at = &a->first; *at != j; at = &(*at)->next)
		;
	*at = j->next;
	a->count--;
	lock_drop(&a->lock);
}

static void run(struct pool_job *p)
{
	struct job *j = map_item(p, struct job, pool);

	for (uint32_t i = 0; i < tree_count(j->tree) && j->left; i++) {
		struct tree_entry e;

		if (__atomic_load_n(&j->ahead->stopped, __ATOMIC_RELAXED))
			break;
		tree_get(j->tree, i, &e);
		if (is_wanted(j, &e))
			read_file(j, &e);
	}
	unlist(j);
	job_free(j);
}

/* ---- on who uses it ---- */

static bool is_listed_locked(const struct ahead *a, const struct job *wanted)
{
	for (const struct job *j = a->first; j; j = j->next)
		if (j->tree == wanted->tree && j->what == wanted->what)
			return true;
	return false;
}

void ahead_build(struct ahead *a, const struct repo_id *repo, struct tree *tree,
		 enum ahead_what what)
{
	struct job *j = calloc(1, sizeof(*j));
	bool taken;

	if (!j)
		return;
	j->pool.run = run;
	j->ahead = a;
	j->repo = *repo;
	j->tree = tree_ref(tree);
	j->what = what;
	j->left = BUILD_MAX;
	lock_take(&a->lock);
	taken = a->count < JOBS_MAX && !is_listed_locked(a, j) &&
		!__atomic_load_n(&a->stopped, __ATOMIC_RELAXED);
	if (taken) {
		j->next = a->first;
		a->first = j;
		a->count++;
		pool_submit(a->pool, &j->pool, POOL_LATER);
	}
	lock_drop(&a->lock);
	if (!taken)
		job_free(j);
}
