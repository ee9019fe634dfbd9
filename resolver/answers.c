/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include "pick.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/map.h"
#include "base/text.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys ---- */

int answers_key_read(struct answers_key *k, const void *key, size_t len)
{
	if (len >= sizeof(k->s))
		return -EINVAL;
	memcpy(k->s, key, len);
	k->s[len] = '\0';
	k->len = len;
	return 0;
}

int answers_key_set(struct answers_key *k, const struct repo_id *repo,
		    const char *commit, char sep, const char *rest)
{
	int n = snprintf(k->s, sizeof(k->s), "%s/%s@%s%c%s", repo->owner,
			 repo->name, commit, sep, rest);

	if (n < 0 || (size_t)n >= sizeof(k->s))
		return -ENAMETOOLONG;
	k->len = (size_t)n;
	return 0;
}

/* Split "owner/repo@commit<sep>rest" again. */
int answers_key_split(struct answers_key *k, char sep, struct ref *ref,
		      const char **rest, struct err *err)
{
	char *at = strchr(k->s, sep);

	*rest = k->s;
	if (!at)
		return err_set(err, EINVAL, "key '%.80s'", k->s);
	*at = '\0';
	*rest = at + 1;
	return ref_parse(ref, k->s, err);
}

/* ---- names that do not exist are asked for sparingly ---- */

int answers_absent_check(struct resolve *r, const char *what, struct err *err)
{
	unsigned next = __atomic_load_n(&r->absent_next, __ATOMIC_RELAXED);
	int64_t oldest =
		__atomic_load_n(&r->absent_ms[next % ANSWERS_ABSENT_PER_MINUTE],
				__ATOMIC_RELAXED);

	if (oldest == 0 || io_now_ms() - oldest >= ANSWERS_ABSENT_MS)
		return 0;
	return err_set(err, EIO,
		       "'%s': %d names that do not exist were asked "
		       "for within a minute; not asking the source for more "
		       "now",
		       what, ANSWERS_ABSENT_PER_MINUTE);
}

int answers_absent_note(struct resolve *r, int result, int64_t *keep_ms)
{
	unsigned next;

	if (result != -ENOENT)
		return result;
	next = __atomic_fetch_add(&r->absent_next, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&r->absent_ms[next % ANSWERS_ABSENT_PER_MINUTE],
			 io_now_ms(), __ATOMIC_RELAXED);
	*keep_ms = ANSWERS_ABSENT_MS;
	return result;
}

/* ---- sources that do not answer ---- */

/* Longer than this is too long to be had for every name again. */
#define LONG_SILENCE_MS 1000
#define PAUSE_MAX_MS 60000

bool answers_is_silence(int result)
{
	return result == -ENETUNREACH || source_is_silence(result);
}

int64_t answers_moving_ms(const struct resolve *r)
{
	return r->o.refresh_ms > 0 ? r->o.refresh_ms : -1;
}

/* Only one gets to end a pause: who finds it over begins the next one. */
static bool begin_pause(struct resolve *r, int64_t from)
{
	int64_t len = __atomic_load_n(&r->pause_len_ms, __ATOMIC_RELAXED);

	if (len < ANSWERS_FAILURE_MS)
		len = ANSWERS_FAILURE_MS;
	if (!__atomic_compare_exchange_n(&r->pause_ms, &from, io_now_ms() + len,
					 false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return false;
	len = len < PAUSE_MAX_MS / 2 ? 2 * len : PAUSE_MAX_MS;
	__atomic_store_n(&r->pause_len_ms, len, __ATOMIC_RELAXED);
	return true;
}

static void end_pause(struct resolve *r)
{
	__atomic_store_n(&r->pause_ms, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&r->pause_len_ms, 0, __ATOMIC_RELAXED);
}

bool answers_is_paused(struct resolve *r, const struct repo_id *repo)
{
	int64_t until = __atomic_load_n(&r->pause_ms, __ATOMIC_RELAXED);

	if (!until || !catalog_is_down(r->catalog, repo))
		return false;
	if (io_now_ms() < until || !begin_pause(r, until))
		return true;
	if (catalog_alive(r->catalog, repo, NULL) < 0)
		return true;
	end_pause(r);
	return false;
}

void answers_pause(struct resolve *r, int64_t asked_ms, int result)
{
	if (result >= 0)
		end_pause(r);
	if (!source_is_silence(result))
		return;
	if (io_now_ms() - asked_ms >= LONG_SILENCE_MS)
		(void)begin_pause(
			r, __atomic_load_n(&r->pause_ms, __ATOMIC_RELAXED));
}

/* ---- what the config names ---- */

const struct ref *answers_named(const struct resolve *r,
				const struct repo_id *repo)
{
	size_t low = 0, high = r->o.named_count;

	/* The first of equal ones: the option that was given first. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (repo_compare(&r->by_repo[mid]->repo, repo) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->o.named_count &&
			       repo_equal(&r->by_repo[low]->repo, repo)
		       ? r->by_repo[low]
		       : NULL;
}

enum catalog_reach answers_reach(enum memo_stage stage)
{
	return stage == MEMO_LOCAL ? CATALOG_DISK : CATALOG_SOURCE;
}

/* ---- trust ---- */

#define PUBLISHERS_MAX 4096

static bool trusted_by_option(const struct resolve *r,
			      const struct repo_id *repo)
{
	char full[2 * REF_PART_MAX + 2];

	(void)snprintf(full, sizeof(full), "%s/%s", repo->owner, repo->name);
	for (size_t i = 0; i < r->o.trust_count; i++) {
		const char *t = r->o.trust[i];

		if (!strcmp(t, "*") || !strcmp(t, repo->owner) ||
		    !strcmp(t, full))
			return true;
	}
	return false;
}

/* As print_trust_key() has it. */
static int read_trust_key(struct repo_id *repo, const char *key)
{
	size_t n = strcspn(key, "/");

	if (n >= sizeof(repo->owner))
		return -EINVAL;
	memcpy(repo->owner, key, n);
	repo->owner[n] = '\0';
	return key[n] ? text_copy(repo->name, sizeof(repo->name), key + n + 1)
		      : 0;
}

static int make_trust(void *ctx, const void *key, size_t len,
		      enum memo_stage stage, void **value, int64_t *keep_ms,
		      struct err *err)
{
	struct resolve *r = ctx;
	struct answers_key k;
	struct repo_id repo = { .owner = "" };
	bool yes = false;
	bool old = false;
	bool *answer;
	int n;

	if (answers_key_read(&k, key, len) < 0 ||
	    read_trust_key(&repo, k.s) < 0)
		return err_set(err, EINVAL, "owner");
	n = catalog_trusted(r->catalog, &repo, false, answers_reach(stage),
			    &yes, err);
	/* Nobody can be asked: what was heard last, however long ago. */
	if (answers_is_silence(n) &&
	    catalog_trusted(r->catalog, &repo, true, CATALOG_DISK, &yes,
			    NULL) == 0) {
		old = true;
		n = 0;
	}
	if (n < 0)
		return n == -EAGAIN ? n
				    : err_wrap(err, n,
					       "trust of publisher '%s'", k.s);
	answer = malloc(sizeof(*answer));
	if (!answer)
		return err_errno(err, ENOMEM, "trust");
	*answer = yes;
	*keep_ms = yes ? CATALOG_TRUST_S * 1000LL : ANSWERS_UNTRUSTED_MS;
	if (old)
		*keep_ms = ANSWERS_FAILURE_MS;
	*value = answer;
	return 0;
}

/* What lies on this machine was taken in under that "yes". */
static int trusted_before(struct resolve *r, const struct repo_id *repo,
			  bool *old, struct err *err)
{
	bool yes = false;
	int n = catalog_trusted(r->catalog, repo, false, CATALOG_DISK, &yes,
				NULL);

	if (n != -EAGAIN)
		return n < 0 ? n : yes;
	n = catalog_trusted(r->catalog, repo, true, CATALOG_DISK, &yes, err);
	if (n < 0)
		return n;
	*old = true;
	return yes;
}

/* The owner, or "owner/repo" where each may have another source. */
static void print_trust_key(const struct resolve *r, const struct repo_id *repo,
			    char key[2 * REF_PART_MAX + 2])
{
	bool one = catalog_one_source(r->catalog);

	(void)snprintf(key, 2 * REF_PART_MAX + 2, "%s%s%s", repo->owner,
		       one ? "" : "/", one ? "" : repo->name);
}

static uint64_t coming_hash(const struct repo_id *repo)
{
	uint64_t h = map_hash(repo->owner, strlen(repo->owner));

	return map_hash_more(h, repo->name, strlen(repo->name)) | 1;
}

void answers_coming(struct resolve *r, const struct repo_id *repo)
{
	unsigned i = __atomic_fetch_add(&r->coming_next, 1, __ATOMIC_RELAXED);

	__atomic_store_n(&r->coming[i % ANSWERS_COMING], coming_hash(repo),
			 __ATOMIC_RELAXED);
}

bool answers_is_coming(struct resolve *r, const struct repo_id *repo)
{
	uint64_t h = coming_hash(repo);

	for (int i = 0; i < ANSWERS_COMING; i++) {
		uint64_t is = h;

		if (__atomic_compare_exchange_n(&r->coming[i], &is, 0, false,
						__ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
	}
	return false;
}

void answers_trust_begin(struct resolve *r, const struct repo_id *repo)
{
	char key[2 * REF_PART_MAX + 2];

	/* Whose word counts, of several sources, shows only by an answer. */
	if (trusted_by_option(r, repo) || !catalog_one_source(r->catalog))
		return;
	print_trust_key(r, repo, key);
	memo_begin(r->memo[ANSWERS_TRUST], key, strlen(key));
}

int answers_trusted(struct resolve *r, const struct repo_id *repo,
		    enum memo_stage stage, bool *old, struct err *err)
{
	struct memo_ref ref = { 0 };
	char key[2 * REF_PART_MAX + 2];
	bool yes = false;
	int n;

	if (trusted_by_option(r, repo))
		return 1;
	if (stage == MEMO_LOCAL)
		return trusted_before(r, repo, old, err);
	print_trust_key(r, repo, key);
	n = memo_ask_blocking(r->memo[ANSWERS_TRUST], key, strlen(key), &ref,
			      err);
	if (n < 0)
		return n;
	yes = *(const bool *)ref.value;
	memo_drop(r->memo[ANSWERS_TRUST], &ref);
	return yes;
}

bool answers_is_no(enum answers_table t, const void *value)
{
	const struct pick *p;

	if (t == ANSWERS_TRUST)
		return !*(const bool *)value;
	if (t != ANSWERS_PICK)
		return false;
	p = value;
	/* a publisher, or a kernel that is needed and not there */
	return p->refused == ERR_REFUSED || p->refused == ENOENT;
}

const struct memo_class answers_trust = {
	.name = "trust",
	.make = make_trust,
	.free_value = free,
	.failure_ms = ANSWERS_FAILURE_MS,
	.limit = PUBLISHERS_MAX,
};
