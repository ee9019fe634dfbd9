/* SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

#include "base/err.h"
#include "base/text.h"
#include "specifier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 *	ref	= owner "/" step
 *	step	= name [ "@" rev ]
 *	owner	= part
 *	name	= part			; and no ".git" at the end
 *	part	= 1*96( word / "-" / "." )
 *				; first and last are word, no "--", no ".."
 *	word	= ALPHA / DIGIT / "_"	; of ASCII only
 *	rev	= version / commit / "latest" / range / git-name
 *	version	= [ "v" ] 1*DIGIT	; below 2^32, else a git-name
 *	commit	= 40( DIGIT / "a" - "f" )
 *	range	= what begins with one of < > = ! ~ (specifier.c)
 *
 * The first '@' ends the name: no name holds one, a revision may.
 *
 * A git-name obeys git-check-ref-format(1) and is narrower in three places:
 * it is printable ASCII, so that no two look alike in a log; it begins with
 * no '-', as no branch does; and '%' stands for nothing but a '/' (%2F), so
 * that printing and parsing are each other's inverse.
 */

/* Enough of a hostile name to know it by, and room for the reason. */
#define SHOWN "'%.300s'"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       is_digit(c) || c == '_';
}

/* NULL, or why these n bytes are no part of a repository's name. */
static const char *part_fault(const char *s, size_t n)
{
	if (n == 0)
		return "is empty";
	if (n > REF_PART_MAX)
		return "is longer than 96 bytes";
	for (size_t i = 0; i < n; i++) {
		if (!is_word(s[i]) && s[i] != '-' && s[i] != '.')
			return "holds other bytes than A-Z a-z 0-9 _ - .";
		if (i && s[i] == s[i - 1] && (s[i] == '-' || s[i] == '.'))
			return "holds '--' or '..'";
	}
	if (!is_word(s[0]) || !is_word(s[n - 1]))
		return "begins or ends with '-' or '.'";
	return NULL;
}

static const char *name_fault(const char *s, size_t n)
{
	const char *fault = part_fault(s, n);

	if (!fault && n >= 4 && memcmp(s + n - 4, ".git", 4) == 0)
		fault = "ends with '.git'";
	return fault;
}

bool ref_owner_valid(const char *owner)
{
	return !part_fault(owner, strnlen(owner, REF_PART_MAX + 1));
}

bool ref_name_valid(const char *name)
{
	return !name_fault(name, strnlen(name, REF_PART_MAX + 1));
}

/* One step of a git name between two '/'. */
static const char *rev_step_fault(const char *s, size_t n)
{
	if (n == 0)
		return "begins or ends with '/' or holds '//'";
	if (s[0] == '.')
		return "has a step that begins with '.'";
	if (n >= 5 && memcmp(s + n - 5, ".lock", 5) == 0)
		return "has a step that ends with '.lock'";
	return NULL;
}

static const char *rev_bytes_fault(const char *s)
{
	for (const char *p = s; *p; p++) {
		if (*p <= ' ' || *p > '~')
			return "holds a blank, a control byte or non-ASCII";
		if (strchr("~^:?*[\\%", *p))
			return "holds one of ~ ^ : ? * [ \\ %";
		if (*p == '.' && p[1] == '.')
			return "holds '..'";
		if (*p == '@' && p[1] == '{')
			return "holds '@{'";
	}
	return NULL;
}

static const char *range_fault(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p < ' ' || *p > '~')
			return "holds a control byte or non-ASCII";
	return specifier_fault(s);
}

static const char *rev_fault(const char *s)
{
	size_t n = strlen(s);
	const char *fault;

	if (n == 0)
		return "is empty";
	if (strchr(SPECIFIER_CHARS, s[0]))
		return range_fault(s);
	if (strcmp(s, "@") == 0)
		return "is '@' alone";
	if (s[0] == '-')
		return "begins with '-'";
	if (s[n - 1] == '.')
		return "ends with '.'";
	fault = rev_bytes_fault(s);
	while (!fault) {
		size_t step = strcspn(s, "/");

		fault = rev_step_fault(s, step);
		if (!s[step])
			break;
		s += step + 1;
	}
	return fault;
}

/* Decode %2F; NULL, or why this is no revision. Another '%' is left as it
 * stands and refused then. `slash`: is a plain '/' allowed? */
static const char *rev_decode(const char *s, bool slash, char *out)
{
	size_t n = 0;

	for (; *s; s++) {
		char c = *s;

		if (c == '/' && !slash)
			return "holds '/', which is spelled %2F here";
		if (c == '%' && s[1] == '2' && (s[2] == 'F' || s[2] == 'f')) {
			c = '/';
			s += 2;
		}
		if (n == REF_REV_MAX)
			return "is longer than 200 bytes";
		out[n++] = c;
	}
	out[n] = '\0';
	return rev_fault(out);
}

/* One spelling of a sound range: no blanks, no empty parts. */
static void range_tidy(char *rev)
{
	char *to = rev;

	for (const char *p = rev; *p; p++) {
		if (*p == ' ' || (*p == ',' && (to == rev || to[-1] == ',')))
			continue;
		*to++ = *p;
	}
	if (to > rev && to[-1] == ',')
		to--;
	memset(to, 0, strlen(to));
}

/* What the text means, once it is known to be sound. */
static void rev_classify(struct ref *r)
{
	bool bare = is_digit(r->rev[0]);
	struct cursor c = cursor_of(r->rev);
	uint32_t version;

	if (strchr(SPECIFIER_CHARS, r->rev[0])) {
		r->kind = REV_RANGE;
		range_tidy(r->rev);
		return;
	}
	r->kind = REV_NAME;
	if (text_is_hex(r->rev, REF_COMMIT_LEN)) {
		r->kind = REV_COMMIT;
		return;
	}
	if (strcmp(r->rev, "latest") == 0) {
		r->kind = REV_LATEST;
		return;
	}
	if (!bare && !cursor_skip_char(&c, 'v'))
		return;
	if (!cursor_number(&c, 10, &version) || !cursor_done(&c))
		return;
	r->kind = REV_VERSION;
	r->version = version;
	if (bare) {
		memmove(r->rev + 1, r->rev, strlen(r->rev) + 1);
		r->rev[0] = 'v';
	}
}

static int parse_repo(struct repo_id *out, const char *s, size_t n,
		      struct err *err)
{
	const char *slash = memchr(s, '/', n);
	size_t owner_n;
	const char *fault;

	if (!slash)
		return err_set(err, EINVAL,
			       SHOWN " is not owner/repo: it holds no '/'", s);
	owner_n = (size_t)(slash - s);
	fault = part_fault(s, owner_n);
	if (fault)
		return err_set(err, EINVAL, SHOWN ": the owner %s", s, fault);
	fault = name_fault(slash + 1, n - owner_n - 1);
	if (fault)
		return err_set(err, EINVAL, SHOWN ": the repository's name %s",
			       s, fault);
	memset(out, 0, sizeof(*out));
	memcpy(out->owner, s, owner_n);
	memcpy(out->name, slash + 1, n - owner_n - 1);
	return 0;
}

/* `rev` is what stands behind '@', NULL: there is none. */
static int parse_rev(struct ref *out, const char *rev, bool slash,
		     const char *shown, struct err *err)
{
	const char *fault;

	out->kind = REV_DEFAULT;
	if (!rev)
		return 0;
	fault = rev_decode(rev, slash, out->rev);
	if (fault)
		return err_set(err, EINVAL, SHOWN ": the revision %s", shown,
			       fault);
	rev_classify(out);
	return 0;
}

int ref_parse_repo(struct repo_id *out, const char *s, struct err *err)
{
	return parse_repo(out, s, strlen(s), err);
}

int ref_parse(struct ref *out, const char *s, struct err *err)
{
	const char *at = strchr(s, '@');
	struct ref r = { .kind = REV_DEFAULT };
	int rc;

	rc = parse_repo(&r.repo, s, at ? (size_t)(at - s) : strlen(s), err);
	if (rc == 0)
		rc = parse_rev(&r, at ? at + 1 : NULL, true, s, err);
	if (rc == 0)
		*out = r;
	return rc;
}

int ref_parse_step(struct ref *out, const char *owner, const char *step,
		   struct err *err)
{
	const char *at = strchr(step, '@');
	size_t n = at ? (size_t)(at - step) : strlen(step);
	struct ref r = { .kind = REV_DEFAULT };
	const char *fault;
	int rc;

	if (!ref_owner_valid(owner))
		return err_set(err, EINVAL, SHOWN " is no owner's name", owner);
	fault = name_fault(step, n);
	if (fault)
		return err_set(err, EINVAL, SHOWN ": the repository's name %s",
			       step, fault);
	rc = parse_rev(&r, at ? at + 1 : NULL, false, step, err);
	if (rc < 0)
		return rc;
	(void)text_copy(r.repo.owner, sizeof(r.repo.owner), owner);
	memcpy(r.repo.name, step, n);
	*out = r;
	return 0;
}

bool ref_is_rev(const char *name)
{
	struct ref r = { .kind = REV_DEFAULT };

	return parse_rev(&r, name, true, name, NULL) == 0 &&
	       strcmp(r.rev, name) == 0;
}

static void print_step(const struct ref *r, char *out)
{
	size_t n = strlen(r->repo.name);

	memcpy(out, r->repo.name, n);
	if (r->kind != REV_DEFAULT) {
		out[n++] = '@';
		for (const char *p = r->rev; *p; p++) {
			if (*p == '/') {
				memcpy(out + n, "%2F", 3);
				n += 3;
			} else {
				out[n++] = *p;
			}
		}
	}
	out[n] = '\0';
}

void ref_print_step(const struct ref *r, char out[REF_TEXT_MAX])
{
	print_step(r, out);
}

void ref_print(const struct ref *r, char out[REF_TEXT_MAX])
{
	size_t n = strlen(r->repo.owner);

	memcpy(out, r->repo.owner, n);
	out[n] = '/';
	print_step(r, out + n + 1);
}

bool repo_equal(const struct repo_id *a, const struct repo_id *b)
{
	return strcmp(a->owner, b->owner) == 0 && strcmp(a->name, b->name) == 0;
}

int repo_compare(const struct repo_id *a, const struct repo_id *b)
{
	int c = strcmp(a->owner, b->owner);

	return c ? c : strcmp(a->name, b->name);
}

void repo_package(const struct repo_id *r, char *out)
{
	size_t i;

	for (i = 0; r->name[i]; i++)
		out[i] = r->name[i] == '-' ? '_' : r->name[i];
	out[i] = '\0';
}

/* Soft keywords (match, case, type, _) are names to an import statement. */
static const char *const keywords[] = {
	"False",  "None",     "True",  "and",	 "as",	     "assert",
	"async",  "await",    "break", "class",	 "continue", "def",
	"del",	  "elif",     "else",  "except", "finally",  "for",
	"from",	  "global",   "if",    "import", "in",	     "is",
	"lambda", "nonlocal", "not",   "or",	 "pass",     "raise",
	"return", "try",      "while", "with",	 "yield",
};

bool ref_is_identifier(const char *s)
{
	if (!is_word(s[0]) || is_digit(s[0]))
		return false;
	for (const char *p = s; *p; p++) {
		if (!is_word(*p))
			return false;
	}
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strcmp(s, keywords[i]) == 0)
			return false;
	}
	return true;
}
