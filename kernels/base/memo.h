/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEMO_H
#define BASE_MEMO_H

/*
 * Answers that are worked out once. A key is asked for; the first to ask
 * starts the work, later ones wait *in a list on the answer* and hold no
 * thread; when it is there everybody is called. Answers stay (immutable, and
 * counted while somebody looks at them); failures are kept for as long as
 * the maker says, then asked again.
 *
 * The work has two stages. MEMO_LOCAL runs on the `disk` pool and may touch
 * files only; it returns -EAGAIN when it needs a source, and then MEMO_REMOTE
 * runs on the `net` pool, where waiting is allowed. So answers that lie on
 * this machine never queue behind a source that hangs.
 *
 * Threads: all functions from any thread. `done` and `make` are called with
 * no lock held.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct memo;
struct pool;

enum memo_stage {
	MEMO_LOCAL,
	MEMO_REMOTE,
};

/* One that waits. Lies in the caller's memory until done was called or
 * memo_cancel() said true. */
struct memo_waiter {
	/* r: 0 (ask again, it is there) or -errno with err set */
	void (*done)(struct memo_waiter *w, int r, const struct err *err);
	struct memo_waiter *next; /* the memo's */
};

struct memo_class {
	const char *name; /* in logs and reports: "refs", "picks", … */
	/*
	 * Work the answer out. 0 with *value set (owned by the memo now),
	 * -EAGAIN (MEMO_LOCAL only: go to MEMO_REMOTE), or -errno with err.
	 * *keep_ms says for how long it answers later askers: negative on
	 * entry, which leaves a failure at the class's failure_ms and an
	 * answer for ever.
	 */
	int (*make)(void *ctx, const void *key, size_t key_len,
		    enum memo_stage stage, void **value, int64_t *keep_ms,
		    struct err *err);
	void (*free_value)(void *value);
	int64_t failure_ms;
	/* Above this many entries the least recently used that nobody looks
	 * at go; 0: answers are never dropped, only failures are (when they
	 * are too old, or more than MEMO_FAILURES). */
	size_t limit;
};

#define MEMO_FAILURES 1024

/* ctx is handed to make(). The pools are borrowed and outlive the memo. */
int memo_new(struct memo **out, const struct memo_class *cls, void *ctx,
	     struct pool *disk, struct pool *net, struct err *err);
void memo_free(struct memo *m); /* every waiter was called or cancelled */

/* A counted look at an answer. */
struct memo_ref {
	void *value;
	struct memo_entry *entry; /* the memo's */
};

/*
 * Ask. 0 with *out set (give it back with memo_drop), -errno with err set
 * (a kept failure), or -EINPROGRESS: w->done will be called exactly once
 * unless memo_cancel() says true. With w NULL, -EINPROGRESS means "not known
 * and not asked for" and starts nothing.
 */
int memo_ask(struct memo *m, const void *key, size_t key_len,
	     struct memo_waiter *w, struct memo_ref *out, struct err *err);
/* The same on a thread that may wait: makes it here, or waits for who does. */
int memo_ask_blocking(struct memo *m, const void *key, size_t key_len,
		      struct memo_ref *out, struct err *err);
/* Have it made, if nobody has: somebody will ask soon. */
void memo_begin(struct memo *m, const void *key, size_t key_len);
void memo_drop(struct memo *m, struct memo_ref *ref); /* empty ref allowed */

/* true: w will not be called. false: it was or is about to be. */
bool memo_cancel(struct memo *m, struct memo_waiter *w);

/* Forget a kept answer or failure, so that the next asker starts anew. */
void memo_forget(struct memo *m, const void *key, size_t key_len);

/*
 * Forget all that `old` says yes to: `value` is the answer, NULL for a kept
 * failure. Called under the lock: it only looks. What is being made now
 * answers who waits for it, and nobody later.
 */
void memo_forget_if(struct memo *m,
		    bool (*old)(void *arg, const void *key, size_t key_len,
				const void *value),
		    void *arg);

/* Call `each` for every answer known (not failures), under no lock: each
 * answer is counted while looked at. Stops when it returns non-zero. */
int memo_each(struct memo *m,
	      int (*each)(void *arg, const void *key, size_t key_len,
			  void *value),
	      void *arg);
size_t memo_count(struct memo *m);

#endif
