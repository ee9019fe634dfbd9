/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include "err.h"
#include "text.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

/* The largest whole number that a JSON number holds exactly. */
#define WHOLE_MAX 9007199254740992.0

static const cJSON *node(const struct json *j)
{
	return (const cJSON *)(const void *)j;
}

static const struct json *wrap(const cJSON *c)
{
	return (const struct json *)(const void *)c;
}

/* ---- what cJSON would let pass ---- */

struct scan {
	bool in_string;
	unsigned depth;
	size_t values; /* at most so many, and one */
};

/*
 * What stands behind a backslash. cJSON takes "\\uzzzz" for a NUL, which
 * would cut the string there.
 */
static int scan_escape(const unsigned char *p, size_t left, struct err *err)
{
	bool zero = true;

	if (left == 0 || *p != 'u')
		return 0;
	for (size_t i = 1; i <= 4; i++) {
		if (i == left || !isxdigit(p[i]))
			return err_set(err, EINVAL,
				       "no four hex digits behind \\u");
		zero = zero && p[i] == '0';
	}
	return zero ? err_set(err, EINVAL, "a NUL in a string") : 0;
}

/* One byte outside multi-byte sequences; the number of bytes used. */
static int scan_byte(struct scan *s, const unsigned char *p, size_t left,
		     struct err *err)
{
	if (*p == '\0')
		return err_set(err, EINVAL, "a NUL byte in the text");
	if (s->in_string) {
		if (*p == '\\') {
			int r = scan_escape(p + 1, left - 1, err);

			return r < 0 ? r : left > 1 ? 2 : 1;
		}
		if (*p == '"')
			s->in_string = false;
		return 1;
	}
	if (*p == '"')
		s->in_string = true;
	else if (*p == '{' || *p == '[')
		s->depth++;
	else if ((*p == '}' || *p == ']') && s->depth)
		s->depth--;
	if (s->depth > JSON_DEPTH)
		return err_set(err, EINVAL, "nested deeper than %d",
			       JSON_DEPTH);
	/* before each value but the first of all stands one of these */
	s->values += *p == ',' || *p == '{' || *p == '[';
	if (s->values >= JSON_VALUES)
		return err_set(err, EINVAL, "more than %u values", JSON_VALUES);
	return 1;
}

static int scan(const char *text, size_t n, struct err *err)
{
	const unsigned char *p = (const unsigned char *)text;
	struct scan s = { .in_string = false };

	for (size_t i = 0; i < n;) {
		size_t len = text_utf8(text + i, n - i);
		int r;

		if (len == 0)
			return err_set(err, EINVAL,
				       "no valid UTF-8 at byte %zu", i);
		if (len > 1) {
			i += len;
			continue;
		}
		r = scan_byte(&s, p + i, n - i, err);
		if (r < 0)
			return r;
		/* an escaped multi-byte character is looked at as such */
		i += r == 2 && p[i + 1] >= 0x80 ? 1 : (size_t)r;
	}
	return 0;
}

/* ---- parsing ---- */

int json_parse(struct json **out, const char *s, size_t n, struct err *err)
{
	const char *end = NULL;
	cJSON *root;
	int r = scan(s, n, err);

	if (r < 0)
		return err_wrap(err, r, "JSON");
	root = cJSON_ParseWithLengthOpts(s, n, &end, 0);
	if (!root)
		return err_set(err, EINVAL, "JSON: broken at byte %td",
			       end ? end - s : (ptrdiff_t)0);
	for (; end < s + n; end++)
		if (!strchr(" \t\r\n", *end)) {
			cJSON_Delete(root);
			return err_set(err, EINVAL,
				       "JSON: more text behind its end");
		}
	*out = (struct json *)(void *)root;
	return 0;
}

/* ---- parsing as others do ---- */

/*
 * The numbers of the text and those of the tree, in the same order. cJSON
 * keeps a double of each and not how it was spelled; the spelling is put
 * where the text of a string would be, which cJSON frees with the node.
 */
struct numbers {
	cJSON *chain[JSON_DEPTH + 2]; /* from the root to the place */
	size_t depth;
};

/* The node behind the last one in the order of the text, or NULL. */
static cJSON *number_step(struct numbers *w)
{
	cJSON *at = w->chain[w->depth - 1];

	if (at->child && w->depth < sizeof(w->chain) / sizeof(*w->chain)) {
		w->chain[w->depth++] = at->child;
		return at->child;
	}
	while (w->depth > 1 && !w->chain[w->depth - 1]->next)
		w->depth--;
	if (w->depth == 1)
		return NULL;
	at = w->chain[w->depth - 1]->next;
	w->chain[w->depth - 1] = at;
	return at;
}

static cJSON *number_next(struct numbers *w)
{
	cJSON *at = number_step(w);

	while (at && !cJSON_IsNumber(at))
		at = number_step(w);
	return at;
}

static size_t digits(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && isdigit((unsigned char)p[n]))
		n++;
	return n;
}

/* Length of the number at p as RFC 8259 spells it; 0: it does not. */
static size_t number_length(const char *p, const char *end)
{
	const char *start = p;
	size_t n;

	p += *p == '-';
	n = digits(p, end);
	if (n == 0 || (n > 1 && *p == '0'))
		return 0;
	p += n;
	if (p < end && *p == '.') {
		n = digits(p + 1, end);
		if (n == 0)
			return 0;
		p += 1 + n;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		n = digits(p, end);
		if (n == 0)
			return 0;
		p += n;
	}
	return (size_t)(p - start);
}

static int keep_number(struct numbers *w, const char *p, size_t len,
		       struct err *err)
{
	cJSON *at = number_next(w);

	if (!at || len == 0)
		return err_set(err, EINVAL, "JSON: no number");
	at->valuestring = cJSON_malloc(len + 1);
	if (!at->valuestring)
		return err_errno(err, ENOMEM, "JSON");
	memcpy(at->valuestring, p, len);
	at->valuestring[len] = '\0';
	return 0;
}

static int keep_numbers(cJSON *root, const char *s, size_t n, struct err *err)
{
	struct numbers w = { .depth = 1 };
	const char *end = s + n;
	bool in_string = false;
	/* a root that is one number has no chain to walk */
	cJSON top = { .child = root };

	w.chain[0] = &top;
	for (const char *p = s; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 && (in_string || !strchr("\t\r\n", c)))
			return err_set(err, EINVAL,
				       "JSON: a control byte at byte %td",
				       p - s);
		if (c == '"')
			in_string = !in_string;
		else if (in_string)
			p += c == '\\';
		else if (c == '-' || isdigit(c)) {
			size_t len = number_length(p, end);
			int r = keep_number(&w, p, len, err);

			if (r < 0)
				return r;
			p += len - 1;
		}
	}
	return 0;
}

int json_parse_strict(struct json **out, const char *s, size_t n,
		      struct err *err)
{
	struct json *root = NULL;
	int r = json_parse(&root, s, n, err);

	if (r < 0)
		return r;
	r = keep_numbers((cJSON *)(void *)root, s, n, err);
	if (r < 0) {
		json_free(root);
		return r;
	}
	*out = root;
	return 0;
}

void json_free(struct json *root)
{
	cJSON_Delete((cJSON *)(void *)root);
}

void auto_json(struct json **root)
{
	json_free(*root);
}

/* ---- reading ---- */

bool json_is_object(const struct json *j)
{
	return cJSON_IsObject(node(j));
}

bool json_is_array(const struct json *j)
{
	return cJSON_IsArray(node(j));
}

bool json_is_null(const struct json *j)
{
	return cJSON_IsNull(node(j));
}

bool json_is_string(const struct json *j)
{
	return cJSON_IsString(node(j));
}

const struct json *json_get(const struct json *j, const char *name)
{
	if (!json_is_object(j))
		return NULL;
	return wrap(cJSON_GetObjectItemCaseSensitive(node(j), name));
}

const struct json *json_first(const struct json *j)
{
	if (!json_is_object(j) && !json_is_array(j))
		return NULL;
	return wrap(node(j)->child);
}

const struct json *json_next(const struct json *item)
{
	return wrap(node(item)->next);
}

const char *json_name(const struct json *member)
{
	return node(member)->string ? node(member)->string : "";
}

size_t json_count(const struct json *j)
{
	size_t n = 0;

	for (const struct json *i = json_first(j); i; i = json_next(i))
		n++;
	return n;
}

const char *json_string(const struct json *j)
{
	return json_is_string(j) ? node(j)->valuestring : NULL;
}

const char *json_get_string(const struct json *j, const char *name)
{
	return json_string(json_get(j, name));
}

bool json_u64(const struct json *j, uint64_t *out)
{
	double d;

	if (!cJSON_IsNumber(node(j)))
		return false;
	d = node(j)->valuedouble;
	if (!(d >= 0.0 && d <= WHOLE_MAX) || fabs(d - floor(d)) > 0.0)
		return false;
	*out = (uint64_t)d;
	return true;
}

bool json_whole(const struct json *j, uint64_t *out)
{
	return cJSON_IsNumber(node(j)) && node(j)->valuestring &&
	       text_to_u64(node(j)->valuestring, UINT64_MAX, out) == 0;
}

bool json_bool(const struct json *j, bool fallback)
{
	if (!cJSON_IsBool(node(j)))
		return fallback;
	return cJSON_IsTrue(node(j));
}
