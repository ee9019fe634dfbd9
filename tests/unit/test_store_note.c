/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/store.h"

#include "base/text.h"
#include "scratch.h"

#include <errno.h>
#include <time.h>

static char dir[SCRATCH_MAX];

static int set_up(void **state)
{
	(void)state;
	scratch_make(dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static struct store *store_at(const char *where)
{
	struct store *s = NULL;

	assert_int_equal(store_new(&s, where, NULL), 0);
	return s;
}

static void assert_note(struct store *s, const char *kind, const char *key,
			const char *want)
{
	struct text t = TEXT_INIT(1000);
	int64_t age = -1;

	assert_int_equal(store_note_read(s, kind, key, &t, &age), 0);
	assert_string_equal(text_str(&t), want);
	assert_true(age >= 0 && age < 3600);
	text_done(&t);
}

static void keeps_notes_by_kind_and_key(void **state)
{
	struct store *s = store_at(dir);
	struct text t = TEXT_INIT(3);

	(void)state;
	assert_int_equal(store_note_open(s, "refs", "a/b"), -ENOENT);
	assert_int_equal(store_note_read(s, "refs", "a/b", &t, NULL), -ENOENT);
	assert_int_equal(store_note_write(s, "refs", "a/b", "one", 3, NULL), 0);
	assert_int_equal(store_note_write(s, "trust", "a/b", "two", 3, NULL),
			 0);
	assert_int_equal(
		store_note_write(s, "refs", "../../etc\n", "", 0, NULL), 0);
	assert_note(s, "refs", "a/b", "one");
	assert_note(s, "trust", "a/b", "two");
	assert_note(s, "refs", "../../etc\n", "");
	assert_int_equal(store_note_write(s, "refs", "a/b", "three", 5, NULL),
			 0);
	assert_note(s, "refs", "a/b", "three");
	/* longer than the reader wants */
	assert_int_equal(store_note_read(s, "refs", "a/b", &t, NULL), -E2BIG);
	text_done(&t);
	store_free(s);
}

static void a_hint_is_a_note_and_can_be_settled(void **state)
{
	struct store *s = store_at(dir);

	(void)state;
	assert_int_equal(store_note_settle(s, "refs", "a/b"), -ENOENT);
	assert_int_equal(store_note_hint(s, "refs", "a/b", "one", 3), 0);
	assert_note(s, "refs", "a/b", "one");
	assert_int_equal(store_note_settle(s, "refs", "a/b"), 0);
	assert_int_equal(store_note_settle(s, "trust", "a/b"), -ENOENT);
	store_free(s);
}

static void refuses_kinds_that_are_no_words(void **state)
{
	static const char *const kinds[] = { "", "..", "a/b", "A", "a b", "/" };
	struct store *s = store_at(dir);

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_int_equal(
			store_note_write(s, kinds[i], "k", "v", 1, NULL),
			-EINVAL);
		assert_int_equal(store_note_open(s, kinds[i], "k"), -EINVAL);
	}
	store_free(s);
}

static void a_note_of_tomorrow_is_old(void **state)
{
	struct store *s = store_at(dir);
	struct text t = TEXT_INIT(10);
	struct timespec times[2] = { 0 };
	int64_t age = 0;
	int fd;

	(void)state;
	assert_int_equal(store_note_write(s, "trust", "k", "yes", 3, NULL), 0);
	fd = store_note_open(s, "trust", "k");
	assert_true(fd >= 0);
	times[1].tv_sec = time(NULL) + 86400;
	assert_int_equal(futimens(fd, times), 0);
	(void)close(fd);
	assert_int_equal(store_note_read(s, "trust", "k", &t, &age), 0);
	assert_true(age > INT64_C(1) << 40);
	text_done(&t);
	store_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_notes_by_kind_and_key),
		TEST(a_hint_is_a_note_and_can_be_settled),
		TEST(refuses_kinds_that_are_no_words),
		TEST(a_note_of_tomorrow_is_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
