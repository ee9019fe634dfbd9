/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "http_curl.h"
#include "http_engine.h"
#include "http_hop.h"
#include "token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_KEPT 8 /* per handle: the endpoint and its CDNs */

/* ---- life ---- */

static void share_take(CURL *easy, curl_lock_data what, curl_lock_access how,
		       void *arg)
{
	struct share *s = arg;

	(void)easy;
	(void)how;
	(void)pthread_mutex_lock(&s->mutexes[(unsigned)what % HTTP_SHARES]);
}

static void share_drop(CURL *easy, curl_lock_data what, void *arg)
{
	struct share *s = arg;

	(void)easy;
	(void)pthread_mutex_unlock(&s->mutexes[(unsigned)what % HTTP_SHARES]);
}

static void share_free(struct share *s)
{
	if (!s)
		return;
	if (s->handle)
		(void)s->curl->share_cleanup(s->handle);
	for (size_t i = 0; i < HTTP_SHARES; i++)
		(void)pthread_mutex_destroy(&s->mutexes[i]);
	free(s);
}

static struct share *share_new(const struct http_library *curl)
{
	struct share *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	for (size_t i = 0; i < HTTP_SHARES; i++)
		(void)pthread_mutex_init(&s->mutexes[i], NULL);
	s->curl = curl;
	s->handle = curl->share_init();
	if (!s->handle ||
	    curl->share_setopt(s->handle, CURLSHOPT_LOCKFUNC, share_take) ||
	    curl->share_setopt(s->handle, CURLSHOPT_UNLOCKFUNC, share_drop) ||
	    curl->share_setopt(s->handle, CURLSHOPT_USERDATA, s) ||
	    curl->share_setopt(s->handle, CURLSHOPT_SHARE,
			       CURL_LOCK_DATA_DNS) ||
	    curl->share_setopt(s->handle, CURLSHOPT_SHARE,
			       CURL_LOCK_DATA_SSL_SESSION)) {
		share_free(s);
		return NULL;
	}
	return s;
}

int http_new(struct http **out, const struct http_options *o, struct err *err)
{
	struct http *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_errno(err, ENOMEM, "http");
	lock_init(&h->mu, LOCK_HTTP);
	h->options = *o;
	h->options.token_file = NULL;
	h->user_agent = text_dup(o->user_agent, strlen(o->user_agent));
	r = token_new(&h->token, o->token_file, err);
	if (!r)
		r = hosts_new(&h->hosts, err);
	if (!r)
		r = http_engine_new(&h->engine, h, err);
	if (!r && !h->user_agent)
		r = err_errno(err, ENOMEM, "http");
	if (r < 0) {
		http_free(h);
		return r;
	}
	h->options.user_agent = h->user_agent;
	*out = h;
	return 0;
}

static void handle_free(struct handle *t)
{
	if (t->easy)
		t->curl->easy_cleanup(t->easy);
	if (t->multi)
		(void)t->curl->multi_cleanup(t->multi);
	free(t);
}

void http_free(struct http *h)
{
	if (!h)
		return;
	http_engine_free(h->engine);
	http_drop_handles(h);
	hosts_free(h->hosts);
	token_free(h->token);
	share_free(h->share);
	lock_done(&h->mu);
	free(h->user_agent);
	free(h);
}

void http_cancel_all(struct http *h)
{
	hosts_stop(h->hosts);
	lock_take(&h->mu);
	for (struct handle *t = h->handles; t; t = t->next)
		(void)t->curl->multi_wakeup(t->multi);
	lock_drop(&h->mu);
	http_engine_wake(h->engine);
}

bool http_is_cancelled(const struct http *h)
{
	return hosts_stopped(h->hosts);
}

int64_t http_deadline_ms(const struct http *h)
{
	return h->options.deadline_ms;
}

bool http_has_token(struct http *h)
{
	char token[TOKEN_MAX + 1];
	bool has = token_get(h->token, token);

	explicit_bzero(token, sizeof(token));
	return has;
}

/* ---- URLs ---- */

static char *url_part(CURLU *u, CURLUPart part, unsigned flags)
{
	const struct http_library *curl = http_load(NULL);
	char *s = NULL;

	if (curl->url_get(u, part, &s, flags))
		return NULL;
	return s;
}

static void auto_url(CURLU **u)
{
	if (*u)
		http_load(NULL)->url_cleanup(*u);
}

static void auto_curl(char **s)
{
	if (*s)
		http_load(NULL)->free(*s);
}

/* Only what cannot be led elsewhere: an address, or the one name that curl
 * never asks a name server for. `host` in lower case. */
static bool is_loopback(const char *host)
{
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

bool http_is_loopback(const char *url)
{
	const char *scheme = strstr(url, "://");
	struct cursor c = cursor_of(scheme ? scheme + strlen("://") : "");
	struct cursor host;
	char name[64];
	size_t n = 0;

	c = cursor_until(&c, '/');
	/* With a user before it or a query behind it, who reads it may see
	 * another host. */
	for (const char *p = c.p; p < c.end; p++)
		if (strchr("@?#\\%", *p))
			return false;
	host = cursor_skip_char(&c, '[') ? cursor_until(&c, ']')
					 : cursor_until(&c, ':');
	n = cursor_left(&host);
	if (n == 0 || n >= sizeof(name))
		return false;
	for (size_t i = 0; i < n; i++)
		name[i] = host.p[i] >= 'A' && host.p[i] <= 'Z'
				  ? (char)(host.p[i] + 32)
				  : host.p[i];
	name[n] = '\0';
	return strcmp(name, "::1") == 0 || is_loopback(name);
}

static int take_apart(struct http_url *out, CURLU *u)
{
	AUTO(auto_curl) char *scheme = url_part(u, CURLUPART_SCHEME, 0);
	AUTO(auto_curl) char *host = url_part(u, CURLUPART_HOST, 0);
	AUTO(auto_curl)
	char *port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	AUTO(auto_curl) char *path = url_part(u, CURLUPART_PATH, 0);
	AUTO(auto_curl) char *user = url_part(u, CURLUPART_USER, 0);
	int n;

	if (!scheme || !host || !*host || !port || !path || user)
		return -EINVAL;
	out->https = strcmp(scheme, "https") == 0;
	if (!out->https && strcmp(scheme, "http") != 0)
		return -EINVAL;
	for (char *p = host; *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
	out->loopback = is_loopback(host);
	n = snprintf(out->host, sizeof(out->host), "%s:%s", host, port);
	if (n < 0 || (size_t)n >= sizeof(out->host))
		return -EINVAL;
	n = snprintf(out->shown, sizeof(out->shown), "%s://%s%s", scheme,
		     strcmp(port, out->https ? "443" : "80") == 0 ? host
								  : out->host,
		     path);
	return n < 0 ? -EINVAL : 0;
}

void http_url_show(char shown[512], const char *url)
{
	const char *host = strstr(url, "://");
	size_t n;

	host = host ? host + strlen("://") : url;
	n = strcspn(host, "?#");
	/* Behind a user, who may be followed by a password. */
	if (memchr(host, '@', n))
		(void)snprintf(shown, 512, "(a URL with a user)");
	else
		(void)snprintf(shown, 512, "%.*s%.*s", (int)(host - url), url,
			       n > 400 ? 400 : (int)n, host);
}

int http_url_parse(struct http_url *out, const char *url, struct err *err)
{
	const struct http_library *curl = http_load(err);
	AUTO(auto_url) CURLU *u = NULL;
	struct http_url parts;

	memset(&parts, 0, sizeof(parts));
	if (strlen(url) > HTTP_URL_MAX)
		return err_set(err, EINVAL, "the URL is too long");
	if (!curl)
		return -EIO;
	u = curl->url();
	if (!u)
		return err_errno(err, ENOMEM, "URL");
	if (curl->url_set(u, CURLUPART_URL, url, 0) ||
	    take_apart(&parts, u) < 0)
		return err_set(err, EINVAL,
			       "not an http or https URL with a host and "
			       "without a user");
	*out = parts;
	return 0;
}

char *http_url_join(const char *base, const char *rel)
{
	const struct http_library *curl = http_load(NULL);
	AUTO(auto_url) CURLU *u = curl ? curl->url() : NULL;
	AUTO(auto_curl) char *joined = NULL;

	if (!u || strlen(rel) > HTTP_URL_MAX ||
	    curl->url_set(u, CURLUPART_URL, base, 0) ||
	    curl->url_set(u, CURLUPART_URL, rel, 0) ||
	    curl->url_get(u, CURLUPART_URL, &joined, 0))
		return NULL;
	return text_dup(joined, strlen(joined));
}

bool http_url_same_origin(const struct http_url *a, const struct http_url *b)
{
	return a->https == b->https && strcmp(a->host, b->host) == 0;
}

bool http_same_origin(const char *a, const char *b)
{
	struct http_url ua;
	struct http_url ub;

	return http_url_parse(&ua, a, NULL) == 0 &&
	       http_url_parse(&ub, b, NULL) == 0 &&
	       http_url_same_origin(&ua, &ub);
}

int http_url_follow(struct http_url *to, const struct http_url *from,
		    const char *location, struct err *err)
{
	struct err bad = ERR_INIT;

	if (!location)
		return err_set(err, EIO, "%s: redirected to no place",
			       from->shown);
	if (http_url_parse(to, location, &bad) < 0)
		return err_set(err, EIO, "%s: redirected to a place that is %s",
			       from->shown, err_text(&bad));
	if (from->https && !to->https)
		return err_set(err, EIO,
			       "%s: redirected from https to http, "
			       "which is refused",
			       from->shown);
	return 0;
}

/* ---- handles ---- */

static struct handle *handle_new(const struct http_library *curl)
{
	struct handle *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->curl = curl;
	t->easy = curl->easy_init();
	t->multi = curl->multi_init();
	if (!t->easy || !t->multi ||
	    curl->multi_setopt(t->multi, CURLMOPT_MAXCONNECTS,
			       (long)CONNECTIONS_KEPT)) {
		handle_free(t);
		return NULL;
	}
	return t;
}

/* The first handle brings what all of them share. */
bool http_have_share(struct http *h, const struct http_library *curl)
{
	bool have;

	lock_take(&h->mu);
	if (!h->share)
		h->share = share_new(curl);
	have = h->share != NULL;
	lock_drop(&h->mu);
	return have;
}

static struct handle *idle_handle(struct http *h)
{
	struct handle *best = NULL;

	lock_take(&h->mu);
	for (struct handle *t = h->handles; t; t = t->next)
		if (!t->lent && (!best || t->used > best->used))
			best = t;
	if (best)
		best->lent = true;
	lock_drop(&h->mu);
	return best;
}

struct handle *http_borrow(struct http *h, struct err *err)
{
	struct handle *t = idle_handle(h);
	const struct http_library *curl;

	if (t)
		return t;
	curl = http_load(err);
	if (!curl)
		return NULL;
	t = http_have_share(h, curl) ? handle_new(curl) : NULL;
	if (!t) {
		(void)err_errno(err, ENOMEM, "http");
		return NULL;
	}
	t->lent = true;
	lock_take(&h->mu);
	t->next = h->handles;
	h->handles = t;
	lock_drop(&h->mu);
	return t;
}

void http_return(struct http *h, struct handle *t)
{
	lock_take(&h->mu);
	t->lent = false;
	t->used = ++h->lent_count;
	lock_drop(&h->mu);
	http_engine_tend(h->engine);
}

void http_drop_handles(struct http *h)
{
	struct handle *idle = NULL;
	struct handle **at = &h->handles;

	lock_take(&h->mu);
	while (*at) {
		struct handle *t = *at;

		if (t->lent) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		t->next = idle;
		idle = t;
	}
	lock_drop(&h->mu);
	while (idle) {
		struct handle *t = idle;

		idle = t->next;
		handle_free(t);
	}
}
