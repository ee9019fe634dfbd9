/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a value of each kind may be, and lists written with commas.
 */
#include "options_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/ref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define WORD_MAX 64

/* ---- kinds ---- */

/* "git+" is told by its own row: what stands behind it is a URL too. */
static const struct scheme {
	const char *name;
	bool host; /* else a path of this machine */
	bool mirrors;
} schemes[] = {
	{ "https://", true, true },	 { "http://", true, true },
	{ "git+https://", true, false }, { "git+http://", true, false },
	{ "git+file://", false, false }, { "file://", false, false },
};

#define SCHEMES (sizeof(schemes) / sizeof(*schemes))

static const struct scheme *scheme_of(const char *s)
{
	for (size_t i = 0; i < SCHEMES; i++)
		if (text_starts(s, schemes[i].name))
			return &schemes[i];
	return NULL;
}

static int check_url(const char *s, bool mirror, struct err *err)
{
	const struct scheme *scheme = scheme_of(s);
	const char *rest = scheme ? s + strlen(scheme->name) : "";

	/* Never shown: there may be a password in it. */
	if (scheme && scheme->host && strpbrk(s, "@?#"))
		return err_set(err, EINVAL,
			       "a source is a URL without user, "
			       "query or fragment; a secret belongs into "
			       "token_file");
	if (!scheme && strstr(s, "://") && strchr(s, '@'))
		return err_set(err, EINVAL, "a source is no such URL");
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return err_set(err, EINVAL, "'%.200s' is no URL", s);
	if (!scheme || (scheme->host && (!*rest || *rest == '/')))
		return err_set(err, EINVAL,
			       "'%.200s' is no URL that begins "
			       "with https://, http://, git+https://, "
			       "git+file:/// or file:///",
			       s);
	if (!scheme->host && *rest != '/')
		return err_set(err, EINVAL,
			       "'%.200s' names no folder of this machine: "
			       "%s/FOLDER",
			       s, scheme->name);
	if (mirror && !scheme->mirrors)
		return err_set(err, EINVAL,
			       "'%.200s' is no mirror; one begins with "
			       "https:// or http://",
			       s);
	return 0;
}

const char *options_mirror_part(const struct option *row, const char *value)
{
	return row->kind == OPTION_SOURCE && text_starts(value, "mirror=")
		       ? value + 7
		       : NULL;
}

/* Only variables of the environment are split. */
static const char *one_each(const char *s)
{
	return strchr(s, ',') ? "; repeat the option for each" : "";
}

static int check_trust(const char *s, struct err *err)
{
	struct repo_id repo;

	if (!strcmp(s, "*") || ref_owner_valid(s))
		return 0;
	if (strchr(s, '/'))
		return ref_parse_repo(&repo, s, err);
	return err_set(err, EINVAL,
		       "'%.200s' is neither an owner nor "
		       "owner/repo nor *%s",
		       s, one_each(s));
}

static int check_import(const char *s, struct err *err)
{
	struct ref ref;

	if (ref_owner_valid(s))
		return 0;
	if (strchr(s, '/'))
		return ref_parse(&ref, s, err);
	return err_set(err, EINVAL,
		       "'%.200s' is neither an owner nor "
		       "owner/repo nor owner/repo@rev%s",
		       s, one_each(s));
}

static int check_level(const char *s, struct err *err)
{
	enum log_level level;

	if (log_level_parse(s, &level) == 0)
		return 0;
	return err_set(err, EINVAL,
		       "'%.64s' is none of error, warning, info "
		       "and debug",
		       s);
}

static int check_choice(const struct option *row, const char *s,
			struct err *err)
{
	size_t len = strlen(s);

	for (const char *p = row->unit; *p;) {
		size_t n = strcspn(p, "|");

		if (n == len && !strncmp(p, s, n))
			return 0;
		p += n + (p[n] == '|');
	}
	return err_set(err, EINVAL, "'%.64s' is none of %s", s, row->unit);
}

static int check_count(const struct option *row, const char *s, uint64_t *out,
		       struct err *err)
{
	if (text_to_u64(s, row->high, out) < 0 || *out < row->low)
		return err_set(err, EINVAL,
			       "'%.64s' is no number from %llu "
			       "to %llu",
			       s, (unsigned long long)row->low,
			       (unsigned long long)row->high);
	return 0;
}

static int check_duration(const struct option *row, const char *s,
			  uint64_t *out, struct err *err)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "", 1000 },	{ "ms", 1 },	  { "s", 1000 },
		      { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	char digits[24];
	size_t n = strspn(s, "0123456789");
	uint64_t number, ms = 0;

	if (row->low == 0 && (!strcmp(s, "never") || !strcmp(s, "0"))) {
		*out = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (!strcmp(s + n, units[i].name))
			ms = units[i].ms;
	if (n == 0 || ms == 0)
		return err_set(err, EINVAL,
			       "'%.64s' is no duration; write "
			       "250ms, 30s, 5min or 2h%s",
			       s, row->low == 0 ? ", or never" : "");
	if (n < sizeof(digits)) {
		memcpy(digits, s, n);
		digits[n] = '\0';
	}
	if (n >= sizeof(digits) ||
	    text_to_u64(digits, row->high / ms, &number) < 0 ||
	    number * ms < row->low)
		return err_set(err, EINVAL,
			       "'%.64s' is not from %llums to "
			       "%llumin",
			       s, (unsigned long long)row->low,
			       (unsigned long long)row->high / 60000);
	*out = number * ms;
	return 0;
}

/* A number and perhaps a unit; powers of 1024. */
static int check_size(const struct option *row, const char *s, uint64_t *out,
		      struct err *err)
{
	static const char units[] = "KMGT";
	char digits[24];
	size_t n = strspn(s, "0123456789");
	const char *unit = s[n] ? strchr(units, s[n]) : NULL;
	uint64_t number, one = 1;

	for (const char *u = units; unit && u <= unit; u++)
		one *= 1024;
	if (n == 0 || n >= sizeof(digits) || (s[n] && !unit) ||
	    (unit && s[n + 1]))
		return err_set(err, EINVAL,
			       "'%.64s' is no size; write 512M, 50G or 2T", s);
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (text_to_u64(digits, row->high / one, &number) < 0)
		return err_set(err, EINVAL, "'%.64s' is more than %lluT", s,
			       (unsigned long long)(row->high >> 40));
	*out = number * one;
	return 0;
}

static int check_flag(const struct option *row, const char *s, uint64_t *out,
		      struct err *err)
{
	static const char *const words[] = { "off", "on", "no",	   "yes",
					     "0",   "1",  "false", "true" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcasecmp(s, words[i])) {
			*out = i % 2;
			return 0;
		}
	return err_set(err, EINVAL, "'%.64s' is neither on nor off: %s=%s", s,
		       row->name, row->unit);
}

int options_check(const struct option *row, const char *value, uint64_t *number,
		  struct err *err)
{
	if (strlen(value) > OPTION_VALUE_MAX)
		return err_set(err, EINVAL, "longer than %u bytes",
			       OPTION_VALUE_MAX);
	if (!*value && !options_is_list(row))
		return err_set(err, EINVAL, "needs a value: %s", row->unit);
	switch (row->kind) {
	case OPTION_SOURCE:
		return *value ? check_url(value, false, err) : 0;
	case OPTION_MIRROR:
		return *value ? check_url(value, true, err) : 0;
	case OPTION_LEVEL:
		return check_level(value, err);
	case OPTION_CHOICE:
		return check_choice(row, value, err);
	case OPTION_TRUST:
		return *value ? check_trust(value, err) : 0;
	case OPTION_IMPORT:
		return *value ? check_import(value, err) : 0;
	case OPTION_COUNT:
		return check_count(row, value, number, err);
	case OPTION_DURATION:
		return check_duration(row, value, number, err);
	case OPTION_SIZE:
		return check_size(row, value, number, err);
	case OPTION_FLAG:
		return check_flag(row, value, number, err);
	case OPTION_TIER:
	case OPTION_PATH:
	case OPTION_TEXT:
	case OPTION_ENV:
	case OPTION_LOG:
		break;
	}
	return 0;
}

/* ---- paths ---- */

bool options_is_path(const struct option *row, const char *value)
{
	if (row->kind == OPTION_ENV) /* no spec holds a '/' or ends so */
		return strchr(value, '/') || text_ends(value, ".json");
	if (row->kind == OPTION_LOG)
		return strcmp(value, "stderr") && strcmp(value, "syslog");
	return row->kind == OPTION_PATH || row->kind == OPTION_TIER;
}

int options_absolute(char **path, struct err *err)
{
	AUTO(auto_text) struct text t = TEXT_INIT(2 * OPTION_VALUE_MAX);
	AUTO(auto_free) char *cwd = NULL;
	const char *home = getenv("HOME");
	char *full;

	if (**path == '/')
		return 0;
	if (text_starts(*path, "~/") && home && *home == '/') {
		text_printf(&t, "%s%s", home, *path + 1);
	} else {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_errno(err, errno, "the current folder");
		text_printf(&t, "%s/%s", cwd, *path);
	}
	full = text_take(&t);
	if (!full)
		return err_errno(err, ENAMETOOLONG, "'%.200s'", *path);
	free(*path);
	*path = full;
	return 0;
}

/* ---- comma lists ---- */

bool options_next_part(const char **at, char *part, int *failed)
{
	const char *p = *at;
	bool quoted = false;
	size_t n = 0;

	if (!*p)
		return false;
	for (; *p && (quoted || *p != ','); p++) {
		/* mount(8) writes context="…,…" for a value with commas. */
		if (*p == '"' && (quoted || (n && part[n - 1] == '='))) {
			quoted = !quoted;
			continue;
		}
		if (*p == '\\' && (p[1] == ',' || p[1] == '\\'))
			p++;
		if (n == OPTION_VALUE_MAX) {
			*failed = -E2BIG;
			return false;
		}
		part[n++] = *p;
	}
	part[n] = '\0';
	*at = *p ? p + 1 : p;
	return true;
}

/* ---- the nearest word ---- */

/* Edits (a swap of neighbours is one), over words of at most WORD_MAX. */
static size_t distance(const char *a, size_t la, const char *b, size_t lb)
{
	size_t rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = rows[i % 3], *last = rows[(i + 2) % 3];
		const size_t *old = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && old[j - 2] + 1 < best)
				best = old[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[la % 3][lb];
}

const char *options_nearest(const char *word, const char *const *words,
			    size_t count)
{
	char plain[WORD_MAX + 1];
	size_t n = strlen(word), limit = n / 3 + 2; /* one too far */
	const char *best = NULL;

	if (n == 0 || n > WORD_MAX)
		return NULL;
	for (size_t i = 0; i <= n; i++)
		plain[i] = word[i] == '-' ? '_' : word[i];
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(words[i]), d;

		if (len > WORD_MAX)
			continue;
		/* The beginning of a word is nearly the word. */
		d = n > 2 && !strncmp(words[i], plain, n)
			    ? 0
			    : distance(plain, n, words[i], len);
		if (d >= limit)
			continue;
		limit = d;
		best = words[i];
	}
	return best;
}
