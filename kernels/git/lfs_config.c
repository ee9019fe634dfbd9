/* SPDX-License-Identifier: Apache-2.0 */
#include "lfs.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/*
 * `.lfsconfig` has the grammar of git's own configuration:
 *
 *	[section]  [section "name"]  key = value  # or ; begins a comment
 *
 * Of a value: quotes, and after a backslash one of "\ntb or the line's end.
 * Only `lfs.url` matters; it says nothing that could be run.
 */

struct config {
	struct cursor c;
	unsigned line;
	bool ours; /* in [lfs] */
	struct text *url;
	bool found;
};

static int bad(const struct config *f, const char *what, struct err *err)
{
	return err_set(err, EIO, ".lfsconfig:%u: %s", f->line, what);
}

static void skip_blanks(struct config *f)
{
	while (cursor_skip_char(&f->c, ' ') || cursor_skip_char(&f->c, '\t') ||
	       cursor_skip_char(&f->c, '\r'))
		;
}

static void skip_line(struct config *f)
{
	(void)cursor_until(&f->c, '\n');
}

static int read_section(struct config *f, struct err *err)
{
	struct cursor head = cursor_until(&f->c, '\n');
	const char *close = memrchr(head.p, ']', cursor_left(&head));

	if (!close)
		return bad(f, "a section that does not end", err);
	f->c.p = close + 1;
	f->ours = close - head.p == 3 && strncasecmp(head.p, "lfs", 3) == 0;
	return 0;
}

/* One byte behind a backslash; 0: the line goes on. */
static int unescape(struct config *f, char *out, struct err *err)
{
	static const char from[] = "\"\\ntb";
	static const char to[] = "\"\\\n\t\b";
	const char *at;

	*out = '\0';
	(void)cursor_skip_char(&f->c, '\r');
	if (cursor_skip_char(&f->c, '\n')) {
		f->line++;
		return 0;
	}
	at = cursor_done(&f->c) || !*f->c.p ? NULL : strchr(from, *f->c.p);
	if (!at)
		return bad(f, "an escape that git does not know", err);
	*out = to[at - from];
	f->c.p++;
	return 0;
}

static bool is_end(const struct config *f, bool quoted)
{
	return cursor_done(&f->c) || *f->c.p == '\n' ||
	       (!quoted && (*f->c.p == '#' || *f->c.p == ';'));
}

/* To the end of the line, or where a comment begins; appended to `out`. */
static int read_value(struct config *f, struct text *out, struct err *err)
{
	bool quoted = false;
	size_t solid = out->len; /* blanks at the end are none of it */

	while (!is_end(f, quoted)) {
		char c = *f->c.p++;
		bool escaped = c == '\\';
		int r = escaped ? unescape(f, &c, err) : 0;

		if (r < 0)
			return r;
		if (c == '"' && !escaped) {
			quoted = !quoted;
			continue;
		}
		if (!c && !escaped)
			return bad(f, "a NUL", err);
		if (c)
			text_add_char(out, c);
		if (text_failed(out))
			return bad(f, "a value that is too long", err);
		if (c && (quoted || !strchr(" \t\r", c)))
			solid = out->len;
	}
	if (quoted)
		return bad(f, "a quote that does not end", err);
	out->len = solid;
	if (out->s)
		out->s[solid] = '\0';
	return 0;
}

static int read_key(struct config *f, struct err *err)
{
	struct text value = TEXT_INIT(LFS_CONFIG_BYTES);
	const char *key = f->c.p;
	bool ours;
	int r;

	while (!cursor_done(&f->c) && !strchr("= \t\r\n#;", *f->c.p))
		f->c.p++;
	ours = f->ours && f->c.p - key == 3 && strncasecmp(key, "url", 3) == 0;
	if (f->c.p == key)
		return bad(f, "neither a section nor a key", err);
	skip_blanks(f);
	if (!cursor_skip_char(&f->c, '=')) {
		if (is_end(f, false))
			return 0; /* a key alone */
		return bad(f, "a key without '='", err);
	}
	skip_blanks(f);
	r = read_value(f, &value, err);
	if (!r && ours && f->found)
		r = bad(f, "a second lfs.url", err);
	if (!r && ours) {
		text_add(f->url, text_str(&value));
		f->found = true;
		if (text_failed(f->url))
			r = bad(f, "an lfs.url that is too long", err);
	}
	text_done(&value);
	return r;
}

int lfs_config_url(const char *s, size_t n, struct text *url, struct err *err)
{
	struct config f = {
		.c = { .p = s, .end = s + n },
		.line = 1,
		.url = url,
	};
	int r = 0;

	(void)cursor_skip(&f.c, "\xef\xbb\xbf");
	while (!r && !cursor_done(&f.c)) {
		skip_blanks(&f);
		if (cursor_done(&f.c))
			break;
		if (cursor_skip_char(&f.c, '\n'))
			f.line++;
		else if (*f.c.p == '#' || *f.c.p == ';')
			skip_line(&f);
		else if (cursor_skip_char(&f.c, '['))
			r = read_section(&f, err);
		else
			r = read_key(&f, err);
	}
	return r < 0 ? r : f.found;
}
