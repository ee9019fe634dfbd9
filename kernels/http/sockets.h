/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_SOCKETS_H
#define HTTP_SOCKETS_H

/*
 * The sockets of the connections that are kept, so that one which leads
 * nowhere any more, as after a change of networks, can be ended. libcurl tells
 * nobody over which of them an exchange goes. One thread.
 */

#include <stddef.h>
#include <stdint.h>

#define SOCKETS_MAX 256 /* what is beyond is not watched */

struct sockets {
	int fds[SOCKETS_MAX];
	size_t count;
};

void sockets_add(struct sockets *s, int fd);
void sockets_drop(struct sockets *s, int fd);
/* End those over which nothing has come for so long: who waits for something
 * there is told so, and nobody is sent there again. */
void sockets_end_silent(const struct sockets *s, int64_t silent_ms);

#endif
