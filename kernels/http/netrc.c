/* SPDX-License-Identifier: Apache-2.0 */
#include "netrc.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define WORD_MAX 512u

/* ---- the file ---- */

struct reader {
	struct cursor c;
	unsigned line;
	char word[WORD_MAX];
};

static int bad(const struct reader *r, const char *what, struct err *err)
{
	return err_set(err, EINVAL, "line %u: %s", r->line, what);
}

static void skip_blanks(struct reader *r)
{
	while (!cursor_done(&r->c)) {
		if (*r->c.p == '#') {
			(void)cursor_until(&r->c, '\n');
			continue;
		}
		if (!*r->c.p || !strchr(" \t\r\n", *r->c.p))
			return;
		r->line += *r->c.p == '\n';
		r->c.p++;
	}
}

static bool word_ends(const struct reader *r, bool quoted)
{
	if (cursor_done(&r->c) || *r->c.p == '\n')
		return true;
	return quoted ? *r->c.p == '"' : strchr(" \t\r", *r->c.p) && *r->c.p;
}

/* A word, or one in quotes where backslash takes the next byte as it is.
 * 1, 0 at the end, -EINVAL. A password may begin with '#'. */
static int next_word(struct reader *r, struct err *err)
{
	bool quoted;
	size_t n = 0;

	if (cursor_done(&r->c))
		return 0;
	quoted = cursor_skip_char(&r->c, '"');
	while (!word_ends(r, quoted)) {
		if (quoted && *r->c.p == '\\' && cursor_left(&r->c) > 1)
			r->c.p++;
		if (n == sizeof(r->word) - 1)
			return bad(r, "a word that is too long", err);
		if ((unsigned char)*r->c.p < ' ' || *r->c.p == 0x7f)
			return bad(r, "a control byte", err);
		r->word[n++] = *r->c.p++;
	}
	r->word[n] = '\0';
	if (quoted && !cursor_skip_char(&r->c, '"'))
		return bad(r, "a quote that does not end", err);
	return 1;
}

/* The value of a keyword: the next word, a '#' at its beginning included. */
static int value(struct reader *r, const char *of, struct err *err)
{
	int more;

	while (!cursor_done(&r->c) && *r->c.p && strchr(" \t\r\n", *r->c.p)) {
		r->line += *r->c.p == '\n';
		r->c.p++;
	}
	more = next_word(r, err);
	if (more == 0)
		return err_set(err, EINVAL, "line %u: '%s' without a value",
			       r->line, of);
	return more < 0 ? more : 0;
}

static void skip_macro(struct reader *r)
{
	bool empty = false;

	while (!cursor_done(&r->c) && !empty) {
		struct cursor line;

		if (cursor_skip_char(&r->c, '\n'))
			r->line++;
		line = cursor_until(&r->c, '\n');
		empty = cursor_left(&line) == 0;
	}
}

struct login {
	bool here; /* the entry is that of the host */
	bool had;  /* there was one */
	char name[WORD_MAX];
	char word[WORD_MAX];
};

static int take(struct reader *r, struct login *l, const char *host,
		struct err *err)
{
	int v;

	if (strcmp(r->word, "machine") == 0) {
		v = value(r, "machine", err);
		l->here = v == 0 && !l->had && strcasecmp(r->word, host) == 0;
		l->had |= l->here;
		return v;
	}
	if (strcmp(r->word, "default") == 0) {
		l->here = false;
		return 0;
	}
	if (strcmp(r->word, "macdef") == 0) {
		v = value(r, "macdef", err);
		skip_macro(r);
		return v;
	}
	if (strcmp(r->word, "account") == 0)
		return value(r, "account", err);
	if (strcmp(r->word, "login") == 0) {
		v = value(r, "login", err);
		if (l->here)
			memcpy(l->name, r->word, sizeof(l->name));
		return v;
	}
	if (strcmp(r->word, "password") == 0) {
		v = value(r, "password", err);
		if (l->here)
			memcpy(l->word, r->word, sizeof(l->word));
		return v;
	}
	return bad(r, "a word that is no keyword", err);
}

/* The first entry of the host counts, as for others who read the file. */
static int find(struct reader *r, struct login *l, const char *host,
		struct err *err)
{
	for (;;) {
		int v;

		skip_blanks(r);
		v = next_word(r, err);
		if (v <= 0)
			return v;
		v = take(r, l, host, err);
		if (v < 0)
			return v;
	}
}

int netrc_find(const char *s, size_t n, const char *host, struct text *out,
	       struct err *err)
{
	struct reader r = { .c = { .p = s, .end = s + n }, .line = 1 };
	struct login l = { .here = false };
	int v = find(&r, &l, host, err);

	/* A ':' in the name would end it for the server. */
	if (!v && l.had && l.name[0] && !strchr(l.name, ':')) {
		text_printf(out, "%s:%s", l.name, l.word);
		v = text_failed(out) ? 0 : 1;
	}
	explicit_bzero(&r.word, sizeof(r.word));
	explicit_bzero(&l, sizeof(l));
	return v;
}

/* ---- where it is ---- */

struct netrc {
	char *path; /* owned; NULL: no home */
};

int netrc_new(struct netrc **out, struct err *err)
{
	AUTO(auto_text) struct text path = TEXT_INIT(4096);
	AUTO(auto_free) char *cwd = NULL;
	const char *named = getenv("NETRC");
	const char *home = getenv("HOME");
	struct netrc *n = calloc(1, sizeof(*n));

	if (!n)
		return err_errno(err, ENOMEM, "netrc");
	if (named && *named == '/') {
		text_add(&path, named);
	} else if (named && *named) {
		cwd = getcwd(NULL, 0);
		text_printf(&path, "%s/%s", cwd ? cwd : "", named);
	} else if (home && *home == '/') {
		text_printf(&path, "%s/.netrc", home);
	}
	if (path.len)
		n->path = text_take(&path);
	*out = n;
	return 0;
}

void netrc_free(struct netrc *n)
{
	if (!n)
		return;
	free(n->path);
	free(n);
}

/* https://HOST[:PORT]/..., of which HOST. An address in brackets is kept so. */
static bool host_of(const char *url, char out[256])
{
	const char *p = strstr(url, "://");
	size_t n;

	if (!p)
		return false;
	p += 3;
	n = strcspn(p, "/?#");
	if (n >= 256 || memchr(p, '@', n))
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	if (out[0] != '[')
		out[strcspn(out, ":")] = '\0';
	else if (strchr(out, ']'))
		strchr(out, ']')[1] = '\0';
	return out[0] != '\0';
}

static void wipe(struct text *t)
{
	if (t->s)
		explicit_bzero(t->s, t->room);
	text_done(t);
}

int netrc_get(const struct netrc *n, const char *url, struct text *out)
{
	AUTO(wipe) struct text file = TEXT_INIT(NETRC_BYTES);
	struct err why = ERR_INIT;
	char host[256];
	int r;

	if (!n->path || !host_of(url, host))
		return 0;
	r = io_read_file(AT_FDCWD, n->path, &file);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		(void)err_errno(&why, -r, "not read");
	else
		r = netrc_find(text_str(&file), file.len, host, out, &why);
	if (r < 0)
		log_warning("netrc", "'%s': %s: no login is given to '%s'",
			    n->path, err_text(&why), host);
	return r;
}
