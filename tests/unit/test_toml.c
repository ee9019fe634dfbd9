/* SPDX-License-Identifier: Apache-2.0 */
#include "base/toml.h"

#include "base/err.h"
#include "base/text.h"
#include "scratch.h"

#include <errno.h>
#include <math.h>

static struct toml *parse_n(const char *s, size_t n)
{
	struct err err = ERR_INIT;
	struct toml *root = NULL;

	if (toml_parse(&root, "f", s, n, &err) < 0)
		fail_msg("%s", err_text(&err));
	return root;
}

static struct toml *parse(const char *s)
{
	return parse_n(s, strlen(s));
}

/* Steps by name from the root; each must be there. */
static const struct toml *at(const struct toml *root, const char *one,
			     const char *two)
{
	const struct toml *v = toml_get(root, one);

	assert_non_null(v);
	if (two) {
		v = toml_get(v, two);
		assert_non_null(v);
	}
	return v;
}

static int64_t integer(const struct toml *v)
{
	int64_t n = 0;

	assert_true(toml_integer(v, &n));
	return n;
}

static void reads_a_project_file(void **state)
{
	struct toml *root = parse("[project]\n"
				  "name = \"x\" # name\n"
				  "[tool.kernels.dependencies]\n"
				  "\"acme/relu\" = 1\n"
				  "'acme/base' = 2\n"
				  "[tool.other]\n");
	const struct toml *t = at(root, "tool", "kernels");
	const struct toml *v;

	(void)state;
	t = toml_get(t, "dependencies");
	assert_true(toml_is(t, TOML_TABLE));
	assert_int_equal(toml_count(t), 2);
	v = toml_first(t);
	assert_string_equal(toml_name(v, NULL), "acme/relu");
	assert_int_equal(toml_line(v), 4);
	assert_int_equal(integer(v), 1);
	v = toml_next(v);
	assert_string_equal(toml_name(v, NULL), "acme/base");
	assert_int_equal(integer(v), 2);
	assert_null(toml_next(v));
	assert_null(toml_get(root, "dependencies"));
	assert_null(toml_get(NULL, "x"));
	assert_null(toml_get(v, "x"));
	toml_free(root);
}

static void reads_each_type_as_itself_only(void **state)
{
	struct toml *root = parse("s = 's'\ni = 9\nf = 1e3\nb = true\n"
				  "d = 2020-01-01\n");
	const struct toml *s, *i, *f, *b, *d;
	struct toml_time t;
	double real = 0;
	bool truth = false;
	int64_t n;

	(void)state;
	s = at(root, "s", NULL);
	i = at(root, "i", NULL);
	f = at(root, "f", NULL);
	b = at(root, "b", NULL);
	d = at(root, "d", NULL);
	assert_string_equal(toml_string(s, NULL), "s");
	assert_null(toml_string(i, NULL));
	assert_int_equal(integer(i), 9);
	assert_false(toml_integer(f, &n));
	assert_true(toml_float(f, &real));
	assert_true(fabs(real - 1000.0) < 1e-9);
	assert_false(toml_float(i, &real));
	assert_true(toml_boolean(b, &truth));
	assert_true(truth);
	assert_false(toml_boolean(s, &truth));
	assert_true(toml_time(d, &t));
	assert_false(toml_time(b, &t));
	assert_false(toml_integer(NULL, &n));
	assert_null(toml_name(root, NULL));
	toml_free(root);
}

static void reads_numbers_to_their_limits(void **state)
{
	struct toml *root = parse("a = 9223372036854775807\n"
				  "b = -9223372036854775808\n"
				  "c = 0xdead_BEEF\nd = 0o755\ne = 0b1_0\n"
				  "f = +99\ng = -0\nh = -inf\ni = nan\n"
				  "j = 6.022_1e+2_3\n");
	double real = 0;

	(void)state;
	assert_true(integer(at(root, "a", NULL)) == INT64_MAX);
	assert_true(integer(at(root, "b", NULL)) == INT64_MIN);
	assert_int_equal(integer(at(root, "c", NULL)), 0xdeadbeef);
	assert_int_equal(integer(at(root, "d", NULL)), 0755);
	assert_int_equal(integer(at(root, "e", NULL)), 2);
	assert_int_equal(integer(at(root, "f", NULL)), 99);
	assert_int_equal(integer(at(root, "g", NULL)), 0);
	assert_true(toml_float(at(root, "h", NULL), &real));
	assert_true(isinf(real) && real < 0);
	assert_true(toml_float(at(root, "i", NULL), &real));
	assert_true(isnan(real));
	assert_true(toml_float(at(root, "j", NULL), &real));
	assert_true(fabs(real - 6.0221e23) < 1e15);
	toml_free(root);
}

static void reads_dates_and_times(void **state)
{
	struct toml *root = parse("a = 1979-05-27 00:32:00.9999999999-07:30\n"
				  "b = 07:32:00\nc = 2024-02-29 # leap\n"
				  "d = 1979-05-27t07:32:00z\n");
	struct toml_time t;

	(void)state;
	assert_true(toml_time(at(root, "a", NULL), &t));
	assert_true(t.has_date && t.has_time && t.has_offset);
	assert_int_equal(t.year, 1979);
	assert_int_equal(t.minute, 32);
	assert_int_equal(t.nanosecond, 999999999);
	assert_int_equal(t.offset_minutes, -450);
	assert_true(toml_time(at(root, "b", NULL), &t));
	assert_true(!t.has_date && t.has_time && !t.has_offset);
	assert_int_equal(t.hour, 7);
	assert_true(toml_time(at(root, "c", NULL), &t));
	assert_true(t.has_date && !t.has_time);
	assert_int_equal(t.day, 29);
	assert_true(toml_time(at(root, "d", NULL), &t));
	assert_true(t.has_offset && t.offset_minutes == 0);
	toml_free(root);
}

static void reads_strings_of_all_four_kinds(void **state)
{
	struct toml *root =
		parse("a = \"\\u00e9\\U0001F600\\t\\\"\"\n"
		      "b = 'c:\\n'\n"
		      "c = \"\"\"\r\n\"one\"\r\n\\\n   two\"\"\"\"\n"
		      "d = '''\n'x'''''\n"
		      "e = \"\"\n");

	(void)state;
	assert_string_equal(toml_string(at(root, "a", NULL), NULL),
			    "\xc3\xa9\xf0\x9f\x98\x80\t\"");
	assert_string_equal(toml_string(at(root, "b", NULL), NULL), "c:\\n");
	assert_string_equal(toml_string(at(root, "c", NULL), NULL),
			    "\"one\"\ntwo\"");
	assert_string_equal(toml_string(at(root, "d", NULL), NULL), "'x''");
	assert_string_equal(toml_string(at(root, "e", NULL), NULL), "");
	toml_free(root);
}

static void gives_a_nul_only_to_who_asks_for_the_length(void **state)
{
	struct toml *root = parse("\"a\\u0000b\" = \"x\\u0000y\"\n");
	const struct toml *v = toml_first(root);
	size_t n = 0;

	(void)state;
	assert_null(toml_name(v, NULL));
	assert_null(toml_string(v, NULL));
	assert_memory_equal(toml_name(v, &n), "a\0b", 4);
	assert_int_equal(n, 3);
	assert_memory_equal(toml_string(v, &n), "x\0y", 4);
	assert_int_equal(n, 3);
	assert_null(toml_get(root, "a"));
	toml_free(root);
}

static void lists_of_tables_grow_and_hold_their_own_sections(void **state)
{
	struct toml *root = parse("[[a]]\nx = 1\n[a.b]\ny = 1\n"
				  "[[a]]\nx = 2\n[a.b]\ny = 2\n[[a]]\n");
	const struct toml *v = at(root, "a", NULL);

	(void)state;
	assert_true(toml_is(v, TOML_ARRAY));
	assert_int_equal(toml_count(v), 3);
	v = toml_next(toml_first(v));
	assert_int_equal(integer(at(v, "x", NULL)), 2);
	assert_int_equal(integer(at(v, "b", "y")), 2);
	toml_free(root);
}

static void a_table_above_a_header_may_be_defined_later(void **state)
{
	struct toml *root = parse("[a.b]\nx = 1\n[a]\ny.z = 2\n"
				  "y.w = 3\n[a.y.v]\nu = 4\n");

	(void)state;
	assert_int_equal(integer(at(at(root, "a", "b"), "x", NULL)), 1);
	assert_int_equal(integer(at(at(root, "a", "y"), "w", NULL)), 3);
	assert_int_equal(integer(at(at(root, "a", "y"), "v", "u")), 4);
	toml_free(root);
}

static void names_the_file_and_the_line(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "a = 1\n\na = 2\n", "f:3: 'a' stands here twice" },
		{ "a = [\n1,\n2\n3]", "f:4: a comma or ]" },
		{ "a = '''\n\n\n", "f:1: the string has no end" },
		{ "a = \"\"\"\n\n\\q\"\"\"", "f:3: no such escape" },
		{ "# \n\n\n\x01", "f:4: a control character" },
		{ "[a]\n[a.b]\n[a]\n", "f:3: 'a' stands here twice" },
		{ "a = 1\n[a.b]\n", "f:2: 'a' is a value" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err err = ERR_INIT;
		struct toml *root = NULL;

		assert_int_equal(toml_parse(&root, "f", rows[i].text,
					    strlen(rows[i].text), &err),
				 -EINVAL);
		assert_null(root);
		if (!text_starts(err.text, rows[i].says))
			fail_msg("%s: %s", rows[i].says, err.text);
	}
}

static void keeps_its_limits(void **state)
{
	struct text s = TEXT_INIT(1u << 20);
	struct toml *root = NULL;
	struct err err = ERR_INIT;

	(void)state;
	text_add(&s, "a = ");
	for (unsigned i = 0; i < TOML_DEPTH; i++)
		text_add(&s, "[");
	for (unsigned i = 0; i < TOML_DEPTH; i++)
		text_add(&s, "]");
	toml_free(parse(text_str(&s)));
	text_clear(&s);
	text_add(&s, "a = [");
	for (unsigned i = 0; i < TOML_VALUES_MAX - 1; i++)
		text_add(&s, "1,");
	text_add(&s, "]");
	toml_free(parse(text_str(&s)));
	text_add(&s, "\nb = 1");
	assert_int_equal(toml_parse(&root, "f", text_str(&s), s.len, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "more than 100000 values"));
	text_done(&s);
}

static void refuse(const char *reason, const char *s, size_t n)
{
	char *cut = malloc(n ? n : 1); /* asan guards its end */
	struct toml *root = NULL;
	struct err err = ERR_INIT;

	assert_non_null(cut);
	memcpy(cut, s, n);
	if (toml_parse(&root, "f", cut, n, &err) != -EINVAL)
		fail_msg("%s was not refused", reason);
	assert_true(text_starts(err.text, "f:"));
	free(cut);
}

static void refuses_each_hostile_document(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/toml", refuse);
}

/* Cut anywhere, a document is read or refused, and never beyond its end. */
static void every_beginning_of_a_document_is_answered(void **state)
{
	static const char all[] =
		"a.\"b\" = \"\\u00e9\\n\" # c\r\n[x.y]\nb = [ 'x', # y\n"
		"\"z\" , ]\nc = 1_2\nd = true\n[[l]]\ne = {f=1, g.h = 2}\n"
		"i = 1979-05-27 07:32:00.5Z\nj = '''\nx'''\n"
		"k = \"\"\"x\\\n  y\"\"\"\n";
	struct toml *root = NULL;
	int r;

	(void)state;
	for (size_t n = 0; n < sizeof(all); n++) {
		char *cut = malloc(n + 1);

		assert_non_null(cut);
		memcpy(cut, all, n);
		root = NULL;
		r = toml_parse(&root, "f", cut, n, NULL);
		assert_true(r == 0 || r == -EINVAL);
		assert_true((r == 0) == (root != NULL));
		free(cut);
		toml_free(root);
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_project_file),
		cmocka_unit_test(reads_each_type_as_itself_only),
		cmocka_unit_test(reads_numbers_to_their_limits),
		cmocka_unit_test(reads_dates_and_times),
		cmocka_unit_test(reads_strings_of_all_four_kinds),
		cmocka_unit_test(gives_a_nul_only_to_who_asks_for_the_length),
		cmocka_unit_test(
			lists_of_tables_grow_and_hold_their_own_sections),
		cmocka_unit_test(a_table_above_a_header_may_be_defined_later),
		cmocka_unit_test(names_the_file_and_the_line),
		cmocka_unit_test(keeps_its_limits),
		cmocka_unit_test(refuses_each_hostile_document),
		cmocka_unit_test(every_beginning_of_a_document_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
