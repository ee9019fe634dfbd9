/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/assign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void reads_the_forms_of_a_version_file(void **state)
{
	static const struct {
		const char *text, *name;
		enum assign kind;
		const char *value;
	} rows[] = {
		{ "cuda = '13.0'\n", "cuda", ASSIGN_STRING, "13.0" },
		{ "cuda='13.0'", "cuda", ASSIGN_STRING, "13.0" },
		{ "cuda: Optional[str] = \"13.0\"\n", "cuda", ASSIGN_STRING,
		  "13.0" },
		{ "cuda : str='13.0'  # built with\r\n", "cuda", ASSIGN_STRING,
		  "13.0" },
		{ "cuda: Optional[str] = None\n", "cuda", ASSIGN_NONE, "" },
		{ "cuda = None\r\n", "cuda", ASSIGN_NONE, "" },
		{ "debug = False\n", "debug", ASSIGN_BOOL, "" },
		{ "a = b = c = '1'\n", "b", ASSIGN_STRING, "1" },
		{ "a = b = c = '1'\n", "c", ASSIGN_STRING, "1" },
		{ "x = ''\n", "x", ASSIGN_STRING, "" },
		{ "x = '1'\nx = '2'\n", "x", ASSIGN_STRING, "2" },
		{ "x = '1'\nx = None\n", "x", ASSIGN_NONE, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[16] = "before";

		assert_int_equal(assign_find(rows[i].text, rows[i].name, out,
					     sizeof(out)),
				 rows[i].kind);
		assert_string_equal(out, rows[i].value);
	}
}

static void does_not_take_other_lines_for_assignments(void **state)
{
	static const char *const texts[] = {
		"",
		"\n\n",
		"cuda",
		"xcuda = '1'\n",
		"cudas = '1'\n",
		"    cuda = '1'\n",
		"# cuda = '1'\n",
		"if cuda == '1':\n",
		"cuda == '1'\n",
		"cuda: str\n",
		"self.cuda = '1'\n",
		"other = cuda\n",
		"__all__ = ['cuda']\n",
		"cuda['x'] = '1'\n",
	};
	char out[16] = "before";

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(
			assign_find(texts[i], "cuda", out, sizeof(out)),
			ASSIGN_MISSING);
		assert_string_equal(out, "");
	}
}

static void refuses_values_that_are_not_plain(void **state)
{
	static const char *const texts[] = {
		"x =",
		"x = read()\n",
		"x = 'a' + 'b'\n",
		"x = 'a\\n'\n",
		"x = 'open\n",
		"x = \"a'\n",
		"x = 'a\tb'\n",
		"x = '\xc3\xa9'\n",
		"x = Nothing\n",
		"x = Truely\n",
		"x = 13\n",
		"x = 'a''b'\n",
		"x = '0123456789abcdef'\n",
		"x = y\n",
		"x = 'a\"b'\n",
		"x = \"a'b\"\n",
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(assign_find(texts[i], "x", out, sizeof(out)),
				 ASSIGN_UNREADABLE);
		assert_string_equal(out, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_forms_of_a_version_file),
		cmocka_unit_test(does_not_take_other_lines_for_assignments),
		cmocka_unit_test(refuses_values_that_are_not_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
