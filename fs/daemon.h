/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

/*
 * Going to the background with a result: the parent waits for one message of
 * the child, "it serves" or a sentence, and returns it. No thread may have
 * been started before.
 */

#include <stdbool.h>

struct err;

struct daemon {
	int pipe; /* the child's end; -1 when nobody waits */
};

/*
 * 1 in the parent (the mount serves), 0 in the child, -errno in the parent
 * with the child's sentence.
 */
int daemon_fork(struct daemon *d, struct err *err);
/* In the child: it serves. Gives up the terminal. Nothing after the first. */
void daemon_ready(struct daemon *d);
/* In the child: it does not, and why. */
void daemon_failed(struct daemon *d, int r, const struct err *err);

#endif
