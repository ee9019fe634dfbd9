/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_NETRC_H
#define HTTP_NETRC_H

/*
 * A user's .netrc: which name and password to give to a host. Read anew for
 * each question, so that a change counts at once. The entry `default` is not
 * used: what is for every host would be for one that a repository names.
 *
 *	machine HOST  login NAME  password WORD  [account WORD]
 *	macdef NAME ... up to an empty line
 *	# to the end of the line
 */

#include <stdbool.h>
#include <stddef.h>

struct err;
struct netrc;
struct text;

#define NETRC_BYTES (64u << 10)

/* $NETRC, else ~/.netrc; where we are now and what HOME is now count. */
int netrc_new(struct netrc **out, struct err *err);
void netrc_free(struct netrc *n); /* NULL allowed */

/* "name:password" for the host of this URL, appended to `out`, whose memory
 * the caller wipes: 1; 0: none; -errno, said in the log: nobody knows. */
int netrc_get(const struct netrc *n, const char *url, struct text *out);

/* The same from a file's bytes: 1, 0 for none, -EINVAL with the line. Pure. */
int netrc_find(const char *s, size_t n, const char *host, struct text *out,
	       struct err *err);

#endif
