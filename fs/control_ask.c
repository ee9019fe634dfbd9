/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end, and what both share.
 */
#include "control.h"

#include "control_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4096

/* ---- shared ---- */

int control_in_address(int folder, const char *name, struct sockaddr_un *out,
		       socklen_t *n)
{
	int len;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	len = snprintf(out->sun_path, sizeof(out->sun_path),
		       "/proc/self/fd/%d/%s", folder, name);
	if (len < 0 || (size_t)len >= sizeof(out->sun_path))
		return -ENAMETOOLONG;
	*n = (socklen_t)sizeof(*out);
	return 0;
}

struct sockaddr *control_in_generic(struct sockaddr_un *at)
{
	void *p = at;

	return p;
}

int control_in_connect(int folder, const char *name)
{
	AUTO(auto_close)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un at;
	socklen_t n;
	int r = control_in_address(folder, name, &at, &n);

	if (fd < 0)
		return -errno;
	/* A Unix socket connects at once, or its backlog is full (EAGAIN). */
	if (r == 0 && connect(fd, control_in_generic(&at), n) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(&fd);
}

/* 0 when fd is ready for `events`. */
static int wait_ready(int fd, short events, int stop, int64_t until)
{
	for (;;) {
		struct pollfd p[] = { { .fd = fd, .events = events },
				      { .fd = stop, .events = POLLIN } };
		int64_t left = until - io_now_ms();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(p, stop < 0 ? 1 : 2, (int)left) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (stop >= 0 && p[1].revents)
			return -ECANCELED;
		if (p[0].revents)
			return 0;
	}
}

int control_in_read_line(int fd, int stop, int64_t until, struct text *line)
{
	char chunk[CHUNK];

	for (;;) {
		const char *end;
		ssize_t n;
		int r = wait_ready(fd, POLLIN, stop, until);

		if (r < 0)
			return r;
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		end = memchr(chunk, '\n', (size_t)n);
		text_add_bytes(line, chunk,
			       end ? (size_t)(end - chunk) : (size_t)n);
		if (text_failed(line))
			return text_failed(line);
		if (end)
			return 0;
	}
}

int control_in_write(int fd, int stop, int64_t until, const struct text *t)
{
	size_t done = 0;
	int r = text_failed(t);

	while (r == 0 && done < t->len) {
		ssize_t n;

		r = wait_ready(fd, POLLOUT, stop, until);
		if (r < 0)
			break;
		n = send(fd, t->s + done, t->len - done, MSG_NOSIGNAL);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			r = -errno;
	}
	return r;
}

/* ---- asking ---- */

/* The folder of a path; its last step in *name. */
static int open_parent(const char *path, const char **name)
{
	AUTO(auto_free) char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;
	int fd;

	if (!parent)
		return -ENOMEM;
	if (!slash || slash == parent || !slash[1])
		return -EINVAL;
	*name = path + (slash - parent) + 1;
	*slash = '\0';
	fd = open(parent, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* We tell nothing to what somebody else has put there. */
static int check_peer(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t n = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return -errno;
	return peer.uid == geteuid() ? 0 : -EACCES;
}

static int exchange(int fd, const struct text *request, int64_t until,
		    struct text *answer)
{
	int r = check_peer(fd);

	if (r == 0)
		r = control_in_write(fd, -1, until, request);
	if (r == 0)
		r = control_in_read_line(fd, -1, until, answer);
	return r;
}

int control_ask(const char *path, const struct text *request,
		int64_t timeout_ms, struct text *answer, struct err *err)
{
	AUTO(auto_close) int folder = -1;
	AUTO(auto_close) int fd = -1;
	const char *name = NULL;
	int r = open_parent(path, &name);

	if (r >= 0) {
		folder = r;
		r = control_in_connect(folder, name);
	}
	if (r >= 0) {
		fd = r;
		r = exchange(fd, request, io_now_ms() + timeout_ms, answer);
	}
	switch (-r) {
	case 0:
		return 0;
	case EACCES:
	case EPIPE: /* it does not answer others */
		return err_set(err, EACCES,
			       "'%s': only the user whose mount it is may "
			       "tell it something",
			       path);
	case ECONNREFUSED:
	case ENOENT:
		return err_set(err, ENOTCONN,
			       "'%s': nobody listens there; is the mount's "
			       "daemon another machine's or container's?",
			       path);
	default:
		return err_errno(err, -r, "'%s'", path);
	}
}
