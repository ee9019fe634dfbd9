/* SPDX-License-Identifier: Apache-2.0 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ROOM_MIN 16

void map_init(struct map *m, map_equal *equal)
{
	memset(m, 0, sizeof(*m));
	m->equal = equal;
}

void map_done(struct map *m)
{
	free(m->slots);
	map_init(m, m->equal);
}

static size_t slot_of(const struct map *m, uint64_t hash)
{
	return (size_t)hash & (m->room - 1);
}

struct map_link *map_find(const struct map *m, uint64_t hash, const void *key)
{
	struct map_link *l;

	if (!m->room)
		return NULL;
	for (l = m->slots[slot_of(m, hash)]; l; l = l->next)
		if (l->hash == hash && m->equal(l, key))
			return l;
	return NULL;
}

static void put(struct map *m, struct map_link *l)
{
	struct map_link **slot = &m->slots[slot_of(m, l->hash)];

	l->next = *slot;
	*slot = l;
}

static int resize(struct map *m, size_t room)
{
	struct map_link **old = m->slots;
	size_t old_room = m->room;

	m->slots = calloc(room, sizeof(struct map_link *));
	if (!m->slots) {
		m->slots = old;
		return -ENOMEM;
	}
	m->room = room;
	for (size_t i = 0; i < old_room; i++) {
		struct map_link *l = old[i], *next;

		for (; l; l = next) {
			next = l->next;
			put(m, l);
		}
	}
	free(old);
	return 0;
}

int map_add(struct map *m, struct map_link *l, uint64_t hash)
{
	int r = 0;

	if (m->count >= m->room)
		r = resize(m, m->room ? 2 * m->room : ROOM_MIN);
	/* A full table that cannot grow still works, only slower. */
	if (r < 0 && !m->room)
		return r;
	l->hash = hash;
	put(m, l);
	m->count++;
	return 0;
}

void map_remove(struct map *m, struct map_link *l)
{
	struct map_link **at = &m->slots[slot_of(m, l->hash)];

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->next = NULL;
	m->count--;
	if (m->room > 2 * ROOM_MIN && m->count < m->room / 8)
		(void)resize(m, m->room / 4); /* as it is, if it cannot */
}

struct map_link *map_next(const struct map *m, const struct map_link *l)
{
	size_t i = 0;

	if (l) {
		if (l->next)
			return l->next;
		i = slot_of(m, l->hash) + 1;
	}
	for (; i < m->room; i++)
		if (m->slots[i])
			return m->slots[i];
	return NULL;
}

uint64_t map_hash(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

uint64_t map_hash_more(uint64_t before, const void *p, size_t n)
{
	return XXH3_64bits_withSeed(p, n, before);
}
