/* SPDX-License-Identifier: Apache-2.0 */
#include "inode_in.h"

#include "spec.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "kernels/tree.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * When forgotten memory is given back to the system: after so many nodes,
 * or after fewer that were most of all there were.
 */
#define TRIM_EVERY 65536
#define TRIM_LEAST 1024

struct node_key {
	const struct node *parent;
	const struct node_make *make;
};

static int node_equal(const struct map_link *l, const void *key)
{
	const struct node *n = map_item_const(l, struct node, link);
	const struct node_key *k = key;

	if (!k) /* by number alone: the hash has been compared */
		return 1;
	return n->parent == k->parent && n->kind == k->make->kind &&
	       !strcmp(n->name, k->make->name);
}

static struct node *node_new(struct node *parent, const struct node_make *make)
{
	size_t len = strlen(make->name) + 1;
	struct node *n = calloc(1, sizeof(*n) + len);

	if (!n)
		return NULL;
	if (make->text) {
		n->text = strdup(make->text);
		if (!n->text) {
			free(n);
			return NULL;
		}
	}
	memcpy(n->name, make->name, len);
	n->parent = parent;
	n->kind = (uint16_t)make->kind;
	n->entry = make->entry;
	n->fd = -1;
	n->holds = 1;
	n->reads = INODE_SHUT;
	if (make->tree)
		n->tree = tree_ref(make->tree);
	if (make->spec)
		n->spec = spec_ref(make->spec);
	return n;
}

static void node_free(struct node *n)
{
	if (n->fd >= 0)
		(void)close(n->fd);
	tree_unref(n->tree);
	spec_unref(n->spec);
	free(n->text);
	free(n);
}

int inode_table_new(struct inode_table **out, struct err *err)
{
	struct node_make make = { .kind = NODE_ROOT, .name = "" };
	struct inode_table *t = calloc(1, sizeof(*t));

	if (!t)
		return err_errno(err, ENOMEM, "inode table");
	lock_init(&t->lock, LOCK_INODE);
	map_init(&t->nodes, node_equal);
	t->root = node_new(NULL, &make);
	if (!t->root || map_add(&t->nodes, &t->root->link, INODE_ROOT) < 0) {
		inode_table_free(t);
		return err_errno(err, ENOMEM, "inode table");
	}
	*out = t;
	return 0;
}

void inode_table_free(struct inode_table *t)
{
	struct map_link *l, *next;

	if (!t)
		return;
	for (l = map_next(&t->nodes, NULL); l; l = next) {
		struct node *n = map_item(l, struct node, link);

		next = map_next(&t->nodes, l); /* removing could shrink it */
		inode_drop_id(t, n->id);
		node_free(n);
	}
	map_done(&t->nodes);
	free(t->backed);
	lock_done(&t->lock);
	free(t);
}

struct node *inode_get(struct inode_table *t, uint64_t number)
{
	struct map_link *l;
	struct node *n = NULL;

	lock_take(&t->lock);
	l = map_find(&t->nodes, number, NULL);
	if (l) {
		n = map_item(l, struct node, link);
		n->holds++;
	}
	lock_drop(&t->lock);
	return n;
}

/*
 * Take every node that nobody wants any more out of the table, upwards from
 * n; they hang on `parent` of the returned list and are freed by the caller
 * after the lock was let go (closing a file may block).
 */
static struct node *reap_locked(struct inode_table *t, struct node *n)
	LOCK_REQUIRES(&t->lock)
{
	struct node *dead = NULL;

	while (n && n != t->root && n->holds == 0 && n->lookups == 0) {
		struct node *parent = n->parent;

		map_remove(&t->nodes, &n->link);
		inode_unback_locked(t, n);
		t->freed++;
		n->parent = dead;
		dead = n;
		parent->holds--;
		n = parent;
	}
	return dead;
}

static bool trim_due_locked(struct inode_table *t) LOCK_REQUIRES(&t->lock)
{
	size_t count = t->nodes.count;

	if (count > t->most)
		t->most = count;
	if (t->freed < TRIM_EVERY &&
	    (t->freed < TRIM_LEAST || count > t->most / 8) &&
	    !(t->freed && count == 1))
		return false;
	t->freed = 0;
	t->most = count;
	return true;
}

static void bury(struct inode_table *t, struct node *dead, bool trim)
{
	while (dead) {
		struct node *next = dead->parent;

		inode_drop_id(t, dead->id);
		node_free(dead);
		dead = next;
	}
	if (trim) /* else a walk of a million names leaves its peak behind */
		(void)malloc_trim(0);
}

void inode_put(struct inode_table *t, struct node *n)
{
	AUTO(auto_close) int last = -1;
	struct node *dead;
	bool trim;

	if (!n)
		return;
	lock_take(&t->lock);
	n->holds--;
	if (n->holds == 0 && n->opens == 0)
		last = take_fd(&n->fd);
	dead = reap_locked(t, n);
	trim = trim_due_locked(t);
	lock_drop(&t->lock);
	bury(t, dead, trim);
}

uint64_t inode_number(const struct node *n)
{
	return n->link.hash;
}

static uint64_t child_number(const struct node *parent,
			     const struct node_make *make)
{
	uint64_t above = inode_number(parent);
	uint64_t h = map_hash(&above, sizeof(above));

	h = map_hash_more(h, make->name, strlen(make->name) + 1);
	if (make->text)
		h = map_hash_more(h, make->text, strlen(make->text));
	/* A list that arrives may make an import name of what the kernel
	 * still knows as an owner: no name holds a '/'. */
	if (make->kind == NODE_OWNER)
		h = map_hash_more(h, "/", 1);
	return h <= INODE_ROOT ? h + 2 : h;
}

/* 1 with *out held, 0: not there, -EIO: another's number. */
static int find_locked(struct inode_table *t, uint64_t number,
		       const struct node_key *key, struct node **out)
	LOCK_REQUIRES(&t->lock)
{
	struct map_link *l = map_find(&t->nodes, number, NULL);

	if (!l)
		return 0;
	if (!node_equal(l, key))
		return -EIO;
	*out = map_item(l, struct node, link);
	(*out)->holds++;
	return 1;
}

int inode_child(struct inode_table *t, struct node *parent,
		const struct node_make *make, struct node **out)
{
	const struct node_key key = { parent, make };
	uint64_t number = child_number(parent, make);
	struct node *fresh;
	int r;

	lock_take(&t->lock);
	r = find_locked(t, number, &key, out);
	lock_drop(&t->lock);
	if (r)
		return r < 0 ? r : 0;
	fresh = node_new(parent, make);
	if (!fresh)
		return -ENOMEM;
	lock_take(&t->lock);
	r = find_locked(t, number, &key, out); /* made by another meanwhile */
	if (r == 0)
		r = map_add(&t->nodes, &fresh->link, number);
	if (r == 0) {
		parent->holds++;
		*out = TAKE(fresh);
	}
	lock_drop(&t->lock);
	if (fresh)
		node_free(fresh);
	return r < 0 ? r : 0;
}

void inode_looked_up(struct inode_table *t, struct node *n)
{
	lock_take(&t->lock);
	n->lookups++;
	lock_drop(&t->lock);
}

void inode_forget(struct inode_table *t, uint64_t number, uint64_t count)
{
	struct node *dead = NULL;
	struct map_link *l;
	bool trim;

	lock_take(&t->lock);
	l = map_find(&t->nodes, number, NULL);
	if (l) {
		struct node *n = map_item(l, struct node, link);

		n->lookups -= count < n->lookups ? count : n->lookups;
		dead = reap_locked(t, n);
	}
	trim = trim_due_locked(t);
	lock_drop(&t->lock);
	bury(t, dead, trim);
}

size_t inode_count(struct inode_table *t)
{
	size_t n;

	lock_take(&t->lock);
	n = t->nodes.count;
	lock_drop(&t->lock);
	return n;
}
