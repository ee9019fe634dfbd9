/* SPDX-License-Identifier: Apache-2.0 */
#include "set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct member {
	struct map_link link;
	char text[];
};

static int is_equal(const struct map_link *l, const void *key)
{
	return !strcmp(map_item_const(l, struct member, link)->text, key);
}

void set_init(struct set *s)
{
	map_init(&s->map, is_equal);
}

void set_done(struct set *s)
{
	struct map_link *l;

	while ((l = map_next(&s->map, NULL))) {
		map_remove(&s->map, l);
		free(map_item(l, struct member, link));
	}
	map_done(&s->map);
}

bool set_has(const struct set *s, const char *text)
{
	return map_find(&s->map, map_hash(text, strlen(text)), text) != NULL;
}

int set_add(struct set *s, const char *text)
{
	size_t n = strlen(text);
	struct member *m;

	if (set_has(s, text))
		return 0;
	m = malloc(sizeof(*m) + n + 1);
	if (!m)
		return -ENOMEM;
	memcpy(m->text, text, n + 1);
	if (map_add(&s->map, &m->link, map_hash(text, n)) < 0) {
		free(m);
		return -ENOMEM;
	}
	return 1;
}
