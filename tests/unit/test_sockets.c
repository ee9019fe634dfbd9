/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A connection to ourselves; something has just come over it. */
static void connect_two(int ends[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof(at);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_return_code(bind(listening, (struct sockaddr *)&at, size), 0);
	assert_return_code(listen(listening, 1), 0);
	assert_return_code(
		getsockname(listening, (struct sockaddr *)&at, &size), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(connect(ends[0], (struct sockaddr *)&at, size), 0);
	ends[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ends[1] >= 0);
	(void)close(listening);
	assert_int_equal(send(ends[1], "x", 1, 0), 1);
	assert_int_equal(recv(ends[0], &byte, 1, 0), 1);
}

static int is_ended(int fd)
{
	return send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

static void ends_the_silent_ones_only(void **state)
{
	struct sockets s = { .count = 0 };
	int ends[2];

	(void)state;
	connect_two(ends);
	sockets_add(&s, ends[0]);
	sockets_end_silent(&s, 60000);
	assert_false(is_ended(ends[0]));
	sockets_end_silent(&s, 0);
	assert_true(is_ended(ends[0]));
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void forgets_one_that_was_closed(void **state)
{
	struct sockets s = { .count = 0 };
	int one[2];
	int other[2];

	(void)state;
	connect_two(one);
	connect_two(other);
	sockets_add(&s, one[0]);
	sockets_add(&s, other[0]);
	sockets_drop(&s, one[0]);
	sockets_end_silent(&s, 0);
	assert_false(is_ended(one[0]));
	assert_true(is_ended(other[0]));
	for (size_t i = 0; i < 2; i++) {
		(void)close(one[i]);
		(void)close(other[i]);
	}
}

static void watches_no_more_than_it_has_room_for(void **state)
{
	struct sockets s = { .count = 0 };

	(void)state;
	for (int i = 0; i < SOCKETS_MAX + 10; i++)
		sockets_add(&s, i);
	assert_int_equal(s.count, SOCKETS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_the_silent_ones_only),
		cmocka_unit_test(forgets_one_that_was_closed),
		cmocka_unit_test(watches_no_more_than_it_has_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
