/* SPDX-License-Identifier: Apache-2.0 */
#include "source_room.h"

#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/text.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Several addresses of one source, the preferred one first; its URL is that
 * of all of them in notes and messages. An address that does not answer is
 * left alone, so that nobody waits for it, until it has answered a probe, which
 * a thread of its own makes every few seconds, and more and more seldom. It is
 * then asked again according to its place.
 *
 * That something does not exist, or a publisher is not trusted, is believed of
 * the preferred address alone: another one may lag behind it. While that is
 * silent, nobody knows.
 */

#define PROBE_MAX_MS 60000

struct address {
	bool bad;	    /* mu */
	int64_t probe_ms;   /* mu; CLOCK_MONOTONIC, the next one */
	int64_t between_ms; /* mu */
};

struct mirror {
	struct source source; /* first */
	struct source *members[SOURCE_MEMBERS_MAX];
	struct address addresses[SOURCE_MEMBERS_MAX];
	int64_t probe_ms;
	struct pool *pool; /* mu until it is there; owned; one thread */
	struct pool_job job;
	bool probing; /* mu; the job is under way */
	bool stop;    /* mu */
	struct lock mu;
	pthread_cond_t changed;
};

static struct mirror *mirror_of(struct source *s)
{
	return (struct mirror *)s;
}

/* ---- who is asked ---- */

/* The good ones in their order; where there are none, all. */
static size_t line_up(struct mirror *m, size_t order[SOURCE_MEMBERS_MAX])
{
	size_t n = 0;

	lock_take(&m->mu);
	for (size_t i = 0; i < m->source.member_count; i++)
		if (!m->addresses[i].bad)
			order[n++] = i;
	lock_drop(&m->mu);
	for (size_t i = 0; !n && i < m->source.member_count; i++)
		order[i] = i;
	return n ? n : m->source.member_count;
}

/* Only the last that is good tries again by itself. */
static void set_haste_locked(struct mirror *m) LOCK_REQUIRES(&m->mu)
{
	size_t good = 0;

	for (size_t i = 0; i < m->source.member_count; i++)
		good += !m->addresses[i].bad;
	for (size_t i = 0; i < m->source.member_count; i++)
		__atomic_store_n(&m->members[i]->hasty,
				 m->addresses[i].bad || good != 1,
				 __ATOMIC_RELAXED);
}

static void set_good(struct mirror *m, size_t i)
{
	lock_take(&m->mu);
	if (m->addresses[i].bad) {
		m->addresses[i].bad = false;
		set_haste_locked(m);
	}
	lock_drop(&m->mu);
}

/* ---- probes ---- */

/* The bad address whose probe comes first; -1: there is none. */
static int next_probe_locked(const struct mirror *m, int64_t *when_ms)
	LOCK_REQUIRES(&m->mu)
{
	int best = -1;

	for (size_t i = 0; i < m->source.member_count; i++) {
		const struct address *a = &m->addresses[i];

		if (a->bad && (best < 0 || a->probe_ms < *when_ms)) {
			best = (int)i;
			*when_ms = a->probe_ms;
		}
	}
	return best;
}

static void probe(struct mirror *m, size_t i)
{
	struct source *s = m->members[i];
	struct err why = ERR_INIT;
	int r = s->ops->alive ? s->ops->alive(s, &why) : 0;

	if (r == 0) {
		source_heard(s, 0, "", NULL);
		set_good(m, i);
		return;
	}
	log_debug("source", "'%s' is asked whether it is back: %s", s->url,
		  err_text(&why));
	lock_take(&m->mu);
	m->addresses[i].between_ms *= 2;
	if (m->addresses[i].between_ms > PROBE_MAX_MS)
		m->addresses[i].between_ms = PROBE_MAX_MS;
	m->addresses[i].probe_ms = io_now_ms() + m->addresses[i].between_ms;
	lock_drop(&m->mu);
}

/* On its own thread, as long as an address is bad. */
static void probe_all(struct pool_job *job)
{
	struct mirror *m =
		(struct mirror *)(void *)((char *)job -
					  offsetof(struct mirror, job));

	lock_take(&m->mu);
	for (;;) {
		int64_t when_ms = 0;
		int i = next_probe_locked(m, &when_ms);

		if (m->stop || i < 0)
			break;
		if (io_now_ms() < when_ms) {
			(void)lock_wait(&m->mu, &m->changed, when_ms);
			continue;
		}
		lock_drop(&m->mu);
		probe(m, (size_t)i);
		lock_take(&m->mu);
	}
	m->probing = false;
	lock_drop(&m->mu);
}

/* Begin with it. Without a thread, the address is asked again when no other
 * answers. */
static void start_probes(struct mirror *m)
{
	struct pool *fresh = NULL;
	struct pool *unused = NULL;
	bool start;

	if (pool_new(&fresh, "probe", 1, NULL) < 0)
		fresh = NULL;
	lock_take(&m->mu);
	if (!m->pool)
		m->pool = fresh;
	else
		unused = fresh;
	start = m->pool && !m->probing && !m->stop;
	m->probing = m->probing || start;
	lock_drop(&m->mu);
	pool_free(unused);
	if (start)
		pool_submit(m->pool, &m->job, POOL_NOW);
}

static void set_bad(struct mirror *m, size_t i)
{
	struct address *a = &m->addresses[i];
	bool first;

	lock_take(&m->mu);
	first = !a->bad;
	if (first) {
		a->bad = true;
		a->between_ms = m->probe_ms;
		a->probe_ms = io_now_ms() + m->probe_ms;
		set_haste_locked(m);
	}
	lock_drop(&m->mu);
	if (first)
		start_probes(m);
}

/* ---- questions ---- */

/* Not knowing a publisher reads as not trusting him, and as having nothing
 * of his. */
static bool is_no(int r, const struct source_ask *ask)
{
	if (r < 0)
		return false;
	return (ask->what == SOURCE_TRUSTED && !*ask->trusted) ||
	       (ask->what == SOURCE_KERNELS && !ask->names->count);
}

static bool is_nonsense(int r)
{
	return r == -EBADMSG || r == -EPROTO;
}

/* Is this the answer, whoever else could be asked? */
static bool is_final(int r, size_t i, const struct source_ask *ask)
{
	if (ask->refused || r == -ECANCELED || r == -ENETUNREACH ||
	    r == -ENOMEM)
		return true;
	if (r == -ENOENT || r == -EACCES || is_no(r, ask))
		return i == 0;
	return r == 0 || !(source_is_silence(r) || is_nonsense(r));
}

static void hear(struct mirror *m, size_t i, int r,
		 const struct source_ask *ask)
{
	if (source_is_silence(r) && !ask->refused)
		set_bad(m, i);
	else if (r == 0 || r == -ENOENT || r == -EACCES)
		set_good(m, i);
}

static int ask_each(struct mirror *m, struct source_ask *ask, struct err *err)
{
	size_t order[SOURCE_MEMBERS_MAX];
	size_t n = line_up(m, order);
	bool no = false; /* one that may lag behind has said */
	bool empty = false;
	int r = -EIO;

	for (size_t k = 0; k < n; k++) {
		struct source *s = m->members[order[k]];

		if (ask->what == SOURCE_TREE && k)
			tree_builder_clear(ask->builder);
		r = source_put(s, ask, "its other addresses are asked", err);
		hear(m, order[k], r, ask);
		if (is_final(r, order[k], ask))
			return r;
		if (r == 0 && ask->what == SOURCE_KERNELS) {
			source_names_done(ask->names);
			empty = true;
		} else {
			no = no || !(source_is_silence(r) || is_nonsense(r));
		}
	}
	if (no)
		return err_set(err, EIO,
			       "'%s' does not answer, and its other addresses "
			       "do not have it",
			       m->source.url);
	return empty ? 0 : r; /* an owner of nothing is no riddle */
}

static int mirror_kernels(struct source *s, const char *owner,
			  struct source_names *out, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_KERNELS,
				  .owner = owner,
				  .names = out };

	return ask_each(mirror_of(s), &ask, err);
}

static int mirror_trusted(struct source *s, const struct repo_id *repo,
			  bool *out, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_TRUSTED,
				  .repo = repo,
				  .trusted = out };

	return ask_each(mirror_of(s), &ask, err);
}

static int mirror_refs(struct source *s, const struct repo_id *repo,
		       struct source_refs *out, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_REFS,
				  .repo = repo,
				  .refs = out };

	return ask_each(mirror_of(s), &ask, err);
}

static int mirror_tree(struct source *s, const struct repo_id *repo,
		       const char *commit, const char *dir, bool recursive,
		       struct tree_builder *b, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_TREE,
				  .repo = repo,
				  .commit = commit,
				  .dir = dir,
				  .recursive = recursive,
				  .builder = b };

	return ask_each(mirror_of(s), &ask, err);
}

/* What came from one address is gone on with at the next. */
static int mirror_file(struct source *s, const struct source_file *f,
		       struct http_sink *sink, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_FILE,
				  .file = *f,
				  .sink = sink };

	return ask_each(mirror_of(s), &ask, err);
}

static int mirror_alive(struct source *s, struct err *err)
{
	int r = -EIO;

	for (size_t i = 0; i < s->member_count && r < 0; i++) {
		struct source *a = s->members[i];

		r = a->ops->alive ? a->ops->alive(a, err) : 0;
	}
	return r;
}

static void mirror_refresh(struct source *s, const struct repo_id *repo)
{
	for (size_t i = 0; i < s->member_count; i++)
		if (s->members[i]->ops->refresh)
			s->members[i]->ops->refresh(s->members[i], repo);
}

/* ---- life ---- */

static void mirror_free(struct source *s)
{
	struct mirror *m = mirror_of(s);

	lock_take(&m->mu);
	m->stop = true;
	(void)pthread_cond_broadcast(&m->changed);
	lock_drop(&m->mu);
	pool_free(m->pool);
	for (size_t i = 0; i < s->member_count; i++)
		source_free(m->members[i]);
	(void)pthread_cond_destroy(&m->changed);
	lock_done(&m->mu);
	free(s->url);
	free(m);
}

static const struct source_ops mirror_ops = {
	.kernels = mirror_kernels,
	.trusted = mirror_trusted,
	.refs = mirror_refs,
	.tree = mirror_tree,
	.file = mirror_file,
	.alive = mirror_alive,
	.refresh = mirror_refresh,
	.free = mirror_free,
};

int source_mirror_new(struct source **out, struct source **addresses, size_t n,
		      int64_t probe_ms, struct err *err)
{
	struct mirror *m =
		n <= SOURCE_MEMBERS_MAX ? calloc(1, sizeof(*m)) : NULL;

	if (!m) {
		for (size_t i = 0; i < n; i++)
			source_free(addresses[i]);
		return n > SOURCE_MEMBERS_MAX
			       ? err_set(err, EINVAL,
					 "more than %d addresses of a source",
					 SOURCE_MEMBERS_MAX)
			       : err_errno(err, ENOMEM, "source");
	}
	lock_init(&m->mu, LOCK_SOURCE);
	lock_cond_init(&m->changed);
	m->job.run = probe_all;
	m->probe_ms = probe_ms;
	m->source.ops = &mirror_ops;
	m->source.members = m->members;
	m->source.member_count = n;
	memcpy(m->members, addresses, n * sizeof(*addresses));
	lock_take(&m->mu);
	set_haste_locked(m);
	lock_drop(&m->mu);
	m->source.url = text_dup(addresses[0]->url, strlen(addresses[0]->url));
	if (!m->source.url) {
		mirror_free(&m->source);
		return err_errno(err, ENOMEM, "source");
	}
	*out = &m->source;
	return 0;
}
