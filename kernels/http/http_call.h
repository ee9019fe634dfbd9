/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_CALL_H
#define HTTP_HTTP_CALL_H

/*
 * Inside of the http room: one call of http_get (http_get.c: all tries), its
 * tries through all redirects (http_try.c), and their bodies (http_body.c).
 */

#include "base/err.h"
#include "http_hop.h"
#include "token.h"

/* One call of http_get, through all its hops and tries. */
struct call {
	struct http_hop hop; /* first: body() gets it */
	struct http *h;
	const struct http_request *req;
	struct http_response *resp;
	struct err why;
	struct http_url first; /* of the request */
	struct http_url here;  /* of this hop */
	struct http_url place; /* what is asked in place of the first one */
	bool placed;	       /* this try has begun there */
	bool renewed;	       /* it was no good, and is asked no more */
	bool stream;  /* may go on in the middle; progress moves the deadline */
	bool foreign; /* this try has left the first origin */
	bool fresh;   /* the last connection was cut */
	bool begun;   /* in this hop, the sink's begin() was called */
	bool whole;   /* ask for no range any more */
	int refused;  /* 0, or the -errno that ends the call */
	unsigned failures;
	unsigned patience; /* how many failures of this kind are too few */
	uint64_t at;	   /* where the sink stands */
	uint64_t until;	   /* byte behind the part; 0: to the end */
	uint64_t got;	   /* bytes of good body in this try */
	uint64_t mark;	   /* where the sink stood at the last progress */
	uint64_t skipped;  /* bytes of bad body in this hop */
	int64_t hint_ms;   /* the host's wish; -1 */
	char token[TOKEN_MAX + 1];
};

static inline bool http_call_is_good(const struct call *c)
{
	return c->hop.status >= 200 && c->hop.status < 300;
}

/* What is known of the answer, for the caller. */
void http_call_tell_head(struct call *c);
/* The sink hears where the bytes start. */
int http_call_begin(struct call *c);
/* A part of a body; http_hop's. */
int http_call_body(struct http_hop *hop, const void *p, size_t n);

/* Once, from the first URL on, unless it is known where that leads. -EAGAIN:
 * once more, if that is not too often. */
int http_call_try(struct call *c);
/* Is it known where the bytes are? */
bool http_call_has_place(struct call *c);
/* Until when it is worth waiting for a host that said "later". */
int64_t http_call_patient_until_ms(const struct call *c);
/* How long to wait after so many failures, when nobody says. */
int64_t http_call_backoff_ms(unsigned failures);

#endif
