/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_ANSWERS_H
#define RESOLVER_ANSWERS_H

/*
 * Seven tables of answers (base/memo.h), keyed by text that was checked when
 * it was parsed:
 *
 *	trust	owner (or owner/repo)	does the source trust it
 *	kernels	owner			its repositories
 *	refs	owner/repo		branches and tags, once per mount
 *	commit	owner/repo@rev		what the revision is
 *	folder	owner/repo@commit:dir	a folder alone
 *	build	…@commit:variant	all of a build
 *	pick	…@commit|spec		the choice
 *
 * Each is made first from disk, without waiting, and only then by asking;
 * a maker that needs another table's answer while asking waits for it in
 * place (memo_ask_blocking), which cannot dead-lock: the tables form a
 * ladder, pick > build, folder > trust and pick > commit > refs.
 */

#include "resolve.h"

#include "base/memo.h"
#include "kernels/catalog.h"
#include "kernels/source.h"
#include "kernels/tree.h"

struct decided;
struct pick;

#define ANSWERS_FAILURE_MS 10000
#define ANSWERS_ABSENT_MS 60000
#define ANSWERS_UNTRUSTED_MS 60000 /* how long "not trusted" is believed */
/* Who was called for an answer must find it. */
#define ANSWERS_LIFE_MIN_MS 1000
/* Requests a minute for names that turn out not to exist (DESIGN 1.1). */
#define ANSWERS_ABSENT_PER_MINUTE 60
#define ANSWERS_COMING 16
#define ANSWERS_KEY_MAX (REF_TEXT_MAX + TREE_PATH_MAX + ENV_SPEC_MAX)

enum answers_table {
	ANSWERS_TRUST,
	ANSWERS_KERNELS,
	ANSWERS_REFS,
	ANSWERS_COMMIT,
	ANSWERS_FOLDER,
	ANSWERS_BUILD,
	ANSWERS_PICK,
	ANSWERS_COUNT,
};

struct resolve {
	struct catalog *catalog; /* borrowed */
	struct resolve_options o;
	struct memo *memo[ANSWERS_COUNT]; /* owned */
	struct decided *decided;	  /* owned */
	struct decided *moving; /* owned; of these, what the source has said */
	const struct ref **by_repo; /* owned; o.named by repository */
	/* __atomic: until when a source that took long to say nothing is
	 * not asked for what is known from before, and for how long the next
	 * time */
	int64_t pause_ms, pause_len_ms;
	/* __atomic: when names turned out not to exist, a ring */
	int64_t absent_ms[ANSWERS_ABSENT_PER_MINUTE];
	/* __atomic: repositories about to be used, as hashes; a ring */
	uint64_t coming[ANSWERS_COMING];
	unsigned coming_next; /* __atomic */
	unsigned absent_next; /* __atomic */
};

/* The value of the table of refs. */
struct answers_refs {
	struct source_refs refs; /* first */
	int64_t until_ms;	 /* INT64_MAX: for the mount's life */
};

struct answers_key {
	char s[ANSWERS_KEY_MAX];
	size_t len;
};

int answers_key_read(struct answers_key *k, const void *key, size_t len);
/* "owner/repo@commit<sep>rest", and split again (k is cut at sep). */
int answers_key_set(struct answers_key *k, const struct repo_id *repo,
		    const char *commit, char sep, const char *rest);
int answers_key_split(struct answers_key *k, char sep, struct ref *ref,
		      const char **rest, struct err *err);

/* Names that do not exist are asked for sparingly: -EIO when this minute's
 * share is used up. */
int answers_absent_check(struct resolve *r, const char *what, struct err *err);
/* Count an -ENOENT and keep it for a minute; gives `result` back. */
int answers_absent_note(struct resolve *r, int result, int64_t *keep_ms);

/* Does this result say that nobody answered, or may be asked? */
bool answers_is_silence(int result);
/* The life of an answer that can move; negative: the mount's. */
int64_t answers_moving_ms(const struct resolve *r);
/* The first ref in the config of this repository, or NULL. */
const struct ref *answers_named(const struct resolve *r,
				const struct repo_id *repo);
/* -EPERM when only what is locked may be used and this is not. */
int answers_locked(const struct resolve *r, const struct repo_id *repo,
		   const char *commit, struct err *err);
/*
 * Has its source just taken long to say nothing? When the pause is over, the
 * first to ask makes one cheap try instead of a patient question.
 */
bool answers_is_paused(struct resolve *r, const struct repo_id *repo);
/* What became of a question that was asked at `asked_ms`. */
void answers_pause(struct resolve *r, int64_t asked_ms, int result);

enum catalog_reach answers_reach(enum memo_stage stage);

/*
 * 1 trusted, 0 not, -errno. MEMO_LOCAL: a "yes" of any age will do; where it
 * is too old for bytes to be fetched under it, *old becomes true (else it is
 * not looked at).
 */
int answers_trusted(struct resolve *r, const struct repo_id *repo,
		    enum memo_stage stage, bool *old, struct err *err);

/*
 * Somebody will use this repository: its publisher is asked for beside its
 * refs. Behind them by a moment, since the connection that is open already is
 * for the question that others hang on.
 */
void answers_coming(struct resolve *r, const struct repo_id *repo);
/* Was that said? Once. */
bool answers_is_coming(struct resolve *r, const struct repo_id *repo);
/* Whether the publisher is trusted will be asked: have it asked meanwhile. */
void answers_trust_begin(struct resolve *r, const struct repo_id *repo);

/* Is this answer a "no" that is not for ever: of trust, of a pick for it? */
bool answers_is_no(enum answers_table t, const void *value);
/* Does a branch or tag lead there, as far as this mount has asked? */
bool answers_is_head(struct resolve *r, const struct repo_id *repo,
		     const char *commit);
/* The revision of a kernel that `root` needs. MEMO_LOCAL: -EAGAIN. */
int answers_needed(struct resolve *r, enum memo_stage stage,
		   const struct pick *root, const struct ref *ref,
		   struct resolve_commit *out, struct err *err);
/* What a pick has decided counts for the next mount where it is pinned. */
void answers_keep_needed(struct resolve *r, const struct pick *p);

/* One class per table, with its maker. */
extern const struct memo_class answers_trust, answers_kernels, answers_refs,
	answers_commit, answers_folder, answers_build, answers_pick;

#endif
