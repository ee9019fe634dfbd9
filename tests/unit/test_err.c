/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include "scratch.h"

#include <errno.h>

static void carries_code_and_sentence(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, ENOENT, "no '%s' among %d", "x", 3),
			 -ENOENT);
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(e.text, "no 'x' among 3");
	assert_string_equal(err_text(&e), "no 'x' among 3");
}

static void needs_no_place_for_the_sentence(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, EPERM, "%s", "unheard"), -EPERM);
	assert_int_equal(err_errno(NULL, EPERM, "%s", "unheard"), -EPERM);
	assert_int_equal(err_wrap(NULL, -EPERM, "%s", "unheard"), -EPERM);
	assert_string_equal(err_text(NULL), "failed");
}

static void adds_the_text_of_the_errno(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_errno(&e, EACCES, "open '%s'", "f"), -EACCES);
	assert_string_equal(e.text, "open 'f': Permission denied");
	assert_int_equal(e.code, EACCES);
}

static void puts_context_in_front(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	(void)err_set(&e, EBADMSG, "hash differs");
	assert_int_equal(err_wrap(&e, -EIO, "read '%s'", "b"), -EIO);
	assert_string_equal(e.text, "read 'b': hash differs");
	/* the first failure stays the reason */
	assert_int_equal(e.code, EBADMSG);
}

static void wraps_what_has_no_sentence(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_wrap(&e, -ENOSPC, "write"), -ENOSPC);
	assert_int_equal(e.code, ENOSPC);
	assert_string_equal(e.text, "write: No space left on device");
}

static void says_the_errno_when_there_is_no_sentence(void **state)
{
	struct err e = { .code = ENOMEM, .text = "" };

	(void)state;
	assert_string_equal(err_text(&e), "Cannot allocate memory");
	e.code = 99999;
	assert_string_equal(err_text(&e), "failed");
}

static void lets_no_control_byte_through(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	(void)err_set(&e, EINVAL, "'%s'", "a\x1b[2J\n\t\r\x7f\x01z");
	assert_string_equal(e.text, "'a?[2J?????z'");
	(void)err_set(&e, EINVAL, "b");
	(void)err_wrap(&e, -EINVAL, "%s", "\x1b");
	assert_string_equal(e.text, "?: b");
	(void)err_errno(&e, EINVAL, "%s", "\x07");
	assert_string_equal(e.text, "?: Invalid argument");
	(void)err_set(&e, EINVAL, "%s", "\xc3\xa9");
	assert_string_equal(e.text, "\xc3\xa9");
}

static void cuts_what_is_too_long(void **state)
{
	char text[2 * ERR_TEXT_MAX];
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, EINVAL, "%s", text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	(void)err_wrap(&e, -EINVAL, "front");
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(e.text, "front: aaa", 10);
	(void)err_wrap(&e, -EINVAL, "%s", text);
	(void)err_errno(&e, EINVAL, "%s", text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

static void takes_its_own_text_as_an_argument(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	(void)err_set(&e, ENOENT, "inner");
	(void)err_set(&e, EIO, "outer (%s)", e.text);
	assert_string_equal(e.text, "outer (inner)");
	(void)err_errno(&e, EIO, "again %s", e.text);
	assert_string_equal(e.text, "again outer (inner): Input/output error");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_code_and_sentence),
		cmocka_unit_test(needs_no_place_for_the_sentence),
		cmocka_unit_test(adds_the_text_of_the_errno),
		cmocka_unit_test(puts_context_in_front),
		cmocka_unit_test(wraps_what_has_no_sentence),
		cmocka_unit_test(says_the_errno_when_there_is_no_sentence),
		cmocka_unit_test(lets_no_control_byte_through),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(takes_its_own_text_as_an_argument),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
