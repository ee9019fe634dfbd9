/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* One write, so that the parent reads all or nothing of it. */
struct message {
	int result; /* 0, or -errno */
	char text[ERR_TEXT_MAX];
};

static int wait_for_child(int fd, pid_t pid, struct err *err)
{
	struct message m = { .result = 0 };
	int status = 0;
	ssize_t n;

	do
		n = read(fd, &m, sizeof(m));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(m) && m.result == 0)
		return 1;
	(void)waitpid(pid, &status, 0);
	if (n == (ssize_t)sizeof(m)) {
		m.text[sizeof(m.text) - 1] = '\0';
		return err_set(err, -m.result, "%s", m.text);
	}
	if (WIFSIGNALED(status))
		return err_set(err, EIO,
			       "the background process died of "
			       "signal %d (%s)",
			       WTERMSIG(status), strsignal(WTERMSIG(status)));
	return err_set(err, EIO,
		       "the background process ended with status "
		       "%d before it served",
		       WEXITSTATUS(status));
}

/* Ctrl-C while the parent waits shall end both: pass it on. */
static volatile sig_atomic_t child_pid;

static void pass_on(int sig)
{
	int kept = errno;

	if (child_pid > 0)
		(void)kill((pid_t)child_pid, sig);
	errno = kept;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = pass_on };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		(void)sigaction(signals[i], &sa, NULL);
}

int daemon_fork(struct daemon *d, struct err *err)
{
	int ends[2];
	pid_t pid;
	int r;

	d->pipe = -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "go to the background");
	pid = fork();
	if (pid < 0) {
		r = err_errno(err, errno, "go to the background");
		(void)close(ends[0]);
		(void)close(ends[1]);
		return r;
	}
	if (pid == 0) {
		(void)close(ends[0]);
		(void)setsid();
		d->pipe = ends[1];
		return 0;
	}
	child_pid = (sig_atomic_t)pid;
	catch_signals();
	(void)close(ends[1]);
	r = wait_for_child(ends[0], pid, err);
	(void)close(ends[0]);
	return r;
}

static void tell(struct daemon *d, const struct message *m)
{
	if (d->pipe < 0)
		return;
	/* A parent that is gone needs no answer; SIGPIPE is ignored. */
	(void)io_write_all(d->pipe, m, sizeof(*m));
	(void)close(take_fd(&d->pipe));
}

void daemon_ready(struct daemon *d)
{
	struct message m = { .result = 0 };
	int null;

	if (d->pipe < 0)
		return;
	if (chdir("/") < 0)
		return; /* cannot be: nobody is told that it serves */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		for (int fd = 0; fd < 3; fd++)
			(void)dup2(null, fd);
		if (null > 2)
			(void)close(null);
	}
	tell(d, &m);
}

void daemon_failed(struct daemon *d, int r, const struct err *err)
{
	struct message m = { .result = r };

	(void)snprintf(m.text, sizeof(m.text), "%s", err_text(err));
	tell(d, &m);
}
