/* SPDX-License-Identifier: Apache-2.0 */
#include "base/set.h"

#include "scratch.h"

#include <stdio.h>

static void holds_what_was_added_once(void **state)
{
	char text[16] = "one";
	struct set s;

	(void)state;
	set_init(&s);
	assert_false(set_has(&s, "one"));
	assert_int_equal(set_add(&s, text), 1);
	text[0] = 'x'; /* its own copy */
	assert_true(set_has(&s, "one"));
	assert_false(set_has(&s, "xne"));
	assert_false(set_has(&s, ""));
	assert_int_equal(set_add(&s, "one"), 0);
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(set_add(&s, text), 1);
	}
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		assert_true(set_has(&s, text));
	}
	set_done(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_was_added_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
