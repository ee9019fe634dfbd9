/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_VIEW_H
#define FS_VIEW_H

/*
 * The namespace: what each node shows. Free of FUSE, so that it can be walked
 * without a mount.
 *
 * Every question may need an answer that is not there yet. With a `struct
 * view_wait` it then returns -EINPROGRESS and calls wait->done once the
 * question may be put again (or has failed); with NULL it returns
 * -EINPROGRESS and starts nothing. Nothing here blocks on a source. Any
 * thread; nodes are held by the caller.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inode.h"
#include "kernels/fetch.h"
#include "resolver/resolve.h"

struct backing;
struct err;
struct text;
struct view;
struct world;

/* ---- waiting ---- */

struct view_wait {
	/* r: 0 (put the question again) or -errno; on a worker, once */
	void (*done)(struct view_wait *w, int r, const struct err *err);
	struct memo_waiter memo;   /* view's */
	struct fetch_waiter fetch; /* view's */
	bool for_bytes; /* __atomic: waits for a download, not for names */
	unsigned again; /* view's: how often a failure was looked at */
};

void view_wait_init(struct view_wait *w,
		    void (*done)(struct view_wait *w, int r,
				 const struct err *err));
/* true: done will not be called. */
bool view_cancel(struct view *v, struct view_wait *w);

/* ---- life ---- */

/* Borrows the world, which outlives it. `mountpoint` for reports. */
int view_new(struct view **out, struct world *world, const char *mountpoint,
	     struct err *err);
void view_free(struct view *v);
/* For the report: where the mount's control socket is (NULL: nowhere);
 * borrowed. Before anybody asks. */
void view_set_control(struct view *v, const char *path);
/* Likewise how the mount's files are read (NULL: no mount). */
void view_set_backing(struct view *v, struct backing *b);
struct inode_table *view_inodes(struct view *v);
struct world *view_world(struct view *v);

/* ---- what a node is ---- */

enum view_type {
	VIEW_DIR,
	VIEW_FILE,
	VIEW_LINK,
};

/* One modification time for everything below commits, the same on every
 * mount, so that nothing derived from it goes stale (2024-01-01 UTC). */
#define VIEW_TIME_S 1704067200

struct view_attr {
	enum view_type type;
	uint64_t ino; /* of content for files, else the node's number */
	uint64_t size;
	int64_t mtime_s;
	bool forever; /* attributes and name never change */
};

void view_attr(struct view *v, const struct node *n, struct view_attr *out);

/* The child of a folder, held (inode_put). */
int view_lookup(struct view *v, struct node *dir, const char *name,
		struct view_wait *w, struct node **out, struct err *err);
/* What a listing of `dir` has just named, by its name and `next`: as
 * view_lookup() without a wait, and sooner. */
int view_lookup_listed(struct view *v, struct node *dir, const char *name,
		       uint64_t next, struct node **out);
/* Does the modification time of a folder change with its names? */
bool view_is_timed(const struct node *n);
/* Will a folder always list what it lists now? */
bool view_list_forever(struct view *v, const struct node *dir);
/* Is a name that was just found absent here absent for ever? */
bool view_absent_forever(struct view *v, const struct node *dir);

/* Where a link leads; appended. */
int view_readlink(struct view *v, struct node *n, struct view_wait *w,
		  struct text *out, struct err *err);

/* One name of a listing; returns false to stop. `next` continues after it. */
typedef bool view_emit(void *arg, const char *name, enum view_type type,
		       uint64_t ino, uint64_t next);
/* From `at` (0: the beginning). -EINPROGRESS before anything was emitted. */
int view_list(struct view *v, struct node *dir, uint64_t at,
	      struct view_wait *w, view_emit *emit, void *arg, struct err *err);

/*
 * Make a file ready to be read: 0 with *fd of a verified blob (caller
 * closes), or *fd -1 when its content comes from view_report().
 */
int view_open(struct view *v, struct node *n, struct view_wait *w, int *fd,
	      struct err *err);
/* A file of a build is opened whose bytes are at hand already. */
void view_used(struct view *v, struct node *n);
/* Does the content never change (may be cached)? */
bool view_is_constant(const struct node *n);
/* The content of a file that is no blob; appended. */
int view_report(struct view *v, struct node *n, struct view_wait *w,
		struct text *out, struct err *err);

/* user.kernelfs.<name>; -ENODATA for anything else. Names: NUL-separated. */
int view_xattr(struct view *v, struct node *n, const char *name,
	       struct view_wait *w, struct text *out, struct err *err);
void view_xattr_names(const struct node *n, struct text *out);

#endif
