/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 64

/* ---- growing ---- */

static bool reserve(struct text *t, size_t more)
{
	size_t need, room;
	char *s;

	if (t->failed)
		return false;
	if (more > t->limit - t->len || more == SIZE_MAX - t->len) {
		t->failed = -E2BIG;
		return false;
	}
	need = t->len + more + 1;
	if (need <= t->room)
		return true;
	room = t->room ? t->room : ROOM_MIN;
	while (room < need)
		room = room > SIZE_MAX / 2 ? need : room * 2;
	s = realloc(t->s, room);
	if (!s) {
		t->failed = -ENOMEM;
		return false;
	}
	t->s = s;
	t->room = room;
	return true;
}

void text_done(struct text *t)
{
	free(t->s);
	t->s = NULL;
	t->len = 0;
	t->room = 0;
	t->failed = 0;
}

void auto_text(struct text *t)
{
	text_done(t);
}

void text_clear(struct text *t)
{
	t->len = 0;
	t->failed = 0;
	if (t->s)
		t->s[0] = '\0';
}

void text_add_bytes(struct text *t, const void *p, size_t n)
{
	if (!reserve(t, n))
		return;
	if (n)
		memcpy(t->s + t->len, p, n);
	t->len += n;
	t->s[t->len] = '\0';
}

void text_add(struct text *t, const char *s)
{
	text_add_bytes(t, s, strlen(s));
}

void text_add_char(struct text *t, char c)
{
	text_add_bytes(t, &c, 1);
}

void text_vprintf(struct text *t, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) {
		if (!t->failed)
			t->failed = -EINVAL;
		return;
	}
	if (!reserve(t, (size_t)n))
		return;
	(void)vsnprintf(t->s + t->len, (size_t)n + 1, fmt, ap);
	t->len += (size_t)n;
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(t, fmt, ap);
	va_end(ap);
}

size_t text_utf8(const char *s, size_t left)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] < 0x80			  ? 1
		   : p[0] >= 0xc2 && p[0] <= 0xdf ? 2
		   : (p[0] & 0xf0) == 0xe0	  ? 3
		   : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
						  : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static void add_json_ascii(struct text *t, unsigned char c)
{
	switch (c) {
	case '"':
		text_add(t, "\\\"");
		break;
	case '\\':
		text_add(t, "\\\\");
		break;
	case '\n':
		text_add(t, "\\n");
		break;
	case '\t':
		text_add(t, "\\t");
		break;
	case '\r':
		text_add(t, "\\r");
		break;
	default:
		if (c < 0x20 || c == 0x7f)
			text_printf(t, "\\u%04x", c);
		else
			text_add_char(t, (char)c);
	}
}

void text_add_json(struct text *t, const char *s)
{
	size_t left = strlen(s);

	text_add_char(t, '"');
	while (left) {
		size_t n = text_utf8(s, left);

		if (n == 1)
			add_json_ascii(t, (unsigned char)*s);
		else if (n)
			text_add_bytes(t, s, n);
		else
			text_add(t, "\xef\xbf\xbd"); /* U+FFFD */
		n = n ? n : 1;
		s += n;
		left -= n;
	}
	text_add_char(t, '"');
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

void text_add_url(struct text *t, const char *s, const char *keep)
{
	for (; *s; s++) {
		if (is_unreserved(*s) || strchr(keep, *s))
			text_add_char(t, *s);
		else
			text_printf(t, "%%%02X", (unsigned char)*s);
	}
}

int text_failed(const struct text *t)
{
	return t->failed;
}

const char *text_str(const struct text *t)
{
	return t->s ? t->s : "";
}

char *text_take(struct text *t)
{
	char *s;

	if (t->failed) {
		text_done(t);
		return NULL;
	}
	s = t->s ? t->s : calloc(1, 1);
	t->s = NULL;
	text_done(t);
	return s;
}

/* ---- cursor ---- */

struct cursor cursor_of(const char *s)
{
	return (struct cursor){ s, s + strlen(s) };
}

bool cursor_done(const struct cursor *c)
{
	return c->p == c->end;
}

size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

bool cursor_skip(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if (cursor_left(c) < n || (n && memcmp(c->p, word, n) != 0))
		return false;
	c->p += n;
	return true;
}

bool cursor_skip_char(struct cursor *c, char ch)
{
	if (cursor_done(c) || *c->p != ch)
		return false;
	c->p++;
	return true;
}

bool cursor_number(struct cursor *c, unsigned max_digits, uint32_t *out)
{
	const char *p = c->p;
	uint64_t n = 0;

	for (; p < c->end && *p >= '0' && *p <= '9'; p++) {
		if ((size_t)(p - c->p) >= max_digits)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > UINT32_MAX)
			return false;
	}
	if (p == c->p)
		return false;
	c->p = p;
	*out = (uint32_t)n;
	return true;
}

struct cursor cursor_until(struct cursor *c, char stop)
{
	struct cursor piece = { c->p, c->p };

	while (c->p < c->end && *c->p != stop)
		c->p++;
	piece.end = c->p;
	return piece;
}

bool cursor_equals(const struct cursor *c, const char *s)
{
	size_t n = strlen(s);

	return cursor_left(c) == n && (n == 0 || !memcmp(c->p, s, n));
}

/* ---- whole strings ---- */

bool text_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool text_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s), tail = strlen(suffix);

	return len >= tail && !strcmp(s + len - tail, suffix);
}

bool text_is_hex(const char *s, size_t n)
{
	return strspn(s, "0123456789abcdef") == n && s[n] == '\0';
}

int text_to_u64(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (n > (max - (digit > max ? max : digit)) / 10 || digit > max)
			return -ERANGE;
		n = n * 10 + digit;
	}
	*out = n;
	return 0;
}

char *text_dup(const char *s, size_t n)
{
	return strndup(s, n);
}

void text_printable(char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)s[0];
		unsigned char next = (unsigned char)s[1];

		if (c < 0x20 || c == 0x7f)
			s[0] = '?';
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			s[0] = s[1] = '?';
	}
}

int text_copy(char *dst, size_t room, const char *src)
{
	size_t n = strlen(src);

	if (n >= room) {
		if (room)
			dst[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(dst, src, n + 1);
	return 0;
}
