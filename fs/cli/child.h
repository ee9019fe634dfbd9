/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

/*
 * Another program that is given some text and says some: without a shell, in
 * the folder /, with the environment that is named and no descriptor of ours,
 * in a process group of its own. It ends when its time is up or somebody has
 * pressed Ctrl-C here: first with SIGINT, so that it can clean up, then with
 * SIGKILL.
 */

#include <stdint.h>

struct text;

struct child {
	const char *const *argv; /* argv[0]: its path; NULL at the end */
	const char *const *env;	 /* NULL at the end */
	const struct text *in;
	struct text *out;  /* what it says; beyond the limit is -E2BIG */
	struct text *said; /* its stderr, cut at the limit */
	int64_t timeout_ms;
};

/*
 * Its status as of waitpid(). -errno when it cannot be started, -ETIMEDOUT,
 * -ECANCELED: a signal came (setup_interrupted()).
 */
int child_run(const struct child *c);

#endif
