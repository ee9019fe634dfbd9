/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/version.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void reads_what_python_reads(void **state)
{
	static const struct {
		const char *text;
		const char *printed;
	} goods[] = {
		{ "2.13.0", "2.13" },
		{ "2.13", "2.13" },
		{ "2", "2.0" },
		{ "13.0", "13.0" },
		{ "2.13.0.dev20260401+cu130", "2.13" },
		{ "2.9.0a0+50eac811a6.nv25.09", "2.9" },
		{ "2.9.0rc1", "2.9" },
		{ "2.9RC1", "2.9" },
		{ "2.9b", "2.9" },
		{ "2.9-alpha.3", "2.9" },
		{ "2.9_preview_3", "2.9" },
		{ "2.9.post1", "2.9" },
		{ "2.9-1", "2.9" },
		{ "2.9.rev2", "2.9" },
		{ "2.9r2", "2.9" },
		{ "2.9a1.post2.dev3+x_y-z.1", "2.9" },
		{ "2a1", "2.0" },
		{ "v2.9", "2.9" },
		{ "V2.9", "2.9" },
		{ "1!2.9", "2.9" },
		{ "v1!2.9", "2.9" },
		{ " 2.9\n", "2.9" },
		{ "007.08", "7.8" },
		{ "7.1.25424", "7.1" },
		{ "12.8.90", "12.8" },
		{ "1.2.99999999999999999999999", "1.2" },
		{ "4294967295.4294967295", "4294967295.4294967295" },
		{ "3.12.4.final.0", "3.12" }, /* sys.version_info, joined */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		char printed[VERSION_TEXT_MAX];
		struct version v;

		if (version_parse(&v, goods[i].text) < 0)
			fail_msg("'%s' is refused", goods[i].text);
		assert_true(v.known);
		version_print(&v, printed);
		assert_string_equal(printed, goods[i].printed);
	}
}

static void refuses_what_python_refuses(void **state)
{
	static const char *const bads[] = {
		"",
		" ",
		"v",
		"thirteen",
		".1",
		"-1",
		"+1",
		"2.",
		"2..9",
		"2.x",
		"13x",
		"2.9x",
		"2.9 1",
		"2,9",
		"2.9+",
		"2.9+a..b",
		"2.9+a+b",
		"2.9+ä",
		"2.9--1",
		"vv2.9",
		"1!",
		"!1",
		"1!!2",
		"2.9.dev1.post1",
		"2.9.final",
		"3.12.4.final.0.1",
		"2.9.deva",
		"unknown",
		"4294967296.0",
		"0.4294967296", /* and what is too large */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bads); i++) {
		struct version v = { true, 77, 78 };

		if (version_parse(&v, bads[i]) != -EINVAL)
			fail_msg("'%s' is read", bads[i]);
		assert_int_equal(v.major, 77);
		assert_int_equal(v.minor, 78);
	}
}

static void prints_none_as_python_does(void **state)
{
	const struct version none = { false, 3, 4 };
	char printed[VERSION_TEXT_MAX];

	(void)state;
	version_print(&none, printed);
	assert_string_equal(printed, "None");
}

static void compares_by_number_and_the_unknown_below_all(void **state)
{
	static const struct version rising[] = {
		{ false, 9, 9 }, { true, 0, 0 },  { true, 2, 9 },
		{ true, 2, 10 }, { true, 10, 0 }, { true, UINT32_MAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rising); i++)
		for (size_t j = 0; j < COUNT(rising); j++) {
			int c = version_compare(&rising[i], &rising[j]);

			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
		}
}

static void reads_tags_of_three_numbers(void **state)
{
	static const char *const bads[] = {
		"1.2.3",      "v1.2",	 "v1",	    "v1.2.3.4",
		"v1.2.x",     "v1..3",	 "v",	    "V1.2.3",
		"v1.2.3-rc1", "v1.2.3 ", "v-1.2.3", "v1.2.4294967296",
	};
	struct version_tag t, above;

	(void)state;
	assert_true(version_tag_parse(&t, "v0.2.10"));
	assert_int_equal(t.part[0], 0);
	assert_int_equal(t.part[1], 2);
	assert_int_equal(t.part[2], 10);
	for (size_t i = 0; i < COUNT(bads); i++)
		if (version_tag_parse(&above, bads[i]))
			fail_msg("'%s' is read", bads[i]);
	assert_true(version_tag_parse(&above, "v0.3.1"));
	assert_true(version_tag_compare(&t, &above) < 0);
	assert_true(version_tag_compare(&above, &t) > 0);
	assert_true(version_tag_parse(&above, "v0.2.9"));
	assert_true(version_tag_compare(&t, &above) > 0);
	assert_true(version_tag_compare(&t, &t) == 0);
}

static void reads_branches_of_one_number(void **state)
{
	static const char *const bads[] = {
		"",    "v",   "1",    "V1",  "v1.0",	    "v-1",  "v+1",
		"v 1", "v1 ", "v1_0", "vv1", "v4294967296", "main",
	};
	uint32_t n = 77;

	(void)state;
	for (size_t i = 0; i < COUNT(bads); i++)
		if (version_branch_parse(&n, bads[i]))
			fail_msg("'%s' is read", bads[i]);
	assert_int_equal(n, 77);
	assert_true(version_branch_parse(&n, "v0"));
	assert_int_equal(n, 0);
	assert_true(version_branch_parse(&n, "v01"));
	assert_int_equal(n, 1);
	assert_true(version_branch_parse(&n, "v4294967295"));
	assert_int_equal(n, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_python_reads),
		cmocka_unit_test(refuses_what_python_refuses),
		cmocka_unit_test(prints_none_as_python_does),
		cmocka_unit_test(compares_by_number_and_the_unknown_below_all),
		cmocka_unit_test(reads_tags_of_three_numbers),
		cmocka_unit_test(reads_branches_of_one_number),
	};

	return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
