/* SPDX-License-Identifier: Apache-2.0 */
#include "sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void sockets_add(struct sockets *s, int fd)
{
	if (s->count < SOCKETS_MAX)
		s->fds[s->count++] = fd;
}

void sockets_drop(struct sockets *s, int fd)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->fds[i] != fd)
			continue;
		s->fds[i] = s->fds[--s->count];
		return;
	}
}

void sockets_end_silent(const struct sockets *s, int64_t silent_ms)
{
	for (size_t i = 0; i < s->count; i++) {
		struct tcp_info info = { .tcpi_last_data_recv = 0 };
		socklen_t size = sizeof(info);

		if (getsockopt(s->fds[i], IPPROTO_TCP, TCP_INFO, &info,
			       &size) == 0 &&
		    info.tcpi_last_data_recv >= silent_ms)
			(void)shutdown(s->fds[i], SHUT_RDWR);
	}
}
