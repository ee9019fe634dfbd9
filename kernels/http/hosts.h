/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HOSTS_H
#define HTTP_HOSTS_H

/*
 * Hosts that said "later". A pause holds for every request to that host, and
 * this is the one place where a request waits before it is sent: for the
 * pause, and for its own next try. And hosts that gave a large body themselves,
 * and did not send who asked for it elsewhere. Any thread.
 */

#include <stdbool.h>
#include <stdint.h>

struct err;
struct hosts;

#define HOSTS_NAME_MAX 320 /* "host:port" with its NUL */

int hosts_new(struct hosts **out, struct err *err);
void hosts_free(struct hosts *h); /* NULL allowed; nobody waits */
/* Everybody who waits, now and later, gets -ECANCELED. */
void hosts_stop(struct hosts *h);
bool hosts_stopped(struct hosts *h);

/* Nobody asks this host before `until_ms` (CLOCK_MONOTONIC). */
void hosts_pause(struct hosts *h, const char *host, int64_t until_ms);
/*
 * Wait until the host is not paused and `not_before_ms` has come. -ECANCELED;
 * -ETIMEDOUT with a sentence, at once, when that is later than `deadline_ms`.
 */
int hosts_wait(struct hosts *h, const char *host, int64_t not_before_ms,
	       int64_t deadline_ms, const bool *cancelled, struct err *err);

/* A large body came from this host itself. Did one, not long ago? */
void hosts_note_bulky(struct hosts *h, const char *host);
bool hosts_is_bulky(struct hosts *h, const char *host);

#endif
