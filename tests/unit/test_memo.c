/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memo.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/map.h"
#include "base/pool.h"
#include "latch.h"
#include "scratch.h"

/*
 * A key's first letter says how its answer is made:
 *
 *	l	from disk
 *	r	from a source
 *	L, R	the same, but held at the gate of its stage
 *	m	held on disk, then from a source
 *	n	from a source, after a question for the key behind the letter
 *	N	the same, but held at the gate before the question
 *	f, F	fails: on disk, at the source
 *	g	fails on disk, held at the gate before
 *	w	fails without a word
 *
 * The answer is the key, '#', and how many were made before it.
 */
struct desk {
	struct memo *memo;
	struct pool *disk, *net;
	struct latch in[2], gate[2]; /* by stage: makers that came, let go */
	struct latch nested; /* makers that are about to ask themselves */
	pid_t nester; /* the thread of the last of them */
	int64_t keep_ms; /* what failures say, when not negative */
	int64_t keep_was; /* __atomic: what they were handed */
	unsigned makes[2]; /* __atomic: by stage */
	unsigned values, freed; /* __atomic */
	pid_t maker; /* __atomic: the thread that made the last answer */
};

static unsigned freed_values; /* __atomic: free_value() has no context */

static unsigned makes(struct desk *d, enum memo_stage stage)
{
	return __atomic_load_n(&d->makes[stage], __ATOMIC_SEQ_CST);
}

static int make_value(struct desk *d, const char *key, void **value)
{
	unsigned n = __atomic_fetch_add(&d->values, 1, __ATOMIC_SEQ_CST);
	char *s;

	if (asprintf(&s, "%s#%u", key, n) < 0)
		return -ENOMEM;
	__atomic_store_n(&d->maker, gettid(), __ATOMIC_SEQ_CST);
	*value = s;
	return 0;
}

static int ask_nested(struct desk *d, const char *key, struct err *err)
{
	struct memo_ref ref = { 0 };
	int r;

	__atomic_store_n(&d->nester, gettid(), __ATOMIC_SEQ_CST);
	latch_raise(&d->nested);
	r = memo_ask_blocking(d->memo, key, strlen(key), &ref, err);
	if (r == 0)
		memo_drop(d->memo, &ref);
	return r;
}

static bool is_held(char how, enum memo_stage stage)
{
	return strchr(stage == MEMO_LOCAL ? "Lmg" : "RN", how) != NULL;
}

static int make(void *ctx, const void *bytes, size_t len, enum memo_stage stage,
		void **value, int64_t *keep_ms, struct err *err)
{
	struct desk *d = ctx;
	const char *key = bytes; /* the memo ends its keys with a NUL */
	int r = 0;

	(void)len;
	(void)__atomic_fetch_add(&d->makes[stage], 1, __ATOMIC_SEQ_CST);
	latch_raise(&d->in[stage]);
	if (is_held(*key, stage) && !latch_wait(&d->gate[stage], 1))
		return err_set(err, ETIME, "held too long");
	if (*key == 'f' || *key == 'g' ||
	    (*key == 'F' && stage == MEMO_REMOTE)) {
		__atomic_store_n(&d->keep_was, *keep_ms, __ATOMIC_SEQ_CST);
		if (d->keep_ms >= 0)
			*keep_ms = d->keep_ms;
		return err_set(err, EACCES, "no '%s' at stage %d", key,
			       (int)stage);
	}
	if (*key == 'w')
		return -ENOSPC;
	if (stage == MEMO_LOCAL && strchr("rRmnNF", *key))
		return -EAGAIN;
	if (*key == 'n' || *key == 'N')
		r = ask_nested(d, key + 1, err);
	return r < 0 ? r : make_value(d, key, value);
}

static void free_value(void *value)
{
	(void)__atomic_fetch_add(&freed_values, 1, __ATOMIC_SEQ_CST);
	free(value);
}

#define CLASS(limit_) \
	{ .name = "tests", .make = make, .free_value = free_value, \
	  .failure_ms = 60000, .limit = (limit_) }

static const struct memo_class unbounded = CLASS(0), two = CLASS(2),
			       one = CLASS(1);

static void begin(struct desk *d, const struct memo_class *cls, unsigned disk,
		  unsigned net)
{
	const struct latch none = LATCH_INIT;

	memset(d, 0, sizeof(*d));
	d->in[0] = d->in[1] = d->gate[0] = d->gate[1] = d->nested = none;
	d->keep_ms = -1;
	__atomic_store_n(&freed_values, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(pool_new(&d->disk, "disk", disk, NULL), 0);
	assert_int_equal(pool_new(&d->net, "net", net, NULL), 0);
	assert_int_equal(memo_new(&d->memo, cls, d, d->disk, d->net, NULL), 0);
}

static void end(struct desk *d)
{
	pool_free(d->disk);
	pool_free(d->net);
	memo_free(d->memo);
	assert_int_equal(__atomic_load_n(&freed_values, __ATOMIC_SEQ_CST),
			 d->values);
}

/* ---- one that asks ---- */

struct asker {
	struct memo_waiter w;
	struct desk *desk;
	const char *key;
	struct latch done;
	int r;
	struct err err;
	/* what a question within the call was answered */
	int again;
	char value[64];
};

static void on_done(struct memo_waiter *w, int r, const struct err *err)
{
	struct asker *a = map_item(w, struct asker, w);
	struct memo_ref ref = { 0 };

	a->r = r;
	if (err)
		a->err = *err;
	if (r == 0) {
		a->again = memo_ask(a->desk->memo, a->key, strlen(a->key), NULL,
				    &ref, NULL);
		if (a->again == 0) {
			(void)snprintf(a->value, sizeof(a->value), "%s",
				       (const char *)ref.value);
			memo_drop(a->desk->memo, &ref);
		}
	}
	latch_raise(&a->done);
}

/* A question that has to wait. */
static void ask(struct desk *d, struct asker *a, const char *key)
{
	struct memo_ref ref = { 0 };

	*a = (struct asker){ .w.done = on_done, .desk = d, .key = key,
			     .done = LATCH_INIT, .r = 1, .again = 1 };
	assert_int_equal(memo_ask(d->memo, key, strlen(key), &a->w, &ref, NULL),
			 -EINPROGRESS);
}

static void is_answered(struct asker *a, const char *value)
{
	assert_true(latch_wait(&a->done, 1));
	assert_int_equal(a->r, 0);
	assert_int_equal(a->again, 0);
	assert_string_equal(a->value, value);
}

/* What is known, -EINPROGRESS when nothing is; starts nothing. */
static int known(struct desk *d, const char *key)
{
	struct memo_ref ref = { 0 };
	int r = memo_ask(d->memo, key, strlen(key), NULL, &ref, NULL);

	if (r == 0)
		memo_drop(d->memo, &ref);
	return r;
}

static struct memo_ref hold(struct desk *d, const char *key, const char *value)
{
	struct memo_ref ref = { 0 };

	assert_int_equal(memo_ask_blocking(d->memo, key, strlen(key), &ref,
					   NULL), 0);
	assert_string_equal(ref.value, value);
	return ref;
}

static void look(struct desk *d, const char *key, const char *value)
{
	struct memo_ref ref = hold(d, key, value);

	memo_drop(d->memo, &ref);
}

static int blocking_failure(struct desk *d, const char *key, struct err *err)
{
	struct memo_ref ref = { 0 };

	return memo_ask_blocking(d->memo, key, strlen(key), &ref, err);
}

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
	char keys[20][8];

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

struct blocked {
	struct desk *desk;
	const char *key;
	struct latch born;
	pid_t thread;
	struct memo_ref ref;
	struct err err;
	int r;
};

static void *block(void *arg)
{
	struct blocked *b = arg;

	b->thread = gettid();
	latch_raise(&b->born);
	b->r = memo_ask_blocking(b->desk->memo, b->key, strlen(b->key), &b->ref,
				 &b->err);
	return NULL;
}

/* A thread that waits for the answer by now. */
static pthread_t block_for(struct blocked *b, struct desk *d, const char *key)
{
	pthread_t thread;

	*b = (struct blocked){ .desk = d, .key = key, .born = LATCH_INIT,
			       .err = ERR_INIT };
	assert_int_equal(pthread_create(&thread, NULL, block, b), 0);
	assert_true(latch_wait(&b->born, 1));
	assert_true(latch_sleeps(b->thread));
	return thread;
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
	assert_int_equal(d.keep_was, unbounded.failure_ms);
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
	struct asker a = { .w.done = on_done, .desk = c->desk, .key = key,
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
	static const char *const keys[] = { "l1", "l2", "r1", "r2", "nr1",
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
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_run,
						&crowd[i]), 0);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(crowd[i].wrong, 0);
	}
	end(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_an_answer_once_for_all_who_wait),
		cmocka_unit_test(answers_from_disk_while_a_source_hangs),
		cmocka_unit_test(starts_nothing_for_who_cannot_wait),
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
		cmocka_unit_test(calls_nobody_who_cancelled),
		cmocka_unit_test(ends_with_questions_that_were_never_begun),
		cmocka_unit_test(forgets_answers_and_failures),
		cmocka_unit_test(keeps_what_is_forgotten_for_who_looks_at_it),
		cmocka_unit_test(forgets_what_is_being_made),
		cmocka_unit_test(lets_the_least_recently_used_go),
		cmocka_unit_test(keeps_what_is_looked_at_above_its_limit),
		cmocka_unit_test(gives_who_waits_its_answer_above_the_limit),
		cmocka_unit_test(visits_what_is_known),
		cmocka_unit_test(serves_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
