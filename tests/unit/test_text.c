/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "base/cleanup.h"
#include "scratch.h"

#include <errno.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void grows_by_what_is_added(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(100000);

	(void)state;
	assert_string_equal(text_str(&t), "");
	text_add(&t, "ab");
	text_add_char(&t, 'c');
	text_add_bytes(&t, "de!", 2);
	text_printf(&t, "%d/%s", 7, "x");
	assert_string_equal(text_str(&t), "abcde7/x");
	assert_int_equal(t.len, 8);
	for (int i = 0; i < 5000; i++)
		text_printf(&t, "%04d", i);
	assert_int_equal(text_failed(&t), 0);
	assert_int_equal(t.len, 8 + 4 * 5000);
	assert_string_equal(text_str(&t) + t.len - 4, "4999");
}

static void ends_with_a_nul_at_every_length(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(1000);

	(void)state;
	for (size_t n = 1; n <= 1000; n++) {
		text_add_char(&t, 'x');
		assert_true(t.room > t.len);
		assert_int_equal(t.s[n], '\0');
	}
	assert_int_equal(text_failed(&t), 0);
}

static void holds_exactly_its_limit(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(5);

	(void)state;
	text_add(&t, "abc");
	text_add(&t, "de");
	assert_int_equal(text_failed(&t), 0);
	text_add(&t, "");
	assert_int_equal(text_failed(&t), 0);
	text_add_char(&t, 'f');
	assert_int_equal(text_failed(&t), -E2BIG);
	assert_string_equal(text_str(&t), "abcde");
}

static void refuses_all_after_its_first_failure(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(8);

	(void)state;
	text_printf(&t, "%s", "123456789");
	assert_int_equal(text_failed(&t), -E2BIG);
	text_add(&t, "a");
	text_printf(&t, "b");
	text_add_json(&t, "c");
	text_add_url(&t, "/", "");
	assert_string_equal(text_str(&t), "");
	assert_null(text_take(&t));
}

static void is_usable_again_when_cleared(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(4);

	(void)state;
	text_add(&t, "12345");
	text_clear(&t);
	assert_int_equal(text_failed(&t), 0);
	text_add(&t, "1234");
	assert_string_equal(text_str(&t), "1234");
	text_clear(&t);
	assert_string_equal(text_str(&t), "");
	text_done(&t);
	text_add(&t, "12");
	assert_string_equal(text_str(&t), "12");
}

static void hands_its_string_out(void **state)
{
	struct text t = TEXT_INIT(10);
	char *s;

	(void)state;
	s = text_take(&t);
	assert_string_equal(s, "");
	free(s);
	text_add(&t, "kept");
	s = text_take(&t);
	assert_string_equal(s, "kept");
	free(s);
	assert_null(t.s);
	assert_int_equal(t.len, 0);
}

static void writes_json_that_is_valid_for_all_bytes(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "\"\\/", "\"\\\"\\\\/\"" },
		{ "\n\r\t\b\x01\x1f\x7f", "\"\\n\\r\\t\\u0008\\u0001\\u001f"
					  "\\u007f\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
		  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		/* a tail alone, a head alone, too long, surrogate, too high */
		{ "\x80", "\"\xef\xbf\xbd\"" },
		{ "a\xc3", "\"a\xef\xbf\xbd\"" },
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc3(", "\"\xef\xbf\xbd(\"" },
		{ "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe0\x80\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf4\x90\x80\x80",
		  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xff", "\"\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		AUTO(auto_text) struct text t = TEXT_INIT(200);

		text_add_json(&t, rows[i].in);
		assert_string_equal(text_str(&t), rows[i].out);
	}
}

static void encodes_for_urls(void **state)
{
	static const struct {
		const char *in, *keep, *out;
	} rows[] = {
		{ "aZ09-._~", "", "aZ09-._~" },
		{ "a/b", "", "a%2Fb" },
		{ "a/b?c", "/", "a/b%3Fc" },
		{ " %\n\x01\xc3\xa9", "", "%20%25%0A%01%C3%A9" },
		{ "", "/", "" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		AUTO(auto_text) struct text t = TEXT_INIT(200);

		text_add_url(&t, rows[i].in, rows[i].keep);
		assert_string_equal(text_str(&t), rows[i].out);
	}
}

static void reads_numbers_exactly(void **state)
{
	static const struct {
		const char *in;
		unsigned digits;
		bool ok;
		uint32_t n;
		const char *rest;
	} rows[] = {
		{ "0", 3, true, 0, "" },
		{ "012x", 3, true, 12, "x" },
		{ "123", 3, true, 123, "" },
		{ "1234", 3, false, 0, "1234" },
		{ "4294967295", 10, true, UINT32_MAX, "" },
		{ "4294967296", 10, false, 0, "4294967296" },
		{ "99999999999999999999", 20, false, 0,
		  "99999999999999999999" },
		{ "", 3, false, 0, "" },
		{ "x1", 3, false, 0, "x1" },
		{ "-1", 3, false, 0, "-1" },
		{ " 1", 3, false, 0, " 1" },
		{ "1", 0, false, 0, "1" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct cursor c = cursor_of(rows[i].in);
		uint32_t n = 77;

		assert_int_equal(cursor_number(&c, rows[i].digits, &n),
				 rows[i].ok);
		assert_int_equal(n, rows[i].ok ? rows[i].n : 77);
		assert_string_equal(c.p, rows[i].rest);
	}
}

static void steps_over_what_stands_there(void **state)
{
	struct cursor c = cursor_of("build/x-y");
	struct cursor piece;

	(void)state;
	assert_false(cursor_skip(&c, "built"));
	assert_false(cursor_skip(&c, "build/x-yz"));
	assert_true(cursor_skip(&c, "build"));
	assert_false(cursor_skip_char(&c, '-'));
	assert_true(cursor_skip_char(&c, '/'));
	assert_int_equal(cursor_left(&c), 3);
	piece = cursor_until(&c, '-');
	assert_true(cursor_equals(&piece, "x"));
	assert_false(cursor_equals(&piece, "x-"));
	assert_false(cursor_equals(&piece, ""));
	piece = cursor_until(&c, '-');
	assert_true(cursor_equals(&piece, ""));
	assert_true(cursor_skip_char(&c, '-'));
	piece = cursor_until(&c, '-');
	assert_true(cursor_equals(&piece, "y"));
	assert_true(cursor_done(&c));
	assert_false(cursor_skip_char(&c, '\0'));
	assert_true(cursor_skip(&c, ""));
}

static void reads_nothing_behind_its_end(void **state)
{
	const char bytes[] = { '1', '2', '3', '4' };
	struct cursor c = { bytes, bytes + 2 };
	struct cursor none = { NULL, NULL };
	uint32_t n;

	(void)state;
	assert_false(cursor_skip(&c, "123"));
	assert_true(cursor_number(&c, 9, &n));
	assert_int_equal(n, 12);
	assert_false(cursor_skip_char(&c, '3'));
	assert_true(cursor_done(&none));
	assert_true(cursor_skip(&none, ""));
	assert_true(cursor_equals(&none, ""));
	assert_false(cursor_number(&none, 3, &n));
}

static void turns_text_into_numbers(void **state)
{
	static const struct {
		const char *in;
		uint64_t max;
		int r;
		uint64_t n;
	} rows[] = {
		{ "0", 0, 0, 0 },
		{ "1", 0, -ERANGE, 0 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999", UINT64_MAX, -ERANGE, 0 },
		{ "100", 100, 0, 100 },
		{ "101", 100, -ERANGE, 0 },
		{ "5", 3, -ERANGE, 0 },
		{ "", 9, -EINVAL, 0 },
		{ "+1", 9, -EINVAL, 0 },
		{ "-1", 9, -EINVAL, 0 },
		{ " 1", 9, -EINVAL, 0 },
		{ "1 ", 9, -EINVAL, 0 },
		{ "0x1", 99, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		uint64_t n = 77;

		assert_int_equal(text_to_u64(rows[i].in, rows[i].max, &n),
				 rows[i].r);
		assert_true(n == (rows[i].r ? 77 : rows[i].n));
	}
}

static void knows_starts_ends_and_hex(void **state)
{
	(void)state;
	assert_true(text_starts("build/x", "build/"));
	assert_true(text_starts("x", ""));
	assert_false(text_starts("bu", "build"));
	assert_true(text_ends("a.so", ".so"));
	assert_true(text_ends("", ""));
	assert_false(text_ends("so", ".so"));
	assert_true(text_is_hex("0af9", 4));
	assert_true(text_is_hex("", 0));
	assert_false(text_is_hex("0af9", 3));
	assert_false(text_is_hex("0af9", 5));
	assert_false(text_is_hex("0AF9", 4));
	assert_false(text_is_hex("0ag9", 4));
}

static void copies_whole_or_not_at_all(void **state)
{
	char dst[4] = "old", *s;

	(void)state;
	assert_int_equal(text_copy(dst, sizeof(dst), "abc"), 0);
	assert_string_equal(dst, "abc");
	assert_int_equal(text_copy(dst, sizeof(dst), "abcd"), -ENAMETOOLONG);
	assert_string_equal(dst, "");
	assert_int_equal(text_copy(dst, 0, ""), -ENAMETOOLONG);
	s = text_dup("abcdef", 3);
	assert_string_equal(s, "abc");
	free(s);
	s = text_dup("ab", 9);
	assert_string_equal(s, "ab");
	free(s);
}

static void leaves_nothing_that_steers_a_terminal(void **state)
{
	/* U+00A0, U+00E9 and U+20AC are no control characters */
	char s[] = "a\x1b[1m\n\x7f \xc2\x9b\x31m \xc2\x80\xc2\xa0"
		   "\xc3\xa9 \xe2\x82\xac \xc2";

	(void)state;
	text_printable(s);
	assert_string_equal(s, "a?[1m?? ??1m ??\xc2\xa0\xc3\xa9 "
			       "\xe2\x82\xac \xc2");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_by_what_is_added),
		cmocka_unit_test(ends_with_a_nul_at_every_length),
		cmocka_unit_test(holds_exactly_its_limit),
		cmocka_unit_test(refuses_all_after_its_first_failure),
		cmocka_unit_test(is_usable_again_when_cleared),
		cmocka_unit_test(hands_its_string_out),
		cmocka_unit_test(writes_json_that_is_valid_for_all_bytes),
		cmocka_unit_test(encodes_for_urls),
		cmocka_unit_test(reads_numbers_exactly),
		cmocka_unit_test(steps_over_what_stands_there),
		cmocka_unit_test(reads_nothing_behind_its_end),
		cmocka_unit_test(turns_text_into_numbers),
		cmocka_unit_test(knows_starts_ends_and_hex),
		cmocka_unit_test(copies_whole_or_not_at_all),
		cmocka_unit_test(leaves_nothing_that_steers_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
