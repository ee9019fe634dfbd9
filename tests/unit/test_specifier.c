/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/specifier.h"

#include "scratch.h"

#include <string.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void knows_versions(void **state)
{
	static const char *const good[] = {
		"0",	       "1.2.3",	    "v1.0",
		"V1.0",	       "1!2.0",	    "1.0a1",
		"1.0-alpha.2", "1.0_beta",  "1.0rc",
		"1.0.post1",   "1.0-1",	    "1.0rev2",
		"1.0.dev3",    "1.0+cu130", "1.0+a.b-c_1",
		" 1.0 ",       "1.0a.",	    "99999999999999999999999999.1",
	};
	static const char *const bad[] = {
		"",	"v",	 "1.",	    "1..2",	"x",	"1.0x",
		"1.0+", "1.0+.", "1 .0",    "1.0--",	"1.0-", "!1",
		"1!",	"1.*",	 "1.0a1b2", "1.0+a..b", ".1",	"=1",
	};

	(void)state;
	for (size_t i = 0; i < N(good); i++)
		if (!specifier_is_version(good[i]))
			fail_msg("'%s' is a version", good[i]);
	for (size_t i = 0; i < N(bad); i++)
		if (specifier_is_version(bad[i]))
			fail_msg("'%s' is no version", bad[i]);
}

static void puts_versions_in_order(void **state)
{
	/* each below the next */
	static const char *const order[] = {
		"0.9",
		"1.0.dev1",
		"1.0a1.dev1",
		"1.0a1",
		"1.0a1.post1",
		"1.0a2",
		"1.0b1",
		"1.0rc1",
		"1.0",
		"1.0+abc",
		"1.0+abc.1",
		"1.0+5",
		"1.0+10",
		"1.0.post1.dev1",
		"1.0.post1",
		"1.0.1",
		"1.10",
		"2",
		"99999999999999999999",
		"100000000000000000000",
		"1!0.1",
	};
	static const char *const same[][2] = {
		{ "1.0", "1.0.0" },	   { "v1", "1.0" },
		{ "1.0c1", "1.0RC1" },	   { "1.0-1", "1.0.post1" },
		{ "1.0a", "1.0alpha0" },   { "01.02", "1.2" },
		{ "1.0+A-1", "1.0+a.01" },
	};

	(void)state;
	for (size_t i = 0; i < N(order); i++)
		for (size_t k = 0; k < N(order); k++) {
			int c = specifier_compare(order[i], order[k]);

			if ((c > 0) - (c < 0) != (i > k) - (i < k))
				fail_msg("%s, %s: %d", order[i], order[k], c);
		}
	for (size_t i = 0; i < N(same); i++)
		assert_int_equal(specifier_compare(same[i][0], same[i][1]), 0);
}

static void takes_the_highest_that_fits(void **state)
{
	static const struct {
		const char *set;
		const char *versions[6];
		long best;
	} rows[] = {
		{ ">=0.0.2,<0.1", { "0.0.1", "0.0.2", "0.0.10", "0.1" }, 2 },
		{ "~=1.2", { "1.1", "1.2", "1.10", "2.0" }, 2 },
		{ "~=1.2.3", { "1.2.2", "1.2.9", "1.3.0" }, 1 },
		{ "==1.*", { "0.9", "1.0", "1.7.post1", "2.0" }, 2 },
		{ "!=1.*", { "0.9", "1.0", "1.7" }, 0 },
		{ "==1.0", { "1.0.0", "1.0.1" }, 0 },
		{ "==1.0", { "1.0+cu130", "1.1" }, 0 },
		{ "==1.0+cu130", { "1.0", "1.0+cu130" }, 1 },
		{ "!=1.2", { "1.1", "1.2", "1.2.0" }, 0 },
		{ ">1.0", { "1.0.post1", "1.0+x", "1.0" }, -1 },
		{ ">1.0", { "1.0.post1", "1.0.1" }, 1 },
		{ ">1.0.post1", { "1.0.post1", "1.0.post2" }, 1 },
		{ "<1.0", { "1.0a1", "0.9", "1.0" }, 1 },
		{ "<1.0", { "1.0a1", "1.0" }, -1 },
		{ "<1.0rc1", { "1.0a1", "0.9" }, 0 },
		{ "===1.0", { "1.0.0", "1.0" }, 1 },
		{ ">=1", { "1!0.1", "2" }, 0 },
		/* pre-releases: not beside a release, alone they are taken */
		{ ">=1", { "1.0", "2.0a1" }, 0 },
		{ ">=1", { "2.0a1", "2.0a2", "0.9" }, 1 },
		{ ">=1a1", { "1.0", "2.0a1" }, 1 },
		{ "!=1a1", { "1.0", "2.0a1" }, 0 },
		/* equal ones */
		{ ">=1", { "1.0.0", "1.0", "01.0" }, 2 },
		/* what is no version, and what is no set */
		{ ">=1", { "x", "1.0" }, 1 },
		{ ">=x", { "1.0" }, -1 },
		{ ">=1", { NULL }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		long best = specifier_best(rows[i].set, rows[i].versions, 6);

		if (best != rows[i].best)
			fail_msg("row %zu '%s': %ld", i, rows[i].set, best);
	}
}

static void says_what_is_no_set(void **state)
{
	static const struct {
		const char *set, *says;
	} rows[] = {
		{ "", "without any part" },
		{ " , ,", "without any part" },
		{ "1.0", "no operator" },
		{ ">=1 <2", "no version" },
		{ "=1", "no operator" },
		{ ">=1,2", "no operator" },
		{ ">=", "no version" },
		{ ">=1.*", "no version" },
		{ "~=1", "single number" },
		{ "==1.0.*.1", "no version" },
		{ "==1.0a1.*", "no version" },
		{ "<=1+local", "local version" },
		{ "~=1.0+local", "local version" },
		{ "===a b", "===" },
		{ "===a/b", "===" },
	};
	char longest[SPECIFIER_TEXT_MAX + 2];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const char *fault = specifier_fault(rows[i].set);

		if (!fault || !strstr(fault, rows[i].says))
			fail_msg("'%s': %s", rows[i].set,
				 fault ? fault : "is one");
	}
	memset(longest, '1', sizeof(longest));
	longest[0] = '>';
	longest[sizeof(longest) - 1] = '\0';
	assert_non_null(specifier_fault(longest));
	longest[sizeof(longest) - 2] = '\0';
	assert_null(specifier_fault(longest));
	assert_null(specifier_fault(" >= 1.0 , , !=2.*,"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_versions),
		cmocka_unit_test(puts_versions_in_order),
		cmocka_unit_test(takes_the_highest_that_fits),
		cmocka_unit_test(says_what_is_no_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
