/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "where.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER "fusermount3"
#define SAID_MAX 4096

static int busy(const char *path, struct err *err)
{
	return err_set(err, EBUSY,
		       "'%s' is busy: end what uses it (fuser -vm "
		       "'%s' lists it), or run: kernelfs umount -z '%s'",
		       path, path, path);
}

static int as_root(const char *path, bool lazy, struct err *err)
{
	if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno == EBUSY)
		return busy(path, err);
	if (errno == EPERM)
		return err_set(err, EPERM,
			       "'%s': this process may not "
			       "unmount; it needs CAP_SYS_ADMIN",
			       path);
	return err_errno(err, errno, "unmount '%s'", path);
}

static void __attribute__((noreturn))
be_helper(int said, const char *path, bool lazy)
{
	const char *plain[] = { HELPER, "-u", "--", path, NULL };
	const char *with_z[] = { HELPER, "-u", "-z", "--", path, NULL };
	union {
		const char **said;
		char *const *wanted;
	} argv = { .said = lazy ? with_z : plain };

	if (dup2(said, STDERR_FILENO) >= 0)
		(void)execvp(HELPER, argv.wanted);
	_exit(127);
}

static void read_all(int fd, struct text *out)
{
	char chunk[512];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) /* what is beyond the limit nobody needs */
			text_add_bytes(out, chunk, (size_t)n);
	}
}

static int as_user(const char *path, bool lazy, struct err *err)
{
	AUTO(auto_text) struct text said = TEXT_INIT(SAID_MAX);
	int ends[2], status = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "pipe");
	pid = fork();
	if (pid == 0)
		be_helper(ends[1], path, lazy);
	(void)close(ends[1]);
	if (pid > 0)
		read_all(ends[0], &said);
	(void)close(ends[0]);
	if (pid < 0)
		return err_errno(err, errno, "fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ENOENT,
			       "'" HELPER "' cannot be run; "
			       "install the package fuse3, or unmount as root");
	if (strstr(text_str(&said), "busy"))
		return busy(path, err);
	if (strstr(text_str(&said), "not found in"))
		return err_set(err, EPERM,
			       "'%s' was not mounted by you; "
			       "unmount it as who did, or as root",
			       path);
	return err_set(err, EPERM, "unmount '%s': %.*s", path,
		       (int)strcspn(text_str(&said), "\n"), text_str(&said));
}

int verb_umount(const struct cli *c)
{
	struct where w = { .mount = NULL };
	struct err err = ERR_INIT;
	int r = where_find(&w, c->words[0], &err);

	if (r == 0 && *w.rest)
		r = err_set(&err, ENOENT,
			    "'%s' lies in the mount '%s'; run: "
			    "kernelfs umount '%s'",
			    w.path, w.mount, w.mount);
	else if (r == 0 && geteuid() == 0)
		r = as_root(w.mount, c->o->lazy, &err);
	else if (r == 0)
		r = as_user(w.mount, c->o->lazy, &err);
	where_done(&w);
	return r < 0 ? cli_fail(r, &err) : CLI_DONE;
}
