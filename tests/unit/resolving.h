/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_RESOLVING_H
#define UNIT_RESOLVING_H

/*
 * A resolver over a source in memory and a cache in a scratch folder.
 */

#include "base/err.h"
#include "base/pool.h"
#include "fakesource.h"
#include "kernels/catalog.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "latch.h"
#include "resolver/pick.h"
#include "resolver/resolve.h"
#include "scratch.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define SPEC "torch213-cxx11-cpu-x86_64-linux"
#define BEST "torch213-cxx11-cpu-x86_64-linux"
#define OTHER "torch212-cxx11-cpu-x86_64-linux"
#define ABSENT_PER_MINUTE 60

static const struct fake_file files[] = {
	{ "acme/relu", FAKE_C1, "README.md", "read me" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/__init__.py", "x = 1" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/metadata.json", FAKE_METADATA },
	{ "acme/relu", FAKE_C1, "build/" OTHER "/__init__.py", "x = 2" },
	{ "acme/silu", FAKE_C2, "build/" BEST "/__init__.py", "x = 3" },
	{ "acme/silu", FAKE_C2, "build/" BEST "/metadata.json", FAKE_METADATA },
	{ "acme/bare", FAKE_C3, "README.md", "no builds" },
	{ NULL, NULL, NULL, NULL },
};

static const struct fake_ref refs[] = {
	{ "acme/relu", "main", FAKE_C2, false },
	{ "acme/relu", "v1", FAKE_C1, false },
	{ "acme/silu", "v1", FAKE_C2, false },
	{ "acme/bare", "main", FAKE_C3, false },
	{ NULL, NULL, NULL, false },
};

static const struct repo_id relu = { .owner = "acme", .name = "relu" };
static const struct repo_id silu = { .owner = "acme", .name = "silu" };
static const struct repo_id bare = { .owner = "acme", .name = "bare" };

/* ---- a resolver over a source in memory and a cache in a folder ---- */

struct world {
	char folder[SCRATCH_MAX];
	struct fake fake;
	struct store *store;
	struct catalog *catalog;
	struct pool *disk, *net;
	struct resolve *resolve;
	struct resolve_options options;
	struct err err;
	struct env env;
};

static inline void start(struct world *w)
{
	assert_int_equal(store_new(&w->store, w->folder, NULL), 0);
	assert_int_equal(
		catalog_new(&w->catalog, &w->fake.source, w->store, NULL), 0);
	assert_int_equal(pool_new(&w->disk, "disk", 2, NULL), 0);
	assert_int_equal(pool_new(&w->net, "net", 2, NULL), 0);
	assert_int_equal(resolve_new(&w->resolve, w->catalog, &w->options,
				     w->disk, w->net, NULL),
			 0);
}

static inline void stop(struct world *w)
{
	pool_free(w->net);
	pool_free(w->disk);
	resolve_free(w->resolve);
	catalog_free(w->catalog);
	store_free(w->store);
}

/* The next mount, on the same cache. */
static inline void again(struct world *w)
{
	stop(w);
	start(w);
	fake_forget(&w->fake);
}

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	scratch_make(w->folder);
	fake_init(&w->fake, files, refs);
	w->fake.trusts = "acme";
	assert_int_equal(env_parse(&w->env, SPEC, NULL), 0);
	start(w);
	*state = w;
	return 0;
}

static inline int teardown(void **state)
{
	struct world *w = *state;

	fake_gate(&w->fake, false);
	stop(w);
	fake_done(&w->fake);
	scratch_remove(w->folder);
	free(w);
	return 0;
}

/* ---- asking ---- */

static inline int ask_commit(struct world *w, const char *text,
			     struct resolve_commit *out)
{
	struct resolve_answer a = { 0 };
	struct ref ref;
	int r;

	assert_int_equal(ref_parse(&ref, text, NULL), 0);
	w->err = (struct err)ERR_INIT;
	r = resolve_commit_blocking(w->resolve, &ref, &a, &w->err);
	if (r == 0 && out)
		*out = *(const struct resolve_commit *)resolve_value(&a);
	resolve_drop(&a);
	return r;
}

static inline void is_commit(struct world *w, const char *text,
			     const char *commit, const char *revision)
{
	struct resolve_commit c = { .commit = "" };

	if (ask_commit(w, text, &c) != 0)
		fail_msg("%s: %s", text, err_text(&w->err));
	assert_string_equal(c.commit, commit);
	assert_string_equal(c.revision, revision);
}

static inline int ask_pick(struct world *w, const struct repo_id *repo,
			   const char *commit, struct resolve_answer *out)
{
	w->err = (struct err)ERR_INIT;
	return resolve_pick_blocking(w->resolve, repo, commit, &w->env, out,
				     &w->err);
}

static inline void is_pick(struct world *w, const struct repo_id *repo,
			   const char *commit, const char *variant)
{
	struct resolve_answer a = { 0 };
	const struct pick *p;

	if (ask_pick(w, repo, commit, &a) != 0)
		fail_msg("%s: %s", repo->name, err_text(&w->err));
	p = resolve_value(&a);
	if (variant)
		assert_string_equal(p->variant, variant);
	else
		assert_null(p->variant);
	resolve_drop(&a);
}

/* One that waits, as a request of the kernel does. */
struct waiter {
	struct memo_waiter memo; /* first */
	struct latch called;
	int result;
	char text[128];
};

static inline void waiter_done(struct memo_waiter *m, int r,
			       const struct err *err)
{
	struct waiter *w = (struct waiter *)m;

	w->result = r;
	(void)snprintf(w->text, sizeof(w->text), "%.100s",
		       r < 0 ? err_text(err) : "");
	latch_raise(&w->called);
}

static inline void waiter_init(struct waiter *w)
{
	*w = (struct waiter){ .memo = { .done = waiter_done },
			      .called = LATCH_INIT };
}

/* Ask for a folder as often as it takes. */
static inline int ask_folder(struct world *w, const struct repo_id *repo,
			     const char *commit, const char *dir,
			     struct resolve_answer *out)
{
	int r = -EINPROGRESS;

	w->err = (struct err)ERR_INIT;
	while (r == -EINPROGRESS) {
		struct waiter waiter;

		waiter_init(&waiter);
		r = resolve_folder(w->resolve, repo, commit, dir, &waiter.memo,
				   out, &w->err);
		if (r == -EINPROGRESS)
			assert_true(latch_wait(&waiter.called, 1));
	}
	return r;
}

static inline int ask_build(struct world *w, const struct repo_id *repo,
			    const char *commit, const char *variant,
			    struct resolve_answer *out)
{
	int r = -EINPROGRESS;

	w->err = (struct err)ERR_INIT;
	while (r == -EINPROGRESS) {
		struct waiter waiter;

		waiter_init(&waiter);
		r = resolve_build(w->resolve, repo, commit, variant,
				  &waiter.memo, out, &w->err);
		if (r == -EINPROGRESS)
			assert_true(latch_wait(&waiter.called, 1));
	}
	return r;
}

static inline void says(const struct world *w, const char *text)
{
	if (!strstr(w->err.text, text))
		fail_msg("'%s' does not say '%s'", w->err.text, text);
}

#endif
