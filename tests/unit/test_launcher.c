/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/launcher.h"

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

/* A script at bin/python3, and where it leads; "" when nowhere. */
static const char *lead(const char *script, struct err *err)
{
	static char found[PYTHON_PATH_MAX];
	char path[MADEUP_PATH_MAX];

	madeup_file(root, "bin/python3", script);
	madeup_path(path, root, "bin/python3");
	return launcher_follow(found, path, err) == 0 ? found : "";
}

static void follows_the_last_exec_of_a_shell_script(void **state)
{
	static const char *const scripts[] = {
		"#!/bin/sh\nexec %s/py/bin/python3 \"$@\"\n",
		"#! /bin/bash -eu\nexec '%s/py/bin/python3' \"$@\"\n",
		"#!/usr/bin/env dash\nexec -a x \"%s/py/bin/python3\"\n",
		"#!/bin/sh\nif a; then\nexec b\nexec A=1 %s/py/bin/python3",
	};
	char want[MADEUP_PATH_MAX];

	(void)state;
	madeup_python(root, "py", "python3.12");
	madeup_path(want, root, "py");
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		const char *hole = strstr(scripts[i], "%s");
		char script[MADEUP_PATH_MAX + 256];

		(void)snprintf(script, sizeof(script), "%.*s%s%s",
			       (int)(hole - scripts[i]), scripts[i], root,
			       hole + 2);
		assert_string_equal(lead(script, NULL), want);
	}
}

static void says_why_a_launcher_cannot_be_followed(void **state)
{
	static const struct {
		const char *script, *why;
	} rows[] = {
		{ "#!/bin/sh\nexec /opt/tool run python3\n",
		  "its last exec names no absolute path" },
		{ "#!/bin/sh\nexec /a/python3\nexec $X\n",
		  "its last exec names no absolute path" },
		{ "#!/bin/sh\nexec /opt/`uname`/python3\n",
		  "its last exec names no absolute path" },
		{ "#!/bin/sh\npython3.12\n",
		  "its last exec names no absolute path" },
		{ "#!/bin/sh\nexec /nowhere/at/all/python3\n",
		  "it is not there or out of reach" },
		{ "#!/usr/share/bin/perl\nexec /py/bin/python3\n",
		  "it is a script, not a shell's" },
		{ "x", "it cannot be read" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = ERR_INIT;

		assert_string_equal(lead(rows[i].script, &err), "");
		assert_int_equal(err.code, ENOTSUP);
		assert_non_null(strstr(err_text(&err), rows[i].why));
		assert_non_null(strstr(err_text(&err), "--python=PREFIX"));
	}
}

static void refuses_a_script_without_end(void **state)
{
	static char script[70000];
	struct err err = ERR_INIT;

	(void)state;
	memset(script, '#', sizeof(script) - 1);
	memcpy(script, "#!/bin/sh\n", 10);
	assert_string_equal(lead(script, &err), "");
	assert_non_null(strstr(err_text(&err), "more than 64 KiB"));
}

/* CPython looks for pyvenv.cfg beside the name it was started by. */
static void sees_a_venv_before_its_links(void **state)
{
	char path[MADEUP_PATH_MAX], want[MADEUP_PATH_MAX];
	char found[PYTHON_PATH_MAX];

	(void)state;
	madeup_python(root, "py", "python3.12");
	madeup_path(path, root, "py/bin/python3");
	madeup_link(root, "venv/bin/python3", path);
	madeup_file(root, "venv/pyvenv.cfg", "");
	madeup_link(root, "a/python3", "../venv/bin/python3");
	madeup_path(path, root, "venv/bin/python3");
	madeup_path(want, root, "venv");
	assert_int_equal(launcher_follow(found, path, NULL), 0);
	assert_string_equal(found, want);
	madeup_path(path, root, "a/python3");
	madeup_path(want, root, "py");
	assert_int_equal(launcher_follow(found, path, NULL), 0);
	assert_string_equal(found, want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			follows_the_last_exec_of_a_shell_script, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			says_why_a_launcher_cannot_be_followed, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(refuses_a_script_without_end,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(sees_a_venv_before_its_links,
						open_root, close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
