/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "store_room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Small facts by key. The file's name is the SHA-256 of the key, so that two
 * keys never share a file and the file holds nothing but the fact: a listing
 * is mapped from it as it stands. Notes are replaced whole, synced if that
 * is asked for, and their age is the age of the file.
 */

/* Kinds are words of ours; a length keeps them inside STORE_NAME_MAX less
 * the six of "notes/". */
#define KIND_MAX 32
#define NOTE_NAME_MAX (6 + KIND_MAX + 1 + 3 + DIGEST_HEX_MAX)

struct note_name {
	char folder[STORE_NAME_MAX];
	char hex[DIGEST_HEX_MAX];
};

static int name_note(struct note_name *out, const char *kind, const char *key)
{
	struct hasher *h;
	struct digest d;
	size_t n = strspn(kind, "abcdefghijklmnopqrstuvwxyz-");
	int r;

	if (n == 0 || n > KIND_MAX || kind[n])
		return -EINVAL;
	r = hasher_new(&h, DIGEST_SHA256, 0, NULL);
	if (r < 0)
		return r;
	r = hasher_add(h, key, strlen(key));
	if (r == 0)
		r = hasher_end(h, &d);
	hasher_free(h);
	if (r < 0)
		return r;
	digest_print(&d, out->hex);
	(void)snprintf(out->folder, sizeof(out->folder), "notes/%.32s/%.2s",
		       kind, out->hex);
	return 0;
}

/* Written where leftovers are cleaned away, then moved to its name. */
static int replace_note(struct store *s, int folder, const char *hex,
			const void *p, size_t n, bool sync)
{
	AUTO(auto_close) int partial = -1;
	char temp[STORE_NAME_MAX];
	AUTO(auto_close) int fd = store_open_partial(s, hex, &partial, temp);
	int r;

	if (fd < 0)
		return fd;
	r = io_write_all(fd, p, n);
	if (r == 0 && sync && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(partial, temp, folder, hex) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(partial, temp, 0);
	return r;
}

int store_note_write(struct store *s, const char *kind, const char *key,
		     const void *p, size_t n, struct err *err)
{
	AUTO(auto_close) int folder = -1;
	struct note_name name;
	int r = name_note(&name, kind, key);

	if (r < 0)
		return store_fail(s, -r, "note cannot be named", err);
	folder = store_make_folder(s, name.folder);
	r = folder < 0 ? folder : replace_note(s, folder, name.hex, p, n, true);
	if (r < 0)
		return store_fail(s, -r, "note cannot be written", err);
	return 0;
}

int store_note_hint(struct store *s, const char *kind, const char *key,
		    const void *p, size_t n)
{
	AUTO(auto_close) int folder = -1;
	struct note_name name;
	int r = name_note(&name, kind, key);
	bool made;

	if (r < 0)
		return r;
	folder = store_make_folder_hint(s, name.folder, &made);
	if (folder < 0)
		return folder;
	return replace_note(s, folder, name.hex, p, n, false);
}

static int path_of(char path[NOTE_NAME_MAX], const char *kind, const char *key)
{
	struct note_name name;
	int r = name_note(&name, kind, key);

	if (r == 0)
		(void)snprintf(path, NOTE_NAME_MAX, "%.41s/%s", name.folder,
			       name.hex);
	return r;
}

int store_note_settle(struct store *s, const char *kind, const char *key)
{
	AUTO(auto_close) int folder = -1;
	AUTO(auto_close) int fd = -1;
	struct note_name name;
	int r = name_note(&name, kind, key);

	if (r < 0)
		return r;
	folder = openat(s->dir, name.folder,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder < 0)
		return -errno;
	fd = store_open_below(folder, name.hex);
	if (fd < 0)
		return fd;
	return fsync(fd) < 0 || fsync(folder) < 0 ? -errno : 0;
}

int store_note_touch(struct store *s, const char *kind, const char *key)
{
	char path[NOTE_NAME_MAX];
	int r = path_of(path, kind, key);

	if (r < 0)
		return r;
	r = utimensat(s->dir, path, NULL, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? -errno : 0;
}

void store_note_remove(struct store *s, const char *kind, const char *key)
{
	char path[NOTE_NAME_MAX];

	if (path_of(path, kind, key) == 0)
		(void)unlinkat(s->dir, path, 0);
}

struct note_walk {
	size_t max;
	store_note_each *each;
	void *arg;
};

static int tell_note(const struct note_walk *w, int folder, const char *name)
{
	AUTO(auto_text) struct text note = TEXT_INIT(w->max);
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    io_read_file(folder, name, &note) < 0)
		return 0;
	return w->each(w->arg, &note, (int64_t)st.st_mtim.tv_sec);
}

static int each_in(const struct note_walk *w, int parent, const char *name,
		   int (*one)(const struct note_walk *w, int folder,
			      const char *name))
{
	AUTO(auto_closedir) DIR *d = NULL;
	int fd = openat(parent, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *e;
	int r = 0;

	if (fd < 0)
		return 0;
	d = fdopendir(fd);
	if (!d) {
		(void)close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.')
			r = one(w, fd, e->d_name);
	return r;
}

static int each_in_hex(const struct note_walk *w, int folder, const char *name)
{
	return each_in(w, folder, name, tell_note);
}

int store_note_walk(struct store *s, const char *kind, size_t max,
		    store_note_each *each, void *arg)
{
	struct note_walk w = { .max = max, .each = each, .arg = arg };
	char folder[STORE_NAME_MAX];

	(void)snprintf(folder, sizeof(folder), "notes/%.32s", kind);
	return each_in(&w, s->dir, folder, each_in_hex);
}

int store_note_open(struct store *s, const char *kind, const char *key)
{
	char path[NOTE_NAME_MAX];
	int r = path_of(path, kind, key);

	if (r < 0)
		return r;
	r = store_open_below(s->dir, path);
	return r == -ENOENT ? store_tier_note(s, kind, path) : r;
}

/* A note of tomorrow (the clock was set back) is no fresh one. */
static int64_t age_of(const struct stat *st)
{
	int64_t age = io_wall_s() - (int64_t)st->st_mtim.tv_sec;

	if (age < -60)
		return INT64_MAX;
	return age < 0 ? 0 : age;
}

int store_note_read(struct store *s, const char *kind, const char *key,
		    struct text *out, int64_t *age_s)
{
	AUTO(auto_close) int fd = store_note_open(s, kind, key);
	char buf[16384];
	struct stat st;
	off_t at = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	for (;;) {
		ssize_t n = io_pread_all(fd, buf, sizeof(buf), at);

		if (n < 0)
			return (int)n;
		text_add_bytes(out, buf, (size_t)n);
		if (text_failed(out) < 0)
			return text_failed(out);
		at += n;
		if ((size_t)n < sizeof(buf))
			break;
	}
	if (age_s)
		*age_s = age_of(&st);
	return 0;
}
