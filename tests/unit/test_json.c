/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "scratch.h"

#include <errno.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void refuses_with_a_sentence(void **state)
{
	static const struct {
		const char *s;
		size_t n; /* 0: the whole string */
		const char *says;
	} rows[] = {
		{ "", 0, "broken" },
		{ "{\"a\":1", 0, "broken" },
		{ "{\"a\" 1}", 0, "broken" },
		{ "[1,]", 0, "broken" },
		{ "nul", 0, "broken" },
		{ "<html>", 0, "broken" },
		{ "\"\\q\"", 0, "broken" },
		{ "\"\\ud800\"", 0, "broken" },
		{ "\"\\", 0, "broken" },
		{ "\"\\u", 0, "no four hex digits" },
		{ "\"\\u12", 0, "no four hex digits" },
		{ "\"\\u12\"", 0, "no four hex digits" },
		{ "\"\\uzzzz\"", 0, "no four hex digits" },
		{ "\"\\u00g0\"", 0, "no four hex digits" },
		{ "{\"a\\uzzzz\":1}", 0, "no four hex digits" },
		{ "\"a\\u0000b\"", 0, "a NUL in a string" },
		{ "{\"a\\u0000b\":1}", 0, "a NUL in a string" },
		{ "\"a\0b\"", 5, "a NUL byte" },
		{ "1\0", 2, "a NUL byte" },
		{ "{} x", 0, "more text" },
		{ "1 2", 0, "more text" },
		{ "{}{}", 0, "more text" },
		{ "\"\x80\"", 0, "UTF-8 at byte 1" },
		{ "\"\xc3\"", 0, "UTF-8 at byte 1" },
		{ "\"\xed\xa0\x80\"", 0, "UTF-8 at byte 1" },
		{ "\"\xc0\x80\"", 0, "UTF-8 at byte 1" },
		{ "\"ab\xf5\x80\x80\x80\"", 0, "UTF-8 at byte 3" },
		{ "\"\\\xff\"", 0, "UTF-8 at byte 2" },
		{ "\"\xe2\x82", 0, "UTF-8 at byte 1" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		size_t n = rows[i].n ? rows[i].n : strlen(rows[i].s);
		struct json *j = (struct json *)(void *)&i;
		struct err err = ERR_INIT;

		assert_int_equal(json_parse(&j, rows[i].s, n, &err), -EINVAL);
		assert_ptr_equal(j, &i);
		assert_int_equal(err.code, EINVAL);
		assert_memory_equal(err.text, "JSON: ", 6);
		if (!strstr(err.text, rows[i].says))
			fail_msg("row %zu: '%s' does not say '%s'", i, err.text,
				 rows[i].says);
	}
}

static int parse_nested(int depth, char open, char close)
{
	AUTO(auto_json) struct json *j = NULL;
	char s[200];

	memset(s, open, (size_t)depth);
	memset(s + depth, close, (size_t)depth);
	return json_parse(&j, s, 2 * (size_t)depth, NULL);
}

static void refuses_one_level_too_many(void **state)
{
	AUTO(auto_json) struct json *j = NULL;
	struct err err = ERR_INIT;
	const char *brackets = "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"["
			       "{{{\",[],[],[],[],[],[],[],[],[],[],[],[],[],"
			       "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
			       "[],[],[],[],[],[]]";

	(void)state;
	assert_int_equal(parse_nested(JSON_DEPTH, '[', ']'), 0);
	assert_int_equal(parse_nested(JSON_DEPTH + 1, '[', ']'), -EINVAL);
	/* brackets in strings, and such that were closed, do not count */
	assert_int_equal(json_parse(&j, brackets, strlen(brackets), &err), 0);
	assert_int_equal(json_count(j), 35);
}

/* Two bytes of text would cost 64 and more of memory each. */
static void refuses_one_value_too_many(void **state)
{
	const size_t n = 2 * (size_t)JSON_VALUES + 1;
	struct json *j = NULL;
	struct err err = ERR_INIT;
	char *s = malloc(n);

	(void)state;
	assert_non_null(s);
	s[0] = '[';
	for (size_t i = 1; i < n; i += 2)
		memcpy(s + i, "0,", 2);
	s[n - 1] = ']';
	assert_int_equal(json_parse(&j, s, n, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 1048576 values"));
	s[n - 5] = ']';
	assert_int_equal(json_parse(&j, s, n - 4, &err), 0);
	assert_int_equal(json_count(j), JSON_VALUES - 2);
	json_free(j);
	free(s);
}

static void takes_a_backslash_for_what_it_is(void **state)
{
	/* no escape, and quotes that end no string: the brackets are text */
	static const char doc[] = "[\"\\\\u0000\", \"\\\"[[[[[[[[[[[[[[[[[[[[["
				  "[[[[[[[[[[[[[[[[[[[[[[\\\\\"]";
	AUTO(auto_json) struct json *j = NULL;

	(void)state;
	assert_int_equal(json_parse(&j, doc, strlen(doc), NULL), 0);
	assert_int_equal(json_count(j), 2);
	assert_string_equal(json_string(json_first(j)), "\\u0000");
}

static void survives_a_cut_at_every_byte(void **state)
{
	static const char doc[] = "{\"a\": [1, -2.5e3, \"x\\u00e9\\n\", null],"
				  " \"b\": {\"c\": true, \"d\": false}}";

	(void)state;
	for (size_t n = 0; n < sizeof(doc) - 1; n++) {
		AUTO(auto_free) char *cut = malloc(n ? n : 1);
		struct json *j = NULL;

		assert_non_null(cut);
		memcpy(cut, doc, n); /* so that a sanitizer sees one too many */
		assert_int_equal(json_parse(&j, cut, n, NULL), -EINVAL);
	}
}

static void reads_what_is_there(void **state)
{
	static const char doc[] =
		" {\"s\": \"x\\u00e9\\ud83d\\ude00\\\\\\\"\", \"n\": null,"
		" \"t\": true, \"list\": [1, \"two\", {}], \"S\": 5,"
		" \"s\": \"again\"} \n\t";
	AUTO(auto_json) struct json *j = NULL;
	const struct json *list, *i;
	struct err err = ERR_INIT;
	uint64_t n = 0;

	(void)state;
	assert_int_equal(json_parse(&j, doc, strlen(doc), &err), 0);
	assert_int_equal(err.code, 0);
	assert_true(json_is_object(j));
	assert_false(json_is_array(j));
	assert_int_equal(json_count(j), 6);
	/* the first of two, and names know their case */
	assert_string_equal(json_get_string(j, "s"),
			    "x\xc3\xa9\xf0\x9f\x98\x80\\\"");
	assert_true(json_u64(json_get(j, "S"), &n));
	assert_int_equal(n, 5);
	assert_true(json_is_null(json_get(j, "n")));
	assert_true(json_bool(json_get(j, "t"), false));
	list = json_get(j, "list");
	assert_true(json_is_array(list));
	assert_int_equal(json_count(list), 3);
	i = json_next(json_first(list));
	assert_string_equal(json_string(i), "two");
	assert_null(json_next(json_next(i)));
	assert_string_equal(json_name(json_first(j)), "s");
	assert_string_equal(json_name(i), "");
}

static void answers_for_what_is_not_there(void **state)
{
	AUTO(auto_json) struct json *j = NULL;
	uint64_t n = 77;

	(void)state;
	assert_int_equal(json_parse(&j, "[\"a\"]", 5, NULL), 0);
	assert_null(json_get(j, "a"));
	assert_null(json_get(NULL, "a"));
	assert_null(json_string(j));
	assert_null(json_string(NULL));
	assert_null(json_get_string(NULL, "a"));
	assert_null(json_first(NULL));
	assert_null(json_first(json_first(j)));
	assert_int_equal(json_count(NULL), 0);
	assert_false(json_is_object(NULL));
	assert_false(json_is_null(NULL));
	assert_false(json_u64(NULL, &n));
	assert_false(json_u64(json_first(j), &n));
	assert_int_equal(n, 77);
	assert_true(json_bool(NULL, true));
	assert_false(json_bool(json_first(j), false));
	json_free(NULL);
}

static void reads_whole_numbers_only(void **state)
{
	static const struct {
		const char *s;
		bool ok;
		uint64_t n;
	} rows[] = {
		{ "0", true, 0 },
		{ "1e3", true, 1000 },
		{ "1.0", true, 1 },
		{ "4294967296", true, 4294967296u },
		{ "9007199254740992", true, 9007199254740992u },
		{ "9007199254740994", false, 0 },
		{ "18446744073709551616", false, 0 },
		{ "1e999", false, 0 },
		{ "-1", false, 0 },
		{ "1.5", false, 0 },
		{ "1e-3", false, 0 },
		{ "\"1\"", false, 0 },
		{ "true", false, 0 },
		{ "null", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		AUTO(auto_json) struct json *j = NULL;
		uint64_t n = 77;

		assert_int_equal(
			json_parse(&j, rows[i].s, strlen(rows[i].s), NULL), 0);
		assert_int_equal(json_u64(j, &n), rows[i].ok);
		assert_true(n == (rows[i].ok ? rows[i].n : 77));
	}
}

static void strict_documents_are_those_of_others(void **state)
{
	static const char *const bad[] = {
		"01",	 "[1.]",       "[-]",	       "[1e]",
		"[.5]",	 "[1,\v2]",    "\x01[]",       "[00]",
		"[-01]", "[\"a\tb\"]", "{\"a\": 0x1}",
	};
	static const char *const good[] = {
		"0",
		"[-0, 1.5e+3, 10, 1E0]",
		"{\"1\": [\"-01\", {}, 3]}",
		"\"\\\"01\"",
		"[]",
		"[[[1], 2], [{\"a\": {}}, 3]]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct json *j = NULL;

		if (json_parse_strict(&j, bad[i], strlen(bad[i]), NULL) !=
		    -EINVAL)
			fail_msg("'%s' was not refused", bad[i]);
		assert_null(j);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct json *j = NULL;

		if (json_parse_strict(&j, good[i], strlen(good[i]), NULL) != 0)
			fail_msg("'%s' was refused", good[i]);
		json_free(j);
	}
}

static void whole_numbers_are_spelled_with_digits_alone(void **state)
{
	static const char s[] = "{\"a\": [1.0, \"2\", -3, 1e3, true], "
				"\"b\": {\"c\": 18446744073709551615}, "
				"\"d\": 9007199254740993, "
				"\"e\": 18446744073709551616, \"f\": 0}";
	struct json *j = NULL;
	uint64_t n = 7;

	(void)state;
	assert_int_equal(json_parse_strict(&j, s, strlen(s), NULL), 0);
	for (const struct json *i = json_first(json_get(j, "a")); i;
	     i = json_next(i))
		assert_false(json_whole(i, &n));
	assert_false(json_whole(json_get(j, "e"), &n));
	assert_false(json_whole(NULL, &n));
	assert_int_equal(n, 7);
	assert_true(json_whole(json_get(json_get(j, "b"), "c"), &n));
	assert_true(n == UINT64_MAX);
	assert_true(json_whole(json_get(j, "d"), &n));
	assert_true(n == UINT64_C(9007199254740993));
	assert_true(json_whole(json_get(j, "f"), &n));
	assert_true(n == 0);
	json_free(j);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_with_a_sentence),
		cmocka_unit_test(refuses_one_level_too_many),
		cmocka_unit_test(refuses_one_value_too_many),
		cmocka_unit_test(takes_a_backslash_for_what_it_is),
		cmocka_unit_test(survives_a_cut_at_every_byte),
		cmocka_unit_test(reads_what_is_there),
		cmocka_unit_test(answers_for_what_is_not_there),
		cmocka_unit_test(reads_whole_numbers_only),
		cmocka_unit_test(strict_documents_are_those_of_others),
		cmocka_unit_test(whole_numbers_are_spelled_with_digits_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
