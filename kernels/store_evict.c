/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/*
 * Making room. Whoever takes a blob in sets its bytes aside first; when the
 * cache would then be larger than cache_size, or the disk have less than
 * min_free, blobs go: least recently used first, never one in use.
 *
 * In use is what somebody has open: store_open() holds a shared lock on the
 * file, so that an exclusive one is refused here, whichever process it is.
 * A blob that is opened in the moment between that lock and the unlink is
 * found without a name by its opener, which looks again. Where locks cannot
 * be had, nothing is known of others, and nothing is removed.
 *
 * A blob was last used when it came, or when a build that lists it was (who
 * made the store tells, by store_ask_uses). A cleaner walks once and then
 * removes a little more than is needed, so that the next blob needs none. One
 * cleaner at a time, in all processes: the others wait for it a moment, and
 * then clean as well, which costs work and breaks nothing.
 */

#define CLEAN_WAIT_MS 1000
#define CLEAN_POLL_MS 10
#define SLACK 32 /* one part in so many more than is needed */

/* ---- what there is ---- */

struct old_blob {
	struct digest digest;
	uint64_t size;
	int64_t used_s;
};

struct old_blobs {
	struct old_blob *v; /* owned */
	size_t count;
	size_t room;
	uint64_t bytes; /* of all files, foreign ones too */
	uint64_t files;
	struct store_sum before; /* the count, before the walk */
};

static int add_blob(void *arg, int folder, const char *name,
		    const struct stat *st)
{
	struct old_blobs *all = arg;
	struct old_blob *b;

	(void)folder;
	all->bytes += (uint64_t)st->st_size;
	all->files++;
	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 256;
		struct old_blob *v = realloc(all->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		all->v = v;
		all->room = room;
	}
	b = &all->v[all->count];
	if (digest_parse(&b->digest, name) < 0)
		return 0;
	b->size = (uint64_t)st->st_size;
	b->used_s = (int64_t)st->st_mtim.tv_sec;
	all->count++;
	return 0;
}

static int compare_digest(const struct digest *a, const struct digest *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return memcmp(a->bytes, b->bytes, a->kind);
}

static int by_digest(const void *pa, const void *pb)
{
	const struct old_blob *a = pa;
	const struct old_blob *b = pb;

	return compare_digest(&a->digest, &b->digest);
}

/* Of the same age the larger first: fewer have to be fetched again. */
static int by_age(const void *pa, const void *pb)
{
	const struct old_blob *a = pa;
	const struct old_blob *b = pb;

	if (a->used_s != b->used_s)
		return a->used_s < b->used_s ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return compare_digest(&a->digest, &b->digest);
}

static void note_use(void *arg, const struct digest *d, int64_t used_s)
{
	struct old_blobs *all = arg;
	struct old_blob key = { .digest = *d };
	struct old_blob *b =
		bsearch(&key, all->v, all->count, sizeof(*all->v), by_digest);

	if (b && b->used_s < used_s)
		b->used_s = used_s;
}

static int find_old(struct store *s, struct old_blobs *all)
{
	int r;

	store_count_before(s, &all->before);
	r = store_walk(s, add_blob, all);
	if (r < 0 || !all->count)
		return r;
	qsort(all->v, all->count, sizeof(*all->v), by_digest);
	/* what it cannot tell is as old as the file */
	if (s->uses)
		(void)s->uses(s->uses_ctx, note_use, all);
	qsort(all->v, all->count, sizeof(*all->v), by_age);
	return 0;
}

/* ---- removing ---- */

/* 1: removed; 0: in use, or gone. */
static int remove_unused(struct store *s, const struct digest *d)
{
	char folder[STORE_NAME_MAX];
	char name[STORE_NAME_MAX];
	AUTO(auto_close) int fd = -1;

	store_blob_name(d, folder, name);
	fd = store_open_below(s->dir, name);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	/* Another one may have come to the name meanwhile; then a blob goes
	 * that was just fetched. It costs a download and no more. */
	return unlinkat(s->dir, name, 0) == 0;
}

/* Remove until `want` bytes are free; how many. */
static uint64_t remove_oldest(struct store *s, const struct old_blobs *all,
			      uint64_t want)
{
	uint64_t freed = 0;
	uint64_t files = 0;

	for (size_t i = 0; i < all->count && freed < want; i++) {
		if (!remove_unused(s, &all->v[i].digest))
			continue;
		freed += all->v[i].size;
		files++;
	}
	store_count_set(s, &all->before, all->bytes - freed,
			all->files - files);
	if (files)
		log_info("store", "%llu bytes in %llu blobs removed from '%s'",
			 (unsigned long long)freed, (unsigned long long)files,
			 s->path);
	return freed;
}

static uint64_t clean(struct store *s, uint64_t want)
{
	struct old_blobs all = { .v = NULL };
	uint64_t freed = 0;
	int r;

	if (s->let_go)
		s->let_go(s->let_go_ctx);
	r = find_old(s, &all);
	if (r == 0)
		freed = remove_oldest(s, &all, want);
	else
		log_debug("store", "cleaning '%s': %s", s->path,
			  strerrordesc_np(-r));
	free(all.v);
	return freed;
}

/* The cleaner's lock, or -1 after a moment. */
static int become_cleaner(struct store *s)
{
	const struct timespec moment = { .tv_nsec = CLEAN_POLL_MS * 1000000 };
	AUTO(auto_close) int fd = store_open_shared(s, s->dir, "cleaning");
	int64_t end = io_now_ms() + CLEAN_WAIT_MS;

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || io_now_ms() >= end)
			return -1;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
	}
	return take_fd(&fd);
}

/* ---- how much is too much ---- */

static uint64_t more_than(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* How many bytes must go, so that `size` more can be written and what is
 * set aside has room; *slack: how many should, for those that come next. */
static uint64_t over(struct store *s, uint64_t size, uint64_t *slack)
{
	uint64_t bytes = 0;
	uint64_t blobs = 0;
	uint64_t much = 0;
	struct statvfs fs;

	*slack = 0;
	if (s->cache_size && store_usage(s, &bytes, &blobs) == 0) {
		lock_take(&s->mu);
		bytes += s->reserved;
		lock_drop(&s->mu);
		bytes += store_dead_bytes(s);
		much = more_than(bytes, s->cache_size);
		*slack = much ? s->cache_size / SLACK : 0;
	}
	if (s->min_free && fstatvfs(s->dir, &fs) == 0) {
		uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
		uint64_t less = more_than(s->min_free + size, free_bytes);

		if (less > much) {
			much = less;
			*slack = s->min_free / SLACK;
		}
	}
	return much;
}

/* What must still go after cleaning. */
static uint64_t make_room(struct store *s, uint64_t size)
{
	uint64_t slack;
	uint64_t much = over(s, size, &slack);
	AUTO(auto_close) int lock = -1;

	if (!much)
		return 0;
	lock = become_cleaner(s);
	much = over(s, size, &slack); /* another one may have cleaned */
	/* first what costs least: half of a blob is of use to nobody yet */
	if (much && store_clean_partial(s, STORE_KEEP_NONE) > 0)
		much = over(s, size, &slack);
	if (!much)
		return 0;
	(void)clean(s, much + slack);
	return over(s, size, &slack);
}

static int say_full(struct store *s, uint64_t size, struct err *err)
{
	struct statvfs fs;

	if (s->cache_size && size > s->cache_size)
		return err_set(err, ENOSPC,
			       "cache '%s': a file of %llu bytes is more than "
			       "cache_size (%llu) allows",
			       s->path, (unsigned long long)size,
			       (unsigned long long)s->cache_size);
	if (s->min_free && fstatvfs(s->dir, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < s->min_free + size)
		return err_set(err, ENOSPC,
			       "cache '%s': its disk would have less than "
			       "min_free (%llu bytes), and nothing in it can "
			       "be removed",
			       s->path, (unsigned long long)s->min_free);
	return err_set(err, ENOSPC,
		       "cache '%s' is full: all of cache_size (%llu bytes) is "
		       "in use",
		       s->path, (unsigned long long)s->cache_size);
}

int store_reserve(struct store *s, uint64_t size, uint64_t there,
		  struct err *err)
{
	bool fits = !s->cache_size || size <= s->cache_size;

	lock_take(&s->mu);
	s->reserved += size;
	lock_drop(&s->mu);
	if (fits && make_room(s, more_than(size, there)) == 0)
		return 0;
	store_unreserve(s, size);
	return say_full(s, size, err);
}

void store_unreserve(struct store *s, uint64_t size)
{
	lock_take(&s->mu);
	s->reserved -= size;
	lock_drop(&s->mu);
}

int store_spare(struct store *s, uint64_t bytes, struct err *err)
{
	int r = store_reserve(s, bytes, 0, err);

	if (r == 0)
		store_unreserve(s, bytes);
	return r;
}

bool store_evict_bytes(struct store *s, uint64_t bytes)
{
	AUTO(auto_close) int lock = become_cleaner(s);

	(void)lock; /* without it we clean as well */
	if (store_clean_partial(s, STORE_KEEP_NONE) >= bytes)
		return true;
	return clean(s, bytes) > 0;
}

void store_settle(struct store *s)
{
	(void)make_room(s, 0);
}

/* ---- by hand ---- */

void store_limit(struct store *s, uint64_t cache_size, uint64_t min_free)
{
	s->cache_size = cache_size;
	s->min_free = min_free;
}

uint64_t store_cache_size(const struct store *s)
{
	return s->cache_size;
}

void store_ask_uses(struct store *s, store_uses *uses, void *ctx)
{
	s->uses = uses;
	s->uses_ctx = ctx;
}

void store_ask_idle(struct store *s, store_let_go *let_go, void *ctx)
{
	s->let_go = let_go;
	s->let_go_ctx = ctx;
}

uint64_t store_trim(struct store *s)
{
	uint64_t before = 0;
	uint64_t after = 0;
	uint64_t blobs;
	uint64_t dead = store_clean_partial(s, STORE_KEEP_NONE);

	(void)store_recount(s, &before, &blobs);
	store_settle(s);
	(void)store_recount(s, &after, &blobs);
	return more_than(before, after) + dead;
}
