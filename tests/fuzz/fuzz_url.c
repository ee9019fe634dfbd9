/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/http/http_hop.h"

#include "base/cleanup.h"

#include <errno.h>

static const char *const bases[] = {
	"https://hub.example:8443/api/models/o/r?limit=1",
	"http://127.0.0.1:8080/x/",
};

/* Names of hosts may be in any script. */
static bool has_control(const char *s)
{
	while (*s && (unsigned char)*s > ' ' && *s != 0x7f)
		s++;
	return *s != '\0';
}

/* "scheme://user@host": a secret may be in it. libcurl takes one slash for
 * two. */
static bool names_user(const char *url)
{
	const char *host = url + strcspn(url, ":");

	if (*host)
		host++;
	host += strspn(host, "/");
	return memchr(host, '@', strcspn(host, "/?#")) != NULL;
}

static void check(const struct http_url *u)
{
	FUZZ_CHECK(u->host[0] && strchr(u->host, ':'));
	FUZZ_CHECK(!has_control(u->host) && !has_control(u->shown));
	FUZZ_CHECK(!strpbrk(u->host, "/@?# "));
	FUZZ_CHECK(http_url_same_origin(u, u));
}

/* A Location is what a stranger says: it leads nowhere, or to a URL that was
 * taken apart, and never from https to http. */
static void follow(const char *base, const char *location)
{
	AUTO(auto_free) char *joined = http_url_join(base, location);
	struct http_url from, to, again;

	FUZZ_CHECK(http_url_parse(&from, base, NULL) == 0);
	if (http_url_follow(&to, &from, location, NULL) == 0) {
		check(&to);
		FUZZ_CHECK(to.https || !from.https);
	}
	if (joined && http_url_parse(&again, joined, NULL) == 0)
		check(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	struct http_url u;

	if (http_url_parse(&u, s, NULL) == 0) {
		check(&u);
		FUZZ_CHECK(!names_user(s));
	}
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		follow(bases[i], s);
	return 0;
}
