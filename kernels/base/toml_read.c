/* SPDX-License-Identifier: Apache-2.0 */
/*
 *	file   = { line newline } line
 *	line   = blanks [ header | pair ] blanks [ comment ]
 *	header = "[" key "]" | "[[" key "]]"
 *	pair   = key "=" value
 *
 * A table may be defined once: by its own header, by dotted keys of one
 * section, or in line. A header above it that only passes through leaves it
 * open to be defined later.
 */
#include "toml_room.h"

#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int toml_refuse(const struct toml_reader *r, const char *fmt, ...)
{
	char sentence[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	return err_set(r->err, EINVAL, "%s:%u: %s", r->path, r->line, sentence);
}

/* ---- small steps ---- */

bool toml_stands(const struct toml_reader *r, const char *word)
{
	size_t n = strlen(word);

	return cursor_left(&r->at) >= n && memcmp(r->at.p, word, n) == 0;
}

void toml_skip_blanks(struct toml_reader *r)
{
	while (toml_stands(r, " ") || toml_stands(r, "\t"))
		r->at.p++;
}

int toml_end_of_line(struct toml_reader *r)
{
	toml_skip_blanks(r);
	if (toml_stands(r, "#"))
		while (r->at.p < r->at.end && !strchr("\r\n", *r->at.p))
			r->at.p++;
	if (toml_stands(r, "\r")) /* a line feed is behind it: check_bytes() */
		r->at.p++;
	if (cursor_done(&r->at))
		return 0;
	if (*r->at.p != '\n')
		return toml_refuse(r, "more behind the end; one `name = "
				      "value` or [section] a line");
	r->at.p++;
	r->line++;
	return 0;
}

/*
 * What may stand nowhere in a document is looked for once, before all else:
 * bytes that are no UTF-8, and control characters. Nothing below sees one.
 */
static int check_bytes(struct toml_reader *r)
{
	const char *p = r->at.p;

	while (p < r->at.end) {
		size_t n = text_utf8(p, (size_t)(r->at.end - p));
		unsigned char c = (unsigned char)*p;

		if (n == 0)
			return toml_refuse(r, "no valid UTF-8");
		if (c == '\0')
			return toml_refuse(r, "a NUL byte in the file");
		if (c == '\r' && (p + 1 == r->at.end || p[1] != '\n'))
			return toml_refuse(r, "a carriage return without a "
					      "line feed");
		if ((c < ' ' && !strchr("\t\r\n", c)) || c == 0x7f)
			return toml_refuse(r, "a control character");
		r->line += c == '\n';
		p += n;
	}
	r->line = 1;
	return 0;
}

/* ---- headers ---- */

/* The table that a header's key passes through; made where it lacks. */
static int pass(struct toml_reader *r, struct toml **at, struct toml_key *key,
		size_t i)
{
	struct toml *m =
		toml_member(r->doc, *at, key->parts[i].s, key->parts[i].n);
	int e;

	if (!m) {
		e = toml_add(r, *at, &key->parts[i].s, key->parts[i].n, &m);
		if (e < 0)
			return e;
		m->type = TOML_TABLE;
		m->how = TOML_IMPLICIT;
	} else if (m->type == TOML_ARRAY && m->how == TOML_LIST) {
		m = m->last;
	} else if (m->type != TOML_TABLE || m->how == TOML_INLINE) {
		return toml_refuse(r,
				   "'%.64s' is a value; no section can be "
				   "below it",
				   key->parts[i].s);
	}
	*at = m;
	return 0;
}

static int twice(struct toml_reader *r, const struct toml *m)
{
	return toml_refuse(r, "'%.64s' stands here twice", m->name);
}

/* [[key]]: one more table of a list. */
static int add_to_list(struct toml_reader *r, struct toml *at,
		       struct toml_key *key, struct toml **out)
{
	size_t i = key->count - 1;
	struct toml *m =
		toml_member(r->doc, at, key->parts[i].s, key->parts[i].n);
	int e;

	if (m && (m->type != TOML_ARRAY || m->how != TOML_LIST))
		return twice(r, m);
	if (!m) {
		e = toml_add(r, at, &key->parts[i].s, key->parts[i].n, &m);
		if (e < 0)
			return e;
		m->type = TOML_ARRAY;
		m->how = TOML_LIST;
	}
	return toml_add(r, m, NULL, 0, out);
}

/* [key] */
static int define(struct toml_reader *r, struct toml *at, struct toml_key *key,
		  struct toml **out)
{
	size_t i = key->count - 1;
	struct toml *m =
		toml_member(r->doc, at, key->parts[i].s, key->parts[i].n);

	if (!m)
		return toml_add(r, at, &key->parts[i].s, key->parts[i].n, out);
	if (m->type != TOML_TABLE || m->how != TOML_IMPLICIT)
		return twice(r, m);
	m->line = r->line;
	*out = m;
	return 0;
}

static int read_header(struct toml_reader *r, struct toml **table)
{
	bool list = toml_stands(r, "[[");
	struct toml *at = &r->doc->root;
	struct toml_key key = { .count = 0 };
	int e;

	r->at.p += list ? 2 : 1;
	e = toml_key_read(r, &key);
	if (e == 0 && !cursor_skip(&r->at, list ? "]]" : "]"))
		e = toml_refuse(r, "the section's name has no end");
	for (size_t i = 0; e == 0 && i + 1 < key.count; i++)
		e = pass(r, &at, &key, i);
	if (e == 0)
		e = list ? add_to_list(r, at, &key, &at)
			 : define(r, at, &key, &at);
	toml_key_done(&key);
	if (e < 0)
		return e;
	at->type = TOML_TABLE;
	at->how = TOML_HEADER;
	r->section++;
	*table = at;
	return 0;
}

/* ---- lines ---- */

static int read_pair(struct toml_reader *r, struct toml *table)
{
	struct toml_key key = { .count = 0 };
	struct toml *v = NULL;
	int e = toml_key_read(r, &key);

	if (e == 0 && !cursor_skip_char(&r->at, '='))
		e = toml_refuse(r, "a = belongs behind '%.64s'",
				key.parts[0].s);
	if (e == 0)
		e = toml_key_add(r, table, &key, r->section, &v);
	toml_key_done(&key);
	if (e < 0)
		return e;
	toml_skip_blanks(r);
	return toml_value_read(r, v);
}

int toml_read(struct toml_reader *r)
{
	struct toml *table = &r->doc->root;
	int e = 0;

	(void)cursor_skip(&r->at, "\xef\xbb\xbf");
	e = check_bytes(r);
	while (e == 0 && !cursor_done(&r->at)) {
		toml_skip_blanks(r);
		if (toml_stands(r, "["))
			e = read_header(r, &table);
		else if (!cursor_done(&r->at) && !strchr("#\r\n", *r->at.p))
			e = read_pair(r, table);
		if (e == 0)
			e = toml_end_of_line(r);
	}
	return e;
}
