/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_SOURCE_H
#define KERNELS_SOURCE_H

/*
 * A place that kernels come from. One struct of functions per kind: the Hub
 * (source_hub.c), git servers (git/), folders (dir/), and two that stand
 * before others: several addresses of one source (source_mirror.c), several
 * sources (source_many.c). Everything a
 * supplier returns was checked by it: names are valid refs, paths went
 * through a tree_builder, sizes are bounded.
 *
 * All functions block and may be called from any thread. Failures: -ENOENT
 * no such owner, repository, revision, folder; -EACCES token refused, gated;
 * -EIO, -ETIMEDOUT the source does not answer; -EPROTO it does, with nonsense
 * (-EIO from what sources_new() makes); -ENETUNREACH offline; -ECANCELED at
 * the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ref.h"

struct err;
struct http;
struct http_sink;
struct source;
struct store;
struct text;
struct tree_builder;

#define SOURCE_REFS_MAX 10000u
#define SOURCE_KERNELS_MAX 100000u
/* Of a file whose size nobody has said: whatever comes, as far as the sink
 * takes it. */
#define SOURCE_SIZE_UNKNOWN UINT64_MAX

struct source_ref {
	char name[REF_REV_MAX + 1]; /* "v2", "main", "v0.1.0" */
	char commit[REF_COMMIT_LEN + 1];
};

struct source_refs {
	struct source_ref *branches; /* owned */
	size_t branch_count;
	struct source_ref *tags; /* owned */
	size_t tag_count;
	/* The repository's present name, when it was asked for by a former
	 * one or in another case; else its owner is "". */
	struct repo_id moved_to;
};

void source_refs_done(struct source_refs *r);
const struct source_ref *source_refs_branch(const struct source_refs *r,
					    const char *name);
const struct source_ref *source_refs_tag(const struct source_refs *r,
					 const char *name);

/* Repository names of an owner, sorted by bytes, unique. */
struct source_names {
	char **names; /* owned, each */
	size_t count;
};

void source_names_done(struct source_names *n);
bool source_names_has(const struct source_names *n, const char *name);
/* From n bytes of names in any order, each with a NUL behind it. */
int source_names_from(struct source_names *out, const char *s, size_t n,
		      struct err *err);

struct source_file {
	const struct repo_id *repo;
	const char *commit;
	const char *path; /* from the repository's root */
	uint64_t size;	  /* or SOURCE_SIZE_UNKNOWN */
	uint64_t from;	  /* resume here */
	/* Of http.h: the byte behind the last one, 0: to the end; where the
	 * bytes are; a large body. A source that cannot give a part says
	 * -EOPNOTSUPP to one with an end, before begin(). */
	uint64_t until;
	struct text *place;
	bool apart;
	const bool *cancelled;
	int64_t *progress_ms;
};

struct source_ops {
	/* The owner's kernels. -ENOSYS: this source cannot list. */
	int (*kernels)(struct source *s, const char *owner,
		       struct source_names *out, struct err *err);
	/* Is the publisher trusted by the source itself? A user account is
	 * "no", not a failure. */
	int (*trusted)(struct source *s, const struct repo_id *repo, bool *out,
		       struct err *err);
	int (*refs)(struct source *s, const struct repo_id *repo,
		    struct source_refs *out, struct err *err);
	/* One folder ("" is the root) alone, or all below it. Paths are
	 * added relative to the folder. */
	int (*tree)(struct source *s, const struct repo_id *repo,
		    const char *commit, const char *dir, bool recursive,
		    struct tree_builder *b, struct err *err);
	int (*file)(struct source *s, const struct source_file *f,
		    struct http_sink *sink, struct err *err);
	/* One cheap try: does it answer at all? NULL: it is on this
	 * machine. */
	int (*alive)(struct source *s, struct err *err);
	/* Which of several has the repository. NULL: it is one itself. */
	int (*home)(struct source *s, const struct repo_id *repo, bool ask,
		    struct source **out, struct err *err);
	/* What is remembered of this repository (NULL: of all) is looked at
	 * anew by the next question. NULL: nothing is. */
	void (*refresh)(struct source *s, const struct repo_id *repo);
	void (*free)(struct source *s);
};

/* Does it answer? One line in the log when that changes. */
struct source_health {
	int heard;	 /* __atomic; 0 nothing yet, 1 it answers, -1 not */
	int64_t since_s; /* __atomic; wall clock */
};

struct source {
	const struct source_ops *ops;
	char *url;	   /* owned; how it is named in messages and notes */
	bool local;	   /* asks nobody: works offline too */
	bool offline;	   /* nobody may be asked */
	bool silent_token; /* the user's token is for another source */
	bool hasty;	   /* __atomic; another can be asked: no second try */
	/* What it stands before: sources, or addresses of one. Of the kind. */
	struct source *const *members;
	size_t member_count;
	struct source_health health;
};

/*
 * Whose catalog keys are those of this repository. With `ask` false only what
 * is known (in memory, in a note) counts: -EAGAIN.
 */
int source_home(struct source *s, const struct repo_id *repo, bool ask,
		struct source **out, struct err *err);
/* Every source that can be a home; stops at the first that is not 0. */
int source_each_home(struct source *s,
		     int (*each)(void *arg, struct source *home), void *arg);

void source_free(struct source *s); /* NULL allowed */

/* ---- for those that stand before others ---- */

/* The result of a question that only this source answered. `on` says what
 * goes on meanwhile when it is the first that says "no answer". */
void source_heard(struct source *s, int r, const char *on,
		  const struct err *err);
/* Does this result say that the source does not answer? */
bool source_is_silence(int r);
bool source_is_down(const struct source *s);

/* ---- from options ---- */

struct source_spec {
	const char *url;
	const char *const *mirrors;
	size_t mirror_count;
};

struct source_options {
	struct http *http;   /* borrowed, like the next */
	struct store *store; /* notes, git repositories; NULL: none are kept */
	bool insecure;	     /* http to other machines too */
	bool offline;	     /* http refuses by itself; for messages */
};

/*
 * One source, or several behind one: the first that has the repository wins.
 * URLs: https://... or http://... is a Hub, git+https://..., git+http://...,
 * git+file://... a git server, file:///... a folder. Without user, query,
 * fragment; '/' at its end does not matter. http only to this machine unless
 * `insecure`. -EINVAL with a sentence for another.
 */
int sources_new(struct source **out, const struct source_spec *specs, size_t n,
		const struct source_options *o, struct err *err);

/* For status: each member, mirrors too. state: "ok", "down", "offline",
 * "local", "unused"; since_s: wall clock, 0 for the last three. */
typedef void source_each_state(void *arg, const char *url, const char *state,
			       int64_t since_s);
void sources_each_state(struct source *s, source_each_state *each, void *arg);

/* The kinds; each in its own file. They keep nothing of the options but what
 * is borrowed. */
int source_hub_new(struct source **out, const char *url,
		   const struct source_options *o, struct err *err);
int source_git_new(struct source **out, const char *url,
		   const struct source_options *o, struct err *err);
int source_dir_new(struct source **out, const char *url,
		   const struct source_options *o, struct err *err);
/* Whose a folder is that is one repository itself. */
#define SOURCE_DIR_OWNER "local"
/* Both own their members from the first moment, failures included. */
int source_mirror_new(struct source **out, struct source **addresses, size_t n,
		      int64_t probe_ms, struct err *err);
int source_many_new(struct source **out, struct source **sources, size_t n,
		    const struct source_options *o, struct err *err);

#endif
