/* SPDX-License-Identifier: Apache-2.0 */
#include "source_dir.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "kernels/http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The bytes of a file of a commit that was seen: copied into the store like
 * any other source's, since the file may change at any time, and a commit
 * may not.
 */

#define CHUNK (256u << 10)

struct copying {
	struct source_dir *d;
	const struct source_file *f;
	const struct dir_entry *entry;
	struct http_sink *sink;
	struct hasher *hasher; /* owned; NULL: times say it is unchanged */
	int fd;
	uint64_t at;
};

static int changed(const struct copying *c, const char *when, struct err *err)
{
	return err_set(err, EBADMSG,
		       "'%s/%s/%s' %s: `kernelfs refresh` shows what is there "
		       "now",
		       c->f->repo->owner, c->f->repo->name, c->f->path, when);
}

static int copy_bytes(struct copying *c, struct err *err)
{
	AUTO(auto_free) char *buf = malloc(CHUNK);
	const uint64_t size = c->entry->stamp.size;

	if (!buf)
		return err_errno(err, ENOMEM, "copy");
	while (c->at < size) {
		size_t want =
			size - c->at < CHUNK ? (size_t)(size - c->at) : CHUNK;
		ssize_t n = io_pread_all(c->fd, buf, want, (off_t)c->at);
		int r;

		if (n < 0)
			return err_errno(err, (int)-n, "'%s/%s/%s'",
					 c->f->repo->owner, c->f->repo->name,
					 c->f->path);
		if ((size_t)n < want)
			return changed(c, "was cut while it was copied", err);
		if (source_dir_stopped(c->d) ||
		    (c->f->cancelled &&
		     __atomic_load_n(c->f->cancelled, __ATOMIC_RELAXED)))
			return err_set(err, ECANCELED, "cancelled");
		r = c->hasher ? hasher_add(c->hasher, buf, want) : 0;
		if (r < 0)
			return err_errno(err, -r, "hash");
		r = c->sink->write(c->sink, buf, want, err);
		if (r < 0)
			return r;
		c->at += want;
		if (c->f->progress_ms)
			__atomic_store_n(c->f->progress_ms, io_now_ms(),
					 __ATOMIC_RELAXED);
	}
	return 0;
}

/* Between two looks at its times nothing may have happened to it; and when
 * they are not those of the listing, the content must be. */
static int copy_checked(struct copying *c, struct err *err)
{
	struct dir_stamp before, after;
	struct digest got;
	struct stat st;
	int r;

	if (fstat(c->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return changed(c, "is no file any more", err);
	dir_stamp_of(&before, &st);
	if (before.size != c->entry->stamp.size)
		return changed(c, "has changed since it was listed", err);
	if (c->entry->young || !dir_stamp_equal(&before, &c->entry->stamp)) {
		c->at = 0; /* all of it must be seen to be judged */
		r = hasher_new(&c->hasher, DIGEST_SHA256, 0, err);
		if (r < 0)
			return r;
	}
	r = c->sink->begin(c->sink, c->at, err);
	if (r == 0)
		r = copy_bytes(c, err);
	if (r < 0)
		return r;
	if (fstat(c->fd, &st) == 0)
		dir_stamp_of(&after, &st);
	else
		memset(&after, 0, sizeof(after));
	if (!dir_stamp_equal(&before, &after))
		return changed(c, "has changed while it was copied", err);
	if (!c->hasher)
		return 0;
	r = hasher_end(c->hasher, &got);
	if (r < 0)
		return err_errno(err, -r, "hash");
	if (!digest_equal(&got, &c->entry->digest))
		return changed(c, "has changed since it was listed", err);
	return 0;
}

static int copy_file(struct source_dir *d, const struct source_file *f,
		     const struct source_dir_seen *seen, struct http_sink *sink,
		     struct err *err)
{
	AUTO(auto_close)
	int folder = source_dir_open_repo(d, f->repo, seen->base);
	AUTO(auto_close) int fd = -1;
	struct copying c = { .d = d,
			     .f = f,
			     .sink = sink,
			     .at = f->from,
			     .entry = dir_scan_find(&seen->scan, f->path) };
	int r;

	if (!c.entry || c.entry->target)
		return err_set(err, ENOENT, "'%s/%s@%s': no file '%s' in it",
			       f->repo->owner, f->repo->name, f->commit,
			       f->path);
	if (f->size != SOURCE_SIZE_UNKNOWN && f->size != c.entry->stamp.size)
		return changed(&c, "is listed with another size", err);
	fd = folder < 0 ? folder : dir_open(folder, f->path, O_RDONLY);
	if (fd == -EACCES || fd == -EMFILE || fd == -ENFILE || fd == -EIO)
		return err_errno(err, -fd, "'%s/%s/%s'", f->repo->owner,
				 f->repo->name, f->path);
	if (fd < 0)
		return changed(&c, "is there no more", err);
	c.fd = fd;
	r = copy_checked(&c, err);
	hasher_free(c.hasher);
	return r;
}

int source_dir_file(struct source *s, const struct source_file *f,
		    struct http_sink *sink, struct err *err)
{
	struct source_dir_seen *seen = NULL;
	int r;

	if (f->until)
		return err_set(err, EOPNOTSUPP, "'%s': a folder gives no parts",
			       f->path);
	r = source_dir_find((struct source_dir *)s, f->repo, f->commit, &seen,
			    err);
	if (r < 0)
		return r;
	r = copy_file((struct source_dir *)s, f, seen, sink, err);
	source_dir_put((struct source_dir *)s, seen);
	return r;
}
