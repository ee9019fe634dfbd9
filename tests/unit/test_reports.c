/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/reports.h"

#include "base/err.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct reports *fresh(void)
{
	struct reports *r = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(reports_new(&r, &err), 0);
	return r;
}

static void keep(struct reports *r, uint64_t number, const char *said)
{
	struct text t = TEXT_INIT(1000);

	text_add(&t, said);
	reports_keep(r, number, &t);
	text_done(&t);
}

static void finds(struct reports *r, uint64_t number, const char *said)
{
	struct text t = TEXT_INIT(1000);

	assert_int_equal(reports_find(r, number, &t), said != NULL);
	assert_string_equal(text_str(&t), said ? said : "");
	text_done(&t);
}

static void gives_back_what_was_kept_under_a_number(void **state)
{
	struct reports *r = fresh();
	uint64_t one = reports_number(r), other = reports_number(r);

	(void)state;
	assert_true(one != 0 && other != 0 && one != other);
	finds(r, one, NULL);
	keep(r, one, "first");
	keep(r, other, "second");
	finds(r, one, "first");
	finds(r, other, "second");
	reports_free(r);
}

static void keeps_the_latest_and_nothing_after_a_drop(void **state)
{
	struct reports *r = fresh();
	uint64_t one = reports_number(r);

	(void)state;
	keep(r, one, "first");
	keep(r, one, "a longer one");
	finds(r, one, "a longer one");
	keep(r, one, "");
	finds(r, one, "");
	reports_drop(r, one);
	finds(r, one, NULL);
	reports_drop(r, one);
	reports_free(r);
}

static void holds_many_at_a_time(void **state)
{
	struct reports *r = fresh();
	uint64_t first = reports_number(r);

	(void)state;
	keep(r, first, "first");
	for (int i = 0; i < 1000; i++)
		keep(r, reports_number(r), "another");
	finds(r, first, "first");
	reports_free(r); /* the rest goes with it */
	reports_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back_what_was_kept_under_a_number),
		cmocka_unit_test(keeps_the_latest_and_nothing_after_a_drop),
		cmocka_unit_test(holds_many_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
