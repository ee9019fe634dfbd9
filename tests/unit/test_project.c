/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/project.h"

#include "base/err.h"
#include "base/text.h"
#include "scratch.h"

#include <errno.h>

#define TABLE "[tool.kernels.dependencies]\n"

static int parse(struct project *p, const char *s, struct err *err)
{
	return project_parse(p, "f", s, strlen(s), err);
}

static void reads_the_kernels_of_a_project_in_their_order(void **state)
{
	struct project p;

	(void)state;
	assert_int_equal(parse(&p,
			       "[project]\nname = 'x'\n" TABLE
			       "\"b/z\" = 2 # two\n'a/y.z' = 0x10\n",
			       NULL),
			 0);
	assert_int_equal(p.count, 2);
	assert_string_equal(p.depends[0].repo.owner, "b");
	assert_string_equal(p.depends[0].repo.name, "z");
	assert_int_equal(p.depends[0].version, 2);
	assert_string_equal(p.depends[1].repo.name, "y.z");
	assert_int_equal(p.depends[1].version, 16);
	project_done(&p);
	assert_null(p.depends);
}

static void reads_each_spelling_of_the_table(void **state)
{
	static const char *const rows[] = {
		"tool.kernels.dependencies.\"a/b\" = 1\n",
		"[tool]\nkernels.dependencies = {\"a/b\" = 1}\n",
		"[tool.kernels]\n[tool.kernels.dependencies]\n'a/b' = 1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct project p;

		assert_int_equal(parse(&p, rows[i], NULL), 0);
		assert_int_equal(p.count, 1);
		assert_string_equal(p.depends[0].repo.owner, "a");
		project_done(&p);
	}
}

static void says_where_and_what_is_wrong(void **state)
{
	static const struct {
		int code;
		const char *text, *says;
	} rows[] = {
		{ EINVAL, TABLE "'a/b' = '1'\n",
		  "f:2: the version of 'a/b' is a string" },
		{ EINVAL, TABLE "'a/b' = 1.0\n", "f:2: the version of 'a/b'" },
		{ EINVAL, TABLE "'a/b' = true\n", "f:2: the version of" },
		{ EINVAL, TABLE "'a/b' = -1\n", "f:2: the version of" },
		{ EINVAL, TABLE "'a/b' = {version = 1}\n", "f:2: the version" },
		{ EINVAL, TABLE "a.b = 1\n", "f:2: " },
		{ EINVAL, TABLE "\n'../b' = 1\n", "f:3: " },
		{ EINVAL, TABLE "\"a/b\\u0000\" = 1\n", "f:2: a NUL" },
		{ EINVAL, "[tool]\nkernels = 1\n", "f:2: 'kernels' is no" },
		{ EINVAL, "[[tool]]\n", "f:1: 'tool' is no table" },
		{ EINVAL, TABLE "'a/b' = 1\n'a/b' = 2\n", "f:3: 'a/b' stands" },
		{ ENOENT, TABLE, "f:1: no kernels in" },
		{ ENOENT, "[tool.kernels]\n", "f: no table" },
		{ ENOENT, "", "f: no table" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct project p = { .count = 77 };
		struct err err = ERR_INIT;

		if (parse(&p, rows[i].text, &err) != -rows[i].code)
			fail_msg("taken: %s", rows[i].text);
		if (!text_starts(err.text, rows[i].says))
			fail_msg("%s: %s", rows[i].says, err.text);
		assert_int_equal(p.count, 77);
	}
}

static void refuses_more_kernels_than_a_project_can_have(void **state)
{
	struct text s = TEXT_INIT(1u << 20);
	struct project p;

	(void)state;
	text_add(&s, TABLE);
	for (unsigned i = 0; i < PROJECT_DEPENDS_MAX; i++)
		text_printf(&s, "'a/b%u' = 1\n", i);
	assert_int_equal(parse(&p, text_str(&s), NULL), 0);
	assert_int_equal(p.count, PROJECT_DEPENDS_MAX);
	project_done(&p);
	text_add(&s, "'a/c' = 1\n");
	assert_int_equal(parse(&p, text_str(&s), NULL), -EINVAL);
	text_done(&s);
}

static void refuse(const char *reason, const char *s, size_t n)
{
	struct err err = ERR_INIT;
	struct project p;

	if (project_parse(&p, "f", s, n, &err) == 0)
		fail_msg("%s was not refused", reason);
	assert_true(text_starts(err.text, "f:"));
}

static void refuses_each_hostile_project(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/project", refuse);
}

static void reads_a_file_and_names_one_that_is_not_there(void **state)
{
	static const char s[] = TABLE "'a/b' = 1\n";
	char dir[SCRATCH_MAX];
	char path[2 * SCRATCH_MAX];
	struct err err = ERR_INIT;
	struct project p;

	(void)state;
	scratch_make(dir);
	(void)snprintf(path, sizeof(path), "%s/pyproject.toml", dir);
	assert_int_equal(project_read(&p, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	scratch_put(dir, "pyproject.toml", s, strlen(s));
	assert_int_equal(project_read(&p, path, NULL), 0);
	assert_int_equal(p.count, 1);
	project_done(&p);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_kernels_of_a_project_in_their_order),
		cmocka_unit_test(reads_each_spelling_of_the_table),
		cmocka_unit_test(says_where_and_what_is_wrong),
		cmocka_unit_test(refuses_more_kernels_than_a_project_can_have),
		cmocka_unit_test(refuses_each_hostile_project),
		cmocka_unit_test(reads_a_file_and_names_one_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
