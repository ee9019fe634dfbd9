/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

/*
 * What the head of an HTTP answer says, as far as we care: line by line, as
 * they arrive, bounded. Pure; the server is not trusted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_BYTES_MAX (256u << 10) /* of one answer */
#define HEAD_NEXT_MAX 2048
#define HEAD_WAIT_MAX_S 86400

struct head {
	size_t bytes;
	bool html;   /* content type says web page */
	bool ranged; /* there was a good Content-Range */
	uint64_t range_start;
	uint64_t range_end;    /* behind its last byte; 0: not said */
	int64_t limited_s;     /* RateLimit: nothing remains for so long; -1 */
	int64_t retry_after_s; /* Retry-After; -1 */
	char error_code[64];   /* X-Error-Code */
	char error_message[256];  /* X-Error-Message, printable */
	char next[HEAD_NEXT_MAX]; /* Link: <…>; rel="next", as given */
};

void head_reset(struct head *h);
/*
 * One line, with or without its line end. `wall_s` is the time of day, for
 * dates. -E2BIG when the head or the next link is too long: the answer must
 * not be used then.
 */
int head_line(struct head *h, const char *p, size_t n, int64_t wall_s);
/* Seconds the server asks to wait, one more than RateLimit says; -1: none. */
int64_t head_wait_s(const struct head *h);

#endif
