/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/*
 * What processes tell each other: who fetches a blob (locks/<hex>), and
 * whether somebody waits (foreground: a shared lock on an open file
 * description, which another one can ask for without taking it, so that
 * nobody who asks keeps anybody from saying it).
 */

/* A lock that another process takes away at that moment is tried again. */
#define LOCK_TRIES 16

bool store_is_named(int folder, const char *name, int fd)
{
	struct stat held;
	struct stat named;

	return fstat(fd, &held) == 0 &&
	       fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

int store_lock(struct store *s, const struct digest *d, int *lock)
{
	AUTO(auto_close) int folder = store_make_folder(s, "locks");
	char hex[DIGEST_HEX_MAX];

	if (folder < 0)
		return folder;
	digest_print(d, hex);
	for (int i = 0; i < LOCK_TRIES; i++) {
		AUTO(auto_close)
		int fd = store_open_shared(s, folder, hex);

		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK) {
				/* who has it finds a byte in it */
				(void)io_pwrite_all(fd, "w", 1, 0);
				return 0;
			}
			/* a filesystem without locks grants all of them */
			if (errno != ENOLCK && errno != EOPNOTSUPP &&
			    errno != ENOSYS)
				return -errno;
		}
		/* who gives it back unlinks it: we may have opened that one */
		if (store_is_named(folder, hex, fd)) {
			*lock = take_fd(&fd);
			return 1;
		}
	}
	return 0;
}

bool store_lock_wanted(int lock)
{
	struct stat st;

	return lock >= 0 && fstat(lock, &st) == 0 && st.st_size > 0 &&
	       ftruncate(lock, 0) == 0;
}

void store_unlock(struct store *s, const struct digest *d, int lock)
{
	char hex[DIGEST_HEX_MAX];
	char name[STORE_NAME_MAX];

	if (lock < 0)
		return;
	digest_print(d, hex);
	(void)snprintf(name, sizeof(name), "locks/%s", hex);
	/* before it is let go: afterwards it may be another one's */
	(void)unlinkat(s->dir, name, 0);
	(void)close(lock);
}

/* ---- who waits ---- */

int store_front(struct store *s)
{
	return store_open_shared(s, s->dir, "foreground");
}

void store_front_take(int front, bool taken)
{
	struct flock l = { .l_type = taken ? F_RDLCK : F_UNLCK,
			   .l_whence = SEEK_SET };

	/* where there are no locks nobody is kept waiting */
	(void)fcntl(front, F_OFD_SETLK, &l);
}

bool store_front_taken(int front)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(front, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}
