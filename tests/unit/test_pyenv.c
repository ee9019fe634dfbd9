/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/pyenv.h"

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

static char shim[MADEUP_PATH_MAX];

/* pyenv with 3.9.1, and 3.12.0 to 3.12.10: in no order, as a folder is. */
static void install(void)
{
	madeup_file(root, "pyenv/shims/python3", "#!/bin/sh\n");
	madeup_file(root, "pyenv/versions/3.9.1/bin/python3", "");
	for (int i = 10; i >= 0; i--) {
		char name[64];

		(void)snprintf(name, sizeof(name),
			       "pyenv/versions/3.12.%d/bin/python3", i);
		madeup_file(root, name, "");
	}
	madeup_file(root, "pyenv/versions/3.12.10/envs/a/bin/python3", "");
	madeup_file(root, "outside/bin/python3", "");
	madeup_path(shim, root, "pyenv/shims/python3");
}

/* The version whose Python is found, "system", or "none". */
static const char *choice(struct err *err)
{
	static char found[PYTHON_PATH_MAX];
	char start[MADEUP_PATH_MAX];
	char *end;
	int r = pyenv_python(found, shim, "python3", err);

	if (r == -ENOENT)
		return "system";
	if (r < 0)
		return "none";
	madeup_path(start, root, "pyenv/versions/");
	assert_int_equal(strncmp(found, start, strlen(start)), 0);
	end = strstr(found, "/bin/python3");
	assert_non_null(end);
	*end = '\0';
	return found + strlen(start);
}

static void knows_a_shim_by_its_place(void **state)
{
	(void)state;
	install();
	assert_true(pyenv_is_shim(shim));
	assert_false(pyenv_is_shim("/usr/bin/python3"));
	assert_false(pyenv_is_shim("/shims/python3"));
}

static void reads_names_as_pyenv_does(void **state)
{
	static const struct {
		const char *said, *want;
	} rows[] = {
		{ "3.9.1", "3.9.1" },
		{ "3.12", "3.12.10" },
		{ "3.12.3", "3.12.3" },
		{ "python-3.9.1", "3.9.1" },
		{ "3.12.10/envs/a", "3.12.10/envs/a" },
		{ "3.8:3.9", "3.9.1" },
		{ "system", "system" },
		{ "3.1", "none" },
		{ "../../outside", "none" },
		{ "3.9.1/../../../outside", "none" },
		{ "..", "none" },
	};

	(void)state;
	install();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(setenv("PYENV_VERSION", rows[i].said, 1), 0);
		assert_string_equal(choice(NULL), rows[i].want);
	}
}

static void asks_variable_then_folders_then_the_global_file(void **state)
{
	(void)state;
	install();
	assert_string_equal(choice(NULL), "system");
	madeup_file(root, "pyenv/version", "3.9.1\n");
	assert_string_equal(choice(NULL), "3.9.1");
	madeup_file(root, ".python-version", "# comment\n3.12.3 # more\n");
	assert_string_equal(choice(NULL), "3.12.3");
	assert_int_equal(setenv("PYENV_VERSION", "3.12.10", 1), 0);
	assert_string_equal(choice(NULL), "3.12.10");
}

static void says_which_version_is_not_installed(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	install();
	assert_int_equal(setenv("PYENV_VERSION", "3.14.0", 1), 0);
	assert_string_equal(choice(&err), "none");
	assert_int_equal(err.code, ENOTSUP);
	assert_non_null(strstr(err_text(&err), "version '3.14.0', which has no "
					       "python3 under"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(knows_a_shim_by_its_place,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(reads_names_as_pyenv_does,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(
			asks_variable_then_folders_then_the_global_file,
			open_root, close_root),
		cmocka_unit_test_setup_teardown(
			says_which_version_is_not_installed, open_root,
			close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
