/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/decided.h"

#include "scratch.h"

#include <stdio.h>
#include <string.h>

#define C1 "1111111111111111111111111111111111111111"
#define C2 "2222222222222222222222222222222222222222"

static void knows_what_was_decided_and_by_which_name_first(void **state)
{
	const struct repo_id a = { .owner = "o", .name = "a" };
	const struct repo_id b = { .owner = "o", .name = "b" };
	char revision[REF_REV_MAX + 1] = "untouched";
	struct decided *d = NULL;

	(void)state;
	assert_int_equal(decided_new(&d, NULL), 0);
	assert_false(decided_find(d, &a, C1, revision));
	assert_string_equal(revision, "untouched");
	decided_add(d, &a, C1, "v2");
	decided_add(d, &a, C1, "main");
	decided_add(d, &b, C1, "main");
	assert_true(decided_find(d, &a, C1, revision));
	assert_string_equal(revision, "v2");
	assert_true(decided_find(d, &b, C1, revision));
	assert_string_equal(revision, "main");
	assert_true(decided_find(d, &a, C1, NULL));
	assert_false(decided_find(d, &a, C2, NULL));
	decided_free(d);
	decided_free(NULL);
}

static void knows_ten_thousand(void **state)
{
	char commit[REF_COMMIT_LEN + 1];
	struct decided *d = NULL;
	struct repo_id repo = { .owner = "o" };

	(void)state;
	assert_int_equal(decided_new(&d, NULL), 0);
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(repo.name, sizeof(repo.name), "r%u", i);
		(void)snprintf(commit, sizeof(commit), "%040x", i);
		decided_add(d, &repo, commit, "v1");
	}
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(repo.name, sizeof(repo.name), "r%u", i);
		(void)snprintf(commit, sizeof(commit), "%040x", i);
		assert_true(decided_find(d, &repo, commit, NULL));
		assert_false(decided_find(d, &repo, C1, NULL));
	}
	decided_free(d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			knows_what_was_decided_and_by_which_name_first),
		cmocka_unit_test(knows_ten_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
