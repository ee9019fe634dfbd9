/* SPDX-License-Identifier: Apache-2.0 */
#include "origins.h"

#include "base/text.h"
#include "http_hop.h"

#include <string.h>

static bool is_it(const struct origin *o, const struct http_url *url,
		  bool direct)
{
	return o->https == url->https && o->direct == direct &&
	       strcmp(o->host, url->host) == 0;
}

/* A place for a new one: that of the idle one which was asked longest ago. */
static struct origin *make_room(struct origins *o)
{
	struct origin *old = NULL;

	if (o->count < ORIGINS_MAX)
		return &o->all[o->count++];
	for (size_t i = 0; i < o->count; i++) {
		struct origin *at = &o->all[i];

		if (!at->asking && (!old || at->used < old->used))
			old = at;
	}
	return old;
}

struct origin *origins_get(struct origins *o, const struct http_url *url,
			   bool direct)
{
	struct origin *at;

	o->clock++;
	for (size_t i = 0; i < o->count; i++) {
		if (!is_it(&o->all[i], url, direct))
			continue;
		o->all[i].used = o->clock;
		return &o->all[i];
	}
	at = make_room(o);
	if (!at)
		return NULL;
	memset(at, 0, sizeof(*at));
	(void)text_copy(at->host, sizeof(at->host), url->host);
	at->https = url->https;
	at->direct = direct;
	at->used = o->clock;
	return at;
}

/* May one connection carry several? */
static bool waits(const struct origin *o)
{
	return o->https && o->speech != ORIGIN_SERIAL;
}

bool origins_admits(const struct origin *o, int64_t now_ms)
{
	if (!o->asking)
		return true;
	if (o->asking >= (o->speech == ORIGIN_MULTIPLEX
				  ? ORIGIN_STREAMS_MAX
				  : ORIGIN_CONNECTIONS_MAX))
		return false;
	return !waits(o) || o->connected || o->blind ||
	       now_ms >= o->began_ms + ORIGIN_HOLD_MS;
}

int64_t origins_admits_ms(const struct origin *o)
{
	return o->connected || o->blind || !waits(o)
		       ? INT64_MAX
		       : o->began_ms + ORIGIN_HOLD_MS;
}

void origins_begin(struct origin *o, int64_t now_ms)
{
	if (!o->asking)
		o->began_ms = now_ms;
	o->asking++;
}

void origins_connect(struct origin *o)
{
	o->connected++;
	o->blind = false;
}

void origins_end(struct origin *o, bool connected, enum origin_speech heard)
{
	o->asking--;
	if (connected)
		o->connected--;
	else
		o->blind = true;
	if (heard != ORIGIN_UNHEARD)
		o->speech = heard;
}
