/* SPDX-License-Identifier: Apache-2.0 */
#include "gitwire.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/ref.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 4 /* digits of a line's length */
#define LINE_MAX_BYTES 65520u
/* Before the pack stand what it was cut off at, and "not in common". */
#define TEXTS_MAX 4096u

/* ---- lines ---- */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The length in these four digits; -1 when it is none that a line can have.
 * 0 ends a part. */
static int line_length(const char *p)
{
	int n = 0;

	for (int i = 0; i < HEAD; i++) {
		int digit = hex_of(p[i]);

		if (digit < 0)
			return -1;
		n = n * 16 + digit;
	}
	if (n == 0)
		return 0;
	return n < HEAD || n > (int)LINE_MAX_BYTES ? -1 : n;
}

/* 1 with a line, its LF left out; 0 with the end of a part; -EIO. */
static int next_line(struct cursor *c, struct cursor *line, struct err *err)
{
	int n = cursor_left(c) < HEAD ? -1 : line_length(c->p);

	if (n < 0 || (size_t)n > cursor_left(c))
		return err_set(err, EIO, "the answer is none of a git server");
	if (n == 0) {
		c->p += HEAD;
		return 0;
	}
	line->p = c->p + HEAD;
	line->end = c->p + n;
	if (line->end > line->p && line->end[-1] == '\n')
		line->end--;
	c->p += n;
	return 1;
}

static int server_says(const struct cursor *line, int code, struct err *err)
{
	size_t n = cursor_left(line);

	while (n && line->p[n - 1] == '\n')
		n--;
	return err_set(err, code, "the git server says: %.*s",
		       n > 256 ? 256 : (int)n, line->p);
}

/* ---- refs ---- */

struct found {
	struct source_ref *refs; /* owned */
	size_t count;
	size_t room;
	const char *kind;
};

static int add_ref(struct found *f, const struct source_ref *ref,
		   struct err *err)
{
	if (f->count == SOURCE_REFS_MAX)
		return err_set(err, EIO, "more than %u %s", SOURCE_REFS_MAX,
			       f->kind);
	if (f->count == f->room) {
		size_t room = f->room ? 2 * f->room : 64;
		struct source_ref *more =
			reallocarray(f->refs, room, sizeof(*more));

		if (!more)
			return err_errno(err, ENOMEM, "%s", f->kind);
		f->refs = more;
		f->room = room;
	}
	f->refs[f->count++] = *ref;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct source_ref *x = a;
	const struct source_ref *y = b;

	return strcmp(x->name, y->name);
}

static int sort_refs(struct found *f, struct err *err)
{
	if (f->count)
		qsort(f->refs, f->count, sizeof(*f->refs), by_name);
	for (size_t i = 1; i < f->count; i++)
		if (strcmp(f->refs[i - 1].name, f->refs[i].name) == 0)
			return err_set(err, EIO, "two %s have the name '%s'",
				       f->kind, f->refs[i].name);
	return 0;
}

struct refs_reader {
	struct found branches;
	struct found tags;
};

/* "<40 hex> <name>", the name with "^{}" for what an annotated tag, which
 * stands right before it, leads to. */
static int take_ref(struct refs_reader *r, const struct cursor *line,
		    struct err *err)
{
	struct source_ref ref = { .name = "" };
	struct cursor c = *line;
	struct cursor id = cursor_until(&c, ' ');
	struct cursor name;
	struct found *f = &r->branches;
	bool peeled;
	size_t n;

	if (cursor_left(&id) == REF_COMMIT_LEN)
		memcpy(ref.commit, id.p, REF_COMMIT_LEN);
	if (!text_is_hex(ref.commit, REF_COMMIT_LEN) ||
	    !cursor_skip_char(&c, ' '))
		return err_set(err, EIO,
			       "a name without a commit of %d hex digits",
			       REF_COMMIT_LEN);
	if (cursor_skip(&c, "refs/tags/"))
		f = &r->tags;
	else if (!cursor_skip(&c, "refs/heads/"))
		return 0;
	name = c;
	n = cursor_left(&name);
	peeled = n > 3 && memcmp(name.end - 3, "^{}", 3) == 0;
	n -= peeled ? 3 : 0;
	if (n > REF_REV_MAX || memchr(name.p, '\0', n))
		return 0;
	memcpy(ref.name, name.p, n);
	if (!ref_is_rev(ref.name)) {
		log_debug("source", "one of the %s is left out: '%s'", f->kind,
			  ref.name);
		return 0;
	}
	if (!peeled)
		return add_ref(f, &ref, err);
	if (!f->count || strcmp(f->refs[f->count - 1].name, ref.name) != 0)
		return err_set(err, EIO, "'%s^{}' stands behind no tag",
			       ref.name);
	f->refs[f->count - 1] = ref;
	return 0;
}

static int read_refs(struct refs_reader *r, struct cursor *c, struct err *err)
{
	struct cursor line = cursor_of("");
	int more = next_line(c, &line, err);

	if (more < 0)
		return more;
	if (more == 0 || !cursor_equals(&line, "# service=git-upload-pack"))
		return err_set(err, EIO, "the answer is none of a git server");
	more = next_line(c, &line, err);
	if (more > 0)
		return err_set(err, EIO, "the answer is none of a git server");
	while (more >= 0) {
		struct cursor name;

		more = next_line(c, &line, err);
		if (more <= 0)
			break;
		if (cursor_skip(&line, "ERR "))
			return server_says(&line, ENOENT, err);
		if (cursor_skip(&line, "shallow "))
			continue;
		/* behind the first: what the server can do */
		name = cursor_until(&line, '\0');
		more = take_ref(r, &name, err);
	}
	return more;
}

int gitwire_refs(const char *s, size_t n, struct source_refs *out,
		 struct err *err)
{
	struct refs_reader reader = { .branches = { .kind = "branches" },
				      .tags = { .kind = "tags" } };
	struct cursor c = { .p = s, .end = s + n };
	int r = read_refs(&reader, &c, err);

	if (!r && !cursor_done(&c))
		r = err_set(err, EIO, "bytes behind the end of the names");
	if (!r)
		r = sort_refs(&reader.branches, err);
	if (!r)
		r = sort_refs(&reader.tags, err);
	if (r < 0) {
		free(reader.branches.refs);
		free(reader.tags.refs);
		return r;
	}
	memset(out, 0, sizeof(*out));
	out->branches = reader.branches.refs;
	out->branch_count = reader.branches.count;
	out->tags = reader.tags.refs;
	out->tag_count = reader.tags.count;
	return 0;
}

/* ---- asking for a pack ---- */

static void add_line(struct text *out, const char *fmt, const char *a,
		     const char *b)
{
	AUTO(auto_text) struct text line = TEXT_INIT(512);

	text_printf(&line, "%s%s%s\n", fmt, a, b);
	text_printf(out, "%04zx%s", line.len + HEAD, text_str(&line));
}

void gitwire_want(struct text *out, const char *const *commits, size_t n,
		  bool alone)
{
	for (size_t i = 0; i < n; i++)
		add_line(out, "want ", commits[i],
			 i ? "" : " side-band-64k ofs-delta shallow");
	if (alone)
		add_line(out, "deepen 1", "", "");
	text_add(out, "0000");
	add_line(out, "done", "", "");
}

/* ---- the answer ---- */

void gitwire_answer_init(struct gitwire_answer *a,
			 int (*pack)(void *arg, const void *p, size_t n,
				     struct err *err),
			 void *arg)
{
	a->pack = pack;
	a->arg = arg;
	a->ended = false;
	a->in_pack = false;
	a->texts = 0;
	a->have = 0;
	a->need = 0;
}

static int take_text(struct gitwire_answer *a, struct cursor *line,
		     struct err *err)
{
	if (cursor_skip(line, "ERR "))
		return server_says(line, ENOENT, err);
	if (a->in_pack || ++a->texts > TEXTS_MAX)
		return err_set(err, EIO, "the answer is no pack");
	if (cursor_skip(line, "NAK") || cursor_skip(line, "ACK ") ||
	    cursor_skip(line, "shallow ") || cursor_skip(line, "unshallow "))
		return 0;
	return err_set(err, EIO, "the answer is no pack");
}

/* A line is whole: a->line, a->need bytes. */
static int take_line(struct gitwire_answer *a, struct err *err)
{
	struct cursor line = { .p = a->line + HEAD, .end = a->line + a->need };

	if (cursor_done(&line))
		return 0;
	switch (*line.p) {
	case 1:
		a->in_pack = true;
		return a->pack(a->arg, line.p + 1, cursor_left(&line) - 1, err);
	case 2: /* how far the server is */
		return 0;
	case 3:
		line.p++;
		return server_says(&line, EIO, err);
	default:
		return take_text(a, &line, err);
	}
}

/* What has come of the line is its length, or all of it. */
static int take_part(struct gitwire_answer *a, struct err *err)
{
	int n;
	int r;

	if (a->need) {
		r = take_line(a, err);
		a->have = a->need = 0;
		return r;
	}
	n = line_length(a->line);
	if (n < 0)
		return err_set(err, EIO, "the answer is none of a git server");
	if (n == 0) {
		/* the first one may end what it was cut off at */
		a->ended = a->in_pack;
		a->have = 0;
		return 0;
	}
	a->need = (size_t)n;
	if (n == HEAD)
		a->have = a->need = 0;
	return 0;
}

int gitwire_answer_add(struct gitwire_answer *a, const void *p, size_t n,
		       struct err *err)
{
	const char *s = p;

	while (n) {
		size_t want = (a->need ? a->need : HEAD) - a->have;
		size_t take = n < want ? n : want;
		int r = 0;

		if (a->ended)
			return err_set(err, EIO, "bytes behind the pack");
		memcpy(a->line + a->have, s, take);
		a->have += take;
		s += take;
		n -= take;
		if (take == want)
			r = take_part(a, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int gitwire_answer_end(const struct gitwire_answer *a, struct err *err)
{
	if (a->ended && !a->have)
		return 0;
	return err_set(err, EIO, "the answer ended before its pack did");
}
