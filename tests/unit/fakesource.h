/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_FAKESOURCE_H
#define UNIT_FAKESOURCE_H

/*
 * A source (kernels/source.h) out of two tables, of files and of refs, that
 * counts what it is asked for, fails when told to, and keeps everybody
 * waiting while its gate is closed. What a test changes, it changes while
 * nobody asks.
 */

#include "base/err.h"
#include "kernels/digest.h"
#include "kernels/http/http.h"
#include "kernels/source.h"
#include "kernels/tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAKE_URL "https://hub.example"
#define FAKE_C1 "1111111111111111111111111111111111111111"
#define FAKE_C2 "2222222222222222222222222222222222222222"
#define FAKE_C3 "3333333333333333333333333333333333333333"

struct fake_file {
	const char *repo; /* "owner/repo"; NULL: the table's end */
	const char *commit;
	const char *path;
	const char *bytes;
};

struct fake_ref {
	const char *repo; /* NULL: the table's end */
	const char *name;
	const char *commit;
	bool tag;
};

enum fake_op {
	FAKE_KERNELS,
	FAKE_TRUSTED,
	FAKE_REFS,
	FAKE_TREE,
	FAKE_FILE,
	FAKE_OPS,
};

struct fake {
	struct source source; /* first */
	const struct fake_file *files;
	const struct fake_ref *refs;
	const char *trusts;  /* the one owner that it trusts */
	int fails[FAKE_OPS]; /* 0, or the -errno of every such question */
	bool wrong_bytes;    /* files come with other content */
	const struct repo_id *moved_to; /* what all its refs say, or NULL */
	unsigned refreshed;		/* __atomic: how often it was told to */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool closed;		  /* mutex: nobody gets an answer */
	unsigned waiting;	  /* mutex: at the gate */
	unsigned asked[FAKE_OPS]; /* mutex */
};

static inline struct fake *fake_of(struct source *s)
{
	return (struct fake *)s;
}

/* Count, wait at the gate; 0, or what it was told to say. */
static inline int fake_enter(struct source *s, enum fake_op op, struct err *err)
{
	struct fake *f = fake_of(s);

	(void)pthread_mutex_lock(&f->mutex);
	f->asked[op]++;
	f->waiting++;
	(void)pthread_cond_broadcast(&f->changed);
	while (f->closed)
		(void)pthread_cond_wait(&f->changed, &f->mutex);
	f->waiting--;
	(void)pthread_mutex_unlock(&f->mutex);
	return f->fails[op] ? err_set(err, -f->fails[op], "told to fail") : 0;
}

static inline bool fake_same_repo(const struct repo_id *r, const char *text)
{
	size_t n = strlen(r->owner);

	return !strncmp(text, r->owner, n) && text[n] == '/' &&
	       !strcmp(text + n + 1, r->name);
}

static inline int fake_kernels(struct source *s, const char *owner,
			       struct source_names *out, struct err *err)
{
	const struct fake_ref *r = fake_of(s)->refs;
	size_t n = strlen(owner), used = 0;
	char names[4096];
	int e = fake_enter(s, FAKE_KERNELS, err);

	if (e < 0)
		return e;
	for (; r->repo; r++)
		if (!strncmp(r->repo, owner, n) && r->repo[n] == '/')
			used += (size_t)snprintf(names + used,
						 sizeof(names) - used, "%s",
						 r->repo + n + 1) +
				1;
	return used ? source_names_from(out, names, used, err)
		    : err_set(err, ENOENT, "no such owner");
}

static inline int fake_trusted(struct source *s, const struct repo_id *repo,
			       bool *out, struct err *err)
{
	const char *trusts = fake_of(s)->trusts;
	int r = fake_enter(s, FAKE_TRUSTED, err);

	if (r == 0)
		*out = trusts && !strcmp(trusts, repo->owner);
	return r;
}

static inline void fake_ref_add(struct source_ref **rows, size_t *count,
				const struct fake_ref *r)
{
	struct source_ref *more =
		reallocarray(*rows, *count + 1, sizeof(*more));

	if (!more)
		abort();
	*rows = more;
	more += (*count)++;
	(void)snprintf(more->name, sizeof(more->name), "%s", r->name);
	(void)snprintf(more->commit, sizeof(more->commit), "%s", r->commit);
}

static inline int fake_refs(struct source *s, const struct repo_id *repo,
			    struct source_refs *out, struct err *err)
{
	const struct fake_ref *r = fake_of(s)->refs;
	struct source_refs found = { 0 };
	int e = fake_enter(s, FAKE_REFS, err);

	if (e < 0)
		return e;
	for (; r->repo; r++) {
		if (!fake_same_repo(repo, r->repo))
			continue;
		if (r->tag)
			fake_ref_add(&found.tags, &found.tag_count, r);
		else
			fake_ref_add(&found.branches, &found.branch_count, r);
	}
	if (!found.tag_count && !found.branch_count)
		return err_set(err, ENOENT, "no such repository");
	if (fake_of(s)->moved_to)
		found.moved_to = *fake_of(s)->moved_to;
	*out = found;
	return 0;
}

static inline void fake_digest(const char *bytes, struct digest *out)
{
	struct hasher *h = NULL;
	size_t n = strlen(bytes);

	if (hasher_new(&h, DIGEST_SHA256, n, NULL) < 0 ||
	    hasher_add(h, bytes, n) < 0 || hasher_end(h, out) < 0)
		abort();
	hasher_free(h);
}

/* A file whose content begins so is a link to the rest of it. */
#define FAKE_LINK "-> "

/* A file, or, in a folder alone, the folder that it lies in, once. */
static inline int fake_add(struct tree_builder *b, const char *path,
			   const char *bytes, char *last, struct err *err)
{
	const char *slash = last ? strchr(path, '/') : NULL;
	struct digest d;
	size_t n;

	if (!slash && !strncmp(bytes, FAKE_LINK, strlen(FAKE_LINK)))
		return tree_builder_add_link(b, path, bytes + strlen(FAKE_LINK),
					     err);
	if (!slash) {
		fake_digest(bytes, &d);
		return tree_builder_add(b, path, TREE_FILE, strlen(bytes), &d,
					err);
	}
	n = (size_t)(slash - path);
	if (!strncmp(last, path, n) && !last[n])
		return 0;
	(void)snprintf(last, TREE_PATH_MAX, "%.*s", (int)n, path);
	return tree_builder_add(b, last, TREE_FOLDER, 0, NULL, err);
}

static inline int fake_tree(struct source *s, const struct repo_id *repo,
			    const char *commit, const char *dir, bool recursive,
			    struct tree_builder *b, struct err *err)
{
	const struct fake_file *f = fake_of(s)->files;
	char last[TREE_PATH_MAX] = "";
	size_t n = strlen(dir);
	bool found = false;
	int r = fake_enter(s, FAKE_TREE, err);

	for (; r == 0 && f->repo; f++) {
		const char *path = f->path;

		if (!fake_same_repo(repo, f->repo) ||
		    strcmp(f->commit, commit) != 0)
			continue;
		if (n && (strncmp(path, dir, n) != 0 || path[n] != '/'))
			continue;
		found = true;
		r = fake_add(b, n ? path + n + 1 : path, f->bytes,
			     recursive ? NULL : last, err);
	}
	if (r == 0 && !found)
		r = err_set(err, ENOENT, "no such folder");
	return r;
}

static inline int fake_file(struct source *s, const struct source_file *file,
			    struct http_sink *sink, struct err *err)
{
	const struct fake_file *f = fake_of(s)->files;
	int r = fake_enter(s, FAKE_FILE, err);

	if (r < 0)
		return r;
	while (f->repo && (!fake_same_repo(file->repo, f->repo) ||
			   strcmp(f->commit, file->commit) != 0 ||
			   strcmp(f->path, file->path) != 0))
		f++;
	if (!f->repo)
		return err_set(err, ENOENT, "no such file");
	r = sink->begin(sink, 0, err);
	for (const char *p = f->bytes; r == 0 && *p; p++)
		r = sink->write(sink, fake_of(s)->wrong_bytes ? "!" : p, 1,
				err);
	return r;
}

static inline void fake_refresh(struct source *s, const struct repo_id *repo)
{
	(void)repo;
	(void)__atomic_fetch_add(&fake_of(s)->refreshed, 1, __ATOMIC_RELAXED);
}

static inline void fake_free(struct source *s)
{
	(void)s;
}

static inline void fake_init(struct fake *f, const struct fake_file *files,
			     const struct fake_ref *refs)
{
	static const struct source_ops ops = {
		.kernels = fake_kernels,
		.trusted = fake_trusted,
		.refs = fake_refs,
		.tree = fake_tree,
		.file = fake_file,
		.refresh = fake_refresh,
		.free = fake_free,
	};
	static char url[] = FAKE_URL;

	memset(f, 0, sizeof(*f));
	f->source.ops = &ops;
	f->source.url = url;
	f->files = files;
	f->refs = refs;
	(void)pthread_mutex_init(&f->mutex, NULL);
	(void)pthread_cond_init(&f->changed, NULL);
}

static inline void fake_gate(struct fake *f, bool closed)
{
	(void)pthread_mutex_lock(&f->mutex);
	f->closed = closed;
	(void)pthread_cond_broadcast(&f->changed);
	(void)pthread_mutex_unlock(&f->mutex);
}

static inline void fake_done(struct fake *f)
{
	fake_gate(f, false);
	(void)pthread_cond_destroy(&f->changed);
	(void)pthread_mutex_destroy(&f->mutex);
}

/* Wait until so many stand at the gate; false after a deadline. */
static inline bool fake_await(struct fake *f, unsigned n)
{
	struct timespec until;
	bool came;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	(void)pthread_mutex_lock(&f->mutex);
	while (f->waiting < n &&
	       pthread_cond_timedwait(&f->changed, &f->mutex, &until) == 0)
		;
	came = f->waiting >= n;
	(void)pthread_mutex_unlock(&f->mutex);
	return came;
}

static inline unsigned fake_asked(struct fake *f, enum fake_op op)
{
	unsigned n;

	(void)pthread_mutex_lock(&f->mutex);
	n = f->asked[op];
	(void)pthread_mutex_unlock(&f->mutex);
	return n;
}

static inline unsigned fake_asked_all(struct fake *f)
{
	unsigned n = 0;

	for (unsigned op = 0; op < FAKE_OPS; op++)
		n += fake_asked(f, (enum fake_op)op);
	return n;
}

static inline void fake_forget(struct fake *f)
{
	(void)pthread_mutex_lock(&f->mutex);
	memset(f->asked, 0, sizeof(f->asked));
	(void)pthread_mutex_unlock(&f->mutex);
}

/* metadata.json of a CPU build; `more` follows behind the required keys. */
#define FAKE_METADATA_WITH(more) \
	"{\"name\": \"relu\", \"id\": \"_relu\", \"version\": 1, " \
	"\"license\": \"MIT\", \"python-depends\": [], " \
	"\"backend\": {\"type\": \"cpu\"}" more "}"
#define FAKE_METADATA FAKE_METADATA_WITH("")

#endif
