/* SPDX-License-Identifier: Apache-2.0 */
#include "http_curl.h"

#include "base/err.h"
#include "base/io.h"
#include "http_hop.h"
#include "token.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is said to curl of one exchange. */

#define LARGE_BUFFER_BYTES (128l << 10)
#define USERPWD_MAX 768

/* ---- what comes ---- */

static size_t on_header(char *p, size_t one, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct head *head = &x->hop->head;

	(void)one;
	x->heard_ms = io_now_ms();
	/* Trailers say nothing that we want, but have no more room either. */
	if (x->in_body) {
		x->head_full = n > HEAD_BYTES_MAX - head->bytes;
		head->bytes += x->head_full ? 0 : n;
		return x->head_full ? CURL_WRITEFUNC_ERROR : n;
	}
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		size_t bytes = head->bytes;

		head_reset(head);
		head->bytes = bytes;
	}
	x->head_full = head_line(head, p, n, io_wall_s()) < 0;
	return x->head_full ? CURL_WRITEFUNC_ERROR : n;
}

static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
	struct exchange *x = arg;
	const struct http_library *curl = x->curl;
	curl_off_t length = -1;

	(void)one;
	x->heard_ms = io_now_ms();
	if (!x->in_body) {
		x->in_body = true;
		(void)curl->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE,
					 &x->hop->status);
		(void)curl->easy_getinfo(
			x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		x->hop->length = length;
	}
	x->stopped = x->hop->body(x->hop, p, n);
	return x->stopped ? CURL_WRITEFUNC_ERROR : n;
}

static int on_connected(void *arg, char *host, char *own, int port,
			int own_port)
{
	struct exchange *x = arg;

	(void)host;
	(void)own;
	(void)port;
	(void)own_port;
	/* curl may do it again, on another connection. */
	if (!x->connected && x->origin)
		origins_connect(x->origin);
	x->connected = true;
	x->heard_ms = io_now_ms();
	return CURL_PREREQFUNC_OK;
}

/* ---- what is said ---- */

static int add_line(struct exchange *x, const char *line)
{
	const struct http_library *curl = x->curl;
	struct curl_slist *more = curl->slist_append(x->lines, line);

	if (!more)
		return -ENOMEM;
	x->lines = more;
	return 0;
}

/* "Name: value". No value of ours is long; a token is the longest. */
static int add_pair(struct exchange *x, const char *name, const char *value)
{
	char line[TOKEN_MAX + 64];
	int n = snprintf(line, sizeof(line), "%s: %s", name, value);
	int r = n < 0 || (size_t)n >= sizeof(line) ? -ENOMEM
						   : add_line(x, line);

	explicit_bzero(line, sizeof(line));
	return r;
}

static int add_bearer(struct exchange *x, const char *token)
{
	char value[TOKEN_MAX + 16];
	int r;

	(void)snprintf(value, sizeof(value), "Bearer %s", token);
	r = add_pair(x, "Authorization", value);
	explicit_bzero(value, sizeof(value));
	return r;
}

/* Three bytes are four characters; RFC 4648. */
static void base64(char *to, const char *from, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
				     "mnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		unsigned three = (unsigned)(unsigned char)from[i] << 16;

		if (i + 1 < n)
			three |= (unsigned)(unsigned char)from[i + 1] << 8;
		if (i + 2 < n)
			three |= (unsigned)(unsigned char)from[i + 2];
		*to++ = digits[three >> 18];
		*to++ = digits[three >> 12 & 63];
		*to++ = i + 1 < n ? digits[three >> 6 & 63] : '=';
		*to++ = i + 2 < n ? digits[three & 63] : '=';
	}
	*to = '\0';
}

/* Not curl's own option for it: that puts the user into the URLs which it
 * makes of redirects. */
static int add_basic(struct exchange *x, const char *userpwd)
{
	char value[sizeof("Basic ") + (USERPWD_MAX + 2) / 3 * 4] = "Basic ";
	size_t n = strlen(userpwd);
	int r;

	if (n > USERPWD_MAX)
		return -EINVAL;
	base64(value + strlen("Basic "), userpwd, n);
	r = add_pair(x, "Authorization", value);
	explicit_bzero(value, sizeof(value));
	return r;
}

static int add_lines(struct exchange *x)
{
	const struct http_hop *hop = x->hop;
	int r = add_line(x, "Accept-Encoding: identity");

	if (!r && hop->userpwd)
		r = add_basic(x, hop->userpwd);
	else if (!r && hop->token)
		r = add_bearer(x, hop->token);
	if (!r && hop->req->accept)
		r = add_pair(x, "Accept", hop->req->accept);
	if (!r && hop->req->body && hop->req->content_type)
		r = add_pair(x, "Content-Type", hop->req->content_type);
	/* Servers that do not know it let us wait a second. */
	if (!r && hop->req->body)
		r = add_line(x, "Expect:");
	/* Some of them come from outside, and one line is one line. */
	for (size_t i = 0; !r && hop->headers && hop->headers[i]; i++)
		r = strpbrk(hop->headers[i], "\r\n")
			    ? -EINVAL
			    : add_line(x, hop->headers[i]);
	return r;
}

static void wipe_lines(struct exchange *x)
{
	const struct http_library *curl = x->curl;

	for (struct curl_slist *l = x->lines; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl->slist_free_all(x->lines);
	x->lines = NULL;
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* OpenSSL's own names, then those of the clients in Python and of curl, whose
 * first may name a folder too. */
static void find_trust(const char **file, const char **dir)
{
	const char *bundle = environment("REQUESTS_CA_BUNDLE");
	struct stat st;

	*file = environment("SSL_CERT_FILE");
	*dir = environment("SSL_CERT_DIR");
	if (*file || *dir)
		return;
	if (!bundle)
		bundle = environment("CURL_CA_BUNDLE");
	if (!bundle)
		return;
	if (stat(bundle, &st) == 0 && S_ISDIR(st.st_mode))
		*dir = bundle;
	else
		*file = bundle;
}

/*
 * Where nothing else is said, the system's certificates are looked up in
 * their folder: the bundle beside it would be parsed, and kept, whole for each
 * connection (10 ms, 1 MB). It may hold more than the folder, though, when
 * somebody added to it by hand: see http_trust_more().
 */
static int set_trust(struct exchange *x)
{
	const struct http_library *curl = x->curl;
	CURL *e = x->easy;
	const char *ca_file;
	const char *ca_dir;
	char *folder = NULL;
	int bad = 0;

	find_trust(&ca_file, &ca_dir);
	if (ca_file)
		bad |= curl->easy_setopt(e, CURLOPT_CAINFO, ca_file) != 0;
	if (ca_dir)
		bad |= curl->easy_setopt(e, CURLOPT_CAPATH, ca_dir) != 0;
	if (ca_file || ca_dir ||
	    __atomic_load_n(&x->h->bundle, __ATOMIC_RELAXED))
		return bad ? -EIO : 0;
	if (curl->easy_getinfo(e, CURLINFO_CAPATH, &folder) == CURLE_OK &&
	    folder)
		x->folder_only =
			curl->easy_setopt(e, CURLOPT_CAINFO, NULL) == CURLE_OK;
	return 0;
}

bool http_trust_more(const struct exchange *x, CURLcode c)
{
	if (!x->folder_only || (c != CURLE_PEER_FAILED_VERIFICATION &&
				c != CURLE_SSL_CACERT_BADFILE))
		return false;
	__atomic_store_n(&x->h->bundle, true, __ATOMIC_RELAXED);
	return true;
}

/* How it speaks: the same for every exchange. */
static int set_manners(struct exchange *x)
{
	const struct http_library *curl = x->curl;
	const struct http *h = x->h;
	CURL *e = x->easy;
	int bad = 0;

	curl->easy_reset(e);
	bad |= curl->easy_setopt(e, CURLOPT_NOSIGNAL, 1L) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") != 0;
	bad |= curl->easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_SHARE, h->share->handle) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_USERAGENT, h->user_agent) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
				 (long)h->options.connect_timeout_ms) != 0;
	/* A proxy's own head is not the host's. */
	bad |= curl->easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) != 0;
	/* Who cancels does not wait for a name server that is silent. */
	bad |= curl->easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) != 0;
	/* Not in every build of curl; without it, HTTP/1.1 is spoken. */
	(void)curl->easy_setopt(e, CURLOPT_HTTP_VERSION,
				(long)CURL_HTTP_VERSION_2TLS);
	return bad ? -EIO : 0;
}

static int set_body(struct exchange *x)
{
	const struct http_library *curl = x->curl;
	const struct http_request *req = x->hop->req;
	CURL *e = x->easy;

	return curl->easy_setopt(e, CURLOPT_POST, 1L) ||
			       curl->easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
						 (curl_off_t)req->body_len) ||
			       curl->easy_setopt(e, CURLOPT_POSTFIELDS,
						 req->body)
		       ? -EIO
		       : 0;
}

static void print_range(char *to, size_t room, const struct http_hop *hop)
{
	if (hop->until)
		(void)snprintf(to, room, "%" PRIu64 "-%" PRIu64, hop->from,
			       hop->until - 1);
	else
		(void)snprintf(to, room, "%" PRIu64 "-", hop->from);
}

static int set_request(struct exchange *x)
{
	const struct http_library *curl = x->curl;
	CURL *e = x->easy;
	char range[48];
	int bad = set_manners(x) < 0 || set_trust(x) < 0;
	int r;

	r = add_lines(x);
	if (r < 0)
		return r;
	x->why[0] = '\0';
	bad |= curl->easy_setopt(e, CURLOPT_URL, x->hop->url) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_HTTPHEADER, x->lines) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_ERRORBUFFER, x->why) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_HEADERDATA, x) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_WRITEDATA, x) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_PREREQFUNCTION, on_connected) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_PREREQDATA, x) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_PRIVATE, x) != 0;
	if (x->hop->req->body)
		bad |= set_body(x) < 0;
	if (x->hop->fresh)
		bad |= curl->easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L) != 0;
	if (x->hop->direct)
		bad |= curl->easy_setopt(e, CURLOPT_PROXY, "") != 0;
	if (x->hop->from || x->hop->until) {
		print_range(range, sizeof(range), x->hop);
		bad |= curl->easy_setopt(e, CURLOPT_RANGE, range) != 0;
	}
	return bad ? -EIO : 0;
}

int http_ask(struct exchange *x, bool large)
{
	int r = set_request(x);

	/* Only for speed, and refused (7.88) by a handle whose last try ended
	 * at the name server: it still has a buffer. */
	if (!r && large)
		(void)x->curl->easy_setopt(x->easy, CURLOPT_BUFFERSIZE,
					   LARGE_BUFFER_BYTES);
	return r;
}

void http_ask_done(struct exchange *x)
{
	x->curl->easy_reset(x->easy);
	wipe_lines(x);
}
