/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/layout.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "madeup.h"

static char root[MADEUP_PATH_MAX];

static int open_root(void **state)
{
	(void)state;
	madeup_init(root);
	madeup_environment(root);
	return 0;
}

static int close_root(void **state)
{
	(void)state;
	madeup_done(root);
	return 0;
}

static void reads_tags_and_nothing_else(void **state)
{
	static const char *const wrong[] = {
		"",
		"python",
		"python3",
		"python3.",
		"python3.x",
		"python2.7",
		"python3.12tt",
		"python3.12 ",
		"python3.12-config",
		"xpython3.12",
		"python3.123456",
	};
	struct layout_tag t = { .version = { .known = false } };
	char text[LAYOUT_TAG_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(layout_tag_parse(&t, wrong[i]));
	assert_false(t.version.known);
	assert_true(layout_tag_parse(&t, "python3.13t"));
	assert_true(t.free_threaded && t.version.known);
	assert_int_equal(t.version.minor, 13);
	layout_tag_print(&t, text);
	assert_string_equal(text, "python3.13t");
	assert_true(layout_tag_parse(&t, "python3.9"));
	assert_false(t.free_threaded);
	layout_tag_print(&t, text);
	assert_string_equal(text, "python3.9");
}

static void takes_the_tag_of_the_first_link_that_has_one(void **state)
{
	char path[MADEUP_PATH_MAX];
	struct layout_tag t;

	(void)state;
	madeup_link(root, "a/python", "../b/python3");
	madeup_link(root, "b/python3", "python3.11");
	madeup_link(root, "b/python3.11", "/gone/python3.12");
	madeup_path(path, root, "a/python");
	layout_tag_of_links(&t, path);
	assert_true(t.version.known);
	assert_int_equal(t.version.minor, 11);
}

static void ends_where_links_lead_in_a_circle(void **state)
{
	char path[MADEUP_PATH_MAX];
	struct layout_tag t;

	(void)state;
	madeup_link(root, "a", "b");
	madeup_link(root, "b", "a");
	madeup_path(path, root, "a");
	layout_tag_of_links(&t, path);
	assert_false(t.version.known);
}

static void finds_the_library_above_an_interpreter(void **state)
{
	char path[MADEUP_PATH_MAX], want[MADEUP_PATH_MAX];
	char found[PYTHON_PATH_MAX] = "before";

	(void)state;
	/* What pip alone made is no Python. */
	madeup_dir(root, "lib/python3.9/site-packages");
	madeup_python(root, "opt/py", "python3.12");
	madeup_path(path, root, "opt/py/bin/python3.12");
	madeup_path(want, root, "opt/py");
	assert_int_equal(layout_above(found, path), 0);
	assert_string_equal(found, want);
	madeup_file(root, "bin/python3", "");
	madeup_path(path, root, "bin/python3");
	(void)snprintf(found, sizeof(found), "before");
	if (layout_above(found, path) == -ENOENT)
		assert_string_equal(found, "before");
	else /* the machine has a library at its root */
		assert_true(strlen(found) < strlen(root));
}

static void reads_a_venv_and_what_is_behind_it(void **state)
{
	static struct layout l;
	char path[MADEUP_PATH_MAX], text[MADEUP_PATH_MAX + 128];

	(void)state;
	madeup_python(root, "real", "python3.12");
	madeup_link(root, "usr/bin/python3.12", "../../real/bin/python3.12");
	(void)snprintf(text, sizeof(text),
		       "HOME = %s/usr/bin \r\n"
		       "Include-System-Site-Packages = True\n"
		       "version = 3.12.4\n",
		       root);
	madeup_file(root, "venv/pyvenv.cfg", text);
	madeup_path(path, root, "venv");
	assert_int_equal(layout_read(&l, path, NULL), 0);
	assert_true(l.venv && l.system_site);
	assert_string_equal(l.prefix, path);
	madeup_path(path, root, "real");
	assert_string_equal(l.base, path);
	assert_int_equal(l.tag.version.minor, 12);
	assert_false(l.free_threaded);
}

static void prefers_the_usual_build_of_two_with_one_version(void **state)
{
	static struct layout l;
	char path[MADEUP_PATH_MAX];

	(void)state;
	madeup_file(root, "p/lib/python3.13t/os.py", "");
	madeup_file(root, "p/lib/python3.13/os.py", "");
	madeup_path(path, root, "p");
	assert_int_equal(layout_read(&l, path, NULL), 0);
	assert_false(l.tag.free_threaded);
	madeup_file(root, "p/bin/python3.13t", "");
	madeup_link(root, "p/bin/python3", "python3.13t");
	assert_int_equal(layout_read(&l, path, NULL), 0);
	assert_true(l.tag.free_threaded && l.free_threaded);
}

static void refuses_what_is_no_prefix(void **state)
{
	static struct layout l;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(layout_read(&l, root, &err), -ENOENT);
	assert_non_null(strstr(err_text(&err), "is no Python prefix"));
	madeup_file(root, "pyvenv.cfg", "home = /nowhere\n");
	assert_int_equal(layout_read(&l, root, &err), -ENOENT);
	assert_non_null(strstr(err_text(&err), "does not tell which Python"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_tags_and_nothing_else,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(
			takes_the_tag_of_the_first_link_that_has_one, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			ends_where_links_lead_in_a_circle, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			finds_the_library_above_an_interpreter, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			reads_a_venv_and_what_is_behind_it, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			prefers_the_usual_build_of_two_with_one_version,
			open_root, close_root),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_prefix,
						open_root, close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
