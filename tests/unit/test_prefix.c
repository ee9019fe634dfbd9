/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/prefix.h"

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

static void assert_finds(const char *asked, const char *name)
{
	char found[PYTHON_PATH_MAX], want[MADEUP_PATH_MAX];
	struct err err = ERR_INIT;
	int r = prefix_find(found, asked, &err);

	assert_string_equal(err.text, "");
	assert_int_equal(r, 0);
	madeup_path(want, root, name);
	assert_string_equal(found, want);
}

static void say(const char *variable, const char *name)
{
	char path[MADEUP_PATH_MAX];

	madeup_path(path, root, name);
	assert_int_equal(setenv(variable, path, 1), 0);
}

static void asks_in_order(void **state)
{
	(void)state;
	madeup_python(root, "path", "python3.9");
	madeup_python(root, "conda", "python3.10");
	madeup_python(root, "venv", "python3.11");
	madeup_python(root, "asked", "python3.12");
	say("PATH", "path/bin");
	assert_finds(NULL, "path");
	say("CONDA_PREFIX", "conda");
	assert_finds(NULL, "conda");
	say("VIRTUAL_ENV", "venv");
	assert_finds(NULL, "venv");
	assert_finds("asked", "asked");
}

static void takes_a_prefix_or_an_interpreter_from_anywhere(void **state)
{
	(void)state;
	madeup_python(root, "a/b", "python3.12");
	madeup_link(root, "current", "a/b");
	madeup_dir(root, "a/work");
	assert_finds("a/b/bin/../bin/python3", "a/b");
	assert_finds("current", "a/b");
	assert_finds("current/bin/python3", "a/b");
	assert_int_equal(chdir("a/work"), 0);
	assert_finds("../b", "a/b");
	assert_finds("../../current/bin/python3.12", "a/b");
}

static void prefers_python3_anywhere_on_path_to_python(void **state)
{
	char path[2 * MADEUP_PATH_MAX + 64];

	(void)state;
	madeup_python(root, "two", "python3.12");
	madeup_file(root, "one/bin/python", "made up");
	madeup_file(root, "one/lib/python3.9/os.py", "");
	(void)snprintf(path, sizeof(path), "::bin:%s/one/bin:%s/two/bin", root,
		       root);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_finds(NULL, "two");
	say("PATH", "one/bin");
	assert_finds(NULL, "one");
}

static void passes_over_what_cannot_be_run(void **state)
{
	char path[4 * MADEUP_PATH_MAX], file[MADEUP_PATH_MAX];

	(void)state;
	madeup_python(root, "p", "python3.12");
	madeup_dir(root, "dir/python3");
	madeup_file(root, "text/python3", "not executable");
	madeup_path(file, root, "text/python3");
	assert_int_equal(chmod(file, 0644), 0);
	(void)snprintf(path, sizeof(path), "%s/dir:%s/text:%s/p/bin", root,
		       root, root);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_finds(NULL, "p");
}

static void leaves_its_output_alone_on_failure(void **state)
{
	char found[PYTHON_PATH_MAX] = "before";
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(prefix_find(found, NULL, &err), -ENOENT);
	assert_int_equal(prefix_find(found, "gone", &err), -ENOENT);
	assert_int_equal(prefix_find(found, ".", &err), -ENOENT);
	assert_int_equal(setenv("VIRTUAL_ENV", "/nowhere", 1), 0);
	assert_int_equal(prefix_find(found, NULL, &err), -ENOTSUP);
	assert_string_equal(found, "before");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asks_in_order, open_root,
						close_root),
		cmocka_unit_test_setup_teardown(
			takes_a_prefix_or_an_interpreter_from_anywhere,
			open_root, close_root),
		cmocka_unit_test_setup_teardown(
			prefers_python3_anywhere_on_path_to_python, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(passes_over_what_cannot_be_run,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(
			leaves_its_output_alone_on_failure, open_root,
			close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
