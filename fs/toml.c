/* SPDX-License-Identifier: Apache-2.0 */
/*
 *	file   = { blank | [ pair ] [ comment ] newline }
 *	pair   = key "=" value
 *	key    = 1*( letter | digit | "_" | "-" )
 *	value  = string | integer | "true" | "false" | array
 *	array  = "[" [ string { "," string } [ "," ] ] "]"	newlines allowed
 */
#include "toml.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const char *path;
	struct cursor at;
	unsigned line;
	struct text string;	     /* the one being read */
	char *items[TOML_ITEMS_MAX]; /* owned */
	size_t count;
	char keys[TOML_KEYS_MAX][TOML_KEY_MAX + 1];
	size_t key_count;
	struct err *err;
};

static int refuse(const struct reader *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(const struct reader *r, const char *fmt, ...)
{
	char sentence[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	return err_set(r->err, EINVAL, "%s:%u: %s", r->path, r->line, sentence);
}

static bool stands(const struct reader *r, char c)
{
	return r->at.p < r->at.end && *r->at.p == c;
}

static void skip_blanks(struct reader *r)
{
	while (stands(r, ' ') || stands(r, '\t'))
		r->at.p++;
}

static bool is_control(char c)
{
	unsigned char u = (unsigned char)c;

	return (u < ' ' && u != '\t') || u == 0x7f;
}

/* Blanks, a comment, and the end of the line. */
static int end_of_line(struct reader *r)
{
	skip_blanks(r);
	if (stands(r, '#'))
		while (r->at.p < r->at.end && *r->at.p != '\n')
			r->at.p++;
	if (stands(r, '\r') && r->at.p + 1 < r->at.end && r->at.p[1] == '\n')
		r->at.p++;
	if (r->at.p == r->at.end)
		return 0;
	if (*r->at.p != '\n')
		return refuse(r, "more behind the value; one `name = value` "
				 "a line");
	r->at.p++;
	r->line++;
	return 0;
}

/* ---- strings ---- */

static int add_code_point(struct reader *r, uint32_t c)
{
	if (c == 0 || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return refuse(r, "no such character");
	if (c < 0x80) {
		text_add_char(&r->string, (char)c);
		return 0;
	}
	if (c < 0x800) {
		text_add_char(&r->string, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			text_add_char(&r->string, (char)(0xe0 | c >> 12));
		} else {
			text_add_char(&r->string, (char)(0xf0 | c >> 18));
			text_add_char(&r->string,
				      (char)(0x80 | (c >> 12 & 0x3f)));
		}
		text_add_char(&r->string, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	text_add_char(&r->string, (char)(0x80 | (c & 0x3f)));
	return 0;
}

static int read_hex(struct reader *r, unsigned digits)
{
	uint32_t c = 0;

	for (unsigned i = 0; i < digits; i++) {
		const char *hex = "0123456789abcdef";
		const char *found = NULL;
		char ch = 0;

		if (r->at.p < r->at.end)
			ch = *r->at.p++;
		if (ch >= 'A' && ch <= 'F')
			ch = (char)(ch - 'A' + 'a');
		if (ch)
			found = strchr(hex, ch);
		if (!found)
			return refuse(r, "\\u needs 4 hex digits, \\U needs "
					 "8");
		c = c << 4 | (uint32_t)(found - hex);
	}
	return add_code_point(r, c);
}

static int read_escape(struct reader *r)
{
	static const char from[] = "btnfr\"\\";
	static const char to[] = "\b\t\n\f\r\"\\";
	const char *found;
	char c;

	if (r->at.p == r->at.end)
		return refuse(r, "the string has no end");
	c = *r->at.p++;
	if (c == 'u' || c == 'U')
		return read_hex(r, c == 'u' ? 4 : 8);
	found = c ? strchr(from, c) : NULL;
	if (!found)
		return refuse(r, "no such escape in a \"string\"; write "
				 "\\\\ for a backslash, or a 'string'");
	text_add_char(&r->string, to[found - from]);
	return 0;
}

static int read_string(struct reader *r)
{
	char quote = *r->at.p++;
	int e = 0;

	text_clear(&r->string);
	if (stands(r, quote) && r->at.p + 1 < r->at.end && r->at.p[1] == quote)
		return refuse(r, "strings over several lines are not read "
				 "here");
	while (e == 0 && !stands(r, quote)) {
		if (r->at.p == r->at.end || *r->at.p == '\n')
			return refuse(r, "the string has no end");
		if (is_control(*r->at.p))
			return refuse(r, "a control character in a string");
		if (quote == '"' && *r->at.p == '\\') {
			r->at.p++;
			e = read_escape(r);
		} else {
			text_add_char(&r->string, *r->at.p++);
		}
	}
	if (e < 0)
		return e;
	if (text_failed(&r->string) == -ENOMEM)
		return err_errno(r->err, ENOMEM, "%s", r->path);
	if (text_failed(&r->string))
		return refuse(r, "a string longer than %u bytes",
			      TOML_STRING_MAX);
	r->at.p++;
	return 0;
}

static int add_item(struct reader *r, const char *s, size_t n)
{
	if (r->count == TOML_ITEMS_MAX)
		return refuse(r, "a list of more than %u", TOML_ITEMS_MAX);
	r->items[r->count] = text_dup(s, n);
	if (!r->items[r->count])
		return err_errno(r->err, ENOMEM, "%s", r->path);
	r->count++;
	return 0;
}

static void drop_items(struct reader *r)
{
	while (r->count)
		free(r->items[--r->count]);
}

static int read_string_item(struct reader *r)
{
	int e = read_string(r);

	return e < 0 ? e : add_item(r, text_str(&r->string), r->string.len);
}

/* ---- values ---- */

/* Blanks, comments and newlines between the items of an array. */
static int skip_lines(struct reader *r)
{
	for (;;) {
		int e;

		skip_blanks(r);
		if (!stands(r, '#') && !stands(r, '\n') && !stands(r, '\r'))
			return 0;
		e = end_of_line(r);
		if (e < 0)
			return e;
	}
}

static int read_array(struct reader *r)
{
	int e;

	r->at.p++;
	for (;;) {
		e = skip_lines(r);
		if (e < 0)
			return e;
		if (stands(r, ']'))
			break;
		if (!stands(r, '"') && !stands(r, '\''))
			return refuse(r, "a list holds strings, in quotes, "
					 "and ends with ]");
		e = read_string_item(r);
		if (e == 0)
			e = skip_lines(r);
		if (e < 0)
			return e;
		if (!stands(r, ',') && !stands(r, ']'))
			return refuse(r, "a comma or ] belongs behind each "
					 "string of a list");
		if (stands(r, ','))
			r->at.p++;
	}
	r->at.p++;
	return 0;
}

static int read_word(struct reader *r, enum toml_type *type)
{
	const char *from = r->at.p;
	char digits[24];
	size_t n, kept = 0;

	while (r->at.p < r->at.end && !is_control(*r->at.p) &&
	       !strchr(" \t#,]", *r->at.p))
		r->at.p++;
	n = (size_t)(r->at.p - from);
	if ((n == 4 && !memcmp(from, "true", 4)) ||
	    (n == 5 && !memcmp(from, "false", 5))) {
		*type = TOML_BOOLEAN;
		return add_item(r, from, n);
	}
	for (size_t i = 0; i < n; i++) {
		bool between = i > 0 && i + 1 < n && from[i - 1] != '_';

		if (from[i] == '_' && between)
			continue;
		if (from[i] < '0' || from[i] > '9' || kept == sizeof(digits))
			return refuse(r, "a value is a string in quotes, a "
					 "whole number, true, false or a "
					 "list of strings");
		digits[kept++] = from[i];
	}
	if (kept == 0)
		return refuse(r, "no value behind the =");
	if (digits[0] == '0' && kept > 1)
		return refuse(r, "a number does not begin with 0");
	*type = TOML_INTEGER;
	return add_item(r, digits, kept);
}

static int read_value(struct reader *r, enum toml_type *type)
{
	if (stands(r, '[')) {
		*type = TOML_ARRAY;
		return read_array(r);
	}
	if (stands(r, '"') || stands(r, '\'')) {
		*type = TOML_STRING;
		return read_string_item(r);
	}
	return read_word(r, type);
}

/* ---- lines ---- */

static bool is_key(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int read_key(struct reader *r, const char **out)
{
	const char *from = r->at.p;
	char *key;
	size_t n;

	while (r->at.p < r->at.end && is_key(*r->at.p))
		r->at.p++;
	n = (size_t)(r->at.p - from);
	if (n == 0)
		return refuse(
			r, *from == '['
				   ? "sections are not read here"
				   : "a line is `name = value` or a # comment");
	if (n > TOML_KEY_MAX)
		return refuse(r, "a name longer than %u bytes", TOML_KEY_MAX);
	if (r->key_count == TOML_KEYS_MAX)
		return refuse(r, "more than %u names", TOML_KEYS_MAX);
	key = r->keys[r->key_count];
	memcpy(key, from, n);
	key[n] = '\0';
	for (size_t i = 0; i < r->key_count; i++)
		if (!strcmp(r->keys[i], key))
			return refuse(r, "'%s' stands here twice", key);
	r->key_count++;
	*out = key;
	return 0;
}

static int read_pair(struct reader *r, toml_each *each, void *arg)
{
	struct toml_value v = { .line = r->line, .items = r->items };
	int e = read_key(r, &v.key);

	if (e < 0)
		return e;
	skip_blanks(r);
	if (!stands(r, '='))
		return refuse(r, "a = belongs behind '%s'", v.key);
	r->at.p++;
	skip_blanks(r);
	e = read_value(r, &v.type);
	if (e == 0)
		e = end_of_line(r);
	if (e < 0)
		return e;
	v.count = r->count;
	e = each(arg, &v, r->err);
	drop_items(r);
	return e;
}

int toml_read(const char *path, const char *s, size_t n, toml_each *each,
	      void *arg, struct err *err)
{
	struct reader *r = calloc(1, sizeof(*r));
	int e = 0;

	if (!r)
		return err_errno(err, ENOMEM, "%s", path);
	r->path = path;
	r->at = (struct cursor){ s, s + n };
	r->line = 1;
	r->string.limit = TOML_STRING_MAX;
	r->err = err;
	if (memchr(s, '\0', n))
		e = refuse(r, "a NUL byte in the file");
	(void)cursor_skip(&r->at, "\xef\xbb\xbf");
	while (e == 0 && !cursor_done(&r->at)) {
		skip_blanks(r);
		if (cursor_done(&r->at) || strchr("#\n\r", *r->at.p))
			e = end_of_line(r);
		else
			e = read_pair(r, each, arg);
	}
	drop_items(r);
	text_done(&r->string);
	free(r);
	return e;
}
