/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

/*
 * libcurl behind one blocking call. The only room that knows curl, and the
 * only holder of the token, which is never logged, never sent to a host
 * other than the endpoint's, and never in clear text to another machine.
 *
 * All calls go through one thread, which keeps the connections: HTTP/2 carries
 * many at once where it is offered, else up to 32 connections a host do. Large
 * bodies (`apart`) have one of their own. With nothing to do for a while, all
 * of that is freed. DNS and TLS sessions are shared. Redirects are
 * followed here, at most HTTP_HOPS: authorization is dropped when scheme, host
 * or port change; from https only to https. Retries are bounded; a host that
 * said "later" (429, 503 with RateLimit or Retry-After) pauses *all* requests
 * to that host. Deadlines: to connect, without a byte (stall), and for the
 * whole call, retries and pauses included; http_get(), which may carry a
 * large file, counts the last one anew each time it has made progress
 * (HTTP_PROGRESS_BYTES).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct http;
struct text;

#define HTTP_HOPS 10
#define HTTP_RETRIES 4
/* So many bytes beyond what was known count as progress: a server that gives
 * a byte now and then, or the same ones again, cannot hold us for ever. */
#define HTTP_PROGRESS_BYTES (64u << 10)

struct http_options {
	const char *user_agent;
	const char *token_file; /* NULL: HF_TOKEN_PATH, <HF_HOME>/token */
	int64_t connect_timeout_ms;
	int64_t stall_timeout_ms;
	int64_t deadline_ms;
	int64_t idle_ms; /* until all is freed; 0: some seconds */
	/* Every call is -ENETUNREACH at once; libcurl is not even loaded. */
	bool offline;
};

int http_new(struct http **out, const struct http_options *o, struct err *err);
/* Every call of http_get must have returned. */
void http_free(struct http *h);
/* Every call, present and to come, returns -ECANCELED soon (< 1 s). */
void http_cancel_all(struct http *h);
/* Has it been called? For who works long without asking anybody. */
bool http_is_cancelled(const struct http *h);

struct http_sink {
	/* Called before the first byte of a good answer: `from` is where the
	 * bytes start (the range asked for, or 0 when it was ignored: then
	 * the whole follows, whatever `until` said). */
	int (*begin)(struct http_sink *s, uint64_t from, struct err *err);
	int (*write)(struct http_sink *s, const void *p, size_t n,
		     struct err *err);
	/* NULL: not wanted. The question is on its way, and the caller's
	 * thread, on which this is called, has nothing to do until it is
	 * answered. Once for each hop that is not apart, so perhaps never;
	 * begin() and write() may be called meanwhile. */
	void (*asked)(struct http_sink *s);
};

struct http_request {
	const char *url;
	const char *endpoint; /* label for counting: "refs", "tree", … */
	bool authorize;	      /* send the token, if there is one */
	uint64_t from;	      /* resume at this byte; 0: whole */
	uint64_t until;	      /* the byte behind the last one; 0: to the end */
	uint64_t limit;	      /* largest body accepted, bytes */
	struct http_sink *sink;
	const bool *cancelled; /* read with __atomic; NULL: never */
	int64_t *progress_ms;  /* set (__atomic) at progress; NULL ok */
	/* In and out, NULL: not wanted. The URL on another origin that gave a
	 * good answer (a signed link), known before begin() is called. When
	 * not empty it is asked in place of `url`, without the token; when it
	 * refuses (4xx) or redirects it is emptied and `url` asked again,
	 * which is no failure. For one call at a time; parts copy it. */
	struct text *place;
	/* A large body: a connection of its own, driven on the caller's
	 * thread. All others share one thread, on which the sink is called:
	 * it must not block there. (Where a place is wanted and the body
	 * itself comes, the host is asked once more, the first time.) */
	bool apart;
	/* A POST of these bytes; always sent whole, its answer never resumed:
	 * a further try calls begin() with 0 again. NULL: a GET. */
	const void *body;
	size_t body_len;
	const char *content_type; /* of the body */
	const char *accept;	  /* NULL: anything */
	/* "Name: value" lines with NULL behind the last, and "user:password"
	 * for basic authorization: for the first origin only, never logged;
	 * the latter, like the token, never in clear text. NULL: none. */
	const char *const *headers;
	const char *userpwd;
	unsigned tries; /* at most so many; 0: as many as make sense */
	/* Another can be asked: not waiting for a host that said "later". */
	bool hasty;
};

struct http_response {
	long status;		 /* of the last hop */
	bool html;		 /* content type says text/html */
	char error_code[64];	 /* X-Error-Code, "" when absent */
	char error_message[256]; /* X-Error-Message, printable */
	char next[2048]; /* Link: <…>; rel="next", absolute; "" when absent */
	char last[2048]; /* URL of the last hop on the first host, if good */
	bool token_sent; /* an authorization header went to the first host */
	bool token_kept; /* it did not, for want of https */
};

/*
 * GET, or POST when there is a body.
 * 0 for a 2xx whose body went to the sink whole. Otherwise -errno with a
 * sentence naming the URL (without query): -ENOENT 404, -EACCES 401/403 (the
 * caller, who knows what was asked, may map further from the response),
 * -EIO for the rest after retries, -ETIMEDOUT, -ECANCELED, -EFBIG over the
 * limit, -ENETUNREACH offline, and what the sink returned. `resp` is filled
 * as far as known.
 */
int http_get(struct http *h, const struct http_request *req,
	     struct http_response *resp, struct err *err);
/* The same into memory; the limit is the text's. */
int http_get_text(struct http *h, struct http_request *req, struct text *out,
		  struct http_response *resp, struct err *err);

/* Does this URL lead to this machine, whatever a name server says? Text only:
 * needs no libcurl. */
bool http_is_loopback(const char *url);

/* Same scheme, host and port? false when one of them is no such URL. */
bool http_same_origin(const char *a, const char *b);

/* {"refs": n, "tree": n, …, "bytes": n} appended as a JSON object: requests
 * by label, retries included; a redirected one counts once more, as "redirect"
 * on the same origin and as "cdn" on another. Bytes: of good bodies. */
void http_report(struct http *h, struct text *out);
/* Lines kernelfs_source_requests_total{endpoint="refs"} n and one
 * kernelfs_source_bytes_total n (Prometheus). */
void http_metrics(struct http *h, struct text *out);
/* The whole call's, of the options. */
int64_t http_deadline_ms(const struct http *h);
/* Is a token at hand? (reads the file again when it changed) */
bool http_has_token(struct http *h);

#endif
