/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memo.h"

#include "base/err.h"
#include "base/io.h"
#include "desk.h"

/* ---- cancelling ---- */

static void calls_nobody_who_cancelled(void **state)
{
	struct asker a[3], stranger;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	for (int i = 0; i < 3; i++)
		ask(&d, &a[i], "L1");
	assert_true(memo_cancel(d.memo, &a[1].w));
	assert_false(memo_cancel(d.memo, &a[1].w));
	stranger.w.done = on_done;
	assert_false(memo_cancel(d.memo, &stranger.w));
	latch_raise(&d.gate[MEMO_LOCAL]);
	is_answered(&a[0], "L1#0");
	is_answered(&a[2], "L1#0");
	assert_false(memo_cancel(d.memo, &a[0].w));
	end(&d);
	assert_int_equal(latch_count(&a[1].done), 0);
}

static void ends_with_questions_that_were_never_begun(void **state)
{
	struct asker a[3];
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &a[0], "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	ask(&d, &a[1], "l2");
	ask(&d, &a[2], "r3");
	memo_forget(d.memo, "r3", 2);
	for (int i = 0; i < 3; i++)
		assert_true(memo_cancel(d.memo, &a[i].w));
	latch_raise(&d.gate[MEMO_LOCAL]);
	end(&d);
	for (int i = 0; i < 3; i++)
		assert_int_equal(latch_count(&a[i].done), 0);
}

/* ---- forgetting ---- */

static void forgets_answers_and_failures(void **state)
{
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	look(&d, "l1", "l1#0");
	memo_forget(d.memo, "l1", 2);
	memo_forget(d.memo, "l1", 2);
	assert_int_equal(known(&d, "l1"), -EINPROGRESS);
	assert_int_equal(memo_count(d.memo), 0);
	look(&d, "l1", "l1#1");
	assert_int_equal(blocking_failure(&d, "f1", NULL), -EACCES);
	memo_forget(d.memo, "f1", 2);
	assert_int_equal(known(&d, "f1"), -EINPROGRESS);
	end(&d);
}

static void keeps_what_is_forgotten_for_who_looks_at_it(void **state)
{
	struct memo_ref old, new;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	old = hold(&d, "l1", "l1#0");
	memo_forget(d.memo, "l1", 2);
	new = hold(&d, "l1", "l1#1");
	assert_string_equal(old.value, "l1#0");
	assert_int_equal(freed_values, 0);
	memo_drop(d.memo, &old);
	assert_int_equal(freed_values, 1);
	memo_drop(d.memo, &new);
	assert_int_equal(freed_values, 1);
	end(&d);
}

static void forgets_what_is_being_made(void **state)
{
	const int64_t deadline = io_now_ms() + 60000;
	struct blocked b;
	pthread_t thread;
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	ask(&d, &a, "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	thread = block_for(&b, &d, "L1");
	memo_forget(d.memo, "L1", 2);
	latch_raise(&d.gate[MEMO_LOCAL]);
	/* who waited gets it */
	is_answered(&a, "L1#0");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(b.r, 0);
	assert_string_equal(b.ref.value, "L1#0");
	memo_drop(d.memo, &b.ref);
	/* its maker lets go of it after the last call */
	while (known(&d, "L1") != -EINPROGRESS)
		assert_true(io_now_ms() < deadline);
	look(&d, "L1", "L1#1");
	end(&d);
}

/* What it finds may be older than the wish for something newer. */
static void who_asks_after_it_was_forgotten_gets_a_new_one(void **state)
{
	struct blocked b[2];
	pthread_t thread[2];
	struct asker a, late;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 2, 1);
	ask(&d, &a, "L1");
	thread[0] = block_for(&b[0], &d, "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	memo_forget(d.memo, "L1", 2);
	assert_int_equal(known(&d, "L1"), -EINPROGRESS);
	ask(&d, &late, "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 2));
	thread[1] = block_for(&b[1], &d, "L1");
	assert_true(memo_cancel(d.memo, &a.w));
	latch_raise(&d.gate[MEMO_LOCAL]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(b[i].r, 0);
	}
	/* the two are made at once: which is the first is not known */
	assert_string_not_equal(b[0].ref.value, b[1].ref.value);
	is_answered(&late, b[1].ref.value);
	look(&d, "L1", b[1].ref.value);
	for (int i = 0; i < 2; i++)
		memo_drop(d.memo, &b[i].ref);
	assert_int_equal(memo_count(d.memo), 1);
	end(&d);
}

/* ---- limits ---- */

static void lets_the_least_recently_used_go(void **state)
{
	struct desk d;

	(void)state;
	begin(&d, &two, 1, 1);
	look(&d, "l1", "l1#0");
	look(&d, "l2", "l2#1");
	look(&d, "l1", "l1#0");
	look(&d, "l3", "l3#2");
	assert_int_equal(memo_count(d.memo), 2);
	assert_int_equal(freed_values, 1);
	assert_int_equal(known(&d, "l2"), -EINPROGRESS);
	assert_int_equal(known(&d, "l1"), 0);
	assert_int_equal(known(&d, "l3"), 0);
	end(&d);
}

static void keeps_what_is_looked_at_above_its_limit(void **state)
{
	struct memo_ref ref[4];
	struct desk d;

	(void)state;
	begin(&d, &two, 1, 1);
	ref[0] = hold(&d, "l0", "l0#0");
	ref[1] = hold(&d, "l1", "l1#1");
	ref[2] = hold(&d, "l2", "l2#2");
	ref[3] = hold(&d, "l3", "l3#3");
	assert_int_equal(memo_count(d.memo), 4);
	memo_drop(d.memo, &ref[3]);
	assert_int_equal(memo_count(d.memo), 3);
	memo_drop(d.memo, &ref[1]);
	assert_int_equal(memo_count(d.memo), 2);
	assert_int_equal(known(&d, "l0"), 0);
	assert_int_equal(known(&d, "l1"), -EINPROGRESS);
	assert_int_equal(known(&d, "l2"), 0);
	memo_drop(d.memo, &ref[0]);
	memo_drop(d.memo, &ref[2]);
	assert_int_equal(memo_count(d.memo), 2);
	end(&d);
}

/* Else they would ask for ever, each answer gone before it is read. */
static void gives_who_waits_its_answer_above_the_limit(void **state)
{
	struct memo_ref held;
	struct asker a, b;
	struct desk d;

	(void)state;
	begin(&d, &one, 1, 1);
	held = hold(&d, "l0", "l0#0");
	ask(&d, &a, "l1");
	is_answered(&a, "l1#1");
	ask(&d, &b, "r2");
	is_answered(&b, "r2#2");
	memo_drop(d.memo, &held);
	end(&d);
}

/* ---- reports ---- */

struct visit {
	struct desk *desk;
	unsigned visits, stop_at;
	char keys[64];
};

static int visit(void *arg, const void *key, size_t key_len, void *value)
{
	struct visit *v = arg;
	size_t len = strlen(v->keys);

	/* no lock is held: the memo may be asked and changed */
	look(v->desk, "l9", "l9#0");
	memo_forget(v->desk->memo, key, key_len);
	assert_memory_equal(value, key, key_len);
	(void)snprintf(v->keys + len, sizeof(v->keys) - len, "%.*s ",
		       (int)key_len, (const char *)key);
	return ++v->visits == v->stop_at ? 42 : 0;
}

static void visits_what_is_known(void **state)
{
	struct visit v = { .stop_at = 100 };
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	v.desk = &d;
	assert_int_equal(memo_each(d.memo, visit, &v), 0);
	look(&d, "l9", "l9#0");
	look(&d, "l1", "l1#1");
	look(&d, "l2", "l2#2");
	assert_int_equal(blocking_failure(&d, "f1", NULL), -EACCES);
	ask(&d, &a, "L3");
	memo_forget(d.memo, "none", 4);
	v.stop_at = 2;
	memo_forget(d.memo, "l1", 2);
	look(&d, "l1", "l1#3");
	assert_int_equal(memo_count(d.memo), 3);
	look(&d, "l9", "l9#0"); /* now the last */
	assert_int_equal(memo_each(d.memo, visit, &v), 42);
	assert_string_equal(v.keys, "l2 l1 ");
	assert_int_equal(memo_count(d.memo), 1);
	latch_raise(&d.gate[MEMO_LOCAL]);
	is_answered(&a, "L3#4");
	end(&d);
}

/* ---- all at once ---- */

#define CROWD 6
#define ROUNDS 1500

struct crowd {
	struct desk *desk;
	unsigned seed;
	unsigned wrong;
};

static unsigned next(struct crowd *c)
{
	c->seed = c->seed * 1103515245u + 12345u;
	return c->seed >> 16;
}

static bool is_for(const struct memo_ref *ref, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(ref->value, key, n) &&
	       ((const char *)ref->value)[n] == '#';
}

static void crowd_waits(struct crowd *c, const char *key)
{
	struct asker a = { .w.done = on_done,
			   .desk = c->desk,
			   .key = key,
			   .done = LATCH_INIT };
	struct memo_ref ref = { 0 };
	int r = memo_ask(c->desk->memo, key, strlen(key), &a.w, &ref, NULL);

	if (r == 0) {
		c->wrong += !is_for(&ref, key);
		memo_drop(c->desk->memo, &ref);
	} else if (r == -EINPROGRESS) {
		if (next(c) % 2 && memo_cancel(c->desk->memo, &a.w))
			c->wrong += latch_count(&a.done) != 0;
		else
			c->wrong += !latch_wait(&a.done, 1);
	} else {
		c->wrong += !strpbrk(key, "fF");
	}
}

static void crowd_blocks(struct crowd *c, const char *key)
{
	struct memo_ref ref = { 0 };
	struct err err = ERR_INIT;
	int r = memo_ask_blocking(c->desk->memo, key, strlen(key), &ref, &err);

	if (r == 0) {
		c->wrong += !is_for(&ref, key);
		(void)sched_yield();
		memo_drop(c->desk->memo, &ref);
	} else {
		c->wrong += r != -EACCES || !strstr(err.text, key + 1);
	}
}

static int count_visits(void *arg, const void *key, size_t len, void *value)
{
	(void)key;
	(void)len;
	*(unsigned *)arg += value != NULL;
	return 0;
}

static void *crowd_run(void *arg)
{
	static const char *const keys[] = { "l1",  "l2",  "r1", "r2", "nr1",
					    "nl2", "nf2", "f1", "F1", "nnr2" };
	struct crowd *c = arg;

	for (int i = 0; i < ROUNDS; i++) {
		const char *key = keys[next(c) % 10];
		unsigned visits = 0, what = next(c) % 16;

		if (what == 0)
			memo_forget(c->desk->memo, key, strlen(key));
		else if (what == 1)
			(void)memo_each(c->desk->memo, count_visits, &visits);
		else if (what < 9)
			crowd_waits(c, key);
		else
			crowd_blocks(c, key);
	}
	return NULL;
}

static void serves_a_crowd(void **state)
{
	static const struct memo_class four = CLASS(4);
	struct crowd crowd[CROWD];
	pthread_t threads[CROWD];
	struct desk d;

	(void)state;
	begin(&d, &four, 2, 2);
	d.keep_ms = 1;
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = (struct crowd){ .desk = &d, .seed = i + 1 };
		assert_int_equal(
			pthread_create(&threads[i], NULL, crowd_run, &crowd[i]),
			0);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(crowd[i].wrong, 0);
	}
	end(&d);
}

/* ---- lives ---- */

static void makes_an_answer_anew_when_its_life_is_over(void **state)
{
	const int64_t deadline = io_now_ms() + 60000;
	struct memo_ref old = { 0 }, ref = { 0 };
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	assert_int_equal(memo_ask_blocking(d.memo, "l0", 2, &ref, NULL), 0);
	memo_drop(d.memo, &ref);
	d.life_ms = 5;
	assert_int_equal(memo_ask_blocking(d.memo, "l1", 2, &old, NULL), 0);
	while (known(&d, "l1") != -EINPROGRESS)
		assert_true(io_now_ms() < deadline);
	/* Who looks at the old one goes on with it. */
	assert_non_null(old.value);
	d.life_ms = INT64_MAX;
	assert_int_equal(memo_ask_blocking(d.memo, "l1", 2, &ref, NULL), 0);
	assert_ptr_not_equal(ref.value, old.value);
	memo_drop(d.memo, &ref);
	memo_drop(d.memo, &old);
	assert_int_equal(known(&d, "l1"), 0);
	assert_int_equal(known(&d, "l0"), 0);
	assert_int_equal(makes(&d, MEMO_LOCAL), 3);
	end(&d);
}

static bool begins_with(void *arg, const void *key, size_t len,
			const void *value)
{
	const char *wanted = arg;

	(void)len;
	return *(const char *)key == *wanted && (!wanted[1] || !value);
}

static void forgets_what_it_is_told_is_old(void **state)
{
	static char answers[] = "l", failures[] = "f!", made[] = "L";
	struct memo_ref ref = { 0 };
	struct asker a;
	struct desk d;

	(void)state;
	begin(&d, &unbounded, 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		const char *key = i ? "l1" : "l2";

		assert_int_equal(memo_ask_blocking(d.memo, key, 2, &ref, NULL),
				 0);
		memo_drop(d.memo, &ref);
	}
	assert_int_equal(memo_ask_blocking(d.memo, "r1", 2, &ref, NULL), 0);
	assert_int_equal(blocking_failure(&d, "f1", NULL), -EACCES);
	memo_forget_if(d.memo, begins_with, answers);
	assert_int_equal(known(&d, "l1"), -EINPROGRESS);
	assert_int_equal(known(&d, "l2"), -EINPROGRESS);
	assert_int_equal(known(&d, "r1"), 0);
	assert_int_equal(known(&d, "f1"), -EACCES);
	memo_forget_if(d.memo, begins_with, failures);
	assert_int_equal(known(&d, "f1"), -EINPROGRESS);
	memo_drop(d.memo, &ref);
	/* What is being made answers who waits for it, and nobody later. */
	ask(&d, &a, "L1");
	assert_true(latch_wait(&d.in[MEMO_LOCAL], 1));
	memo_forget_if(d.memo, begins_with, made);
	latch_raise(&d.gate[MEMO_LOCAL]);
	assert_true(latch_wait(&a.done, 1));
	assert_int_equal(a.r, 0);
	end(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_nobody_who_cancelled),
		cmocka_unit_test(ends_with_questions_that_were_never_begun),
		cmocka_unit_test(forgets_answers_and_failures),
		cmocka_unit_test(keeps_what_is_forgotten_for_who_looks_at_it),
		cmocka_unit_test(forgets_what_is_being_made),
		cmocka_unit_test(
			who_asks_after_it_was_forgotten_gets_a_new_one),
		cmocka_unit_test(lets_the_least_recently_used_go),
		cmocka_unit_test(keeps_what_is_looked_at_above_its_limit),
		cmocka_unit_test(gives_who_waits_its_answer_above_the_limit),
		cmocka_unit_test(visits_what_is_known),
		cmocka_unit_test(makes_an_answer_anew_when_its_life_is_over),
		cmocka_unit_test(forgets_what_it_is_told_is_old),
		cmocka_unit_test(serves_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
