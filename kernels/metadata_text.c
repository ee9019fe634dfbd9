/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata_text.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_blank(const char *s, size_t n)
{
	static const char *const wide[] = {
		"\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001",
		"\u2002",   "\u2003", "\u2004", "\u2005", "\u2006",
		"\u2007",   "\u2008", "\u2009", "\u200a", "\u2028",
		"\u2029",   "\u202f", "\u205f", "\u3000",
	};

	if (n == 1)
		return *s == ' ' || (*s >= '\t' && *s <= '\r');
	for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++) {
		if (strlen(wide[i]) == n && !strncmp(s, wide[i], n))
			return true;
	}
	return false;
}

/* Without the white space of Unicode at both ends. */
static void trim(const char **s, const char **end)
{
	for (bool more = true; more;) {
		size_t left = (size_t)(*end - *s);

		more = false;
		for (size_t n = 1; n <= 3 && n <= left && !more; n++) {
			if (is_blank(*s, n)) {
				*s += n;
				more = true;
			} else if (is_blank(*end - n, n)) {
				*end -= n;
				more = true;
			}
		}
	}
}

bool metadata_text_minver(const char *s, char out[METADATA_MINVER_MAX])
{
	const char *end = s + strlen(s);
	uint64_t part[3] = { 0 };

	trim(&s, &end);
	for (size_t i = 0; i < 3; i++) {
		const char *start;

		if (i && (s == end || *s++ != '.'))
			return false;
		s += s < end && *s == '+';
		for (start = s; s < end && isdigit((unsigned char)*s); s++) {
			uint64_t digit = (uint64_t)(*s - '0');

			if (part[i] > (UINT64_MAX - digit) / 10)
				return false;
			part[i] = part[i] * 10 + digit;
		}
		if (s == start)
			return false;
	}
	if (s != end)
		return false;
	(void)snprintf(out, METADATA_MINVER_MAX, "%llu.%llu.%llu",
		       (unsigned long long)part[0], (unsigned long long)part[1],
		       (unsigned long long)part[2]);
	return true;
}

static bool is_scheme(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isalpha((unsigned char)s[i]) &&
		    (i == 0 ||
		     (!isdigit((unsigned char)s[i]) && !strchr("+-.", s[i]))))
			return false;
	}
	return n > 0;
}

static bool is_git_scheme(const char *s, size_t n)
{
	static const char *const schemes[] = {
		"https",   "http",	"git",	    "ssh",
		"git+ssh", "git+https", "git+http",
	};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (strlen(schemes[i]) == n && !strncasecmp(schemes[i], s, n))
			return true;
	}
	return false;
}

static bool is_host(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == ' ' || strchr("<>[\\]^|", s[i]) ||
		    iscntrl((unsigned char)s[i]))
			return false;
	}
	return true;
}

/* "[user@]host[:port]…": a host, and a number where a port stands. */
static bool is_authority(const char *s, bool hostless)
{
	size_t n = strcspn(s, "/?#");
	const char *at = memrchr(s, '@', n);
	const char *host = at ? at + 1 : s;
	const char *end = s + n;
	const char *colon =
		*host == '[' ? NULL : memchr(host, ':', (size_t)(end - host));
	const char *stop = colon ? colon : end;
	uint32_t port = 0;

	if (host == stop)
		return hostless && n == 0;
	if (*host != '[' && !is_host(host, (size_t)(stop - host)))
		return false;
	for (const char *p = colon ? colon + 1 : end; p < end; p++) {
		if (!isdigit((unsigned char)*p))
			return false;
		port = port * 10 + (uint32_t)(*p - '0');
		if (port > UINT16_MAX)
			return false;
	}
	return true;
}

bool metadata_text_is_git_url(const char *s)
{
	const char *colon = strchr(s, ':');
	const char *rest = colon ? colon + 1 : NULL;
	size_t n = colon ? (size_t)(colon - s) : 0;

	if (n == 0)
		return false;
	/* host:path, as scp spells it; what looks like a scheme is one */
	if (!is_scheme(s, n))
		return rest[0] && rest[0] != '/' && is_host(s, n);
	if (!is_git_scheme(s, n))
		return false;
	/* those of the web have a host, whatever stands before it */
	if (!strncasecmp(s, "http", 4))
		return is_authority(rest + strspn(rest, "/"), false);
	return strncmp(rest, "//", 2) != 0 || is_authority(rest + 2, true);
}
