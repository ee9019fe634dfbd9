/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel and the one that it needs, over mounts: who is asked, and which
 * commit it is.
 */
#include "resolver/resolve.h"

#include "resolving.h"

#define NEEDS(rev) \
	FAKE_METADATA_WITH(", \"kernel-depends\": [{\"repo-id\": " \
			   "\"acme/low\", " rev "}]")

static const struct fake_file needing[] = {
	{ "acme/top", FAKE_C1, "build/" BEST "/__init__.py", "x = 1" },
	{ "acme/top", FAKE_C1, "build/" BEST "/metadata.json",
	  NEEDS("\"version\": 1") },
	{ "acme/pin", FAKE_C1, "build/" BEST "/__init__.py", "x = 1" },
	{ "acme/pin", FAKE_C1, "build/" BEST "/metadata.json",
	  NEEDS("\"revision\": \"" FAKE_C2 "\"") },
	{ "acme/low", FAKE_C2, "build/" BEST "/__init__.py", "x = 2" },
	{ "acme/low", FAKE_C2, "build/" BEST "/metadata.json", FAKE_METADATA },
	{ "acme/low", FAKE_C3, "build/" BEST "/__init__.py", "x = 3" },
	{ "acme/low", FAKE_C3, "build/" BEST "/metadata.json", FAKE_METADATA },
	{ NULL, NULL, NULL, NULL },
};

static const struct fake_ref before[] = {
	{ "acme/top", "v1", FAKE_C1, false },
	{ "acme/pin", "v1", FAKE_C1, false },
	{ "acme/low", "v1", FAKE_C2, false },
	{ NULL, NULL, NULL, false },
};

static const struct fake_ref moved[] = {
	{ "acme/top", "v1", FAKE_C1, false },
	{ "acme/pin", "v1", FAKE_C1, false },
	{ "acme/low", "v1", FAKE_C3, false },
	{ NULL, NULL, NULL, false },
};

static const struct fake_ref gone[] = {
	{ "acme/top", "v1", FAKE_C1, false },
	{ NULL, NULL, NULL, false },
};

static const struct repo_id top = { .owner = "acme", .name = "top" };
static const struct repo_id pin = { .owner = "acme", .name = "pin" };

static int set_up(void **state)
{
	int r = setup(state);
	struct world *w = *state;

	w->fake.files = needing;
	w->fake.refs = before;
	return r;
}

static void needs(struct world *w, const struct repo_id *repo,
		  const char *commit)
{
	struct resolve_answer a = { 0 };
	const struct pick *p;

	if (ask_pick(w, repo, FAKE_C1, &a) != 0)
		fail_msg("%s: %s", repo->name, err_text(&w->err));
	p = resolve_value(&a);
	assert_int_equal(p->refused, 0);
	assert_int_equal(p->depend_count, 1);
	assert_string_equal(p->depends[0].commit, commit);
	resolve_drop(&a);
}

static void a_pinned_one_asks_nobody_the_next_time(void **state)
{
	struct world *w = *state;

	needs(w, &top, FAKE_C2);
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
	w->fake.refs = moved;
	again(w);
	for (unsigned op = 0; op < FAKE_OPS; op++)
		w->fake.fails[op] = -EIO;
	needs(w, &top, FAKE_C2);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

static void a_name_that_moves_asks_anew(void **state)
{
	struct world *w = *state;

	needs(w, &top, FAKE_C2);
	w->fake.refs = moved;
	again(w);
	is_commit(w, "acme/top@v1", FAKE_C1, "v1");
	needs(w, &top, FAKE_C3);
	/* and what was decided last counts for who comes by the commit */
	again(w);
	needs(w, &top, FAKE_C3);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

/* Which has the refs asked for again, and they are not there for a while. */
static void a_name_that_is_absent_makes_no_difference(void **state)
{
	struct world *w = *state;

	needs(w, &top, FAKE_C2);
	w->fake.refs = moved;
	again(w);
	is_commit(w, "acme/top@v1", FAKE_C1, "v1");
	assert_int_equal(ask_commit(w, "acme/top@nope", NULL), -ENOENT);
	needs(w, &top, FAKE_C3);
}

static void what_this_mount_has_asked_comes_first(void **state)
{
	struct world *w = *state;

	needs(w, &top, FAKE_C2);
	w->fake.refs = moved;
	again(w);
	is_commit(w, "acme/low@v1", FAKE_C3, "v1");
	needs(w, &top, FAKE_C3);
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
}

static void a_commit_is_asked_of_nobody(void **state)
{
	struct world *w = *state;

	needs(w, &pin, FAKE_C2);
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 0);
}

/* It is a decision, but not for ever. */
static void a_missing_one_is_asked_for_again(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	const struct pick *p;

	w->fake.refs = gone;
	assert_int_equal(ask_pick(w, &top, FAKE_C1, &a), 0);
	p = resolve_value(&a);
	assert_int_equal(p->refused, ENOENT);
	assert_non_null(strstr(p->why, "needs acme/low@v1: "));
	resolve_drop(&a);
	w->fake.refs = before;
	resolve_refresh(w->resolve, NULL);
	needs(w, &top, FAKE_C2);
}

static void a_source_that_fails_refuses_nothing(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	w->fake.fails[FAKE_REFS] = -EIO;
	assert_int_equal(ask_pick(w, &top, FAKE_C1, &a), -EIO);
	assert_non_null(strstr(w->err.text, "needs acme/low@v1: "));
	w->fake.fails[FAKE_REFS] = 0;
	again(w);
	needs(w, &top, FAKE_C2);
}

#undef unit
#define unit(test) cmocka_unit_test_setup_teardown(test, set_up, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit(a_pinned_one_asks_nobody_the_next_time),
		unit(a_name_that_moves_asks_anew),
		unit(a_name_that_is_absent_makes_no_difference),
		unit(what_this_mount_has_asked_comes_first),
		unit(a_commit_is_asked_of_nobody),
		unit(a_missing_one_is_asked_for_again),
		unit(a_source_that_fails_refuses_nothing),
	};

	(void)relu;
	(void)silu;
	(void)bare;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
