/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_DESK_H
#define UNIT_DESK_H

/*
 * A memo whose answers are made as their keys say, its two pools, and those
 * who ask it.
 *
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

#include "base/memo.h"

#include "base/err.h"
#include "base/map.h"
#include "base/pool.h"
#include "latch.h"
#include "scratch.h"

struct desk {
	struct memo *memo;
	struct pool *disk, *net;
	struct latch in[2], gate[2]; /* by stage: makers that came, let go */
	struct latch nested; /* makers that are about to ask themselves */
	pid_t nester;	     /* the thread of the last of them */
	int64_t keep_ms;     /* what failures say, when not negative */
	int64_t life_ms;     /* what answers say, when not negative */
	int64_t keep_was;    /* __atomic: what they were handed */
	unsigned makes[2];   /* __atomic: by stage */
	unsigned values;     /* __atomic */
	pid_t maker; /* __atomic: the thread that made the last answer */
};

static unsigned freed_values; /* __atomic: free_value() has no context */

static inline unsigned makes(struct desk *d, enum memo_stage stage)
{
	return __atomic_load_n(&d->makes[stage], __ATOMIC_SEQ_CST);
}

static inline int make_value(struct desk *d, const char *key, void **value)
{
	unsigned n = __atomic_fetch_add(&d->values, 1, __ATOMIC_SEQ_CST);
	char *s;

	if (asprintf(&s, "%s#%u", key, n) < 0)
		return -ENOMEM;
	__atomic_store_n(&d->maker, gettid(), __ATOMIC_SEQ_CST);
	*value = s;
	return 0;
}

static inline int ask_nested(struct desk *d, const char *key, struct err *err)
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

static inline bool is_held(char how, enum memo_stage stage)
{
	return strchr(stage == MEMO_LOCAL ? "Lmg" : "RN", how) != NULL;
}

static inline int make(void *ctx, const void *bytes, size_t len,
		       enum memo_stage stage, void **value, int64_t *keep_ms,
		       struct err *err)
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
	if (r == 0 && d->life_ms >= 0)
		*keep_ms = d->life_ms;
	return r < 0 ? r : make_value(d, key, value);
}

static inline void free_value(void *value)
{
	(void)__atomic_fetch_add(&freed_values, 1, __ATOMIC_SEQ_CST);
	free(value);
}

#define CLASS(limit_) \
	{ \
		.name = "tests", .make = make, .free_value = free_value, \
		.failure_ms = 60000, .limit = (limit_) \
	}

static const struct memo_class unbounded = CLASS(0), two = CLASS(2),
			       one = CLASS(1);

static inline void begin(struct desk *d, const struct memo_class *cls,
			 unsigned disk, unsigned net)
{
	const struct latch none = LATCH_INIT;

	memset(d, 0, sizeof(*d));
	d->in[0] = d->in[1] = d->gate[0] = d->gate[1] = d->nested = none;
	d->keep_ms = -1;
	d->life_ms = -1;
	__atomic_store_n(&freed_values, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(pool_new(&d->disk, "disk", disk, NULL), 0);
	assert_int_equal(pool_new(&d->net, "net", net, NULL), 0);
	assert_int_equal(memo_new(&d->memo, cls, d, d->disk, d->net, NULL), 0);
}

static inline void end(struct desk *d)
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

static inline void on_done(struct memo_waiter *w, int r, const struct err *err)
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
static inline void ask(struct desk *d, struct asker *a, const char *key)
{
	struct memo_ref ref = { 0 };

	*a = (struct asker){ .w.done = on_done,
			     .desk = d,
			     .key = key,
			     .done = LATCH_INIT,
			     .r = 1,
			     .again = 1 };
	assert_int_equal(memo_ask(d->memo, key, strlen(key), &a->w, &ref, NULL),
			 -EINPROGRESS);
}

static inline void is_answered(struct asker *a, const char *value)
{
	assert_true(latch_wait(&a->done, 1));
	assert_int_equal(a->r, 0);
	assert_int_equal(a->again, 0);
	assert_string_equal(a->value, value);
}

/* What is known, -EINPROGRESS when nothing is; starts nothing. */
static inline int known(struct desk *d, const char *key)
{
	struct memo_ref ref = { 0 };
	int r = memo_ask(d->memo, key, strlen(key), NULL, &ref, NULL);

	if (r == 0)
		memo_drop(d->memo, &ref);
	return r;
}

static inline struct memo_ref hold(struct desk *d, const char *key,
				   const char *value)
{
	struct memo_ref ref = { 0 };

	assert_int_equal(
		memo_ask_blocking(d->memo, key, strlen(key), &ref, NULL), 0);
	assert_string_equal(ref.value, value);
	return ref;
}

static inline void look(struct desk *d, const char *key, const char *value)
{
	struct memo_ref ref = hold(d, key, value);

	memo_drop(d->memo, &ref);
}

static inline int blocking_failure(struct desk *d, const char *key,
				   struct err *err)
{
	struct memo_ref ref = { 0 };

	return memo_ask_blocking(d->memo, key, strlen(key), &ref, err);
}

/* ---- one that blocks ---- */

struct blocked {
	struct desk *desk;
	const char *key;
	struct latch born;
	pid_t thread;
	struct memo_ref ref;
	struct err err;
	int r;
};

static inline void *block(void *arg)
{
	struct blocked *b = arg;

	b->thread = gettid();
	latch_raise(&b->born);
	b->r = memo_ask_blocking(b->desk->memo, b->key, strlen(b->key), &b->ref,
				 &b->err);
	return NULL;
}

/* A thread that waits for the answer by now. */
static inline pthread_t block_for(struct blocked *b, struct desk *d,
				  const char *key)
{
	pthread_t thread;

	*b = (struct blocked){
		.desk = d, .key = key, .born = LATCH_INIT, .err = ERR_INIT
	};
	assert_int_equal(pthread_create(&thread, NULL, block, b), 0);
	assert_true(latch_wait(&b->born, 1));
	assert_true(latch_sleeps(b->thread));
	return thread;
}

#endif
