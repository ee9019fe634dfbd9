/* SPDX-License-Identifier: Apache-2.0 */
/*
 *	integer = [ sign ] digits | "0x" hex | "0o" octal | "0b" binary
 *	float   = [ sign ] digits [ "." digits ] [ "e" [ sign ] digits ]
 *	        | [ sign ] ( "inf" | "nan" )
 *	date    = YYYY "-" MM "-" DD
 *	time    = HH ":" MM ":" SS [ "." digits ]
 *	moment  = date | time | date ( "T" | " " ) time [ "Z" | sign HH ":" MM ]
 *
 * Single underscores may stand between digits; a number does not begin with
 * 0. A word is what stands up to a blank, a comma, a bracket or a comment.
 */
#include "toml_room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Longer than any number that says more than a shorter one. */
#define WORD_MAX 1024u

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- numbers ---- */

/* Digits of a base with single underscores between; value or overflow. */
static bool take_digits(struct cursor *c, unsigned base, uint64_t *out,
			bool *fits)
{
	static const char all[] = "0123456789abcdef";
	bool digit = false;

	for (; c->p < c->end; c->p++) {
		char ch = *c->p;
		const char *found;

		if (ch == '_' && digit) {
			digit = false;
			continue;
		}
		if (base == 16 && ch >= 'A' && ch <= 'F')
			ch = (char)(ch - 'A' + 'a');
		found = ch ? memchr(all, ch, base) : NULL;
		if (!found)
			break;
		digit = true;
		if (__builtin_mul_overflow(*out, base, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(found - all), out))
			*fits = false;
	}
	return digit;
}

static int bad_word(struct toml_reader *r, const struct cursor *word)
{
	if (word->p == word->end)
		return toml_refuse(r, "no value where one belongs");
	return toml_refuse(
		r,
		"'%.*s' is no value; a value is a string in "
		"quotes, a number, true, false, a date, a "
		"list or a table",
		(int)(word->end - word->p > 40 ? 40 : word->end - word->p),
		word->p);
}

/* The sign and the digits before a point; whole is false for more. */
static int read_integer(struct toml_reader *r, const struct cursor *word,
			struct toml *v)
{
	struct cursor c = *word;
	bool minus = cursor_skip_char(&c, '-');
	bool sign = minus || cursor_skip_char(&c, '+');
	const char *from = c.p;
	uint64_t limit = (uint64_t)INT64_MAX + minus;
	uint64_t n = 0;
	bool fits = true;
	unsigned base = 10;

	if (!sign && cursor_skip(&c, "0x"))
		base = 16;
	else if (!sign && cursor_skip(&c, "0o"))
		base = 8;
	else if (!sign && cursor_skip(&c, "0b"))
		base = 2;
	if (!take_digits(&c, base, &n, &fits) || !cursor_done(&c))
		return bad_word(r, word);
	if (base == 10 && *from == '0' && c.end - from > 1)
		return toml_refuse(r, "a number does not begin with 0");
	if (!fits || n > limit)
		return toml_refuse(r, "a number beyond 64 bits");
	v->type = TOML_INTEGER;
	v->is.integer = minus ? (int64_t)(0 - n) : (int64_t)n;
	return 0;
}

/* Is it spelled as a float that is finite? */
static bool is_float(const struct cursor *word)
{
	struct cursor c = *word;
	const char *from;
	uint64_t n = 0;
	bool fits = true; /* a float of any size fits */

	if (!cursor_skip_char(&c, '-'))
		(void)cursor_skip_char(&c, '+');
	from = c.p;
	if (!take_digits(&c, 10, &n, &fits) || (*from == '0' && c.p - from > 1))
		return false;
	if (cursor_done(&c))
		return false; /* an integer */
	if (cursor_skip_char(&c, '.') && !take_digits(&c, 10, &n, &fits))
		return false;
	if (cursor_skip_char(&c, 'e') || cursor_skip_char(&c, 'E')) {
		if (!cursor_skip_char(&c, '-'))
			(void)cursor_skip_char(&c, '+');
		if (!take_digits(&c, 10, &n, &fits))
			return false;
	}
	return cursor_done(&c);
}

static int read_float(struct toml_reader *r, const struct cursor *word,
		      struct toml *v)
{
	char s[WORD_MAX + 1];
	size_t n = 0;

	for (const char *p = word->p; p < word->end; p++) {
		if (n == WORD_MAX)
			return toml_refuse(r,
					   "a number of more than %u "
					   "bytes",
					   WORD_MAX);
		if (*p != '_')
			s[n++] = *p;
	}
	s[n] = '\0';
	v->type = TOML_FLOAT;
	v->is.real = strtod(s, NULL);
	return 0;
}

/* ---- dates and times ---- */

/* Just so many digits, from low to high. */
static bool take_field(struct cursor *c, unsigned digits, unsigned low,
		       unsigned high, unsigned *out)
{
	unsigned n = 0;

	if (cursor_left(c) < digits)
		return false;
	for (unsigned i = 0; i < digits; i++) {
		if (!is_digit(c->p[i]))
			return false;
		n = n * 10 + (unsigned)(c->p[i] - '0');
	}
	if (n < low || n > high)
		return false;
	c->p += digits;
	*out = n;
	return true;
}

static unsigned days_of(unsigned year, unsigned month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30,
					      31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static bool take_date(struct cursor *c, struct toml_time *t)
{
	t->has_date = true;
	return take_field(c, 4, 1, 9999, &t->year) &&
	       cursor_skip_char(c, '-') && take_field(c, 2, 1, 12, &t->month) &&
	       cursor_skip_char(c, '-') &&
	       take_field(c, 2, 1, days_of(t->year, t->month), &t->day);
}

static bool take_time(struct cursor *c, struct toml_time *t)
{
	unsigned unit = 100000000;
	bool digit = false;

	t->has_time = true;
	if (!take_field(c, 2, 0, 23, &t->hour) || !cursor_skip_char(c, ':') ||
	    !take_field(c, 2, 0, 59, &t->minute) || !cursor_skip_char(c, ':') ||
	    !take_field(c, 2, 0, 59, &t->second))
		return false;
	if (!cursor_skip_char(c, '.'))
		return true;
	for (; c->p < c->end && is_digit(*c->p); c->p++, unit /= 10) {
		t->nanosecond += (unsigned)(*c->p - '0') * unit;
		digit = true;
	}
	return digit;
}

static bool take_offset(struct cursor *c, struct toml_time *t)
{
	bool minus = cursor_left(c) && *c->p == '-';
	unsigned hours = 0;
	unsigned minutes = 0;

	t->has_offset = true;
	if (cursor_skip_char(c, 'Z') || cursor_skip_char(c, 'z'))
		return true;
	if ((!cursor_skip_char(c, '-') && !cursor_skip_char(c, '+')) ||
	    !take_field(c, 2, 0, 23, &hours) || !cursor_skip_char(c, ':') ||
	    !take_field(c, 2, 0, 59, &minutes))
		return false;
	t->offset_minutes = (int)(hours * 60 + minutes);
	if (minus)
		t->offset_minutes = -t->offset_minutes;
	return true;
}

static int read_moment(struct toml_reader *r, const struct cursor *word,
		       struct toml *v)
{
	struct toml_time t = { .has_date = false };
	struct cursor c = *word;
	bool ok = true;

	if (word->p[2] != ':') {
		ok = take_date(&c, &t);
		if (ok && !cursor_done(&c)) {
			c.p++; /* T, t or a blank: is_moment() */
			ok = take_time(&c, &t);
			if (ok && !cursor_done(&c))
				ok = take_offset(&c, &t);
		}
	} else {
		ok = take_time(&c, &t);
	}
	if (!ok || !cursor_done(&c))
		return toml_refuse(r, "no such date or time");
	v->type = TOML_TIME;
	v->is.time = t;
	return 0;
}

static bool is_moment(const struct cursor *word)
{
	size_t n = cursor_left(word);

	if (n >= 3 && is_digit(word->p[0]) && is_digit(word->p[1]) &&
	    word->p[2] == ':')
		return true;
	return n >= 5 && is_digit(word->p[0]) && is_digit(word->p[1]) &&
	       is_digit(word->p[2]) && is_digit(word->p[3]) &&
	       word->p[4] == '-' && (n <= 10 || strchr("Tt ", word->p[10]));
}

/* ---- words ---- */

static struct cursor take_word(struct toml_reader *r)
{
	struct cursor word = { r->at.p, r->at.p };

	while (word.end < r->at.end && !strchr(" \t\r\n#,[]{}=", *word.end))
		word.end++;
	/* a blank may stand between a date and a time */
	if (cursor_left(&word) == 10 && is_moment(&word) &&
	    r->at.end - word.end >= 2 && word.end[0] == ' ' &&
	    is_digit(word.end[1])) {
		word.end++;
		while (word.end < r->at.end &&
		       !strchr(" \t\r\n#,[]{}=", *word.end))
			word.end++;
	}
	r->at.p = word.end;
	return word;
}

/* inf and nan, with or without a sign. */
static bool take_special(const struct cursor *word, double *out)
{
	struct cursor c = *word;
	bool minus = cursor_skip_char(&c, '-');

	if (!minus)
		(void)cursor_skip_char(&c, '+');
	if (cursor_equals(&c, "inf"))
		*out = minus ? -HUGE_VAL : HUGE_VAL;
	else if (cursor_equals(&c, "nan"))
		*out = (double)NAN;
	else
		return false;
	return true;
}

int toml_scalar_read(struct toml_reader *r, struct toml *v)
{
	struct cursor word = take_word(r);

	if (cursor_equals(&word, "true") || cursor_equals(&word, "false")) {
		v->type = TOML_BOOLEAN;
		v->is.truth = *word.p == 't';
		return 0;
	}
	if (take_special(&word, &v->is.real)) {
		v->type = TOML_FLOAT;
		return 0;
	}
	if (is_moment(&word))
		return read_moment(r, &word, v);
	if (is_float(&word))
		return read_float(r, &word, v);
	return read_integer(r, &word, v);
}
