/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/fetch.h"

#include "fetching.h"

static void takes_what_is_urgent_first_and_small_first(void **state)
{
	static const char *const files[] = { "40 b", "7 b", "2 b", NULL };
	static const char *const order[] = {
		"1 plug", "2 b", "20 a", "30 a", "7 b", "40 b", NULL,
	};
	struct waiting w[4];

	(void)state;
	plug(&w[0]);
	build_of(files, NULL);
	assert_int_equal(ask(&w[1], "30 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[2], "20 a"), -EINPROGRESS);
	assert_int_equal(ask(&w[3], "2 b"), -EINPROGRESS);
	hold(NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(result(&w[i]), 0);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 6");
	assert_order(order);
}

static void takes_the_smallest_of_all_builds_first(void **state)
{
	static const char *const one[] = { "10 file", "30 file", NULL };
	static const char *const two[] = { "20 file", "40 file", NULL };
	static const char *const order[] = {
		"1 plug", "10 file", "20 file", "30 file", "40 file", NULL,
	};
	struct waiting w;

	(void)state;
	plug(&w);
	build_of(one, NULL);
	build_of(two, NULL);
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 5");
	assert_order(order);
}

static void takes_what_is_wanted_soon_before_what_is_wanted_later(void **state)
{
	static const char *const later[] = { "2 file", "4 file", NULL };
	static const char *const soon[] = { "30 file", "50 file", NULL };
	static const char *const order[] = {
		"1 plug", "70 a",   "30 file", "50 file",
		"2 file", "4 file", NULL,
	};
	struct tree *t = tree_with(soon);
	struct waiting w[2];

	(void)state;
	plug(&w[0]);
	build_of(later, NULL);
	assert_int_equal(want_as("", t, NULL, FETCH_SOON), 0);
	assert_int_equal(ask(&w[1], "70 a"), -EINPROGRESS);
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 6");
	assert_order(order);
	tree_unref(t);
}

static void what_was_wanted_later_moves_up_when_it_is_wanted_soon(void **state)
{
	static const char *const later[] = { "2 file", "4 file", NULL };
	static const char *const soon[] = { "30 file", "50 file", NULL };
	static const char *const order[] = {
		"1 plug", "30 file", "50 file", "2 file", "4 file", NULL,
	};
	struct tree *t = tree_with(soon);
	struct waiting w;

	(void)state;
	plug(&w);
	build_of(later, NULL);
	assert_int_equal(want_as("", t, NULL, FETCH_LATER), 0);
	assert_int_equal(want_as("", t, NULL, FETCH_SOON), 0);
	/* and stays there */
	assert_int_equal(want_as("", t, NULL, FETCH_LATER), 0);
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 5");
	assert_order(order);
	tree_unref(t);
}

static void what_was_put_off_is_urgent_when_asked_for_again(void **state)
{
	static const char *const files[] = { "9 file", "5 file", NULL };
	static const char *const put_off[] = {
		"1 plug",
		"5 file",
		"9 file",
		NULL,
	};
	static const char *const again[] = {
		"1 plug",
		"9 file",
		"5 file",
		NULL,
	};
	char path[2 * SCRATCH_MAX];

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct waiting w[3];

		plug(&w[0]);
		build_of(files, "9 file");
		assert_int_equal(ask(&w[1], "9 file"), -EINPROGRESS);
		assert_true(fetch_cancel(fetch, &w[1].waiter));
		if (turn)
			assert_int_equal(ask(&w[2], "9 file"), -EINPROGRESS);
		hold(NULL);
		wait_report("\"running\": 0, \"queued\": 0, \"done\": 3");
		assert_order(turn ? again : put_off);
		gone();
		(void)snprintf(path, sizeof(path), "%s/blobs", dir);
		scratch_remove(path);
		clear_fake();
		born(1);
	}
}

/* ---- whole builds ---- */

/* Files "<before><number><after>". */
static struct tree *tree_of(unsigned count, const char *before,
			    const char *after)
{
	struct tree_builder *b = NULL;
	struct tree *t = NULL;
	void *bytes = NULL;
	char path[64];
	size_t n;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	for (unsigned i = 0; i < count; i++) {
		struct digest d;

		(void)snprintf(path, sizeof(path), "%s%u%s", before, i, after);
		d = digest_of(path);
		assert_int_equal(tree_builder_add(b, path, TREE_FILE,
						  size_of(path), &d, NULL),
				 0);
	}
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	return t;
}

static void brings_a_build_that_nobody_waits_for(void **state)
{
	struct tree *t = tree_of(30, "", " file");
	char path[32];

	(void)state;
	assert_int_equal(fetch_whole("7 file"), 0);
	assert_int_equal(want_build("", t, "29 file"), 0);
	/* said again, it is the same build */
	assert_int_equal(want_build("", t, NULL), 0);
	tree_unref(t);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 30");
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(path, sizeof(path), "%u file", i);
		assert_content(path);
	}
	/* all but the empty one, each once */
	assert_int_equal(calls(), 29);
}

static void puts_the_first_file_in_front(void **state)
{
	static const char *const files[] = {
		"9 file", "8 file", "7 file", "6 file", "5 file", NULL,
	};
	static const char *const order[] = {
		"1 plug", "8 file", "5 file", "6 file",
		"7 file", "9 file", NULL,
	};
	struct waiting w;

	(void)state;
	plug(&w);
	build_of(files, "8 file");
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 6");
	assert_order(order);
}

static void a_build_keeps_what_was_asked_for_before_it(void **state)
{
	static const char *const files[] = { "5 file", NULL };
	struct waiting w;

	(void)state;
	hold("file");
	assert_int_equal(ask(&w, "5 file"), -EINPROGRESS);
	wait_inside(1);
	build_of(files, NULL);
	/* a worker has seen that it is on its way */
	wait_report("\"running\": 1, \"queued\": 0");
	assert_true(fetch_cancel(fetch, &w.waiter));
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 1");
	assert_content("5 file");
	assert_int_equal(calls(), 1);
}

static void a_build_keeps_what_a_waiter_leaves(void **state)
{
	struct tree *t = tree_of(1, "", "5 file");
	struct waiting w;

	(void)state;
	hold("file");
	assert_int_equal(want_build("", t, NULL), 0);
	wait_inside(1);
	assert_int_equal(ask(&w, "05 file"), -EINPROGRESS);
	assert_true(fetch_cancel(fetch, &w.waiter));
	hold(NULL);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 1");
	assert_int_equal(fake.cancelled, 0);
	assert_content("05 file");
	tree_unref(t);
}

static void what_was_begun_of_a_build_stops_when_it_is_not_wanted(void **state)
{
	const struct fetch_files files = { .repo = &repo,
					   .commit = COMMIT,
					   .dir = "",
					   .tree = tree_of(30, "", " file") };
	struct waiting w;

	(void)state;
	hold("file");
	assert_int_equal(fetch_build(fetch, &files, FETCH_SOON), 0);
	wait_inside(1);
	assert_int_equal(ask(&w, "29 file"), -EINPROGRESS);
	fetch_build_stop(fetch, &files);
	/* all but that one leave the source, and no other comes */
	wait_report("\"running\": 1, \"queued\": 0");
	hold(NULL);
	assert_int_equal(result(&w), 0);
	wait_report("\"running\": 0, \"queued\": 0");
	assert_content("29 file");
	fetch_build_stop(fetch, &files);
	/* and it can be wanted again */
	assert_int_equal(fetch_build(fetch, &files, FETCH_SOON), 0);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 30");
	tree_unref(files.tree);
}

static void who_asks_a_stopped_one_is_told_so(void **state)
{
	struct waiting w;

	(void)state;
	fetch_stop(fetch);
	assert_int_equal(ask(&w, "5 file"), -ECANCELED);
	assert_int_equal(fetch_whole("6 file"), -ECANCELED);
	assert_int_equal(calls(), 0);
}

static void names_files_from_the_repositorys_root(void **state)
{
	struct digest d = digest_of("5 a");
	struct tree_builder *b = NULL;
	struct tree *t = NULL;
	void *bytes = NULL;
	size_t n;

	(void)state;
	assert_int_equal(tree_builder_new(&b, NULL), 0);
	assert_int_equal(
		tree_builder_add(b, "pkg/x.py", TREE_FILE, 5, &d, NULL), 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	fake.fault = GONE;
	assert_int_equal(want_build("build/v", t, NULL), 0);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 0, "
		    "\"failed\": 1");
	assert_string_equal(fake.log[0], "build/v/pkg/x.py");
	tree_unref(t);
}

static void leaves_a_build_whose_files_all_fail(void **state)
{
	struct tree *t = tree_of(100, "", "1 file");

	(void)state;
	fake.fault = GONE;
	assert_int_equal(want_build("", t, NULL), 0);
	wait_report("\"running\": 0, \"queued\": 0");
	assert_int_equal(calls(), 3);
	tree_unref(t);
}

static void steps_over_100000_files_that_are_there(void **state)
{
	struct tree *t = tree_of(100000, "0 ", "");

	(void)state;
	assert_int_equal(fetch_whole("0 x"), 0);
	assert_int_equal(want_build("", t, NULL), 0);
	tree_unref(t);
	wait_report("\"running\": 0, \"queued\": 0, \"done\": 1,");
	assert_int_equal(calls(), 0);
}

static void ends_in_the_middle_of_a_build(void **state)
{
	struct tree *t = tree_of(200, "", "5 file");

	(void)state;
	hold("file");
	assert_int_equal(want_build("", t, "05 file"), 0);
	wait_inside(1);
	fetch_free(fetch);
	fetch = NULL;
	tree_unref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(takes_what_is_urgent_first_and_small_first),
		ONE(takes_the_smallest_of_all_builds_first),
		ONE(takes_what_is_wanted_soon_before_what_is_wanted_later),
		ONE(what_was_wanted_later_moves_up_when_it_is_wanted_soon),
		ONE(what_was_put_off_is_urgent_when_asked_for_again),
		FOUR(brings_a_build_that_nobody_waits_for),
		ONE(puts_the_first_file_in_front),
		FOUR(a_build_keeps_what_was_asked_for_before_it),
		FOUR(a_build_keeps_what_a_waiter_leaves),
		FOUR(what_was_begun_of_a_build_stops_when_it_is_not_wanted),
		FOUR(who_asks_a_stopped_one_is_told_so),
		FOUR(names_files_from_the_repositorys_root),
		ONE(leaves_a_build_whose_files_all_fail),
		FOUR(steps_over_100000_files_that_are_there),
		ONE(ends_in_the_middle_of_a_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
