/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/resolve.h"

#include "resolver/answers.h"
#include "resolving.h"

/* ---- what a revision is ---- */

#define END \
	{ \
		NULL, NULL, NULL, false \
	}

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

/* Whatever names are made up: what is remembered of them has an end, and what
 * was dropped is answered again as it was. */
static void remembers_so_many_and_no_more(void **state)
{
	static const struct memo_class *const all[] = {
		&answers_trust,	 &answers_kernels, &answers_refs,
		&answers_commit, &answers_folder,  &answers_build,
		&answers_pick,
	};
	struct world *w = *state;
	size_t limit = answers_commit.limit;
	struct resolve_commit c;
	char text[64];

	for (size_t i = 0; i < N(all); i++)
		assert_true(all[i]->limit > 0);
	fake_forget(&w->fake);
	for (size_t i = 0; i < limit + 100; i++) {
		(void)snprintf(text, sizeof(text), "acme/relu@%040zx", i);
		assert_int_equal(ask_commit(w, text, &c), 0);
	}
	assert_int_equal(memo_count(w->resolve->memo[ANSWERS_COMMIT]), limit);
	(void)snprintf(text, sizeof(text), "acme/relu@%040x", 1u);
	assert_int_equal(ask_commit(w, text, &c), 0);
	assert_string_equal(c.commit, strchr(text, '@') + 1);
	assert_int_equal(memo_count(w->resolve->memo[ANSWERS_COMMIT]), limit);
}

static void obeys_the_config_but_for_latest(void **state)
{
	static const struct ref named[] = {
		{ .repo = { "acme", "relu" }, .kind = REV_NAME, .rev = "main" },
		{ .repo = { "acme", "silu" }, .kind = REV_DEFAULT },
		{ .repo = { "acme", "bare" },
		  .kind = REV_COMMIT,
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

	assert_int_equal(
		resolve_kernels_blocking(w->resolve, "nobody", &a, NULL), -EIO);
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

	assert_int_equal(resolve_kernels_blocking(w->resolve, "acme", &a, NULL),
			 0);
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

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(takes_the_highest_version_by_default),
		unit(finds_versions_branches_and_tags),
		unit(asks_nothing_about_a_commit),
		unit(remembers_so_many_and_no_more),
		unit(obeys_the_config_but_for_latest),
		unit(decides_once),
		unit(sees_a_branch_that_has_come_since),
		unit(keeps_a_failure_for_a_while),
		unit(asks_sparingly_for_repositories_that_do_not_exist),
		unit(asks_sparingly_for_revisions_that_do_not_exist),
		unit(still_answers_what_a_list_names),
		unit(still_shows_a_commit_that_is_known_to_exist),
		unit(keeps_an_absent_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
