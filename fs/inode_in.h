/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_INODE_IN_H
#define FS_INODE_IN_H

/*
 * Inside the table: inode.c (numbers, lives), inode_open.c (open files).
 */

#include "inode.h"

#include "base/lock.h"

struct inode_table {
	struct lock lock;
	struct map nodes; /* lock */
	struct node *root;
	unsigned freed;	      /* lock: since the last trim */
	size_t most;	      /* lock: nodes there were since then */
	struct node **backed; /* lock; owned: those that have an id */
	size_t backed_count;  /* lock */
	size_t backed_room;   /* lock */
	inode_drop *drop;     /* NULL: nobody */
	void *drop_ctx;
};

/* It stands among those with an id no more; n->id stays as it is. */
void inode_unback_locked(struct inode_table *t, struct node *n)
	LOCK_REQUIRES(&t->lock);
/* 0: nothing to drop. Without the lock. */
void inode_drop_id(struct inode_table *t, int32_t id);

#endif
