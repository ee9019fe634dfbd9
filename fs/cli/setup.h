/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SETUP_H
#define CLI_SETUP_H

/*
 * What verbs that work in this process need around them: a log on stderr,
 * and an orderly end when somebody presses Ctrl-C.
 */

struct err;
struct options;
struct world;

/* The log as the options say; warnings and errors where they say nothing. */
int setup_log(const struct options *o, struct err *err);

/*
 * From here on SIGINT, SIGTERM and SIGHUP stop the world that is watched, so
 * that whoever waits in it returns; the process ends soon in any case. To be
 * called before threads are born.
 */
int setup_signals(struct err *err);
void setup_watch(struct world *w); /* NULL: before it is freed */
/* 0, or the exit code of the signal that came: 128 and its number. */
int setup_interrupted(void);

/*
 * All of that around one piece of work: signals, a world (world_new, or
 * world_new_bytes), the work, and the end of both. What the work returns is
 * the exit code, or -errno with a sentence that is said; an interrupted one
 * has the signal's.
 */
struct cli;
typedef int setup_birth(struct world **out, const struct options *o,
			struct err *err);
typedef int setup_work(const struct cli *c, struct world *w, const void *arg,
		       struct err *err);
int setup_run(const struct cli *c, setup_birth *birth, setup_work *work,
	      const void *arg);

#endif
