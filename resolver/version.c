/* SPDX-License-Identifier: Apache-2.0 */
#include "version.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * PEP 440, of which only the first two numbers are kept:
 *
 *	[v] [N!] N(.N)* [pre [N]] [-N | post [N]] [dev [N]] [+local]
 *
 * The rest is read for one reason: what Python refuses is refused here, so
 * that "13x" is not taken for 13.
 */

#define DIGITS_MAX 20 /* leading zeros included */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_separator(char c)
{
	return c == '.' || c == '-' || c == '_';
}

static void skip_separator(struct cursor *c)
{
	if (!cursor_done(c) && is_separator(*c->p))
		c->p++;
}

static bool skip_digits(struct cursor *c)
{
	const char *start = c->p;

	while (!cursor_done(c) && is_digit(*c->p))
		c->p++;
	return c->p > start;
}

static bool skip_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if (cursor_left(c) < n || strncasecmp(c->p, word, n) != 0)
		return false;
	c->p += n;
	return true;
}

/* One of the words with what may stand around it; the longer word first. */
static void skip_suffix(struct cursor *c, const char *const *words)
{
	struct cursor at = *c;

	skip_separator(&at);
	for (; *words; words++) {
		if (!skip_word(&at, *words))
			continue;
		skip_separator(&at);
		(void)skip_digits(&at);
		*c = at;
		return;
	}
}

static void skip_post(struct cursor *c)
{
	static const char *const words[] = { "post", "rev", "r", NULL };
	struct cursor at = *c;

	if (cursor_skip_char(&at, '-') && skip_digits(&at))
		*c = at;
	else
		skip_suffix(c, words);
}

/* "+cu130": pieces of letters and digits between single separators. */
static bool skip_local(struct cursor *c)
{
	if (!cursor_skip_char(c, '+'))
		return true;
	for (;;) {
		const char *piece = c->p;

		while (!cursor_done(c) && is_alnum(*c->p))
			c->p++;
		if (c->p == piece)
			return false;
		if (cursor_done(c) || !is_separator(*c->p))
			return true;
		c->p++;
	}
}

static bool skip_rest(struct cursor *c)
{
	static const char *const pre[] = { "alpha", "a", "beta", "b", "preview",
					   "pre",   "c", "rc",	 NULL };
	static const char *const dev[] = { "dev", NULL };

	while (cursor_left(c) >= 2 && *c->p == '.' && is_digit(c->p[1])) {
		c->p++;
		(void)skip_digits(c);
	}
	/* how virtualenv writes sys.version_info: 3.12.4.final.0 */
	if (cursor_skip(c, ".final."))
		return skip_digits(c) && cursor_done(c);
	skip_suffix(c, pre);
	skip_post(c);
	skip_suffix(c, dev);
	return skip_local(c) && cursor_done(c);
}

static struct cursor stripped(const char *s)
{
	struct cursor c = cursor_of(s);

	while (!cursor_done(&c) && strchr(" \t\r\n\v\f", *c.p))
		c.p++;
	while (!cursor_done(&c) && strchr(" \t\r\n\v\f", c.end[-1]))
		c.end--;
	return c;
}

int version_parse(struct version *out, const char *s)
{
	struct cursor c = stripped(s), epoch;
	struct version v = { .known = true };

	if (!cursor_skip_char(&c, 'v'))
		(void)cursor_skip_char(&c, 'V');
	epoch = c;
	if (skip_digits(&epoch) && cursor_skip_char(&epoch, '!'))
		c = epoch;
	if (!cursor_number(&c, DIGITS_MAX, &v.major))
		return -EINVAL;
	if (cursor_left(&c) >= 2 && *c.p == '.' && is_digit(c.p[1])) {
		c.p++;
		if (!cursor_number(&c, DIGITS_MAX, &v.minor))
			return -EINVAL;
	}
	if (!skip_rest(&c))
		return -EINVAL;
	*out = v;
	return 0;
}

static int compare(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

/* Unknown is below everything known. */
int version_compare(const struct version *a, const struct version *b)
{
	if (!a->known || !b->known)
		return (int)a->known - (int)b->known;
	if (a->major != b->major)
		return compare(a->major, b->major);
	return compare(a->minor, b->minor);
}

void version_print(const struct version *v, char out[VERSION_TEXT_MAX])
{
	if (v->known)
		(void)snprintf(out, VERSION_TEXT_MAX, "%u.%u", v->major,
			       v->minor);
	else
		(void)snprintf(out, VERSION_TEXT_MAX, "None");
}

/* ---- names of tags and branches ---- */

bool version_tag_parse(struct version_tag *out, const char *s)
{
	struct cursor c = cursor_of(s);
	struct version_tag t = { { 0 } };

	if (!cursor_skip_char(&c, 'v'))
		return false;
	for (unsigned i = 0; i < 3; i++) {
		if (i > 0 && !cursor_skip_char(&c, '.'))
			return false;
		if (!cursor_number(&c, DIGITS_MAX, &t.part[i]))
			return false;
	}
	if (!cursor_done(&c))
		return false;
	*out = t;
	return true;
}

int version_tag_compare(const struct version_tag *a,
			const struct version_tag *b)
{
	for (unsigned i = 0; i < 3; i++)
		if (a->part[i] != b->part[i])
			return compare(a->part[i], b->part[i]);
	return 0;
}

bool version_branch_parse(uint32_t *out, const char *s)
{
	struct cursor c = cursor_of(s);
	uint32_t n;

	if (!cursor_skip_char(&c, 'v') || !cursor_number(&c, DIGITS_MAX, &n) ||
	    !cursor_done(&c))
		return false;
	*out = n;
	return true;
}
