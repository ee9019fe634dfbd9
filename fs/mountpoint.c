/* SPDX-License-Identifier: Apache-2.0 */
#include "mountpoint.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FSTYPE "fuse.kernelfs"

static bool same(void *arg, const char *path)
{
	const char **wanted = arg;

	if (*wanted && !strcmp(*wanted, path))
		*wanted = NULL; /* found */
	return true;
}

static int check_empty(const char *path, struct err *err)
{
	AUTO(auto_closedir) DIR *d = opendir(path);
	const struct dirent *e;

	if (!d)
		return err_errno(err, errno, "mount point '%s'", path);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return err_set(err, ENOTEMPTY,
				       "mount point '%s' is "
				       "not empty ('%s' is in it); mounting "
				       "would hide that, so name an empty "
				       "folder",
				       path, e->d_name);
	return 0;
}

int mountpoint_check(const char *name, char **path, struct err *err)
{
	AUTO(auto_free) char *real = realpath(name, NULL);
	const char *wanted;
	struct stat st;
	int r;

	if (!real && errno == ENOTCONN)
		return err_set(err, ENOTCONN,
			       "'%s' is a mount whose daemon is "
			       "gone; run: kernelfs umount '%s'",
			       name, name);
	if (!real && errno == ENOENT)
		return err_set(err, ENOENT,
			       "mount point '%s' does not exist; "
			       "run: mkdir -p '%s'",
			       name, name);
	if (!real)
		return err_errno(err, errno, "mount point '%s'", name);
	wanted = real;
	r = mountpoint_each(same, (void *)&wanted, err);
	if (r < 0)
		return r;
	if (!wanted)
		return err_set(err, EBUSY,
			       "'%s' is a kernelfs mount already; "
			       "kernelfs status '%s' shows it, kernelfs umount "
			       "'%s' ends it",
			       real, real, real);
	if (stat(real, &st) < 0)
		return err_errno(err, errno, "mount point '%s'", real);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "mount point '%s' is no folder",
			       real);
	r = check_empty(real, err);
	if (r < 0)
		return r;
	*path = TAKE(real);
	return 0;
}

int mountpoint_each(bool (*each)(void *arg, const char *path), void *arg,
		    struct err *err)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	char buf[PATH_MAX * 2];
	struct mntent m;

	if (!f)
		return err_errno(err, errno, "/proc/self/mounts");
	while (getmntent_r(f, &m, buf, (int)sizeof(buf)))
		if (!strcmp(m.mnt_type, FSTYPE) && !each(arg, m.mnt_dir))
			break;
	(void)endmntent(f);
	return 0;
}

struct search {
	const char *path;
	char *best; /* owned */
};

static bool deepest(void *arg, const char *mount)
{
	struct search *s = arg;
	size_t len = strlen(mount);

	if (strncmp(s->path, mount, len) != 0 ||
	    (s->path[len] != '\0' && s->path[len] != '/'))
		return true;
	if (!s->best || strlen(s->best) <= len) {
		free(s->best);
		s->best = strdup(mount);
	}
	return true;
}

/* The path made absolute by its text alone: no look at what it names. */
static char *absolute(const char *path)
{
	AUTO(auto_text) struct text t = TEXT_INIT(2 * PATH_MAX);
	AUTO(auto_free) char *cwd = NULL;

	if (*path != '/') {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return NULL;
		text_printf(&t, "%s/", cwd);
	}
	text_add(&t, path);
	while (t.len > 1 && t.s[t.len - 1] == '/')
		t.s[--t.len] = '\0';
	return text_take(&t);
}

int mountpoint_of(const char *path, char **out, struct err *err)
{
	AUTO(auto_free) char *full = absolute(path);
	struct search s = { full, NULL };
	int r;

	if (!full)
		return err_errno(err, ENOMEM, "'%s'", path);
	r = mountpoint_each(deepest, &s, err);
	if (r < 0)
		return r;
	if (!s.best)
		return err_set(err, ENOENT, "'%s' is not in a kernelfs mount",
			       path);
	*out = s.best;
	return 0;
}
