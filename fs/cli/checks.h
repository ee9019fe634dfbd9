/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHECKS_H
#define CLI_CHECKS_H

/*
 * The questions of `kernelfs doctor`: each looks at one thing of this machine
 * and adds what it found. None changes anything.
 */

#include <stdbool.h>
#include <stddef.h>

struct options;

#define CHECKS_MAX 64

struct finding {
	const char *check; /* a stable name */
	bool ok;
	char message[512];
	char hint[512]; /* "": nothing to do */
};

struct checks {
	const struct options *o;
	struct finding found[CHECKS_MAX];
	size_t count;
};

void checks_run(struct checks *c);

/* For the files that hold the questions. */
struct finding *checks_add(struct checks *c, const char *check, bool ok,
			   const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void checks_hint(struct finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void checks_fuse(struct checks *c);
void checks_passthrough(struct checks *c);
void checks_source(struct checks *c);

#endif
