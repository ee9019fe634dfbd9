/* SPDX-License-Identifier: Apache-2.0 */
#include "head.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void head_reset(struct head *h)
{
	memset(h, 0, sizeof(*h));
	h->limited_s = -1;
	h->retry_after_s = -1;
}

int64_t head_wait_s(const struct head *h)
{
	if (h->limited_s >= 0)
		return h->limited_s + 1;
	return h->retry_after_s;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
	while (c->p < c->end && is_blank(c->end[-1]))
		c->end--;
}

static bool word_is(const struct cursor *c, const char *word)
{
	return cursor_left(c) == strlen(word) &&
	       strncasecmp(c->p, word, cursor_left(c)) == 0;
}

static bool starts_with(const struct cursor *c, const char *word)
{
	return cursor_left(c) >= strlen(word) &&
	       strncasecmp(c->p, word, strlen(word)) == 0;
}

/* Cut where it does not fit; what cannot be printed becomes '?'. */
static void keep_printable(char *dst, size_t room, const struct cursor *value)
{
	size_t n = cursor_left(value);

	if (n >= room)
		n = room - 1;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)value->p[i];

		dst[i] = c < 0x20 || c > 0x7e ? '?' : value->p[i];
	}
	dst[n] = '\0';
}

/* Decimal seconds; larger ones count as HEAD_WAIT_MAX_S. */
static bool read_seconds(struct cursor c, int64_t *out)
{
	int64_t n = 0;

	trim(&c);
	if (cursor_done(&c))
		return false;
	for (; c.p < c.end; c.p++) {
		if (*c.p < '0' || *c.p > '9')
			return false;
		n = n * 10 + (*c.p - '0');
		if (n > HEAD_WAIT_MAX_S)
			n = HEAD_WAIT_MAX_S;
	}
	*out = n;
	return true;
}

static bool read_month(struct cursor *c, int *out)
{
	static const char names[12][4] = { "Jan", "Feb", "Mar", "Apr",
					   "May", "Jun", "Jul", "Aug",
					   "Sep", "Oct", "Nov", "Dec" };

	for (int i = 0; i < 12; i++) {
		if (cursor_skip(c, names[i])) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool read_two(struct cursor *c, unsigned digits, uint32_t max, int *out)
{
	uint32_t n;

	if (!cursor_number(c, digits, &n) || n > max)
		return false;
	*out = (int)n;
	return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", the one form that senders may use. */
static bool read_date(struct cursor c, int64_t *out)
{
	struct tm tm;
	struct cursor day;

	memset(&tm, 0, sizeof(tm));
	trim(&c);
	day = cursor_until(&c, ',');
	if (cursor_left(&day) != 3 || !cursor_skip(&c, ", "))
		return false;
	if (!read_two(&c, 2, 31, &tm.tm_mday) || !cursor_skip_char(&c, ' ') ||
	    !read_month(&c, &tm.tm_mon) || !cursor_skip_char(&c, ' ') ||
	    !read_two(&c, 4, 9999, &tm.tm_year) || !cursor_skip_char(&c, ' ') ||
	    !read_two(&c, 2, 23, &tm.tm_hour) || !cursor_skip_char(&c, ':') ||
	    !read_two(&c, 2, 59, &tm.tm_min) || !cursor_skip_char(&c, ':') ||
	    !read_two(&c, 2, 60, &tm.tm_sec) || !cursor_equals(&c, " GMT"))
		return false;
	tm.tm_year -= 1900;
	*out = timegm(&tm);
	return true;
}

static void on_retry_after(struct head *h, struct cursor value, int64_t wall_s)
{
	int64_t when;

	if (read_seconds(value, &h->retry_after_s))
		return;
	if (!read_date(value, &when))
		return;
	when -= wall_s;
	if (when < 0)
		when = 0;
	h->retry_after_s = when > HEAD_WAIT_MAX_S ? HEAD_WAIT_MAX_S : when;
}

/* One member: "bucket";r=0;t=120 */
static void on_bucket(struct head *h, struct cursor member)
{
	int64_t remaining = -1;
	int64_t reset = -1;

	while (!cursor_done(&member)) {
		struct cursor part = cursor_until(&member, ';');

		(void)cursor_skip_char(&member, ';');
		trim(&part);
		if (cursor_skip(&part, "r="))
			(void)read_seconds(part, &remaining);
		else if (cursor_skip(&part, "t="))
			(void)read_seconds(part, &reset);
	}
	if (remaining == 0 && reset > h->limited_s)
		h->limited_s = reset;
}

static void on_rate_limit(struct head *h, struct cursor value)
{
	while (!cursor_done(&value)) {
		on_bucket(h, cursor_until(&value, ','));
		(void)cursor_skip_char(&value, ',');
	}
}

/* Is "next" one of the words of rel=…? */
static bool rel_is_next(struct cursor rel)
{
	trim(&rel);
	if (cursor_left(&rel) >= 2 && *rel.p == '"' && rel.end[-1] == '"') {
		rel.p++;
		rel.end--;
	}
	while (!cursor_done(&rel)) {
		struct cursor word = cursor_until(&rel, ' ');

		(void)cursor_skip_char(&rel, ' ');
		if (word_is(&word, "next"))
			return true;
	}
	return false;
}

/* Up to the next ';' or ',' outside quotes. */
static struct cursor link_param(struct cursor *c)
{
	struct cursor part = *c;
	bool quoted = false;

	while (c->p < c->end && (quoted || (*c->p != ';' && *c->p != ','))) {
		if (*c->p == '"')
			quoted = !quoted;
		c->p++;
	}
	part.end = c->p;
	trim(&part);
	return part;
}

/* <url>; rel="next", <url>; rel="last" */
static int on_link(struct head *h, struct cursor c)
{
	for (;;) {
		struct cursor url;
		bool next = false;

		trim(&c);
		if (!cursor_skip_char(&c, '<'))
			return 0;
		url = cursor_until(&c, '>');
		if (!cursor_skip_char(&c, '>'))
			return 0;
		trim(&c);
		while (cursor_skip_char(&c, ';')) {
			struct cursor part = link_param(&c);

			if (!starts_with(&part, "rel="))
				continue;
			part.p += strlen("rel=");
			next = next || rel_is_next(part);
		}
		if (next && cursor_left(&url) >= sizeof(h->next))
			return -E2BIG;
		if (next)
			keep_printable(h->next, sizeof(h->next), &url);
		if (!cursor_skip_char(&c, ','))
			return 0;
	}
}

/* Any number of digits, at least one; false beyond what a file can have. */
static bool read_place(struct cursor *c, uint64_t *out)
{
	uint64_t n = 0;

	if (cursor_done(c) || *c->p < '0' || *c->p > '9')
		return false;
	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
		if (n > UINT64_MAX / 100)
			return false;
		n = n * 10 + (uint64_t)(*c->p - '0');
	}
	*out = n;
	return true;
}

/* "bytes 5-9/10": of how many is not asked. */
static void on_content_range(struct head *h, struct cursor c)
{
	uint64_t start;
	uint64_t last;

	trim(&c);
	if (!starts_with(&c, "bytes "))
		return;
	c.p += strlen("bytes ");
	if (!read_place(&c, &start))
		return;
	h->ranged = cursor_skip_char(&c, '-');
	h->range_start = start;
	h->range_end = h->ranged && read_place(&c, &last) ? last + 1 : 0;
}

int head_line(struct head *h, const char *p, size_t n, int64_t wall_s)
{
	struct cursor value = { .p = p, .end = p + n };
	struct cursor name;

	if (n > HEAD_BYTES_MAX - h->bytes)
		return -E2BIG;
	h->bytes += n;
	name = cursor_until(&value, ':');
	if (!cursor_skip_char(&value, ':'))
		return 0;
	trim(&value);
	if (word_is(&name, "link"))
		return on_link(h, value);
	if (word_is(&name, "content-type"))
		h->html = starts_with(&value, "text/html") ||
			  starts_with(&value, "application/xhtml");
	else if (word_is(&name, "content-range"))
		on_content_range(h, value);
	else if (word_is(&name, "ratelimit"))
		on_rate_limit(h, value);
	else if (word_is(&name, "retry-after"))
		on_retry_after(h, value, wall_s);
	else if (word_is(&name, "x-error-code"))
		keep_printable(h->error_code, sizeof(h->error_code), &value);
	else if (word_is(&name, "x-error-message"))
		keep_printable(h->error_message, sizeof(h->error_message),
			       &value);
	return 0;
}
