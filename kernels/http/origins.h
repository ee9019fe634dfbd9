/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_ORIGINS_H
#define HTTP_ORIGINS_H

/*
 * How many may ask an origin at once, and when. Over plain http, or where
 * HTTP/1.1 was spoken, as many as there may be connections. Where HTTP/2 may
 * be spoken (https), the first one goes ahead: once its connection stands,
 * all others follow, on that very connection if it carries several, else on
 * their own. They wait for no answer, and for a handshake that takes long
 * not to its end. Pure; one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hosts.h"

struct http_url;

#define ORIGINS_MAX 32
#define ORIGIN_CONNECTIONS_MAX 32u
#define ORIGIN_STREAMS_MAX 100u /* what servers commonly allow */
#define ORIGIN_HOLD_MS 1000

enum origin_speech {
	ORIGIN_UNHEARD,
	ORIGIN_SERIAL,	  /* HTTP/1.1 */
	ORIGIN_MULTIPLEX, /* HTTP/2 */
};

struct origin {
	char host[HOSTS_NAME_MAX]; /* "host:port" */
	bool https;
	bool direct;		   /* past all proxies */
	enum origin_speech speech; /* the last that was heard */
	unsigned asking;	   /* exchanges that are under way */
	unsigned connected;	   /* of those: whose connection stands */
	bool blind;		   /* the last that went ahead got nowhere */
	int64_t began_ms;	   /* when the first of them went ahead */
	uint64_t used;		   /* larger is later */
};

struct origins {
	struct origin all[ORIGINS_MAX];
	size_t count;
	uint64_t clock;
};

/* Known or new; NULL: more than ORIGINS_MAX are being asked. */
struct origin *origins_get(struct origins *o, const struct http_url *url,
			   bool direct);
/* May one more be asked now? Else it is held back. */
bool origins_admits(const struct origin *o, int64_t now_ms);
/* When to look again at one that does not admit, at the latest. */
int64_t origins_admits_ms(const struct origin *o);

void origins_begin(struct origin *o, int64_t now_ms);
/* Its connection stands: it is asked now. */
void origins_connect(struct origin *o);
/* It is over; `connected`: origins_connect() was called for it. */
void origins_end(struct origin *o, bool connected, enum origin_speech heard);

#endif
