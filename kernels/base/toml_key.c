/* SPDX-License-Identifier: Apache-2.0 */
/*
 *	key  = part { "." part }		blanks around each part
 *	part = 1*( letter | digit | "_" | "-" ) | string of one line
 */
#include "toml_room.h"

#include "err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int read_part(struct toml_reader *r, char **s, size_t *n)
{
	const char *from = r->at.p;

	if (toml_stands(r, "\"") || toml_stands(r, "'"))
		return toml_string_read(r, false, s, n);
	while (r->at.p < r->at.end && is_bare(*r->at.p))
		r->at.p++;
	*n = (size_t)(r->at.p - from);
	if (*n == 0)
		return toml_refuse(r, "a name is missing; a line is `name = "
				      "value`, a [section] or a # comment");
	*s = text_dup(from, *n);
	return *s ? 0 : err_errno(r->err, ENOMEM, "%s", r->path);
}

int toml_key_read(struct toml_reader *r, struct toml_key *key)
{
	do {
		size_t i = key->count;
		int e;

		if (i == TOML_DEPTH)
			return toml_refuse(r, "a name of more than %u parts",
					   TOML_DEPTH);
		toml_skip_blanks(r);
		e = read_part(r, &key->parts[i].s, &key->parts[i].n);
		if (e < 0)
			return e;
		key->count++;
		toml_skip_blanks(r);
	} while (cursor_skip_char(&r->at, '.'));
	return 0;
}

void toml_key_done(struct toml_key *key)
{
	while (key->count)
		free(key->parts[--key->count].s);
}

/* The table of a dotted key's part: a new one, or one that may grow here. */
static int descend(struct toml_reader *r, struct toml **at,
		   struct toml_key *key, size_t i, unsigned section)
{
	struct toml *m =
		toml_member(r->doc, *at, key->parts[i].s, key->parts[i].n);
	int e;

	if (!m) {
		e = toml_add(r, *at, &key->parts[i].s, key->parts[i].n, &m);
		if (e < 0)
			return e;
		m->type = TOML_TABLE;
	} else if (m->type != TOML_TABLE ||
		   !(m->how == TOML_IMPLICIT ||
		     (m->how == TOML_DOTTED && m->section == section))) {
		return toml_refuse(r,
				   "'%.64s' is defined elsewhere; nothing "
				   "can be added to it here",
				   m->name);
	}
	m->how = TOML_DOTTED;
	m->section = section;
	*at = m;
	return 0;
}

int toml_key_add(struct toml_reader *r, struct toml *t, struct toml_key *key,
		 unsigned section, struct toml **out)
{
	size_t last = key->count - 1;
	struct toml *m;
	int e;

	for (size_t i = 0; i < last; i++) {
		e = descend(r, &t, key, i, section);
		if (e < 0)
			return e;
	}
	m = toml_member(r->doc, t, key->parts[last].s, key->parts[last].n);
	if (m)
		return toml_refuse(r, "'%.64s' stands here twice", m->name);
	return toml_add(r, t, &key->parts[last].s, key->parts[last].n, out);
}
