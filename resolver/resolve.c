/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"

#include "answers.h"
#include "decided.h"

#include "base/err.h"
#include "base/text.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static const struct memo_class *const classes[ANSWERS_COUNT] = {
	[ANSWERS_TRUST] = &answers_trust,
	[ANSWERS_KERNELS] = &answers_kernels,
	[ANSWERS_REFS] = &answers_refs,
	[ANSWERS_COMMIT] = &answers_commit,
	[ANSWERS_FOLDER] = &answers_folder,
	[ANSWERS_BUILD] = &answers_build,
	[ANSWERS_PICK] = &answers_pick,
};

static int by_repo(const void *a, const void *b)
{
	const struct ref *x = *(const struct ref *const *)a;
	const struct ref *y = *(const struct ref *const *)b;
	int c = repo_compare(&x->repo, &y->repo);

	return c ? c : (x > y) - (x < y);
}

static int sort_named(struct resolve *r, struct err *err)
{
	r->by_repo = calloc(r->o.named_count + 1, sizeof(*r->by_repo));
	if (!r->by_repo)
		return err_errno(err, ENOMEM, "resolver");
	for (size_t i = 0; i < r->o.named_count; i++)
		r->by_repo[i] = &r->o.named[i];
	qsort(r->by_repo, r->o.named_count, sizeof(*r->by_repo), by_repo);
	return 0;
}

int resolve_new(struct resolve **out, struct catalog *catalog,
		const struct resolve_options *o, struct pool *disk,
		struct pool *net, struct err *err)
{
	struct resolve *r = calloc(1, sizeof(*r));

	int n;

	if (!r)
		return err_errno(err, ENOMEM, "resolver");
	r->catalog = catalog;
	r->o = *o;
	n = decided_new(&r->decided, err);
	if (n == 0)
		n = decided_new(&r->moving, err);
	if (n == 0)
		n = sort_named(r, err);
	if (n < 0) {
		resolve_free(r);
		return n;
	}
	for (int t = 0; t < ANSWERS_COUNT; t++) {
		n = memo_new(&r->memo[t], classes[t], r, disk, net, err);
		if (n < 0) {
			resolve_free(r);
			return n;
		}
	}
	*out = r;
	return 0;
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	for (int t = ANSWERS_COUNT; t-- > 0;)
		if (r->memo[t])
			memo_free(r->memo[t]);
	decided_free(r->decided);
	decided_free(r->moving);
	free(r->by_repo);
	free(r);
}

/* ---- what is asked for again ---- */

struct refresh {
	enum answers_table table;
	char repo[2 * REF_PART_MAX + 2]; /* "owner/repo", "" for all */
	size_t owner_len;
};

static bool moves(enum answers_table t)
{
	return t == ANSWERS_KERNELS || t == ANSWERS_REFS || t == ANSWERS_COMMIT;
}

/* Is this key of the repository, or of its owner alone? */
static bool is_about(const struct refresh *f, const char *key, size_t len)
{
	size_t n = strlen(f->repo);

	if (!n)
		return true;
	if (len == f->owner_len)
		return !memcmp(key, f->repo, len);
	return len >= n && !memcmp(key, f->repo, n) &&
	       (len == n || key[n] == '@');
}

static bool is_old(void *arg, const void *key, size_t len, const void *value)
{
	const struct refresh *f = arg;

	if (!is_about(f, key, len))
		return false;
	return !value || moves(f->table) || answers_is_no(f->table, value);
}

void resolve_refresh(struct resolve *r, const struct repo_id *repo)
{
	struct refresh f = { .repo = "" };

	if (repo) {
		(void)snprintf(f.repo, sizeof(f.repo), "%s/%s", repo->owner,
			       repo->name);
		f.owner_len = strlen(repo->owner);
	}
	catalog_refresh(r->catalog, repo);
	__atomic_store_n(&r->pause_ms, 0, __ATOMIC_RELAXED);
	for (int t = 0; t < ANSWERS_COUNT; t++) {
		f.table = (enum answers_table)t;
		memo_forget_if(r->memo[t], is_old, &f);
	}
}

/* ---- questions ---- */

void resolve_begin(struct resolve *r, const struct repo_id *repo)
{
	bool yes;

	if (catalog_trusted(r->catalog, repo, true, CATALOG_DISK, &yes, NULL) ==
	    -EAGAIN)
		answers_coming(r, repo);
}

static int ask(struct resolve *r, enum answers_table t,
	       const struct answers_key *k, struct memo_waiter *w,
	       struct resolve_answer *out, struct err *err)
{
	int n = memo_ask(r->memo[t], k->s, k->len, w, &out->ref, err);

	if (n == 0)
		out->memo = r->memo[t];
	return n;
}

static int ask_blocking(struct resolve *r, enum answers_table t,
			const struct answers_key *k, struct resolve_answer *out,
			struct err *err)
{
	int n = memo_ask_blocking(r->memo[t], k->s, k->len, &out->ref, err);

	if (n == 0)
		out->memo = r->memo[t];
	return n;
}

const void *resolve_value(const struct resolve_answer *a)
{
	return a->ref.value;
}

struct tree *resolve_tree(const struct resolve_answer *a)
{
	return a->ref.value;
}

bool resolve_kernels_has(const struct resolve_answer *a, const char *name)
{
	return source_names_has(a->ref.value, name);
}

void resolve_drop(struct resolve_answer *a)
{
	if (!a->memo)
		return;
	memo_drop(a->memo, &a->ref);
	a->memo = NULL;
}

bool resolve_cancel(struct resolve *r, struct memo_waiter *w)
{
	for (int t = 0; t < ANSWERS_COUNT; t++)
		if (memo_cancel(r->memo[t], w))
			return true;
	return false;
}

static void ref_key(struct answers_key *k, const struct ref *ref)
{
	ref_print(ref, k->s);
	k->len = strlen(k->s);
}

int resolve_commit(struct resolve *r, const struct ref *ref,
		   struct memo_waiter *w, struct resolve_answer *out,
		   struct err *err)
{
	struct answers_key k;

	ref_key(&k, ref);
	return ask(r, ANSWERS_COMMIT, &k, w, out, err);
}

int resolve_commit_blocking(struct resolve *r, const struct ref *ref,
			    struct resolve_answer *out, struct err *err)
{
	struct answers_key k;

	ref_key(&k, ref);
	return ask_blocking(r, ANSWERS_COMMIT, &k, out, err);
}

int resolve_refs(struct resolve *r, const struct repo_id *repo,
		 struct memo_waiter *w, struct resolve_answer *out,
		 struct err *err)
{
	const struct ref ref = { .repo = *repo, .kind = REV_DEFAULT };
	struct answers_key k;

	ref_key(&k, &ref);
	return ask(r, ANSWERS_REFS, &k, w, out, err);
}

int resolve_folder(struct resolve *r, const struct repo_id *repo,
		   const char *commit, const char *dir, struct memo_waiter *w,
		   struct resolve_answer *out, struct err *err)
{
	struct answers_key k;

	if (answers_key_set(&k, repo, commit, ':', dir) < 0)
		return err_set(err, ENAMETOOLONG, "'%.80s'", dir);
	return ask(r, ANSWERS_FOLDER, &k, w, out, err);
}

int resolve_build(struct resolve *r, const struct repo_id *repo,
		  const char *commit, const char *variant,
		  struct memo_waiter *w, struct resolve_answer *out,
		  struct err *err)
{
	struct answers_key k;

	if (answers_key_set(&k, repo, commit, ':', variant) < 0)
		return err_set(err, ENAMETOOLONG, "'%.80s'", variant);
	return ask(r, ANSWERS_BUILD, &k, w, out, err);
}

int resolve_folder_blocking(struct resolve *r, const struct repo_id *repo,
			    const char *commit, const char *dir,
			    struct resolve_answer *out, struct err *err)
{
	struct answers_key k;

	if (answers_key_set(&k, repo, commit, ':', dir) < 0)
		return err_set(err, ENAMETOOLONG, "'%.80s'", dir);
	return ask_blocking(r, ANSWERS_FOLDER, &k, out, err);
}

int resolve_build_blocking(struct resolve *r, const struct repo_id *repo,
			   const char *commit, const char *variant,
			   struct resolve_answer *out, struct err *err)
{
	struct answers_key k;

	if (answers_key_set(&k, repo, commit, ':', variant) < 0)
		return err_set(err, ENAMETOOLONG, "'%.80s'", variant);
	return ask_blocking(r, ANSWERS_BUILD, &k, out, err);
}

static int pick_key(struct answers_key *k, const struct repo_id *repo,
		    const char *commit, const struct env *env, struct err *err)
{
	char spec[ENV_SPEC_MAX];

	env_print(env, spec);
	if (answers_key_set(k, repo, commit, '|', spec) < 0)
		return err_set(err, ENAMETOOLONG, "'%.80s'", spec);
	return 0;
}

int resolve_pick(struct resolve *r, const struct repo_id *repo,
		 const char *commit, const struct env *env,
		 struct memo_waiter *w, struct resolve_answer *out,
		 struct err *err)
{
	struct answers_key k;
	int n = pick_key(&k, repo, commit, env, err);

	return n < 0 ? n : ask(r, ANSWERS_PICK, &k, w, out, err);
}

int resolve_pick_blocking(struct resolve *r, const struct repo_id *repo,
			  const char *commit, const struct env *env,
			  struct resolve_answer *out, struct err *err)
{
	struct answers_key k;
	int n = pick_key(&k, repo, commit, env, err);

	return n < 0 ? n : ask_blocking(r, ANSWERS_PICK, &k, out, err);
}

int resolve_kernels(struct resolve *r, const char *owner, struct memo_waiter *w,
		    struct resolve_answer *out, struct err *err)
{
	struct answers_key k;

	if (text_copy(k.s, sizeof(k.s), owner) < 0)
		return err_set(err, ENAMETOOLONG, "owner");
	k.len = strlen(k.s);
	return ask(r, ANSWERS_KERNELS, &k, w, out, err);
}

int resolve_kernels_blocking(struct resolve *r, const char *owner,
			     struct resolve_answer *out, struct err *err)
{
	struct answers_key k;

	if (text_copy(k.s, sizeof(k.s), owner) < 0)
		return err_set(err, ENAMETOOLONG, "owner");
	k.len = strlen(k.s);
	return ask_blocking(r, ANSWERS_KERNELS, &k, out, err);
}

/* ---- reports ---- */

struct each_pick {
	int (*each)(void *arg, const struct pick *p);
	void *arg;
};

static int call_pick(void *arg, const void *key, size_t len, void *value)
{
	const struct each_pick *e = arg;

	(void)key;
	(void)len;
	return e->each(e->arg, value);
}

int resolve_each_pick(struct resolve *r,
		      int (*each)(void *arg, const struct pick *p), void *arg)
{
	struct each_pick e = { each, arg };

	return memo_each(r->memo[ANSWERS_PICK], call_pick, &e);
}

bool resolve_commit_known(struct resolve *r, const struct repo_id *repo,
			  const char *commit, char revision[REF_REV_MAX + 1])
{
	return decided_find(r->decided, repo, commit, revision);
}

struct each_commit {
	int (*each)(void *arg, const struct ref *ref,
		    const struct resolve_commit *c);
	void *arg;
};

static int call_commit(void *arg, const void *key, size_t len, void *value)
{
	const struct each_commit *e = arg;
	struct answers_key k;
	struct ref ref;

	if (answers_key_read(&k, key, len) < 0 ||
	    ref_parse(&ref, k.s, NULL) < 0)
		return 0;
	return e->each(e->arg, &ref, value);
}

int resolve_each_commit(struct resolve *r,
			int (*each)(void *arg, const struct ref *ref,
				    const struct resolve_commit *c),
			void *arg)
{
	struct each_commit e = { each, arg };

	return memo_each(r->memo[ANSWERS_COMMIT], call_commit, &e);
}
