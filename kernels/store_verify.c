/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Hashing what is on disk already: of a tier, whose names prove nothing, and
 * of the cache itself when somebody asks whether the disk kept its word.
 */

#define CHUNK (256u << 10)
/* A use is written down once in so long: reading should not write. */
#define USED_AGAIN_S 3600

static bool is_cancelled(const bool *cancelled)
{
	return cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED);
}

static int hash_all(int fd, struct hasher *h, const bool *cancelled,
		    int64_t *progress_ms)
{
	AUTO(auto_free) char *buf = malloc(CHUNK);
	off_t at = 0;
	ssize_t n;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	do {
		if (is_cancelled(cancelled))
			return -ECANCELED;
		n = io_pread_all(fd, buf, CHUNK, at);
		if (n < 0)
			return (int)n;
		if (progress_ms)
			__atomic_store_n(progress_ms, io_now_ms(),
					 __ATOMIC_RELAXED);
		r = hasher_add(h, buf, (size_t)n);
		at += n;
	} while (r == 0 && n == CHUNK);
	return r;
}

int store_hash_file(int fd, enum digest_kind kind, uint64_t size,
		    struct digest *out, const bool *cancelled,
		    int64_t *progress_ms)
{
	struct hasher *h;
	int r = hasher_new(&h, kind, size, NULL);

	if (r < 0)
		return r;
	r = hash_all(fd, h, cancelled, progress_ms);
	if (r == 0)
		r = hasher_end(h, out);
	hasher_free(h);
	return r;
}

/* ---- the cache itself ---- */

struct verifying {
	struct store *store;
	store_wrong *wrong;
	void *arg;
	const bool *cancelled;
	uint64_t checked;
};

static int verify_blob(void *arg, int folder, const char *name,
		       const struct stat *st)
{
	struct verifying *v = arg;
	AUTO(auto_close) int fd = -1;
	struct digest want;
	struct digest got;
	int r;

	if (digest_parse(&want, name) < 0)
		return 0;
	fd = store_open_below(folder, name);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = store_hash_file(fd, (enum digest_kind)want.kind,
			    (uint64_t)st->st_size, &got, v->cancelled, NULL);
	if (r < 0 && r != -EIO) /* a disk that cannot read it has lost it */
		return r;
	v->checked++;
	if (r == 0 && digest_equal(&want, &got))
		return 0;
	if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		return -errno;
	store_count(v->store, -(int64_t)st->st_size, -1);
	v->wrong(v->arg, &want);
	return 0;
}

int store_verify(struct store *s, store_wrong *wrong, void *arg,
		 const bool *cancelled, uint64_t *checked)
{
	struct verifying v = { s, wrong, arg, cancelled, 0 };
	int r = store_walk(s, verify_blob, &v);

	*checked = v.checked;
	return r;
}

void store_used(struct store *s, const struct digest *d)
{
	char folder[STORE_NAME_MAX];
	char name[STORE_NAME_MAX];
	struct stat st;

	store_blob_name(d, folder, name);
	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    io_wall_s() - (int64_t)st.st_mtim.tv_sec > USED_AGAIN_S)
		(void)utimensat(s->dir, name, NULL, AT_SYMLINK_NOFOLLOW);
}
