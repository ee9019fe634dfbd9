/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_CURL_H
#define HTTP_HTTP_CURL_H

/*
 * What the files that know curl share: http.c (life, URLs), http_ask.c (what
 * is said to curl), http_hop.c (one exchange), http_engine.c (all of them at
 * once).
 */

#include "base/err.h"
#include "http_load.h"
#include "origins.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct engine;
struct http;
struct http_hop;

#define HTTP_SHARES 8 /* more than curl has kinds of data that we share */

/*
 * An easy handle with a multi handle of its own, for an exchange that is
 * driven on its caller's thread: that keeps the connections from one to the
 * next, and can be woken from another thread. Handles are lent; the last one
 * that came back goes first, for it is the one whose connections are warm.
 */
struct handle {
	struct handle *next; /* http's mu */
	uint64_t used;	     /* http's mu; larger is later */
	bool lent;	     /* http's mu */
	const struct http_library *curl;
	CURL *easy;   /* owned */
	CURLM *multi; /* owned */
};

/* DNS and TLS sessions, for all handles. curl nests these locks as it
 * likes, so they are plain mutexes below our ranks; it blocks under none. */
struct share {
	CURLSH *handle; /* owned */
	const struct http_library *curl;
	pthread_mutex_t mutexes[HTTP_SHARES];
};

/* One exchange, on the stack of who waits for it. While the engine has it,
 * all of it but `done` is the engine's. */
struct exchange {
	struct http *h;
	struct http_hop *hop;
	const struct http_library *curl;
	CURL *easy;		  /* borrowed */
	struct curl_slist *lines; /* owned; holds the token: wiped */
	bool folder_only;	  /* of certificates */
	bool again;		  /* now with all certificates */
	bool connected;
	bool silent; /* it stood, and no byte came any more */
	bool in_body;
	bool head_full;	  /* with what comes behind the body, it is too long */
	int64_t heard_ms; /* when something came from the host */
	int stopped;	  /* 0, or why a callback ended it */
	struct err *err;
	int result;    /* 0: curl is through, with `code`; else -errno */
	CURLcode code; /* what it says */
	char why[CURL_ERROR_SIZE];

	/* the engine's */
	struct exchange *next;
	struct origin *origin; /* NULL: of no limit */
	bool begun;	       /* it was admitted, and curl has it */
	bool over;
	bool done; /* engine's mu */
	pthread_cond_t ended;
};

/* A handle that nobody else uses until it is given back; NULL with a
 * sentence: no memory, no libcurl. */
struct handle *http_borrow(struct http *h, struct err *err);
void http_return(struct http *h, struct handle *t);
/* Those that are not lent, with their connections. */
void http_drop_handles(struct http *h);
/* What all handles share is there; false: no memory. */
bool http_have_share(struct http *h, const struct http_library *curl);

/* Tell the easy handle what the exchange asks; large ones get more room.
 * 0 or -errno. */
int http_ask(struct exchange *x, bool large);
/* No pointer into the exchange or to the token stays behind. */
void http_ask_done(struct exchange *x);
/* After a failure to know the peer: not all certificates were looked at, and
 * from now on they are. */
bool http_trust_more(const struct exchange *x, CURLcode c);

/* 0: it goes on, until *until_ms at most without looking again. */
int http_check_clock(struct exchange *x, int64_t now, int64_t *until_ms);

#endif
