/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_room.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/pool.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

/*
 * Notes are written without waiting for the disk, because what waits for them
 * is an import, and a sync can take longer than the question did. Here they
 * are synced behind its back, so that they outlive a power cut like the blobs
 * that they lead to. A note that is lost after all is asked for again.
 */

struct unsettled {
	struct unsettled *next;
	const char *kind;
	char key[];
};

static void free_all(struct unsettled *u)
{
	while (u) {
		struct unsettled *next = u->next;

		free(u);
		u = next;
	}
}

static struct unsettled *take_all(struct catalog *c)
{
	struct unsettled *u;

	lock_take(&c->mu);
	u = c->unsettled;
	c->unsettled = NULL;
	c->settling = u != NULL;
	lock_drop(&c->mu);
	return u;
}

static void settle(struct pool_job *job)
{
	struct catalog *c = map_item(job, struct catalog, settle);
	struct unsettled *all;

	while ((all = take_all(c))) {
		for (const struct unsettled *u = all; u; u = u->next)
			if (!__atomic_load_n(&c->leaving, __ATOMIC_RELAXED))
				(void)store_note_settle(c->store, u->kind,
							u->key);
		free_all(all);
	}
}

void catalog_settle_stop(struct catalog *c)
{
	__atomic_store_n(&c->leaving, true, __ATOMIC_RELAXED);
}

void catalog_settle_on(struct catalog *c, struct pool *disk)
{
	c->settle.run = settle;
	c->disk = disk;
}

void catalog_settle(struct catalog *c, const char *kind, const char *key)
{
	size_t n = strlen(key) + 1;
	struct unsettled *u;
	bool begin;

	u = c->disk ? malloc(sizeof(*u) + n) : NULL;
	if (!u)
		return;
	u->kind = kind;
	memcpy(u->key, key, n);
	lock_take(&c->mu);
	u->next = c->unsettled;
	c->unsettled = u;
	begin = !c->settling;
	c->settling = true;
	lock_drop(&c->mu);
	if (begin)
		pool_submit(c->disk, &c->settle, POOL_LATER);
}

void catalog_settle_done(struct catalog *c)
{
	free_all(c->unsettled);
}
