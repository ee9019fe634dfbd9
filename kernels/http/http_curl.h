/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_CURL_H
#define HTTP_HTTP_CURL_H

/*
 * What http.c and http_hop.c, the two files that know curl, share.
 */

#include "http_load.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct http;

#define HTTP_SHARES 8 /* more than curl has kinds of data that we share */

/*
 * An easy handle with a multi handle of its own: that keeps the connections
 * from one exchange to the next, and can be woken from another thread.
 * Handles are lent; the last one that came back goes first, for it is the
 * one whose connections are warm.
 */
struct handle {
	struct handle *next; /* http's mu */
	uint64_t used;	     /* http's mu; larger is later */
	bool lent;	     /* http's mu */
	const struct http_library *curl;
	CURL *easy;   /* owned */
	CURLM *multi; /* owned */
	char why[CURL_ERROR_SIZE];
};

/* DNS and TLS sessions, for all handles. curl nests these locks as it
 * likes, so they are plain mutexes below our ranks; it blocks under none. */
struct share {
	CURLSH *handle; /* owned */
	const struct http_library *curl;
	pthread_mutex_t mutexes[HTTP_SHARES];
};

/* A handle that nobody else uses until it is given back; NULL with a
 * sentence: no memory, no libcurl. */
struct handle *http_borrow(struct http *h, struct err *err);
void http_return(struct http *h, struct handle *t);

#endif
