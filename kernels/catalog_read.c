/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "digest.h"
#include "kernels/http/http.h"
#include "store.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>

struct memory_sink {
	struct http_sink sink; /* first */
	struct text *out;
	size_t start; /* what was in it before */
};

static int memory_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct memory_sink *m = (struct memory_sink *)s;

	if (from > m->out->len - m->start)
		return err_set(err, EIO, "the source goes on at a wrong place");
	m->out->len = m->start + from;
	if (m->out->s)
		m->out->s[m->out->len] = '\0';
	return 0;
}

static int memory_write(struct http_sink *s, const void *p, size_t n,
			struct err *err)
{
	struct memory_sink *m = (struct memory_sink *)s;

	text_add_bytes(m->out, p, n);
	if (text_failed(m->out))
		return err_errno(err, -text_failed(m->out), "small file");
	return 0;
}

static int check_digest(const struct digest *want, const void *p, size_t n,
			const char *what, struct err *err)
{
	char a[DIGEST_HEX_MAX];
	char b[DIGEST_HEX_MAX];
	struct digest got = { .kind = DIGEST_NONE };
	struct hasher *h;
	int r = hasher_new(&h, (enum digest_kind)want->kind, n, err);

	if (r < 0)
		return r;
	r = hasher_add(h, p, n);
	if (!r)
		r = hasher_end(h, &got);
	hasher_free(h);
	if (r < 0)
		return err_errno(err, -r, "%s: hash", what);
	if (digest_equal(want, &got))
		return 0;
	digest_print(want, a);
	digest_print(&got, b);
	return err_set(err, EBADMSG,
		       "%s: content does not match its hash: "
		       "%s is listed, %s came",
		       what, a, b);
}

/* Into the store for the next time. */
static void keep_blob(struct catalog *c, const struct tree_entry *file,
		      const void *p, const char *what)
{
	struct ingest *in;
	struct err why = ERR_INIT;
	int r = store_ingest(&in, c->store, &file->digest, file->size, &why);

	if (!r) {
		r = ingest_write(in, p, (size_t)file->size, &why);
		if (!r)
			r = ingest_commit(in, &why);
		ingest_free(in);
	}
	if (r < 0)
		log_debug("catalog", "%s not kept: %s", what, err_text(&why));
}

static int read_blob(int fd, const struct tree_entry *file, struct text *out)
{
	AUTO(auto_free) char *bytes = malloc((size_t)file->size + 1);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	n = io_pread_all(fd, bytes, (size_t)file->size, 0);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n != file->size)
		return -EIO;
	text_add_bytes(out, bytes, (size_t)n);
	return text_failed(out);
}

int catalog_fetch(struct catalog *c, const struct source_file *f,
		  struct text *out, struct err *err)
{
	struct memory_sink m = {
		.sink = { .begin = memory_begin, .write = memory_write },
		.out = out,
		.start = out->len,
	};

	return c->source->ops->file(c->source, f, &m.sink, err);
}

static int read_remote(struct catalog *c, const struct source_file *f,
		       const struct tree_entry *file, struct text *out,
		       struct err *err)
{
	size_t start = out->len;
	const char *bytes;
	int r = catalog_fetch(c, f, out, err);

	if (r < 0)
		return r;
	bytes = text_str(out) + start;
	r = check_digest(&file->digest, bytes, out->len - start, f->path, err);
	if (r < 0) {
		out->len = start;
		out->s[start] = '\0';
		return r;
	}
	keep_blob(c, file, bytes, f->path);
	return 0;
}

int catalog_read(struct catalog *c, const struct repo_id *repo,
		 const char *commit, const char *dir,
		 const struct tree_entry *file, enum catalog_reach reach,
		 struct text *out, struct err *err)
{
	AUTO(auto_text) struct text path = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_close) int fd = -1;
	struct source_file f = { .repo = repo,
				 .commit = commit,
				 .size = file->size };
	int r;

	text_printf(&path, "%s%s%s", dir, *dir ? "/" : "", file->path);
	if (text_failed(&path))
		return err_errno(err, ENAMETOOLONG, "'%s'", file->path);
	f.path = text_str(&path);
	if (file->size > out->limit - out->len)
		return err_set(err, EFBIG, "'%s' has more than %zu bytes",
			       f.path, out->limit - out->len);
	fd = store_open(c->store, repo, &file->digest, file->size);
	/* It is small: hashing it here costs less than to ask for it. */
	if (fd == -EAGAIN && store_verify_tiers(c->store, repo, &file->digest,
						file->size, NULL, NULL) == 0)
		fd = store_open(c->store, repo, &file->digest, file->size);
	if (fd >= 0) {
		store_used(c->store, &file->digest);
		r = read_blob(fd, file, out);
		return r < 0 ? err_errno(err, -r, "'%s' in the cache", f.path)
			     : 0;
	}
	if (reach == CATALOG_DISK)
		return err_set(err, EAGAIN, "'%s' is not in the cache", f.path);
	return read_remote(c, &f, file, out, err);
}
