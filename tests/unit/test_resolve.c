/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/resolve.h"

#include "base/err.h"
#include "base/pool.h"
#include "fakesource.h"
#include "kernels/catalog.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "latch.h"
#include "resolver/pick.h"
#include "scratch.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define SPEC "torch213-cxx11-cpu-x86_64-linux"
#define BEST "torch213-cxx11-cpu-x86_64-linux"
#define OTHER "torch212-cxx11-cpu-x86_64-linux"
#define ABSENT_PER_MINUTE 60

static const struct fake_file files[] = {
	{ "acme/relu", FAKE_C1, "README.md", "read me" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/__init__.py", "x = 1" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/metadata.json",
	  FAKE_METADATA },
	{ "acme/relu", FAKE_C1, "build/" OTHER "/__init__.py", "x = 2" },
	{ "acme/silu", FAKE_C2, "build/" BEST "/__init__.py", "x = 3" },
	{ "acme/silu", FAKE_C2, "build/" BEST "/metadata.json",
	  FAKE_METADATA },
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

static void start(struct world *w)
{
	assert_int_equal(store_new(&w->store, w->folder, NULL), 0);
	assert_int_equal(catalog_new(&w->catalog, &w->fake.source, w->store,
				     NULL), 0);
	assert_int_equal(pool_new(&w->disk, "disk", 2, NULL), 0);
	assert_int_equal(pool_new(&w->net, "net", 2, NULL), 0);
	assert_int_equal(resolve_new(&w->resolve, w->catalog, &w->options,
				     w->disk, w->net, NULL), 0);
}

static void stop(struct world *w)
{
	pool_free(w->net);
	pool_free(w->disk);
	resolve_free(w->resolve);
	catalog_free(w->catalog);
	store_free(w->store);
}

/* The next mount, on the same cache. */
static void again(struct world *w)
{
	stop(w);
	start(w);
	fake_forget(&w->fake);
}

static int setup(void **state)
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

static int teardown(void **state)
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

static int ask_commit(struct world *w, const char *text,
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

static void is_commit(struct world *w, const char *text, const char *commit,
		      const char *revision)
{
	struct resolve_commit c = { .commit = "" };

	if (ask_commit(w, text, &c) != 0)
		fail_msg("%s: %s", text, err_text(&w->err));
	assert_string_equal(c.commit, commit);
	assert_string_equal(c.revision, revision);
}

static int ask_pick(struct world *w, const struct repo_id *repo,
		    const char *commit, struct resolve_answer *out)
{
	w->err = (struct err)ERR_INIT;
	return resolve_pick_blocking(w->resolve, repo, commit, &w->env, out,
				     &w->err);
}

static void is_pick(struct world *w, const struct repo_id *repo,
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

static void waiter_done(struct memo_waiter *m, int r, const struct err *err)
{
	struct waiter *w = (struct waiter *)m;

	w->result = r;
	(void)snprintf(w->text, sizeof(w->text), "%.100s",
		       r < 0 ? err_text(err) : "");
	latch_raise(&w->called);
}

static void waiter_init(struct waiter *w)
{
	*w = (struct waiter){ .memo = { .done = waiter_done },
			      .called = LATCH_INIT };
}

/* Ask for a folder as often as it takes. */
static int ask_folder(struct world *w, const struct repo_id *repo,
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

static int ask_build(struct world *w, const struct repo_id *repo,
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

static void says(const struct world *w, const char *text)
{
	if (!strstr(w->err.text, text))
		fail_msg("'%s' does not say '%s'", w->err.text, text);
}

/* ---- what a revision is ---- */

#define END { NULL, NULL, NULL, false }

static void takes_the_highest_version_by_default(void **state)
{
	static const struct {
		struct fake_ref refs[6];
		const char *revision; /* NULL: none */
	} rows[] = {
		{ { { "a/b", "v1", FAKE_C1, false },
		    { "a/b", "v10", FAKE_C2, false },
		    { "a/b", "v9", FAKE_C3, false },
		    { "a/b", "main", FAKE_C3, false },
		    END },
		  "v10" },
		{ { { "a/b", "v0.9.0", FAKE_C1, true },
		    { "a/b", "v0.10.0", FAKE_C2, true },
		    { "a/b", "nightly", FAKE_C3, true },
		    { "a/b", "main", FAKE_C3, false },
		    END },
		  "v0.10.0" },
		{ { { "a/b", "v3.0.0", FAKE_C1, true },
		    { "a/b", "main", FAKE_C1, false },
		    { "a/b", "v2", FAKE_C2, false },
		    END },
		  "v2" },
		{ { { "a/b", "dev", FAKE_C1, false },
		    { "a/b", "main", FAKE_C2, false },
		    { "a/b", "v2", FAKE_C3, true },
		    END },
		  "main" },
		{ { { "a/b", "master", FAKE_C1, false },
		    { "a/b", "main", FAKE_C1, true },
		    END },
		  NULL },
	};
	struct world *w = *state;

	for (size_t i = 0; i < N(rows); i++) {
		w->fake.refs = rows[i].refs;
		again(w);
		if (rows[i].revision) {
			is_commit(w, "a/b", FAKE_C2, rows[i].revision);
			is_commit(w, "a/b@latest", FAKE_C2, rows[i].revision);
			continue;
		}
		assert_int_equal(ask_commit(w, "a/b", NULL), -ENOENT);
		says(w, "'a/b'");
	}
}

static void finds_versions_branches_and_tags(void **state)
{
	static const struct fake_ref some[] = {
		{ "a/b", "v1", FAKE_C1, false },
		{ "a/b", "v1", FAKE_C3, true },
		{ "a/b", "v2", FAKE_C2, true },
		{ "a/b", "v0.1.0", FAKE_C3, true },
		{ "a/b", "pr/7", FAKE_C2, false },
		{ "a/b", "both", FAKE_C1, false },
		{ "a/b", "both", FAKE_C2, true },
		END,
	};
	struct world *w = *state;

	w->fake.refs = some;
	is_commit(w, "a/b@v1", FAKE_C1, "v1");
	is_commit(w, "a/b@1", FAKE_C1, "v1");
	is_commit(w, "a/b@v2", FAKE_C2, "v2");
	is_commit(w, "a/b@v0.1.0", FAKE_C3, "v0.1.0");
	is_commit(w, "a/b@pr/7", FAKE_C2, "pr/7");
	is_commit(w, "a/b@pr%2F7", FAKE_C2, "pr/7");
	is_commit(w, "a/b@both", FAKE_C1, "both");
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
	assert_int_equal(ask_commit(w, "a/b@v3", NULL), -ENOENT);
	says(w, "'a/b@v3'");
	assert_int_equal(ask_commit(w, "a/none", NULL), -ENOENT);
}

static void asks_nothing_about_a_commit(void **state)
{
	struct world *w = *state;

	is_commit(w, "acme/relu@" FAKE_C3, FAKE_C3, FAKE_C3);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

static void obeys_the_config_but_for_latest(void **state)
{
	static const struct ref named[] = {
		{ .repo = { "acme", "relu" }, .kind = REV_NAME,
		  .rev = "main" },
		{ .repo = { "acme", "silu" }, .kind = REV_DEFAULT },
		{ .repo = { "acme", "bare" }, .kind = REV_COMMIT,
		  .rev = FAKE_C1 },
	};
	struct world *w = *state;

	w->options.named = named;
	w->options.named_count = N(named);
	again(w);
	is_commit(w, "acme/relu", FAKE_C2, "main");
	is_commit(w, "acme/relu@latest", FAKE_C1, "v1");
	is_commit(w, "acme/relu@v1", FAKE_C1, "v1");
	is_commit(w, "acme/silu", FAKE_C2, "v1");
	is_commit(w, "acme/bare", FAKE_C1, FAKE_C1);
}

static void decides_once(void **state)
{
	static const struct fake_ref later[] = {
		{ "acme/relu", "v1", FAKE_C3, false },
		{ "acme/relu", "v2", FAKE_C3, false },
		END,
	};
	struct world *w = *state;

	is_commit(w, "acme/relu", FAKE_C1, "v1");
	w->fake.refs = later;
	is_commit(w, "acme/relu", FAKE_C1, "v1");
	is_commit(w, "acme/relu@v1", FAKE_C1, "v1");
	is_commit(w, "acme/relu@main", FAKE_C2, "main");
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
	again(w); /* a new mount decides anew */
	is_commit(w, "acme/relu", FAKE_C3, "v2");
}

static void sees_a_branch_that_has_come_since(void **state)
{
	static const struct fake_ref later[] = {
		{ "acme/relu", "v1", FAKE_C3, false },
		{ "acme/relu", "v2", FAKE_C3, false },
		END,
	};
	struct world *w = *state;

	is_commit(w, "acme/relu@v1", FAKE_C1, "v1");
	w->fake.refs = later;
	assert_int_equal(ask_commit(w, "acme/relu@v9", NULL), -ENOENT);
	is_commit(w, "acme/relu@v2", FAKE_C3, "v2");
	is_commit(w, "acme/relu@v1", FAKE_C1, "v1"); /* as it was decided */
}

static void keeps_a_failure_for_a_while(void **state)
{
	struct world *w = *state;

	w->fake.fails[FAKE_REFS] = -EIO;
	assert_int_equal(ask_commit(w, "acme/relu", NULL), -EIO);
	says(w, "told to fail");
	w->fake.fails[FAKE_REFS] = 0;
	assert_int_equal(ask_commit(w, "acme/relu", NULL), -EIO);
	assert_int_equal(ask_commit(w, "acme/relu@v1", NULL), -EIO);
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
	is_commit(w, "acme/silu", FAKE_C2, "v1"); /* another one's answer */
}

/* ---- names that do not exist ---- */

static void asks_sparingly_for_repositories_that_do_not_exist(void **state)
{
	struct world *w = *state;
	unsigned absent = 0, refused = 0;

	for (unsigned i = 0; i < 3 * ABSENT_PER_MINUTE; i++) {
		char name[32];
		int r;

		(void)snprintf(name, sizeof(name), "acme/none-%u", i % 100);
		r = ask_commit(w, name, NULL);
		absent += r == -ENOENT;
		refused += r == -EIO;
	}
	assert_int_equal(absent + refused, 3 * ABSENT_PER_MINUTE);
	says(w, "do not exist");
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), ABSENT_PER_MINUTE);
	/* Owners are out of the same purse. */
	struct resolve_answer a = { 0 };

	assert_int_equal(resolve_kernels_blocking(w->resolve, "nobody", &a,
						  NULL), -EIO);
	assert_int_equal(fake_asked(&w->fake, FAKE_KERNELS), 0);
}

static void asks_sparingly_for_revisions_that_do_not_exist(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 3 * ABSENT_PER_MINUTE; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "acme/relu@none-%u", i);
		assert_int_equal(ask_commit(w, name, NULL), -ENOENT);
	}
	assert_true(fake_asked(&w->fake, FAKE_REFS) <= ABSENT_PER_MINUTE);
	is_commit(w, "acme/relu@v1", FAKE_C1, "v1");
}

static void use_up(struct world *w)
{
	for (unsigned i = 0; i < ABSENT_PER_MINUTE; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "acme/none-%u", i);
		assert_int_equal(ask_commit(w, name, NULL), -ENOENT);
	}
}

static void still_answers_what_a_list_names(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	assert_int_equal(resolve_kernels_blocking(w->resolve, "acme", &a,
						  NULL), 0);
	resolve_drop(&a);
	use_up(w);
	is_commit(w, "acme/relu", FAKE_C1, "v1");
	assert_int_equal(ask_commit(w, "acme/unlisted", NULL), -EIO);
}

static void still_shows_a_commit_that_is_known_to_exist(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	is_commit(w, "acme/relu", FAKE_C1, "v1");
	use_up(w);
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "", &a), 0);
	resolve_drop(&a);
	/* One that nobody has heard of waits for its turn. */
	assert_int_equal(ask_folder(w, &silu, FAKE_C3, "build", &a), -EIO);
	says(w, "do not exist");
}

static void keeps_an_absent_folder(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(ask_folder(w, &bare, FAKE_C3, "build", &a),
				 -ENOENT);
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 1);
}

/* ---- folders and builds ---- */

static void lists_a_folder_alone_and_a_build_whole(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "", &a), 0);
	assert_int_equal(tree_count(resolve_tree(&a)), 2);
	resolve_drop(&a);
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "build", &a), 0);
	assert_int_equal(tree_count(resolve_tree(&a)), 2);
	resolve_drop(&a);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), 0);
	assert_true(tree_find(resolve_tree(&a), "__init__.py") != TREE_NONE);
	resolve_drop(&a);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, "none", &a), -ENOENT);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
}

static void refuses_keys_that_are_too_long(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	struct waiter waiter;
	char dir[8192];

	memset(dir, 'x', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	waiter_init(&waiter);
	assert_int_equal(resolve_folder(w->resolve, &relu, FAKE_C1, dir,
					&waiter.memo, &a, &w->err),
			 -ENAMETOOLONG);
	assert_int_equal(resolve_build(w->resolve, &relu, FAKE_C1, dir,
				       &waiter.memo, &a, &w->err),
			 -ENAMETOOLONG);
	assert_int_equal(resolve_kernels(w->resolve, dir, &waiter.memo, &a,
					 &w->err), -ENAMETOOLONG);
	assert_int_equal(latch_count(&waiter.called), 0);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

/* ---- trust ---- */

static void believes_the_source_or_the_option(void **state)
{
	static const struct {
		const char *option;
		const char *source;
		bool trusted;
		unsigned asked;
	} rows[] = {
		{ NULL, "acme", true, 1 },
		{ NULL, "else", false, 1 },
		{ NULL, NULL, false, 1 },
		{ "*", NULL, true, 0 },
		{ "acme", NULL, true, 0 },
		{ "acme/relu", NULL, true, 0 },
		{ "acme/silu", NULL, false, 1 },
		{ "acme/", NULL, false, 1 },
		{ "relu", NULL, false, 1 },
		{ "", NULL, false, 1 },
	};
	struct world *w = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct resolve_answer a = { 0 };
		const struct pick *p;

		stop(w);
		scratch_remove(w->folder);
		assert_int_equal(mkdir(w->folder, 0700), 0);
		w->options.trust = &rows[i].option;
		w->options.trust_count = rows[i].option != NULL;
		w->fake.trusts = rows[i].source;
		start(w);
		fake_forget(&w->fake);
		assert_int_equal(ask_pick(w, &relu, FAKE_C1, &a), 0);
		p = resolve_value(&a);
		assert_int_equal(p->refused, rows[i].trusted ? 0 : EACCES);
		resolve_drop(&a);
		assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED),
				 rows[i].asked);
		assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a),
				 rows[i].trusted ? 0 : -EACCES);
		if (!rows[i].trusted)
			says(w, "trust=acme");
		resolve_drop(&a);
		assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED),
				 rows[i].asked);
	}
}

static void fetches_nothing_of_an_untrusted_build(void **state)
{
	struct world *w = *state;

	w->fake.trusts = NULL;
	is_pick(w, &relu, FAKE_C1, NULL);
	assert_int_equal(fake_asked(&w->fake, FAKE_FILE), 0);
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 1);
}

/* ---- the choice ---- */

static void costs_what_was_promised(void **state)
{
	struct world *w = *state;

	is_commit(w, "acme/relu", FAKE_C1, "v1");
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 2);
	assert_int_equal(fake_asked(&w->fake, FAKE_FILE), 1);
	assert_int_equal(fake_asked(&w->fake, FAKE_KERNELS), 0);
	/* The owner's next kernel asks for trust no more. */
	is_pick(w, &silu, FAKE_C2, BEST);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
	/* Nor does another environment list anything again. */
	assert_int_equal(env_parse(&w->env, "torch212-cxx11-cpu-x86_64-linux",
				   NULL), 0);
	is_pick(w, &relu, FAKE_C1, NULL); /* an incomplete upload */
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 5);
}

static void a_pinned_and_cached_kernel_asks_nothing(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	is_pick(w, &relu, FAKE_C1, BEST);
	again(w);
	for (unsigned op = 0; op < FAKE_OPS; op++)
		w->fake.fails[op] = -EIO;
	is_commit(w, "acme/relu@" FAKE_C1, FAKE_C1, FAKE_C1);
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "build", &a), 0);
	resolve_drop(&a);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), 0);
	resolve_drop(&a);
	assert_int_equal(fake_asked_all(&w->fake), 0);
	/* What is not there cannot be chosen. */
	assert_int_equal(ask_pick(w, &silu, FAKE_C2, &a), -EIO);
	says(w, "told to fail");
}

static void what_lies_on_disk_never_waits_for_the_source(void **state)
{
	struct resolve_answer a = { 0 };
	struct waiter stuck[8], waiter;
	struct world *w = *state;
	int r;

	is_pick(w, &relu, FAKE_C1, BEST);
	again(w);
	fake_gate(&w->fake, true);
	for (unsigned i = 0; i < N(stuck); i++) {
		char name[32];
		struct ref ref;

		waiter_init(&stuck[i]);
		(void)snprintf(name, sizeof(name), "acme/stuck-%u", i);
		assert_int_equal(ref_parse(&ref, name, NULL), 0);
		assert_int_equal(resolve_commit(w->resolve, &ref,
						&stuck[i].memo, &a, NULL),
				 -EINPROGRESS);
	}
	assert_true(fake_await(&w->fake, 2)); /* all workers hang */
	waiter_init(&waiter);
	r = resolve_pick(w->resolve, &relu, FAKE_C1, &w->env, &waiter.memo, &a,
			 NULL);
	assert_int_equal(r, -EINPROGRESS);
	assert_true(latch_wait(&waiter.called, 1));
	assert_int_equal(waiter.result, 0);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env,
				      NULL, &a, NULL), 0);
	resolve_drop(&a);
	fake_gate(&w->fake, false);
	for (unsigned i = 0; i < N(stuck); i++) {
		assert_true(latch_wait(&stuck[i].called, 1));
		assert_int_equal(stuck[i].result, -ENOENT);
	}
}

static void a_revision_without_builds_is_an_answer(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	const struct pick *p;

	assert_int_equal(ask_pick(w, &bare, FAKE_C3, &a), 0);
	p = resolve_value(&a);
	assert_int_equal(p->refused, ENODEV);
	assert_string_equal(p->why, "this revision has no builds");
	resolve_drop(&a);
	/* A commit that is not there is a failure. */
	assert_true(ask_pick(w, &bare, FAKE_C1, &a) < 0);
	says(w, "no such folder");
}

static void metadata_with_other_bytes_is_a_failure(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	w->fake.wrong_bytes = true;
	assert_int_equal(ask_pick(w, &relu, FAKE_C1, &a), -EBADMSG);
	says(w, "does not match its hash");
}

static void asks_once_for_all_who_ask_at_once(void **state)
{
	static struct waiter waiters[32];
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	fake_gate(&w->fake, true);
	for (unsigned i = 0; i < N(waiters); i++) {
		waiter_init(&waiters[i]);
		assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1,
					      &w->env, &waiters[i].memo, &a,
					      NULL), -EINPROGRESS);
	}
	fake_gate(&w->fake, false);
	for (unsigned i = 0; i < N(waiters); i++) {
		assert_true(latch_wait(&waiters[i].called, 1));
		assert_int_equal(waiters[i].result, 0);
	}
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 2);
	assert_int_equal(fake_asked(&w->fake, FAKE_FILE), 1);
	is_pick(w, &relu, FAKE_C1, BEST);
}

static void starts_nothing_for_who_does_not_wait(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	struct ref ref;

	assert_int_equal(ref_parse(&ref, "acme/relu", NULL), 0);
	assert_int_equal(resolve_commit(w->resolve, &ref, NULL, &a, NULL),
			 -EINPROGRESS);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env,
				      NULL, &a, NULL), -EINPROGRESS);
	assert_int_equal(resolve_kernels(w->resolve, "acme", NULL, &a, NULL),
			 -EINPROGRESS);
	resolve_drop(&a);
	stop(w); /* whatever was queued is done or dropped */
	assert_int_equal(fake_asked_all(&w->fake), 0);
	start(w);
}

static void takes_a_waiter_back(void **state)
{
	struct waiter gone, stays;
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	waiter_init(&gone);
	waiter_init(&stays);
	fake_gate(&w->fake, true);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env,
				      &gone.memo, &a, NULL), -EINPROGRESS);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env,
				      &stays.memo, &a, NULL), -EINPROGRESS);
	assert_true(resolve_cancel(w->resolve, &gone.memo));
	assert_false(resolve_cancel(w->resolve, &gone.memo));
	fake_gate(&w->fake, false);
	assert_true(latch_wait(&stays.called, 1));
	assert_int_equal(latch_count(&gone.called), 0);
	assert_false(resolve_cancel(w->resolve, &stays.memo));
}

/* ---- lists and reports ---- */

static void lists_an_owners_kernels(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	const struct source_names *n;

	assert_int_equal(resolve_kernels_blocking(w->resolve, "acme", &a,
						  NULL), 0);
	n = resolve_value(&a);
	assert_int_equal(n->count, 3);
	assert_string_equal(n->names[0], "bare");
	assert_string_equal(n->names[2], "silu");
	assert_true(resolve_kernels_has(&a, "relu"));
	assert_false(resolve_kernels_has(&a, "rel"));
	resolve_drop(&a);
	assert_int_equal(resolve_kernels_blocking(w->resolve, "nobody", &a,
						  &w->err), -ENOENT);
	says(w, "'nobody'");
}

static void lists_what_it_knows_when_the_source_does_not_say(void **state)
{
	static const struct {
		int fails;
		int result;
		size_t count;
	} rows[] = {
		{ -ENOSYS, 0, 1 }, /* what is cached */
		{ -ENOENT, 0, 1 },
		{ -EIO, 0, 3 }, /* the last list, and what is cached */
	};
	struct world *w = *state;
	struct resolve_answer a = { 0 };

	is_pick(w, &relu, FAKE_C1, BEST); /* cached */
	for (size_t i = 0; i < N(rows); i++) {
		const struct source_names *n;

		if (rows[i].fails == -EIO) {
			w->fake.fails[FAKE_KERNELS] = 0;
			again(w);
			assert_int_equal(resolve_kernels_blocking(
						 w->resolve, "acme", &a,
						 NULL), 0);
			resolve_drop(&a);
		}
		w->fake.fails[FAKE_KERNELS] = rows[i].fails;
		again(w);
		assert_int_equal(resolve_kernels_blocking(w->resolve, "acme",
							  &a, NULL),
				 rows[i].result);
		n = resolve_value(&a);
		assert_int_equal(n->count, rows[i].count);
		assert_true(resolve_kernels_has(&a, "relu"));
		resolve_drop(&a);
	}
	/* Nothing known and nothing said is a failure. */
	assert_int_equal(resolve_kernels_blocking(w->resolve, "else", &a,
						  &w->err), -EIO);
	says(w, "told to fail");
}

static int count_picks(void *arg, const struct pick *p)
{
	assert_string_equal(p->spec, SPEC);
	++*(unsigned *)arg;
	return 0;
}

static int count_commits(void *arg, const struct ref *ref,
			 const struct resolve_commit *c)
{
	assert_string_equal(ref->repo.owner, "acme");
	assert_string_equal(c->commit, strcmp(ref->repo.name, "relu") ?
					       FAKE_C2 :
					       FAKE_C1);
	++*(unsigned *)arg;
	return 0;
}

static int stop_at_once(void *arg, const struct pick *p)
{
	(void)p;
	++*(unsigned *)arg;
	return 7;
}

static void tells_what_is_known(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	unsigned n = 0;

	is_commit(w, "acme/relu@v1", FAKE_C1, "v1");
	is_commit(w, "acme/silu", FAKE_C2, "v1");
	(void)ask_commit(w, "acme/none", NULL); /* a failure is not known */
	is_pick(w, &relu, FAKE_C1, BEST);
	is_pick(w, &silu, FAKE_C2, BEST);
	assert_int_equal(resolve_each_pick(w->resolve, count_picks, &n), 0);
	assert_int_equal(n, 2);
	n = 0;
	assert_int_equal(resolve_each_commit(w->resolve, count_commits, &n),
			 0);
	assert_int_equal(n, 2);
	n = 0;
	assert_int_equal(resolve_each_pick(w->resolve, stop_at_once, &n), 7);
	assert_int_equal(n, 1);
	resolve_drop(&a); /* empty */
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(takes_the_highest_version_by_default),
		unit(finds_versions_branches_and_tags),
		unit(asks_nothing_about_a_commit),
		unit(obeys_the_config_but_for_latest),
		unit(decides_once),
		unit(sees_a_branch_that_has_come_since),
		unit(keeps_a_failure_for_a_while),
		unit(asks_sparingly_for_repositories_that_do_not_exist),
		unit(asks_sparingly_for_revisions_that_do_not_exist),
		unit(still_answers_what_a_list_names),
		unit(still_shows_a_commit_that_is_known_to_exist),
		unit(keeps_an_absent_folder),
		unit(lists_a_folder_alone_and_a_build_whole),
		unit(refuses_keys_that_are_too_long),
		unit(believes_the_source_or_the_option),
		unit(fetches_nothing_of_an_untrusted_build),
		unit(costs_what_was_promised),
		unit(a_pinned_and_cached_kernel_asks_nothing),
		unit(what_lies_on_disk_never_waits_for_the_source),
		unit(a_revision_without_builds_is_an_answer),
		unit(metadata_with_other_bytes_is_a_failure),
		unit(asks_once_for_all_who_ask_at_once),
		unit(starts_nothing_for_who_does_not_wait),
		unit(takes_a_waiter_back),
		unit(lists_an_owners_kernels),
		unit(lists_what_it_knows_when_the_source_does_not_say),
		unit(tells_what_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
