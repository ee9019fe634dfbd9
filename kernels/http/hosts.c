/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts.h"

#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* More hosts than a Hub and its mirrors and CDNs have. */
#define PAUSES_MAX 32
#define BULKY_MAX 8
/* A flag in the caller's memory wakes nobody: so often it is looked at. */
#define LOOK_MS 50

struct pause {
	char host[HOSTS_NAME_MAX];
	int64_t until_ms;
};

struct hosts {
	struct lock mu;
	pthread_cond_t changed;
	bool stopped;			       /* mu */
	struct pause pauses[PAUSES_MAX];       /* mu; until_ms 0: unused */
	char bulky[BULKY_MAX][HOSTS_NAME_MAX]; /* mu; "": unused */
	unsigned next_bulky;		       /* mu */
};

int hosts_new(struct hosts **out, struct err *err)
{
	struct hosts *h = calloc(1, sizeof(*h));

	if (!h)
		return err_errno(err, ENOMEM, "hosts");
	lock_init(&h->mu, LOCK_HTTP);
	lock_cond_init(&h->changed);
	*out = h;
	return 0;
}

void hosts_free(struct hosts *h)
{
	if (!h)
		return;
	(void)pthread_cond_destroy(&h->changed);
	lock_done(&h->mu);
	free(h);
}

void hosts_stop(struct hosts *h)
{
	lock_take(&h->mu);
	h->stopped = true;
	(void)pthread_cond_broadcast(&h->changed);
	lock_drop(&h->mu);
}

bool hosts_stopped(struct hosts *h)
{
	bool stopped;

	lock_take(&h->mu);
	stopped = h->stopped;
	lock_drop(&h->mu);
	return stopped;
}

static int64_t paused_until_locked(const struct hosts *h, const char *host)
{
	for (size_t i = 0; i < PAUSES_MAX; i++) {
		const struct pause *p = &h->pauses[i];

		if (p->until_ms && strcmp(p->host, host) == 0)
			return p->until_ms;
	}
	return 0;
}

void hosts_pause(struct hosts *h, const char *host, int64_t until_ms)
{
	struct pause *at = &h->pauses[0];

	lock_take(&h->mu);
	/* The host's own place, else that of the pause that ends first. */
	for (size_t i = 0; i < PAUSES_MAX; i++) {
		struct pause *p = &h->pauses[i];

		if (p->until_ms && strcmp(p->host, host) == 0) {
			at = p;
			break;
		}
		if (p->until_ms < at->until_ms)
			at = p;
	}
	if (strcmp(at->host, host) != 0 || at->until_ms < until_ms) {
		(void)text_copy(at->host, sizeof(at->host), host);
		at->until_ms = until_ms;
	}
	lock_drop(&h->mu);
}

static int too_late(const char *host, int64_t left_ms, bool paused,
		    struct err *err)
{
	if (paused)
		return err_set(err, ETIMEDOUT,
			       "%s asks to wait %" PRId64 " s, which is "
			       "longer than the deadline leaves",
			       host, (left_ms + 999) / 1000);
	return err_set(err, ETIMEDOUT,
		       "%s: the deadline leaves no time for "
		       "another try",
		       host);
}

int hosts_wait(struct hosts *h, const char *host, int64_t not_before_ms,
	       int64_t deadline_ms, const bool *cancelled, struct err *err)
{
	int r = -EINPROGRESS;

	lock_take(&h->mu);
	while (r == -EINPROGRESS) {
		int64_t now = io_now_ms();
		int64_t paused = paused_until_locked(h, host);
		int64_t until = paused > not_before_ms ? paused : not_before_ms;

		if (h->stopped ||
		    (cancelled && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE)))
			r = err_set(err, ECANCELED, "%s: cancelled", host);
		else if (until <= now)
			r = 0;
		else if (until > deadline_ms)
			r = too_late(host, until - now, until == paused, err);
		else
			(void)lock_wait(&h->mu, &h->changed,
					until < now + LOOK_MS ? until
							      : now + LOOK_MS);
	}
	lock_drop(&h->mu);
	return r;
}

static bool is_bulky_locked(const struct hosts *h, const char *host)
	LOCK_REQUIRES(&h->mu)
{
	for (size_t i = 0; i < BULKY_MAX; i++)
		if (strcmp(h->bulky[i], host) == 0)
			return true;
	return false;
}

void hosts_note_bulky(struct hosts *h, const char *host)
{
	lock_take(&h->mu);
	if (!is_bulky_locked(h, host))
		(void)text_copy(h->bulky[h->next_bulky++ % BULKY_MAX],
				HOSTS_NAME_MAX, host);
	lock_drop(&h->mu);
}

bool hosts_is_bulky(struct hosts *h, const char *host)
{
	bool is;

	lock_take(&h->mu);
	is = is_bulky_locked(h, host);
	lock_drop(&h->mu);
	return is;
}
