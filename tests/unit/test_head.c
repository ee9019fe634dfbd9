/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/head.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
/* Sun, 06 Nov 1994 08:49:37 GMT */
#define THEN_S 784111777

static int line(struct head *h, const char *s)
{
	return head_line(h, s, strlen(s), THEN_S - 30);
}

static const struct {
	const char *line;
	const char *next;
} links[] = {
	{ "Link: <https://h/x?cursor=a>; rel=\"next\"\r\n",
	  "https://h/x?cursor=a" },
	{ "link:<b>;rel=next", "b" },
	{ "LINK: <a>; rel=\"prev\", <b>; rel=\"next\"", "b" },
	{ "Link: <a,;b>; title=\"x, <c>; rel=next\"; rel=\"prev next\"",
	  "a,;b" },
	{ "Link: <a>; rel=\"prev\"", "" },
	{ "Link: <a>; rel=\"nextish\"", "" },
	{ "Link: <a>", "" },
	{ "Link: a; rel=next", "" },
	{ "Link: <a; rel=next", "" },
	{ "Link: <>; rel=next", "" },
	{ "Link:", "" },
	{ "Linked: <a>; rel=next", "" },
	{ "Link", "" },
};

static void finds_the_next_page(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(links); i++) {
		struct head h;

		head_reset(&h);
		assert_int_equal(line(&h, links[i].line), 0);
		assert_string_equal(h.next, links[i].next);
	}
}

static void refuses_a_next_page_that_would_be_cut(void **state)
{
	char s[HEAD_NEXT_MAX + 64];
	struct head h;

	(void)state;
	(void)snprintf(s, sizeof(s), "Link: <%0*d>; rel=next",
		       HEAD_NEXT_MAX - 1, 7);
	head_reset(&h);
	assert_int_equal(line(&h, s), 0);
	assert_int_equal(strlen(h.next), HEAD_NEXT_MAX - 1);
	(void)snprintf(s, sizeof(s), "Link: <%0*d>; rel=next", HEAD_NEXT_MAX,
		       7);
	assert_int_equal(line(&h, s), -E2BIG);
}

static const struct {
	const char *a;
	const char *b; /* NULL: none */
	int64_t wait_s;
} waits[] = {
	{ "Retry-After: 7\r\n", NULL, 7 },
	{ "retry-after:  0 ", NULL, 0 },
	{ "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", NULL, 30 },
	{ "Retry-After: Sun, 06 Nov 1994 08:40:00 GMT", NULL, 0 },
	{ "Retry-After: Sun, 06 Nov 2094 08:40:00 GMT", NULL, HEAD_WAIT_MAX_S },
	{ "Retry-After: 99999999999999999999999", NULL, HEAD_WAIT_MAX_S },
	{ "Retry-After: -1", NULL, -1 },
	{ "Retry-After: soon", NULL, -1 },
	{ "Retry-After:", NULL, -1 },
	{ "Retry-After: Sun, 06 Nov", NULL, -1 },
	{ "Retry-After: Sun, 99 Nov 1994 08:49:37 GMT", NULL, -1 },
	{ "RateLimit: \"api\";r=0;t=120", NULL, 121 },
	{ "RateLimit: \"api\";r=5;t=120", NULL, -1 },
	{ "RateLimit: \"api\"; r=0; t=5, \"b\";r=0;t=9", NULL, 10 },
	{ "RateLimit: \"api\";r=0;t=x", NULL, -1 },
	{ "RateLimit: ;;;=,,;r=;t=", NULL, -1 },
	{ "Retry-After: 7", "RateLimit: \"api\";r=0;t=1", 2 },
	{ "Retry-After: 7", "RateLimit: \"api\";r=1;t=1", 7 },
};

static void reads_how_long_to_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(waits); i++) {
		struct head h;

		head_reset(&h);
		assert_int_equal(line(&h, waits[i].a), 0);
		if (waits[i].b)
			assert_int_equal(line(&h, waits[i].b), 0);
		assert_int_equal(head_wait_s(&h), waits[i].wait_s);
	}
}

static const struct {
	const char *line;
	bool ranged;
	uint64_t start;
} ranges[] = {
	{ "Content-Range: bytes 5-9/10", true, 5 },
	{ "Content-Range: bytes 0-*/*", true, 0 },
	{ "Content-Range: bytes */10", false, 0 },
	{ "Content-Range: lines 5-9/10", false, 0 },
	{ "Content-Range: bytes -5-9/10", false, 0 },
	{ "Content-Range: bytes 99999999999999999999-9/10", false, 0 },
};

static void reads_where_a_range_starts(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(ranges); i++) {
		struct head h;

		head_reset(&h);
		assert_int_equal(line(&h, ranges[i].line), 0);
		assert_int_equal(h.ranged, ranges[i].ranged);
		if (h.ranged)
			assert_int_equal(h.range_start, ranges[i].start);
	}
}

static void knows_a_web_page(void **state)
{
	struct head h;

	(void)state;
	head_reset(&h);
	assert_int_equal(line(&h, "Content-Type: application/json"), 0);
	assert_false(h.html);
	assert_int_equal(line(&h, "CONTENT-TYPE: Text/HTML;charset=utf-8"), 0);
	assert_true(h.html);
}

static void keeps_what_can_be_printed_and_fits(void **state)
{
	char s[600];
	struct head h;

	(void)state;
	head_reset(&h);
	(void)snprintf(s, sizeof(s), "X-Error-Message: \x1b[31m\xc3%0500d", 1);
	assert_int_equal(line(&h, s), 0);
	assert_int_equal(strlen(h.error_message), sizeof(h.error_message) - 1);
	assert_memory_equal(h.error_message, "?[31m?0", 7);
	assert_int_equal(line(&h, "X-Error-Code: GatedRepo\r\n"), 0);
	assert_string_equal(h.error_code, "GatedRepo");
}

static void refuses_a_head_that_is_too_long(void **state)
{
	static const char filler[1024] = "x";
	struct head h;
	size_t lines = 0;

	(void)state;
	head_reset(&h);
	while (head_line(&h, filler, sizeof(filler), 0) == 0)
		lines++;
	assert_int_equal(lines, HEAD_BYTES_MAX / sizeof(filler));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_next_page),
		cmocka_unit_test(refuses_a_next_page_that_would_be_cut),
		cmocka_unit_test(reads_how_long_to_wait),
		cmocka_unit_test(reads_where_a_range_starts),
		cmocka_unit_test(knows_a_web_page),
		cmocka_unit_test(keeps_what_can_be_printed_and_fits),
		cmocka_unit_test(refuses_a_head_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
