/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's end. One peer at a time: only the user's own programs can
 * come as far as accept(), each has CONTROL_PEER_MS, and those behind it wait
 * in the backlog.
 *
 * A socket's name is free for a moment between bind() and listen(), and looks
 * dead then; so the folder is locked while one is born and while the dead are
 * taken away.
 */
#include "control.h"

#include "control_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 16
#define BREATH_MS 100
#define NAME_ROOM 64
#define SUFFIX ".sock"

struct control {
	control_answer *answer;
	void *arg;
	char *path; /* owned */
	char name[NAME_ROOM];
	int folder;
	int listener;
	int stop; /* an eventfd */
	bool running;
	pthread_t thread;
};

/* ---- the folder ---- */

static char *folder_in(const char *parent, const char *name)
{
	struct text t = TEXT_INIT(PATH_MAX);
	char *path;

	text_printf(&t, "%s/%s", parent, name);
	path = text_take(&t);
	text_done(&t);
	return path;
}

static char *folder_path(void)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char name[NAME_ROOM];

	if (geteuid() == 0)
		return folder_in("/run", "kernelfs");
	if (xdg && *xdg == '/')
		return folder_in(xdg, "kernelfs");
	(void)snprintf(name, sizeof(name), "/run/user/%u", (unsigned)geteuid());
	if (access(name, W_OK | X_OK) == 0)
		return folder_in(name, "kernelfs");
	(void)snprintf(name, sizeof(name), "kernelfs-%u", (unsigned)geteuid());
	return folder_in("/tmp", name);
}

/* Ours, a real folder, and closed to others: in /tmp anybody could have made
 * it first. */
static int open_folder(const char *path, struct err *err)
{
	AUTO(auto_close) int fd = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "'%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "'%s'", path);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return err_set(err, EACCES,
			       "'%s': is not yours alone; take it away", path);
	return take_fd(&fd);
}

/* A refused connection is the only sure sign: nobody listens any more. */
static bool is_dead(int folder, const char *name)
{
	AUTO(auto_close) int fd = control_in_connect(folder, name);

	return fd == -ECONNREFUSED;
}

static void sweep(int folder)
{
	int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;

	if (!d) {
		if (copy >= 0)
			(void)close(copy);
		return;
	}
	while ((e = readdir(d))) /* NOLINT(concurrency-mt-unsafe): d is ours */
		if (text_ends(e->d_name, SUFFIX) && is_dead(folder, e->d_name))
			(void)unlinkat(folder, e->d_name, 0);
	(void)closedir(d);
}

/* ---- birth ---- */

static int bind_in(struct control *c, struct err *err)
{
	struct sockaddr_un at;
	socklen_t n;
	int r = control_in_address(c->folder, c->name, &at, &n);

	if (r < 0)
		return err_errno(err, -r, "'%s'", c->path);
	c->listener =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener < 0)
		return err_errno(err, errno, "'%s'", c->path);
	/* One of the same name is of a process that had our number. */
	(void)unlinkat(c->folder, c->name, 0);
	if (bind(c->listener, control_in_generic(&at), n) < 0 ||
	    listen(c->listener, BACKLOG) < 0)
		return err_errno(err, errno, "'%s'", c->path);
	return 0;
}

static int open_socket(struct control *c, const char *mountpoint,
		       struct err *err)
{
	AUTO(auto_free) char *folder = folder_path();
	int r;

	if (!folder)
		return err_errno(err, ENOMEM, "control socket");
	r = open_folder(folder, err);
	if (r < 0)
		return r;
	c->folder = r;
	(void)snprintf(
		c->name, sizeof(c->name), "%016llx-%ld" SUFFIX,
		(unsigned long long)map_hash(mountpoint, strlen(mountpoint)),
		(long)getpid());
	c->path = folder_in(folder, c->name);
	if (!c->path)
		return err_errno(err, ENOMEM, "control socket");
	if (flock(c->folder, LOCK_EX) < 0)
		return err_errno(err, errno, "'%s'", folder);
	sweep(c->folder);
	r = bind_in(c, err);
	(void)flock(c->folder, LOCK_UN);
	return r;
}

/* ---- a peer ---- */

static bool is_ours(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       peer.uid == geteuid();
}

static int answer_line(struct control *c, const struct text *line,
		       struct text *members, struct err *err)
{
	AUTO(auto_json) struct json *j = NULL;
	int r = json_parse_strict(&j, text_str(line), line->len, err);

	if (r == 0 && !json_is_object(j))
		r = err_set(err, EINVAL, "a request is an object");
	return r < 0 ? r : c->answer(c->arg, j, members, err);
}

static void serve_peer(struct control *c, int fd)
{
	AUTO(auto_text) struct text line = TEXT_INIT(CONTROL_REQUEST_MAX);
	AUTO(auto_text) struct text members = TEXT_INIT(CONTROL_ANSWER_MAX);
	AUTO(auto_text)
	struct text answer = TEXT_INIT(CONTROL_ANSWER_MAX + ERR_TEXT_MAX * 6);
	int64_t until = io_now_ms() + CONTROL_PEER_MS;
	struct err err = ERR_INIT;
	int r;

	if (!is_ours(fd)) {
		log_warning("control", "a program of another user was refused");
		return;
	}
	r = control_in_read_line(fd, c->stop, until, &line);
	if (r < 0) {
		log_debug("control", "a request: %s", strerrordesc_np(-r));
		return;
	}
	r = answer_line(c, &line, &members, &err);
	text_printf(&answer, "{\"ok\": %s", r < 0 ? "false" : "true");
	if (r < 0) {
		text_add(&answer, ", \"error\": ");
		text_add_json(&answer, err_text(&err));
	} else {
		text_add_bytes(&answer, text_str(&members), members.len);
	}
	text_add(&answer, "}\n");
	r = control_in_write(fd, c->stop, io_now_ms() + CONTROL_PEER_MS,
			     &answer);
	if (r < 0)
		log_debug("control", "an answer: %s", strerrordesc_np(-r));
}

static void accept_peer(struct control *c)
{
	AUTO(auto_close)
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct pollfd stop = { .fd = c->stop, .events = POLLIN };

	if (fd >= 0)
		serve_peer(c, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		(void)poll(&stop, 1, BREATH_MS); /* it stays in the backlog */
}

static void *serve(void *arg)
{
	struct control *c = arg;
	struct pollfd p[] = { { .fd = c->listener, .events = POLLIN },
			      { .fd = c->stop, .events = POLLIN } };

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents || (p[0].revents & ~POLLIN))
			break;
		if (p[0].revents & POLLIN)
			accept_peer(c);
	}
	return NULL;
}

/* Signals are for the thread that ends the mount. */
static int start_thread(struct control *c, struct err *err)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&c->thread, NULL, serve, c);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return err_errno(err, r, "start a thread");
	c->running = true;
	return 0;
}

int control_new(struct control **out, const char *mountpoint,
		control_answer *answer, void *arg, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_errno(err, ENOMEM, "control socket");
	c->answer = answer;
	c->arg = arg;
	c->folder = c->listener = -1;
	c->stop = eventfd(0, EFD_CLOEXEC);
	r = c->stop < 0 ? err_errno(err, errno, "control socket")
			: open_socket(c, mountpoint, err);
	if (r == 0)
		r = start_thread(c, err);
	if (r < 0) {
		control_free(c);
		return r;
	}
	*out = c;
	return 0;
}

const char *control_path(const struct control *c)
{
	return c->path;
}

void control_free(struct control *c)
{
	const uint64_t one = 1;

	if (!c)
		return;
	if (c->running) {
		(void)io_write_all(c->stop, &one, sizeof(one));
		(void)pthread_join(c->thread, NULL);
	}
	if (c->listener >= 0) {
		(void)unlinkat(c->folder, c->name, 0);
		(void)close(c->listener);
	}
	if (c->folder >= 0)
		(void)close(c->folder);
	if (c->stop >= 0)
		(void)close(c->stop);
	free(c->path);
	free(c);
}
