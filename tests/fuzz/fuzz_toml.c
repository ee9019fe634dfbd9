/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "base/toml.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>

#define TEXT_MAX (64u << 20)

static void print_string(struct text *out, const char *s, size_t n)
{
	text_add_char(out, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < ' ' || c == '"' || c == '\\' || c == 0x7f)
			text_printf(out, "\\u%04x", c);
		else
			text_add_char(out, s[i]);
	}
	text_add_char(out, '"');
}

static void print_float(struct text *out, double d)
{
	char s[64];

	if (isnan(d) || isinf(d)) {
		text_add(out, isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
		return;
	}
	(void)snprintf(s, sizeof(s), "%.17g", d);
	text_add(out, s);
	if (!strpbrk(s, ".e"))
		text_add(out, ".0");
}

static void print_time(struct text *out, const struct toml_time *t)
{
	FUZZ_CHECK(t->has_date || t->has_time);
	FUZZ_CHECK(!t->has_offset || (t->has_date && t->has_time));
	if (t->has_date)
		text_printf(out, "%04u-%02u-%02u", t->year, t->month, t->day);
	if (t->has_date && t->has_time)
		text_add_char(out, 'T');
	if (t->has_time)
		text_printf(out, "%02u:%02u:%02u.%09u", t->hour, t->minute,
			    t->second, t->nanosecond);
	if (t->has_offset)
		text_printf(out, "%c%02d:%02d",
			    t->offset_minutes < 0 ? '-' : '+',
			    abs(t->offset_minutes) / 60,
			    abs(t->offset_minutes) % 60);
}

static void print_scalar(struct text *out, const struct toml *v)
{
	struct toml_time t;
	int64_t integer;
	double real;
	bool truth;
	size_t n;
	const char *s = toml_string(v, &n);

	if (s) {
		for (size_t i = 0, k; i < n; i += k) {
			k = text_utf8(s + i, n - i);
			FUZZ_CHECK(k > 0);
		}
		print_string(out, s, n);
	} else if (toml_integer(v, &integer)) {
		text_printf(out, "%" PRId64, integer);
	} else if (toml_float(v, &real)) {
		print_float(out, real);
	} else if (toml_boolean(v, &truth)) {
		text_add(out, truth ? "true" : "false");
	} else {
		FUZZ_CHECK(toml_time(v, &t));
		print_time(out, &t);
	}
}

/* A value on one line: tables in line. */
static void print(struct text *out, const struct toml *v)
{
	bool table = toml_is(v, TOML_TABLE);
	const char *comma = "";
	const char *name;
	size_t n;

	if (!table && !toml_is(v, TOML_ARRAY)) {
		print_scalar(out, v);
		return;
	}
	text_add_char(out, table ? '{' : '[');
	for (const struct toml *i = toml_first(v); i; i = toml_next(i)) {
		text_add(out, comma);
		comma = ", ";
		name = toml_name(i, &n);
		FUZZ_CHECK(table == (name != NULL));
		FUZZ_CHECK(toml_line(i) >= 1);
		if (name) {
			print_string(out, name, n);
			text_add(out, " = ");
		}
		print(out, i);
	}
	text_add_char(out, table ? '}' : ']');
}

/* Printed and read again, it is printed the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_text) struct text first = TEXT_INIT(TEXT_MAX);
	AUTO(auto_text) struct text second = TEXT_INIT(TEXT_MAX);
	AUTO(auto_toml) struct toml *root = NULL;
	AUTO(auto_toml) struct toml *again = NULL;
	struct err err = ERR_INIT;
	int r = toml_parse(&root, "file", (const char *)data, size, &err);

	FUZZ_CHECK((r == 0 && root) ||
		   (r == -EINVAL && !root && text_starts(err.text, "file:")));
	if (r < 0)
		return 0;
	text_add(&first, "x = ");
	print(&first, root);
	r = toml_parse(&again, "again", text_str(&first), first.len, &err);
	/* in line it is nested as deep as its sections and dots were long */
	if (r < 0) {
		FUZZ_CHECK(first.len > TOML_BYTES_MAX ||
			   strstr(err.text, "nested deeper") ||
			   strstr(err.text, "values"));
		return 0;
	}
	text_add(&second, "x = ");
	print(&second, toml_get(again, "x"));
	FUZZ_CHECK(strcmp(text_str(&first), text_str(&second)) == 0);
	return 0;
}
