/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_INODE_H
#define FS_INODE_H

/*
 * The kernel's numbers. A node is one thing of the namespace that the kernel
 * knows; its number is a hash of its parent's number, its name and, where a
 * name can move, of what it leads to. So a later daemon that walks the same
 * path comes to the same number, and a number that it cannot explain is
 * ESTALE, never another file (handover.md 2.3). 1 is the root.
 *
 * A node lives while the kernel counts lookups of it, while a child of it
 * lives, or while somebody holds it. Any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

struct err;
struct inode_table;
struct tree;
struct spec;

enum node_kind {
	NODE_ROOT,
	NODE_IMPORT,	 /* /<package>/ */
	NODE_STUB,	 /* the door's __init__.py */
	NODE_STUB_CACHE, /* __pycache__ beside it: its bytecode */
	NODE_OWNER,	 /* /<owner>/ */
	NODE_REPO,	 /* link: <repo> or <repo>@<rev>, maybe undecided */
	NODE_COMMIT,	 /* <repo>@<40 hex>/ */
	NODE_BUILDS,	 /* its build/ */
	NODE_VARIANT,	 /* a build, or a folder in it: `tree`, `entry` */
	NODE_FOLDER,	 /* another folder of the commit */
	NODE_FILE,	 /* a file of the commit: `tree`, `entry` */
	NODE_PYTHON,	 /* <commit>/python/ */
	NODE_PACKAGE,	 /* <commit>/python/<package>/ */
	NODE_COMMIT_CTL, /* <commit>/.kernelfs/ */
	NODE_DECISION,	 /* its decision */
	NODE_DECISION_JSON,
	NODE_DEPENDS_JSON, /* its depends.json, for the door */
	NODE_VARIANTS,	   /* its variants/ */
	NODE_BUILD_LINK,   /* link /<package>/build, maybe undecided */
	NODE_ENVS,	   /* .env/ */
	NODE_SPEC,	   /* .env/<spec>/ */
	NODE_WHY,	   /* <package>.why */
	NODE_PINNED,	   /* <package>.pinned */
	NODE_LINK,	   /* a link whose target is in `text` */
	NODE_CTL,	   /* /.kernelfs/ */
	NODE_CTL_FILE,	   /* one of its reports: `entry` says which */
	NODE_OWNERS,	   /* its owners/ */
	NODE_DOOR_DIR,	   /* its door/ */
	NODE_DOOR_FILE,	   /* one of the door's: `entry` says which */
	NODE_HUB,	   /* /.hub/ */
	NODE_HUB_REPO,	   /* .hub/kernels--<owner>--<repo>/ */
	NODE_HUB_REFS,	   /* its refs/ */
	NODE_HUB_REF,	   /* a file in it: the commit is in `text` */
	NODE_HUB_SNAPS,	   /* its snapshots/ */
	NODE_HUB_SNAP,	   /* snapshots/<commit>/ */
	NODE_HUB_BUILDS,   /* snapshots/<commit>/build/ */
};

struct node {
	struct map_link link; /* the table's; hash is the number */
	struct node *parent;  /* held; NULL for the root */
	struct tree *tree;    /* held, or NULL */
	struct spec *spec;    /* held: below .env/<spec>; NULL: the mount's */
	char *text;	  /* owned: where a link leads, once that is known */
	uint64_t lookups; /* table: what the kernel counts */
	uint32_t holds;	  /* table: children and current users */
	uint32_t entry;	  /* index in `tree`, or the report's number */
	uint16_t kind;	  /* enum node_kind */
	bool whole;	  /* __atomic: all of this build was asked for */
	uint8_t reads;	  /* table: enum inode_reads */
	int fd;		  /* table: the blob's, while open; -1 */
	uint32_t opens;	  /* table: how often the kernel has it open */
	int32_t id;	  /* table: what the kernel knows its blob by; 0 */
	uint32_t backed;  /* table: where it stands among those with an id */
	uint32_t shut_s;  /* table: since when it is open no more */
	uint32_t used_h;  /* __atomic: the hour whose use was written down */
	char name[];	  /* NUL-terminated */
};

#define INODE_ROOT 1

/* What a new node is to be; copied. */
struct node_make {
	enum node_kind kind;
	const char *name;
	const char *text;  /* NULL allowed; part of the number */
	struct tree *tree; /* a reference is taken */
	uint32_t entry;
	struct spec *spec; /* a reference is taken */
};

int inode_table_new(struct inode_table **out, struct err *err);
void inode_table_free(struct inode_table *t); /* drops all nodes */

/* The node of a number, held (inode_put gives it back); NULL: not known. */
struct node *inode_get(struct inode_table *t, uint64_t number);
void inode_put(struct inode_table *t, struct node *n);
/* The number that the kernel knows it by. */
uint64_t inode_number(const struct node *n);
/* The child, made if need be, held. -ENOMEM; -EIO when two names share a
 * number (once in 2^64). */
int inode_child(struct inode_table *t, struct node *parent,
		const struct node_make *make, struct node **out);
/* The kernel was told of it once more / has forgotten it n times. */
void inode_looked_up(struct inode_table *t, struct node *n);
void inode_forget(struct inode_table *t, uint64_t number, uint64_t n);
size_t inode_count(struct inode_table *t);

/* ---- open files (inode_open.c) ---- */

/*
 * Who reads the bytes of an open file: the kernel by itself, from the blob
 * that it knows by an id, or it asks us and keeps the pages. It holds the two
 * apart for one inode (EIO to who opens), and two ids as well; so the first
 * of those who have it open decides for all, and an id is given back only
 * when nobody has. Counted before the kernel is told: it never uses an id
 * that is gone.
 */
enum inode_reads {
	INODE_SHUT,    /* nobody has it open: not decided */
	INODE_KEPT,    /* we are asked */
	INODE_THROUGH, /* `id` */
	INODE_ADOPTED, /* we are asked, for as long as the node lives */
};

/* Open it once more with the id that it has: that, counted. 0: it has none
 * yet, and one may be made; -EBUSY: we are asked. */
int32_t inode_open_again(struct inode_table *t, struct node *n);
/*
 * Count an open. `id` (0: none) is what `fd` was registered as; both are
 * taken over. The id to tell the kernel, or 0: we are asked, and `fd` is kept
 * for that unless there is one.
 */
int32_t inode_open(struct inode_table *t, struct node *n, int fd, int32_t id);
/* We are asked about what was opened through a daemon that is gone: `fd`
 * (taken over) is for that. */
void inode_adopt(struct inode_table *t, struct node *n, int fd);
/* The descriptor, lent out while the node is held (-1: none). */
int inode_fd(struct inode_table *t, struct node *n);
/* Count down. The descriptor is closed when it is open no more and nobody
 * but the caller holds the node, else when the last lets go. */
void inode_close(struct inode_table *t, struct node *n);

/* Who is told that an id is needed no more, with no lock held. Set before
 * there is any; ctx outlives the table. */
typedef void inode_drop(void *ctx, int32_t id);
void inode_drop_with(struct inode_table *t, inode_drop *drop, void *ctx);
/* Drop the ids of what nobody has had open since `before_s` (io_now_ms in
 * seconds); how many are left. */
size_t inode_drop_idle(struct inode_table *t, uint32_t before_s);
size_t inode_ids(struct inode_table *t);

#endif
