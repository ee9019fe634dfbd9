/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_room.h"

#include <errno.h>
#include <stdlib.h>

static bool before(const struct flight *a, const struct flight *b)
{
	return a->size != b->size ? a->size < b->size : a->order < b->order;
}

static void put(struct queue *q, size_t at, struct flight *fl)
{
	q->v[at] = fl;
	fl->at = at;
}

static void rise(struct queue *q, struct flight *fl)
{
	size_t at = fl->at;

	while (at && before(fl, q->v[(at - 1) / 2])) {
		put(q, at, q->v[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(q, at, fl);
}

static void sink(struct queue *q, struct flight *fl)
{
	size_t at = fl->at;

	for (size_t child; (child = 2 * at + 1) < q->count; at = child) {
		if (child + 1 < q->count &&
		    before(q->v[child + 1], q->v[child]))
			child++;
		if (!before(q->v[child], fl))
			break;
		put(q, at, q->v[child]);
	}
	put(q, at, fl);
}

int fetch_queue_reserve(struct queue *q, size_t count)
{
	size_t room = q->room ? q->room : 16;
	struct flight **v;

	if (count <= q->room)
		return 0;
	while (room < count)
		room *= 2;
	v = reallocarray(q->v, room, sizeof(struct flight *));
	if (!v)
		return -ENOMEM;
	q->v = v;
	q->room = room;
	return 0;
}

void fetch_queue_push(struct queue *q, struct flight *fl)
{
	put(q, q->count++, fl);
	rise(q, fl);
}

void fetch_queue_remove(struct queue *q, struct flight *fl)
{
	struct flight *last = q->v[--q->count];

	if (last == fl)
		return;
	put(q, fl->at, last);
	rise(q, last);
	sink(q, last);
}

struct flight *fetch_queue_top(const struct queue *q)
{
	return q->count ? q->v[0] : NULL;
}
