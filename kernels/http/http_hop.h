/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_HOP_H
#define HTTP_HTTP_HOP_H

/*
 * Inside of the http room: one exchange with one host (http_hop.c), which
 * http_get.c builds upon: redirects, retries, counts. Only http.c (life) and
 * http_hop.c know curl.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "head.h"
#include "hosts.h"
#include "http.h"

struct engine;
struct err;
struct handle;
struct share;
struct token;

#define HTTP_LABELS_MAX 24
#define HTTP_URL_MAX 8192

struct http_count {
	char label[24];
	uint64_t requests;
};

struct http {
	struct http_options options; /* the strings: owned copies */
	char *user_agent;	     /* owned */
	struct hosts *hosts;	     /* owned */
	struct token *token;	     /* owned */
	struct share *share;	     /* mu until it is there; owned */
	struct engine *engine;	     /* owned */
	struct lock mu;
	struct handle *handles;			   /* mu; owned, all */
	size_t count_n;				   /* mu */
	struct http_count counts[HTTP_LABELS_MAX]; /* mu */
	uint64_t bytes;				   /* mu; of good bodies */
	uint64_t lent_count;			   /* mu */
	bool bundle; /* __atomic; the folder of certificates is not enough */
	bool warned; /* __atomic; said that a token is not sent in clear text */
};

/* A URL taken apart. */
struct http_url {
	char host[HOSTS_NAME_MAX]; /* "host:port" */
	bool https;
	bool loopback;	 /* this machine, whatever a name server says */
	char shown[512]; /* without user, password, query; for messages */
};

/* -EINVAL with a sentence: not http or https, no host, a user in it, … */
int http_url_parse(struct http_url *out, const char *url, struct err *err);
/*
 * Where a redirect from `from` leads. -EIO with a sentence: nowhere, to no
 * URL of ours, from https to http.
 */
int http_url_follow(struct http_url *to, const struct http_url *from,
		    const char *location, struct err *err);
/* What is shown of a URL that was not taken apart: "scheme://host/path". */
void http_url_show(char shown[512], const char *url);
/* Same scheme, host and port? */
bool http_url_same_origin(const struct http_url *a, const struct http_url *b);
/* `rel` as seen from `base`, absolute; caller frees. NULL: no such URL. */
char *http_url_join(const char *base, const char *rel);

struct http_hop {
	const char *url;
	const struct http_url *to; /* the same */
	bool apart;		   /* on this thread, alone */
	/* No connection that stands is used, unless it carries several. */
	bool fresh;
	const char *token; /* NULL: no authorization */
	bool direct;	   /* past all proxies */
	uint64_t from;	   /* 0: no range, unless there is an end */
	uint64_t until;	   /* byte behind the range; 0: to the end */
	/* Of what is asked for here, only the body, its type, and `accept`
	 * count; the other two say what goes to this host. */
	const struct http_request *req;
	const char *const *headers; /* NULL: none */
	const char *userpwd;	    /* NULL: none */
	const bool *cancelled;
	int64_t deadline_ms; /* CLOCK_MONOTONIC; body() may move it */
	/* A part of the body; other than 0 ends the exchange with it. */
	int (*body)(struct http_hop *hop, const void *p, size_t n);

	long status;
	int64_t length; /* of the body; -1: not said. For body(), too */
	struct head head;
	char *location; /* owned; of a redirect, absolute; NULL */
};

/*
 * Do it. 0: an answer of whatever status, its body taken whole.
 * -EAGAIN: none, but another try may go well; -EHOSTUNREACH: the name could
 * not be resolved; -ETIMEDOUT (the deadline), -ECANCELED, -EIO, and what
 * body() said. All but the last set err, without the URL.
 */
int http_hop(struct http *h, struct http_hop *hop, struct err *err);
void http_hop_done(struct http_hop *hop);

/* http_get(); `stream`: may go on in the middle, and progress moves the
 * deadline. */
int http_call(struct http *h, const struct http_request *req, bool stream,
	      struct http_response *resp, struct err *err);

/* One more request with this label, for the reports. */
void http_count(struct http *h, const char *label);

#endif
