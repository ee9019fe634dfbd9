/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/*
 * How much is in the cache, without walking it: the file `usage` holds bytes
 * and blobs, and every process adds to it what it took in or removed, under a
 * lock on the file. Nobody waits for that lock: what cannot be added now is
 * added with the next. The count is a hint. It is wrong after a crash or
 * after somebody removed files by hand, and each walk (the first one, that of
 * a cleaner, `cache gc`) puts it right.
 */

#define USAGE_LEN 42 /* two numbers of 20 digits, ' ', '\n' */
#define LOCK_TRIES 16

/* ---- the file ---- */

static int read_count(int fd, uint64_t *bytes, uint64_t *blobs)
{
	char buf[USAGE_LEN + 1];
	ssize_t n = io_pread_all(fd, buf, USAGE_LEN, 0);

	if (n != USAGE_LEN || buf[20] != ' ' || buf[USAGE_LEN - 1] != '\n')
		return -EBADMSG;
	buf[20] = buf[USAGE_LEN - 1] = '\0';
	if (text_to_u64(buf, INT64_MAX, bytes) < 0 ||
	    text_to_u64(buf + 21, INT64_MAX, blobs) < 0)
		return -EBADMSG;
	return 0;
}

static int write_count(int fd, uint64_t bytes, uint64_t blobs)
{
	char buf[USAGE_LEN + 1];

	(void)snprintf(buf, sizeof(buf), "%020llu %020llu\n",
		       (unsigned long long)bytes, (unsigned long long)blobs);
	return io_pwrite_all(fd, buf, USAGE_LEN, 0);
}

/* Held shortly by whoever adds, longer by who walks. */
static bool try_lock(int fd)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno !=
		    EWOULDBLOCK) /* no locks here: as good as it gets */
			return true;
		(void)sched_yield();
	}
	return false;
}

static uint64_t plus(uint64_t sum, int64_t change)
{
	if (change < 0 && (uint64_t)-change > sum)
		return 0;
	return sum + (uint64_t)change;
}

/* Add to the file. false: not now. A cache that nobody has counted yet needs
 * no addition: who counts it will see the blob. */
static bool add_now(struct store *s, int64_t bytes, int64_t blobs)
{
	AUTO(auto_close)
	int fd = openat(s->dir, "usage", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	uint64_t sum;
	uint64_t count;

	if (fd < 0)
		return errno == ENOENT;
	if (!try_lock(fd))
		return false;
	if (read_count(fd, &sum, &count) < 0)
		return unlinkat(s->dir, "usage", 0) == 0;
	return write_count(fd, plus(sum, bytes), plus(count, blobs)) == 0;
}

void store_count_flush(struct store *s)
{
	int64_t bytes;
	int64_t blobs;

	lock_take(&s->mu);
	bytes = s->pending_bytes;
	blobs = s->pending_blobs;
	s->pending_bytes = s->pending_blobs = 0;
	lock_drop(&s->mu);
	if ((!bytes && !blobs) || add_now(s, bytes, blobs))
		return;
	lock_take(&s->mu);
	s->pending_bytes += bytes;
	s->pending_blobs += blobs;
	lock_drop(&s->mu);
}

void store_count(struct store *s, int64_t bytes, int64_t blobs)
{
	lock_take(&s->mu);
	s->pending_bytes += bytes;
	s->pending_blobs += blobs;
	lock_drop(&s->mu);
	store_count_flush(s);
}

void store_count_before(struct store *s, struct store_sum *before)
{
	AUTO(auto_close) int fd = -1;

	store_count_flush(s);
	fd = openat(s->dir, "usage", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	before->known = fd >= 0 && try_lock(fd) &&
			read_count(fd, &before->bytes, &before->blobs) == 0;
}

/* A blob that came while somebody walked may be counted twice so, until the
 * next walk; forgotten, it would let the cache grow beyond its size. */
void store_count_set(struct store *s, const struct store_sum *before,
		     uint64_t bytes, uint64_t blobs)
{
	AUTO(auto_close) int fd = store_open_shared(s, s->dir, "usage");
	struct store_sum now = { .known = false };

	if (fd < 0 || !try_lock(fd))
		return;
	if (before->known && read_count(fd, &now.bytes, &now.blobs) == 0) {
		bytes = plus(bytes, (int64_t)(now.bytes - before->bytes));
		blobs = plus(blobs, (int64_t)(now.blobs - before->blobs));
	}
	(void)write_count(fd, bytes, blobs);
}

/* ---- walking ---- */

static int walk_folder(int parent, const char *name, store_walk_each *each,
		       void *arg)
{
	AUTO(auto_closedir) DIR *d = NULL;
	int fd = openat(parent, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		(void)close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(d))) {
		if (e->d_name[0] == '.' ||
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		r = each(arg, fd, e->d_name, &st);
	}
	return r;
}

int store_walk(struct store *s, store_walk_each *each, void *arg)
{
	AUTO(auto_closedir) DIR *d = NULL;
	int fd = openat(s->dir, "blobs",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *e;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		(void)close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			r = walk_folder(fd, e->d_name, each, arg);
	}
	return r;
}

static int add_one(void *arg, int folder, const char *name,
		   const struct stat *st)
{
	struct store_sum *sum = arg;

	(void)folder;
	(void)name;
	sum->bytes += (uint64_t)st->st_size;
	sum->blobs++;
	return 0;
}

int store_recount(struct store *s, uint64_t *bytes, uint64_t *blobs)
{
	struct store_sum sum = { .bytes = 0 };
	struct store_sum before;
	int r;

	store_count_before(s, &before);
	r = store_walk(s, add_one, &sum);
	if (r < 0)
		return r;
	store_count_set(s, &before, sum.bytes, sum.blobs);
	*bytes = sum.bytes;
	*blobs = sum.blobs;
	return 0;
}

int store_usage(struct store *s, uint64_t *bytes, uint64_t *blobs)
{
	AUTO(auto_close) int fd = store_open_below(s->dir, "usage");
	uint64_t sum;
	uint64_t count;

	if (fd < 0 || read_count(fd, &sum, &count) < 0)
		return store_recount(s, bytes, blobs);
	lock_take(&s->mu);
	*bytes = plus(sum, s->pending_bytes);
	*blobs = plus(count, s->pending_blobs);
	lock_drop(&s->mu);
	return 0;
}
