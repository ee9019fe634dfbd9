/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * partial/: files that are being written and need a name. Whoever writes one
 * holds a lock on it; what nobody holds was left by the dead and is removed
 * by who opens the cache next.
 *
 * But for large blobs, "<hex>.parts" (ingest_parts.c): those are gone on with
 * by whoever wants the blob next, and removed when nobody has for a week, when
 * room is needed, or by `cache gc`. What is gone on with must be ours, and
 * nobody else's to write; its bytes are hashed again all the same.
 */

#define PARTIAL_TRIES 100
#define YOUNG_S (7 * 24 * 3600)
#define PARTS ".parts"

int store_open_partial(struct store *s, const char *stem, int *folder,
		       char name[STORE_NAME_MAX])
{
	static unsigned counter; /* __atomic */
	AUTO(auto_close) int partial = store_make_folder(s, "partial");
	struct stat st;

	name[0] = '\0';
	if (partial < 0)
		return partial;
	for (int i = 0; i < PARTIAL_TRIES; i++) {
		AUTO(auto_close) int fd = -1;

		(void)snprintf(
			name, STORE_NAME_MAX, "%.40s.%ld.%u", stem,
			(long)getpid(),
			__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
		fd = openat(partial, name,
			    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
		if (fd < 0 && errno != EEXIST) {
			name[0] = '\0';
			return -errno;
		}
		if (fd >= 0 && (s->file_mode & S_IWGRP)) /* past the umask */
			(void)fchmod(fd, 0444);
		/* a cleaner may have come between the two calls: next name */
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
		    fstat(fd, &st) == 0 && st.st_nlink == 1) {
			*folder = take_fd(&partial);
			return take_fd(&fd);
		}
		/* who only looked leaves it, and nobody else knows of it */
		if (fd >= 0)
			(void)unlinkat(partial, name, 0);
	}
	name[0] = '\0';
	return -EBUSY;
}

/* A cleaner that looks at it holds it for a moment. */
static bool lock_patiently(int fd)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < PARTIAL_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
	}
	errno = EBUSY;
	return false;
}

static bool may_go_on(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH)) && st->st_nlink == 1;
}

/* fd, or -ESTALE: something else had the name, look again. */
static int open_resumable(int partial, const char *name, bool shared)
{
	AUTO(auto_close)
	int fd = openat(partial, name,
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			0600);
	struct stat st;

	/* another's, a link, a folder: none of it can be gone on with */
	if (fd < 0 && errno == EISDIR)
		return unlinkat(partial, name, AT_REMOVEDIR) == 0 ? -ESTALE
								  : -EOPNOTSUPP;
	if (fd < 0 && (errno == EACCES || errno == ELOOP))
		return unlinkat(partial, name, 0) == 0 ? -ESTALE : -errno;
	if (fd < 0)
		return -errno;
	if (!lock_patiently(fd))
		return errno == ENOLCK || errno == ENOSYS ? -EOPNOTSUPP
							  : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (may_go_on(&st)) {
		/* who shares the cache counts it, and removes it for room;
		 * both take its lock, so must be able to open it */
		if (shared)
			(void)fchmod(fd, 0640);
		return take_fd(&fd);
	}
	if (st.st_nlink > 0 && unlinkat(partial, name, 0) < 0 &&
	    errno != ENOENT)
		return -errno;
	return -ESTALE;
}

int store_open_parts(struct store *s, const char *hex, int *folder,
		     char name[STORE_NAME_MAX])
{
	AUTO(auto_close) int partial = store_make_folder(s, "partial");

	if (partial < 0)
		return partial;
	(void)snprintf(name, STORE_NAME_MAX, "%.64s" PARTS, hex);
	for (int i = 0; i < PARTIAL_TRIES; i++) {
		int fd = open_resumable(partial, name, s->file_mode & S_IWGRP);

		if (fd == -ESTALE)
			continue;
		if (fd >= 0)
			*folder = take_fd(&partial);
		return fd;
	}
	return -EBUSY;
}

/* ---- what the dead left ---- */

static bool is_young(int folder, const char *name)
{
	struct stat st;
	int64_t age;

	if (!text_ends(name, PARTS) ||
	    fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	age = io_wall_s() - (int64_t)st.st_mtim.tv_sec;
	return age > -YOUNG_S && age < YOUNG_S;
}

/* Calls `each` for what nobody holds: locked meanwhile. */
static void walk_dead(struct store *s,
		      void (*each)(void *arg, int folder, const char *name,
				   int fd),
		      void *arg)
{
	AUTO(auto_closedir) DIR *d = NULL;
	int fd = openat(s->dir, "partial",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *e;

	if (fd < 0)
		return;
	d = fdopendir(fd);
	if (!d) {
		(void)close(fd);
		return;
	}
	while ((e = readdir(d))) {
		AUTO(auto_close) int one = -1;

		if (e->d_name[0] == '.')
			continue;
		one = openat(dirfd(d), e->d_name,
			     O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		/* it may have become a blob, and another one have its name */
		if (one >= 0 && flock(one, LOCK_EX | LOCK_NB) == 0 &&
		    store_is_named(dirfd(d), e->d_name, one))
			each(arg, dirfd(d), e->d_name, one);
	}
}

struct cleaning {
	enum store_keep keep;
	uint64_t freed;
};

static uint64_t allocated(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void clean_one(void *arg, int folder, const char *name, int fd)
{
	struct cleaning *c = arg;

	if (c->keep == STORE_KEEP_YOUNG && is_young(folder, name))
		return;
	if (unlinkat(folder, name, 0) == 0 && text_ends(name, PARTS))
		c->freed += allocated(fd);
}

uint64_t store_clean_partial(struct store *s, enum store_keep keep)
{
	struct cleaning c = { .keep = keep };

	walk_dead(s, clean_one, &c);
	return c.freed;
}

static void add_one(void *arg, int folder, const char *name, int fd)
{
	uint64_t *sum = arg;

	(void)folder;
	(void)name;
	*sum += allocated(fd);
}

uint64_t store_dead_bytes(struct store *s)
{
	uint64_t sum = 0;

	walk_dead(s, add_one, &sum);
	return sum;
}
