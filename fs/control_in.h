/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_CONTROL_IN_H
#define FS_CONTROL_IN_H

/*
 * What both ends of the control socket share: addresses that do not depend on
 * how long a path is, and lines with a deadline.
 */

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct text;

/* Of a socket in an open folder, through /proc. -errno. */
int control_in_address(int folder, const char *name, struct sockaddr_un *out,
		       socklen_t *n);
struct sockaddr *control_in_generic(struct sockaddr_un *at);
/* A connection (caller closes), non-blocking, or -errno. */
int control_in_connect(int folder, const char *name);

/*
 * Up to a newline, which is left out; what comes behind one is not looked
 * at. -ETIMEDOUT at `until` (io_now_ms), -ECANCELED when `stop` (-1: none)
 * can be read, -E2BIG, -EPIPE when the peer is gone before its line's end.
 */
int control_in_read_line(int fd, int stop, int64_t until, struct text *line);
int control_in_write(int fd, int stop, int64_t until, const struct text *t);

#endif
