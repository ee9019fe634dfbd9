/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "store_room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The layout of a cache, number 1 (store_layout.c has the rules):
 *
 *	CACHEDIR.TAG			told to backup programs
 *	layout				the number
 *	usage				the count of it (store_usage.c)
 *	cleaning			locked by who makes room (store_evict.c)
 *	blobs/<2 hex>/<hex>		verified content, mode 0444; the name is
 *					its SHA-256, or its git object id
 *	notes/<kind>/<2 hex>/<hex>	small facts by key (store_note.c)
 *	fetching			locked, by the byte, while blobs are
 *					fetched (store_lock.c)
 *	foreground			locked by who waits (store_lock.c)
 *	partial/			where O_TMPFILE cannot be had, and large
 *					blobs that may be gone on with
 *					(store_partial.c)
 *	git/				object stores of git sources: counted
 *					by nobody, min_free holds for them
 *
 * A name is trusted once it is there: bytes are checked before they get it,
 * not when they are read. Names are opened one by one from the folder's
 * descriptor, never through a link in the last step. Everything but blobs/
 * may be removed at any time, and blobs too: it costs asking again.
 *
 * There is no "read-only" mode to be in: reading never writes, and what
 * cannot be written says so when it is tried.
 */

/* A lock that another process takes away at that moment is tried again. */
#define LOCK_TRIES 16

int store_fail(const struct store *s, int code, const char *what,
	       struct err *err)
{
	return err_errno(err, code, "cache '%s': %s", s->path, what);
}

void store_blob_name(const struct digest *d, char folder[STORE_NAME_MAX],
		     char file[STORE_NAME_MAX])
{
	char hex[DIGEST_HEX_MAX];

	digest_print(d, hex);
	(void)snprintf(folder, STORE_NAME_MAX, "blobs/%.2s", hex);
	if (file)
		(void)snprintf(file, STORE_NAME_MAX, "blobs/%.2s/%s", hex, hex);
}

/* One step: made when it is missing, and its name synced unless somebody is
 * told instead that there is a new one. fd or -errno. */
static int make_step(const struct store *s, int parent, const char *name,
		     bool *made)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(parent, name, flags);

	if (fd >= 0 || errno != ENOENT)
		return fd >= 0 ? fd : -errno;
	if (mkdirat(parent, name, 0700) < 0) {
		if (errno != EEXIST)
			return -errno;
	} else {
		/* past the umask, which is the user's for other files */
		if (fchmodat(parent, name, s->folder_mode, 0) < 0)
			return -errno;
		if (made)
			*made = true;
		else
			(void)fsync(parent);
	}
	fd = openat(parent, name, flags);
	return fd >= 0 ? fd : -errno;
}

static int make_folder(struct store *s, const char *name, bool *made)
{
	AUTO(auto_close) int at = -1;
	char step[STORE_NAME_MAX];

	while (*name) {
		size_t n = strcspn(name, "/");
		int fd;

		if (n >= sizeof(step))
			return -ENAMETOOLONG;
		memcpy(step, name, n);
		step[n] = '\0';
		fd = make_step(s, at < 0 ? s->dir : at, step, made);
		if (fd < 0)
			return fd;
		auto_close(&at);
		at = fd;
		name += n + (name[n] == '/');
	}
	return take_fd(&at);
}

int store_make_folder(struct store *s, const char *name)
{
	return make_folder(s, name, NULL);
}

int store_make_folder_hint(struct store *s, const char *name, bool *made)
{
	*made = false;
	return make_folder(s, name, made);
}

int store_sync_names(int folder, bool made)
{
	AUTO(auto_close) int parent = -1;

	if (fsync(folder) < 0)
		return -errno;
	if (!made)
		return 0;
	parent = openat(folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return parent < 0 || fsync(parent) < 0 ? -errno : 0;
}

int store_folder(struct store *s, const char *name, struct err *err)
{
	int fd = store_make_folder(s, name);

	return fd < 0 ? store_fail(s, -fd, name, err) : fd;
}

int store_open_below(int dir, const char *name)
{
	/* O_NONBLOCK: a FIFO would hold us; a regular file does not care */
	AUTO(auto_close)
	int fd = openat(dir, name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
				O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR || errno == ENXIO
			       ? -ENOENT
			       : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	return take_fd(&fd);
}

int store_open_shared(struct store *s, int folder, const char *name)
{
	int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			s->file_mode);
	struct stat st;

	if (fd < 0)
		return -errno;
	/* past the umask; who did not make it need not */
	if (s->file_mode & S_IWGRP && fstat(fd, &st) == 0 &&
	    !(st.st_mode & S_IWGRP))
		(void)fchmod(fd, s->file_mode);
	return fd;
}

/* ---- birth ---- */

int store_new(struct store **out, const char *dir, struct err *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_errno(err, ENOMEM, "cache '%s'", dir);
	s->dir = -1;
	lock_init(&s->mu, LOCK_STORE);
	s->path = text_dup(dir, strlen(dir));
	r = s->path ? store_open_folder(s, err)
		    : err_errno(err, ENOMEM, "cache '%s'", dir);
	if (r < 0) {
		store_free(s);
		return r;
	}
	store_clean_partial(s, STORE_KEEP_YOUNG);
	*out = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	if (s->dir >= 0)
		store_count_flush(s);
	store_tiers_done(s);
	lock_done(&s->mu);
	auto_close(&s->dir);
	free(s->path);
	free(s);
}

const char *store_path(const struct store *s)
{
	return s->path;
}

/* ---- blobs ---- */

/* The lock says that it is in use. A cleaner holds another one for as long
 * as it takes to unlink, so the name is looked up again; a filesystem without
 * locks has no cleaner that would remove anything. */
static int open_own(struct store *s, const char *name, uint64_t size)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		AUTO(auto_close) int fd = store_open_below(s->dir, name);
		struct stat st;
		bool locked;

		if (fd < 0)
			return fd;
		locked = flock(fd, LOCK_SH | LOCK_NB) == 0 ||
			 errno != EWOULDBLOCK;
		if (fstat(fd, &st) < 0)
			return -errno;
		/* cut or grown by hand: fetched again, and then replaced */
		if ((uint64_t)st.st_size != size)
			return -ENOENT;
		if (locked && st.st_nlink > 0)
			return take_fd(&fd);
	}
	return -ENOENT;
}

int store_open(struct store *s, const struct repo_id *repo,
	       const struct digest *d, uint64_t size)
{
	char folder[STORE_NAME_MAX];
	char name[STORE_NAME_MAX];

	int r;

	store_blob_name(d, folder, name);
	r = open_own(s, name, size);
	if (r != -ENOENT || !s->tier_count)
		return r;
	return store_tier_open(s, repo, d, size);
}

bool store_has(struct store *s, const struct repo_id *repo,
	       const struct digest *d, uint64_t size)
{
	char folder[STORE_NAME_MAX];
	char name[STORE_NAME_MAX];
	struct stat st;
	int fd;

	store_blob_name(d, folder, name);
	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
		return true;
	fd = s->tier_count ? store_tier_open(s, repo, d, size) : -ENOENT;
	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

int store_ingest(struct ingest **out, struct store *s, const struct digest *d,
		 uint64_t size, struct err *err)
{
	return ingest_new(out, s, d, size, err);
}
