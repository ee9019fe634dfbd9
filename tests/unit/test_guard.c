/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/cli/guard.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS 60000
#define SHORT_MS 50

static int speak(void *arg, struct text *out)
{
	text_add(out, arg);
	return 0;
}

static int fail_half(void *arg, struct text *out)
{
	(void)arg;
	text_add(out, "half");
	return -ENOTCONN;
}

static int hang(void *arg, struct text *out)
{
	(void)arg;
	(void)out;
	while (pause() < 0)
		;
	return 0;
}

static int die(void *arg, struct text *out)
{
	(void)arg;
	(void)out;
	(void)raise(SIGKILL);
	return 0;
}

static int flood(void *arg, struct text *out)
{
	(void)arg;
	while (!text_failed(out))
		text_add(out, "0123456789abcdef");
	return 0;
}

static void assert_no_child(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void brings_back_what_the_child_wrote(void **state)
{
	static char large[200000];
	struct text out = TEXT_INIT(1u << 20);

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	text_add(&out, "before ");
	assert_int_equal(guard_run(speak, large, &out, LONG_MS), 0);
	assert_int_equal(out.len, 7 + sizeof(large) - 1);
	assert_memory_equal(out.s, "before xxx", 10);
	text_done(&out);
	assert_no_child();
}

static void brings_back_how_the_child_failed(void **state)
{
	struct text out = TEXT_INIT(4096);

	(void)state;
	assert_int_equal(guard_run(fail_half, NULL, &out, LONG_MS), -ENOTCONN);
	assert_string_equal(text_str(&out), "half");
	text_done(&out);
}

static void ends_a_child_that_hangs(void **state)
{
	struct text out = TEXT_INIT(4096);

	(void)state;
	assert_int_equal(guard_run(hang, NULL, &out, SHORT_MS), -ETIMEDOUT);
	assert_int_equal(out.len, 0);
	assert_no_child();
	text_done(&out);
}

static void notices_a_child_that_dies(void **state)
{
	struct text out = TEXT_INIT(4096);

	(void)state;
	assert_int_equal(guard_run(die, NULL, &out, LONG_MS), -EIO);
	assert_no_child();
	text_done(&out);
}

static void takes_no_more_than_the_limit(void **state)
{
	struct text out = TEXT_INIT(1000);

	(void)state;
	assert_int_equal(guard_run(flood, NULL, &out, LONG_MS), -E2BIG);
	assert_true(out.len <= 1000);
	text_done(&out);
}

static void reads_files_and_follows_links(void **state)
{
	struct text out = TEXT_INIT(4096);

	(void)state;
	assert_int_equal(guard_realpath("/proc/self/../../usr/./bin/..", &out),
			 0);
	assert_string_equal(text_str(&out), "/usr");
	text_clear(&out);
	assert_int_equal(guard_realpath("/nowhere/at/all", &out), -ENOENT);
	assert_int_equal(guard_read_file("/nowhere/at/all", &out), -ENOENT);
	assert_int_equal(guard_read_file("/usr", &out), -EISDIR);
	text_done(&out);
}

static void says_what_to_do_about_a_dead_mount(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(guard_explain(-ENOTCONN, "/m", &err), -ENOTCONN);
	assert_non_null(strstr(err.text, "kernelfs umount '/m'"));
	assert_int_equal(guard_explain(-ETIMEDOUT, "/m", &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "kernelfs umount -z '/m'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(brings_back_what_the_child_wrote),
		cmocka_unit_test(brings_back_how_the_child_failed),
		cmocka_unit_test(ends_a_child_that_hangs),
		cmocka_unit_test(notices_a_child_that_dies),
		cmocka_unit_test(takes_no_more_than_the_limit),
		cmocka_unit_test(reads_files_and_follows_links),
		cmocka_unit_test(says_what_to_do_about_a_dead_mount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
