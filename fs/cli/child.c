/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include "setup.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 65536
#define TICK_MS 20
/* For what it has half written; setup.c gives this process little more. */
#define GRACE_MS 150

/* Our ends; -1 once the other side has closed, or has all. */
struct talk {
	const struct child *c;
	size_t sent;
	int in, out, said;
	char *chunk; /* owned */
};

/* A socket and not a pipe: who is gone is EPIPE, and no signal. */
static int make_ends(int theirs[3], struct talk *t)
{
	int ours[3] = { -1, -1, -1 };

	for (int i = 0; i < 3; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) <
		    0)
			return -errno;
		ours[i] = ends[0];
		theirs[i] = ends[1];
		t->in = ours[0];
		t->out = ours[1];
		t->said = ours[2];
	}
	return 0;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static int spawn(pid_t *pid, const struct child *c, const int theirs[3])
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	union {
		const char *const *from;
		char *const *to;
	} argv = { .from = c->argv }, env = { .from = c->env };
	sigset_t none, all;
	int r = posix_spawn_file_actions_init(&files);

	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		(void)posix_spawn_file_actions_destroy(&files);
		return -r;
	}
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	for (int i = 0; r == 0 && i < 3; i++)
		r = posix_spawn_file_actions_adddup2(&files, theirs[i], i);
	if (r == 0)
		r = posix_spawn_file_actions_addchdir_np(&files, "/");
	/* Ours are blocked, for the thread that waits for them. */
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETPGROUP);
	if (r == 0)
		r = posix_spawn(pid, c->argv[0], &files, &attr, argv.to,
				env.to);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* ---- the talk ---- */

static void send_some(struct talk *t)
{
	const struct text *in = t->c->in;
	ssize_t n = send(t->in, text_str(in) + t->sent, in->len - t->sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		t->sent += (size_t)n;
	else if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || t->sent == in->len) /* it reads no more, or has it all */
		close_end(&t->in);
}

/* -E2BIG when `to` is full and may not be cut. */
static int take_some(struct talk *t, int *fd, struct text *to, bool may_cut)
{
	ssize_t n = recv(*fd, t->chunk, CHUNK, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close_end(fd);
		return 0;
	}
	if (may_cut && (size_t)n > to->limit - to->len)
		n = (ssize_t)(to->limit - to->len);
	text_add_bytes(to, t->chunk, (size_t)n);
	return text_failed(to);
}

static int talk(struct talk *t, int64_t until)
{
	int r = 0;

	while (r == 0 && (t->out >= 0 || t->said >= 0)) {
		struct pollfd p[3] = {
			{ .fd = t->in, .events = POLLOUT },
			{ .fd = t->out, .events = POLLIN },
			{ .fd = t->said, .events = POLLIN },
		};

		if (setup_interrupted())
			return -ECANCELED;
		if (io_now_ms() >= until)
			return -ETIMEDOUT;
		if (poll(p, 3, TICK_MS) <= 0)
			continue;
		if (p[0].revents)
			send_some(t);
		if (p[1].revents)
			r = take_some(t, &t->out, t->c->out, false);
		if (r == 0 && p[2].revents)
			r = take_some(t, &t->said, t->c->said, true);
	}
	return r;
}

/* ---- its end ---- */

/* Has it ended before that? Its status then. */
static bool await(pid_t pid, int *status, int64_t until)
{
	for (;;) {
		pid_t r = waitpid(pid, status, WNOHANG);

		if (r == pid || (r < 0 && errno != EINTR))
			return true;
		if (io_now_ms() >= until)
			return false;
		(void)poll(NULL, 0, 1);
	}
}

/* What it has started itself goes with it. */
static void end(pid_t pid, int *status)
{
	(void)kill(-pid, SIGINT);
	if (await(pid, status, io_now_ms() + GRACE_MS))
		return;
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
}

int child_run(const struct child *c)
{
	AUTO(auto_free) char *chunk = malloc(CHUNK);
	struct talk t = {
		.c = c, .in = -1, .out = -1, .said = -1, .chunk = chunk
	};
	int theirs[3] = { -1, -1, -1 }, status = 0, r;
	int64_t until = io_now_ms() + c->timeout_ms;
	pid_t pid = -1;

	r = chunk ? make_ends(theirs, &t) : -ENOMEM;
	if (r == 0)
		r = spawn(&pid, c, theirs);
	for (int i = 0; i < 3; i++)
		close_end(&theirs[i]);
	if (r == 0) {
		r = talk(&t, until);
		/* It says no more: it is about to end. */
		if (r < 0 || !await(pid, &status, until)) {
			r = r < 0 ? r : -ETIMEDOUT;
			end(pid, &status);
		}
	}
	close_end(&t.in);
	close_end(&t.out);
	close_end(&t.said);
	return r < 0 ? r : status;
}
