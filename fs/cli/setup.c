/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include "cli.h"

#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "fs/options.h"
#include "fs/world.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* For unlinking what is half written; a person does not notice it. */
#define GRACE_NS 300000000

static struct lock mu;
static struct world *watched; /* mu */
static int caught;	      /* __atomic */

int setup_log(const struct options *o, struct err *err)
{
	enum log_level level = LOG_WARNING;

	if (options_given(o, "log_level"))
		(void)log_level_parse(o->log_level, &level);
	return log_open(o->log, o->debug ? LOG_DEBUG : level, err);
}

static void *wait_for_signal(void *arg)
{
	const struct timespec grace = { .tv_sec = 0, .tv_nsec = GRACE_NS };
	const sigset_t *set = arg;
	int sig = 0;

	while (sigwait(set, &sig) != 0)
		;
	__atomic_store_n(&caught, 128 + sig, __ATOMIC_RELEASE);
	lock_take(&mu);
	if (watched)
		world_stop(watched);
	lock_drop(&mu);
	(void)sigtimedwait(set, NULL, &grace); /* a second one: at once */
	_exit(128 + sig);
}

int setup_signals(struct err *err)
{
	static sigset_t set;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	lock_init(&mu, LOCK_INODE);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	r = pthread_attr_init(&attr);
	if (r == 0) {
		(void)pthread_attr_setdetachstate(&attr,
						  PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &attr, wait_for_signal, &set);
		(void)pthread_attr_destroy(&attr);
	}
	return r ? err_errno(err, r, "start a thread") : 0;
}

void setup_watch(struct world *w)
{
	lock_take(&mu);
	watched = w;
	lock_drop(&mu);
}

int setup_interrupted(void)
{
	return __atomic_load_n(&caught, __ATOMIC_ACQUIRE);
}

int setup_run(const struct cli *c, setup_birth *birth, setup_work *work,
	      const void *arg)
{
	struct err err = ERR_INIT;
	struct world *w = NULL;
	int code, r;

	/* A source that does not answer is why the verb fails, which then
	 * says so, or why it goes on with what is cached. */
	log_hold("source");
	r = setup_signals(&err);
	if (r == 0)
		r = birth(&w, c->o, &err);
	if (r == 0) {
		setup_watch(w);
		r = work(c, w, arg, &err);
	}
	code = setup_interrupted();
	if (code == 0)
		code = r < 0 ? cli_fail(r, &err) : r;
	log_release(!cli_said_silence());
	if (w) {
		setup_watch(NULL);
		world_free(w);
	}
	return code;
}
