/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/*
 * A growing string that is born with its maximum and remembers its own
 * failure, so that a row of appends is checked once, at the end; and a
 * cursor for parsers over bytes that somebody else owns.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *s; /* owned; NUL-terminated once anything was added, else NULL */
	size_t len;
	size_t room;
	size_t limit; /* len never passes it */
	int failed;   /* 0, or the -errno of the first failure */
};

#define TEXT_INIT(max) \
	{ \
		.s = NULL, .len = 0, .room = 0, .limit = (max) \
	}

void text_done(struct text *t);	 /* frees; t is empty and usable after */
void text_clear(struct text *t); /* empty again, memory kept, failure too */

void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const void *p, size_t n);
void text_add_char(struct text *t, char c);
void text_printf(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *t, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
void text_add_json(struct text *t, const char *s); /* quoted, escaped */
/* Percent-encode all but unreserved bytes (RFC 3986) and those in `keep`. */
void text_add_url(struct text *t, const char *s, const char *keep);

/* 0, or -ENOMEM / -E2BIG of the first append that failed. */
int text_failed(const struct text *t);
/* What was written, never NULL; "" when nothing was. Borrowed. */
const char *text_str(const struct text *t);
/* Hand the string out; the caller frees. NULL when an append had failed. */
char *text_take(struct text *t);

void auto_text(struct text *t); /* for AUTO() */

/* ---- cursor: parsers are rows of these; none reads past `end` ---- */

struct cursor {
	const char *p;
	const char *end;
};

struct cursor cursor_of(const char *s);
bool cursor_done(const struct cursor *c);
/* Step over a literal text if it stands here. */
bool cursor_skip(struct cursor *c, const char *word);
/* Step over one byte if it is `ch`. */
bool cursor_skip_char(struct cursor *c, char ch);
/* Decimal digits, at least one and no more than `max_digits` and UINT32_MAX. */
bool cursor_number(struct cursor *c, unsigned max_digits, uint32_t *out);
/* All bytes up to (not including) `stop` or the end; may be empty. */
struct cursor cursor_until(struct cursor *c, char stop);
size_t cursor_left(const struct cursor *c);
bool cursor_equals(const struct cursor *c, const char *s);

/* ---- whole-string helpers ---- */

/* Bytes of the valid UTF-8 sequence (RFC 3629) at s, 0 when there is none;
 * at least one byte is left. */
size_t text_utf8(const char *s, size_t left);
bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);
/* Exactly n lower-case hex digits and nothing else. */
bool text_is_hex(const char *s, size_t n);
/* Decimal, no sign, no blank, <= max. 0 or -EINVAL / -ERANGE. */
int text_to_u64(const char *s, uint64_t max, uint64_t *out);
/* A copy of at most n bytes; NULL when memory is short. Caller frees. */
char *text_dup(const char *s, size_t n);
/* What steers a terminal, in place, becomes '?': control bytes, and the
 * control characters U+0080 to U+009F in UTF-8. */
void text_printable(char *s);
/* dst of `room` bytes; 0, or -ENAMETOOLONG with dst set to "". */
int text_copy(char *dst, size_t room, const char *src);

#endif
