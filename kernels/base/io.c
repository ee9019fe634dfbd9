/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

#include "cleanup.h"
#include "err.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define CHUNK 65536
#define NAME_MAX_BYTES 255

int io_write_all(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int io_pwrite_all(int fd, const void *buf, size_t n, off_t at)
{
	const char *p = buf;

	while (n) {
		ssize_t done = pwrite(fd, p, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

ssize_t io_pread_all(int fd, void *buf, size_t n, off_t at)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r =
			pread(fd, (char *)buf + got, n - got, at + (off_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

int io_read_file(int dirfd, const char *path, struct text *out)
{
	AUTO(auto_close)
	int fd = openat(dirfd, path,
			O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	AUTO(auto_free) char *chunk = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	chunk = malloc(CHUNK);
	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, chunk, CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return text_failed(out);
		text_add_bytes(out, chunk, (size_t)n);
		if (text_failed(out))
			return text_failed(out);
	}
}

static int random_name(char out[NAME_MAX_BYTES + 1], const char *name)
{
	uint64_t r;
	int n;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return -EIO;
	n = snprintf(out, NAME_MAX_BYTES + 1, ".%.200s.%016llx", name,
		     (unsigned long long)r);
	return n > NAME_MAX_BYTES ? -ENAMETOOLONG : 0;
}

int io_replace(int dirfd, const char *name, const void *buf, size_t n,
	       bool sync)
{
	AUTO(auto_close) int fd = -1;
	char temp[NAME_MAX_BYTES + 1];
	int r = random_name(temp, name);

	if (r < 0)
		return r;
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, buf, n);
	if (r == 0 && sync && fdatasync(fd) < 0)
		r = -errno;
	/* Network file systems say here that they could not write. */
	if (close(take_fd(&fd)) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, temp, 0);
	return r;
}

/* 0, also when the folder is there already (a read-only parent does not say
 * EEXIST then). */
static int make_dir(const char *path)
{
	struct stat st;
	int r = mkdir(path, 0700) < 0 ? -errno : 0;

	if (r < 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return r == -EEXIST ? -ENOTDIR : r;
}

int io_mkdirs(const char *path, struct err *err)
{
	AUTO(auto_free) char *copy = strdup(path);

	if (!copy || !*copy)
		return err_errno(err, copy ? ENOENT : ENOMEM,
				 "make folder '%s'", path);
	for (char *p = copy; *p;) {
		char *end = p + strspn(p, "/");

		end += strcspn(end, "/");
		char kept = *end;
		int r;

		*end = '\0';
		r = make_dir(copy);
		if (r < 0)
			return err_errno(err, -r, "make folder '%s'", copy);
		*end = kept;
		p = end;
	}
	return 0;
}

int64_t io_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t io_wall_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec;
}

void io_time_print(int64_t s, char out[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		(void)text_copy(out, 32, "-");
}
