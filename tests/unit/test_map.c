/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "scratch.h"

#include <stdbool.h>

#define MANY 100000

struct item {
	unsigned key;
	bool seen;
	struct map_link link;
};

static int item_equal(const struct map_link *l, const void *key)
{
	return map_item_const(l, struct item, link)->key ==
	       *(const unsigned *)key;
}

static uint64_t hash_of(unsigned key)
{
	return map_hash(&key, sizeof(key));
}

static struct item *find(const struct map *m, unsigned key)
{
	struct map_link *l = map_find(m, hash_of(key), &key);

	return l ? map_item(l, struct item, link) : NULL;
}

static void finds_what_was_added_and_no_more(void **state)
{
	struct item *items = calloc(MANY, sizeof(*items));
	struct map m;

	(void)state;
	assert_non_null(items);
	map_init(&m, item_equal);
	assert_null(find(&m, 0));
	for (unsigned i = 0; i < MANY; i++) {
		items[i].key = i;
		assert_int_equal(map_add(&m, &items[i].link, hash_of(i)), 0);
	}
	assert_int_equal(m.count, MANY);
	for (unsigned i = 0; i < MANY; i += 2)
		map_remove(&m, &items[i].link);
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(find(&m, i), i % 2 ? &items[i] : NULL);
	assert_int_equal(m.count, MANY / 2);
	map_done(&m);
	free(items);
}

static void leaves_little_behind_when_all_went(void **state)
{
	struct item *items = calloc(MANY, sizeof(*items));
	size_t peak;
	struct map m;

	(void)state;
	assert_non_null(items);
	map_init(&m, item_equal);
	for (unsigned i = 0; i < MANY; i++) {
		items[i].key = i;
		assert_int_equal(map_add(&m, &items[i].link, hash_of(i)), 0);
	}
	peak = m.room;
	assert_true(peak >= MANY);
	for (unsigned i = 0; i < MANY; i++) {
		map_remove(&m, &items[i].link);
		assert_true(m.room <= 64 || m.count >= m.room / 8);
	}
	assert_int_equal(m.count, 0);
	assert_true(m.room <= 64);
	/* and it grows again */
	assert_int_equal(map_add(&m, &items[7].link, hash_of(7)), 0);
	assert_ptr_equal(find(&m, 7), &items[7]);
	map_done(&m);
	assert_int_equal(m.room, 0);
	free(items);
}

static void tells_keys_of_one_hash_apart(void **state)
{
	struct item items[3] = { { .key = 1 }, { .key = 2 }, { .key = 3 } };
	const unsigned other = 4;
	struct map m;

	(void)state;
	map_init(&m, item_equal);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(map_add(&m, &items[i].link, 99), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(map_find(&m, 99, &items[i].key),
				 &items[i].link);
	assert_null(map_find(&m, 99, &other));
	assert_null(map_find(&m, 99 + 16, &items[0].key));
	map_remove(&m, &items[1].link);
	assert_null(map_find(&m, 99, &items[1].key));
	assert_non_null(map_find(&m, 99, &items[0].key));
	assert_non_null(map_find(&m, 99, &items[2].key));
	map_done(&m);
}

static void visits_every_item_once(void **state)
{
	struct item items[500] = { 0 };
	struct map_link *l = NULL;
	size_t visits = 0;
	struct map m;

	(void)state;
	map_init(&m, item_equal);
	assert_null(map_next(&m, NULL));
	for (unsigned i = 0; i < 500; i++) {
		items[i].key = i;
		/* a few slots hold many, most hold none */
		assert_int_equal(map_add(&m, &items[i].link, i % 50), 0);
	}
	while ((l = map_next(&m, l))) {
		struct item *i = map_item(l, struct item, link);

		assert_false(i->seen);
		i->seen = true;
		visits++;
	}
	assert_int_equal(visits, 500);
	map_done(&m);
}

static void hashes_the_same_in_every_process(void **state)
{
	const uint64_t ab = map_hash_more(map_hash("a", 1), "b", 1);

	(void)state;
	/* XXH3-64 of nothing, from its own test vectors */
	assert_true(map_hash("", 0) == 0x2d06800538d394c2u);
	assert_true(map_hash("a", 1) != map_hash("b", 1));
	assert_true(ab != map_hash_more(map_hash("b", 1), "a", 1));
	assert_true(ab != map_hash("b", 1));
	assert_true(ab == map_hash_more(map_hash("a", 1), "b", 1));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_added_and_no_more),
		cmocka_unit_test(leaves_little_behind_when_all_went),
		cmocka_unit_test(tells_keys_of_one_hash_apart),
		cmocka_unit_test(visits_every_item_once),
		cmocka_unit_test(hashes_the_same_in_every_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
