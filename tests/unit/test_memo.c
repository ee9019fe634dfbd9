/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memo.h"

#include "base/err.h"
#include "base/io.h"
#include "desk.h"

/* ---- answers ---- */

static void makes_an_answer_once_for_all_who_wait(void **state)
{
	struct asker a[20];
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 2, 2);
	for (int i = 0; i < 20; i++)
		ask(&d, &a[i], "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	latch_raise(&d.gate[MEMO_LOCAL]);
	for (int i = 0; i < 20; i++)
		is_answered(&a[i], "L1#0");
	look(&d, "L1", "L1#0");
	assert_int_equal(makes(&d, MEMO_LOCAL), 1);
	assert_int_equal(makes(&d, MEMO_REMOTE), 0);
	assert_int_equal(memo_count(d.memo), 1);
	end(&d);
}

static void answers_from_disk_while_a_source_hangs(void **state)
{
	struct asker hung[20], a;
	struct desk d;
	char keys[20][16];

	(void)state;
	begin(&d, &unbounded, 1, 1);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "R%d", i);
		ask(&d, &hung[i], keys[i]);
	}
	assert_true(latch_wait(&d.in[MEMO_REMOTE], 1));
	ask(&d, &a, "l1");
	is_answered(&a, "l1#0");
	latch_raise(&d.gate[MEMO_REMOTE]);
	for (int i = 0; i < 20; i++)
		assert_true(latch_wait(&hung[i].done, 1));
	assert_int_equal(makes(&d, MEMO_REMOTE), 20);
	end(&d);
}

static void starts_nothing_for_who_cannot_wait(void **state)
{
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	assert_int_equal(known(&d, "l1"), -EINPROGRESS);
	assert_int_equal(makes(&d, MEMO_LOCAL), 0);
	look(&d, "l1", "l1#0");
	assert_int_equal(known(&d, "l1"), 0);
	assert_int_equal(makes(&d, MEMO_LOCAL), 1);
	end(&d);
}

static void begins_what_somebody_will_ask_once(void **state)
{
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	memo_begin(d.memo, "R1", 2);
	memo_begin(d.memo, "R1", 2);
	assert_true(latch_wait(&d.in[MEMO_REMOTE], 1));
	ask(&d, &a, "R1");
	latch_raise(&d.gate[MEMO_REMOTE]);
	is_answered(&a, "R1#0");
	assert_int_equal(makes(&d, MEMO_REMOTE), 1);
	memo_begin(d.memo, "R1", 2);
	assert_int_equal(known(&d, "R1"), 0);
	assert_int_equal(makes(&d, MEMO_REMOTE), 1);
	end(&d);
}

static void tells_keys_apart_by_all_their_bytes(void **state)
{
	struct memo_ref ref[3] = { { 0 }, { 0 }, { 0 } };
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	assert_int_equal(memo_ask_blocking(d.memo, "l\0a", 3, &ref[0], NULL),
			 0);
	assert_int_equal(memo_ask_blocking(d.memo, "l\0b", 3, &ref[1], NULL),
			 0);
	assert_int_equal(memo_ask_blocking(d.memo, "l\0a", 3, &ref[2], NULL),
			 0);
	assert_ptr_equal(ref[0].value, ref[2].value);
	assert_ptr_not_equal(ref[0].value, ref[1].value);
	assert_int_equal(known(&d, "l"), -EINPROGRESS);
	for (int i = 0; i < 3; i++)
		memo_drop(d.memo, &ref[i]);
	assert_null(ref[0].value);
	memo_drop(d.memo, &ref[0]); /* empty now */
	end(&d);
}

/* ---- askers that block ---- */

static void makes_it_on_the_thread_that_blocks(void **state)
{
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	look(&d, "r1", "r1#0");
	assert_int_equal(makes(&d, MEMO_LOCAL), 1);
	assert_int_equal(makes(&d, MEMO_REMOTE), 1);
	assert_int_equal(d.maker, gettid());
	end(&d);
}

static void takes_a_queued_question_back(void **state)
{
	struct asker first, queued;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &first, "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	ask(&d, &queued, "r2");
	look(&d, "r2", "r2#0");
	assert_int_equal(d.maker, gettid());
	is_answered(&queued, "r2#0");
	assert_int_equal(makes(&d, MEMO_REMOTE), 1);
	latch_raise(&d.gate[MEMO_LOCAL]);
	is_answered(&first, "L1#1");
	end(&d);
}

static void waits_for_who_makes_it(void **state)
{
	struct blocked b[3];
	pthread_t threads[3];
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &a, "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	for (int i = 0; i < 3; i++)
		threads[i] = block_for(&b[i], &d, "L1");
	latch_raise(&d.gate[MEMO_LOCAL]);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(b[i].r, 0);
		assert_string_equal(b[i].ref.value, "L1#0");
		memo_drop(d.memo, &b[i].ref);
	}
	is_answered(&a, "L1#0");
	assert_int_equal(makes(&d, MEMO_LOCAL), 1);
	end(&d);
}

/* The only worker asks for what is queued behind it. */
static void nested_questions_find_what_is_queued(void **state)
{
	struct asker outer, inner;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &outer, "Nr2");
	assert_true(latch_wait(&d.in[MEMO_REMOTE], 1));
	ask(&d, &inner, "r2");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 2));
	latch_raise(&d.gate[MEMO_REMOTE]);
	is_answered(&inner, "r2#0");
	is_answered(&outer, "Nr2#1");
	assert_int_equal(makes(&d, MEMO_REMOTE), 2);
	end(&d);
}

/* The only worker waits already when the question comes to its queue. */
static void nested_questions_find_what_is_queued_later(void **state)
{
	struct asker outer, inner;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 2, 1);
	ask(&d, &inner, "m2");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	ask(&d, &outer, "nm2");
	assert_true(latch_wait(&d.nested, 1));
	assert_true(latch_sleeps(__atomic_load_n(&d.nester, __ATOMIC_SEQ_CST)));
	latch_raise(&d.gate[MEMO_LOCAL]);
	is_answered(&inner, "m2#0");
	is_answered(&outer, "nm2#1");
	assert_int_equal(makes(&d, MEMO_REMOTE), 2);
	end(&d);
}

static void answers_a_chain_of_questions_on_one_thread(void **state)
{
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &a, "nnnnr1");
	is_answered(&a, "nnnnr1#4");
	assert_int_equal(makes(&d, MEMO_REMOTE), 5);
	assert_int_equal(memo_count(d.memo), 5);
	end(&d);
}

/* ---- failures ---- */

static void keeps_a_failure_with_its_sentence(void **state)
{
	struct memo_ref ref = { 0 };
	struct err err = ERR_INIT;
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &a, "F1");
	assert_true(latch_wait(&a.done, 1));
	assert_int_equal(a.r, -EACCES);
	assert_string_equal(a.err.text, "no 'F1' at stage 1");
	assert_int_equal(memo_ask(d.memo, "F1", 2, &a.w, &ref, &err), -EACCES);
	assert_string_equal(err.text, "no 'F1' at stage 1");
	assert_int_equal(err.code, EACCES);
	err = (struct err)ERR_INIT;
	assert_int_equal(blocking_failure(&d, "F1", &err), -EACCES);
	assert_string_equal(err.text, "no 'F1' at stage 1");
	assert_int_equal(blocking_failure(&d, "F1", NULL), -EACCES);
	assert_int_equal(known(&d, "F1"), -EACCES);
	assert_int_equal(makes(&d, MEMO_REMOTE), 1);
	assert_int_equal(d.keep_was, -1);
	assert_int_equal(memo_count(d.memo), 0);
	end(&d);
}

static void gives_a_failure_without_words_some(void **state)
{
	struct err err = ERR_INIT;
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &a, "w1");
	assert_true(latch_wait(&a.done, 1));
	assert_int_equal(a.r, -ENOSPC);
	assert_string_equal(a.err.text, "tests: No space left on device");
	assert_int_equal(blocking_failure(&d, "w1", &err), -ENOSPC);
	assert_string_equal(err.text, "tests: No space left on device");
	assert_int_equal(err.code, ENOSPC);
	end(&d);
}

static void asks_again_when_a_failure_is_too_old(void **state)
{
	const int64_t deadline = io_now_ms() + 60000;
	struct err err = ERR_INIT;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	d.keep_ms = 0; /* answers who waits, and nobody later */
	assert_int_equal(blocking_failure(&d, "f1", &err), -EACCES);
	assert_string_equal(err.text, "no 'f1' at stage 0");
	assert_int_equal(known(&d, "f1"), -EINPROGRESS);
	assert_int_equal(blocking_failure(&d, "f1", NULL), -EACCES);
	assert_int_equal(makes(&d, MEMO_LOCAL), 2);
	d.keep_ms = 5;
	assert_int_equal(blocking_failure(&d, "f2", NULL), -EACCES);
	while (known(&d, "f2") != -EINPROGRESS)
		assert_true(io_now_ms() < deadline);
	d.keep_ms = INT64_MAX;
	assert_int_equal(blocking_failure(&d, "f2", NULL), -EACCES);
	assert_int_equal(known(&d, "f2"), -EACCES);
	assert_int_equal(makes(&d, MEMO_LOCAL), 4);
	end(&d);
}

static void calls_who_waits_also_when_a_failure_is_not_kept(void **state)
{
	struct blocked b;
	pthread_t thread;
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	d.keep_ms = 0;
	ask(&d, &a, "g1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	thread = block_for(&b, &d, "g1");
	latch_raise(&d.gate[MEMO_LOCAL]);
	assert_true(latch_wait(&a.done, 1));
	assert_int_equal(a.r, -EACCES);
	assert_string_equal(a.err.text, "no 'g1' at stage 0");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(b.r, -EACCES);
	assert_string_equal(b.err.text, "no 'g1' at stage 0");
	end(&d);
}

static void keeps_no_more_failures_than_it_may(void **state)
{
	char key[16];
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	for (int i = 0; i < MEMO_FAILURES + 10; i++) {
		(void)snprintf(key, sizeof(key), "f%d", i);
		assert_int_equal(blocking_failure(&d, key, NULL), -EACCES);
	}
	assert_int_equal(known(&d, "f0"), -EINPROGRESS);
	assert_int_equal(known(&d, "f9"), -EINPROGRESS);
	assert_int_equal(known(&d, "f10"), -EACCES);
	(void)snprintf(key, sizeof(key), "f%d", MEMO_FAILURES + 9);
	assert_int_equal(known(&d, key), -EACCES);
	end(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_an_answer_once_for_all_who_wait),
		cmocka_unit_test(answers_from_disk_while_a_source_hangs),
		cmocka_unit_test(starts_nothing_for_who_cannot_wait),
		cmocka_unit_test(begins_what_somebody_will_ask_once),
		cmocka_unit_test(tells_keys_apart_by_all_their_bytes),
		cmocka_unit_test(makes_it_on_the_thread_that_blocks),
		cmocka_unit_test(takes_a_queued_question_back),
		cmocka_unit_test(waits_for_who_makes_it),
		cmocka_unit_test(nested_questions_find_what_is_queued),
		cmocka_unit_test(nested_questions_find_what_is_queued_later),
		cmocka_unit_test(answers_a_chain_of_questions_on_one_thread),
		cmocka_unit_test(keeps_a_failure_with_its_sentence),
		cmocka_unit_test(gives_a_failure_without_words_some),
		cmocka_unit_test(asks_again_when_a_failure_is_too_old),
		cmocka_unit_test(
			calls_who_waits_also_when_a_failure_is_not_kept),
		cmocka_unit_test(keeps_no_more_failures_than_it_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
