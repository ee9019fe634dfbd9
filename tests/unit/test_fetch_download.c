/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/fetch.h"

#include "fetching.h"

/* ---- what goes wrong on the way ---- */

static int with_fault(enum fault fault)
{
	fake.fault = fault;
	return fetch_whole("1000 a");
}

static void goes_on_where_it_was_cut(void **state)
{
	(void)state;
	assert_int_equal(with_fault(CUT_ONCE), 0);
	assert_content("1000 a");
	assert_int_equal(calls(), 2);
	assert_int_equal(fake.from[0], 0);
	assert_int_equal(fake.from[1], 500);
}

static void begins_again_when_the_range_is_ignored(void **state)
{
	(void)state;
	assert_int_equal(with_fault(CUT_THEN_WHOLE), 0);
	assert_content("1000 a");
	assert_int_equal(calls(), 2);
	assert_int_equal(fake.from[1], 500);
}

static void refuses_bytes_from_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(with_fault(SHIFTED), -EIO);
	assert_false(has("1000 a"));
}

static void gives_up_after_a_few_cuts(void **state)
{
	(void)state;
	assert_int_equal(with_fault(CUTS), -EIO);
	assert_false(has("1000 a"));
	assert_in_range(calls(), 3, 10);
}

static void does_not_ask_the_dead_again(void **state)
{
	(void)state;
	assert_int_equal(with_fault(DEAD), -EIO);
	assert_int_equal(calls(), 1);
}

static void goes_on_after_a_short_answer(void **state)
{
	(void)state;
	fake.fault = SHORT;
	assert_int_equal(fetch_whole("5 a"), 0);
	assert_content("5 a");
}

static void refuses_an_answer_without_bytes(void **state)
{
	struct waiting w;

	(void)state;
	fake.fault = EMPTY;
	assert_int_equal(ask(&w, "5 a"), -EINPROGRESS);
	assert_int_equal(result(&w), -EIO);
	assert_non_null(strstr(w.text, "0 of 5 bytes"));
	assert_non_null(strstr(w.text, "acme/relu@" COMMIT "/5 a"));
	assert_int_equal(calls(), 1);
}

static void asks_twice_for_wrong_bytes_and_says_both_hashes(void **state)
{
	struct digest d = digest_of("1000 a");
	char hex[DIGEST_HEX_MAX];
	struct waiting w;

	(void)state;
	fake.fault = WRONG;
	assert_int_equal(ask(&w, "1000 a"), -EINPROGRESS);
	assert_int_equal(result(&w), -EBADMSG);
	digest_print(&d, hex);
	assert_non_null(strstr(w.text, hex));
	assert_non_null(strstr(w.text, ", got "));
	assert_int_equal(calls(), 2);
	assert_int_equal(fake.from[1], 0);
	assert_false(has("1000 a"));
}

static void a_second_answer_may_be_right(void **state)
{
	(void)state;
	assert_int_equal(with_fault(WRONG_ONCE), 0);
	assert_content("1000 a");
	assert_int_equal(calls(), 2);
}

static void refuses_one_byte_too_many(void **state)
{
	(void)state;
	assert_int_equal(with_fault(LONG), -EBADMSG);
	assert_int_equal(calls(), 2);
	assert_false(has("1000 a"));
}

static void forgets_a_failure_and_asks_anew(void **state)
{
	(void)state;
	assert_int_equal(with_fault(GONE), -ENOENT);
	assert_int_equal(calls(), 1);
	assert_int_equal(with_fault(NONE), 0);
}

static void who_lies_about_the_size_fails_alone(void **state)
{
	struct digest d = digest_of("1000 a");
	struct fetch_blob lie = {
		.repo = &repo,
		.commit = COMMIT,
		.path = "10 lie",
		.digest = d,
		.size = 10,
	};
	struct waiting liar = { .waiter.done = was_done };
	struct waiting w;

	(void)state;
	hold("lie");
	assert_int_equal(fetch_ask(fetch, &lie, &liar.waiter, NULL),
			 -EINPROGRESS);
	wait_inside(1);
	assert_int_equal(ask(&w, "1000 a"), -EINPROGRESS);
	hold(NULL);
	assert_int_equal(result(&liar), -EBADMSG);
	assert_int_equal(result(&w), 0);
	assert_content("1000 a");
}

/* A small one waits for no disk before it is asked for; nor has the disk to
 * wait until it has come. */
static void makes_the_file_of_a_small_one_while_it_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(fetch_whole("1000 told"), 0);
	assert_content("1000 told");
	assert_int_equal(fake.folders_before, 0);
	assert_int_equal(fake.folders_asked, 1);
}

/* Too large to be kept in memory until it is whole. */
static void mends_one_that_is_not_small(void **state)
{
	(void)state;
	fake.fault = CUT_THEN_WHOLE;
	assert_int_equal(fetch_whole("200000 a"), 0);
	assert_content("200000 a");
	assert_int_equal(fake.from[1], 100000);
	fake.calls = 0;
	fake.fault = WRONG_ONCE;
	assert_int_equal(fetch_whole("200000 b a"), 0);
	assert_content("200000 b a");
	assert_int_equal(calls(), 2);
}

static void refuses_what_is_no_blob(void **state)
{
	struct fetch_blob blob = {
		.repo = &repo,
		.commit = COMMIT,
		.path = "x",
		.digest = digest_of("1 a"),
		.size = TREE_FILE_MAX + 1,
	};
	struct waiting w = { .waiter.done = was_done };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fetch_ask(fetch, &blob, &w.waiter, &err), -EINVAL);
	blob.size = 1;
	blob.digest.kind = DIGEST_NONE;
	assert_int_equal(fetch_ask(fetch, &blob, &w.waiter, &err), -EINVAL);
	blob.digest = digest_of("1 a");
	blob.commit = COMMIT "0";
	assert_int_equal(fetch_ask(fetch, &blob, &w.waiter, &err), -EINVAL);
	assert_int_equal(w.called, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOUR(goes_on_where_it_was_cut),
		FOUR(begins_again_when_the_range_is_ignored),
		FOUR(refuses_bytes_from_elsewhere),
		FOUR(gives_up_after_a_few_cuts),
		FOUR(does_not_ask_the_dead_again),
		FOUR(goes_on_after_a_short_answer),
		FOUR(refuses_an_answer_without_bytes),
		FOUR(asks_twice_for_wrong_bytes_and_says_both_hashes),
		FOUR(a_second_answer_may_be_right),
		FOUR(refuses_one_byte_too_many),
		FOUR(forgets_a_failure_and_asks_anew),
		FOUR(who_lies_about_the_size_fails_alone),
		FOUR(makes_the_file_of_a_small_one_while_it_is_asked_for),
		FOUR(mends_one_that_is_not_small),
		FOUR(refuses_what_is_no_blob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
