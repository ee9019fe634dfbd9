/* SPDX-License-Identifier: Apache-2.0 */
#include "bytecode.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int bytecode_open_folder(int dir, const char *name, struct stat *st)
{
	AUTO(auto_close)
	int fd = openat(dir, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	return take_fd(&fd);
}

int bytecode_base(struct text *out, struct err *err)
{
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (cache && *cache && *cache != '/')
		return err_set(err, ENOENT,
			       "XDG_CACHE_HOME '%.200s' is no absolute path",
			       cache);
	if ((!cache || !*cache) && (!home || *home != '/'))
		return err_set(err, ENOENT,
			       "neither XDG_CACHE_HOME nor HOME is a path");
	if (cache && *cache)
		text_add(out, cache);
	else
		text_printf(out, "%s/.cache", home);
	return text_failed(out) ? err_errno(err, -text_failed(out), "HOME") : 0;
}

static int refuse(int r, const char *base, const char *below, struct err *err)
{
	if (r == -ENOENT)
		return r;
	if (r == -ELOOP || r == -ENOTDIR)
		return err_set(err, EPERM, "'%.400s%s' is no folder", base,
			       below);
	return err_errno(err, -r, "'%.400s%s'", base, below);
}

/* As the door's trusted(): may nobody else put one folder of ours in the
 * place of another? A group that has our number is ours alone. */
static int check_base(int fd, const char *base, struct err *err)
{
	struct stat st;
	mode_t others = S_IWGRP | S_IWOTH;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "'%.400s'", base);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, EPERM,
			       "'%.400s' belongs to user %u, not to you (%u)",
			       base, (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_uid == geteuid() && st.st_gid == st.st_uid)
		others = S_IWOTH;
	if ((st.st_mode & others) && !(st.st_mode & S_ISVTX))
		return err_set(err, EPERM, "others may write into '%.400s'",
			       base);
	return 0;
}

int bytecode_open(const char *base, struct err *err)
{
	static const char *const names[] = { "kernelfs", "bytecode" };
	static const char *const below[] = { "/kernelfs",
					     "/kernelfs/bytecode" };
	/* HOME itself may be reached by a link. */
	AUTO(auto_close)
	int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return refuse(-errno, base, "", err);
	r = check_base(fd, base, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct stat st;
		int next = bytecode_open_folder(fd, names[i], &st);

		if (next < 0)
			return refuse(next, base, below[i], err);
		(void)close(fd);
		fd = next;
		if (st.st_uid != geteuid())
			return err_set(err, EPERM,
				       "'%.400s%s' belongs to user %u, not to "
				       "you (%u)",
				       base, below[i], (unsigned)st.st_uid,
				       (unsigned)geteuid());
		if (st.st_mode & (S_IWGRP | S_IWOTH))
			return err_set(err, EPERM,
				       "others may write into '%.400s%s'", base,
				       below[i]);
	}
	return take_fd(&fd);
}

/* The door makes nothing in a folder of somebody else, whom it might lock
 * out of what is theirs. */
static int may_make(const char *folder, struct err *err)
{
	struct stat st;

	if (stat(folder, &st) < 0)
		return err_errno(err, errno, "'%.400s'", folder);
	if (st.st_uid != geteuid())
		return err_set(err, EPERM,
			       "'%.400s' belongs to user %u, not to you (%u)",
			       folder, (unsigned)st.st_uid,
			       (unsigned)geteuid());
	if (access(folder, W_OK | X_OK) < 0)
		return err_errno(err, errno, "'%.400s'", folder);
	return 0;
}

int bytecode_usable(const char *base, struct err *err)
{
	AUTO(auto_close) int fd = bytecode_open(base, err);
	AUTO(auto_free) char *parent = NULL;
	char *slash;

	if (fd != -ENOENT)
		return fd < 0 ? fd : 0;
	if (access(base, F_OK) == 0)
		return may_make(base, err);
	parent = text_dup(base, strlen(base));
	slash = parent ? strrchr(parent, '/') : NULL;
	if (!slash)
		return err_errno(err, ENOMEM, "'%.400s'", base);
	slash[slash == parent] = '\0';
	return may_make(parent, err);
}
