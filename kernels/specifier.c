/* SPDX-License-Identifier: Apache-2.0 */
#include "specifier.h"

#include "base/text.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/*
 *	version	= ["v"] [N "!"] N *("." N) [pre] [post] [dev] ["+" local]
 *	pre	= [sep] word [sep] [N]	; a alpha b beta c rc pre preview
 *	post	= "-" N / [sep] ("post" / "rev" / "r") [sep] [N]
 *	dev	= [sep] "dev" [sep] [N]
 *	local	= alnum *(sep alnum)
 *	sep	= "." / "-" / "_"
 *
 *	set	= spec *("," spec)	; blanks around each part
 *	spec	= "===" anything / ("==" / "!=") (version / release ".*")
 *		/ "~=" version		; of two numbers at least
 *		/ ("<=" / ">=" / "<" / ">") version
 *
 * All of a version are slices of its text; a number is one without its
 * leading zeros, so that it is compared by length, then by bytes.
 */

struct slice {
	const char *p;
	size_t n;
};

enum rank {
	PRE_DEV, /* X.devN, without anything else, comes first */
	PRE_A,
	PRE_B,
	PRE_RC,
	PRE_NONE,
};

struct version {
	struct slice epoch;
	struct slice release; /* "1.2.3" */
	enum rank pre;	      /* never PRE_DEV */
	struct slice pre_n;
	bool has_post, has_dev, has_local;
	struct slice post_n, dev_n;
	struct slice local;
};

enum op {
	OP_SAME, /* === */
	OP_EQ,
	OP_NE,
	OP_COMPATIBLE,
	OP_LE,
	OP_GE,
	OP_LT,
	OP_GT,
};

struct spec {
	enum op op;
	bool any_tail;	   /* ".*" */
	struct slice text; /* behind the operator */
	struct version v;  /* not of OP_SAME */
};

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

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- reading ---- */

static struct slice digits(struct cursor *c)
{
	struct slice s;

	while (!cursor_done(c) && *c->p == '0')
		c->p++;
	s.p = c->p;
	while (!cursor_done(c) && is_digit(*c->p))
		c->p++;
	s.n = (size_t)(c->p - s.p);
	return s;
}

static bool number(struct cursor *c, struct slice *out)
{
	if (cursor_done(c) || !is_digit(*c->p))
		return false;
	*out = digits(c);
	return true;
}

static bool word(struct cursor *c, const char *w)
{
	size_t n = strlen(w);

	if (cursor_left(c) < n || strncasecmp(c->p, w, n) != 0)
		return false;
	c->p += n;
	return true;
}

static void separator(struct cursor *c)
{
	if (!cursor_done(c) && is_separator(*c->p))
		c->p++;
}

static const struct {
	const char *word; /* the longer one first */
	enum rank rank;
} pre_words[] = {
	{ "alpha", PRE_A }, { "a", PRE_A },	   { "beta", PRE_B },
	{ "b", PRE_B },	    { "preview", PRE_RC }, { "pre", PRE_RC },
	{ "c", PRE_RC },    { "rc", PRE_RC },
};

static void read_pre(struct cursor *c, struct version *v)
{
	struct cursor at = *c;

	separator(&at);
	for (size_t i = 0; i < sizeof(pre_words) / sizeof(*pre_words); i++) {
		if (!word(&at, pre_words[i].word))
			continue;
		v->pre = pre_words[i].rank;
		separator(&at);
		(void)number(&at, &v->pre_n);
		*c = at;
		return;
	}
}

static void read_post(struct cursor *c, struct version *v)
{
	struct cursor at = *c;

	if (cursor_skip_char(&at, '-') && number(&at, &v->post_n)) {
		v->has_post = true;
		*c = at;
		return;
	}
	at = *c;
	separator(&at);
	if (!word(&at, "post") && !word(&at, "rev") && !word(&at, "r"))
		return;
	separator(&at);
	(void)number(&at, &v->post_n);
	v->has_post = true;
	*c = at;
}

static void read_dev(struct cursor *c, struct version *v)
{
	struct cursor at = *c;

	separator(&at);
	if (!word(&at, "dev"))
		return;
	separator(&at);
	(void)number(&at, &v->dev_n);
	v->has_dev = true;
	*c = at;
}

static bool read_local(struct cursor *c, struct version *v)
{
	if (!cursor_skip_char(c, '+'))
		return true;
	v->has_local = true;
	v->local.p = c->p;
	for (;;) {
		const char *piece = c->p;

		while (!cursor_done(c) && is_alnum(*c->p))
			c->p++;
		if (c->p == piece)
			return false;
		v->local.n = (size_t)(c->p - v->local.p);
		if (cursor_done(c) || !is_separator(*c->p))
			return true;
		c->p++;
	}
}

/* "v", epoch and release: what stands before the rest. */
static bool read_release(struct cursor *c, struct version *v)
{
	struct cursor epoch;
	struct slice n;

	memset(v, 0, sizeof(*v));
	v->pre = PRE_NONE;
	(void)word(c, "v");
	epoch = *c;
	if (number(&epoch, &n) && cursor_skip_char(&epoch, '!')) {
		v->epoch = n;
		*c = epoch;
	}
	v->release.p = c->p;
	if (!number(c, &n))
		return false;
	while (cursor_left(c) >= 2 && *c->p == '.' && is_digit(c->p[1])) {
		c->p++;
		(void)digits(c);
	}
	v->release.n = (size_t)(c->p - v->release.p);
	return true;
}

static bool read_version(struct cursor *c, struct version *v)
{
	if (!read_release(c, v))
		return false;
	read_pre(c, v);
	read_post(c, v);
	read_dev(c, v);
	return read_local(c, v) && cursor_done(c);
}

static struct cursor stripped(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	while (p < end && is_blank(end[-1]))
		end--;
	return (struct cursor){ .p = p, .end = end };
}

static bool parse_version(struct version *v, const char *s)
{
	size_t n = strnlen(s, SPECIFIER_TEXT_MAX + 1);
	struct cursor c = stripped(s, s + n);

	return n <= SPECIFIER_TEXT_MAX && read_version(&c, v);
}

bool specifier_is_version(const char *version)
{
	struct version v;

	return parse_version(&v, version);
}

/* ---- order ---- */

static int by_number(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

/* The next number of a release; 0 behind its end. */
static struct slice next_part(struct cursor *c)
{
	struct slice n = { NULL, 0 };

	if (!cursor_done(c)) {
		n = digits(c);
		(void)cursor_skip_char(c, '.');
	}
	return n;
}

static struct cursor over(struct slice s)
{
	return (struct cursor){ .p = s.p, .end = s.p + s.n };
}

/* With zeros behind the shorter; at most so many parts of it count. */
static int by_release(struct slice a, struct slice b, size_t parts)
{
	struct cursor x = over(a), y = over(b);

	while (parts-- && (!cursor_done(&x) || !cursor_done(&y))) {
		int c = by_number(next_part(&x), next_part(&y));

		if (c)
			return c;
	}
	return 0;
}

static size_t count_parts(struct slice release)
{
	size_t n = 1;

	for (size_t i = 0; i < release.n; i++)
		n += release.p[i] == '.';
	return n;
}

static enum rank rank_of(const struct version *v)
{
	return v->pre == PRE_NONE && !v->has_post && v->has_dev ? PRE_DEV
								: v->pre;
}

/* One piece of a local part up to the next separator. */
static struct slice next_piece(struct cursor *c)
{
	struct slice s = { c->p, 0 };

	while (!cursor_done(c) && !is_separator(*c->p))
		c->p++;
	s.n = (size_t)(c->p - s.p);
	separator(c);
	return s;
}

static bool is_number(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]))
			return false;
	return true;
}

static int by_text(struct slice a, struct slice b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return lower(a.p[i]) < lower(b.p[i]) ? -1 : 1;
	return (a.n > b.n) - (a.n < b.n);
}

/* Letters come before numbers, the shorter before the longer. */
static int by_piece(struct slice a, struct slice b)
{
	struct cursor x = over(a), y = over(b);
	bool nx = is_number(a), ny = is_number(b);

	if (nx != ny)
		return nx ? 1 : -1;
	return nx ? by_number(digits(&x), digits(&y)) : by_text(a, b);
}

static int by_local(const struct version *a, const struct version *b)
{
	struct cursor x, y;

	if (!a->has_local || !b->has_local)
		return (int)a->has_local - (int)b->has_local;
	x = over(a->local);
	y = over(b->local);
	while (!cursor_done(&x) && !cursor_done(&y)) {
		int c = by_piece(next_piece(&x), next_piece(&y));

		if (c)
			return c;
	}
	if (cursor_done(&x) && cursor_done(&y))
		return 0;
	return cursor_done(&x) ? -1 : 1;
}

/* All but the local part. */
static int by_public(const struct version *a, const struct version *b)
{
	enum rank x = rank_of(a), y = rank_of(b);
	int c = by_number(a->epoch, b->epoch);

	if (!c)
		c = by_release(a->release, b->release, SIZE_MAX);
	if (!c)
		c = (int)x - (int)y;
	if (!c)
		c = by_number(a->pre_n, b->pre_n);
	if (!c)
		c = (int)a->has_post - (int)b->has_post;
	if (!c)
		c = by_number(a->post_n, b->post_n);
	if (!c)
		c = (int)b->has_dev - (int)a->has_dev;
	return c ? c : by_number(a->dev_n, b->dev_n);
}

static int by_version(const struct version *a, const struct version *b)
{
	int c = by_public(a, b);

	return c ? c : by_local(a, b);
}

int specifier_compare(const char *a, const char *b)
{
	struct version x, y;

	if (!parse_version(&x, a) || !parse_version(&y, b))
		return 0;
	return by_version(&x, &y);
}

static bool is_prerelease(const struct version *v)
{
	return v->pre != PRE_NONE || v->has_dev;
}

/* ---- specifiers ---- */

static const struct {
	const char *text; /* the longer one first */
	enum op op;
} ops[] = {
	{ "===", OP_SAME },	 { "==", OP_EQ }, { "!=", OP_NE },
	{ "~=", OP_COMPATIBLE }, { "<=", OP_LE }, { ">=", OP_GE },
	{ "<", OP_LT },		 { ">", OP_GT },
};

static bool read_op(struct cursor *c, enum op *out)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		if (!cursor_skip(c, ops[i].text))
			continue;
		*out = ops[i].op;
		return true;
	}
	return false;
}

/* What === may stand before; narrower than elsewhere: printable, so that it
 * is a name, and without what a path and a printed name need. */
static const char *same_fault(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || memchr(";)/%", s.p[i], 4))
			return "has an === before a blank or one of ; ) / %";
	return NULL;
}

static const char *read_spec(struct cursor c, struct spec *s)
{
	static const char no_version[] =
		"is a range, but what follows an operator in it is no version";
	struct cursor tail;

	memset(s, 0, sizeof(*s));
	if (!read_op(&c, &s->op))
		return "is a range, but a part of it has no operator (== != <= "
		       ">= < > ~= ===)";
	c = stripped(c.p, c.end);
	s->text = (struct slice){ c.p, cursor_left(&c) };
	if (s->op == OP_SAME)
		return same_fault(s->text);
	tail = c;
	if ((s->op == OP_EQ || s->op == OP_NE) && read_release(&tail, &s->v) &&
	    cursor_equals(&tail, ".*")) {
		s->any_tail = true;
		return NULL;
	}
	if (!read_version(&c, &s->v))
		return no_version;
	if (s->op != OP_EQ && s->op != OP_NE && s->v.has_local)
		return "is a range with a local version (+...), which only == "
		       "and != can have";
	if (s->op == OP_COMPATIBLE && count_parts(s->v.release) < 2)
		return "is a range with ~= before a single number: give two";
	return NULL;
}

static const char set_too_long[] = "is a range of too many bytes";

/* The next part that is not empty; false at the end. */
static bool next_spec(struct cursor *set, struct cursor *part)
{
	while (!cursor_done(set)) {
		*part = cursor_until(set, ',');
		(void)cursor_skip_char(set, ',');
		*part = stripped(part->p, part->end);
		if (!cursor_done(part))
			return true;
	}
	return false;
}

const char *specifier_fault(const char *set)
{
	struct cursor c = cursor_of(set), part;
	const char *fault = NULL;
	bool any = false;
	struct spec s;

	if (cursor_left(&c) > SPECIFIER_TEXT_MAX)
		return set_too_long;
	while (!fault && next_spec(&c, &part)) {
		fault = read_spec(part, &s);
		any = true;
	}
	return any ? fault : "is a range without any part";
}

/* ---- does it fit? ---- */

static bool fits_below(const struct version *v, struct version limit)
{
	/* Not its pre-releases either, unless it is one. */
	if (!is_prerelease(&limit)) {
		limit.has_dev = true;
		limit.has_local = false;
	}
	return by_version(v, &limit) < 0;
}

static bool fits_above(const struct version *v, const struct version *limit)
{
	if (by_version(v, limit) <= 0 || by_public(v, limit) == 0)
		return false;
	/* Not its post-releases either, unless it is one. */
	return limit->has_dev || limit->has_post ||
	       by_number(v->epoch, limit->epoch) != 0 ||
	       by_release(v->release, limit->release, SIZE_MAX) != 0 ||
	       v->pre != limit->pre || by_number(v->pre_n, limit->pre_n) != 0;
}

/* Same epoch, and the first so many numbers are the same. */
static bool shares(const struct version *v, const struct version *w,
		   size_t parts)
{
	return by_number(v->epoch, w->epoch) == 0 &&
	       by_release(v->release, w->release, parts) == 0;
}

static bool fits_equal(const struct spec *s, const struct version *v)
{
	if (s->any_tail)
		return shares(v, &s->v, count_parts(s->v.release));
	return s->v.has_local ? by_version(v, &s->v) == 0
			      : by_public(v, &s->v) == 0;
}

static bool fits(const struct spec *s, const struct version *v,
		 struct slice text)
{
	switch (s->op) {
	case OP_SAME:
		return by_text(s->text, text) == 0;
	case OP_EQ:
		return fits_equal(s, v);
	case OP_NE:
		return !fits_equal(s, v);
	case OP_COMPATIBLE:
		return by_version(v, &s->v) >= 0 &&
		       shares(v, &s->v, count_parts(s->v.release) - 1);
	case OP_LE:
		return by_public(v, &s->v) <= 0;
	case OP_GE:
		return by_version(v, &s->v) >= 0;
	case OP_LT:
		return fits_below(v, s->v);
	case OP_GT:
		return fits_above(v, &s->v);
	}
	return false;
}

static bool fits_all(const char *set, const struct version *v, const char *text)
{
	const struct slice whole = { text, strlen(text) };
	struct cursor c = cursor_of(set), part;
	struct spec s;

	while (next_spec(&c, &part))
		if (read_spec(part, &s) || !fits(&s, v, whole))
			return false;
	return true;
}

/* Does the set itself name a pre-release? */
static bool wants_prereleases(const char *set)
{
	struct cursor c = cursor_of(set), part;
	struct spec s;

	while (next_spec(&c, &part)) {
		struct cursor text;

		if (read_spec(part, &s))
			return false;
		text = over(s.text);
		if (s.op == OP_SAME && !read_version(&text, &s.v))
			continue;
		if (s.op != OP_NE && !s.any_tail && is_prerelease(&s.v))
			return true;
	}
	return false;
}

/* Is a higher than b, or the same and first in byte order? */
static bool is_better(const struct version *a, const char *a_text,
		      const struct version *b, const char *b_text)
{
	int c = by_version(a, b);

	return c ? c > 0 : strcmp(a_text, b_text) < 0;
}

long specifier_best(const char *set, const char *const *versions, size_t n)
{
	struct version best[2], v; /* final, pre-release */
	long at[2] = { -1, -1 };
	bool as_final;

	if (specifier_fault(set))
		return -1;
	as_final = wants_prereleases(set);
	for (size_t i = 0; i < n; i++) {
		const char *text = versions[i];
		size_t k;

		if (!text || !parse_version(&v, text) ||
		    !fits_all(set, &v, text))
			continue;
		k = !as_final && is_prerelease(&v);
		if (at[k] >= 0 &&
		    !is_better(&v, text, &best[k], versions[at[k]]))
			continue;
		best[k] = v;
		at[k] = (long)i;
	}
	return at[0] >= 0 ? at[0] : at[1];
}
