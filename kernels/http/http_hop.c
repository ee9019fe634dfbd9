/* SPDX-License-Identifier: Apache-2.0 */
#include "http_hop.h"

#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "http_curl.h"
#include "token.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A flag in the caller's memory wakes nobody: so often it is looked at. */
#define LOOK_MS 100
#define BUFFER_BYTES (128l << 10)
#define USERPWD_MAX 768

struct exchange {
	struct http_hop *hop;
	struct handle *handle;	  /* lent */
	struct curl_slist *lines; /* owned; holds the token: wiped */
	bool folder_only;	  /* of certificates */
	bool again;		  /* now with all certificates */
	bool connected;
	bool in_body;
	bool head_full;	  /* with what comes behind the body, it is too long */
	int64_t heard_ms; /* when something came from the host */
	int stopped;	  /* 0, or why a callback ended it */
};

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
	const struct http_library *curl = x->handle->curl;
	curl_off_t length = -1;

	(void)one;
	x->heard_ms = io_now_ms();
	if (!x->in_body) {
		x->in_body = true;
		(void)curl->easy_getinfo(x->handle->easy,
					 CURLINFO_RESPONSE_CODE,
					 &x->hop->status);
		(void)curl->easy_getinfo(x->handle->easy,
					 CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
					 &length);
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
	x->connected = true;
	x->heard_ms = io_now_ms();
	return CURL_PREREQFUNC_OK;
}

static int add_line(struct exchange *x, const char *line)
{
	const struct http_library *curl = x->handle->curl;
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
	const struct http_library *curl = x->handle->curl;

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
 * somebody added to it by hand: see is_trust_elsewhere().
 */
static int set_trust(struct http *h, struct exchange *x)
{
	const struct http_library *curl = x->handle->curl;
	CURL *e = x->handle->easy;
	const char *ca_file;
	const char *ca_dir;
	char *folder = NULL;
	int bad = 0;

	find_trust(&ca_file, &ca_dir);
	if (ca_file)
		bad |= curl->easy_setopt(e, CURLOPT_CAINFO, ca_file) != 0;
	if (ca_dir)
		bad |= curl->easy_setopt(e, CURLOPT_CAPATH, ca_dir) != 0;
	if (ca_file || ca_dir || __atomic_load_n(&h->bundle, __ATOMIC_RELAXED))
		return bad ? -EIO : 0;
	if (curl->easy_getinfo(e, CURLINFO_CAPATH, &folder) == CURLE_OK &&
	    folder)
		x->folder_only =
			curl->easy_setopt(e, CURLOPT_CAINFO, NULL) == CURLE_OK;
	return 0;
}

/* Once for all: this one again, and all that follow, read the bundle too. */
static bool is_trust_elsewhere(struct http *h, const struct exchange *x,
			       CURLcode c)
{
	if (!x->folder_only || (c != CURLE_PEER_FAILED_VERIFICATION &&
				c != CURLE_SSL_CACERT_BADFILE))
		return false;
	__atomic_store_n(&h->bundle, true, __ATOMIC_RELAXED);
	return true;
}

/* How it speaks: the same for every exchange. */
static int set_manners(struct http *h, struct handle *t)
{
	const struct http_library *curl = t->curl;
	CURL *e = t->easy;
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
	/* Only for speed, and refused (7.88) by a handle whose last try ended
	 * at the name server: it still has a buffer. */
	(void)curl->easy_setopt(e, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	/* Not in every build of curl; without it, HTTP/1.1 is spoken. */
	(void)curl->easy_setopt(e, CURLOPT_HTTP_VERSION,
				(long)CURL_HTTP_VERSION_2TLS);
	return bad ? -EIO : 0;
}

static int set_body(struct exchange *x)
{
	const struct http_library *curl = x->handle->curl;
	const struct http_request *req = x->hop->req;
	CURL *e = x->handle->easy;

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

static int set_request(struct http *h, struct exchange *x)
{
	const struct http_library *curl = x->handle->curl;
	CURL *e = x->handle->easy;
	char range[48];
	int bad = set_manners(h, x->handle) < 0 || set_trust(h, x) < 0;
	int r;

	r = add_lines(x);
	if (r < 0)
		return r;
	x->handle->why[0] = '\0';
	bad |= curl->easy_setopt(e, CURLOPT_URL, x->hop->url) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_HTTPHEADER, x->lines) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_ERRORBUFFER, x->handle->why) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_HEADERDATA, x) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_WRITEDATA, x) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_PREREQFUNCTION, on_connected) != 0;
	bad |= curl->easy_setopt(e, CURLOPT_PREREQDATA, x) != 0;
	if (x->hop->req->body)
		bad |= set_body(x) < 0;
	if (x->hop->direct)
		bad |= curl->easy_setopt(e, CURLOPT_PROXY, "") != 0;
	if (x->hop->from || x->hop->until) {
		print_range(range, sizeof(range), x->hop);
		bad |= curl->easy_setopt(e, CURLOPT_RANGE, range) != 0;
	}
	return bad ? -EIO : 0;
}

/* 0: go on, for *wait_ms at most without looking again. */
static int check_clock(struct http *h, struct exchange *x, int64_t *wait_ms,
		       struct err *err)
{
	const bool *cancelled = x->hop->cancelled;
	int64_t now = io_now_ms();
	int64_t stall = x->heard_ms + h->options.stall_timeout_ms;
	int64_t until;

	/* Connecting has its own limit, kept by curl. */
	if (!x->connected)
		stall += h->options.connect_timeout_ms;
	if (hosts_stopped(h->hosts) ||
	    (cancelled && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE)))
		return err_set(err, ECANCELED, "cancelled");
	if (now >= x->hop->deadline_ms)
		return err_set(err, ETIMEDOUT, "the deadline has passed");
	if (now >= stall)
		return err_set(err, EAGAIN, "no byte came for %lld s",
			       (long long)(h->options.stall_timeout_ms / 1000));
	until = stall < x->hop->deadline_ms ? stall : x->hop->deadline_ms;
	*wait_ms = until - now < LOOK_MS ? until - now : LOOK_MS;
	return 0;
}

/* 1 with *result when it is over, 0 when it goes on. */
static int is_over(struct handle *t, CURLcode *result)
{
	CURLMsg *m;
	int left;

	while ((m = t->curl->multi_info_read(t->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		*result = m->data.result;
		return 1;
	}
	return 0;
}

/* 0 with *result: curl is through. -errno: we stopped it. */
static int drive(struct http *h, struct exchange *x, CURLcode *result,
		 struct err *err)
{
	const struct http_library *curl = x->handle->curl;
	CURLM *multi = x->handle->multi;

	for (;;) {
		int64_t wait_ms = 0;
		int running;
		int r;

		if (curl->multi_perform(multi, &running))
			return err_set(err, EIO, "libcurl gave up");
		if (is_over(x->handle, result))
			return 0;
		r = check_clock(h, x, &wait_ms, err);
		if (r < 0)
			return r;
		(void)curl->multi_poll(multi, NULL, 0, (int)wait_ms, NULL);
	}
}

/* What of curl's failures may pass by itself. */
static int judge(const struct handle *t, CURLcode c, struct err *err)
{
	const char *text = *t->why ? t->why : t->curl->easy_strerror(c);

	switch ((int)c) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_set(err, EHOSTUNREACH, "%s", text);
	case CURLE_PARTIAL_FILE:
		return err_set(err, EAGAIN, "the answer was cut short");
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	/* No HTTP at all: what an earlier answer on this connection had
	 * sent beyond its length. curl has closed it. */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return err_set(err, EAGAIN, "%s", text);
	case CURLE_OUT_OF_MEMORY:
		/* Also what curl says of a head line beyond its own limit. */
		return err_set(err, EIO,
			       "out of memory, or a head line that "
			       "is too long");
	default:
		return err_set(err, EIO, "%s", text);
	}
}

static int finish(struct http *h, struct exchange *x, CURLcode c,
		  struct err *err)
{
	const struct http_library *curl = x->handle->curl;
	struct http_hop *hop = x->hop;
	char *location = NULL;

	(void)curl->easy_getinfo(x->handle->easy, CURLINFO_RESPONSE_CODE,
				 &hop->status);
	if (x->head_full)
		return err_set(err, EIO, "the head of the answer is too long");
	if (x->stopped)
		return x->stopped;
	x->again = is_trust_elsewhere(h, x, c);
	if (c)
		return judge(x->handle, c, err);
	(void)curl->easy_getinfo(x->handle->easy, CURLINFO_REDIRECT_URL,
				 &location);
	if (!location)
		return 0;
	hop->location = text_dup(location, strlen(location));
	return hop->location ? 0 : err_errno(err, ENOMEM, "http");
}

/* OpenSSL writes with write(2), which raises SIGPIPE on a connection that
 * was closed, and curl leaves signals alone here. Taken off again, unless
 * one was pending before. */
static bool pipe_block(sigset_t *pipe, sigset_t *before)
{
	sigset_t pending;

	(void)sigemptyset(pipe);
	(void)sigaddset(pipe, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, pipe, before);
	return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void pipe_restore(const sigset_t *pipe, const sigset_t *before, bool had)
{
	static const struct timespec now = { .tv_sec = 0, .tv_nsec = 0 };

	if (!had)
		while (sigtimedwait(pipe, NULL, &now) < 0 && errno == EINTR)
			;
	(void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int talk(struct http *h, struct exchange *x, struct err *err)
{
	const struct http_library *curl = x->handle->curl;
	CURLcode c = CURLE_OK;
	int r;

	head_reset(&x->hop->head);
	x->hop->status = 0;
	x->hop->length = -1;
	x->again = false;
	x->heard_ms = io_now_ms();
	r = set_request(h, x);
	if (r < 0)
		err_errno(err, -r, "libcurl refused an option");
	else if (curl->multi_add_handle(x->handle->multi, x->handle->easy))
		r = err_set(err, EIO, "libcurl took no request");
	if (!r) {
		r = drive(h, x, &c, err);
		if (!r)
			r = finish(h, x, c, err);
		(void)curl->multi_remove_handle(x->handle->multi,
						x->handle->easy);
	}
	/* No pointer into this stack or to the token may stay behind. */
	curl->easy_reset(x->handle->easy);
	wipe_lines(x);
	return r;
}

int http_hop(struct http *h, struct http_hop *hop, struct err *err)
{
	struct exchange x = { .hop = hop };
	sigset_t pipe;
	sigset_t before;
	bool had;
	int r;

	x.handle = http_borrow(h, err);
	if (!x.handle)
		return -EIO;
	had = pipe_block(&pipe, &before);
	r = talk(h, &x, err);
	if (x.again)
		r = talk(h, &x, err);
	pipe_restore(&pipe, &before, had);
	http_return(h, x.handle);
	return r;
}

void http_hop_done(struct http_hop *hop)
{
	free(hop->location);
	hop->location = NULL;
}
