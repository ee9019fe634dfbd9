/* SPDX-License-Identifier: Apache-2.0 */
#include "reports.h"

#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct report {
	struct map_link link;
	uint64_t number;
	size_t len;
	char said[];
};

struct reports {
	struct lock lock;
	struct map map; /* lock */
	uint64_t last;	/* __atomic */
};

static int report_equal(const struct map_link *l, const void *key)
{
	const uint64_t *number = key;

	return map_item_const(l, struct report, link)->number == *number;
}

static uint64_t hash(uint64_t number)
{
	return map_hash(&number, sizeof(number));
}

int reports_new(struct reports **out, struct err *err)
{
	struct reports *r = calloc(1, sizeof(*r));

	if (!r)
		return err_errno(err, ENOMEM, "reports");
	lock_init(&r->lock, LOCK_VIEW);
	map_init(&r->map, report_equal);
	/* Room for a million opens in each millisecond of a daemon's life. */
	r->last = ((uint64_t)io_now_ms() + 1) << 20;
	*out = r;
	return 0;
}

void reports_free(struct reports *r)
{
	struct map_link *l;

	if (!r)
		return;
	while ((l = map_next(&r->map, NULL))) {
		map_remove(&r->map, l);
		free(map_item(l, struct report, link));
	}
	map_done(&r->map);
	lock_done(&r->lock);
	free(r);
}

uint64_t reports_number(struct reports *r)
{
	return __atomic_add_fetch(&r->last, 1, __ATOMIC_RELAXED);
}

static struct report *take_locked(struct reports *r, uint64_t number)
	LOCK_REQUIRES(&r->lock)
{
	struct map_link *l = map_find(&r->map, hash(number), &number);

	if (!l)
		return NULL;
	map_remove(&r->map, l);
	return map_item(l, struct report, link);
}

void reports_keep(struct reports *r, uint64_t number, const struct text *said)
{
	struct report *e = malloc(sizeof(*e) + said->len), *old;

	if (e) {
		e->number = number;
		e->len = said->len;
		memcpy(e->said, text_str(said), said->len);
	}
	lock_take(&r->lock);
	old = take_locked(r, number);
	if (e && map_add(&r->map, &e->link, hash(number)) == 0)
		e = NULL;
	lock_drop(&r->lock);
	free(old);
	free(e);
}

bool reports_find(struct reports *r, uint64_t number, struct text *out)
{
	struct map_link *l;

	lock_take(&r->lock);
	l = map_find(&r->map, hash(number), &number);
	if (l) {
		struct report *e = map_item(l, struct report, link);

		text_add_bytes(out, e->said, e->len);
	}
	lock_drop(&r->lock);
	return l != NULL;
}

void reports_drop(struct reports *r, uint64_t number)
{
	struct report *e;

	lock_take(&r->lock);
	e = take_locked(r, number);
	lock_drop(&r->lock);
	free(e);
}
