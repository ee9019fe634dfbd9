/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry is made, ready or failed. While it is being made it hangs in the
 * table and in the list of what is being made, with its waiters; one thread
 * at a time has its making in hand: the worker that runs its job, or a
 * blocking asker that took the queued job back and works in place. Ready
 * entries stand in order of use, failed ones in order of age.
 *
 * An entry that was taken out of the table lives until the last look at it
 * is given back. One that is forgotten while it is being made gives its place
 * in the table to the next that is asked for, and keeps the one in the list.
 */
#include "memo.h"

#include "err.h"
#include "io.h"
#include "lock.h"
#include "map.h"
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum state {
	MAKING,
	READY,
	FAILED,
};

struct memo_entry {
	struct map_link link;
	struct memo_entry *prev, *next; /* lock: the list of its state */
	struct memo *memo;
	enum state state;      /* lock */
	enum memo_stage stage; /* who has it in hand */
	bool in_table;	       /* lock */
	bool unwanted;	  /* lock: forgotten before its waiters were called */
	unsigned refs;	  /* lock: looks, blocking askers, who makes it */
	void *value;	  /* READY: owned */
	struct err *err;  /* FAILED: owned */
	int failure;	  /* FAILED: -errno */
	int64_t until_ms; /* not MAKING: kept until then */
	struct memo_waiter *waiters; /* lock */
	struct pool_job job;
	size_t key_len;
	char key[];
};

struct list {
	struct memo_entry *first, *last;
	size_t count;
};

struct memo {
	struct lock lock;
	pthread_cond_t made;
	const struct memo_class *cls;
	void *ctx;
	struct pool *disk, *net; /* borrowed */
	struct map table;	 /* lock */
	struct list lists[3];	 /* lock, by state; first is the oldest */
};

struct key {
	const void *p;
	size_t len;
};

/* ---- lists ---- */

static void list_add(struct list *l, struct memo_entry *e)
{
	e->prev = l->last;
	e->next = NULL;
	*(l->last ? &l->last->next : &l->first) = e;
	l->last = e;
	l->count++;
}

static void list_remove(struct list *l, struct memo_entry *e)
{
	*(e->prev ? &e->prev->next : &l->first) = e->next;
	*(e->next ? &e->next->prev : &l->last) = e->prev;
	e->prev = NULL;
	e->next = NULL;
	l->count--;
}

/* ---- entries ---- */

static int entry_equal(const struct map_link *l, const void *key)
{
	const struct memo_entry *e = map_item_const(l, struct memo_entry, link);
	const struct key *k = key;

	return e->key_len == k->len && !memcmp(e->key, k->p, k->len);
}

static struct memo_entry *find_locked(struct memo *m, const void *key,
				      size_t len) LOCK_REQUIRES(&m->lock)
{
	const struct key k = { key, len };
	struct map_link *l = map_find(&m->table, map_hash(key, len), &k);

	return l ? map_item(l, struct memo_entry, link) : NULL;
}

static void entry_free(struct memo_entry *e)
{
	if (e->value)
		e->memo->cls->free_value(e->value);
	free(e->err);
	free(e);
}

static void set_state_locked(struct memo *m, struct memo_entry *e,
			     enum state state) LOCK_REQUIRES(&m->lock)
{
	list_remove(&m->lists[e->state], e);
	e->state = state;
	if (e->in_table)
		list_add(&m->lists[state], e);
}

/* Out of the table and its list; true when nobody holds it: the caller frees
 * it once the lock is dropped. */
static bool detach_locked(struct memo *m, struct memo_entry *e)
	LOCK_REQUIRES(&m->lock)
{
	if (e->in_table) {
		map_remove(&m->table, &e->link);
		list_remove(&m->lists[e->state], e);
		e->in_table = false;
	}
	return e->refs == 0;
}

/* What is too much: chained by `next` for the caller to free. */
static struct memo_entry *evict_locked(struct memo *m) LOCK_REQUIRES(&m->lock)
{
	struct list *ready = &m->lists[READY], *failed = &m->lists[FAILED];
	struct memo_entry *e, *next, *dead = NULL;

	for (e = ready->first; m->cls->limit && e; e = next) {
		next = e->next;
		if (ready->count <= m->cls->limit)
			break;
		if (e->refs == 0 && detach_locked(m, e)) {
			e->next = dead;
			dead = e;
		}
	}
	for (e = failed->first; e; e = next) {
		next = e->next;
		if (failed->count <= MEMO_FAILURES)
			break;
		if (detach_locked(m, e)) {
			e->next = dead;
			dead = e;
		}
	}
	return dead;
}

static void bury(struct memo_entry *dead)
{
	while (dead) {
		struct memo_entry *next = dead->next;

		entry_free(dead);
		dead = next;
	}
}

/* ---- making ---- */

static int64_t keep_until(int64_t keep_ms)
{
	int64_t now = io_now_ms();

	return keep_ms > INT64_MAX - now ? INT64_MAX : now + keep_ms;
}

/* The maker's look is given back. Who was called asks again within the call,
 * and finds what is there even when it is not to be kept. */
static void let_go(struct memo *m, struct memo_entry *e)
{
	bool last;

	lock_take(&m->lock);
	if (e->unwanted)
		(void)detach_locked(m, e);
	last = --e->refs == 0 && !e->in_table;
	lock_drop(&m->lock);
	if (last)
		entry_free(e);
}

static void complete(struct memo_entry *e, int r, void *value, int64_t keep_ms,
		     const struct err *err)
{
	struct memo *m = e->memo;
	struct memo_waiter *waiters, *next;
	struct memo_entry *dead;
	struct err *kept = NULL;

	if (r < 0) {
		kept = malloc(sizeof(*kept));
		if (kept)
			*kept = *err;
	}
	lock_take(&m->lock);
	waiters = e->waiters;
	e->waiters = NULL;
	e->value = value;
	e->err = kept;
	e->failure = r;
	e->until_ms = keep_until(keep_ms);
	set_state_locked(m, e, r < 0 ? FAILED : READY);
	dead = evict_locked(m); /* not this one, which its maker looks at */
	(void)pthread_cond_broadcast(&m->made);
	lock_drop(&m->lock);
	bury(dead);
	for (; waiters; waiters = next) {
		next = waiters->next;
		waiters->done(waiters, r, r < 0 ? err : NULL);
	}
	let_go(m, e);
}

/* One stage, on this thread. 0: done, -EAGAIN: the other stage is next. */
static int make(struct memo_entry *e)
{
	const struct memo_class *cls = e->memo->cls;
	int64_t keep_ms = -1;
	struct err err = ERR_INIT;
	void *value = NULL;
	int r = cls->make(e->memo->ctx, e->key, e->key_len, e->stage, &value,
			  &keep_ms, &err);

	if (r == -EAGAIN && e->stage == MEMO_LOCAL) {
		e->stage = MEMO_REMOTE;
		return r;
	}
	if (r < 0 && !err.code)
		(void)err_errno(&err, -r, "%s", cls->name);
	if (keep_ms < 0)
		keep_ms = r < 0 ? cls->failure_ms : INT64_MAX;
	complete(e, r, value, keep_ms, &err);
	return 0;
}

static void run_job(struct pool_job *job)
{
	struct memo_entry *e = map_item(job, struct memo_entry, job);
	struct memo *m = e->memo;

	if (make(e) != -EAGAIN)
		return;
	lock_take(&m->lock);
	pool_submit(m->net, &e->job, POOL_NOW);
	/* Who waits for it may take it back from there. */
	(void)pthread_cond_broadcast(&m->made);
	lock_drop(&m->lock);
}

static void make_here(struct memo_entry *e)
{
	while (make(e) == -EAGAIN)
		;
}

/* A new entry that is being made; nothing is queued yet. */
static struct memo_entry *create_locked(struct memo *m, const void *key,
					size_t len) LOCK_REQUIRES(&m->lock)
{
	struct memo_entry *e = calloc(1, sizeof(*e) + len + 1);
	struct memo_entry *old = find_locked(m, key, len);

	if (!e)
		return NULL;
	if (old) { /* forgotten, and being made for who waits for it */
		map_remove(&m->table, &old->link);
		old->in_table = false;
	}
	e->memo = m;
	e->key_len = len;
	memcpy(e->key, key, len);
	e->job.run = run_job;
	if (map_add(&m->table, &e->link, map_hash(key, len)) < 0) {
		free(e);
		return NULL;
	}
	e->in_table = true;
	e->state = MAKING;
	e->stage = MEMO_LOCAL;
	e->refs = 1; /* the maker's */
	list_add(&m->lists[MAKING], e);
	return e;
}

/*
 * What stands in the table for a key, as of now: NULL when it has to be made
 * (what is too old is taken out; *dead gets it when it must be freed).
 */
static struct memo_entry *current_locked(struct memo *m, const void *key,
					 size_t len, struct memo_entry **dead)
	LOCK_REQUIRES(&m->lock)
{
	struct memo_entry *e = find_locked(m, key, len);

	if (e && e->state == MAKING)
		return e->unwanted ? NULL : e;
	if (!e || e->until_ms == INT64_MAX || io_now_ms() < e->until_ms)
		return e;
	if (detach_locked(m, e))
		*dead = e;
	return NULL;
}

static void look_locked(struct memo *m, struct memo_entry *e,
			struct memo_ref *out) LOCK_REQUIRES(&m->lock)
{
	e->refs++;
	if (e->in_table)
		set_state_locked(m, e, READY); /* used last */
	out->entry = e;
	out->value = e->value;
}

static int failed(const struct memo_entry *e, struct err *err)
{
	if (err && e->err)
		*err = *e->err;
	else if (err)
		(void)err_errno(err, -e->failure, "%s", e->memo->cls->name);
	return e->failure;
}

/* ---- asking ---- */

int memo_ask(struct memo *m, const void *key, size_t key_len,
	     struct memo_waiter *w, struct memo_ref *out, struct err *err)
{
	struct memo_entry *e, *dead = NULL;
	int r = -EINPROGRESS;

	lock_take(&m->lock);
	e = current_locked(m, key, key_len, &dead);
	if (e && e->state == READY) {
		look_locked(m, e, out);
		r = 0;
	} else if (e && e->state == FAILED) {
		r = failed(e, err);
	} else if (w) {
		bool fresh = !e;

		if (fresh)
			e = create_locked(m, key, key_len);
		if (!e) {
			r = err_errno(err, ENOMEM, "%s", m->cls->name);
		} else {
			w->next = e->waiters;
			e->waiters = w;
			if (fresh)
				pool_submit(m->disk, &e->job, POOL_NOW);
		}
	}
	lock_drop(&m->lock);
	if (dead)
		entry_free(dead);
	return r;
}

void memo_begin(struct memo *m, const void *key, size_t key_len)
{
	struct memo_entry *e, *dead = NULL;

	lock_take(&m->lock);
	e = current_locked(m, key, key_len, &dead);
	if (!e) {
		e = create_locked(m, key, key_len);
		if (e)
			pool_submit(m->disk, &e->job, POOL_NOW);
	}
	lock_drop(&m->lock);
	if (dead)
		entry_free(dead);
}

/* Wait for who makes it, or take its queued job and make it here. */
static void await_locked(struct memo *m, struct memo_entry *e)
	LOCK_REQUIRES(&m->lock)
{
	while (e->state == MAKING) {
		/* Whoever waits for a queued job might be what keeps it from
		 * running: all workers may be waiting like this one. */
		if (pool_withdraw(m->disk, &e->job) ||
		    pool_withdraw(m->net, &e->job)) {
			lock_drop(&m->lock);
			make_here(e);
			lock_take(&m->lock);
			continue;
		}
		(void)lock_wait(&m->lock, &m->made, -1);
	}
}

int memo_ask_blocking(struct memo *m, const void *key, size_t key_len,
		      struct memo_ref *out, struct err *err)
{
	struct memo_entry *e, *dead = NULL;
	bool last = false;
	int r = 0;

	lock_take(&m->lock);
	e = current_locked(m, key, key_len, &dead);
	if (e) {
		e->refs++;
		await_locked(m, e);
	} else {
		e = create_locked(m, key, key_len);
		if (e) {
			e->refs++;
			lock_drop(&m->lock);
			make_here(e);
			lock_take(&m->lock);
		}
	}
	if (e) {
		if (e->state == READY)
			look_locked(m, e, out);
		else
			r = failed(e, err);
		last = --e->refs == 0 && !e->in_table;
	} else {
		r = err_errno(err, ENOMEM, "%s", m->cls->name);
	}
	lock_drop(&m->lock);
	if (last)
		entry_free(e);
	if (dead)
		entry_free(dead);
	return r;
}

void memo_drop(struct memo *m, struct memo_ref *ref)
{
	struct memo_entry *e = ref->entry, *dead = NULL;

	if (!e)
		return;
	ref->entry = NULL;
	ref->value = NULL;
	lock_take(&m->lock);
	if (--e->refs == 0)
		dead = e->in_table ? evict_locked(m) : e;
	lock_drop(&m->lock);
	bury(dead);
}

static bool unhook_locked(struct memo_entry *e, const struct memo_waiter *w)
{
	struct memo_waiter **at = &e->waiters;

	while (*at && *at != w)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = w->next;
	return true;
}

bool memo_cancel(struct memo *m, struct memo_waiter *w)
{
	struct memo_entry *e;
	bool found = false;

	lock_take(&m->lock);
	for (e = m->lists[MAKING].first; e && !found; e = e->next)
		found = unhook_locked(e, w);
	lock_drop(&m->lock);
	return found;
}

void memo_forget(struct memo *m, const void *key, size_t key_len)
{
	struct memo_entry *e;
	bool last = false;

	lock_take(&m->lock);
	e = find_locked(m, key, key_len);
	if (e && e->state == MAKING)
		e->unwanted = true;
	else if (e)
		last = detach_locked(m, e);
	lock_drop(&m->lock);
	if (last)
		entry_free(e);
}

/* All of one state that are old; chained by `next` for the caller to free. */
static struct memo_entry *forget_state_locked(struct memo *m, enum state state,
					      bool (*old)(void *arg,
							  const void *key,
							  size_t key_len,
							  const void *value),
					      void *arg) LOCK_REQUIRES(&m->lock)
{
	struct memo_entry *e = m->lists[state].first, *next, *dead = NULL;

	for (; e; e = next) {
		next = e->next;
		if (!old(arg, e->key, e->key_len, e->value))
			continue;
		if (state == MAKING) {
			e->unwanted = true;
		} else if (detach_locked(m, e)) {
			e->next = dead;
			dead = e;
		}
	}
	return dead;
}

void memo_forget_if(struct memo *m,
		    bool (*old)(void *arg, const void *key, size_t key_len,
				const void *value),
		    void *arg)
{
	struct memo_entry *dead[3];

	lock_take(&m->lock);
	for (int s = 0; s < 3; s++)
		dead[s] = forget_state_locked(m, (enum state)s, old, arg);
	lock_drop(&m->lock);
	for (int s = 0; s < 3; s++)
		bury(dead[s]);
}

/* ---- reports ---- */

size_t memo_count(struct memo *m)
{
	size_t n;

	lock_take(&m->lock);
	n = m->lists[READY].count;
	lock_drop(&m->lock);
	return n;
}

/* All ready entries, each held; the caller drops them. */
static struct memo_entry **snapshot(struct memo *m, size_t *count)
{
	struct memo_entry **all, *e;
	size_t n = 0;

	lock_take(&m->lock);
	all = calloc(m->lists[READY].count + 1, sizeof(struct memo_entry *));
	for (e = m->lists[READY].first; all && e; e = e->next) {
		e->refs++;
		all[n++] = e;
	}
	lock_drop(&m->lock);
	*count = n;
	return all;
}

int memo_each(struct memo *m,
	      int (*each)(void *arg, const void *key, size_t key_len,
			  void *value),
	      void *arg)
{
	size_t count = 0;
	struct memo_entry **all = snapshot(m, &count);
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < count; i++) {
		struct memo_ref ref = { all[i]->value, all[i] };

		if (r == 0)
			r = each(arg, all[i]->key, all[i]->key_len,
				 all[i]->value);
		memo_drop(m, &ref);
	}
	free(all);
	return r;
}

/* ---- life ---- */

int memo_new(struct memo **out, const struct memo_class *cls, void *ctx,
	     struct pool *disk, struct pool *net, struct err *err)
{
	struct memo *m = calloc(1, sizeof(*m));

	if (!m)
		return err_errno(err, ENOMEM, "%s", cls->name);
	lock_init(&m->lock, LOCK_MEMO);
	lock_cond_init(&m->made);
	map_init(&m->table, entry_equal);
	m->cls = cls;
	m->ctx = ctx;
	m->disk = disk;
	m->net = net;
	*out = m;
	return 0;
}

void memo_free(struct memo *m)
{
	if (!m)
		return;
	for (int s = 0; s < 3; s++) {
		struct memo_entry *e = m->lists[s].first, *next;

		for (; e; e = next) {
			next = e->next;
			entry_free(e);
		}
	}
	map_done(&m->table);
	(void)pthread_cond_destroy(&m->made);
	lock_done(&m->lock);
	free(m);
}
