/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files: how each is read, and by which id.
 */
#include "inode_in.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <stdlib.h>

/* So many ids are dropped in one go. */
#define DROP_AT_ONCE 64

static uint32_t now_s(void)
{
	return (uint32_t)(io_now_ms() / 1000);
}

void inode_drop_with(struct inode_table *t, inode_drop *drop, void *ctx)
{
	t->drop = drop;
	t->drop_ctx = ctx;
}

void inode_drop_id(struct inode_table *t, int32_t id)
{
	if (id && t->drop)
		t->drop(t->drop_ctx, id);
}

/* ---- those that have an id ---- */

static bool back_locked(struct inode_table *t, struct node *n, int32_t id)
	LOCK_REQUIRES(&t->lock)
{
	if (t->backed_count == t->backed_room) {
		size_t room = t->backed_room ? 2 * t->backed_room : 64;
		struct node **v =
			realloc(t->backed, room * sizeof(struct node *));

		if (!v)
			return false;
		t->backed = v;
		t->backed_room = room;
	}
	n->id = id;
	n->backed = (uint32_t)t->backed_count;
	t->backed[t->backed_count++] = n;
	return true;
}

void inode_unback_locked(struct inode_table *t, struct node *n)
{
	struct node *last;

	if (!n->id)
		return;
	last = t->backed[--t->backed_count];
	t->backed[n->backed] = last;
	last->backed = n->backed;
}

size_t inode_ids(struct inode_table *t)
{
	size_t n;

	lock_take(&t->lock);
	n = t->backed_count;
	lock_drop(&t->lock);
	return n;
}

/* Some ids of what was shut by then; how many. */
static size_t take_idle(struct inode_table *t, uint32_t before_s,
			int32_t ids[DROP_AT_ONCE])
{
	size_t count = 0;

	lock_take(&t->lock);
	for (size_t i = t->backed_count; i-- > 0 && count < DROP_AT_ONCE;) {
		struct node *n = t->backed[i];

		if (n->opens || n->shut_s > before_s)
			continue;
		ids[count++] = n->id;
		inode_unback_locked(t, n);
		n->id = 0;
	}
	lock_drop(&t->lock);
	return count;
}

size_t inode_drop_idle(struct inode_table *t, uint32_t before_s)
{
	int32_t ids[DROP_AT_ONCE];
	size_t count;

	do {
		count = take_idle(t, before_s, ids);
		for (size_t i = 0; i < count; i++)
			inode_drop_id(t, ids[i]);
	} while (count == DROP_AT_ONCE);
	return inode_ids(t);
}

/* ---- opening and closing ---- */

int32_t inode_open_again(struct inode_table *t, struct node *n)
{
	int32_t id;

	lock_take(&t->lock);
	if (n->reads == INODE_KEPT || n->reads == INODE_ADOPTED) {
		id = -EBUSY;
	} else {
		id = n->id;
		if (id) {
			n->reads = INODE_THROUGH;
			n->opens++;
		}
	}
	lock_drop(&t->lock);
	return id;
}

int32_t inode_open(struct inode_table *t, struct node *n, int fd, int32_t id)
{
	AUTO(auto_close) int spare = fd;
	int32_t spare_id = id;
	int32_t told = 0;

	lock_take(&t->lock);
	/* Another open may have been faster: what it was told goes for us. */
	if (n->reads == INODE_SHUT || n->reads == INODE_THROUGH) {
		if (!n->id && id && back_locked(t, n, id))
			spare_id = 0;
		told = n->id;
		n->reads = told ? INODE_THROUGH : INODE_KEPT;
	}
	if (!told && n->fd < 0)
		n->fd = take_fd(&spare);
	n->opens++;
	lock_drop(&t->lock);
	inode_drop_id(t, spare_id);
	return told;
}

void inode_adopt(struct inode_table *t, struct node *n, int fd)
{
	AUTO(auto_close) int spare = fd;

	lock_take(&t->lock);
	if (n->fd < 0)
		n->fd = take_fd(&spare);
	/* Who asks the kernel to read ahead (posix_fadvise, readahead) has it
	 * ask us for pages, though it reads the file by itself: that open is
	 * ours, and the next one must be like it. */
	if (n->reads == INODE_THROUGH) {
		lock_drop(&t->lock);
		return;
	}
	/* How often it is open was that daemon's to know: one at least, and it
	 * is never taken for shut. */
	n->reads = INODE_ADOPTED;
	if (!n->opens)
		n->opens = 1;
	lock_drop(&t->lock);
}

int inode_fd(struct inode_table *t, struct node *n)
{
	int fd;

	lock_take(&t->lock);
	fd = n->fd;
	lock_drop(&t->lock);
	return fd;
}

void inode_close(struct inode_table *t, struct node *n)
{
	AUTO(auto_close) int last = -1;

	lock_take(&t->lock);
	if (n->opens)
		n->opens--;
	if (n->opens == 0) {
		n->shut_s = now_s();
		if (n->reads != INODE_ADOPTED)
			n->reads = INODE_SHUT;
	}
	/* Another one that holds the node may be reading yet. */
	if (n->opens == 0 && n->holds <= 1)
		last = take_fd(&n->fd);
	lock_drop(&t->lock);
}
