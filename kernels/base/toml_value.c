/* SPDX-License-Identifier: Apache-2.0 */
/*
 *	value = string | scalar | array | table
 *	array = "[" { value "," } [ value ] "]"		lines may break
 *	table = "{" [ key "=" value { "," key "=" value } ] "}"	on one line
 *
 * No function here calls itself: what is open is a row of pointers.
 */
#include "toml_room.h"

#include <string.h>

static bool is_open(const struct toml *v)
{
	return v->type == TOML_ARRAY || v->type == TOML_TABLE;
}

/* Whole, or the opening bracket of it. */
static int begin(struct toml_reader *r, struct toml *v)
{
	v->how = TOML_INLINE;
	if (cursor_skip_char(&r->at, '[')) {
		v->type = TOML_ARRAY;
		return 0;
	}
	if (cursor_skip_char(&r->at, '{')) {
		v->type = TOML_TABLE;
		return 0;
	}
	if (toml_stands(r, "\"") || toml_stands(r, "'")) {
		int e = toml_string_read(r, true, &v->is.text.s, &v->is.text.n);

		if (e == 0)
			v->type = TOML_STRING;
		return e;
	}
	return toml_scalar_read(r, v);
}

/* Blanks, comments and newlines between the items of an array. */
static int skip_lines(struct toml_reader *r)
{
	for (;;) {
		int e;

		toml_skip_blanks(r);
		if (cursor_done(&r->at) || !strchr("#\r\n", *r->at.p))
			return 0;
		e = toml_end_of_line(r);
		if (e < 0)
			return e;
	}
}

/* The next item of an array, or NULL when it was closed. */
static int next_item(struct toml_reader *r, struct toml *array,
		     struct toml **item)
{
	int e = skip_lines(r);

	if (e == 0 && array->first) {
		bool comma = cursor_skip_char(&r->at, ',');

		if (!comma && !toml_stands(r, "]"))
			return toml_refuse(r, "a comma or ] belongs behind "
					      "each value of a list");
		e = skip_lines(r);
	}
	if (e < 0)
		return e;
	*item = NULL;
	if (cursor_skip_char(&r->at, ']'))
		return 0;
	return toml_add(r, array, NULL, 0, item);
}

/* The same of an inline table. */
static int next_member(struct toml_reader *r, struct toml *table,
		       struct toml **item)
{
	struct toml_key key = { .count = 0 };
	int e;

	*item = NULL;
	toml_skip_blanks(r);
	if (cursor_skip_char(&r->at, '}'))
		return 0;
	if (table->first && !cursor_skip_char(&r->at, ','))
		return toml_refuse(r, "a comma or } belongs behind each value "
				      "of a table, on the same line");
	e = toml_key_read(r, &key);
	if (e == 0 && !cursor_skip_char(&r->at, '='))
		e = toml_refuse(r, "a = belongs behind '%.64s'",
				key.parts[0].s);
	if (e == 0)
		e = toml_key_add(r, table, &key, 0, item);
	toml_key_done(&key);
	toml_skip_blanks(r);
	return e;
}

int toml_value_read(struct toml_reader *r, struct toml *v)
{
	struct toml *open[TOML_DEPTH];
	size_t depth = 0;
	int e = begin(r, v);

	if (e == 0 && is_open(v))
		open[depth++] = v;
	while (e == 0 && depth) {
		struct toml *in = open[depth - 1];
		struct toml *item = NULL;

		e = in->type == TOML_ARRAY ? next_item(r, in, &item)
					   : next_member(r, in, &item);
		if (e == 0 && !item) {
			depth--;
			continue;
		}
		if (e == 0)
			e = begin(r, item);
		if (e < 0 || !is_open(item))
			continue;
		if (depth == TOML_DEPTH)
			return toml_refuse(r, "nested deeper than %u",
					   TOML_DEPTH);
		open[depth++] = item;
	}
	return e;
}
