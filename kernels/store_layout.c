/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Whose folder it is. Who may write it may choose what is served, because a
 * name is trusted once it is there. So it belongs to the user or to root and
 * nobody else may write it; or it is *shared by a group*: its mode has setgid
 * and write for the group, none for the world, and the group is one of ours.
 * What is made in a shared folder is for the group to read and write, past
 * everybody's umask: folders 2770, locks and counts 0660, blobs and
 * notes 0444.
 *
 * Which layout it has. The file `layout` holds a number; a cache without it is
 * older than the file and has layout 1. The rule for the next one: what an
 * older program may overlook (a new kind of note, a new file) leaves the
 * number as it is; what it would read wrongly, or damage, raises it. A
 * program refuses a cache whose number it does not know, and a newer one
 * brings an older layout up to its own, or leaves it as it is.
 */

#define TAG_TEXT \
	"Signature: 8a477f597d28d172789f06886806bc55\n" \
	"# This folder is a cache of kernelfs and may be deleted.\n"

#define STRINGIFY(x) #x
#define TO_STRING(x) STRINGIFY(x)
#define LAYOUT 1
#define LAYOUT_TEXT TO_STRING(LAYOUT) "\n"

/* More than anybody has; who has more is asked only for the first. */
#define GROUPS_MAX 4096

static bool is_our_group(gid_t gid)
{
	AUTO(auto_free) gid_t *groups = calloc(GROUPS_MAX, sizeof(*groups));
	int n = groups ? getgroups(GROUPS_MAX, groups) : 0;

	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return getegid() == gid;
}

static bool is_group_shared(const struct stat *st)
{
	return (st->st_mode & S_ISGID) && (st->st_mode & S_IWGRP) &&
	       !(st->st_mode & S_IWOTH) && is_our_group(st->st_gid);
}

bool store_folder_is_ours(const struct stat *st)
{
	uid_t me = geteuid();

	if (is_group_shared(st))
		return true;
	if (st->st_uid != me && st->st_uid != 0)
		return false;
	return !(st->st_mode & S_IWOTH) &&
	       (!(st->st_mode & S_IWGRP) || st->st_uid == me);
}

static int refuse_owner(const struct store *s, const struct stat *st,
			struct err *err)
{
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return err_set(err, EPERM,
			       "cache '%s' belongs to user %u, who could plant "
			       "files: name another folder with cache=, or "
			       "share it with a group of yours (chmod 2770)",
			       s->path, st->st_uid);
	return err_set(err, EPERM,
		       "cache '%s' can be written by others, who could plant "
		       "files: chmod go-w it, or name another folder with "
		       "cache=",
		       s->path);
}

int store_layout_of(int dir, uint64_t *out)
{
	AUTO(auto_text) struct text t = TEXT_INIT(32);
	int r = io_read_file(dir, "layout", &t);

	if (r == -ENOENT) {
		*out = 1;
		return 0;
	}
	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	if (t.len && t.s[t.len - 1] == '\n')
		t.s[--t.len] = '\0';
	if (strlen(text_str(&t)) != t.len ||
	    text_to_u64(text_str(&t), UINT32_MAX, out) < 0 || *out == 0)
		return -EBADMSG;
	return 0;
}

static int check_layout(struct store *s, struct err *err)
{
	uint64_t layout = 0;
	int r = store_layout_of(s->dir, &layout);

	if (r == -EBADMSG)
		return err_set(err, EPROTONOSUPPORT,
			       "cache '%s': its file 'layout' holds no number: "
			       "remove the folder, or name another one with "
			       "cache=",
			       s->path);
	if (r == 0 && layout > LAYOUT)
		return err_set(err, EPROTONOSUPPORT,
			       "cache '%s' has layout %llu, made by a newer "
			       "kernelfs; this one knows %d: name another "
			       "folder with cache=",
			       s->path, (unsigned long long)layout, LAYOUT);
	/* that it cannot be read is known better by the first blob */
	return 0;
}

/* What marks it; its absence harms nobody, so failure is nothing. */
static void put_mark(struct store *s, const char *name, const char *text)
{
	if (faccessat(s->dir, name, F_OK, 0) == 0)
		return;
	if (io_replace(s->dir, name, text, strlen(text), false) < 0 ||
	    fchmodat(s->dir, name, 0444, 0) < 0)
		return;
}

int store_open_folder(struct store *s, struct err *err)
{
	struct stat st;
	int r;

	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0 && errno == ENOENT) {
		r = io_mkdirs(s->path, err);
		if (r < 0)
			return err_wrap(err, r, "cache '%s'", s->path);
		s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (s->dir < 0 || fstat(s->dir, &st) < 0)
		return store_fail(s, errno, "cannot be opened", err);
	s->folder_mode = 0700;
	s->file_mode = 0600;
	if (st.st_mode & S_IWGRP) {
		s->folder_mode = 0770 | (st.st_mode & S_ISGID);
		s->file_mode = 0660;
	}
	if (!store_folder_is_ours(&st))
		return refuse_owner(s, &st, err);
	r = check_layout(s, err);
	if (r < 0)
		return r;
	put_mark(s, "CACHEDIR.TAG", TAG_TEXT);
	put_mark(s, "layout", LAYOUT_TEXT);
	return 0;
}
