/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 65536

/* The child's last words: its result, then its text. */
static void __attribute__((noreturn))
be_child(int fd, guard_work *work, void *arg, size_t limit)
{
	struct text out = TEXT_INIT(limit);
	int r = work(arg, &out);

	if (r == 0)
		r = text_failed(&out);
	if (io_write_all(fd, &r, sizeof(r)) == 0)
		(void)io_write_all(fd, text_str(&out), out.len);
	_exit(0);
}

/* 0 at the end of what the child wrote, or -errno. */
static int collect(int fd, int64_t until, struct text *in)
{
	AUTO(auto_free) char *chunk = malloc(CHUNK);

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - io_now_ms();
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, chunk, CHUNK);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			text_add_bytes(in, chunk, (size_t)n);
		if (text_failed(in))
			return text_failed(in);
	}
}

static int take(const struct text *in, struct text *out)
{
	int r;

	if (in->len < sizeof(r)) /* it died */
		return -EIO;
	memcpy(&r, in->s, sizeof(r));
	text_add_bytes(out, in->s + sizeof(r), in->len - sizeof(r));
	return r < 0 ? r : text_failed(out);
}

int guard_run(guard_work *work, void *arg, struct text *out, int64_t timeout_ms)
{
	AUTO(auto_text)
	struct text in = TEXT_INIT(out->limit - out->len + sizeof(int));
	AUTO(auto_close) int from = -1;
	int ends[2], status, r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	from = ends[0];
	pid = fork();
	if (pid < 0) {
		r = -errno;
		(void)close(ends[1]);
		return r;
	}
	if (pid == 0)
		be_child(ends[1], work, arg, out->limit - out->len);
	(void)close(ends[1]);
	r = collect(from, io_now_ms() + timeout_ms, &in);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : take(&in, out);
}

/* ---- two kinds of work ---- */

union path_arg {
	const char *path;
	void *arg;
};

static int read_work(void *arg, struct text *out)
{
	return io_read_file(AT_FDCWD, arg, out);
}

static int realpath_work(void *arg, struct text *out)
{
	char *real = realpath(arg, NULL);

	if (!real)
		return -errno;
	text_add(out, real);
	free(real);
	return 0;
}

int guard_read_file(const char *path, struct text *out)
{
	union path_arg a = { .path = path };

	return guard_run(read_work, a.arg, out, GUARD_MS);
}

int guard_realpath(const char *path, struct text *out)
{
	union path_arg a = { .path = path };

	return guard_run(realpath_work, a.arg, out, GUARD_MS);
}

int guard_explain(int r, const char *path, struct err *err)
{
	switch (-r) {
	case ETIMEDOUT:
		return err_set(err, ETIMEDOUT,
			       "'%s' does not answer within "
			       "%d s; kernelfs umount -z '%s' takes it away",
			       path, GUARD_MS / 1000, path);
	case ENOTCONN:
	case ECONNABORTED:
		return err_set(err, ENOTCONN,
			       "'%s': its daemon is gone; run: "
			       "kernelfs umount '%s'",
			       path, path);
	case EACCES:
		return err_set(err, EACCES,
			       "'%s': not allowed; a mount is "
			       "its owner's alone unless it was made with "
			       "-o allow_other",
			       path);
	default:
		return err_errno(err, -r, "'%s'", path);
	}
}
