/* SPDX-License-Identifier: Apache-2.0 */
#include "assign.h"

#include "base/text.h"

#include <string.h>

static void skip_blanks(struct cursor *c)
{
	while (cursor_skip_char(c, ' ') || cursor_skip_char(c, '\t'))
		;
}

static bool is_name_byte(char ch)
{
	return ch == '_' || (ch >= 'a' && ch <= 'z') ||
	       (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
}

static bool skip_name(struct cursor *c)
{
	const char *start = c->p;

	while (!cursor_done(c) && is_name_byte(*c->p))
		c->p++;
	return c->p > start;
}

/* "=" but not "==". */
static bool skip_equals(struct cursor *c)
{
	skip_blanks(c);
	if (!cursor_skip_char(c, '='))
		return false;
	skip_blanks(c);
	return cursor_done(c) || *c->p != '=';
}

/* Nothing but a comment may follow a value. */
static bool at_end(struct cursor *c)
{
	skip_blanks(c);
	(void)cursor_skip_char(c, '\r');
	return cursor_done(c) || *c->p == '#';
}

static enum assign quoted(struct cursor c, char quote, char *out, size_t room)
{
	struct cursor s = cursor_until(&c, quote);

	if (!cursor_skip_char(&c, quote) || !at_end(&c) ||
	    cursor_left(&s) >= room)
		return ASSIGN_UNREADABLE;
	for (const char *p = s.p; p < s.end; p++)
		if (*p < ' ' || *p > '~' || strchr("'\"\\", *p))
			return ASSIGN_UNREADABLE;
	memcpy(out, s.p, cursor_left(&s));
	out[cursor_left(&s)] = '\0';
	return ASSIGN_STRING;
}

static enum assign value(struct cursor c, char *out, size_t room)
{
	struct cursor more = c;

	if (cursor_skip_char(&c, '\''))
		return quoted(c, '\'', out, room);
	if (cursor_skip_char(&c, '"'))
		return quoted(c, '"', out, room);
	if (cursor_skip(&more, "None") && at_end(&more))
		return ASSIGN_NONE;
	more = c;
	if ((cursor_skip(&more, "True") || cursor_skip(&more, "False")) &&
	    at_end(&more))
		return ASSIGN_BOOL;
	return ASSIGN_UNREADABLE;
}

/* Does this line assign to `name`? Then `c` stands at the value. */
static bool assigns(struct cursor *c, const char *name)
{
	bool ours = false, first = true;

	for (;;) {
		struct cursor at = *c, word = *c;

		if (!skip_name(&at))
			return ours;
		word.end = at.p;
		skip_blanks(&at);
		if (first && cursor_skip_char(&at, ':'))
			(void)cursor_until(&at, '=');
		if (!skip_equals(&at))
			return ours;
		ours = ours || cursor_equals(&word, name);
		first = false;
		*c = at;
	}
}

enum assign assign_find(const char *text, const char *name, char *out,
			size_t room)
{
	enum assign found = ASSIGN_MISSING;
	struct cursor c = cursor_of(text);

	out[0] = '\0';
	while (!cursor_done(&c)) {
		struct cursor line = cursor_until(&c, '\n');

		(void)cursor_skip_char(&c, '\n');
		if (!assigns(&line, name))
			continue;
		out[0] = '\0';
		found = value(line, out, room);
	}
	return found;
}
