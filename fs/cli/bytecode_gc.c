/* SPDX-License-Identifier: Apache-2.0 */
#include "bytecode.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "kernels/ref.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S 86400
/* What is being written is younger: a module compiles in seconds. */
#define LEFTOVER_S DAY_S
/* No package is that deep; what is stays where it is. */
#define DEEP 64

struct gc {
	int64_t now_s;
	uid_t uid;
	dev_t dev;
	struct bytecode_sum *sum;
};

/* ---- a walk through one folder ---- */

/* 0 or -errno, which ends the walk. */
typedef int entry_work(struct gc *gc, int dir, const char *name);

static int each_entry(struct gc *gc, int dir, entry_work *work)
{
	AUTO(auto_closedir) DIR *d = NULL;
	struct dirent *e;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = work(gc, dir, e->d_name);
	return r;
}

/* Who else may write into a folder may have put anything there. */
static bool is_own(const struct stat *st, uid_t uid)
{
	return st->st_uid == uid && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* A folder of ours on this filesystem, or -ENOENT with it counted as left. */
static int open_own(struct gc *gc, int dir, const char *name, struct stat *st)
{
	AUTO(auto_close) int fd = bytecode_open_folder(dir, name, st);

	if (fd == -ENOENT) /* another cleaner was here */
		return -ENOENT;
	if (fd < 0 || !is_own(st, gc->uid) || st->st_dev != gc->dev) {
		gc->sum->left++;
		return -ENOENT;
	}
	return take_fd(&fd);
}

static bool is_older(const struct gc *gc, const struct stat *st, int64_t age_s)
{
	return st->st_mtime < gc->now_s - age_s;
}

/* A file goes when it is ours, and a file. */
static void drop_file(struct gc *gc, int dir, const char *name,
		      const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || !is_own(st, gc->uid))
		gc->sum->left++;
	else if (unlinkat(dir, name, 0) == 0)
		gc->sum->bytes += (uint64_t)st->st_size;
}

/* ---- below a commit, however deep ---- */

struct level {
	DIR *d; /* owned */
	char name[NAME_MAX + 1];
};

struct walk {
	struct level levels[DEEP];
	size_t depth;
	bool all; /* else what died half written */
};

static int enter(struct walk *w, const char *name, int fd)
{
	struct level *l = &w->levels[w->depth];
	int r = text_copy(l->name, sizeof(l->name), name);

	if (r == 0) {
		l->d = fdopendir(fd);
		r = l->d ? 0 : -errno;
	}
	if (r < 0)
		(void)close(fd);
	else
		w->depth++;
	return r;
}

/* The folder that is done goes with what was in it; rmdir() takes none that
 * somebody has just put something into. */
static void leave(struct walk *w)
{
	struct level *l = &w->levels[--w->depth];

	(void)closedir(l->d);
	if (w->all && w->depth)
		(void)unlinkat(dirfd(w->levels[w->depth - 1].d), l->name,
			       AT_REMOVEDIR);
}

/* Of a writer that was killed; a lock file is nobody's, and stays. */
static bool is_leftover(const struct gc *gc, const char *name,
			const struct stat *st)
{
	return !text_ends(name, ".pyc") && strcmp(name, ".lock") != 0 &&
	       is_older(gc, st, LEFTOVER_S);
}

static int look(struct gc *gc, struct walk *w, const char *name)
{
	int dir = dirfd(w->levels[w->depth - 1].d);
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(st.st_mode)) {
		if (w->depth == DEEP) {
			gc->sum->left++;
			return 0;
		}
		fd = open_own(gc, dir, name, &st);
		return fd < 0 ? 0 : enter(w, name, fd);
	}
	if (w->all || (S_ISREG(st.st_mode) && is_leftover(gc, name, &st)))
		drop_file(gc, dir, name, &st);
	return 0;
}

/* `folder` is taken. */
static int walk_below(struct gc *gc, int folder, bool all)
{
	AUTO(auto_free) struct walk *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		(void)close(folder);
		return -ENOMEM;
	}
	w->all = all;
	r = enter(w, "", folder);
	while (w->depth) {
		struct dirent *e =
			r < 0 ? NULL : readdir(w->levels[w->depth - 1].d);

		if (!e)
			leave(w);
		else if (strcmp(e->d_name, ".") != 0 &&
			 strcmp(e->d_name, "..") != 0)
			r = look(gc, w, e->d_name);
	}
	return r;
}

/* ---- the levels of the layout ---- */

/* "relu@" and 40 hex digits. */
static bool is_commit(const char *name)
{
	const char *at = strrchr(name, '@');

	return at && at != name && text_is_hex(at + 1, REF_COMMIT_LEN);
}

static int clean_commit(struct gc *gc, int dir, const char *name)
{
	struct stat st;
	int fd, r;
	bool old;

	if (!is_commit(name))
		return 0;
	fd = open_own(gc, dir, name, &st);
	if (fd < 0)
		return 0;
	old = is_older(gc, &st, (int64_t)BYTECODE_UNUSED_DAYS * DAY_S);
	r = walk_below(gc, fd, old);
	if (old && unlinkat(dir, name, AT_REMOVEDIR) == 0)
		gc->sum->commits++;
	return r;
}

/* The door's own pieces, by their hash. */
static int clean_piece(struct gc *gc, int dir, const char *name)
{
	struct stat st;
	bool kept = text_ends(name, ".pyc");

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    S_ISDIR(st.st_mode))
		return 0;
	if (is_older(gc, &st,
		     kept ? (int64_t)BYTECODE_UNUSED_DAYS * DAY_S : LEFTOVER_S))
		drop_file(gc, dir, name, &st);
	return 0;
}

/* Nobody is about to fill a folder that is empty for a day. */
static void drop_empty(struct gc *gc, int dir, const char *name,
		       const struct stat *st, size_t commits)
{
	if (gc->sum->commits > commits || is_older(gc, st, LEFTOVER_S))
		(void)unlinkat(dir, name, AT_REMOVEDIR);
}

static int clean_owner(struct gc *gc, int dir, const char *name)
{
	size_t commits = gc->sum->commits;
	struct stat st;
	AUTO(auto_close) int fd = open_own(gc, dir, name, &st);
	int r = 0;

	if (fd < 0)
		return 0;
	/* An owner may have that name, too. */
	if (!strcmp(name, "door"))
		r = each_entry(gc, fd, clean_piece);
	if (r == 0)
		r = each_entry(gc, fd, clean_commit);
	drop_empty(gc, dir, name, &st, commits);
	return r;
}

/* "cpython-311.0" */
static int clean_tag(struct gc *gc, int dir, const char *name)
{
	size_t commits = gc->sum->commits;
	const char *dot = strrchr(name, '.');
	struct stat st;
	AUTO(auto_close) int fd = -1;
	int r;

	if (!dot || dot == name || !dot[1] || dot[2])
		return 0;
	fd = open_own(gc, dir, name, &st);
	if (fd < 0)
		return 0;
	r = each_entry(gc, fd, clean_owner);
	drop_empty(gc, dir, name, &st, commits);
	return r;
}

int bytecode_gc(int folder, int64_t now_s, struct bytecode_sum *sum)
{
	struct gc gc = { .now_s = now_s, .uid = geteuid(), .sum = sum };
	struct stat st;

	if (fstat(folder, &st) < 0)
		return -errno;
	gc.dev = st.st_dev;
	return each_entry(&gc, folder, clean_tag);
}
