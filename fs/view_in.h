/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_VIEW_IN_H
#define FS_VIEW_IN_H

/*
 * What the files of the view share among themselves.
 */

#include "view.h"

#include "ctl.h"
#include "door.h"
#include "names.h"
#include "spec.h"
#include "world.h"

struct view {
	struct world *world;	    /* borrowed */
	struct inode_table *inodes; /* owned */
	char *mountpoint;	    /* owned */
	const char *control;	    /* borrowed; NULL: there is none */
	struct backing *backing;    /* borrowed; NULL: there is no mount */
	int64_t since_s;
};

struct pick;
struct resolve_commit;

/* Room for any relative target of ours. */
#define VIEW_TARGET_MAX 1536

/* The environment of the tree that n stands in. */
const struct env *view_in_env(const struct view *v, const struct node *n);
/* Repository and commit of a node at or below a NODE_COMMIT. */
void view_in_commit(const struct node *n, struct repo_id *repo,
		    char commit[REF_COMMIT_LEN + 1]);
/* Path from the commit's root; appended. */
void view_in_path(const struct node *n, struct text *out);
/* The revision by which a commit was asked for, or the commit. */
void view_in_revision(struct view *v, const struct repo_id *repo,
		      const char *commit, char out[REF_REV_MAX + 1]);
/* Where the link of a revision leads: "relu@v2" or "relu@<commit>", with
 * "../<owner>/" in front when the repository is another owner's now. */
void view_in_step(struct view *v, const struct ref *ref,
		  const struct resolve_commit *c, char out[VIEW_TARGET_MAX]);
/* The build that a node belongs to: its node, or NULL. */
const struct node *view_in_build(const struct node *n);
/* The errno of a path to a kernel that a pick refuses. */
int view_in_refused(const struct pick *p);
/* A file of a build is opened: the cache removes first what was not for
 * long. Written down at most once an hour. */
void view_in_used(struct view *v, const struct node *n,
		  const struct repo_id *repo, const char *commit);
/* An open of file `path` of a build (`here`: it is in the cache) may mean
 * that the build will be used: have all of it fetched, and what it needs. */
void view_in_fetch_around(struct view *v, const struct node *n,
			  const struct repo_id *repo, const char *commit,
			  const char *path, bool here);
/* Have a pick's build and those of all that it needs fetched. */
void view_in_fetch_pick(struct view *v, const struct pick *p);
/* One step down: a folder that knows its names by itself (view_lookup.c). */
struct look {
	struct view *v;
	struct node *dir;
	const char *name;
	struct view_wait *w;
	struct node **out;
	struct err *err;
};

int view_look_absent(const struct look *l);
int view_look_make(const struct look *l, struct node_make m);
/* A node of this kind, if the commit `ref` exists. */
int view_look_commit(const struct look *l, const struct ref *ref,
		     enum node_kind kind);

/* One name of a listing. */
typedef void view_add(void *arg, const char *name, enum view_type type);

/* ---- .hub/ (view_hub.c) ---- */

int view_hub_look(const struct look *l);
int view_hub_list(struct view *v, const struct node *dir, struct view_wait *w,
		  view_add *add, void *arg, struct err *err);

/* waiter for the resolver, NULL-safe */
struct memo_waiter *view_in_memo(struct view_wait *w);

#endif
