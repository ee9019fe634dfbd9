/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

/*
 * An intrusive hash table. The caller's struct embeds a `struct map_link`
 * first-class; the table owns no items and takes no lock. It grows by
 * doubling and shrinks again, so that a million items that came and went
 * leave no memory behind.
 */

#include <stddef.h>
#include <stdint.h>

struct map_link {
	struct map_link *next;
	uint64_t hash;
};

/* Does the item behind `l` have this key? */
typedef int map_equal(const struct map_link *l, const void *key);

struct map {
	struct map_link **slots; /* owned */
	size_t room;		 /* a power of two, or 0 */
	size_t count;
	map_equal *equal;
};

void map_init(struct map *m, map_equal *equal);
void map_done(struct map *m); /* frees the slots, never the items */

struct map_link *map_find(const struct map *m, uint64_t hash, const void *key);
/* -ENOMEM, and nothing changed, when the table cannot grow. */
int map_add(struct map *m, struct map_link *l, uint64_t hash);
void map_remove(struct map *m, struct map_link *l); /* must be in it */

/* Every item once, in no order: map_next(m, NULL) is the first. Nothing may
 * be added or removed meanwhile. */
struct map_link *map_next(const struct map *m, const struct map_link *l);

/* 64-bit hash of bytes; the same in every process (XXH3, seed 0). */
uint64_t map_hash(const void *p, size_t n);
uint64_t map_hash_more(uint64_t before, const void *p, size_t n);

/* The struct around a link. */
#define map_item(l, type, member) \
	((type *)(void *)((char *)(l)-offsetof(type, member)))
#define map_item_const(l, type, member) \
	((const type *)(const void *)((const char *)(l)-offsetof(type, member)))

#endif
