/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * What processes tell each other, by locks on open file descriptions: who
 * fetches a blob (a byte of the file `fetching`: a file for each would be made
 * and removed once a download, which costs some disks more than the blob
 * does), and whether somebody waits (`foreground`: a shared lock, which another
 * one can ask for without taking it, so that nobody who asks keeps anybody
 * from saying it).
 */

bool store_is_named(int folder, const char *name, int fd)
{
	struct stat held;
	struct stat named;

	return fstat(fd, &held) == 0 &&
	       fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/* The blob's own byte of the file; two blobs that share one would wait for
 * each other, and that is all. */
static off_t byte_of(const struct digest *d)
{
	uint64_t at;

	memcpy(&at, d->bytes, sizeof(at));
	return (off_t)(at >> 1);
}

/*
 * Who is refused writes a byte, which who has the lock finds: one of a few, so
 * that the file stays small. It is a hint, and where it is stands in the
 * position of the lock's descriptor.
 */
#define MARKS 4096

static void mark(int fd, const struct digest *d)
{
	(void)io_pwrite_all(fd, "w", 1, byte_of(d) % MARKS);
}

bool store_lock_wanted(int lock)
{
	off_t at = lock >= 0 ? lseek(lock, 0, SEEK_CUR) : -1;
	char c = '\0';

	if (at < 0 || io_pread_all(lock, &c, 1, at) != 1 || !c)
		return false;
	return io_pwrite_all(lock, "", 1, at) == 0;
}

int store_lock(struct store *s, const struct digest *d, int *lock)
{
	AUTO(auto_close) int fd = store_open_shared(s, s->dir, "fetching");
	struct flock l = { .l_type = F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_start = byte_of(d),
			   .l_len = 1 };

	if (fd < 0)
		return fd;
	if (fcntl(fd, F_OFD_SETLK, &l) < 0) {
		if (errno == EAGAIN || errno == EACCES) {
			mark(fd, d);
			return 0;
		}
		/* a filesystem without locks grants all of them */
		if (errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS &&
		    errno != EINVAL)
			return -errno;
	}
	(void)lseek(fd, byte_of(d) % MARKS, SEEK_SET);
	/* what was wanted of who had it before */
	(void)store_lock_wanted(fd);
	*lock = take_fd(&fd);
	return 1;
}

void store_unlock(int lock)
{
	if (lock >= 0)
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
