/* SPDX-License-Identifier: Apache-2.0 */

/*
 * TOML as this program reads it, for test_toml.py. On stdin stand documents,
 * each behind a line with its length in bytes; each is answered by one line:
 * "=" and JSON, or "!" and what is wrong with it. In the JSON each value is
 * a pair of its type and its text, so that nothing is lost on the way:
 *
 *	["t", [[name, value], ...]]	["a", [value, ...]]
 *	["s" | "i" | "f" | "b" | "d", text]
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "base/toml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (256u << 20)

/* A NUL is escaped, too. */
static void print_string(struct text *out, const char *s, size_t n)
{
	text_add_char(out, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < ' ' || c == '"' || c == '\\')
			text_printf(out, "\\u%04x", c);
		else
			text_add_char(out, s[i]);
	}
	text_add_char(out, '"');
}

static void print_time(struct text *out, const struct toml_time *t)
{
	int offset = abs(t->offset_minutes);

	if (t->has_date)
		text_printf(out, "%04u-%02u-%02u", t->year, t->month, t->day);
	if (t->has_date && t->has_time)
		text_add_char(out, 'T');
	if (t->has_time)
		text_printf(out, "%02u:%02u:%02u.%09u", t->hour, t->minute,
			    t->second, t->nanosecond);
	if (t->has_offset)
		text_printf(out, "%c%02d:%02d",
			    t->offset_minutes < 0 ? '-' : '+', offset / 60,
			    offset % 60);
}

static void print_scalar(struct text *out, const struct toml *v)
{
	struct toml_time t;
	int64_t integer;
	double real;
	bool truth;
	size_t n;

	if (toml_string(v, &n)) {
		text_add(out, "[\"s\",");
		print_string(out, toml_string(v, &n), n);
		text_add(out, "]");
		return;
	}
	if (toml_integer(v, &integer))
		text_printf(out, "[\"i\",\"%" PRId64 "\"]", integer);
	else if (toml_float(v, &real))
		text_printf(out, "[\"f\",\"%.17g\"]", real);
	else if (toml_boolean(v, &truth))
		text_printf(out, "[\"b\",\"%d\"]", truth);
	else if (toml_time(v, &t)) {
		text_add(out, "[\"d\",\"");
		print_time(out, &t);
		text_add(out, "\"]");
	}
}

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
	text_add(out, table ? "[\"t\",[" : "[\"a\",[");
	for (const struct toml *i = toml_first(v); i; i = toml_next(i)) {
		text_add(out, comma);
		comma = ",";
		if (table) {
			text_add_char(out, '[');
			name = toml_name(i, &n);
			print_string(out, name, n);
			text_add_char(out, ',');
		}
		print(out, i);
		text_add(out, table ? "]" : "");
	}
	text_add(out, "]]");
}

static int answer(const char *s, size_t n)
{
	AUTO(auto_text) struct text out = TEXT_INIT(TEXT_MAX);
	AUTO(auto_toml) struct toml *root = NULL;
	struct err err = ERR_INIT;

	if (toml_parse(&root, "f", s, n, &err) < 0) {
		(void)printf("!%s\n", err_text(&err));
		return 0;
	}
	print(&out, root);
	if (text_failed(&out))
		return text_failed(&out);
	(void)printf("=%s\n", text_str(&out));
	return 0;
}

int main(void)
{
	char line[32];

	while (fgets(line, sizeof(line), stdin)) {
		AUTO(auto_free) char *s = NULL;
		uint64_t n;

		line[strcspn(line, "\n")] = '\0';
		if (text_to_u64(line, TEXT_MAX, &n) < 0)
			return 2;
		s = malloc(n ? n : 1); /* no byte behind it: asan guards it */
		if (!s || fread(s, 1, n, stdin) != n || answer(s, n) < 0)
			return 1;
	}
	return 0;
}
