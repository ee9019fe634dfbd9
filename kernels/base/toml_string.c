/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four kinds: "basic" with escapes and 'literal' without, and both with
 * three quotes over several lines. There up to two quotes may stand within,
 * and before the three that end it, and a newline right behind the first
 * three is left out.
 */
#include "toml_room.h"

#include "err.h"

#include <errno.h>
#include <string.h>

struct string {
	struct toml_reader *r;
	struct text s;
	char quote;
	bool lines;
};

static int add_code_point(struct string *in, uint32_t c)
{
	char b[4];
	size_t n = 0;

	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return toml_refuse(in->r, "no such character");
	if (c < 0x80) {
		b[n++] = (char)c;
	} else if (c < 0x800) {
		b[n++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		b[n++] = (char)(0xe0 | c >> 12);
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		b[n++] = (char)(0xf0 | c >> 18);
		b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		b[n++] = (char)(0x80 | (c & 0x3f));
	text_add_bytes(&in->s, b, n);
	return 0;
}

static int read_hex(struct string *in, unsigned digits)
{
	static const char hex[] = "0123456789abcdef";
	struct toml_reader *r = in->r;
	uint32_t c = 0;

	for (unsigned i = 0; i < digits; i++) {
		const char *found = NULL;
		char ch = 0;

		if (!cursor_done(&r->at))
			ch = *r->at.p++;
		if (ch >= 'A' && ch <= 'F')
			ch = (char)(ch - 'A' + 'a');
		if (ch)
			found = strchr(hex, ch);
		if (!found)
			return toml_refuse(r, "\\u needs 4 hex digits, \\U "
					      "needs 8");
		c = c << 4 | (uint32_t)(found - hex);
	}
	return add_code_point(in, c);
}

/* A newline within a string, read as a line feed. */
static bool skip_newline(struct toml_reader *r)
{
	if (!cursor_skip(&r->at, "\r\n") && !cursor_skip_char(&r->at, '\n'))
		return false;
	r->line++;
	return true;
}

/* A backslash at the end of a line: what is blank behind it is left out. */
static int skip_to_text(struct toml_reader *r)
{
	toml_skip_blanks(r);
	if (!skip_newline(r))
		return toml_refuse(r, "a backslash before blanks belongs at "
				      "the end of the line");
	do {
		toml_skip_blanks(r);
	} while (skip_newline(r));
	return 0;
}

static int read_escape(struct string *in)
{
	static const char from[] = "btnfr\"\\";
	static const char to[] = "\b\t\n\f\r\"\\";
	struct toml_reader *r = in->r;
	const char *found;

	if (cursor_done(&r->at))
		return toml_refuse(r, "the string has no end");
	if (in->lines && strchr(" \t\r\n", *r->at.p))
		return skip_to_text(r);
	if (cursor_skip_char(&r->at, 'u'))
		return read_hex(in, 4);
	if (cursor_skip_char(&r->at, 'U'))
		return read_hex(in, 8);
	found = strchr(from, *r->at.p);
	if (!found)
		return toml_refuse(r, "no such escape in a \"string\"; write "
				      "\\\\ for a backslash, or a 'string'");
	r->at.p++;
	text_add_char(&in->s, to[found - from]);
	return 0;
}

/* Three quotes end it, and up to two before them are its own. */
static bool skip_end(struct string *in)
{
	struct toml_reader *r = in->r;
	size_t n = 0;

	while (n < 5 && n < cursor_left(&r->at) && r->at.p[n] == in->quote)
		n++;
	if (n < 3)
		return false;
	text_add_bytes(&in->s, r->at.p, n - 3);
	r->at.p += n;
	return true;
}

static int read_char(struct string *in)
{
	struct toml_reader *r = in->r;

	if (in->quote == '"' && cursor_skip_char(&r->at, '\\'))
		return read_escape(in);
	if (in->lines && skip_newline(r))
		text_add_char(&in->s, '\n');
	else
		text_add_char(&in->s, *r->at.p++);
	return 0;
}

static int read_all(struct string *in)
{
	struct toml_reader *r = in->r;
	unsigned line = r->line;
	int e = 0;

	if (in->lines)
		(void)skip_newline(r);
	while (e == 0) {
		bool open = !cursor_done(&r->at) &&
			    (in->lines || !strchr("\r\n", *r->at.p));

		if (!open) {
			r->line = line;
			return toml_refuse(r, "the string has no end");
		}
		if (in->lines ? skip_end(in)
			      : cursor_skip_char(&r->at, in->quote))
			break;
		e = read_char(in);
	}
	return e;
}

int toml_string_read(struct toml_reader *r, bool lines, char **s, size_t *n)
{
	struct string in = {
		.r = r,
		.s = TEXT_INIT(TOML_BYTES_MAX),
		.quote = *r->at.p,
	};
	int e;

	in.lines = cursor_skip(&r->at, in.quote == '"' ? "\"\"\"" : "'''");
	if (in.lines && !lines)
		return toml_refuse(r, "a name stands on one line, in one "
				      "quote");
	if (!in.lines)
		r->at.p++;
	e = read_all(&in);
	if (e == 0) {
		*n = in.s.len;
		*s = text_take(&in.s);
		if (!*s)
			e = err_errno(r->err, ENOMEM, "%s", r->path);
	}
	text_done(&in.s);
	return e;
}
