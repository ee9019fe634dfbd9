/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/cli/progress.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1u << 20)

static void assert_line(uint64_t bytes, size_t files, int64_t ms,
			unsigned columns, const char *want)
{
	const struct progress p = { .bytes = 4 * MIB, .files = 3 };
	struct text t = TEXT_INIT(512);

	progress_line(&p, bytes, files, ms, columns, &t);
	assert_string_equal(text_str(&t), want);
	text_done(&t);
}

static void shows_how_far_it_is(void **state)
{
	(void)state;
	assert_line(0, 0, 0, 72,
		    "[..........] 0 bytes of 4.0 MiB, 0 of 3 files");
	assert_line(2 * MIB, 1, 2000, 72,
		    "[#####.....] 2.0 MiB of 4.0 MiB, 1 of 3 files, "
		    "1.0 MiB/s");
	assert_line(4 * MIB, 3, 1000, 72,
		    "[##########] 4.0 MiB of 4.0 MiB, 3 of 3 files, "
		    "4.0 MiB/s");
}

static void what_comes_twice_does_not_lead_beyond_the_end(void **state)
{
	(void)state;
	assert_line(9 * MIB, 2, 1000, 72,
		    "[##########] 4.0 MiB of 4.0 MiB, 2 of 3 files, "
		    "4.0 MiB/s");
}

static void a_narrow_terminal_sees_no_bar(void **state)
{
	(void)state;
	assert_line(MIB, 1, 1000, 40,
		    "1.0 MiB of 4.0 MiB, 1 of 3 files, 1.0 MiB/s");
	assert_line(MIB, 1, 1000, 0,
		    "1.0 MiB of 4.0 MiB, 1 of 3 files, 1.0 MiB/s");
}

/* It is redrawn in place, which a second line would break. */
static void stays_within_one_line(void **state)
{
	const struct progress p = { .bytes = UINT64_C(1023) << 30,
				    .files = 99999 };

	(void)state;
	for (unsigned columns = 62; columns < 300; columns++) {
		struct text t = TEXT_INIT(512);

		progress_line(&p, p.bytes, p.files, 1000000, columns, &t);
		assert_true(t.len <= columns);
		text_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_how_far_it_is),
		cmocka_unit_test(what_comes_twice_does_not_lead_beyond_the_end),
		cmocka_unit_test(a_narrow_terminal_sees_no_bar),
		cmocka_unit_test(stays_within_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
